"""Which posts are there before anybody came? Old public ones, for whoever asks only whether files come at all."""

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from autorepost_app.sandbox.platform import Ask

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

POSTS = {
    "6742501081818877190": "patroxofficial",
    "6984138651336838402": "barudakhb_",
    "7059698374567611694": "pokemonlife22",
}
_FILE = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64 * 1024)


def detail(platform: "TikTok", post_id: str) -> dict[str, Any]:
    """The `webapp.video-detail` of one of them."""
    handle = POSTS[post_id]
    base = f"{platform.url('www')}/@{handle}/video/{post_id}"
    video = {"id": post_id, "duration": 27, "width": 576, "height": 1024, "playAddr": f"{base}/download.mp4"}
    item = {"id": post_id, "desc": "#tbt", "author": {"uniqueId": handle}, "video": video}
    return {"statusCode": 0, "statusMsg": "", "itemInfo": {"itemStruct": item}}


def file(ask: Ask) -> Response:
    """Enough of a file to see that one comes; asked for in part, as a look does."""
    wanted = ask.headers.get("range", "")
    if not wanted.startswith("bytes=0-"):
        return Response(_FILE, media_type="video/mp4")
    last = min(int(wanted.removeprefix("bytes=0-") or len(_FILE) - 1), len(_FILE) - 1)
    part = {"Content-Range": f"bytes 0-{last}/{len(_FILE)}"}
    return Response(_FILE[: last + 1], 206, part, "video/mp4")
