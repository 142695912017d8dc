"""How do a video's bytes get to X, and when is X done with them?

initialize -> append (segments) -> finalize -> wait for processing; each step can be taken up again from the handles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from autorepost_app.domain.errors import HandleDead, TryAgain
from autorepost_app.platform_kit.protocol import Delivery, KeepHandles, NotReady, Staged
from autorepost_app.platforms.x import quotas
from autorepost_app.platforms.x.calls import Calls
from autorepost_app.platforms.x.errors import body_of, processing_fault, wants_smaller_pieces
from autorepost_app.platforms.x.limits import SEGMENT_BYTES, SEGMENTS_MAX, SMALLEST_SEGMENT_BYTES

UPLOAD: Final = "/2/media/upload"
MEDIA_TYPES: Final = {"mp4": "video/mp4", "mov": "video/quicktime"}
KEEP_EVERY_SEGMENTS: Final = 16
MEDIA_LIFE: Final = timedelta(hours=24)
MEDIA_LIFE_LEFT: Final = timedelta(minutes=15)
PROCESSING_CAP: Final = timedelta(minutes=15)


@dataclass(slots=True)
class Upload:
    """One way through the upload, from wherever the kept handles say we were.

    Handles: media_id, media_key, total, media_expires_at; segments and sent_bytes (proven sent), segment_bytes;
    finalized_at, ready_at. Segments may be sent again, so the count is kept only now and then.
    """

    calls: Calls
    delivery: Delivery
    keep_handles: KeepHandles
    held: dict[str, str] = field(repr=False)

    def go_on(self) -> Staged | NotReady:
        """From where the handles say we are to where X makes us wait."""
        if "ready_at" in self.held:
            self._refuse_dying_media()
            return Staged()
        if "finalized_at" in self.held:
            return self._look_at_processing()
        if "media_id" not in self.held:
            self._initialize()
        self._refuse_dying_media()
        self._append()
        return self._finalize()

    def _initialize(self) -> None:
        media = self.delivery.media
        wanted = {
            "media_type": MEDIA_TYPES.get(media.facts.container, "video/mp4"),
            "total_bytes": media.size_bytes,
            "media_category": "tweet_video",
        }
        made = self._data(quotas.INITIALIZE, "POST", f"{UPLOAD}/initialize", needed=("id",), json=wanted)
        self._keep(
            media_id=str(made["id"]),
            media_key=str(made.get("media_key") or ""),
            total=str(media.size_bytes),
            media_expires_at=self._expiry(made),
            segments="0",
            sent_bytes="0",
        )

    def _refuse_dying_media(self) -> None:
        """A media id that ends before a post can be made, or was made for another file, is of no use."""
        left = datetime.fromisoformat(self.held["media_expires_at"]) - self.calls.clock()
        if left < MEDIA_LIFE_LEFT:
            raise _dead("The upload to X expired before it was posted; we are uploading it again.", "x.media-expired")
        if int(self.held["total"]) != self.delivery.media.size_bytes:
            raise _dead("The video was prepared anew; we are uploading it again.", "x.media-of-another-file")

    def _append(self) -> None:
        total = int(self.held["total"])
        while (sent := int(self.held["sent_bytes"])) < total:
            size = int(self.held.get("segment_bytes", SEGMENT_BYTES))
            self._append_some(sent, min(total, sent + KEEP_EVERY_SEGMENTS * size), size)
            self.delivery.report("Uploading to X", int(self.held["sent_bytes"]) / total)

    def _append_some(self, start: int, end: int, size: int) -> None:
        index = int(self.held["segments"])
        for offset in range(start, end, size):
            piece = b"".join(self.delivery.media.chunks(offset, min(size, end - offset)))
            if not self._append_one(index, piece):
                self._keep(segments=str(index), sent_bytes=str(offset), segment_bytes=str(size // 2))
                return
            index += 1
        self._keep(segments=str(index), sent_bytes=str(end))

    def _append_one(self, index: int, piece: bytes) -> bool:
        """False where X wants smaller pieces and smaller ones are possible; what was sent so far stays good."""
        response = self.calls.send(
            quotas.APPEND,
            "POST",
            f"{UPLOAD}/{self.held['media_id']}/append",
            self.delivery.grant,
            form={"segment_index": str(index)},
            files={"media": ("segment", piece, "application/octet-stream")},
        )
        if wants_smaller_pieces(response) and self._smaller_is_possible(index, len(piece) // 2):
            return False
        body_of(response, quotas.APPEND, self.calls.clock())
        return True

    def _smaller_is_possible(self, index: int, size: int) -> bool:
        left = int(self.held["total"]) - int(self.held["sent_bytes"])
        return size >= SMALLEST_SEGMENT_BYTES and index + left / size < SEGMENTS_MAX

    def _finalize(self) -> Staged | NotReady:
        media = self._data(quotas.FINALIZE, "POST", f"{UPLOAD}/{self.held['media_id']}/finalize")
        self._keep(
            media_key=str(media.get("media_key") or self.held["media_key"]),
            media_expires_at=self._expiry(media),
            finalized_at=self.calls.clock().isoformat(),
        )
        return self._read(media)

    def _look_at_processing(self) -> Staged | NotReady:
        question = {"command": "STATUS", "media_id": self.held["media_id"]}
        return self._read(self._data(quotas.STATUS, "GET", UPLOAD, params=question))

    def _read(self, media: dict[str, Any]) -> Staged | NotReady:
        """Ready where X says so or says nothing about processing; given up at our own cap."""
        fault = processing_fault(media)
        if fault:
            raise HandleDead(fault)
        processing = media.get("processing_info")
        if not processing or processing.get("state") == "succeeded":
            self._keep(ready_at=self.calls.clock().isoformat())
            return Staged()
        if self.calls.clock() - datetime.fromisoformat(self.held["finalized_at"]) > PROCESSING_CAP:
            raise _dead("X did not finish processing the video; we are uploading it again.", "x.processing-hangs")
        self.delivery.report("X is processing the video", float(processing.get("progress_percent") or 0) / 100)
        return NotReady("X is processing the video", max(1.0, float(processing.get("check_after_secs") or 5)))

    def _data(self, name: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        return self.calls.data(name, method, path, self.delivery.grant, **more)

    def _expiry(self, media: dict[str, Any]) -> str:
        seconds = media.get("expires_after_secs")
        return (self.calls.clock() + (timedelta(seconds=float(seconds)) if seconds else MEDIA_LIFE)).isoformat()

    def _keep(self, **handles: str) -> None:
        self.keep_handles(handles)
        self.held.update(handles)


def _dead(text: str, code: str) -> HandleDead:
    return HandleDead(TryAgain(text, "the staged media id is of no more use", code))
