"""A platform that does not answer is left alone: nobody's tries are spent meanwhile, and all come back one by one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from autorepost_app.domain.circuits import ACCOUNT_FAULTS, PROBE_SECONDS, REST_SECONDS
from autorepost_app.domain.errors import Reconnect, TryAgain, Verdict, WaitUntil
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import GAP_SECONDS
from autorepost_app.persistence.models import Publication
from autorepost_app.services import circuits, publish, reconcile, record, restores, tokens

SCOPE = SystemScope("test")


@pytest.fixture
def several(world: Any, sandbox: Any) -> Callable[..., list[Publication]]:
    """One post, READY for so many accounts of a platform."""

    def make(count: int, platform: str = "x") -> list[Publication]:
        source = world.connect(world.house.platforms.sources()[0])
        world.rule(source, *(world.connect(platform, f"{sandbox.handle}.{number}") for number in range(count)))
        sandbox.post(description="A walk #walk")
        world.detect()
        return list(world.prepare().publications)

    return make


@pytest.fixture
def send(world: Any) -> Callable[[Publication], Publication]:
    def now(row: Publication) -> Publication:
        """At its time, and as far as it goes."""
        world.wait_for(world.row(row.id))
        return publish.publish(world.house, SCOPE, row.id, patience_seconds=0.0, progress=lambda _step, _at: None)

    return now


def silence(sandbox: Any, *rows: Publication, count: int | None = None) -> None:
    for row in rows:
        sandbox.fault("x", "upload.initialize", "read_error", account=row.external_account_id, count=count)


def test_three_accounts_in_a_row_without_an_answer_and_nobody_else_tries(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5)
    silence(sandbox, *rows)
    for row in rows[:3]:
        assert send(row).faults == 1
    asked = sandbox.calls_now("x", "upload.initialize")

    left = send(rows[3])

    assert sandbox.calls_now("x", "upload.initialize") == asked, "nobody asked"
    assert (left.state, left.faults, left.cause) == (State.READY, 0, "circuit")
    assert left.waiting_for == "X does not answer; it waits until that is over."
    assert left.due_at > world.clock()
    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [""]


def test_one_account_without_an_answer_does_not_hold_up_the_others(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    poor, *others = several(3)
    silence(sandbox, poor)
    for _ in range(ACCOUNT_FAULTS):
        send(poor)

    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [poor.external_account_id]
    assert [send(row).state for row in others] == [State.PUBLISHED] * 2
    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [poor.external_account_id], (
        "that others are served says nothing of this one"
    )


def test_a_success_between_two_faults_begins_the_count_anew(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5)
    silence(sandbox, *(rows[number] for number in (0, 1, 3, 4)))

    for row in rows:
        send(row)

    assert rows[2].id in {row.id for row in world.story().publications if row.state == State.PUBLISHED}
    assert circuits.open_now(world.house, SCOPE) == []


def test_other_platforms_go_on(
    world: Any, sandbox: Any, several: Callable[..., list[Publication]], send: Callable[..., Publication]
) -> None:
    rows = several(3)
    silence(sandbox, *rows)
    for row in rows:
        send(row)
    world.rule(world.connect_again("tiktok"), world.connect("youtube"), since_at=world.clock() - timedelta(days=1))
    world.prepare()

    assert world.settle("youtube").state == State.PUBLISHED


def test_after_the_rest_one_goes_first_and_the_others_wait_for_what_it_meets(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(6)
    silence(sandbox, *rows)
    for row in rows[:3]:
        send(row)
    asked = sandbox.calls_now("x", "upload.initialize")
    world.clock.advance(REST_SECONDS[0] + 1)

    first, *others = [send(row) for row in rows[3:]]

    assert sandbox.calls_now("x", "upload.initialize") == asked + 1
    assert first.faults == 1
    assert [(row.faults, row.cause) for row in others] == [(0, "circuit")] * 2
    circuit = circuits.open_now(world.house, SCOPE)[0]
    assert circuit.openings == 2
    assert circuit.probe_at - world.clock() > timedelta(seconds=REST_SECONDS[1] - 5), "it rests for longer now"


def test_when_it_answers_again_all_go_on_the_oldest_first_and_one_after_the_other(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(8)
    silence(sandbox, *rows[:3], count=1)
    for row in rows:
        send(row)
    world.clock.advance(REST_SECONDS[0] + 1)

    assert send(rows[3]).state == State.PUBLISHED

    back = [world.row(row.id) for row in rows[4:]]
    gaps = sorted((row.due_at - world.clock()).total_seconds() for row in back)
    assert [row.cause for row in back] == [""] * 4
    assert gaps == pytest.approx([number * GAP_SECONDS for number in range(4)], abs=GAP_SECONDS * 0.9)
    assert len({row.due_at for row in back}) == 4
    assert [send(row).state for row in rows[4:]] == [State.PUBLISHED] * 4


def test_whoever_went_first_and_died_is_followed_by_another(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5)
    silence(sandbox, *rows[:3], count=1)
    for row in rows[:3]:
        send(row)
    world.clock.advance(REST_SECONDS[0] + 1)
    with world.house.db.system(SCOPE) as session:
        assert circuits.held_off(world.house, session, rows[3]) is None  # and nothing more is heard of it

    with world.house.db.system(SCOPE) as session:
        assert circuits.held_off(world.house, session, rows[4]) is not None
    world.clock.advance(PROBE_SECONDS + 1)

    assert send(rows[4]).state == State.PUBLISHED
    assert circuits.open_now(world.house, SCOPE) == []


def test_answers_that_say_no_are_answers(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(4)
    for row in rows:
        sandbox.fault("x", "tweets.create", "rate_limited", account=row.external_account_id, seconds=60)

    for row in rows:
        send(row)

    assert circuits.open_now(world.house, SCOPE) == []


def test_sends_without_an_answer_hold_the_others_back_before_they_become_unclear_too(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any
) -> None:
    rows = several(4)
    for row in rows:
        sandbox.fault("x", "tweets.create", "commit_then_reset", account=row.external_account_id)

    assert [send(row).state for row in rows] == [State.UNKNOWN] * 3 + [State.READY]


def test_a_day_without_any_answer_ends_nothing_that_has_not_been_tried(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(12)
    silence(sandbox, *rows)
    for row in rows[:3]:
        send(row)

    until = world.clock() + timedelta(hours=12)
    while world.clock() < until:
        waiting = [world.row(row.id) for row in rows]
        send(min(waiting, key=lambda row: row.due_at))

    assert all(world.row(row.id).state == State.READY for row in rows)
    sandbox.control("DELETE", "/faults")
    assert all(world.step_to_rest(row.id).state == State.PUBLISHED for row in rows)


def test_a_delay_of_our_own_making_says_nothing_about_the_platform(
    several: Callable[..., list[Publication]], world: Any
) -> None:
    (row,) = several(1)
    for _ in range(2 * ACCOUNT_FAULTS):
        with world.house.db.system(SCOPE) as session:
            circuits.heard(world.house, session, row, TryAgain("We will try again in a moment."))
    assert list(circuits.open_now(world.house, SCOPE)) == []


def test_whoever_goes_first_and_meets_a_limit_has_met_somebody(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(6)
    silence(sandbox, *rows[:3], count=1)
    sandbox.fault("x", "tweets.create", "rate_limited", account=rows[3].external_account_id, seconds=3600)
    for row in [*rows[:3], rows[4]]:
        send(row)
    assert world.row(rows[4].id).cause == "circuit"
    world.clock.advance(REST_SECONDS[0] + 1)

    first = send(rows[3])

    assert (first.state, first.faults) == (State.READY, 0)
    assert circuits.open_now(world.house, SCOPE) == []
    assert world.row(rows[4].id).due_at - world.clock() < timedelta(seconds=5), "the others need not wait an hour"


def test_whoever_goes_first_for_an_account_that_is_gone_says_nothing_of_the_platform(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5)
    silence(sandbox, *rows[:3], count=1)
    for row in rows[:3]:
        send(row)
    tokens.needs_reconnect(world.house, SCOPE, rows[3].connection_id, Reconnect("It was revoked.", code="x.revoked"))
    world.clock.advance(REST_SECONDS[0] + 1)

    send(rows[3])

    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [""]
    world.clock.advance(PROBE_SECONDS + 1)
    assert send(rows[4]).state == State.PUBLISHED


def counts(world: Any, row: Publication, verdict: Verdict | None) -> None:
    circuits.heard(world.house, SCOPE, row, verdict)


def test_two_accounts_in_turn_do_not_close_a_platform_for_everybody(
    several: Callable[..., list[Publication]], world: Any
) -> None:
    first, second, third = several(3)
    fault = TryAgain("X has trouble.", "POST /2/tweets -> 503", "x.503")
    for row in (first, second, first, second):
        counts(world, row, fault)
    assert "" not in {each.account for each in circuits.open_now(world.house, SCOPE)}

    counts(world, third, fault)

    assert "" in {each.account for each in circuits.open_now(world.house, SCOPE)}


def test_what_one_tenant_met_is_not_told_to_another(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], world: Any
) -> None:
    *met, other = several(4)
    for row in met:
        counts(world, row, TryAgain("X has trouble.", "POST /2/users/alice -> 500 her caption", "x.500"))

    assert send(other).cause == "circuit"

    told = [line for line in record.recent_activity(world.house, world.scope) if line.publication_id == other.id]
    assert told
    assert not any("alice" in f"{line.text}{line.detail}" for line in told)


def test_a_limit_that_we_counted_ourselves_says_nothing_about_a_platform(
    several: Callable[..., list[Publication]], world: Any
) -> None:
    rows = several(4)
    for row in rows[:3]:
        counts(world, row, TryAgain("X has trouble.", "POST /2/tweets -> 503", "x.503"))
    ours = WaitUntil("A limit is used up.", "", "limit.tweets", at=world.clock(), limit="posts a day")

    counts(world, rows[3], ours)

    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [""]


def test_uploads_that_work_do_not_hide_that_no_send_is_answered(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5, "instagram")
    for row in rows:
        sandbox.fault("instagram", "media_publish", "reset_after_body", account=row.external_account_id, count=None)

    for row in rows[:3]:
        while send(row).state in (State.READY, State.STAGING):
            pass
    last = send(rows[3])

    assert (last.state, last.cause) == (State.READY, "circuit")
    assert [each.account for each in circuits.open_now(world.house, SCOPE)] == [""]


def test_whoever_goes_first_is_not_held_off_while_its_platform_works_on_it(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    rows = several(5, "instagram")
    for row in rows[:3]:
        counts(world, row, TryAgain("Instagram has trouble.", "POST /media -> 500", "instagram.500"))
    world.clock.advance(REST_SECONDS[0] + 1)

    first, other = send(rows[3]), send(rows[4])
    while first.state == State.STAGING:
        first = send(first)

    assert other.cause == "circuit"
    assert first.state == State.PUBLISHED
    assert circuits.open_now(world.house, SCOPE) == []


def test_faults_and_successes_of_one_account_at_once_wait_for_each_other_and_lose_nothing(
    several: Callable[..., list[Publication]], world: Any
) -> None:
    rows = several(4)
    fault = TryAgain("X has trouble.", "POST /2/tweets -> 503", "x.503")
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda number: counts(world, rows[number % 4], fault if number % 3 else None), range(80)):
            pass
    for row in rows:
        counts(world, row, None)

    assert circuits.open_now(world.house, SCOPE) == []


def test_what_was_answered_is_kept_even_where_it_cannot_be_written_down_as_a_state(
    several: Callable[..., list[Publication]],
    send: Callable[..., Publication],
    world: Any,
    sandbox: Any,
    cut_off: Callable[..., AbstractContextManager[None]],
) -> None:
    (row,) = several(1)
    with cut_off("insert into activity", after="INSERT INTO evidence"), pytest.raises(OperationalError):
        send(row)
    assert world.row(row.id).state == State.COMMITTING

    world.clock.advance(200)
    reconcile.sweep(world.house, SCOPE)
    sandbox.fault("x", "timeline", "read_error", count=None)
    world.clock.advance(30)

    assert reconcile.reconcile(world.house, SCOPE, row.id).state == State.PUBLISHED
    assert len(sandbox.live("x", row.external_account_id)) == 1


def test_a_run_does_not_stay_with_what_nobody_may_claim(
    several: Callable[..., list[Publication]], send: Callable[..., Publication], sandbox: Any, world: Any
) -> None:
    sandbox.control("PUT", "/settings", {"instagram": {"processing_seconds": 600.0}})
    (row,) = several(1, "instagram")
    assert send(row).state == State.STAGING
    restores.declare(world.house, SCOPE)
    world.clock.advance(3600)
    began = time.monotonic()

    publish.see_through(
        world.house, SCOPE, world.story().post.identity, patience_seconds=60.0, progress=lambda _step, _at: None
    )

    assert time.monotonic() - began < 30
