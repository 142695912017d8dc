"""How does a video become a post on X, and how do we learn afterwards whether it did?

stage: initialize -> append (segments) -> finalize -> wait for processing. commit: one POST /2/tweets. The natural key
is our freshly uploaded video itself: a post whose attachments hold our media key is our publication (exactly-once
4.3). Its presence can be proven by a read, its absence never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import HandleDead, TryAgain
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.options import Option, OptionKind
from autorepost_app.platform_kit.protocol import (
    Absent,
    Delivery,
    Done,
    Finding,
    Handles,
    KeepHandles,
    Live,
    NotDone,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
    Undecided,
    Unknown,
)
from autorepost_app.platforms.x.entities import links_in
from autorepost_app.platforms.x.errors import body_of, data_of, post_id_of, processing_fault, wants_smaller_pieces
from autorepost_app.platforms.x.likeness import are_ours
from autorepost_app.platforms.x.limits import SEGMENT_BYTES, SEGMENTS_MAX, SMALLEST_SEGMENT_BYTES

MEDIA_TYPES: Final = {"mp4": "video/mp4", "mov": "video/quicktime"}
KEEP_EVERY_SEGMENTS: Final = 16
MEDIA_LIFE: Final = timedelta(hours=24)
MEDIA_LIFE_LEFT: Final = timedelta(minutes=15)
PROCESSING_CAP: Final = timedelta(minutes=15)
LOOK_BACK: Final = timedelta(minutes=1)
NEWEST_POSTS: Final = 100
LIST_END: Final = 3200
"""So many of an account's posts X lists, and 800 when replies are left out: what is older cannot be read."""

