"""Whatever breaks at the send: at most one live post, and the publication says what is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from autorepost_app.domain.publications import State

COMMITS = {"instagram": "media_publish", "x": "tweets.create", "youtube": "insert.last"}
READS = {"instagram": ("container.status",), "x": ("timeline",), "youtube": ("session.query", "playlistItems.list")}

LIVE = dict.fromkeys(COMMITS, "published")
X_CANNOT_TELL = {**LIVE, "x": "needs_review"}
NOBODY_CAN_TELL = dict.fromkeys(COMMITS, "needs_review")
ONCE = dict.fromkeys(COMMITS, 1)
TWICE = dict.fromkeys(COMMITS, 2)
X_ONCE = {**TWICE, "x": 1}


@dataclass(frozen=True)
class Case:
    """`fault` strikes the one call that publishes, `reads` those that ask afterwards.

    `sends`: a second one follows only from proof that the first did nothing, and never on X.
    """

    name: str
    fault: str
    end: dict[str, str]
    sends: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    reads: tuple[str, dict[str, Any]] | None = None


CASES = [
    Case("cut before anything is read", "refuse", X_CANNOT_TELL, X_ONCE),
    Case("cut before the body", "reset_before_body", X_CANNOT_TELL, X_ONCE),
    Case("cut in the body", "reset_mid_body", X_CANNOT_TELL, X_ONCE, {"bytes": 20}),
    Case("cut after the body", "reset_after_body", X_CANNOT_TELL, X_ONCE),
    Case("done, answer lost", "commit_then_reset", LIVE, ONCE),
    Case("done, answered 500", "commit_then_500", LIVE, ONCE),
    Case("answered 500, done later", "commit_late", LIVE, ONCE, {"seconds": 300}),
    Case("cut, done later", "commit_late", LIVE, ONCE, {"seconds": 300, "reset": True}),
    Case("too many requests", "rate_limited", LIVE, TWICE, {"seconds": 120}),
    Case("refused although done", "client_error_although_done", LIVE, ONCE),
    Case("done without an id", "ok_without_id", LIVE, ONCE),
    Case("the day's quota is used up", "quota_used_up", LIVE, TWICE),
    Case("a server error, nothing done", "read_error", X_CANNOT_TELL, X_ONCE),
    Case("done, and the lists lag", "commit_then_reset", LIVE, ONCE, reads=("read_lag", {"seconds": 900, "count": 3})),
    Case("done, and reads fail for a while", "commit_then_reset", LIVE, ONCE, reads=("read_error", {"count": 3})),
    Case(
        "done, and reads fail for ever",
        "commit_then_reset",
        NOBODY_CAN_TELL,
        ONCE,
        reads=("read_error", {"count": None}),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_at_the_send_never_makes_two_and_never_lies(
    case: Case, ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready()
    for platform, call in COMMITS.items():
        sandbox.fault(platform, call, case.fault, **case.options)

    for platform in COMMITS:
        world.settle(platform, State.UNKNOWN)
        for call in READS[platform] if case.reads else ():
            sandbox.fault(platform, call, case.reads[0], **case.reads[1])
    ended = {platform: world.settle(platform).state for platform in COMMITS}

    assert ended == case.end
    assert {platform: sandbox.calls_now(platform, call) for platform, call in COMMITS.items()} == case.sends
