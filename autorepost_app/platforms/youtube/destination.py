"""How does a video get onto a YouTube channel exactly once?

The upload session is the key. It can become one video and no second one, and it can be asked at any time. All bytes
but the last part (at most 256 KiB) go up in `stage`: until the last byte is there, no video exists. The last part is
the commit. Should the session be forgotten meanwhile, the marker among the video's tags tells whether it was ours.
(Tags are not on any page people see, but the API shows them to whoever asks: the marker must say nothing by itself.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import HandleDead, PlatformFault, Rejected, TryAgain
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import (
    Absent,
    Delivery,
    Done,
    Finding,
    Grant,
    Handles,
    KeepHandles,
    Live,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
    Undecided,
)
from autorepost_app.platforms.youtube.errors import (
    Finished,
    Gone,
    Unfinished,
    UnreadAnswer,
    UploadState,
    commit_outcome,
    upload_state,
)
from autorepost_app.platforms.youtube.finishing import Finishing
from autorepost_app.platforms.youtube.limits import PART_MULTIPLE_BYTES, PORTION_BYTES, with_marker
from autorepost_app.platforms.youtube.options import chosen, language_fields, moment, names, status_part, yes
from autorepost_app.platforms.youtube.reading import DataApi, bearer
from autorepost_app.platforms.youtube.uploads import Uploads

SESSION: Final = "session_uri"
"""A handle that is a secret: whoever has it may upload into the channel."""

_SESSION_HOSTS: Final = frozenset({"www.googleapis.com", "youtube.googleapis.com"})
_UPLOAD_PATH: Final = "/upload/youtube/v3/videos"
_PORTION_TIMEOUT_SECONDS: Final = 60.0
_SETTLED: Final = timedelta(hours=2)
_ASSEMBLING: Final = NotReady("YouTube is putting the video together", 5.0)
_MEDIA_TYPES: Final = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}


@dataclass(frozen=True, slots=True)
class YouTubeDestination:
    """`portion_seconds`: after this long `stage` hands back, so that a big file never holds a lease for minutes."""

    api: Api
    www_url: str
    clock: Clock
    portion_bytes: int = PORTION_BYTES
    portion_seconds: float = 2.0

    @property
    def data(self) -> DataApi:
        return DataApi(self.api, self.clock)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.data, self.www_url)

    # ---- the four steps

    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady | Live:
        if SESSION not in handles:
            session = self._start(delivery)
            keep(_new_handles(session, delivery))
            return self._send_portions(delivery, session, 0, keep)
        if handles["sha256"] != delivery.media.sha256:
            raise ValueError("the kept session was started for another file")
        state = self._ask(delivery.grant, handles)
        if isinstance(state, Unfinished):
            return self._send_portions(delivery, self._session(handles), state.received, keep)
        if isinstance(state, Gone):
            return self._stage_after_loss(delivery, handles, state)
        return self._live_session(state) if state.video_id else _ASSEMBLING

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        # At most 256 KiB, and read before the window is checked: nothing of ours can stall between the first byte
        # and the last.
        body = _last_part(delivery, handles)
        total = delivery.media.size_bytes
        request = self.api.client.build_request(
            "PUT",
            self._session(handles),
            headers=_part_headers(delivery.grant, total - len(body), len(body), total),
            content=body,
        )
        answer = self.api.commit(request, window)
        if not isinstance(answer, httpx.Response):
            return answer
        outcome = commit_outcome(answer, total, self.clock())
        if isinstance(outcome, Finished):
            video_id = str(outcome.video_id)
            return Done(video_id, self.uploads.url(video_id), outcome.detail)
        return outcome

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        if SESSION not in handles:
            return self.find(delivery, handles)
        state = self._ask(delivery.grant, handles)
        if isinstance(state, Finished) and state.video_id:
            return self._live_session(state)
        if not isinstance(state, Unfinished):
            return self.find(delivery, handles)
        total = int(handles["total"])
        if state.received >= total:
            return Undecided("the upload session holds every byte and is not finished yet")
        return Absent(f"the upload session waits: {state.received} of {total} bytes received", handle_usable=True)

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        return self.uploads.find(delivery)

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        return self.uploads.search(delivery, since)

    def finish(self, delivery: Delivery, handles: Handles, external_id: str) -> tuple[str, ...]:
        """What follows a publication: playlist, cover, and what YouTube makes of the video. Notes for its creator.

        May be repeated. Raises PlatformFault where going on later may help: the publication stays published.
        """
        return Finishing(self.data).finish(delivery, external_id)

    # ---- the upload session

    def _start(self, delivery: Delivery) -> str:
        media, resource = delivery.media, video_resource(delivery)
        if (at := moment(delivery.options, "publish_at")) and at <= self.clock():
            raise PlatformFault(_too_late_to_schedule(at))
        response = self.api.call(
            "POST",
            _UPLOAD_PATH,
            params={
                "uploadType": "resumable",
                "part": "snippet,status",
                "notifySubscribers": "true" if yes(delivery.options, "notify_subscribers") else "false",
            },
            headers={
                **bearer(delivery.grant),
                "X-Upload-Content-Length": str(media.size_bytes),
                "X-Upload-Content-Type": _MEDIA_TYPES.get(media.facts.container, "video/*"),
            },
            json=resource,
            # Every later request of the session belongs to this one call.
            counts="videos.insert",
            account=delivery.grant.account.external_id,
        )
        if response.status_code != 200:
            raise self.data.refused(response, "videos.insert", delivery.grant)
        return self._trusted(response.headers.get("Location", ""))

    def _send_portions(self, delivery: Delivery, session: str, received: int, keep: KeepHandles) -> Staged | NotReady:
        total = delivery.media.size_bytes
        last_part_at = last_part_start(total)
        started = time.monotonic()
        while received < last_part_at:
            received = self._send_portion(delivery, session, received, min(self.portion_bytes, last_part_at - received))
            delivery.report("upload", received / total)
            if received < last_part_at and time.monotonic() - started >= self.portion_seconds:
                return NotReady(f"Sending the video to YouTube: {received * 100 // total} %", 0.0)
        if received >= total:
            return _ASSEMBLING
        keep({"offset": str(received), "staged_at": self.clock().isoformat()})
        return Staged()

    def _send_portion(self, delivery: Delivery, session: str, start: int, length: int) -> int:
        """Sends one portion and returns how many bytes YouTube holds afterwards."""
        media = delivery.media
        response = self.api.call(
            "PUT",
            session,
            headers=_part_headers(delivery.grant, start, length, media.size_bytes),
            content=media.chunks(start, length, PART_MULTIPLE_BYTES),
            timeout_seconds=_PORTION_TIMEOUT_SECONDS,
        )
        state = upload_state(response, self.clock())
        if isinstance(state, Gone):
            raise PlatformFault(TryAgain("YouTube lost the upload.", state.detail, "youtube.session_gone"))
        if isinstance(state, Finished):
            raise UnreadAnswer(f"the session finished {media.size_bytes - start - length} bytes before the end")
        if state.received <= start:
            detail = f"{state.received} bytes held after a portion from {start}"
            raise PlatformFault(TryAgain("YouTube is not taking the video at the moment.", detail, "youtube.stuck"))
        return state.received

    def _ask(self, grant: Grant, handles: Handles) -> UploadState:
        response = self.api.call(
            "PUT",
            self._session(handles),
            headers={**bearer(grant), "Content-Length": "0", "Content-Range": f"bytes */{handles['total']}"},
        )
        return upload_state(response, self.clock())

    def _stage_after_loss(self, delivery: Delivery, handles: Handles, gone: Gone) -> NotReady | Live:
        """The session is forgotten. A new one is safe where no last part was ever sent on the old one.

        Where one was, our caller has proof that nothing came of it, or it would not stage. The marker has to agree, and
        late enough that neither a request on its way nor a lagging list can hide the video.
        """
        if delivery.first_sent_at is not None and "staged_at" in handles:
            finding = self.find(delivery, handles)
            if isinstance(finding, Live):
                return finding
            settled_at = datetime.fromisoformat(handles["staged_at"]) + _SETTLED
            if settled_at > self.clock():
                wait = (settled_at - self.clock()).total_seconds()
                return NotReady("Making sure that YouTube has nothing of the video yet", wait)
        text = "The upload to YouTube starts again."
        raise HandleDead(TryAgain(text, gone.detail, "youtube.session_gone", after_seconds=0.0))

    def _session(self, handles: Handles) -> str:
        return self._trusted(handles[SESSION])

    def _trusted(self, address: str) -> str:
        """The address, if it is on the host we were told to use: the token of the channel goes there."""
        ours, theirs = urlsplit(self.api.base_url), urlsplit(address)
        same = (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)
        google = theirs.scheme == "https" and {ours.netloc, theirs.netloc} <= _SESSION_HOSTS
        if not (same or google):
            raise UnreadAnswer(
                f"an upload session on {theirs.scheme}://{theirs.hostname}, a host that is not YouTube's"
            )
        return address

    def _live_session(self, state: Finished) -> Live:
        return Live("the upload session became this video", state.video_id, self.uploads.url(str(state.video_id)))


def last_part_start(total: int) -> int:
    """Where the last part begins: it is as small as the protocol allows, and never empty."""
    return (total - 1) // PART_MULTIPLE_BYTES * PART_MULTIPLE_BYTES


def video_resource(delivery: Delivery) -> dict[str, Any]:
    """What the session is started with."""
    text, options = delivery.text, delivery.options
    return {
        "snippet": {
            "title": text.title,
            "description": text.body,
            "tags": with_marker([*names(options, "tags"), *text.tags], delivery.marker),
            "categoryId": chosen(options, "category"),
            **language_fields(options),
        },
        "status": status_part(options),
    }


def _too_late_to_schedule(at: datetime) -> Rejected:
    # Left to YouTube it would be open to everyone at once, which is not for us to decide on a video that is private.
    return Rejected(
        "The time to show the video had passed before it could be sent.",
        f"publish_at {at.isoformat()}",
        "youtube.publish_at_passed",
        remedy="Choose a later time, or none and another answer to who can watch.",
    )


def _new_handles(session: str, delivery: Delivery) -> Handles:
    return {SESSION: session, "total": str(delivery.media.size_bytes), "sha256": delivery.media.sha256}


def _last_part(delivery: Delivery, handles: Handles) -> bytes:
    offset, total = int(handles["offset"]), delivery.media.size_bytes
    body = b"".join(delivery.media.chunks(offset, total - offset))
    if len(body) != total - offset:
        raise ValueError(f"the file ends {total - offset - len(body)} bytes early")
    return body


def _part_headers(grant: Grant, start: int, length: int, total: int) -> dict[str, str]:
    span = f"bytes {start}-{start + length - 1}/{total}"
    return {**bearer(grant), "Content-Length": str(length), "Content-Range": span, "Content-Type": "video/*"}
