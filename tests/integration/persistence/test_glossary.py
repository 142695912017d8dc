"""Has every thing its word in docs/glossary.md, and every word there its thing?"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import Verdict
from autorepost_app.domain.publications import By, EvidenceKind, State
from autorepost_app.persistence.models import Base
from autorepost_app.persistence.schema import ROLES
from autorepost_app.platform_kit.protocol import KeyKind

ROOT = Path(__file__).parents[3]
PRODUCT = ROOT / "autorepost_app"
_ROW = re.compile(r"^\| \*\*(?P<word>[^*]+)\*\* \| (?P<meaning>.+?) \| (?P<where>[^|]*)\|$", re.MULTILINE)
_BANNED = {"manager", "helper", "util", "handler", "processor", "data", "info", "do", "sync"}


@dataclass(frozen=True)
class Term:
    word: str
    meaning: str
    section: str
    kind: str
    target: str


def _terms() -> list[Term]:
    found = []
    for section in re.split(r"^## ", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE):
        title = section.splitlines()[0]
        for row in _ROW.finditer(section):
            kind, _, target = row["where"].strip().partition(" ")
            found.append(Term(row["word"], row["meaning"], title, kind, target.strip("`")))
    return found


TERMS = _terms()
EVERY_THING = [
    ("Who", [actor.value for actor in By]),
    ("Accounts", [status.value for status in ConnectionStatus]),
    ("States of a publication", [state.value for state in State]),
    ("Kinds of evidence", [kind.value for kind in EvidenceKind]),
    ("Verdicts", [verdict.__name__ for verdict in Verdict.__subclasses__()]),
    ("What a platform lets us find out after an unclear send", [kind.value for kind in KeyKind]),
    ("Logins of the database", list(ROLES)),
]


def test_no_line_of_the_page_is_read_past() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert len(TERMS) == sum(line.startswith("| **") for line in page.splitlines()) > 50


def test_one_word_is_one_thing() -> None:
    twice = [word for word, count in Counter(term.word.casefold() for term in TERMS).items() if count > 1]
    assert twice == []


def test_every_table_has_its_word(database: Any, owner_connection: Any) -> None:
    """The tables of the database itself, so that one made by hand in a migration is not forgotten."""
    stored = owner_connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    assert Counter(term.target for term in TERMS if term.kind == "table") == Counter(
        name for (name,) in stored if name != "alembic_version"
    )
    assert {name for (name,) in stored} - {"alembic_version"} == set(Base.metadata.tables)


@pytest.mark.parametrize(("section", "words"), EVERY_THING, ids=[section for section, _ in EVERY_THING])
def test_every_named_value_of_the_code_has_its_word_in_its_section(section: str, words: list[str]) -> None:
    assert set(words) <= {term.word for term in TERMS if term.section == section}


@pytest.mark.parametrize("section", ["States of a publication", "Kinds of evidence", "Verdicts"])
def test_no_word_stays_behind_when_its_value_is_gone(section: str) -> None:
    assert {term.word for term in TERMS if term.section == section} == set(dict(EVERY_THING)[section])


@pytest.mark.parametrize("term", [term for term in TERMS if term.kind], ids=lambda term: term.word)
def test_what_a_word_points_at_is_there(term: Term) -> None:
    match term.kind:
        case "table":
            assert term.target in Base.metadata.tables
        case "class":
            definition = re.compile(rf"^class {term.target}\b", re.MULTILINE)
            assert any(definition.search(path.read_text(encoding="utf-8")) for path in PRODUCT.rglob("*.py"))
        case "module":
            assert (PRODUCT / term.target).is_file()
        case other:
            pytest.fail(f"{term.word} points at a {other}")


def test_no_word_is_one_that_says_nothing() -> None:
    assert not _BANNED & {term.word.lower() for term in TERMS}


def test_no_table_or_state_is_named_by_a_word_that_says_nothing() -> None:
    parts = {part for name in [*Base.metadata.tables, *State, *EvidenceKind] for part in name.split("_")}
    assert not _BANNED & parts
