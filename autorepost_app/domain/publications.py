"""What may happen to a publication, and when is it allowed to send?

A publication is the promise to put one post on one destination, at most once. `MOVES` is the whole table: nothing
changes a publication's state except along one of its rows. Persistence turns a move into one compare-and-set; docs draw
the table from here; the model checker walks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from autorepost_app.domain.posts import PostIdentity


class State(StrEnum):
    DETECTED = "detected"
    PREPARING = "preparing"
    READY = "ready"
    STAGING = "staging"
    COMMITTING = "committing"
    UNKNOWN = "unknown"
    RECONCILING = "reconciling"
    NEEDS_REVIEW = "needs_review"
    PUBLISHED = "published"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    DROPPED = "dropped"


class By(StrEnum):
    """Who may make a move."""

    WORKER = "worker"
    SWEEPER = "sweeper"
    RECONCILER = "reconciler"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table. `proof` names what must be recorded as evidence with the move; empty: nothing.

    `fenced` moves are made only by the holder of the lease, with its epoch.
    """

    name: str
    source: State
    target: State
    by: By
    why: str
    fenced: bool = False
    proof: str = ""


_S = State
MOVES: Final[tuple[Move, ...]] = (
    # before anything is sent
    Move("prepare", _S.DETECTED, _S.PREPARING, By.WORKER, "its original is being fetched"),
    Move("freeze", _S.PREPARING, _S.READY, By.WORKER, "media, text and options are frozen"),
    Move("skip", _S.DETECTED, _S.SKIPPED, By.WORKER, "the rule says no"),
    Move("skip_unfit", _S.PREPARING, _S.SKIPPED, By.WORKER, "the rule says no, now that the file is known"),
    Move("refuse", _S.PREPARING, _S.FAILED, By.WORKER, "the media cannot be made to fit", proof="not_sent"),
    Move("cancel_detected", _S.DETECTED, _S.CANCELLED, By.PERSON, "a person said no"),
    Move("cancel_preparing", _S.PREPARING, _S.CANCELLED, By.PERSON, "a person said no"),
    Move("cancel_ready", _S.READY, _S.CANCELLED, By.PERSON, "a person said no"),
    Move("cancel_staging", _S.STAGING, _S.CANCELLED, By.PERSON, "a person said no before the send"),
    # staging: what the public cannot see
    Move("claim", _S.READY, _S.STAGING, By.WORKER, "one worker holds the lease"),
    Move("resume", _S.STAGING, _S.STAGING, By.WORKER, "the lease had run out; the kept handles are used again"),
    Move("hold", _S.STAGING, _S.STAGING, By.WORKER, "the platform is still working on it", fenced=True),
    Move("postpone", _S.STAGING, _S.READY, By.WORKER, "a limit, a passing fault or a dead handle", fenced=True),
    Move("reject", _S.STAGING, _S.FAILED, By.WORKER, "the platform will never take it", fenced=True, proof="not_sent"),
    # the send
    Move(
        "staged_but_live", _S.STAGING, _S.PUBLISHED, By.WORKER, "the handle says it is live", fenced=True, proof="live"
    ),
    Move("intend", _S.STAGING, _S.COMMITTING, By.WORKER, "the intent is on disk before the first byte", fenced=True),
    Move("confirm", _S.COMMITTING, _S.PUBLISHED, By.WORKER, "the platform said so", fenced=True, proof="live"),
    Move(
        "not_done", _S.COMMITTING, _S.STAGING, By.WORKER, "nothing was done; same handle", fenced=True, proof="not_done"
    ),
    Move("not_done_wait", _S.COMMITTING, _S.READY, By.WORKER, "nothing was done; wait", fenced=True, proof="not_done"),
    Move("not_done_reject", _S.COMMITTING, _S.FAILED, By.WORKER, "refused for good", fenced=True, proof="not_done"),
    Move("lose_sight", _S.COMMITTING, _S.UNKNOWN, By.WORKER, "the answer was unclear", fenced=True, proof="unclear"),
    Move("lease_lost", _S.COMMITTING, _S.UNKNOWN, By.SWEEPER, "the sender went silent", proof="unclear"),
    # a restored database may have forgotten a send
    Move("doubt", _S.READY, _S.RECONCILING, By.SWEEPER, "the database was restored: look before anything is sent"),
    Move("doubt_staged", _S.STAGING, _S.RECONCILING, By.SWEEPER, "the same, with the first steps taken"),
    # finding out: only reads
    Move("ask", _S.UNKNOWN, _S.RECONCILING, By.RECONCILER, "reads begin"),
    Move("found", _S.RECONCILING, _S.PUBLISHED, By.RECONCILER, "a read found it", proof="live"),
    Move(
        "absent_same",
        _S.RECONCILING,
        _S.STAGING,
        By.RECONCILER,
        "absence proven; same handle",
        fenced=True,
        proof="absent",
    ),
    Move(
        "absent_new",
        _S.RECONCILING,
        _S.READY,
        By.RECONCILER,
        "absence proven; handle dead",
        fenced=True,
        proof="absent",
    ),
    Move(
        "absent_final", _S.RECONCILING, _S.FAILED, By.RECONCILER, "absence proven; refused", fenced=True, proof="absent"
    ),
    Move(
        "give_up", _S.RECONCILING, _S.NEEDS_REVIEW, By.RECONCILER, "reads cannot decide", fenced=True, proof="undecided"
    ),
    # a person decides what we cannot
    Move("review_live", _S.NEEDS_REVIEW, _S.PUBLISHED, By.PERSON, "it is live: here is the link", proof="live"),
    Move("review_found", _S.NEEDS_REVIEW, _S.PUBLISHED, By.RECONCILER, "a late read found it", proof="live"),
    Move("review_absent", _S.NEEDS_REVIEW, _S.READY, By.PERSON, "it is not there: send again", proof="absent"),
    Move("review_drop", _S.NEEDS_REVIEW, _S.DROPPED, By.PERSON, "leave it as it is"),
    Move("repeat", _S.FAILED, _S.READY, By.PERSON, "try again"),
    Move("repeat_prepare", _S.FAILED, _S.PREPARING, By.PERSON, "try again from the file"),
    # live evidence wins for ever
    Move("failed_but_live", _S.FAILED, _S.PUBLISHED, By.RECONCILER, "evidence says it is live", proof="live"),
    Move("cancelled_but_live", _S.CANCELLED, _S.PUBLISHED, By.RECONCILER, "evidence says it is live", proof="live"),
    Move("dropped_but_live", _S.DROPPED, _S.PUBLISHED, By.RECONCILER, "evidence says it is live", proof="live"),
)

