"""How far back is looked after a restore, when does a miss count, and what if several notice it at once?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.publications import State
from autorepost_app.persistence.restores import Marks, epoch, marks
from autorepost_app.services import reconcile, restores

HOUR = 3600.0


class LateStore:
    """The house's own store; its first write is heard of at once and done when it is told to."""

    def __init__(self, store: Any, until: Callable[[], object]) -> None:
        self._store, self._until = store, until

    def stream(self, key: str) -> Iterable[bytes]:
        return self._store.stream(key)

    def put_stream(self, chunks: Iterable[bytes], key: str) -> Any:
        self._until()
        return self._store.put_stream(chunks, key)


def fall_behind(world: Any) -> None:
    """The store remembers a database that had written more than this one has."""
    with world.house.db.system(world.system) as session:
        here = marks(session)
    restores._remember(world.house, Marks(here.server, here.timeline, here.database, here.flushed + 10**9))


def newest_epoch(world: Any) -> int:
    with world.house.db.system(world.system) as session:
        return epoch(session)


def read_once(world: Any, platform: str) -> Any:
    restores.watch(world.house, world.system)
    reconcile.reconcile_due(world.house, world.system, limit=50)
    return world.publication(platform)


# ------------------------------------------------------------------------------------------------ noticed by several


def waiting_for_a_lock(connection: psycopg.Connection[Any]) -> int:
    [count] = connection.execute("select count(*) from pg_locks where locktype = 'advisory' and not granted").fetchone()  # type: ignore[misc]
    return int(count)


