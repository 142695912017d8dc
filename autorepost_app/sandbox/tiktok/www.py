"""www.tiktok.com for one video: the page a downloader reads, the file behind it, and the cover picture."""

import hmac
import io
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from autorepost_app.sandbox import pages, wire
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.tiktok import evergreen, shapes
from autorepost_app.sandbox.tiktok.display import cover_signature
from autorepost_app.sandbox.tiktok.posts import AppSettings, Post, Trouble, address, author
from autorepost_app.sandbox.tiktok.trouble import PAGES

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

_PRIVATE_POST, _PRIVATE_ACCOUNT, _IP_BLOCKED, _GONE = 10216, 10222, 10204, 10101
_CHAIN = "tt_chain_token"
_NO_FILE = ("login_wall", "sensitive", "expired_file")


class Website:
    def __init__(self, platform: "TikTok") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        video = "/@{handle}/video/{id}"
        return [
            Call("www", "GET", video, "video.page", self.page),
            Call("www", "GET", video + "/download.mp4", "video.download", self.download),
            Call("www", "GET", video + "/bytevc1.mp4", "video.download", self.download),
            Call("www", "GET", video + "/watermarked.mp4", "video.download", self.download),
            Call("www", "GET", "/login", "login.page", self.login),
            Call("www", "GET", "/cover/{file}", "video.cover", self.cover),
        ]

    def _found(self, ask: Ask) -> tuple[Account, Post] | None:
        post = self._platform.posts.get(ask.path_params["id"])
        account = self._platform.world.accounts.get(post.account_id) if post else None
        return (account, post) if account and post and not post.deleted else None

    async def page(self, ask: Ask) -> Response:
        found = self._found(ask)
        trouble = self._trouble(found)
        if trouble in PAGES and (answer := PAGES[trouble](ask)):
            return answer
        if found is None and ask.path_params["id"] in evergreen.POSTS:
            return HTMLResponse(
                shapes.rehydration("video-detail", evergreen.detail(self._platform, ask.path_params["id"]))
            )
        if found is None:
            return self._status_page(_GONE, "item doesn't exist")
        account, post = found
        if refusal := self._refusal(account, post):
            return self._status_page(*refusal)
        return self._video_page(account, post)

    def _trouble(self, found: tuple[Account, Post] | None) -> Trouble | None:
        settings: AppSettings = self._platform.settings
        return settings.page_trouble or (found[1].trouble if found else None)

    async def login(self, ask: Ask) -> Response:
        return HTMLResponse(pages.plain_page("TikTok", "Log in to TikTok", ""))

    def _refusal(self, account: Account, post: Post) -> tuple[int, str] | None:
        if self._trouble((account, post)) == "ip_blocked":
            return _IP_BLOCKED, "ip blocked"
        if account.options["private"]:
            return _PRIVATE_ACCOUNT, "author status is private"
        if post.private:
            return _PRIVATE_POST, "status_self_see"
        return None

    def _status_page(self, code: int, text: str) -> Response:
        detail = {"statusCode": code, "statusMsg": text}
        return HTMLResponse(
            pages.plain_page("TikTok", "Video currently unavailable", text) + shapes.rehydration("video-detail", detail)
        )

    def _video_page(self, account: Account, post: Post) -> Response:
        item = self.item(account, post)
        detail = {"statusCode": 0, "statusMsg": "", "itemInfo": {"itemStruct": item}}
        shown = next(p for p in self._platform.live_posts(account) if p.id == post.id)
        page = pages.post_page(self._platform.world, account, shown, shapes.rehydration("video-detail", detail))
        return HTMLResponse(page, headers={"set-cookie": f"{_CHAIN}=sandbox; Path=/; HttpOnly"})

    def item(self, account: Account, post: Post) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": post.id,
            "desc": post.description,
            "createTime": str(int(post.created_at.timestamp())),
            "author": author(account),
            "stats": {"playCount": 0, "diggCount": 0, "commentCount": 0, "shareCount": 0},
        }
        if self._trouble((account, post)) == "sensitive":
            return {**item, "isContentClassified": True}
        return {**item, "video": self._video(account, post)}

    def _video(self, account: Account, post: Post) -> dict[str, Any]:
        base = address(self._platform, account, post)
        shared = {"width": post.media.width, "height": post.media.height}
        video: dict[str, Any] = {
            "id": post.id,
            "duration": round(post.media.duration_seconds),
            **shared,
            "downloadAddr": f"{base}/watermarked.mp4",
            "bitrateInfo": [],
        }
        match self._trouble((account, post)):
            case "watermarked_only":
                return video
            case "no_formats":
                return {**video, "downloadAddr": ""}
        codec = {"h264": "h264", "hevc": "bytevc1"}.get(post.media.video_codec, post.media.video_codec)
        rates = [_rate(post, codec, f"{base}/download.mp4")]
        if codec == "h264":
            # TikTok offers its own H.265 beside it, as large and of a lower rate.
            rates.append(_rate(post, "bytevc1", f"{base}/bytevc1.mp4"))
        return {**video, "playAddr": f"{base}/download.mp4", "codecType": codec, "bitrateInfo": rates}

    async def download(self, ask: Ask) -> Response:
        found = self._found(ask)
        if found is None and ask.path_params["id"] in evergreen.POSTS:
            return evergreen.file(ask)
        if found is None or self._refusal(*found) or self._withheld(ask, found):
            return Response(status_code=403)
        path = self._platform.world.vault.media(found[1].media.sha256)
        if ask.cut_file_after is not None:
            return _CutFile(path, ask.cut_file_after)
        return FileResponse(path, media_type="video/mp4")

    def _withheld(self, ask: Ask, found: tuple[Account, Post]) -> bool:
        trouble, clean = self._trouble(found), not ask.url.path.endswith("/watermarked.mp4")
        if trouble in _NO_FILE or (trouble == "watermarked_only" and clean):
            return True
        if not self._platform.settings.file_guard:
            return False
        from_page = found[1].id in ask.headers.get("referer", "")
        return not (from_page and ask.cookies.get(_CHAIN))

    async def cover(self, ask: Ask) -> Response:
        post = self._platform.posts.get(ask.path_params["file"].removesuffix(".jpeg"))
        until = int(ask.query_params.get("x-expires") or 0)
        if post is None or until <= self._platform.world.clock.epoch():
            return Response(status_code=403)
        sign = cover_signature(self._platform.client_secret, post.id, until)
        if not hmac.compare_digest(sign, ask.query_params.get("x-signature", "")):
            return Response(status_code=403)
        return Response(_picture(post), media_type="image/jpeg")


