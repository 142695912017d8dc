"""Between two polls a source's pulse is felt: a new post is found sooner, and nothing depends on it."""

from __future__ import annotations

from typing import Any

import pytest

from autorepost_app.services import detect


@pytest.fixture
def resting(world: Any, sandbox: Any) -> Any:
    """A source that was just polled and whose pulse is known."""
    world.ready_made()
    poll(world)
    assert feel(world) == 0
    return world


def feel(world: Any) -> int:
    return detect.feel_pulses(world.house, world.system, limit=10)


def poll(world: Any) -> int:
    return sum(len(found.posts) for found in detect.poll_due(world.house, world.system, limit=10))


def test_a_new_post_is_found_before_the_next_poll_is_due(resting: Any, sandbox: Any) -> None:
    sandbox.post()
    assert poll(resting) == 0, "the source is left alone for a minute"
    resting.clock.advance(21)

    assert feel(resting) == 1
    assert poll(resting) == 1


def test_a_pulse_is_felt_no_more_often_than_its_gap(resting: Any, sandbox: Any) -> None:
    before = sandbox.calls_now("tiktok", "user.info")
    for _ in range(5):
        feel(resting)
    assert sandbox.calls_now("tiktok", "user.info") == before
    resting.clock.advance(21)
    feel(resting)
    assert sandbox.calls_now("tiktok", "user.info") == before + 1


def test_the_same_pulse_asks_for_nothing(resting: Any) -> None:
    resting.clock.advance(21)
    assert feel(resting) == 0
    assert poll(resting) == 0


@pytest.mark.parametrize("fault", ["read_error", "rate_limited"])
def test_a_pulse_that_cannot_be_felt_changes_nothing(resting: Any, sandbox: Any, fault: str) -> None:
    sandbox.fault("tiktok", "user.info", fault, count=None)
    sandbox.post()
    resting.clock.advance(21)

    assert feel(resting) == 0
    resting.clock.advance(40)
    assert poll(resting) == 1


def test_pinned_posts_on_top_do_not_hide_a_busy_day(world: Any, sandbox: Any) -> None:
    """Three old posts that are pinned come first; more new ones follow than fit on a page."""
    sandbox.account("tiktok")
    for number in range(3):
        sandbox.post(description=f"old {number}", pinned="true")
    destination = world.connect("x")
    world.rule(world.connect_again("tiktok"), destination)
    world.clock.advance(60)
    poll(world)
    for number in range(22):
        sandbox.post(description=f"new {number}")
    world.clock.advance(120)

    assert poll(world) == 22
