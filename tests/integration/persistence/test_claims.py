"""Who works on a publication, with which attempt, and what becomes of a worker that lost it?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.persistence import publications, restores
from autorepost_app.persistence.publications import Lease, MoveLost

SYSTEM = SystemScope("test")
RACERS, ROUNDS = 8, 50
CLAIMABLE = {State.READY, State.STAGING}


def race(runners: int, run: Callable[[int], Any]) -> list[Any]:
    """What each runner brought back; they all start at the same moment."""
    start = threading.Barrier(runners)

    def one(number: int) -> Any:
        start.wait()
        return run(number)

    with ThreadPoolExecutor(runners) as pool:
        return list(pool.map(one, range(runners)))


def _attempts(db: Any, row: Any) -> Any:
    with db.system(SYSTEM) as session:
        return publications.attempts_of(session, row.id)


def _keep(db: Any, lease: Lease, **handles: str) -> None:
    with db.system(SYSTEM) as session:
        publications.keep_handles(session, lease, handles=handles, secret_sealed=b"sealed")


# --------------------------------------------------------------------------------------------------------- one winner


def test_of_eight_workers_exactly_one_gets_each_publication(rows: Any) -> None:
    scope = rows.tenant()
    for _ in range(ROUNDS):
        row = rows.publication(scope=scope)
        leases = race(RACERS, lambda number, row=row: rows.claim(row, f"worker-{number}"))
        [won] = [lease for lease in leases if lease]
        stored = rows.read(row)
        assert (stored.lease_owner, stored.lease_epoch, stored.attempt_id) == (won.owner, 1, won.attempt_id)


def test_of_eight_workers_exactly_one_takes_over_an_abandoned_publication(rows: Any) -> None:
    scope = rows.tenant()
    for _ in range(ROUNDS // 5):
        row = rows.publication(scope=scope)
        assert rows.claim(row, "dead")
        later = rows.now + timedelta(seconds=121)
        leases = race(RACERS, lambda number, row=row, at=later: rows.claim(row, f"worker-{number}", now=at))
        assert [lease.epoch for lease in leases if lease] == [2]


def test_of_eight_readers_exactly_one_reads(rows: Any) -> None:
    for _ in range(ROUNDS // 5):
        row = rows.unclear()
        leases = race(RACERS, lambda number, row=row: rows.claim_reading(row, f"reader-{number}"))
        assert [lease.epoch for lease in leases if lease] == [row.lease_epoch + 1]


@pytest.mark.parametrize("state", sorted(set(State) - CLAIMABLE))
def test_only_what_is_ready_or_abandoned_can_be_claimed(rows: Any, state: State) -> None:
    assert rows.claim(rows.publication(state)) is None


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
def test_nothing_is_claimed_before_its_time(rows: Any, state: State) -> None:
    row = rows.publication(state, due_at=rows.now + timedelta(seconds=1))
    assert rows.claim(row) is None
    assert rows.claim(row, now=rows.now + timedelta(seconds=1)) is not None


def test_a_lease_holds_until_its_very_end(rows: Any) -> None:
    row = rows.publication()
    assert rows.claim(row)
    assert rows.claim(row, now=rows.now + timedelta(seconds=120)) is None
    assert rows.claim(row, now=rows.now + timedelta(seconds=121)) is not None


def test_a_claim_of_nothing_is_no_lease(db: Any, rows: Any) -> None:
    with db.system(SYSTEM) as session:
        unknown = "00000000-0000-4000-8000-000000000000"
        assert publications.claim(session, unknown, owner="w", now=rows.now, lease_seconds=120) is None


def test_what_is_held_is_not_offered_as_due(db: Any, rows: Any) -> None:
    scope = rows.tenant()
    late, early, held = (
        rows.publication(scope=scope, due_at=rows.now - timedelta(seconds=age)) for age in (10, 20, 30)
    )
    rows.publication(scope=scope, due_at=rows.now + timedelta(seconds=1))
    rows.publication(State.PUBLISHED, scope)
    assert rows.claim(held)
    with db.system(SYSTEM) as session:
        due = publications.due(session, CLAIMABLE, rows.now, 10)
        assert [row.id for row in due] == [early.id, late.id]
        assert [row.id for row in publications.due(session, CLAIMABLE, rows.now, 1)] == [early.id]


# ----------------------------------------------------------------------------------------------------------- attempts


def test_who_takes_over_an_unsent_attempt_goes_on_with_it_and_its_handles(db: Any, rows: Any) -> None:
    row = rows.publication()
    first = rows.claim(row, "dead")
    _keep(db, first, session="s1")

    second = rows.claim(row, "next", now=rows.now + timedelta(seconds=121))

    assert (second.attempt_id, second.epoch) == (first.attempt_id, 2)
    [attempt] = _attempts(db, row)
    assert attempt.handles == {"session": "s1"}


@pytest.mark.parametrize(("outcome", "kept"), [("not_done_same_handle", True), ("not_done", False)])
def test_after_a_send_that_was_refused_the_next_is_a_new_attempt(db: Any, rows: Any, outcome: str, kept: bool) -> None:
    row = rows.publication()
    first = rows.claim(row)
    _keep(db, first, container="c1")
    rows.intend(first)
    with db.system(SYSTEM) as session:
        publications.close_attempt(session, first.attempt_id, outcome=outcome, now=rows.now, verdict={})
    rows.release("not_done_wait", first, proof=rows.proof(EvidenceKind.NOT_DONE))

    second = rows.claim(row)

    assert second.attempt_id != first.attempt_id
    spent, fresh = _attempts(db, row)
    assert (spent.number, fresh.number) == (1, 2)
    assert spent.handles == {"container": "c1"}
    assert fresh.intended_at is None
    assert (fresh.handles, fresh.secret_handles_sealed) == (({"container": "c1"}, b"sealed") if kept else ({}, None))


@pytest.mark.parametrize(("outcome", "kept"), [("absent_same_handle", True), ("absent", False)])
def test_after_proof_of_absence_the_handle_is_kept_only_where_it_stays_single(
    db: Any, rows: Any, outcome: str, kept: bool
) -> None:
    row = rows.publication()
    first = rows.claim(row)
    _keep(db, first, container="c1")
    rows.intend(first)
    rows.release("lose_sight", first, proof=rows.proof(EvidenceKind.UNCLEAR))
    reading = rows.claim_reading(row)
    with db.system(SYSTEM) as session:
        publications.settle_attempt(session, first.attempt_id, outcome=outcome, now=rows.now)
    rows.release("absent_same", reading, proof=rows.proof(EvidenceKind.ABSENT))

    second = rows.claim(row)

    assert second.attempt_id != first.attempt_id
    assert second.epoch == 3
    assert _attempts(db, row)[1].handles == ({"container": "c1"} if kept else {})


def test_what_a_person_sends_again_never_takes_over_a_handle_of_unknown_fate(db: Any, rows: Any) -> None:
    row = rows.publication()
    first = rows.claim(row)
    _keep(db, first, media="m1")
    rows.intend(first)
    rows.release("lose_sight", first, proof=rows.proof(EvidenceKind.UNCLEAR))
    rows.release("give_up", rows.claim_reading(row), proof=rows.proof(EvidenceKind.UNDECIDED))
    rows.move("review_absent", row, proof=rows.proof(EvidenceKind.ABSENT))

    assert rows.claim(row).attempt_id != first.attempt_id
    assert _attempts(db, row)[1].handles == {}


def test_how_an_attempt_ended_is_written_once(db: Any, rows: Any) -> None:
    _row, lease = rows.held(State.STAGING)
    with db.system(SYSTEM) as session:
        publications.close_attempt(session, lease.attempt_id, outcome="done", now=rows.now, verdict={"id": "1"})
        publications.close_attempt(session, lease.attempt_id, outcome="not_done", now=rows.now, verdict={})
        publications.settle_attempt(session, lease.attempt_id, outcome="absent", now=rows.now)
        attempt = publications.attempt(session, lease.attempt_id)
        assert (attempt.outcome, attempt.verdict) == ("done", {"id": "1"})


@pytest.mark.parametrize("told", [None, "unknown"])
def test_a_read_settles_an_attempt_whose_end_was_unclear(db: Any, rows: Any, told: str | None) -> None:
    _row, lease = rows.held(State.RECONCILING)
    with db.system(SYSTEM) as session:
        if told:
            publications.close_attempt(session, lease.attempt_id, outcome=told, now=rows.now, verdict={})
        publications.settle_attempt(session, lease.attempt_id, outcome="done", now=rows.now)
        assert publications.attempt(session, lease.attempt_id).outcome == "done"


# --------------------------------------------------------------------------------------------------------- lost leases


def test_a_worker_that_lost_its_lease_can_neither_stage_nor_stay_nor_send(db: Any, rows: Any) -> None:
    row = rows.publication()
    lost = rows.claim(row, "asleep")
    winner = rows.claim(row, "awake", now=rows.now + timedelta(seconds=121))
    _keep(db, winner, container="winner's")

    with pytest.raises(MoveLost):
        _keep(db, lost, container="sleeper's")
    with pytest.raises(MoveLost), db.system(SYSTEM) as session:
        publications.extend(session, lost, now=rows.now, lease_seconds=999)
    with pytest.raises(MoveLost):
        rows.intend(lost)

    stored = rows.read(row)
    assert (stored.state, stored.lease_owner, stored.lease_epoch) == (State.STAGING, "awake", 2)
    assert stored.lease_until == rows.now + timedelta(seconds=241)
    [attempt] = _attempts(db, row)
    assert attempt.handles == {"container": "winner's"}
    assert attempt.intended_at is None


@pytest.mark.parametrize("name", ["cancel_staging"])
def test_a_worker_whose_publication_was_cancelled_meanwhile_sends_nothing(db: Any, rows: Any, name: str) -> None:
    row = rows.publication()
    lease = rows.claim(row)
    rows.move(name, row, lease_owner=None, lease_until=None)
    with pytest.raises(MoveLost):
        rows.intend(lease)
    with pytest.raises(MoveLost):
        _keep(db, lease, container="c1")
    assert rows.read(row).state == State.CANCELLED


def test_an_extended_lease_is_held_for_longer(db: Any, rows: Any) -> None:
    row = rows.publication()
    lease = rows.claim(row)
    with db.system(SYSTEM) as session:
        publications.extend(session, lease, now=rows.now + timedelta(seconds=100), lease_seconds=120)
    assert rows.claim(row, now=rows.now + timedelta(seconds=220)) is None


def test_an_intent_says_when_it_was_made_and_until_when_it_may_be_sent(db: Any, rows: Any) -> None:
    row = rows.publication()
    lease = rows.claim(row)
    rows.intend(lease)

    stored, [attempt] = rows.read(row), _attempts(db, row)
    assert stored.state == State.COMMITTING
    assert stored.first_sent_at == stored.last_sent_at == attempt.intended_at == rows.now
    assert stored.send_before == attempt.send_before == rows.now + timedelta(seconds=20)


def test_an_intent_has_a_whole_lease_ahead_of_it_however_late_it_comes(rows: Any) -> None:
    """Else a healthy sender would be swept while its exchange is still under way (R2)."""
    row = rows.publication()
    late = rows.now + timedelta(seconds=110)
    rows.intend(rows.claim(row), now=late)
    assert rows.read(row).lease_until == late + timedelta(seconds=rows.lease_seconds)


def test_the_epoch_and_not_the_name_decides_who_holds_a_lease(db: Any, rows: Any) -> None:
    """One process may come back to what it lost itself."""
    row = rows.publication()
    lost = rows.claim(row, "worker")
    rows.claim(row, "worker", now=rows.now + timedelta(seconds=121))
    with pytest.raises(MoveLost), db.system(SYSTEM) as session:
        publications.extend(session, lost, now=rows.now + timedelta(seconds=999), lease_seconds=999)
    assert rows.read(row).lease_until == rows.now + timedelta(seconds=241)


def test_a_reader_that_lost_its_lease_does_not_take_it_from_the_next(db: Any, rows: Any) -> None:
    row = rows.unclear()
    lost = rows.claim_reading(row, "reader")
    held = rows.claim_reading(row, "reader", now=rows.now + timedelta(seconds=121))
    with db.system(SYSTEM) as session:
        publications.read_again(session, lost, due_at=rows.now, waiting_for="overwritten")
    stored = rows.read(row)
    assert (stored.lease_owner, stored.lease_epoch) == ("reader", held.epoch)
    assert stored.lease_until == rows.now + timedelta(seconds=241)
    assert stored.waiting_for != "overwritten"


def test_one_attempt_intends_once(rows: Any) -> None:
    lease = rows.claim(rows.publication())
    rows.intend(lease)
    with pytest.raises(MoveLost):
        rows.intend(lease)


# -------------------------------------------------------------------------------------------------------------- sweep


def test_the_sweeper_takes_only_silent_senders(db: Any, rows: Any) -> None:
    scope, gone, here = rows.tenant(), rows.now - timedelta(seconds=1), rows.now + timedelta(seconds=1)
    silent = rows.publication(State.COMMITTING, scope, lease_owner="w", lease_until=gone)
    sending = rows.publication(State.COMMITTING, scope, lease_owner="w", lease_until=here)
    others = [
        rows.publication(state, scope, lease_owner="w", lease_until=gone)
        for state in State
        if state is not State.COMMITTING
    ]
    with db.system(SYSTEM) as session:
        assert [row.id for row in publications.sweep(session, rows.now, 10)] == [silent.id]

    swept = rows.read(silent)
    assert (swept.state, swept.lease_owner, swept.lease_until) == (State.UNKNOWN, None, None)
    assert rows.evidence(silent) == [EvidenceKind.UNCLEAR]
    assert rows.read(sending).state == State.COMMITTING
    assert [rows.read(row).state for row in others] == [row.state for row in others]


def test_sweepers_at_the_same_time_share_the_work(db: Any, rows: Any) -> None:
    scope, gone = rows.tenant(), rows.now - timedelta(seconds=1)
    silent = [rows.publication(State.COMMITTING, scope, lease_owner="w", lease_until=gone) for _ in range(12)]

    def run(_number: int) -> int:
        with db.system(SYSTEM) as session:
            return len(publications.sweep(session, rows.now, 100))

    assert sum(race(4, run)) == len(silent)
    assert all(rows.evidence(row) == [EvidenceKind.UNCLEAR] for row in silent)


def test_a_sweeper_takes_no_more_than_it_was_asked_to_and_the_longest_silent_first(db: Any, rows: Any) -> None:
    scope = rows.tenant()
    silent = [
        rows.publication(State.COMMITTING, scope, lease_until=rows.now - timedelta(seconds=age)) for age in (1, 3, 2)
    ]
    with db.system(SYSTEM) as session:
        assert [row.id for row in publications.sweep(session, rows.now, 2)] == [silent[1].id, silent[2].id]


# --------------------------------------------------------------------------------------------------------- restores


def test_after_a_restore_nothing_is_claimed_before_it_was_looked_for(db: Any, rows: Any) -> None:
    row = rows.publication(State.READY)
    _restore(db, rows)

    assert _claim(db, rows, row.id) is None
    with db.system(SYSTEM) as session:
        publications.looked(session, row.id, restores.epoch(session))
    assert _claim(db, rows, row.id) is not None


def test_a_lease_from_before_a_restore_sends_nothing(db: Any, rows: Any) -> None:
    row = rows.publication(State.READY)
    lease = _claim(db, rows, row.id)
    _restore(db, rows)

    with pytest.raises(MoveLost, match="looked for"), db.system(SYSTEM) as session:
        publications.intend(session, lease, now=rows.now, send_before=rows.now, lease_until=rows.now)
    with db.system(SYSTEM) as session:
        assert publications.get(session, row.id).state == State.STAGING


@pytest.mark.parametrize(("posted_after_seconds", "free"), [(-1, False), (1, True)])
def test_only_what_appeared_after_the_restore_is_free_of_the_look(
    db: Any, rows: Any, posted_after_seconds: int, free: bool
) -> None:
    _restore(db, rows)
    rows.now += timedelta(seconds=posted_after_seconds)

    row = rows.publication(State.READY)

    assert (_claim(db, rows, row.id) is not None) is free


def test_what_is_due_and_not_held_is_called_into_doubt_once(db: Any, rows: Any) -> None:
    ready, later = rows.publication(State.READY), rows.publication(State.READY, due_at=rows.now + timedelta(hours=1))
    held, _ = rows.held(State.STAGING)
    _restore(db, rows)

    with db.system(SYSTEM) as session:
        called = [row.id for row in publications.doubt(session, rows.now, 10)]
    with db.system(SYSTEM) as session:
        again = publications.doubt(session, rows.now, 10)

    assert (called, again) == ([ready.id], [])
    with db.system(SYSTEM) as session:
        states = [publications.get(session, each.id).state for each in (ready, later, held)]
    assert states == [State.RECONCILING, State.READY, State.STAGING]


def _restore(db: Any, rows: Any) -> None:
    with db.system(SYSTEM) as session:
        restores.open_epoch(session, lost_since=rows.now, restored_at=rows.now, reason="a test")


def _claim(db: Any, rows: Any, publication_id: str) -> Any:
    with db.system(SYSTEM) as session:
        return publications.claim(session, publication_id, owner="worker", now=rows.now, lease_seconds=120.0)
