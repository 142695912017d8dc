"""Can a reader that slept through somebody else's send have it sent twice?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.persistence import publications
from autorepost_app.persistence.publications import MoveLost

SYSTEM = SystemScope("test")
CONCLUSIONS = {
    "absent_same": EvidenceKind.ABSENT,
    "absent_new": EvidenceKind.ABSENT,
    "absent_final": EvidenceKind.ABSENT,
    "give_up": EvidenceKind.UNDECIDED,
}


def test_the_first_reader_of_an_unclear_send_turns_it_to_reading_under_a_new_epoch(rows: Any) -> None:
    row = rows.unclear()

    lease = rows.claim_reading(row)

    stored = rows.read(row)
    assert (stored.state, stored.lease_owner, stored.lease_epoch) == (State.RECONCILING, "reader", 2)
    assert (lease.epoch, lease.attempt_id) == (2, row.attempt_id)


@pytest.mark.parametrize("state", sorted(set(State) - {State.UNKNOWN, State.RECONCILING}))
def test_there_is_nothing_to_read_of_what_is_not_unclear(rows: Any, state: State) -> None:
    row = rows.publication(state)
    assert rows.claim_reading(row) is None
    assert rows.read(row).state == state


def test_a_read_is_not_made_before_its_time_nor_twice_at_once(rows: Any) -> None:
    row = rows.unclear(due_at=rows.now + timedelta(seconds=5))
    at = rows.now + timedelta(seconds=5)
    assert rows.claim_reading(row) is None
    assert rows.claim_reading(row, now=at) is not None
    assert rows.claim_reading(row, now=at) is None
    assert rows.claim_reading(row, now=at + timedelta(seconds=121)) is not None


@pytest.mark.parametrize("name", CONCLUSIONS)
def test_a_reader_whose_lease_passed_on_concludes_nothing(rows: Any, name: str) -> None:
    row = rows.unclear()
    stale = rows.claim_reading(row, "asleep")
    current = rows.claim_reading(row, "awake", now=rows.now + timedelta(seconds=121))

    with pytest.raises(MoveLost):
        rows.release(name, stale, proof=rows.proof(CONCLUSIONS[name]))

    stored = rows.read(row)
    assert (stored.state, stored.lease_owner, stored.lease_epoch) == (State.RECONCILING, "awake", current.epoch)
    assert rows.evidence(row) == [EvidenceKind.UNCLEAR]


def test_absence_read_before_a_second_send_is_not_absence_after_it(rows: Any) -> None:
    """ABA: the state a sleeping reader left, and the one it wakes up to, look alike. A whole send lies between."""
    row = rows.publication()
    sender = rows.claim(row)
    rows.intend(sender)
    rows.release("lose_sight", sender, proof=rows.proof(EvidenceKind.UNCLEAR))
    sleeper = rows.claim_reading(row, "sleeper")

    other = rows.claim_reading(row, "other", now=rows.now + timedelta(seconds=121))
    rows.release("absent_same", other, proof=rows.proof(EvidenceKind.ABSENT))
    second = rows.claim(row)
    rows.intend(second)
    rows.release("lose_sight", second, proof=rows.proof(EvidenceKind.UNCLEAR))
    rows.claim_reading(row, "third")

    assert rows.read(row).state == State.RECONCILING, "as the sleeper left it"
    with pytest.raises(MoveLost):
        rows.release("absent_same", sleeper, proof=rows.proof(EvidenceKind.ABSENT))
    assert rows.read(row).lease_owner == "third"


def test_a_sleeping_reader_of_the_same_attempt_is_told_apart_by_its_epoch_alone(rows: Any) -> None:
    row = rows.unclear()
    first = rows.claim_reading(row, "reader")
    second = rows.claim_reading(row, "reader", now=rows.now + timedelta(seconds=121))
    assert (first.owner, first.attempt_id) == (second.owner, second.attempt_id)
    with pytest.raises(MoveLost):
        rows.release("absent_new", first, proof=rows.proof(EvidenceKind.ABSENT))
    assert rows.release("absent_new", second, proof=rows.proof(EvidenceKind.ABSENT)).state == State.READY


def test_a_stale_reader_that_has_found_it_live_is_believed(rows: Any) -> None:
    """Live wins for ever, whoever saw it: only absence depends on when one looked."""
    row = rows.unclear()
    rows.claim_reading(row, "asleep")
    rows.claim_reading(row, "awake", now=rows.now + timedelta(seconds=121))
    assert rows.move("found", row, proof=rows.proof(EvidenceKind.LIVE)).state == State.PUBLISHED


def test_letting_go_says_when_to_read_next_and_a_stale_reader_says_nothing(db: Any, rows: Any) -> None:
    row = rows.unclear()
    stale = rows.claim_reading(row, "asleep")
    current = rows.claim_reading(row, "awake", now=rows.now + timedelta(seconds=121))
    soon, never = rows.now + timedelta(minutes=5), rows.now + timedelta(days=900)
    with db.system(SYSTEM) as session:
        publications.read_again(session, stale, due_at=never, waiting_for="nothing")
    assert rows.read(row).lease_owner == "awake"
    with db.system(SYSTEM) as session:
        publications.read_again(session, current, due_at=soon, waiting_for="Checking with There")
    stored = rows.read(row)
    assert (stored.due_at, stored.waiting_for, stored.lease_owner) == (soon, "Checking with There", None)


def test_the_first_proof_that_it_is_live_stays_the_proof(db: Any, rows: Any) -> None:
    row = rows.publication(State.RECONCILING)
    with db.system(SYSTEM) as session:
        assert publications.live_evidence(session, row.id) is None
        for kind in (EvidenceKind.UNDECIDED, EvidenceKind.LIVE, EvidenceKind.ABSENT, EvidenceKind.LIVE):
            publications.record(session, row, rows.proof(kind))
        first = publications.live_evidence(session, row.id)
        told = publications.evidence_of(session, row.id)
    assert first is not None
    assert [each.id for each in told].index(first.id) == 1


def test_a_late_answer_that_it_is_live_finds_what_was_ended_without_it(db: Any, rows: Any) -> None:
    ended, lease = rows.held(State.FAILED)
    reading = rows.publication(State.RECONCILING)
    rows.publication(State.FAILED)
    late = replace(rows.proof(EvidenceKind.LIVE), source="late_answer", external_id="first")
    with db.system(SYSTEM) as session:
        publications.record(session, lease, late)
        publications.record(session, lease, replace(late, external_id="second"))
        publications.record(session, reading, late)
        [(row, seen)] = publications.live_after_all(session, [State.FAILED])
        assert (row.id, seen.external_id) == (ended.id, "first")


def test_what_a_read_or_a_person_saw_is_no_late_answer(db: Any, rows: Any) -> None:
    row = rows.publication(State.DROPPED)
    with db.system(SYSTEM) as session:
        publications.record(session, row, rows.proof(EvidenceKind.LIVE))
        publications.record(session, row, replace(rows.proof(EvidenceKind.UNCLEAR), source="late_answer"))
        assert publications.live_after_all(session, [State.DROPPED]) == []
