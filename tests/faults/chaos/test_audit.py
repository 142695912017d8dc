"""A chaos run is worth what its account is worth: planted losses and doubles, each of which it has to find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos.audit import Audit, LivePost, Promise, Row, compare

from autorepost_app.domain.publications import EvidenceKind, State

PROMISES = [Promise("post-1", "clip1", platform, f"{platform}-account") for platform in ("instagram", "x", "youtube")]
LIVE = EvidenceKind.LIVE, "the platform confirmed the post"
ABSENT = EvidenceKind.ABSENT, "the container has expired"


def row_of(promise: Promise, state: State = State.PUBLISHED, **more: Any) -> Row:
    row = Row(f"row-{promise.platform}", promise.source_post_id, promise.platform, promise.account_id, state)
    return replace(row, **{"external_id": f"live-{promise.platform}", "sends": 1, "evidence": (LIVE,), **more})


def live_of(promise: Promise, number: str = "") -> LivePost:
    text = f'{{"text": "{promise.word} A walk in the park"}}'
    return LivePost(f"live-{promise.platform}{number}", promise.platform, promise.account_id, text)


ROWS = [row_of(each) for each in PROMISES]
OUT = [live_of(each) for each in PROMISES]


def with_row(row: Row) -> list[Row]:
    return [row if each.platform == row.platform else each for each in ROWS]


def without(platform: str) -> list[LivePost]:
    return [each for each in OUT if each.platform != platform]


def test_what_is_published_and_live_once_is_well() -> None:
    audit = compare(PROMISES, ROWS, OUT)

    assert audit.is_clean
    assert audit.states == {State.PUBLISHED: 3}
    assert audit.promised == 3


def test_a_second_live_post_of_one_publication_is_found() -> None:
    audit = compare(PROMISES, ROWS, [*OUT, live_of(PROMISES[1], "-again")])

    assert len(audit.doubled) == 1
    assert "clip1 on x" in audit.doubled[0]
    assert not audit.is_clean


def test_the_same_post_on_two_accounts_is_no_double() -> None:
    elsewhere = replace(PROMISES[1], account_id="another")
    rows = [*ROWS, row_of(elsewhere, external_id="live-x-elsewhere")]

    audit = compare([*PROMISES, elsewhere], rows, [*OUT, live_of(elsewhere, "-elsewhere")])

    assert audit.is_clean


@pytest.mark.parametrize(
    ("rows", "out", "words"),
    [
        (ROWS[1:], OUT[1:], "no row"),
        (ROWS, without("x"), "nothing is live"),
    ],
    ids=["never promised", "published without a live post"],
)
def test_what_was_promised_and_is_nowhere_is_lost(rows: list[Row], out: list[LivePost], words: str) -> None:
    audit = compare(PROMISES, rows, out)

    assert len(audit.lost) == 1
    assert words in audit.lost[0]
    assert not audit.doubled
    assert not audit.is_clean


@pytest.mark.parametrize("state", [State.DETECTED, State.STAGING, State.COMMITTING, State.RECONCILING])
def test_what_stays_on_its_way_is_found(state: State) -> None:
    audit = compare(PROMISES, with_row(row_of(PROMISES[0], state, reason="on its way")), without("instagram"))

    assert len(audit.unfinished) == 1
    assert f"{state}: on its way" in audit.unfinished[0]
    assert not audit.is_clean


def only_wrong(audit: Audit) -> str:
    assert not audit.is_clean
    assert not audit.lost
    assert not audit.doubled
    assert len(audit.wrong) == 1
    return str(audit.wrong[0])


def test_failed_although_live_is_wrong() -> None:
    assert "failed, and live-youtube is live" in only_wrong(
        compare(PROMISES, with_row(row_of(PROMISES[2], State.FAILED)), OUT)
    )


def test_a_publication_bound_to_another_post_than_its_own_is_wrong() -> None:
    assert "bound to other" in only_wrong(compare(PROMISES, with_row(row_of(PROMISES[2], external_id="other")), OUT))


def test_a_live_post_that_nobody_promised_is_wrong() -> None:
    stranger = LivePost("live-stranger", "x", "x-account", '{"text": "something else"}')

    assert "nobody promised" in only_wrong(compare(PROMISES, ROWS, [*OUT, stranger]))


def test_a_second_send_without_a_proof_that_the_first_did_nothing_is_wrong_even_if_one_post_is_live() -> None:
    assert "2 sends with 0 proofs" in only_wrong(compare(PROMISES, with_row(row_of(PROMISES[0], sends=2)), OUT))


def test_a_second_send_after_such_a_proof_is_right() -> None:
    audit = compare(PROMISES, with_row(row_of(PROMISES[0], sends=2, evidence=(ABSENT, LIVE))), OUT)

    assert audit.is_clean
    assert audit.most_sends == 2


def test_what_failed_with_nothing_live_is_told_and_no_fault() -> None:
    audit = compare(PROMISES, with_row(row_of(PROMISES[0], State.FAILED, reason="too long")), without("instagram"))

    assert audit.is_clean
    assert audit.failures == ["clip1 on instagram instagram-account: failed: too long"]


UNDECIDED = EvidenceKind.UNDECIDED, "no post carries our media key"
UNREADABLE = EvidenceKind.UNDECIDED, "the read failed: nobody answers"


@pytest.mark.parametrize(
    ("promise", "evidence", "is_live", "is_right"),
    [
        (PROMISES[1], UNDECIDED, False, True),
        (PROMISES[1], UNDECIDED, True, False),
        (PROMISES[1], UNREADABLE, True, True),
        (PROMISES[0], UNDECIDED, False, False),
        (PROMISES[0], UNREADABLE, False, True),
    ],
    ids=[
        "X never proves absence",
        "X would have shown it",
        "nobody could read X",
        "Instagram would have said it",
        "nobody could read Instagram",
    ],
)
def test_a_person_is_rightly_asked_only_where_nobody_could_know(
    promise: Promise, evidence: tuple[EvidenceKind, str], is_live: bool, is_right: bool
) -> None:
    asked = with_row(row_of(promise, State.NEEDS_REVIEW, external_id=None, evidence=(evidence,)))

    audit = compare(PROMISES, asked, OUT if is_live else without(promise.platform))

    assert audit.is_clean == is_right
    assert len(audit.reviews) == is_right
    assert len(audit.needless_reviews) == (not is_right)