MOVE: Final[Mapping[str, Move]] = {move.name: move for move in MOVES}

FIRST: Final = State.DETECTED
FINAL: Final = frozenset({State.PUBLISHED, State.FAILED, State.SKIPPED, State.CANCELLED, State.DROPPED})
"""Nothing moves out of these by itself, save to PUBLISHED when live evidence turns up."""
ON_ITS_WAY: Final = frozenset({State.COMMITTING, State.UNKNOWN, State.RECONCILING, State.NEEDS_REVIEW})
"""A send may have been seen by the platform: no state here is ever left towards a send without proof of absence."""
UNSENT: Final = frozenset({State.DETECTED, State.PREPARING, State.READY, State.STAGING})


class EvidenceKind(StrEnum):
    """What a read, an answer or a person proved. Append-only; LIVE outranks everything, for ever.

    NOT_SENT speaks of its own attempt only: what earlier ones sent has its own evidence.
    """

    LIVE = "live"
    ABSENT = "absent"
    NOT_DONE = "not_done"
    UNCLEAR = "unclear"
    UNDECIDED = "undecided"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class PublicationIdentity:
    """Unique across tenants, rules and reconnects: what may exist only once, for ever."""

    platform: str
    external_account_id: str
    post: PostIdentity


@dataclass(frozen=True, slots=True)
class SendTimes:
    """How long an intent, its exchange and its lease last (exactly-once R2), in seconds.

    The lease outlives the window and the exchange together, so that a healthy sender is never swept.
    """

    window_seconds: float = 20.0
    exchange_seconds: float = 60.0
    lease_seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.lease_seconds <= self.window_seconds + self.exchange_seconds:
            raise ValueError("a lease must outlive the send window and the exchange together")

    def quiet_at(self, sent_at: datetime, request_lifetime_seconds: float) -> datetime:
        """From here on a zombie request of that send is impossible."""
        return sent_at + timedelta(seconds=self.window_seconds + self.exchange_seconds + request_lifetime_seconds)


BACK_OFF_SECONDS: Final = (15.0, 60.0, 300.0, 900.0, 3600.0, 3600.0 * 3, 3600.0 * 6, 3600.0 * 12)
"""Waits after the first, second, ... passing fault of one publication: about a day in all."""


def back_off_seconds(faults: int) -> float | None:
    """The wait after the `faults`-th passing fault in a row, or None when it is time to fail with the reason."""
    return BACK_OFF_SECONDS[faults - 1] if 1 <= faults <= len(BACK_OFF_SECONDS) else None


def next_read_at(sent_at: datetime, now: datetime, ages_seconds: tuple[float, ...], give_up_seconds: float) -> datetime:
    """When to read next: the first planned age that lies ahead, then every hour, at last the end."""
    for age in ages_seconds:
        at = sent_at + timedelta(seconds=age)
        if at > now:
            return at
    end = sent_at + timedelta(seconds=give_up_seconds)
    return min(end, now + timedelta(hours=1)) if end > now else now


def payload_fingerprint(*, media_sha256: str, text: Mapping[str, object], options: Mapping[str, object]) -> str:
    """SHA-256 over everything a send carries: a publication whose fingerprint changed after READY is refused."""
    payload = {"media": media_sha256, "options": dict(options), "text": dict(text)}
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def marker_of(platform: str, external_account_id: str, source_platform: str, source_post_id: str) -> str:
    """Short, unique to a publication, put where only the owner sees it. Made of its identity: a database that was
    restored and finds the post again arrives at the same."""
    identity = json.dumps([platform, external_account_id, source_platform, source_post_id])
    return "ar-" + hashlib.sha256(identity.encode()).hexdigest()[:12]


def moves_from(state: State) -> tuple[Move, ...]:
    return tuple(move for move in MOVES if move.source is state)
