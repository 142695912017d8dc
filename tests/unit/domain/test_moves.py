"""What does the table of moves allow, read as a graph? No database here: only the table itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from autorepost_app.domain.publications import (
    FINAL,
    FIRST,
    MOVE,
    MOVES,
    ON_ITS_WAY,
    UNSENT,
    By,
    EvidenceKind,
    Move,
    State,
    moves_from,
)

_LICENCES_TO_SEND = {EvidenceKind.ABSENT, EvidenceKind.NOT_DONE}
_WAITS_FOR_A_PERSON = {State.NEEDS_REVIEW, State.FAILED}


def reach(starts: Iterable[State], allowed: Callable[[Move], bool] = lambda _move: True) -> set[State]:
    """Every state that can be come to from `starts` over allowed moves, the starts among them."""
    seen = set(starts)
    while more := {move.target for move in MOVES if move.source in seen and allowed(move)} - seen:
        seen |= more
    return seen


def _holds_the_lease(move: Move) -> bool:
    """Made by whoever staged, sent or read under a lease, and not excused by proof that it is live."""
    if move.by is By.WORKER:
        return move.source in {State.STAGING, State.COMMITTING} and move.name != "resume"
    return move.by is By.RECONCILER and move.source is State.RECONCILING and move.proof != EvidenceKind.LIVE


def test_every_state_can_be_come_to() -> None:
    assert reach({FIRST}) == set(State)


def test_no_two_moves_share_a_name() -> None:
    assert len(MOVE) == len(MOVES)


def test_no_two_moves_of_one_actor_lead_the_same_way_under_the_same_conditions() -> None:
    ways = [(move.source, move.target, move.by, move.fenced, move.proof) for move in MOVES]
    assert len(set(ways)) == len(ways)


@pytest.mark.parametrize("state", sorted(set(State) - FINAL - {State.NEEDS_REVIEW}))
def test_a_waiting_publication_moves_on_without_a_person(state: State) -> None:
    assert any(move.by is not By.PERSON and move.target is not state for move in moves_from(state))


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_no_waiting_publication_is_beyond_being_published(state: State) -> None:
    assert State.PUBLISHED in reach({state})


def test_the_house_alone_brings_every_publication_to_its_end_or_to_a_person() -> None:
    by_itself = reach({FIRST}, lambda move: move.by is not By.PERSON)
    assert {state for state in by_itself if not moves_from(state)} <= FINAL
    for state in by_itself - FINAL - {State.NEEDS_REVIEW}:
        ends = reach({state}, lambda move: move.by is not By.PERSON) & (FINAL | {State.NEEDS_REVIEW})
        assert {State.PUBLISHED, State.FAILED, State.NEEDS_REVIEW} <= ends, state


@pytest.mark.parametrize("state", sorted(_WAITS_FOR_A_PERSON))
def test_what_waits_for_a_person_moves_by_itself_only_when_it_is_seen_live(state: State) -> None:
    alone = [move for move in moves_from(state) if move.by is not By.PERSON]
    assert {(move.target, move.proof) for move in alone} == {(State.PUBLISHED, EvidenceKind.LIVE)}
    assert any(move.by is By.PERSON for move in moves_from(state))


@pytest.mark.parametrize("state", sorted(ON_ITS_WAY))
def test_what_may_be_out_there_is_not_sent_again_without_proof_that_it_is_not(state: State) -> None:
    unproven = reach({state}, lambda move: move.proof not in _LICENCES_TO_SEND)
    assert not unproven & UNSENT
    assert State.FAILED not in unproven, "a failed one may be repeated: failing needs the same proof"


def test_the_only_way_to_a_send_is_from_staging_with_an_intent() -> None:
    [intend] = [move for move in MOVES if move.target is State.COMMITTING]
    assert (intend.name, intend.source, intend.fenced) == ("intend", State.STAGING, True)


def test_nothing_leaves_published() -> None:
    assert moves_from(State.PUBLISHED) == ()


def test_every_way_to_published_needs_proof_that_it_is_live() -> None:
    assert {move.proof for move in MOVES if move.target is State.PUBLISHED} == {EvidenceKind.LIVE}


def test_every_way_to_failed_needs_proof_that_nothing_is_live() -> None:
    proofs = {move.proof for move in MOVES if move.target is State.FAILED}
    assert proofs == {EvidenceKind.NOT_SENT, EvidenceKind.NOT_DONE, EvidenceKind.ABSENT}


def test_not_sent_is_said_only_of_attempts_that_sent_nothing() -> None:
    assert {move.source for move in MOVES if move.proof == EvidenceKind.NOT_SENT} <= UNSENT


@pytest.mark.parametrize("state", sorted(FINAL - {State.PUBLISHED, State.FAILED}))
def test_an_ended_publication_stays_ended_unless_it_is_seen_live(state: State) -> None:
    assert all(move.proof == EvidenceKind.LIVE for move in moves_from(state))


def test_a_person_may_say_no_only_before_the_send() -> None:
    assert {move.source for move in MOVES if move.target is State.CANCELLED} == UNSENT


def test_nobody_can_cancel_what_may_be_out_there() -> None:
    assert State.CANCELLED not in reach(ON_ITS_WAY, lambda move: move.proof not in _LICENCES_TO_SEND)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_a_move_is_fenced_exactly_when_the_holder_of_a_lease_makes_it(move: Move) -> None:
    assert move.fenced is _holds_the_lease(move)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_a_move_names_proof_that_exists_and_says_why(move: Move) -> None:
    assert not move.proof or move.proof in set(EvidenceKind)
    assert move.why


def test_the_three_kinds_of_state_leave_none_out_and_share_none() -> None:
    kinds = [*UNSENT, *ON_ITS_WAY, *FINAL]
    assert sorted(kinds) == sorted(State)


def test_moves_from_gives_each_move_to_its_own_source() -> None:
    assert [move for state in State for move in moves_from(state)] == sorted(
        MOVES, key=lambda move: list(State).index(move.source)
    )
