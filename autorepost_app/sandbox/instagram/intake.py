"""How does a video get into a container? Fetched from its URL or sent to rupload, then measured."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.instagram.records import Container
from autorepost_app.sandbox.platform import Ask, Call

if TYPE_CHECKING:
    from autorepost_app.sandbox.instagram import Instagram

UNFETCHABLE, TOO_SLOW, FORMAT, ASPECT, COVER_SIZE, COVER_TYPE, THUMB, UNKNOWN = (
    *(2207052, 2207003, 2207026, 2207009, 2207004, 2207005, 2207057, 2207053),
)
_COVER_MAX = 8388608
_TIMEOUT = httpx.Timeout(30.0)


class Intake:
    def __init__(self, platform: "Instagram") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        return [Call("rupload", "POST", "/ig-api-upload/{version}/{container}", "rupload", self.receive)]

    async def fetch(self, container: Container) -> None:
        """Gets `video_url` and settles the container, one way or the other."""
        try:
            facts = await self._fetch_video(container)
            failure = await self._failure(facts, container)
        except httpx.TimeoutException:
            facts, failure = None, TOO_SLOW
        except (httpx.HTTPError, httpx.InvalidURL, _NotFetched):
            facts, failure = None, UNFETCHABLE
        self._settle(container, facts, failure)

    async def _fetch_video(self, container: Container) -> Facts | None:
        limit = self._platform.settings.size_max
        headers = {"User-Agent": "facebookexternalhit/1.1"}
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True, trust_env=False) as client,
            client.stream("GET", container.params["video_url"], headers=headers) as reply,
        ):
            if reply.status_code != 200 or int(reply.headers.get("content-length") or 0) > limit:
                raise _NotFetched
            spool = await self._platform.world.vault.drain(reply.aiter_bytes(1024 * 1024))
        return await self._platform.world.try_media("instagram", container.account_id, spool)

    async def _failure(self, facts: Facts | None, container: Container) -> int | None:
        url = container.params.get("cover_url")
        found = self._verdict(facts, container)
        return await self._cover_failure(str(url)) if found is None and url else found

    async def _cover_failure(self, url: str) -> int | None:
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True, trust_env=False) as client:
            reply = await client.get(url)
        if reply.status_code != 200:
            return UNFETCHABLE
        if len(reply.content) > _COVER_MAX:
            return COVER_SIZE
        return None if reply.content.startswith(b"\xff\xd8\xff") else COVER_TYPE

    def _settle(self, container: Container, facts: Facts | None, failure: int | None) -> None:
        clock = self._platform.world.clock
        container.facts = facts
        container.failed_subcode = failure
        container.settled_at = max(clock.now(), self._ready_at(container))
        self._platform.containers.put(container)

    def _ready_at(self, container: Container) -> datetime:
        return container.created_at + timedelta(seconds=self._platform.settings.processing_seconds)

    def _verdict(self, facts: Facts | None, container: Container) -> int | None:
        """The subcode this video fails with, or None when Instagram takes it."""
        if container.forced_failure:
            named = container.forced_failure
            return int(named) if named.isdigit() else FORMAT
        if facts is None or not self._is_reel(facts):
            return FORMAT
        if not 0.01 <= facts.aspect <= 10.0:
            return ASPECT
        offset = int(container.params.get("thumb_offset") or 0)
        return THUMB if offset > facts.duration_seconds * 1000 else None

    def _is_reel(self, facts: Facts) -> bool:
        sound = facts.audio_codec is None or (
            facts.audio_codec == "aac" and (facts.audio_hz or 0) <= 48000 and (facts.audio_channels or 0) <= 2
        )
        return (
            sound
            and facts.is_mp4()
            and (facts.moov_first or not self._platform.settings.moov_first)
            and facts.video_codec in ("h264", "hevc")
            # 29.97 and 59.94 are meant by 30 and 60; 22.9 is not 23.
            and 22.95 <= facts.fps <= 60.05
            and facts.width <= 1920
            and 3.0 <= round(facts.duration_seconds, 1) <= 900.0
            and facts.bitrate <= 25_000_000
            and facts.pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le")
            and facts.size <= self._platform.settings.size_max
        )

    async def receive(self, ask: Ask) -> Response:
        """rupload: the whole file, or the rest of it from `offset` on."""
        container = self._platform.containers.get(ask.path_params["container"])
        kind, _, token = ask.headers.get("authorization", "").partition(" ")
        live = self._platform.world.grants.live("instagram", token, "short", "long", "fb_short", "fb_long", "page")
        if kind.lower() not in ("oauth", "bearer") or live is None:
            return _upload_refused("Invalid access token", status=401)
        if container is None or container.account_id != live.account_id or not container.resumable:
            return _upload_refused("Container not found", status=404)
        if ask.headers.get("file_url"):
            container.params["video_url"] = ask.headers["file_url"]
            self._platform.world.soon(self.fetch(container))
            return _taken()
        return await self._receive_bytes(ask, container)

    async def _receive_bytes(self, ask: Ask, container: Container) -> Response:
        offset, size = ask.headers.get("offset", ""), ask.headers.get("file_size", "")
        if not offset.isdigit() or not size.isdigit() or int(size) > self._platform.settings.size_max:
            return _upload_refused("offset and file_size are required")
        if container.settled_at is not None:
            return _taken()
        if int(offset) != container.received:
            return _upload_refused(f"Offset mismatch: {container.received} expected", retriable=True)
        container.file_size = int(size)
        spool = self._platform.world.vault.spool(f"instagram-{container.id}")
        try:
            with spool.open("ab") as file:
                file.truncate(container.received)
                async for chunk in ask.stream():
                    file.write(chunk)
                    container.received += len(chunk)
        finally:
            # A connection lost half-way leaves what came; `video_status` tells how much.
            self._platform.containers.put(container)
        if container.received < container.file_size:
            return _upload_refused("Partial request (did not match length of file)", retriable=True)
        self._platform.world.soon(self._measure(container))
        return _taken()

    async def _measure(self, container: Container) -> None:
        spool = self._platform.world.vault.spool(f"instagram-{container.id}")
        facts = await self._platform.world.try_media("instagram", container.account_id, spool)
        try:
            failure = await self._failure(facts, container)
        except (httpx.HTTPError, httpx.InvalidURL):
            failure = UNFETCHABLE
        self._settle(container, facts, failure)

    def resume(self) -> None:
        for container in self._platform.containers.all():
            if container.settled_at is None and container.params.get("video_url"):
                self._platform.world.soon(self.fetch(container))


class _NotFetched(Exception):
    """The URL answered, but not with a file Instagram would take."""


def _taken() -> Response:
    return JSONResponse({"success": True, "message": "Upload successful."})


def _upload_refused(message: str, *, retriable: bool = False, status: int = 400) -> Response:
    inner = json.dumps({"success": False, "error": {"message": message}})
    info = {"retriable": retriable, "type": "ProcessingFailedError", "message": inner}
    return JSONResponse({"debug_info": info}, status)
