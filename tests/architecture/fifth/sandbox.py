"""Loops as its public documents say: one upload, one post under a key that stays single."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.oauth import CodeRefused, Consent, Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Host, LivePost, Platform, Refusal


class Loops(Platform):
    key = "loops"
    title = "Loops"
    hosts = (Host("www"), Host("api"))

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.files: dict[str, Facts] = {}
        self.posts: dict[str, LivePost] = {}

    def calls(self) -> Sequence[Call]:
        return [
            Call("api", "POST", "/token", "token", self.token),
            Call("api", "GET", "/me", "me", self.me),
            Call("api", "PUT", "/uploads", "uploads", self.upload),
            Call("api", "POST", "/posts", "posts.create", self.create),
            Call("api", "GET", "/posts", "posts.list", self.listed),
        ]

    def desks(self) -> Sequence[Desk]:
        return [Desk("www", "/authorize", self._asked, self._allowed, lambda _consent: {"error": "access_denied"})]

    @staticmethod
    def _asked(query: Mapping[str, str]) -> Consent:
        return Consent(query["client_id"], query["redirect_uri"], query["state"], tuple(query["scope"].split()))

    def _allowed(self, consent: Consent, account_id: str, scopes: tuple[str, ...]) -> dict[str, str]:
        return {"code": self.world.grants.write_code(self.key, consent, account_id, scopes, 60)}

    async def token(self, ask: Ask) -> Response:
        form = dict(parse_qsl((await ask.body()).decode()))
        try:
            code = self.world.grants.take_code(form["code"], self.client_id, form["redirect_uri"], None)
        except CodeRefused as refusal:
            raise Refusal(self.json({"error": refusal.reason}, 400)) from None
        token = self.world.grants.issue(self.world.grants.open(code), "access", secrets.token_urlsafe(), None)
        return self.json({"access_token": token.id, "scope": " ".join(code.scopes)})

    def _account(self, ask: Ask) -> Account:
        token = self.world.grants.live(self.key, ask.headers.get("authorization", "").removeprefix("Bearer "), "access")
        if token is None:
            raise Refusal(self.json({"error": "unauthorized"}, 401))
        return self.world.account(self.key, token.account_id)

    async def me(self, ask: Ask) -> Response:
        account = self._account(ask)
        return self.json({"id": account.id, "handle": account.handle})

    async def upload(self, ask: Ask) -> Response:
        account = self._account(ask)
        facts = await self.world.take_media(self.key, account.id, await self.world.vault.drain(ask.stream()))
        self.files[facts.sha256] = facts
        return self.json({"id": facts.sha256}, 201)

    async def create(self, ask: Ask) -> Response:
        account, body = self._account(ask), await ask.json()
        post = self.posts.setdefault(body["key"], self._post(account, body))
        return self.json({"id": post.id, "url": post.permalink}, 201)

    def _post(self, account: Account, body: Mapping[str, str]) -> LivePost:
        post_id = str(self.world.next_number("loops.post", 0))
        return LivePost(
            platform=self.key,
            account=account.handle,
            account_id=account.id,
            id=post_id,
            permalink=f"{self.url('www')}/{account.handle}/{post_id}",
            text={"text": body["text"]},
            created_at=self.world.clock.now(),
            media=self.files[body["upload"]],
        )

    async def listed(self, ask: Ask) -> Response:
        account, post = self._account(ask), self.posts.get(ask.query_params["key"])
        mine = [post] if post and post.account_id == account.id else []
        return self.json({"posts": [{"id": each.id, "url": each.permalink} for each in mine]})

    def new_account_id(self, handle: str) -> str:
        return f"loops-{self.world.next_number('loops.account', 0)}"

    def live_posts(self, account: Account) -> list[LivePost]:
        return [post for post in self.posts.values() if post.account_id == account.id]

    def orphans(self) -> dict[str, int]:
        return {}

    def remove_post(self, post_id: str) -> bool:
        return False

    def server_error(self, status: int = 500) -> Response:
        return self.json({"error": "server_error"}, status)

    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response:
        return self.json({"error": "rate_limited"}, 429)

    def quota_used_up(self, ask: Ask, call: str) -> Response:
        return self.rate_limited(ask, call, 86400)

    def denied_although_done(self, call: str) -> Response:
        return self.json({"error": "bad_request"}, 400)


PLATFORM = Loops
