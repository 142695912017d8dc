"""Many sources share a limit: whose turn it is, and that all turns together stay within it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.polling import HALF_HOURS, half_hour, unknown_posts
from autorepost_app.persistence import connections
from autorepost_app.services import detect, quotas, turns

POLL, PULSE = "video.list", "user.info"


@pytest.fixture
def source(world: Any, sandbox: Any) -> Callable[..., Any]:
    """`source("anna")` makes a source of that name which has been read once and rests."""
    destination = world.connect("x")

    def make(name: str, *posted_days_ago: float) -> Any:
        handle = f"{sandbox.handle}-{name}"
        sandbox.account("tiktok", handle)
        for age in posted_days_ago:
            sandbox.post(handle=handle, create_time=(world.clock() - timedelta(days=age)).isoformat())
        connection = world.connect_again("tiktok", handle=handle)
        world.rule(connection, destination)
        poll(world)
        return connection

    return make


def poll(world: Any, limit: int = 10) -> list[str]:
    return [found.connection_id for found in detect.poll_due(world.house, world.system, limit=limit)]


def feel(world: Any, limit: int = 10) -> int:
    return detect.feel_pulses(world.house, world.system, limit=limit)


def use_up(world: Any, call: str, *, all_but: int) -> None:
    meter = quotas.SharedMeter(world.house.db, world.house.platforms.manifest("tiktok"), world.clock)
    for _ in range(quotas.room(world.house, world.system, "tiktok", call) - all_but):
        meter.reserve(call)


def kept(world: Any, connection: Any) -> Any:
    with world.house.db.system(world.system) as session:
        return connections.get(session, connection.id)


def test_where_there_is_room_for_one_the_busier_comes_first_and_the_other_next(world: Any, source: Any) -> None:
    quiet = source("quiet", 60)
    busy = source("busy", *(n / 4 for n in range(1, 13)))
    world.clock.advance(120)
    assert poll(world, limit=1) == [busy.id]
    assert poll(world, limit=1) == [quiet.id]
    assert poll(world, limit=1) == [], "both rest"


def test_a_wait_makes_up_for_few_posts(world: Any, source: Any) -> None:
    """Three times the wait outweighs eight times the posts."""
    quiet = source("quiet", 10)
    busy = source("busy", *(n / 4 for n in range(1, 13)))
    rates = [sum(kept(world, each).expected_posts) / HALF_HOURS for each in (quiet, busy)]
    assert rates[1] / rates[0] == pytest.approx(15, rel=0.3)
    with world.house.db.system(world.system) as session:
        connections.claim_polls(session, [busy.id], world.clock() + timedelta(seconds=200))
    world.clock.advance(250)
    assert poll(world, limit=1) == [quiet.id]


def test_who_was_asked_for_comes_before_everybody(world: Any, sandbox: Any, source: Any) -> None:
    asked_for = source("asked", 60)
    source("busy", *(n / 4 for n in range(1, 13)))
    feel(world)
    sandbox.post(handle=asked_for.handle)
    world.clock.advance(120)
    assert feel(world) == 1
    assert poll(world, limit=1) == [asked_for.id]


def test_a_pulse_is_felt_of_those_who_wait_for_their_turn_too(world: Any, sandbox: Any, source: Any) -> None:
    """With many sources a turn takes minutes; that is when a sign of life is worth most."""
    anna = source("anna", 3)
    feel(world)
    world.clock.advance(300)
    sandbox.post(handle=anna.handle)
    assert kept(world, anna).poll_not_before_at < world.clock(), "it is due, and there was no room"
    assert feel(world) == 1
    assert kept(world, anna).poll_not_before_at is None


def test_a_poll_and_a_pulse_of_one_tick_look_at_different_sources(world: Any, source: Any, sandbox: Any) -> None:
    anna, ben = source("anna", 3), source("ben", 3)
    feel(world)
    world.clock.advance(120)
    assert feel(world, limit=1) == 0
    felt = max((anna, ben), key=lambda each: kept(world, each).pulsed_at)
    [polled] = poll(world, limit=1)
    assert {felt.id, polled} == {anna.id, ben.id}


@pytest.mark.parametrize(("call", "ask"), [(POLL, poll), (PULSE, feel)])
def test_turns_leave_some_calls_for_repeats_and_further_pages(world: Any, source: Any, call: str, ask: Any) -> None:
    source("anna", 3)
    source("ben", 3)
    world.clock.advance(120)
    use_up(world, call, all_but=31)
    before = quotas.room(world.house, world.system, "tiktok", call)
    ask(world)
    assert quotas.room(world.house, world.system, "tiktok", call) == before - 1 == 30
    ask(world)
    assert quotas.room(world.house, world.system, "tiktok", call) == 30
    world.clock.advance(70)
    ask(world)
    assert quotas.room(world.house, world.system, "tiktok", call) == 598, "the next minute goes to both"


def test_who_found_no_room_has_lost_nothing(world: Any, source: Any) -> None:
    anna = source("anna", 3)
    world.clock.advance(120)
    before = kept(world, anna)
    use_up(world, POLL, all_but=30)
    assert poll(world) == []
    after = kept(world, anna)
    assert (after.last_polled_at, after.poll_faults) == (before.last_polled_at, 0)


def test_what_is_expected_is_learnt_from_a_sources_own_posts(world: Any, sandbox: Any, source: Any) -> None:
    anna = source("anna", *range(1, 9))
    learnt = kept(world, anna).expected_posts
    now = half_hour(world.clock())
    assert len(learnt) == HALF_HOURS
    assert sum(learnt) / HALF_HOURS == pytest.approx(0.87, abs=0.05), "eight posts in eight days, and a little doubt"
    assert max(learnt) in (learnt[now - 1], learnt[now])
    sandbox.post(handle=anna.handle)
    world.clock.advance(120)
    poll(world)
    assert sum(kept(world, anna).expected_posts) > sum(learnt)


def test_the_database_gives_the_half_hour_that_the_plan_means(world: Any, source: Any) -> None:
    anna = source("anna")
    midnight = world.clock().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    with world.house.db.system(world.system) as session:
        connections.expect_posts(session, anna.id, [float(n) for n in range(HALF_HOURS)])
        given = [
            connections.due_for_poll(session, "tiktok", midnight + timedelta(minutes=30 * n + 29))[0].posts_a_day
            for n in range(HALF_HOURS)
        ]
    assert given == [float(n) for n in range(HALF_HOURS)]


def test_of_a_source_that_was_never_read_the_usual_is_expected_and_it_comes_first(world: Any, sandbox: Any) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    with world.house.db.system(world.system) as session:
        [new] = connections.due_for_poll(session, "tiktok", world.clock())
    assert (new.posts_a_day, new.asked_for) == (unknown_posts(), True)
    assert turns.claim_polls(world.house, world.system, "tiktok", 0) == []
    assert len(poll(world)) == 1


def test_two_who_choose_at_once_take_none_twice(world: Any, source: Any) -> None:
    anna, ben = source("anna", 3), source("ben", 3)
    now = world.clock() + timedelta(seconds=120)
    with world.house.db.system(world.system) as first, world.house.db.system(world.system) as second:
        assert [each.id for each in connections.claim_polls(first, [anna.id], now)] == [anna.id]
        assert [each.id for each in connections.claim_polls(second, [anna.id, ben.id], now)] == [ben.id]
