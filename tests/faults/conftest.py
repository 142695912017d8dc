"""Workers that really die: processes of their own, killed while a platform holds its answer back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_processing(sandbox: Any) -> Iterator[None]:
    def take(seconds: float) -> None:
        settings = {key: {"processing_seconds": seconds} for key in ("instagram", "x", "youtube")}
        sandbox.control("PUT", "/settings", settings)

    take(0.0)
    yield
    take(1.0)


@pytest.fixture
def ready(world: Any, sandbox: Any) -> Callable[[str], Any]:
    """One post, READY for one destination."""

    def make(platform: str) -> Any:
        world.rule(world.connect(world.house.platforms.sources()[0]), world.connect(platform))
        sandbox.post(description="A walk #walk")
        world.detect()
        world.prepare()
        return world

    return make
