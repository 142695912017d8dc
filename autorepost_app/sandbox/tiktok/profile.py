"""www.tiktok.com for one creator: the profile, the list that it loads as it is scrolled, and the profile in a frame."""

from html import escape
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.tiktok import shapes
from autorepost_app.sandbox.tiktok.posts import Post, author

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok
    from autorepost_app.sandbox.tiktok.www import Website

_NO_SUCH_USER, _PRIVATE_ACCOUNT = 10221, 10222
_PAGE = 15
"""The most that the list gives at once."""


class Profiles:
    def __init__(self, platform: "TikTok", website: "Website") -> None:
        self._platform = platform
        self._website = website

    def calls(self) -> list[Call]:
        return [
            Call("www", "GET", "/@{handle}", "profile.page", self.profile),
            Call("www", "GET", "/embed/@{handle}", "profile.embed", self.embed),
            Call("www", "GET", "/api/creator/item_list", "profile.list", self.item_list),
        ]

    def _named(self, handle: str) -> Account | None:
        mine = (each for each in self._platform.world.accounts.all() if each.platform == self._platform.key)
        return next((each for each in mine if handle in (each.handle, author(each)["secUid"])), None)

    def _shown(self, account: Account | None) -> list[Post]:
        """What anybody may see, newest first."""
        if account is None or account.options["private"]:
            return []
        public = [post for post in self._platform.posts.of(account.id) if not (post.private or post.deleted)]
        return sorted(public, key=lambda post: post.created_at, reverse=True)

    async def profile(self, ask: Ask) -> Response:
        """Always with status 200, as TikTok has it: what is wrong is in the page."""
        account = self._named(ask.path_params["handle"])
        readable = self._platform.settings.profile_trouble != "no_user_detail"
        carried = shapes.rehydration("user-detail", self._detail(account)) if readable else ""
        if account is None:
            return HTMLResponse(pages.plain_page("TikTok", "Couldn't find this account", "") + carried)
        feed = f"{self._platform.world.base_url}/tiktok/@{account.handle}"
        body = f'<p><a href="{escape(feed)}">What the sandbox knows of it</a></p>{self._grid(account)}'
        return HTMLResponse(pages.account_page(self._platform.world, account, body + carried))

    def _grid(self, account: Account) -> str:
        if account.options["private"]:
            return "<p>This account is private</p>"
        shown = {post.id for post in self._shown(account)}
        cards = [pages.card(self._platform.world, p) for p in self._platform.live_posts(account) if p.id in shown]
        return f'<div class="grid">{"".join(cards)}</div>'

    def _detail(self, account: Account | None) -> dict[str, Any]:
        if account is None:
            return {"userInfo": {}, "statusCode": _NO_SUCH_USER, "statusMsg": ""}
        private = account.options["private"]
        user = {**author(account), "privateAccount": private, "verified": account.options["verified"]}
        stats = {"videoCount": len(self._shown(account)), "followerCount": 0}
        status = {"statusCode": _PRIVATE_ACCOUNT if private else 0, "statusMsg": ""}
        return {"userInfo": {"user": user, "stats": stats, "itemList": []}, **status}

    async def embed(self, ask: Ask) -> Response:
        """Who is private, forbids it or does not exist looks the same here."""
        account = self._named(ask.path_params["handle"])
        if account is None or account.options["private"] or not account.options["embedding"]:
            return HTMLResponse(pages.plain_page("TikTok", "Not available", ""), 400)
        videos = [{"id": post.id, "desc": post.description} for post in self._shown(account)[:10]]
        content = {"source": {"data": {f"/embed/@{account.handle}": {"videoList": videos}}}}
        return HTMLResponse(shapes.script("__FRONTITY_CONNECT_STATE__", content))

    async def item_list(self, ask: Ask) -> Response:
        """Posts from before the cursor, which is the last post's time in milliseconds."""
        account = self._named(ask.query_params.get("secUid", ""))
        before, count = (_number(ask.query_params.get(name, "")) for name in ("cursor", "count"))
        if self._platform.settings.profile_trouble == "same_page":
            before = 2**53
        older = [post for post in self._shown(account) if int(post.created_at.timestamp()) * 1000 < before]
        page = older[: min(max(count, 1), _PAGE)]
        items = [self._item(account, post) for post in page if account]
        # the list of a private profile is empty and promises more
        more = len(older) > len(page) or (account is not None and account.options["private"])
        return JSONResponse({"itemList": items, "hasMorePrevious": more, "statusCode": 0, "status_msg": ""})

    def _item(self, account: Account, post: Post) -> dict[str, Any]:
        item = self._website.item(account, post)
        return {**item, "createTime": int(item["createTime"])}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
