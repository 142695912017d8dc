"""How does a creator post on the sandbox TikTok? Controls below /_sandbox/tiktok."""

import json
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autorepost_app.sandbox.control import guarded
from autorepost_app.sandbox.footage import NotAVideo
from autorepost_app.sandbox.platform import Account, Strict
from autorepost_app.sandbox.tiktok.posts import Post, Trouble, address

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

_BLOCK = 1024 * 1024


class NewPost(Strict):
    """What comes with a clip. `create_time` may be epoch seconds or ISO 8601; default now."""

    title: str = ""
    description: str = ""
    create_time: AwareDatetime | None = None
    private: bool = False
    pinned: bool = False
    photo: bool = False
    trouble: Trouble | None = None


class Change(Strict):
    description: str | None = None
    private: bool | None = None
    pinned: bool | None = None
    trouble: Trouble | None = None


class Studio:
    def __init__(self, platform: "TikTok") -> None:
        self._platform = platform

    def routes(self) -> list[Route]:
        posts = "/_sandbox/tiktok/accounts/{handle}/posts"
        return [
            Route(posts, guarded(self.post), methods=["POST"]),
            Route(posts, guarded(self.posts), methods=["GET"]),
            Route(posts + "/{id}", guarded(self.change), methods=["PATCH"]),
        ]

    def _account(self, request: Request) -> Account:
        return self._platform.world.account("tiktok", request.path_params["handle"])

    async def post(self, request: Request) -> Response:
        account = self._account(request)
        spool, fields = await self._clip(request)
        try:
            wanted = NewPost.model_validate(fields)
            media = await self._platform.world.take_media("tiktok", account.id, spool)
        except NotAVideo:
            raise ValueError("the clip is not a video") from None
        finally:
            spool.unlink(missing_ok=True)
        created_at = self._free_moment(account, wanted.create_time or self._platform.world.clock.now())
        post = Post(
            id=self._new_id(created_at),
            account_id=account.id,
            created_at=created_at,
            title=wanted.title,
            description=wanted.description or wanted.title,
            media=media,
            private=wanted.private,
            pinned=wanted.pinned,
            photo=wanted.photo,
            trouble=wanted.trouble,
        )
        return JSONResponse(self._describe(account, self._platform.posts.put(post)), 201)

    async def posts(self, request: Request) -> Response:
        account = self._account(request)
        return JSONResponse([self._describe(account, post) for post in self._platform.posts.of(account.id)])

    async def change(self, request: Request) -> Response:
        account = self._account(request)
        post = self._platform.posts.get(request.path_params["id"])
        if post is None or post.account_id != account.id:
            return JSONResponse({"error": "no such post", "nearest": None}, 404)
        change = Change.model_validate(await request.json())
        changed = post.model_copy(update=change.model_dump(exclude_unset=True))
        return JSONResponse(self._describe(account, self._platform.posts.put(changed)))

    async def _clip(self, request: Request) -> tuple[Path, dict[str, Any]]:
        """The clip on disk and the fields beside it: multipart, JSON with a `clip_path`, or the raw body."""
        kind = request.headers.get("content-type", "")
        vault = self._platform.world.vault
        if kind.startswith("multipart/"):
            return await self._from_form(request)
        if kind.startswith("application/json"):
            fields = await request.json()
            source = Path(fields.pop("clip_path"))
            if not source.is_file():
                raise ValueError("clip_path: no such file")
            spool = vault.spool()
            shutil.copyfile(source, spool)
            return spool, fields
        return await vault.drain(request.stream()), dict(request.query_params)

    async def _from_form(self, request: Request) -> tuple[Path, dict[str, Any]]:
        spool = self._platform.world.vault.spool()
        async with request.form() as form:
            clip = form.get("clip")
            if not isinstance(clip, UploadFile):
                raise ValueError("clip: a file is needed")
            with spool.open("wb") as file:
                while block := await clip.read(_BLOCK):
                    file.write(block)
            return spool, {name: value for name, value in form.items() if name != "clip"}

    def _free_moment(self, account: Account, moment: datetime) -> datetime:
        # The list's cursor is a millisecond: two posts of one account in the same one would hide each other.
        moment = moment.astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        taken = {post.created_at for post in self._platform.posts.of(account.id)}
        while moment in taken:
            moment += timedelta(milliseconds=1)
        return moment

    def _new_id(self, created_at: datetime) -> str:
        # Real ids carry their second in the upper 32 bits.
        while True:
            number = (int(created_at.timestamp()) << 32) | secrets.randbits(32)
            if self._platform.posts.get(str(number)) is None:
                return str(number)

    def _describe(self, account: Account, post: Post) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(post.model_dump_json(exclude={"account_id"}))
        return {**described, "share_url": address(self._platform, account, post), "account": account.handle}
