"""Does docs/publications.md show the table of moves as the code has it? UPDATE_DOCS=1 draws it again."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autorepost_app.domain.publications import FINAL, FIRST, MOVES, Move, State

PAGE = Path(__file__).parents[2] / "docs" / "publications.md"
_DRAWN = re.compile(r"(?s)(?<=-->\n)(.*)(?=<!-- moves: end -->)")


def drawn() -> str:
    return f"\n{_diagram()}\n\n{_table()}\n\n"


def _diagram() -> str:
    """Moves that lead the same way share an arrow; those that stay where they are are left to the table."""
    names: dict[tuple[State, State], list[str]] = {}
    for move in MOVES:
        if move.source is not move.target:
            names.setdefault((move.source, move.target), []).append(move.name)
    arrows = [f"    {source} --> {target}: {', '.join(said)}" for (source, target), said in names.items()]
    ends = [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {FIRST}", *arrows, *ends, "```"])


def _table() -> str:
    head = ["| move | from | to | by | fenced | proof | why |", "|---|---|---|---|---|---|---|"]
    return "\n".join(head + [_row(move) for move in MOVES])


def _row(move: Move) -> str:
    proof = f"`{move.proof}`" if move.proof else ""
    cells = (f"`{move.name}`", move.source, move.target, move.by, "yes" if move.fenced else "", proof, move.why)
    return "| " + " | ".join(cells) + " |"


def test_the_page_shows_the_table_of_moves_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        page = _DRAWN.sub(lambda _: drawn(), page)
        PAGE.write_text(page, encoding="utf-8")
    found = _DRAWN.search(page)
    assert found, "the page has lost its markers"
    assert found[1] == drawn(), "docs/publications.md is behind MOVES: run this test with UPDATE_DOCS=1"


def test_the_diagram_leaves_no_state_and_no_move_out() -> None:
    diagram = _diagram()
    assert all(f" {state}" in diagram for state in State)
    assert all(move.name in diagram for move in MOVES if move.source is not move.target)
