"""What a send is held to when something else would let it through: its window, its platform's word, its number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from autorepost_app.domain.publications import EvidenceKind, SendTimes, State
from autorepost_app.platform_kit.protocol import Absent
from autorepost_app.services import reads, reconcile, record


@contextmanager
def held_up(statement: str, seconds: float) -> Iterator[list[str]]:
    """The database takes its time over that statement; what it was about."""
    seen: list[str] = []

    def wait(_connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        if words.casefold().startswith(statement):
            seen.append(words)
            time.sleep(seconds)  # the time passes between the opening of the window and the acknowledged intent

    event.listen(Engine, "before_cursor_execute", wait)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", wait)


def test_an_intent_that_was_acknowledged_after_its_window_is_not_sent(ready: Callable[..., Any], sandbox: Any) -> None:
    """The window counts from before the intent is written, as the `send_before` beside it does."""
    world = ready("x")
    times = SendTimes(window_seconds=1.0)

    with held_up("update attempts set intended_at", 1.2) as seen:
        late = replace(world, house=replace(world.house, times=times)).publish("x")

    assert len(seen) == 1
    assert sandbox.calls_now("x", "tweets.create") == 0
    assert late.state == State.STAGING
    assert world.settle("x").state == State.PUBLISHED


def test_a_platform_that_keeps_no_handle_single_is_never_sent_to_again_on_a_reads_word(
    ready: Callable[..., Any], sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    monkeypatch.setattr(reads, "look", lambda *_: Absent("the list does not show it", handle_usable=True))

    assert world.settle("x").state == State.NEEDS_REVIEW
    assert sandbox.calls_now("x", "tweets.create") == 1


def test_a_platform_that_swallows_every_send_is_not_fed_for_ever(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("youtube")
    sandbox.fault("youtube", "insert.last", "reset_before_body", count=None)

    assert world.settle("youtube").state == State.NEEDS_REVIEW

    told = record.trail(world.house, world.scope, world.publication("youtube").id)
    assert sum(each.intended_at is not None for each in told.attempts) == reconcile.MOST_SENDS
    assert [each.kind for each in told.evidence].count(EvidenceKind.ABSENT) == reconcile.MOST_SENDS - 1
    assert sandbox.live("youtube") == []
