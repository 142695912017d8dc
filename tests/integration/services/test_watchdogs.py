"""A promise that is not kept is seen, told once to whom it was made, and taken back when it is kept after all."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import State
from autorepost_app.domain.watchdogs import MEANINGS, Watch
from autorepost_app.persistence import publications
from autorepost_app.platform_kit import clocks
from autorepost_app.services import checks, counts, detect, reconcile, record, watchdogs
from autorepost_app.services.house import House

MINUTE, HOUR = 60.0, 3600.0
SCOPE = SystemScope("test")


@pytest.fixture
def pass_time(world: Any) -> Callable[[float], list[watchdogs.Turn]]:
    """Time in which somebody looks every ten minutes; what has changed in all of it."""

    def go(seconds: float) -> list[watchdogs.Turn]:
        turns = []
        while seconds > 0:
            world.clock.advance(min(seconds, 10 * MINUTE))
            seconds -= 10 * MINUTE
            turns += watchdogs.look(world.house, SCOPE)
        return turns

    return go


@pytest.fixture
def awake(pass_time: Callable[[float], Any]) -> None:
    pass_time(40 * MINUTE)


@pytest.fixture
def alarms(world: Any) -> Callable[[], dict[Watch, int]]:
    """By watch, as an operator sees them; and the same as the rows themselves say."""

    def count() -> dict[Watch, int]:
        standing = {each.watch: each.count for each in watchdogs.standing(world.house, SCOPE) if each.count}
        assert standing == Counter(Watch(each.watch) for each in watchdogs.alarms(world.house, SCOPE))
        return standing

    return count


def told(world: Any, watch: Watch) -> list[str]:
    return [
        line.text for line in record.recent_activity(world.house, world.scope) if line.kind == f"alarm.{watch.value}"
    ]


def poll(world: Any) -> None:
    assert detect.poll_due(world.house, SCOPE, limit=10)


def test_a_healthy_house_has_no_alarms(
    ready: Callable[..., Any], alarms: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = ready()
    caplog.set_level(logging.WARNING, "autorepost_app.services.watchdogs")
    for platform in world.house.platforms.destinations():
        assert world.settle(platform).state == State.PUBLISHED
    for _ in range(9):
        world.clock.advance(5 * MINUTE)
        poll(world)
        assert watchdogs.look(world.house, SCOPE) == []
    assert alarms() == {}
    assert caplog.messages == []


def test_what_is_due_and_not_tried_is_told_once_and_is_over_when_somebody_tries(
    ready: Callable[..., Any],
    pass_time: Callable[[float], list[watchdogs.Turn]],
    alarms: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = ready("youtube")
    caplog.set_level(logging.WARNING, "autorepost_app.services.watchdogs")
    row = world.publication("youtube")

    [turn] = [turn for turn in pass_time(55 * MINUTE) if turn.watch is Watch.NOT_TRIED]
    assert turn.began == (row.id,)
    assert alarms()[Watch.NOT_TRIED] == 1
    [line] = told(world, Watch.NOT_TRIED)
    assert "nobody has worked on it" in line
    assert MEANINGS[Watch.NOT_TRIED].remedy in line

    assert world.settle("youtube").state == State.PUBLISHED
    [over] = [turn for turn in watchdogs.look(world.house, SCOPE) if turn.watch is Watch.NOT_TRIED]
    assert over.over == (row.id,)
    assert Watch.NOT_TRIED not in alarms()
    assert len(told(world, Watch.NOT_TRIED)) == 1
    assert [row.id in message for message in caplog.messages if "not_tried" in message] == [True, True]


def test_a_house_that_was_off_is_given_time_to_catch_up(
    ready: Callable[..., Any], pass_time: Callable[[float], Any], alarms: Callable[[], Any]
) -> None:
    world = ready("x")
    pass_time(10 * MINUTE)
    world.clock.advance(8 * HOUR)

    assert watchdogs.look(world.house, SCOPE) == []
    assert told(world, Watch.NOT_TRIED) == []
    assert {turn.watch for turn in pass_time(20 * MINUTE)} == {Watch.NOT_TRIED, Watch.SOURCE_STILL}


def test_a_day_late_is_told_with_what_it_waits_for_and_a_person_with_it_is_not_late(
    ready: Callable[..., Any], pass_time: Callable[[float], list[watchdogs.Turn]], alarms: Callable[[], Any]
) -> None:
    world = ready("youtube")
    row = world.publication("youtube")
    with world.house.db.system(SCOPE) as session:
        lease = publications.claim(session, row.id, owner="a", now=world.clock(), lease_seconds=120)
        later = world.clock() + timedelta(days=2)
        publications.release(
            session, "postpone", lease, now=world.clock(), due_at=later, waiting_for="YouTube's daily limit.", cause="x"
        )

    began = [turn.watch for turn in pass_time(25 * HOUR) if turn.watch == Watch.OVERDUE]
    assert began == [Watch.OVERDUE]
    [line] = told(world, Watch.OVERDUE)
    assert "It waits for: YouTube's daily limit." in line

    world.cancel("youtube")
    watchdogs.look(world.house, SCOPE)
    assert Watch.OVERDUE not in alarms()


@pytest.mark.usefixtures("awake")
def test_a_lease_that_a_killed_worker_left_is_seen_and_over_once_it_is_swept(
    ready: Callable[..., Any],
    pass_time: Callable[[float], list[watchdogs.Turn]],
    alarms: Callable[[], Any],
    sandbox: Any,
) -> None:
    world = ready("youtube")
    row = world.publication("youtube")
    sandbox.fault("youtube", "insert.last", "slow", seconds=30)
    with world.process("send", row.id):
        sandbox.wait_for_call("youtube", "insert.last")
    assert world.row(row.id).state == State.COMMITTING

    assert [turn.began for turn in pass_time(10 * MINUTE) if turn.watch is Watch.LEASE_KEPT] == [(row.id,)]
    assert told(world, Watch.LEASE_KEPT) != []

    assert reconcile.sweep(world.house, SCOPE) == 1
    assert [turn.over for turn in watchdogs.look(world.house, SCOPE) if turn.watch is Watch.LEASE_KEPT] == [(row.id,)]
    assert Watch.LEASE_KEPT not in alarms()


@pytest.mark.usefixtures("awake")
def test_a_worker_that_never_lets_go_is_seen(
    ready: Callable[..., Any], pass_time: Callable[[float], list[watchdogs.Turn]], alarms: Callable[[], Any]
) -> None:
    world = ready("x")
    row = world.publication("x")
    with world.house.db.system(SCOPE) as session:
        lease = publications.claim(session, row.id, owner="hangs", now=world.clock(), lease_seconds=600)
    for _ in range(13):
        assert Watch.LEASE_KEPT not in alarms()
        pass_time(9 * MINUTE)
        with world.house.db.system(SCOPE) as session:
            publications.extend(session, lease, now=world.clock(), lease_seconds=600)
    pass_time(9 * MINUTE)
    assert alarms()[Watch.LEASE_KEPT] == 1


@pytest.mark.usefixtures("awake")
def test_reads_that_are_not_made_are_seen_until_one_is(
    ready: Callable[..., Any],
    pass_time: Callable[[float], list[watchdogs.Turn]],
    alarms: Callable[[], Any],
    sandbox: Any,
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_500")
    assert world.publish("x").state == State.UNKNOWN

    pass_time(20 * MINUTE)
    assert alarms()[Watch.READS_LATE] == 1
    assert len(told(world, Watch.READS_LATE)) == 1

    assert reconcile.reconcile_due(world.house, SCOPE, limit=5)
    watchdogs.look(world.house, SCOPE)
    assert Watch.READS_LATE not in alarms()


@pytest.mark.usefixtures("awake")
def test_a_source_that_nobody_asks_is_seen_until_somebody_does(
    ready: Callable[..., Any], pass_time: Callable[[float], list[watchdogs.Turn]], alarms: Callable[[], Any]
) -> None:
    world = ready("x")
    pass_time(30 * MINUTE)
    assert alarms()[Watch.SOURCE_STILL] == 1
    assert len(told(world, Watch.SOURCE_STILL)) == 1

    poll(world)
    watchdogs.look(world.house, SCOPE)
    assert Watch.SOURCE_STILL not in alarms()


@pytest.mark.usefixtures("awake")
def test_a_source_that_refuses_for_hours_is_seen_though_it_is_asked(
    ready: Callable[..., Any],
    pass_time: Callable[[float], list[watchdogs.Turn]],
    alarms: Callable[[], Any],
    sandbox: Any,
) -> None:
    world = ready("x")
    world.detect()
    sandbox.fault("tiktok", "video.list", "read_error", count=None)
    for _ in range(35):
        pass_time(10 * MINUTE)
        world.detect()
        assert Watch.SOURCE_STILL not in alarms()
    pass_time(20 * MINUTE)
    assert alarms()[Watch.SOURCE_STILL] == 1

    sandbox.control("DELETE", "/faults")
    world.detect()
    watchdogs.look(world.house, SCOPE)
    assert Watch.SOURCE_STILL not in alarms()


# ------------------------------------------------------------------------------------------------------------- clocks


@pytest.fixture
def another_platform() -> Iterator[str]:
    """What this process has heard of the others is left alone."""
    yield "Clockwork"
    clocks._seconds.pop("Clockwork", None)


def test_a_machine_whose_clock_is_off_by_a_minute_is_told_to_operators_alone(world: Any, alarms: Any) -> None:
    def fast() -> datetime:
        return utc_now() + timedelta(minutes=1)

    [turn] = watchdogs.look(world.house, SCOPE, real=fast)
    assert turn.watch is Watch.CLOCKS_APART
    assert turn.began[0].startswith("database (+60.0 s)") or turn.began[0].startswith("database (+59.9 s)")
    assert watchdogs.look(world.house, SCOPE, real=fast) == [], "once"
    assert alarms() == {Watch.CLOCKS_APART: 1}
    assert told(world, Watch.CLOCKS_APART) == []

    [turn] = watchdogs.look(world.house, SCOPE)
    assert turn.over == ("database",)


def test_a_clock_that_a_test_has_moved_is_no_fault_of_the_machine(world: Any, alarms: Any) -> None:
    world.connect("youtube")  # the sandbox's answers tell real time
    world.clock.advance(HOUR)
    watchdogs.look(world.house, SCOPE)
    assert Watch.CLOCKS_APART not in alarms()


def test_platforms_that_agree_on_another_time_are_heard_and_one_odd_answer_is_not(
    world: Any, another_platform: str
) -> None:
    right, wrong = datetime.now(UTC), datetime.now(UTC) - timedelta(minutes=5)
    for at in (right, right, wrong, wrong, right):
        clocks.heard(another_platform, format_datetime(at))
    assert watchdogs.look(world.house, SCOPE) == []

    clocks.heard(another_platform, format_datetime(wrong, usegmt=False))
    clocks.heard(another_platform, "not a date")
    clocks.heard(another_platform, None)
    clocks.heard(another_platform, format_datetime(wrong))
    [turn] = watchdogs.look(world.house, SCOPE)
    assert turn.began[0].startswith(another_platform)


# --------------------------------------------------------------------------------------------------------------- costs


@pytest.fixture
def without(world: Any) -> Callable[[str], House]:
    """The same house after that platform was taken out of it."""

    def uninstall(platform: str) -> House:
        manifests = {key: each for key, each in world.house.platforms.manifests.items() if key != platform}
        return replace(world.house, platforms=replace(world.house.platforms, manifests=manifests))

    return uninstall


def test_what_is_left_of_a_platform_that_was_taken_out_stops_neither_watch_nor_sweep(
    ready: Callable[..., Any], awake: None, without: Callable[[str], House], owner_connection: psycopg.Connection[Any]
) -> None:
    world, house = ready("x", "youtube"), without("youtube")
    for _ in range(3):
        world.clock.advance(10 * MINUTE)
        watchdogs.look(house, SCOPE)
    assert sorted(line.split(":")[0] for line in told(world, Watch.NOT_TRIED)) == ["X", "youtube"]
    assert world.clock() - watchdogs.looked_at(house, SCOPE) < timedelta(minutes=1)

    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute(
        "update publications set state = 'committing', lease_owner = 'dead', lease_epoch = 1, last_sent_at = now(),"
        " lease_until = now() - interval '1 hour'"
    )
    owner_connection.execute("set session_replication_role = origin")
    assert reconcile.sweep(house, SCOPE) == 2
    assert {world.publication(each).state for each in ("x", "youtube")} == {State.UNKNOWN}


def test_a_watch_that_breaks_keeps_no_other_from_looking_and_its_look_does_not_count(
    ready: Callable[..., Any],
    awake: None,
    alarms: Callable[[], Any],
    owner_connection: psycopg.Connection[Any],
) -> None:
    world = ready("x")
    last_at = watchdogs.looked_at(world.house, SCOPE)
    owner_connection.execute("alter table activity rename column kind to hidden")  # OVERDUE asks for it
    try:
        for _ in range(3):
            world.clock.advance(10 * MINUTE)
            with pytest.raises(ExceptionGroup, match="watches that broke"):
                watchdogs.look(world.house, SCOPE, real=lambda: utc_now() + timedelta(minutes=1))
    finally:
        owner_connection.execute("alter table activity rename column hidden to kind")
    lasting = [each.watch for each in watchdogs.alarms(world.house, SCOPE)]
    assert Watch.CLOCKS_APART in lasting
    assert watchdogs.looked_at(world.house, SCOPE) == last_at

    watchdogs.look(world.house, SCOPE)
    assert Watch.NOT_TRIED in alarms(), "the house was awake all the time"
    assert world.clock() - watchdogs.looked_at(world.house, SCOPE) < timedelta(minutes=1)


def test_no_watch_reads_all_publications(
    ready: Callable[..., Any], owner_connection: psycopg.Connection[Any], plans: Callable[[], list[str]]
) -> None:
    """20,000 published ones among which a few wait: every look, count and check goes by an index."""
    world = ready("x")
    columns = "tenant_id, post_id, connection_id, platform, external_account_id, source_platform, template"
    owner_connection.execute(
        f"insert into publications (id, {columns}, source_post_id, state, state_at, published_at, publish_at, due_at)"
        f" select gen_random_uuid(), {columns}, 'many' || n, 'published', at, at, at, at"
        " from publications p, generate_series(1, 20000) n, lateral (select now() - n * interval '10 minutes') t(at)"
    )
    owner_connection.execute("analyze publications")
    seen = plans()

    assert seen, "nothing was asked"
    assert [plan for plan in seen if "Seq Scan on publications" in plan] == []
    assert world.publication("x").state == State.READY


@pytest.fixture
def plans(world: Any, owner_connection: psycopg.Connection[Any]) -> Callable[[], list[str]]:
    """How the database goes about everything that a minute of watching asks of publications."""

    def explain() -> list[str]:
        asked: list[tuple[str, Any]] = []

        def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "publications" in statement and "pg_" not in statement:
                asked.append((statement, parameters))

        event.listen(Engine, "before_cursor_execute", keep)
        try:
            watchdogs.look(world.house, SCOPE)
            watchdogs.standing(world.house, SCOPE)
            counts.publications(world.house, SCOPE, ended_within=timedelta(days=1))
            checks.check_due(world.house, SCOPE, limit=5)
        finally:
            event.remove(Engine, "before_cursor_execute", keep)
        owner_connection.execute("set plan_cache_mode = force_custom_plan")
        return [
            "\n".join(line for (line,) in owner_connection.execute(f"explain {statement}", parameters).fetchall())
            for statement, parameters in asked
        ]

    return explain
