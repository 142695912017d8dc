"""A platform that lets every call wait takes a tick's time and not the next platform's turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import State
from autorepost_app.persistence.models import Publication
from autorepost_app.services import checks, finish, reconcile, ticks

SCOPE = SystemScope("test")
HOUR = 3600.0
BUDGET = 0.2
SLOW = 0.5
"""So long each call takes that hangs: more than a tick has."""


def test_platforms_take_turns_and_each_keeps_its_own_order() -> None:
    rows = [Publication(id=each, platform=each[0]) for each in ("a1", "a2", "a3", "b1", "c1", "c2")]
    assert [row.id for row in ticks.in_turn(rows)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_without_time_nothing_is_taken() -> None:
    rows = [Publication(id="a1", platform="a")]
    assert list(ticks.while_it_lasts(rows, 0.0)) == []
    assert [row.id for row in rows] == ["a1"]


def test_a_tick_of_reads_ends_in_time_and_the_next_one_reads_the_rest(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("instagram", "x")
    sandbox.fault("instagram", "media_publish", "commit_then_reset")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    assert [world.publish(each).state for each in ("instagram", "x")] == [State.UNKNOWN] * 2
    world.clock.advance(HOUR)
    sandbox.fault("x", "timeline", "slow", seconds=SLOW)

    first = reconcile.reconcile_due(world.house, SCOPE, limit=50, seconds=BUDGET)
    assert [row.platform for row in first] == ["x"], "it has been due for longer"
    assert world.publication("instagram").state == State.UNKNOWN, "left for the next tick"

    second = reconcile.reconcile_due(world.house, SCOPE, limit=50, seconds=BUDGET)
    assert [row.platform for row in second] == ["instagram"]
    assert world.publication("instagram").state == State.PUBLISHED


def test_a_round_of_checks_ends_in_time_and_what_is_left_is_due_at_once(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("instagram", "youtube")
    for each in ("instagram", "youtube"):
        assert world.settle(each).state == State.PUBLISHED
    world.clock.advance(3 * HOUR)
    assert checks.check_due(world.house, SCOPE, limit=8, seconds=0.0) == 0
    lists = {"instagram": "media.list", "youtube": "playlistItems.list"}
    for platform, call in lists.items():
        sandbox.fault(platform, call, "slow", seconds=SLOW, count=None)
    before = {platform: sandbox.calls_now(platform, call) for platform, call in lists.items()}

    began = time.monotonic()
    assert [checks.check_due(world.house, SCOPE, limit=8, seconds=BUDGET) for _ in range(3)] == [1, 1, 0]
    assert time.monotonic() - began < 10 * SLOW
    for platform, call in lists.items():
        assert sandbox.calls_now(platform, call) > before[platform]


def test_what_is_left_to_finish_is_taken_up_by_the_next_tick(ready: Callable[..., Any]) -> None:
    world = ready("youtube")
    assert world.settle("youtube").state == State.PUBLISHED
    assert finish.finish_due(world.house, SCOPE, limit=20, seconds=0.0) == 0
    assert finish.finish_due(world.house, SCOPE, limit=20, seconds=BUDGET) == 1
