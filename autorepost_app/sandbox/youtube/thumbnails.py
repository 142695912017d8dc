"""Covers of a channel's own: sent at once or in a session, and for a Short only when it has been processed."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.responses import Response

from autorepost_app.sandbox.footage import BLOCK
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.youtube import shapes
from autorepost_app.sandbox.youtube.channel import is_short
from autorepost_app.sandbox.youtube.login import UPLOADERS
from autorepost_app.sandbox.youtube.records import CoverSession, Video
from autorepost_app.sandbox.youtube.upload import content_range, session_address

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube

_MOST = 52428800
_HEADS = (b"\xff\xd8\xff", b"\x89PNG")


class Thumbnails:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform
        self._lock = asyncio.Lock()

    def calls(self) -> list[Call]:
        return [
            call
            for path in ("/upload/youtube/v3/thumbnails/set", "/resumable/upload/youtube/v3/thumbnails/set")
            for call in (
                Call("api", "POST", path, "thumbnails.set", self.start),
                Call("api", "PUT", path, "thumbnails.put", self.put),
            )
        ]

    async def start(self, ask: Ask) -> Response:
        account = self._platform.login.with_channel(ask, UPLOADERS)
        self._platform.quota.charge("units", 50)
        video = self._platform.channel.own(account, ask.query_params.get("videoId", ""))
        if ask.query_params.get("uploadType") != "resumable":
            return self._set(account, video, *await _measured(ask.stream()))
        session = CoverSession(id=secrets.token_urlsafe(48), account_id=account.id, video_id=video.id)
        self._platform.covers.put(session)
        return Response(headers={"Location": session_address(self._platform, ask, session.id)})

    async def put(self, ask: Ask) -> Response:
        session = self._platform.covers.get(ask.query_params.get("upload_id", ""))
        if session is None:
            raise shapes.refuse(404, "notFound", "Upload session not found.", "global")
        account = self._platform.world.account("youtube", session.account_id)
        async with self._lock:
            first, last, total = content_range(ask)
            if first == session.received and last is not None:
                size, head = await _measured(ask.stream())
                session.received, session.head = session.received + size, session.head or head[:8].hex()
                self._platform.covers.put(session)
            if total is None or session.received < total:
                have = {"Range": f"bytes=0-{session.received - 1}"} if session.received else {}
                return Response(status_code=308, headers=have)
            video = self._platform.channel.own(account, session.video_id)
            return self._set(account, video, session.received, bytes.fromhex(session.head))

    def _set(self, account: Account, video: Video, size: int, head: bytes) -> Response:
        if size == 0:
            raise shapes.refuse(400, "mediaBodyRequired", "The request does not include the image content.")
        if size > _MOST:
            raise shapes.refuse(413, "uploadTooLarge", "The image is too large.", "youtube.thumbnail")
        if not head.startswith(_HEADS):
            raise shapes.refuse(400, "invalidImage", "The provided image content is invalid.", "youtube.thumbnail")
        if not account.options["custom_thumbnails"] or not self._may_have_cover(video):
            text = "The thumbnail can't be set for the specified video."
            raise shapes.refuse(403, "forbidden", text, "youtube.thumbnail")
        video.has_thumbnail = True
        self._platform.videos.put(video)
        picture = {"url": f"{self._platform.url('www')}/vi/{video.id}/default.jpg", "width": 120, "height": 90}
        return self._platform.json({"kind": "youtube#thumbnailSetResponse", "items": [{"default": picture}]})

    def _may_have_cover(self, video: Video) -> bool:
        if not is_short(video):
            return True
        return self._platform.upload_status(video, self._platform.world.clock.now()) == "processed"


async def _measured(stream: AsyncIterator[bytes]) -> tuple[int, bytes]:
    size, head = 0, b""
    async for chunk in stream:
        head = head or chunk[:BLOCK]
        size += len(chunk)
    return size, head
