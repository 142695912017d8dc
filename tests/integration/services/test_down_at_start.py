"""The house is started while the platforms are down: it waits, loses nothing, and goes on when they are back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.domain.publications import State


@pytest.fixture
def started_in_the_dark(world: Any, sandbox: Any, environ: dict[str, str], eventually: Callable[..., Any]) -> Any:
    """A house that is opened while nobody listens; at the end of the block they are back."""

    @contextmanager
    def start() -> Iterator[Any]:
        sandbox.control("PUT", "/outage", {"seconds": 0.5})
        eventually(sandbox.is_dark)
        house = open_house(settings_from(environ), clock=world.clock)
        try:
            yield replace(world, house=house)
            eventually(lambda: not sandbox.is_dark())
        finally:
            close_house(house)

    return start


def test_what_was_posted_before_a_start_in_the_dark_is_found_afterwards(
    world: Any, sandbox: Any, started_in_the_dark: Any
) -> None:
    world.ready_made()
    sandbox.post()
    with started_in_the_dark() as woken:
        (found,) = woken.detect()
        assert (found.fault, found.posts) == ("TikTok cannot be reached at the moment.", ())

    world.clock.advance(61)
    (found,) = world.detect()
    assert found.promised == 3


def test_what_was_promised_before_a_start_in_the_dark_goes_out_once_afterwards(
    world: Any, sandbox: Any, started_in_the_dark: Any
) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    sandbox.post()
    world.detect()
    world.prepare()
    with started_in_the_dark() as woken:
        row = woken.publish("x")
        assert (row.state, row.waiting_for) == (State.READY, "X cannot be reached at the moment.")
        assert row.due_at > world.clock()

    assert world.settle("x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1
    world.assert_invariants()
