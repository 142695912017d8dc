"""Media upload v2: initialize, append, finalize, status, and what X thinks of the video."""

import base64
import binascii
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from autorepost_app.sandbox.footage import BLOCK, Facts
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.records import Record
from autorepost_app.sandbox.x import shapes
from autorepost_app.sandbox.x.forms import parts_of

if TYPE_CHECKING:
    from autorepost_app.sandbox.x import X

SEGMENT_BYTES = 1024 * 1024
MEDIA_SECONDS = 86400
VIDEO_TYPES = {"video/mp4", "video/webm", "video/mp2t", "video/quicktime"}
CATEGORIES = {"amplify_video", "tweet_video", "tweet_gif", "tweet_image", "subtitles"}
_MAX_BYTES = 536870912


class Initialize(BaseModel):
    model_config = ConfigDict(extra="forbid")

    media_type: str
    total_bytes: int = Field(ge=0, le=17179869184)
    media_category: str = "tweet_video"
    additional_owners: list[str] = Field(default_factory=list)
    shared: bool = False


class AltText(BaseModel):
    text: str = Field(max_length=1000)


class Described(BaseModel):
    alt_text: AltText


class Metadata(BaseModel):
    id: str
    metadata: Described


class Media(Record):
    """One upload. `segments` maps the index to its size; the bytes lie beside the state file."""

    key: str
    media_type: str
    category: str
    total_bytes: int
    expires_at: datetime
    segments: dict[int, int] = Field(default_factory=dict)
    finalized_at: datetime | None = None
    ready_at: datetime | None = None
    facts: Facts | None = None
    failure: dict[str, Any] | None = None
    hangs: bool = False
    alt_text: str | None = None


