"""Upload: a session, bytes with their range, and the video that exists after the last of them; or all at once."""

import asyncio
import json
import re
import secrets
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.youtube import metadata, shapes
from autorepost_app.sandbox.youtube.login import UPLOADERS
from autorepost_app.sandbox.youtube.records import Session, Video

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube

CHUNK = 262144
_RANGE = re.compile(r"bytes (?:(\*)|(\d+)-(\d+))/(\d+|\*)")
_REJECTIONS = {
    *("copyright", "inappropriate", "duplicate", "termsOfUse", "uploaderAccountSuspended", "length", "claim"),
    *("uploaderAccountClosed", "trademark", "legal"),
}
_SIZE_MAX = 274877906944


class Uploads:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform
        self._locks: dict[str, asyncio.Lock] = {}

    def calls(self) -> list[Call]:
        names = ("session.query", "insert.last")
        return [
            call
            for path in ("/upload/youtube/v3/videos", "/resumable/upload/youtube/v3/videos")
            for call in (
                Call("api", "POST", path, "session.start", self.start),
                Call("api", "PUT", path, "session.put", self.put, self._put_names, names),
            )
        ]

    async def _put_names(self, ask: Ask) -> tuple[str, ...]:
        """Asking where an upload stands, and sending its last byte, are calls of their own."""
        first, last, total = content_range(ask)
        if first is None and last is None:
            return ("session.query",)
        return ("insert.last",) if last is not None and total == last + 1 else ()

    async def start(self, ask: Ask) -> Response:
        """The way of `uploadType`: a session for the bytes to come, or everything at once."""
        raw = await ask.body()
        account = self._platform.login.with_channel(ask, UPLOADERS)
        match ask.query_params.get("uploadType"):
            case "resumable":
                return self._open(ask, account, raw)
            case "multipart":
                return await self._whole(ask, account, *_related(ask, raw))
            case "media":
                return await self._whole(ask, account, b"{}", raw)
            case _:
                raise shapes.refuse(400, "mediaBodyRequired", "The request does not include the video content.")

    def _open(self, ask: Ask, account: Account, raw: bytes) -> Response:
        length = ask.headers.get("x-upload-content-length")
        session = self._session_for(ask, account, raw, int(length) if length else None)
        where = session_address(self._platform, ask, session.id)
        return Response(status_code=200, headers={"Location": where, "X-GUploader-UploadID": session.id})

    async def _whole(self, ask: Ask, account: Account, raw: bytes, file: bytes) -> Response:
        if not file:
            raise shapes.refuse(400, "mediaBodyRequired", "The request does not include the video content.")
        session = self._session_for(ask, account, raw, len(file))
        self._platform.world.vault.spool(f"youtube-{session.id}").write_bytes(file)
        session.received = len(file)
        await self._finish(session, ask.failure_reason)
        return self._finished(session)

    def _session_for(self, ask: Ask, account: Account, raw: bytes, total: int | None) -> Session:
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            raise shapes.refuse(400, "parseError", "Parse Error", "global") from None
        now = self._platform.world.clock.now()
        self._platform.quota.charge("inserts")
        video = metadata.checked(body, metadata.parts_of(ask.query_params.get("part", "")), now)
        self._check_size(ask)
        self._check_channel_limit(account.id)
        video["notify"] = ask.query_params.get("notifySubscribers", "true") != "false"
        session = Session(id=secrets.token_urlsafe(48), account_id=account.id, created_at=now, video=video, total=total)
        return self._platform.sessions.put(session)

    @staticmethod
    def _check_size(ask: Ask) -> None:
        if int(ask.headers.get("x-upload-content-length") or 0) > _SIZE_MAX:
            raise shapes.refuse(413, "uploadTooLarge", "The upload is too large.", "global")
        kind = ask.headers.get("x-upload-content-type", "video/*")
        if not kind.startswith("video/") and kind != "application/octet-stream":
            raise shapes.refuse(400, "badContent", f"Media type '{kind}' is not supported.", "global")

    def _check_channel_limit(self, account_id: str) -> None:
        since = self._platform.world.clock.now() - timedelta(days=1)
        recent = sum(video.created_at > since for video in self._platform.videos.of(account_id))
        if recent >= self._platform.settings.uploads_per_channel_per_day:
            text = "The user has exceeded the number of videos they may upload."
            raise shapes.refuse(400, "uploadLimitExceeded", text)

    async def put(self, ask: Ask) -> Response:
        session = self._session(ask)
        async with self._locks.setdefault(session.id, asyncio.Lock()):
            first, last, total = content_range(ask)
            if session.video_id is not None:
                return self._finished(session)
            if total is not None:
                session.total = total
            if first is not None and last is not None:
                await self._take(ask, session, first, last)
            if session.total is not None and session.received >= session.total:
                await self._finish(session, ask.failure_reason)
                return self._finished(session)
            return self._unfinished(session)

    def _session(self, ask: Ask) -> Session:
        session = self._platform.sessions.get(ask.query_params.get("upload_id", ""))
        life = timedelta(seconds=self._platform.settings.session_seconds)
        if session is None or session.created_at + life <= self._platform.world.clock.now():
            raise shapes.refuse(404, "notFound", "Upload session not found.", "global")
        return session

    async def _take(self, ask: Ask, session: Session, first: int, last: int) -> None:
        """Appends what is new of the announced range; a lost connection leaves whole chunks only."""
        if first > session.received:
            text = f"the upload offset is {first} byte(s), which exceeds already uploaded size of {session.received}"
            raise shapes.refuse(
                400, "badRequest", f"Invalid request. According to the Content-Range header, {text}.", "global"
            )
        final = session.total is not None and last + 1 == session.total
        if not final and (last + 1 - first) % CHUNK:
            text = f"Invalid request. The number of bytes uploaded is required to be a multiple of {CHUNK}."
            raise shapes.refuse(400, "badRequest", text, "global")
        skip, room = session.received - first, last + 1 - session.received
        spool = self._platform.world.vault.spool(f"youtube-{session.id}")
        spool.touch()
        try:
            with spool.open("r+b") as file:
                file.truncate(session.received)
                file.seek(session.received)
                async for chunk in ask.stream():
                    fresh = chunk[skip:][: max(room, 0)]
                    skip = max(0, skip - len(chunk))
                    room -= len(fresh)
                    file.write(fresh)
                    session.received += len(fresh)
        except ClientDisconnect:
            session.received -= session.received % CHUNK
            raise
        finally:
            self._platform.sessions.put(session)

    def _unfinished(self, session: Session) -> Response:
        have = {"Range": f"bytes=0-{session.received - 1}"} if session.received else {}
        return Response(status_code=308, headers={**have, "X-GUploader-UploadID": session.id})

    def _finished(self, session: Session) -> Response:
        video = self._platform.videos.get(session.video_id or "")
        if video is None:
            raise shapes.refuse(404, "notFound", "Upload session not found.", "global")
        return self._platform.json(self._platform.resource(video, {"snippet", "status"}))

    async def _finish(self, session: Session, forced: str | None) -> None:
        """The last byte was taken: from here on the video exists, whatever becomes of the answer."""
        clock = self._platform.world.clock
        video = Video(
            id=self._platform.new_video_id(),
            account_id=session.account_id,
            created_at=clock.now(),
            snippet=session.video.get("snippet", {"title": "unknown"}),
            status=session.video.get("status", {"privacyStatus": "public"}),
            localizations=session.video.get("localizations", {}),
            recording_details=session.video.get("recordingDetails", {}),
            ready_at=clock.after(self._platform.settings.processing_seconds),
            session_id=session.id,
            notify_subscribers=session.video.get("notify", True),
        )
        if forced in _REJECTIONS:
            video.rejection = forced
        elif forced:
            video.failure = "conversion" if forced == "default" else forced
        self._platform.videos.put(video)
        session.video_id = video.id
        self._platform.sessions.put(session)
        await self.measure(video)

    async def measure(self, video: Video) -> None:
        spool = self._platform.world.vault.spool(f"youtube-{video.session_id}")
        if not spool.exists():
            return
        empty = spool.stat().st_size == 0
        video.facts = await self._platform.world.try_media("youtube", video.account_id, spool)
        video.failure = video.failure or ("emptyFile" if empty else _failure(video.facts))
        self._platform.videos.put(video)

    def resume(self) -> None:
        for video in self._platform.videos.all():
            if video.facts is None and video.failure is None:
                self._platform.world.soon(self.measure(video))


