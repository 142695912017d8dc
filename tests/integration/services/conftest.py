"""A world that is quick: nobody's processing takes time, and a post is ready to be published in one call."""

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
def ready(world: Any, sandbox: Any) -> Callable[..., Any]:
    """`ready("x")` connects the source and these destinations (all, if none is named) and makes one post READY."""

    def make(*platforms: str, **post: Any) -> Any:
        source = world.connect(world.house.platforms.sources()[0])
        wanted = platforms or tuple(world.house.platforms.destinations())
        world.rule(source, *(world.connect(each) for each in wanted))
        sandbox.post(**{"description": "A walk #walk", **post})
        world.detect()
        world.prepare()
        return world

    return make
