"""A world that is quick: nobody's processing takes time, and a post is ready to be published in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


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


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """`meanwhile(call, ...)` begins a call in a thread of its own and gives its future."""
    with ThreadPoolExecutor(thread_name_prefix="meanwhile") as pool:
        yield pool.submit


@pytest.fixture
def cut_off(owner_connection: psycopg.Connection[Any]) -> Callable[..., AbstractContextManager[None]]:
    """`with cut_off("insert into posts")`: the database ends the first session that is about to say that.

    `after` waits for another statement first.
    """

    @contextmanager
    def cutting(statement: str, after: str = "") -> Iterator[None]:
        waiting = [each for each in (after, statement) if each]

        def say(connection: Any, _cursor: Any, words: str, *_: Any) -> None:
            if waiting and words.casefold().startswith(waiting[0].casefold()):
                waiting.pop(0)
                if not waiting:
                    pid = connection.connection.driver_connection.info.backend_pid
                    owner_connection.execute("select pg_terminate_backend(%s)", [pid])

        event.listen(Engine, "before_cursor_execute", say)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", say)
        assert not waiting, f"nobody said {waiting}"

    return cutting