class Uploads:
    def __init__(self, platform: "X") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        base = "/2/media/upload"
        return [
            Call("api", "POST", base + "/initialize", "upload.initialize", self.initialize),
            Call("api", "POST", base + "/{id}/append", "upload.append", self.append),
            Call("api", "POST", base + "/{id}/finalize", "upload.finalize", self.finalize),
            Call("api", "GET", base, "upload.status", self.status),
            Call("api", "POST", "/2/media/metadata", "media.metadata", self.metadata),
        ]

    def _begin(self, ask: Ask, call: str) -> tuple[Account, dict[str, str]]:
        account = self._platform.login.signed_in(ask, "media.write")
        return account, self._platform.meter.count(call, account)

    def _own(self, account: Account, media_id: str) -> Media:
        media = self._platform.media.get(media_id)
        if media is None or media.account_id != account.id or media.expires_at <= self._platform.world.clock.now():
            raise shapes.invalid("Your media IDs are invalid.", media_id=media_id)
        return media

    def _segment(self, media: Media, index: int) -> Path:
        return self._platform.world.vault.spool(f"x-{media.id}-{index}")

    async def initialize(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "upload.initialize")
        try:
            wanted = Initialize.model_validate_json(await ask.body())
        except ValidationError as mistake:
            error = mistake.errors()[0]
            raise shapes.invalid(str(error["msg"]), **{".".join(map(str, error["loc"])) or "body": ""}) from None
        if wanted.media_type not in VIDEO_TYPES or wanted.media_category not in CATEGORIES:
            raise shapes.invalid("media_type or media_category is not supported", media_type=wanted.media_type)
        if wanted.total_bytes > _MAX_BYTES and not account.options["premium"]:
            raise shapes.invalid("The total_bytes exceed what this account may upload", total_bytes=wanted.total_bytes)
        number = self._platform.new_id()
        media = Media(
            id=number,
            account_id=account.id,
            key=f"13_{number}",
            media_type=wanted.media_type,
            category=wanted.media_category,
            total_bytes=wanted.total_bytes,
            expires_at=self._platform.world.clock.after(MEDIA_SECONDS),
        )
        self._platform.media.put(media)
        return self._answer(media, headers)

    async def append(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "upload.append")
        media = self._own(account, ask.path_params["id"])
        if media.finalized_at is not None:
            raise shapes.invalid("The media is finalized already", media_id=media.id)
        index, content = await self._segment_in(ask)
        if content is None:
            return Response(status_code=413)
        self._segment(media, index).write_bytes(content)
        media.segments[index] = len(content)
        self._platform.media.put(media)
        return self._platform.json({"data": {"expires_at": int(media.expires_at.timestamp())}}, headers=headers)

    async def _segment_in(self, ask: Ask) -> tuple[int, bytes | None]:
        """Index and bytes, from a multipart form or base64 in JSON; no bytes when they are too many."""
        if int(ask.headers.get("content-length") or 0) > 2 * SEGMENT_BYTES:
            return 0, None
        if ask.headers.get("content-type", "").startswith("multipart/"):
            index, content = await self._from_form(ask)
        else:
            index, content = await self._from_json(ask)
        if not index.isdigit() or int(index) > 999:
            raise shapes.invalid("segment_index must be between 0 and 999", segment_index=index)
        return int(index), content if len(content) <= SEGMENT_BYTES else None

    @staticmethod
    async def _from_form(ask: Ask) -> tuple[str, bytes]:
        try:
            parts = parts_of(ask.headers["content-type"], await ask.body())
        except ValueError as mistake:
            raise shapes.invalid(str(mistake), body="") from None
        if not set(parts) <= {"media", "segment_index"}:
            raise shapes.invalid("Unknown field in the form", **dict.fromkeys(parts, ""))
        if "media" not in parts:
            raise shapes.invalid("media is missing", media="")
        return parts.get("segment_index", b"").decode("latin-1"), parts["media"]

    @staticmethod
    async def _from_json(ask: Ask) -> tuple[str, bytes]:
        try:
            body = await ask.json()
            content = base64.b64decode(body["media"], validate=True)
            extra = set(body) - {"media", "segment_index"}
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise shapes.invalid("media must be base64", media="") from None
        if extra:
            raise shapes.invalid("Unknown field in the body", **dict.fromkeys(extra, ""))
        return str(body.get("segment_index", "")), content

    async def finalize(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "upload.finalize")
        media = self._own(account, ask.path_params["id"])
        if media.finalized_at is not None:
            return self._answer(media, headers)
        complete = sorted(media.segments) == list(range(len(media.segments)))
        if not complete or sum(media.segments.values()) != media.total_bytes:
            raise shapes.invalid("Segments do not add up to provided total file size.", media_id=media.id)
        await self._process(media, account, ask.failure_reason)
        return self._answer(media, headers)

    async def _process(self, media: Media, account: Account, forced: str | None) -> None:
        clock = self._platform.world.clock
        media.finalized_at = clock.now()
        media.ready_at = clock.after(self._platform.settings.processing_seconds)
        media.expires_at = clock.after(MEDIA_SECONDS)
        self._platform.media.put(media)
        media.facts = await self._platform.world.try_media("x", account.id, self._join(media))
        media.failure = self._verdict(media.facts, account, forced)
        media.hangs = forced == "hang"
        self._platform.media.put(media)

    def _join(self, media: Media) -> Path:
        whole = self._platform.world.vault.spool()
        with whole.open("wb") as out:
            for index in range(len(media.segments)):
                part = self._segment(media, index)
                with part.open("rb") as file:
                    while block := file.read(BLOCK):
                        out.write(block)
                part.unlink()
        return whole

    def _verdict(self, facts: Facts | None, account: Account, forced: str | None) -> dict[str, Any] | None:
        if forced and forced != "hang":
            message = "file is invalid" if forced == "default" else forced
            return {"code": 1, "name": "InvalidMedia", "message": message}
        if facts is None:
            return {"code": 1, "name": "InvalidMedia", "message": "file is invalid"}
        if not facts.is_mp4() or facts.video_codec != "h264" or facts.audio_codec not in (None, "aac"):
            return {"code": 1, "name": "InvalidMedia", "message": "Unsupported video format"}
        limits = self._beyond(facts, premium=bool(account.options["premium"]))
        return {"code": 3, "name": "UnsupportedMedia", "message": limits} if limits else None

    def _beyond(self, facts: Facts, *, premium: bool) -> str | None:
        seconds, (wide, high) = facts.duration_seconds, self._largest()
        longest, shortest = max(facts.width, facts.height), min(facts.width, facts.height)
        if seconds > 140 and not premium:
            return f"Duration {_spelled(seconds)} exceeds max duration of 2.minutes+20.seconds"
        broken = {
            f"Duration {_spelled(seconds)} is below min duration of 500.milliseconds": seconds < 0.5,
            f"Frame rate {facts.fps} exceeds max frame rate of 60": facts.fps > 60.5,
            f"Resolution {facts.width}x{facts.height} is not supported": longest > wide
            or shortest > high
            or shortest < 32,
            f"Aspect ratio of {facts.width}x{facts.height} is not supported": not 1 / 3 <= facts.aspect <= 3,
            f"Pixel format {facts.pixel_format} is not supported": facts.pixel_format not in ("yuv420p", "yuvj420p"),
        }
        return next((text for text, is_so in broken.items() if is_so), None)

    def _largest(self) -> tuple[int, int]:
        # 1280x1024 on paper; 1920x1080 is taken in practice.
        return (1280, 1024) if self._platform.settings.strict_size else (1920, 1200)

    async def status(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "upload.status")
        if ask.query_params.get("command", "STATUS") != "STATUS":
            raise shapes.invalid("command must be STATUS", command=ask.query_params["command"])
        media = self._own(account, ask.query_params.get("media_id", ""))
        return self._answer(media, headers, ask.lag_seconds)

    def _answer(self, media: Media, headers: dict[str, str], lag_seconds: float = 0.0) -> Response:
        left = int((media.expires_at - self._platform.world.clock.now()).total_seconds())
        body: dict[str, Any] = {"id": media.id, "media_key": media.key, "expires_after_secs": max(left, 0)}
        if media.finalized_at is not None:
            body["size"] = media.total_bytes
            body["processing_info"] = self.processing(media, lag_seconds)
        return self._platform.json({"data": body}, headers=headers)

    def processing(self, media: Media, lag_seconds: float = 0.0) -> dict[str, Any]:
        now = self._platform.world.clock.after(-lag_seconds)
        if media.finalized_at is None or media.ready_at is None or now < media.finalized_at:
            return {"state": "pending", "check_after_secs": 1}
        left = (media.ready_at - now).total_seconds()
        if media.hangs and left <= 0:
            stuck = {"code": 1, "name": "InternalError", "message": "processing stalled"}
            return {"state": "in_progress", "check_after_secs": 1, "progress_percent": 99, "error": stuck}
        if left > 0:
            whole = (media.ready_at - media.finalized_at).total_seconds()
            share = int(100 * (1 - left / whole))
            state = "pending" if share < 10 else "in_progress"
            return {"state": state, "check_after_secs": 1, "progress_percent": min(share, 99)}
        if media.failure:
            return {"state": "failed", "progress_percent": 100, "error": media.failure}
        return {"state": "succeeded", "progress_percent": 100}

    def usable(self, account: Account, media_id: str) -> Media:
        """Media that a post may carry now: the author's own, in time, processed."""
        media = self._own(account, media_id)
        if self.processing(media)["state"] != "succeeded" or media.facts is None:
            raise shapes.invalid("Your media IDs are invalid.", **{"media.media_ids": [media_id]})
        return media

    async def metadata(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "media.metadata")
        try:
            wanted = Metadata.model_validate_json(await ask.body())
        except ValidationError as mistake:
            raise shapes.invalid(str(mistake.errors()[0]["msg"]), body="") from None
        media = self._own(account, wanted.id)
        media.alt_text = wanted.metadata.alt_text.text
        self._platform.media.put(media)
        self._platform.meter.charge("media_metadata")
        told = {"id": media.id, "associated_metadata": wanted.metadata.model_dump()}
        return self._platform.json({"data": told}, headers=headers)


def _spelled(seconds: float) -> str:
    """X's own way of writing a duration: 2.minutes+29.seconds+350.milliseconds."""
    millis = round(seconds * 1000)
    parts = ((millis // 60000, "minutes"), (millis // 1000 % 60, "seconds"), (millis % 1000, "milliseconds"))
    return "+".join(f"{count}.{unit}" for count, unit in parts if count) or "0.seconds"
