"""A platform that fetches our files, and an installation that nobody outside can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autorepost_app.domain.publications import State

MAKE = "container.create"


def test_a_house_that_nobody_reaches_tells_its_operator_and_sends_nothing(
    ready: Callable[..., Any], sandbox: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = ready("instagram")
    unreachable = replace(world.house.links, reachable=False)
    alone = replace(world, house=replace(world.house, links=unreachable))

    row = alone.publish("instagram")

    assert (row.state, row.faults, row.waiting_for) == (State.READY, 0, "We are looking into it.")
    assert "AUTOREPOST_PUBLIC_URL" in caplog.text
    assert sandbox.calls_now("instagram", MAKE) == 0
    assert world.settle("instagram").state == State.PUBLISHED, "with an address it goes out by itself"
    assert sandbox.calls_now("instagram", MAKE) == 1