def content_range(ask: Ask) -> tuple[int | None, int | None, int | None]:
    """First byte, last byte, total; no first and no last is a question."""
    length = int(ask.headers.get("content-length") or 0)
    text = ask.headers.get("content-range")
    if text is None:
        return (0, length - 1, length) if length else (None, None, None)
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise shapes.refuse(400, "badRequest", "Failed to parse Content-Range header.", "global")
    total = None if match[4] == "*" else int(match[4])
    if match[1]:
        return None, None, total
    return int(match[2]), int(match[3]), total


def session_address(platform: "YouTube", ask: Ask, session_id: str) -> str:
    return f"{platform.url('api')}{_below_host(ask)}?uploadType=resumable&upload_id={session_id}"


def _related(ask: Ask, raw: bytes) -> tuple[bytes, bytes]:
    """The two parts of a multipart/related body: metadata, then the file."""
    head = b"Content-Type: " + ask.headers.get("content-type", "").encode() + b"\r\n\r\n"
    parts = message_from_bytes(head + raw).get_payload()
    if not isinstance(parts, list) or len(parts) != 2:
        raise shapes.refuse(400, "badContent", "Multipart must have exactly 2 parts.", "global")
    about, file = (part.get_payload(decode=True) for part in parts if isinstance(part, Message))
    return bytes(about or b"{}"), bytes(file or b"")


def _below_host(ask: Ask) -> str:
    path: str = ask.url.path
    return path[path.index("/", 1) :].rstrip("/")


def _failure(facts: Facts | None) -> str | None:
    if facts is None:
        return "invalidFile"
    if facts.video_codec in ("png", "mjpeg", "gif"):
        return "invalidFile"
    return "tooSmall" if facts.duration_seconds < 0.3 or facts.width < 16 or facts.height < 16 else None
