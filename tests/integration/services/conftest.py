"""A world that is quick: nobody's processing takes time, and a post is ready to be published in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import Engine

from autorepost_app.domain.publications import FINAL, State
from autorepost_app.services import reconcile, restores


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


# ----------------------------------------------------------------------------------------- a database that forgets


@pytest.fixture
def rewind(owner_connection: psycopg.Connection[Any]) -> Iterator[Callable[[], Callable[[], None]]]:
    """`back = rewind()` remembers every row; `back()` makes the database what it was then, as a backup does."""
    tables = [
        row[0]
        for row in owner_connection.execute(
            "select tablename from pg_tables where schemaname = 'public' and tablename not in"
            " ('alembic_version', 'publication_moves')"
        )
    ]
    owner_connection.execute("create schema backup")

    def remember() -> Callable[[], None]:
        for table in tables:
            _run(owner_connection, "create table backup.{0} as table public.{0}", table)
        return back

    def back() -> None:
        owner_connection.execute("set session_replication_role = replica")
        for table in tables:
            _run(owner_connection, "delete from public.{0}", table)
            _run(owner_connection, "insert into public.{0} overriding system value table backup.{0}", table)
        owner_connection.execute("set session_replication_role = origin")

    yield remember
    owner_connection.execute("drop schema backup cascade")


def _run(connection: psycopg.Connection[Any], statement: str, table: str) -> None:
    connection.execute(sql.SQL(statement).format(sql.Identifier(table)))  # type: ignore[arg-type]


@pytest.fixture
def prepared(world: Any, sandbox: Any) -> Any:
    """One post, prepared for every destination, and not sent anywhere."""
    world.ready_made()
    sandbox.post(description="A walk in the woods #walk")
    world.detect()
    world.prepare()
    restores.watch(world.house, world.system)
    return world


@pytest.fixture
def settle() -> Callable[[Any, str], Any]:
    """`settle(world, "x")`: like `world.settle`, with the daemon's own tick beside it."""

    def come_to_rest(world: Any, platform: str) -> Any:
        for _ in range(40):
            restores.watch(world.house, world.system)
            reconcile.reconcile_due(world.house, world.system, limit=50)
            row = world.publication(platform)
            world.assert_invariants()
            if State(row.state) in FINAL | {State.NEEDS_REVIEW}:
                return row
            if State(row.state) in (State.READY, State.STAGING):
                world.publish(platform, patience_seconds=0.0)
            row = world.publication(platform)
            world.clock.advance(max((row.due_at - world.clock()).total_seconds(), 0.0) + 0.1)
        raise AssertionError(f"{platform} does not come to rest: {row.state}")

    return come_to_rest


@pytest.fixture
def restored() -> Callable[..., None]:
    """`restored(world, back)`: the backup is put back, and its operator says so."""

    def put_back(world: Any, back: Callable[[], None], **said: Any) -> None:
        back()
        world.seen.clear()  # what was seen of rows that are forgotten binds nobody
        restores.declare(world.house, world.system, **said)

    return put_back