def _rate(post: Post, codec: str, url: str) -> dict[str, Any]:
    address_of_file = {
        "UrlList": [url],
        "UrlKey": f"v0_{codec}_{min(post.media.width, post.media.height)}p_{post.media.bitrate}",
        "DataSize": str(post.media.size),
        "Width": post.media.width,
        "Height": post.media.height,
    }
    return {"Bitrate": post.media.bitrate, "CodecType": codec, "GearName": "normal", "PlayAddr": address_of_file}


class _CutFile(FileResponse):
    """Promises the whole file, sends the beginning, hangs up."""

    def __init__(self, path: Any, keep: int) -> None:
        super().__init__(path, media_type="video/mp4")
        self._keep = keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = self._keep

        async def send_some(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                body = message.get("body", b"")[:left]
                left -= len(body)
                message = {**message, "body": body, "more_body": True}
            await send(message)
            if message["type"] == "http.response.body" and left <= 0:
                raise _Cut

        try:
            await super().__call__(scope, receive, send_some)
        except _Cut:
            await wire.hang_up(scope, receive)


class _Cut(Exception):
    pass


def _picture(post: Post) -> bytes:
    picture = Image.new("RGB", (180, 320), "#101218")
    draw = ImageDraw.Draw(picture)
    draw.polygon([(66, 120), (66, 200), (130, 160)], fill="#fe2c55")
    draw.text((12, 290), post.id[-6:], fill="#ffffff")
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()
