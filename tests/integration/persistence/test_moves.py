"""Does the database itself keep to the table of moves, whoever writes?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from autorepost_app.domain.identity import SystemScope, TenantId, TenantScope
from autorepost_app.domain.publications import MOVES, EvidenceKind, Move, State
from autorepost_app.persistence import publications
from autorepost_app.persistence.publications import MoveLost

STRANGER = "6f1f64a8-0f0e-4b55-8f0c-6f2c4c4c4c4c"

SYSTEM = SystemScope("test")
PAIRS = {(move.source, move.target) for move in MOVES if move.source is not move.target}


def _by_name(move: Move) -> str:
    return move.name


def _wrong_kind(move: Move) -> EvidenceKind:
    return next(kind for kind in EvidenceKind if kind != move.proof)


# ------------------------------------------------------------------------------------------------------- the guard


def test_the_newest_migration_allows_exactly_the_pairs_of_the_code(db: Any) -> None:
    with db.system(SYSTEM) as session:
        stored = {tuple(pair) for pair in session.execute(text("select source, target from publication_moves"))}
    assert stored == PAIRS


@pytest.mark.parametrize("role", ["app", "system"])
@pytest.mark.parametrize("source", list(State))
def test_the_database_refuses_every_change_of_state_that_is_no_move(
    db: Any, rows: Any, source: State, role: str
) -> None:
    row = rows.publication(source)
    scope = SYSTEM if role == "system" else TenantScope(TenantId(row.tenant_id))
    accepted = set()
    with db.session(scope) as session:
        for target in State:
            trial = session.begin_nested()
            try:
                session.execute(text("update publications set state = :s where id = :id"), {"s": target, "id": row.id})
                accepted.add(target)
            except IntegrityError as refusal:
                assert f"cannot go from {source} to {target}" in str(refusal)  # noqa: PT017 - thirteen trials a test
            trial.rollback()
    assert accepted == {target for target in State if (source, target) in PAIRS} | {source}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("platform", "elsewhere"),
        ("external_account_id", "another"),
        ("source_platform", "elsewhere"),
        ("source_post_id", "another"),
        ("tenant_id", STRANGER),
        ("post_id", STRANGER),
    ],
)
def test_who_a_publication_is_never_changes(db: Any, rows: Any, column: str, value: str) -> None:
    row = rows.publication()
    with pytest.raises(IntegrityError, match="identity of a publication never changes"), db.system(SYSTEM) as session:
        session.execute(text(f"update publications set {column} = :v where id = :id"), {"v": value, "id": row.id})


def test_an_epoch_never_falls(db: Any, rows: Any) -> None:
    row = rows.publication(lease_epoch=5)
    with pytest.raises(IntegrityError, match="epoch never falls"), db.system(SYSTEM) as session:
        session.execute(text("update publications set lease_epoch = 4 where id = :id"), {"id": row.id})


def test_nobody_who_publishes_can_make_a_publication_forgotten(db: Any, rows: Any) -> None:
    """A row that is gone is a promise that can be made, and kept, a second time."""
    row = rows.publication()
    for scope in (SYSTEM, TenantScope(TenantId(row.tenant_id))):
        with pytest.raises(Exception, match="permission denied"), db.session(scope) as session:
            session.execute(text("delete from publications where id = :id"), {"id": row.id})
    assert rows.read(row).id == row.id


def test_a_look_alike_of_the_table_of_moves_does_not_fool_the_guard(rows: Any, owner_connection: Any) -> None:
    """Temporary tables are found before real ones. Here even the owner of the database makes one, and asks."""
    row = rows.publication(State.PUBLISHED)
    with owner_connection.transaction(force_rollback=True):
        owner_connection.execute("create temp table publication_moves as select 'published' source, 'ready' target")
        with pytest.raises(psycopg.errors.CheckViolation, match="cannot go from published to ready"):
            owner_connection.execute("update publications set state = 'ready' where id = %s", [row.id])


# -------------------------------------------------------------------------------------------------------- the moves


@pytest.mark.parametrize("move", MOVES, ids=_by_name)
def test_a_move_goes_where_it_says_and_leaves_its_proof(rows: Any, move: Move) -> None:
    row, lease = rows.held(move.source)
    proof = rows.proof(EvidenceKind(move.proof)) if move.proof else None

    moved = rows.move(move.name, lease if move.fenced else row, proof=proof)

    assert moved.state == move.target
    assert moved.state_at == rows.now
    assert rows.evidence(row) == ([move.proof] if move.proof else [])


@pytest.mark.parametrize("move", MOVES, ids=_by_name)
def test_a_move_from_anywhere_else_is_lost(rows: Any, move: Move) -> None:
    elsewhere = next(state for state in State if state is not move.source)
    row, lease = rows.held(elsewhere)
    proof = rows.proof(EvidenceKind(move.proof)) if move.proof else None

    with pytest.raises(MoveLost):
        rows.move(move.name, lease if move.fenced else row, proof=proof)

    assert rows.read(row).state == elsewhere
    assert rows.evidence(row) == []


@pytest.mark.parametrize("move", [move for move in MOVES if move.proof], ids=_by_name)
def test_a_move_without_its_proof_is_our_own_fault(rows: Any, move: Move) -> None:
    row, lease = rows.held(move.source)
    mover = lease if move.fenced else row
    with pytest.raises(ValueError, match=f"{move.name} needs {move.proof} evidence"):
        rows.move(move.name, mover)
    with pytest.raises(ValueError, match=f"{move.name} needs {move.proof} evidence"):
        rows.move(move.name, mover, proof=rows.proof(_wrong_kind(move)))
    assert rows.read(row).state == move.source


@pytest.mark.parametrize("move", [move for move in MOVES if move.fenced], ids=_by_name)
def test_a_fenced_move_without_a_lease_is_our_own_fault(rows: Any, move: Move) -> None:
    row, _lease = rows.held(move.source)
    proof = rows.proof(EvidenceKind(move.proof)) if move.proof else None
    with pytest.raises(ValueError, match="needs the lease"):
        rows.move(move.name, row, proof=proof)


@pytest.mark.parametrize("move", [move for move in MOVES if move.fenced], ids=_by_name)
@pytest.mark.parametrize(
    "stale", [{"epoch": 0}, {"epoch": 2}, {"owner": "somebody"}, {"attempt_id": STRANGER}], ids=str
)
def test_a_writer_whose_lease_is_not_the_current_one_changes_no_row(rows: Any, move: Move, stale: Any) -> None:
    row, lease = rows.held(move.source)
    before = dict(vars(rows.read(row)))
    proof = rows.proof(EvidenceKind(move.proof)) if move.proof else None

    with pytest.raises(MoveLost):
        rows.move(move.name, replace(lease, **stale), proof=proof)

    after = dict(vars(rows.read(row)))
    assert {**after, "_sa_instance_state": None} == {**before, "_sa_instance_state": None}
    assert rows.evidence(row) == []


def test_a_move_and_its_evidence_are_undone_together(db: Any, rows: Any) -> None:
    row, lease = rows.held(State.COMMITTING)

    class Crash(Exception):
        pass

    def record_and_crash() -> None:
        with db.system(SYSTEM) as session:
            publications.move(session, "confirm", lease, now=rows.now, proof=rows.proof(EvidenceKind.LIVE))
            raise Crash

    with pytest.raises(Crash):
        record_and_crash()

    assert rows.read(row).state == State.COMMITTING
    assert rows.evidence(row) == []


def test_a_fenced_off_sender_may_still_tell_what_it_saw(db: Any, rows: Any) -> None:
    row, lease = rows.held(State.COMMITTING)
    rows.move("lease_lost", row, proof=rows.proof(EvidenceKind.UNCLEAR), lease_owner=None, lease_until=None)

    with pytest.raises(MoveLost):
        rows.move("confirm", lease, proof=rows.proof(EvidenceKind.LIVE))
    with db.system(SYSTEM) as session:
        publications.record(session, lease, rows.proof(EvidenceKind.LIVE))
        told = publications.live_evidence(session, row.id)

    assert rows.read(row).state == State.UNKNOWN
    assert told is not None
    assert (told.attempt_id, told.epoch) == (lease.attempt_id, lease.epoch)
