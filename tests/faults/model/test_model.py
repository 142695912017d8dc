"""Is there any order of steps, crashes and pauses in which one publication goes wrong? All of them are tried.

The model goes by the product's own table of moves. That each rule is needed is shown by taking it away and seeing the
named invariant break; the failing test prints the shortest way there. `python tests/faults/model` prints them all.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from model.checker import MEANING, Exploration, Verdict
from model.variants import DESIGN, HARMLESS, INSTAGRAM, WITHOUT, X_RESENDS, Variant, X

from autorepost_app.domain.publications import MOVE, MOVES, By, EvidenceKind, Move, State

PAGE = Path(__file__).parents[3] / "docs" / "exactly-once.md"
_DRAWN = re.compile(r"(?s)(?<=-->\n)(.*)(?=<!-- model: end -->)")


@cache
def verdicts(variant: Variant) -> tuple[Verdict, ...]:
    return tuple(variant.verdicts())


def by_name(variant: Variant) -> str:
    return variant.name


@pytest.mark.parametrize("variant", [*DESIGN, *HARMLESS], ids=by_name)
def test_nothing_that_can_happen_breaks_the_promise(variant: Variant) -> None:
    [verdict] = verdicts(variant)
    assert not verdict.broken, f"{variant.name}: {verdict}"
    assert verdict.states > 500, "so small a world shows nothing"


@pytest.mark.parametrize("variant", WITHOUT, ids=by_name)
def test_without_this_rule_the_promise_breaks(variant: Variant) -> None:
    assert tuple(verdict.broken for verdict in verdicts(variant)) == variant.breaks
    for verdict in verdicts(variant):
        assert len(verdict.trace) > 3, verdict


def test_the_model_makes_every_move_of_the_table() -> None:
    made = frozenset[str]().union(*(verdict.moves for variant in DESIGN for verdict in verdicts(variant)))
    assert made == set(MOVE)


# ------------------------------------------------------------------------------------------- the table is the product's


def with_changed(name: str, **changes: object) -> tuple[Move, ...]:
    return tuple(replace(move, **changes) if move.name == name else move for move in MOVES)  # type: ignore[arg-type]


def without(name: str) -> tuple[Move, ...]:
    return tuple(move for move in MOVES if move.name != name)


def added(source: State, target: State, by: By, proof: str = "") -> tuple[Move, ...]:
    return (*MOVES, Move("added", source, target, by, "it seemed handy", proof=proof))


LIST_ONLY = "reads never give up"
"""Where a handle tells its fate, a read decides sooner or later."""

TABLES = {
    "an unclear send goes back to staging without proof": (
        added(State.UNKNOWN, State.STAGING, By.RECONCILER),
        "I1",
    ),
    "a person may send again without proof": (added(State.UNKNOWN, State.READY, By.PERSON), "I1"),
    "what was sent may be cancelled": (added(State.COMMITTING, State.CANCELLED, By.PERSON), "I3"),
    "reads need no proof of absence to send again": (with_changed("absent_same", proof=""), "I1"),
    "reads need no proof of absence to fail": (with_changed("absent_final", proof=""), "I3"),
    "a time-out is proof enough to try again": (with_changed("not_done", proof=EvidenceKind.UNCLEAR), "I1"),
    "an intent needs no lease": (with_changed("intend", fenced=False), "I3"),
    "a refusal needs no lease": (with_changed("not_done_reject", fenced=False), "I3"),
    "silent senders are not swept": (without("lease_lost"), "I4"),
    LIST_ONLY: (without("give_up"), "I4"),
    "nobody asks about unclear sends": (without("ask"), "I4"),
    "published can be undone": (added(State.PUBLISHED, State.DROPPED, By.PERSON), "I6"),
}


@pytest.mark.parametrize("said", TABLES)
def test_a_changed_table_of_moves_changes_the_verdict(said: str) -> None:
    table, breaks = TABLES[said]
    rules = X if said == LIST_ONLY else INSTAGRAM
    verdict = Exploration(replace(rules, table=table), (breaks,)).run()
    assert verdict.broken == breaks, f"{said}: {verdict}"


def test_a_trace_reads_as_a_story() -> None:
    """Shown on the oldest mistake of all: a time-out is taken for a failure."""
    verdict = Exploration(replace(X_RESENDS, unclear_is_unclear=False), ("I1",)).run()
    story = str(verdict).splitlines()
    assert story[0] == f"I1 is broken: {MEANING['I1']}"
    assert story[4:7] == [
        "  4. worker A writes its intent",
        "  5. worker A sends, with handle 1",
        "  6. worker A hears nothing that is clear: staging (not_done)",
    ]
    assert story[-1].endswith("the platform takes a late request with handle 1")


def test_the_same_world_is_explored_the_same_way_each_time() -> None:
    small = replace(X, most_sends=1)
    assert Exploration(small).run() == Exploration(small).run()


# ------------------------------------------------------------------------------------------------------------- the page


def drawn() -> str:
    head = ["| variant | what comes of it |", "|---|---|"]
    rows = [f"| {variant.name} | {_result(variant)} |" for variant in (*DESIGN, *HARMLESS, *WITHOUT)]
    return "\n" + "\n".join([*head, *rows]) + "\n\n"


def _result(variant: Variant) -> str:
    if not variant.breaks:
        return f"holds in all {verdicts(variant)[0].states:,} states"
    return "; ".join(f"{each.broken} breaks after {len(each.trace)} steps" for each in verdicts(variant))


def test_the_page_shows_what_the_model_finds() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        page = _DRAWN.sub(lambda _: drawn(), page)
        PAGE.write_text(page, encoding="utf-8")
    found = _DRAWN.search(page)
    assert found, "the page has lost its markers"
    assert found[1] == drawn(), "docs/exactly-once.md is behind the model: run this test with UPDATE_DOCS=1"