def test_of_two_that_notice_at_once_one_opens_an_epoch(
    prepared: Any, meanwhile: Callable[..., Future[bool]], eventually: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    fall_behind(prepared)
    lock = "(hashtext('autorepost.restores'))"
    owner_connection.execute(f"select pg_advisory_lock{lock}")
    try:
        noticing = [meanwhile(restores.notice, prepared.house, prepared.system) for _ in range(2)]
        eventually(lambda: waiting_for_a_lock(owner_connection) == 2 or all(each.done() for each in noticing))
    finally:
        owner_connection.execute(f"select pg_advisory_unlock{lock}")

    assert sorted(each.result() for each in noticing) == [False, True]
    assert newest_epoch(prepared) == 1


def test_who_notices_before_the_first_has_written_it_down_opens_no_second_epoch(
    prepared: Any, meanwhile: Callable[..., Future[bool]], eventually: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    fall_behind(prepared)
    second: list[Future[bool]] = []

    def somebody_else_notices() -> None:
        second.append(meanwhile(restores.notice, prepared.house, prepared.system))
        eventually(lambda: waiting_for_a_lock(owner_connection) or second[0].done())

    late = replace(prepared.house, store=LateStore(prepared.house.store, somebody_else_notices))

    assert restores.notice(late, prepared.system)
    assert not second[0].result()
    assert newest_epoch(prepared) == 1


# ------------------------------------------------------------------------------------------------------ how far back


@pytest.mark.parametrize("platform", ["instagram", "x"])
def test_a_forgotten_post_is_found_by_a_clock_nine_minutes_behind_ours(
    prepared: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any, platform: str
) -> None:
    prepared.clock.moved += timedelta(minutes=9)  # of ours alone
    back, lost_since = rewind(), prepared.clock()
    sent = prepared.settle(platform)
    restored(prepared, back, lost_since=lost_since)

    row = settle(prepared, platform)

    assert (row.state, row.external_id) == (State.PUBLISHED, sent.external_id)
    assert len(sandbox.live(platform)) == 1


def test_an_operator_who_says_it_late_has_it_looked_for_back_to_the_backup(
    prepared: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any
) -> None:
    """The store came back with the database, so that a daemon went on for three hours without noticing."""
    back, made_at = rewind(), prepared.clock()
    sent = prepared.settle("instagram")
    back()
    prepared.clock.advance(3 * HOUR)
    restores.watch(prepared.house, prepared.system)

    restored(prepared, lambda: None, lost_since=made_at)

    row = settle(prepared, "instagram")
    assert (row.state, row.external_id) == (State.PUBLISHED, sent.external_id)
    assert len(sandbox.live("instagram")) == 1


# ------------------------------------------------------------------------------------------------ when a miss counts


@pytest.fixture
def patient(world: Any) -> Any:
    """A rule that waits two hours with each post."""
    made = {key: world.connect(key) for key in ("tiktok", "x")}
    world.rule(made["tiktok"], made["x"], delay_seconds=2 * HOUR)
    restores.watch(world.house, world.system)
    return world


def test_where_a_list_can_hide_a_post_what_was_not_due_before_the_restore_goes_out(
    patient: Any, sandbox: Any, settle: Any
) -> None:
    """The backup holds its promise, which was made an hour after the post: it was due in half an hour."""
    sandbox.post()
    patient.clock.advance(HOUR)
    patient.detect()
    patient.prepare()
    patient.clock.advance(1.5 * HOUR)
    restores.declare(patient.house, patient.system)

    assert settle(patient, "x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_post_found_again_that_no_promise_would_have_sent_yet_goes_out(
    patient: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any
) -> None:
    back = rewind()
    sandbox.post()
    patient.detect()
    restored(patient, back)
    patient.clock.advance(1)
    patient.detect()
    patient.prepare()

    assert settle(patient, "x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_post_found_again_after_the_restore_may_have_been_sent_before_it(
    world: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any
) -> None:
    """Its promise is as new as the daemon's next look, which says nothing of when it was promised first."""
    world.ready_made()
    back = rewind()
    sandbox.post(description="A walk in the woods #walk")
    world.detect()
    world.prepare()
    assert world.settle("x").state == State.PUBLISHED
    restored(world, back)
    world.clock.advance(1)
    world.detect()
    world.prepare()
    sandbox.fault("x", "timeline", "read_lag", seconds=72 * HOUR, count=None)

    assert settle(world, "x").state == State.NEEDS_REVIEW
    assert len(sandbox.live("x")) == 1


# ---------------------------------------------------------------------------------- what was known of a send before it


def test_an_old_send_is_read_about_anew_for_as_long_as_any_other(prepared: Any, sandbox: Any, settle: Any) -> None:
    """Refused two days before the restore; what was forgotten may be as young as that, and its list fails at first."""
    sandbox.fault("youtube", "insert.last", "rate_limited", seconds=120)
    assert prepared.publish("youtube").last_sent_at is not None
    prepared.clock.advance(48 * HOUR)
    restores.declare(prepared.house, prepared.system)
    sandbox.fault("youtube", "playlistItems.list", "read_error", count=2)

    assert read_once(prepared, "youtube").state == State.RECONCILING
    assert settle(prepared, "youtube").state == State.PUBLISHED
    assert len(sandbox.live("youtube")) == 1


def test_a_list_without_it_says_nothing_while_its_own_handle_leaves_it_open(
    prepared: Any, sandbox: Any, settle: Any
) -> None:
    """Instagram has it, hides the container and lists late: only both together could prove that it is not there."""
    sandbox.fault("instagram", "media_publish", "commit_then_reset")
    assert prepared.publish("instagram").state == State.UNKNOWN
    restores.declare(prepared.house, prepared.system)
    sandbox.fault("instagram", "container.status", "read_lag", seconds=72 * HOUR, count=None)
    sandbox.fault("instagram", "media.list", "read_lag", seconds=72 * HOUR, count=None)

    row = settle(prepared, "instagram")

    assert (row.state, len(sandbox.live("instagram"))) == (State.NEEDS_REVIEW, 1)


def test_an_upload_that_cannot_be_read_is_no_send_and_leaves_it_to_the_list(prepared: Any, sandbox: Any) -> None:
    """The backup knows a container and no send from it; Instagram does not show it any more."""
    assert prepared.publish("instagram", patience_seconds=0.0).state == State.STAGING
    restores.declare(prepared.house, prepared.system)
    prepared.clock.advance(60)
    sandbox.fault("instagram", "container.status", "read_lag", seconds=72 * HOUR, count=None)

    while (row := read_once(prepared, "instagram")).state == State.RECONCILING:
        prepared.clock.advance(max((row.due_at - prepared.clock()).total_seconds(), 0.0) + 0.1)

    assert row.state == State.READY