OPTIONS: Final = (
    Option("made_with_ai", "Made with AI", False, description="X shows that the video was made with AI."),
    Option("paid_partnership", "Paid partnership", False, description="X shows that this is a paid partnership."),
    Option(
        "reply_settings",
        "Who can reply",
        "",
        kind=OptionKind.CHOICE,
        choices=(
            ("", "Everyone"),
            ("following", "Accounts this account follows"),
            ("mentionedUsers", "Accounts mentioned in the post"),
            ("subscribers", "Subscribers"),
            ("verified", "Verified accounts"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class XDestination:
    api: Api
    www_url: str
    clock: Clock

    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady:
        upload = _Upload(self.api, self.clock, delivery, keep, dict(handles))
        if "ready_at" in handles:
            upload.refuse_dying_media()
            return Staged()
        if "finalized_at" in handles:
            return upload.look_at_processing()
        if "media_id" not in handles:
            upload.initialize()
        upload.refuse_dying_media()
        upload.append()
        return upload.finalize()

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        """No read is made before this to learn the newest own post (`since_id` of exactly-once 4.3): each post it
        returned would cost $0.005 on every publication, to make the rare reconciling read cheaper. The time of the
        intent, which the ledger holds anyway, bounds that read just as well (x.md 6)."""
        request = self.api.client.build_request(
            "POST", self.api.url("/2/tweets"), json=_post(delivery, handles), headers=_bearer(delivery)
        )
        answer = self.api.commit(request, window)
        if isinstance(answer, NotDone | Unknown):
            return answer
        outcome = post_id_of(answer, self.clock())
        return Done(outcome, self._address(delivery, outcome)) if isinstance(outcome, str) else outcome

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        """X cannot be asked about an upload's fate, so the question to the handle is the look through the list."""
        return self.find(delivery, handles)

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        ours = _media_numbers(handles.get("media_id"), handles.get("media_key"))
        if delivery.first_sent_at is None or not ours:
            return Undecided("nothing has been sent to X yet")
        for post in self._posts_since(delivery, delivery.first_sent_at - LOOK_BACK, {"exclude": "replies,retweets"}):
            if ours & _media_numbers(*_attached(post)):
                return self._live("a post of this account carries our video", delivery, post)
        return Undecided("no post since the send carries our video; X may still show it later")

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        """By our words, since the number of our video is forgotten with the handles. X resolves its short links only
        for who asks for `entities`. Nothing is left out of the list: what is left out counts towards its end."""
        body = delivery.text.body
        fields = {"post.fields": "entities"} if links_in(body) else {}
        posts = list(self._posts_since(delivery, since, fields))
        alike = [(post, mine) for post in posts if _attached(post) and (mine := are_ours(body, post)) is not False]
        if len(alike) == 1 and body and alike[0][1]:
            return self._live("one post of this account holds our video's words", delivery, alike[0][0])
        if alike:
            return Undecided(f"{len(alike)} posts with a video may be this one; their words do not settle which")
        if len(posts) >= LIST_END:
            return Undecided("the account has posted more than X lists")
        return Absent("X lists no post with these words and a video", handle_usable=False)

    def _posts_since(self, delivery: Delivery, start: datetime, more: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Newest first, page after page while the reader wants more. X bills each post it returns, so `start_time`
        makes a miss free and a hit half a cent. Fields that nobody needs are not named: their parameter was renamed in
        2.167, and the expansion alone brings the attachments along."""
        params = {
            "start_time": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_results": str(NEWEST_POSTS),
            "expansions": "attachments.media_keys",
            **more,
        }
        while True:
            response = self.api.call(
                "GET",
                f"/2/users/{delivery.grant.account.external_id}/tweets",
                params=params,
                headers=_bearer(delivery),
            )
            page = body_of(response, "timeline", self.clock())
            yield from page.get("data") or ()
            if not (token := (page.get("meta") or {}).get("next_token")):
                return
            params = {**params, "pagination_token": str(token)}

    def _live(self, proof: str, delivery: Delivery, post: Mapping[str, Any]) -> Live:
        return Live(proof, str(post["id"]), self._address(delivery, str(post["id"])))

    def _address(self, delivery: Delivery, post_id: str) -> str:
        return f"{self.www_url}/{delivery.grant.account.handle}/status/{post_id}"


@dataclass(slots=True)
class _Upload:
    """One way through the upload, from wherever the kept handles say we were.

    Handles: media_id, media_key, total, media_expires_at; segments and sent_bytes (proven sent), segment_bytes;
    finalized_at, ready_at. Segments may be sent again, so the count is kept only now and then.
    """

    api: Api
    clock: Clock
    delivery: Delivery
    keep_handles: KeepHandles
    held: dict[str, str] = field(repr=False)

    def initialize(self) -> None:
        media = self.delivery.media
        wanted = {
            "media_type": MEDIA_TYPES.get(media.facts.container, "video/mp4"),
            "total_bytes": media.size_bytes,
            "media_category": "tweet_video",
        }
        response = self.api.call("POST", "/2/media/upload/initialize", json=wanted, headers=_bearer(self.delivery))
        made = data_of(response, "initialize", self.clock(), "id")
        self._keep(
            media_id=str(made["id"]),
            media_key=str(made.get("media_key") or ""),
            total=str(media.size_bytes),
            media_expires_at=self._expiry(made),
            segments="0",
            sent_bytes="0",
        )

    def refuse_dying_media(self) -> None:
        """A media id that ends before a post can be made, or was made for another file, is of no use."""
        left = datetime.fromisoformat(self.held["media_expires_at"]) - self.clock()
        if left < MEDIA_LIFE_LEFT:
            raise _dead("The upload to X expired before it was posted; we are uploading it again.", "x.media-expired")
        if int(self.held["total"]) != self.delivery.media.size_bytes:
            raise _dead("The video was prepared anew; we are uploading it again.", "x.media-of-another-file")

    def append(self) -> None:
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
        response = self.api.call(
            "POST",
            f"/2/media/upload/{self.held['media_id']}/append",
            form={"segment_index": str(index)},
            files={"media": ("segment", piece, "application/octet-stream")},
            headers=_bearer(self.delivery),
        )
        if wants_smaller_pieces(response) and self._smaller_is_possible(index, len(piece) // 2):
            return False
        body_of(response, "append", self.clock())
        return True

    def _smaller_is_possible(self, index: int, size: int) -> bool:
        left = int(self.held["total"]) - int(self.held["sent_bytes"])
        return size >= SMALLEST_SEGMENT_BYTES and index + left / size < SEGMENTS_MAX

    def finalize(self) -> Staged | NotReady:
        path = f"/2/media/upload/{self.held['media_id']}/finalize"
        response = self.api.call("POST", path, headers=_bearer(self.delivery))
        media = data_of(response, "finalize", self.clock())
        self._keep(
            media_key=str(media.get("media_key") or self.held["media_key"]),
            media_expires_at=self._expiry(media),
            finalized_at=self.clock().isoformat(),
        )
        return self._read(media)

    def look_at_processing(self) -> Staged | NotReady:
        response = self.api.call(
            "GET",
            "/2/media/upload",
            params={"command": "STATUS", "media_id": self.held["media_id"]},
            headers=_bearer(self.delivery),
        )
        return self._read(data_of(response, "status", self.clock()))

    def _read(self, media: dict[str, Any]) -> Staged | NotReady:
        """Ready where X says so or says nothing about processing; given up at our own cap."""
        fault = processing_fault(media)
        if fault:
            raise HandleDead(fault)
        processing = media.get("processing_info")
        if not processing or processing.get("state") == "succeeded":
            self._keep(ready_at=self.clock().isoformat())
            return Staged()
        if self.clock() - datetime.fromisoformat(self.held["finalized_at"]) > PROCESSING_CAP:
            raise _dead("X did not finish processing the video; we are uploading it again.", "x.processing-hangs")
        self.delivery.report("X is processing the video", float(processing.get("progress_percent") or 0) / 100)
        return NotReady("X is processing the video", max(1.0, float(processing.get("check_after_secs") or 5)))

    def _expiry(self, media: dict[str, Any]) -> str:
        seconds = media.get("expires_after_secs")
        return (self.clock() + (timedelta(seconds=float(seconds)) if seconds else MEDIA_LIFE)).isoformat()

    def _keep(self, **handles: str) -> None:
        self.keep_handles(handles)
        self.held.update(handles)


def _post(delivery: Delivery, handles: Handles) -> dict[str, Any]:
    """The body of the post; options that say nothing are left out."""
    chosen = {option.name: delivery.options.get(option.name) for option in OPTIONS}
    return {
        "text": delivery.text.body,
        "media": {"media_ids": [handles["media_id"]]},
        **{name: value for name, value in chosen.items() if value},
    }


def _attached(post: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple((post.get("attachments") or {}).get("media_keys") or ())


def _media_numbers(*names: str | None) -> set[str]:
    """Media ids out of ids and keys. A key is `<kind>_<media id>`; the kind a post shows (7 or 13 for video) is not
    documented to be the one the upload gave, while the id is unique across kinds."""
    return {name.rpartition("_")[2] for name in names if name}


def _bearer(delivery: Delivery) -> dict[str, str]:
    return {"Authorization": f"Bearer {delivery.grant.access_token}"}


def _dead(text: str, code: str) -> HandleDead:
    return HandleDead(TryAgain(text, "the staged media id is of no more use", code))
