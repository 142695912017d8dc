"""Do the documents speak of things that exist? Paths, tests, import contracts, commands and settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from autorepost_app.bootstrap import find_platforms, platform_settings
from autorepost_app.cli import main
from autorepost_app.config import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "NOTICE")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [*(ROOT / page for page in PAGES), *sorted((ROOT / "docs").glob("*.md")), *DECISIONS]
_PATH = re.compile(r"(?:autorepost_app|autorepost_pipelines|dashboards|tests|docs|deploy|\.ci)/[\w./-]*\w")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(#[^)\s]*)?\)")
_DEV = re.compile(r"dev\.py (\w+)")
_SETTING = re.compile(rf"{PREFIX}[A-Z_]+\b")
OF_DEV = {"test", "chaos", "lint", "lock"}
WRITTEN_BY_A_READER = ("bluesky",)


def _titles(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_every_path_it_names_is_there(document: Path) -> None:
    named = {path for path in _PATH.findall(document.read_text()) if not path.endswith(WRITTEN_BY_A_READER)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_test_it_names_is_there(document: Path) -> None:
    for module, name in _TEST.findall(document.read_text()):
        assert f"def {name}(" in (ROOT / module).read_text(), name


def test_every_link_leads_somewhere(document: Path) -> None:
    for target, title in _LINK.findall(document.read_text()):
        path = (document.parent / target) if target else document
        assert path.exists(), target
        assert not title or title in _titles(path), title


def test_every_command_it_names_can_be_given(document: Path) -> None:
    text = document.read_text()
    assert set(_DEV.findall(text)) <= set(main.commands) | OF_DEV
    for name, following in re.findall(r"`autorepost (\w+)(?: (\w+))?", text):
        assert name in main.commands, name
        command = main.commands[name]
        if isinstance(command, click.Group) and following:
            assert following in command.commands


def test_every_setting_it_names_is_one(document: Path) -> None:
    known = {f"{PREFIX}{name}".upper() for name in (*Settings.model_fields, *platform_settings(find_platforms()))}
    named = {name for name in _SETTING.findall(document.read_text()) if not name.endswith("_")}
    assert named <= known


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_says_what_enforces_it(path: Path) -> None:
    _, _, enforced = path.read_text().partition("## What enforces it\n")
    contracts = set(re.findall(r"contracts? `(\w+)`", enforced)) | set(re.findall(r"and `(\w+)`", enforced))
    tests = re.findall(r"`(tests/[\w/]+\.py)", enforced)
    assert tests or contracts
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert contracts <= {each["id"] for each in settings["tool"]["importlinter"]["contracts"]}
    for module, name in _TEST.findall(enforced):
        assert f"def {name}(" in (ROOT / module).read_text(), name


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_fits_on_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 50


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert all(path.read_text().startswith(f"# {path.name[:4]}. ") for path in DECISIONS)


def test_every_verdict_is_explained() -> None:
    from autorepost_app.domain.errors import Verdict

    table = (ROOT / "ARCHITECTURE.md").read_text()
    assert all(f"| `{verdict.__name__}` |" in table for verdict in Verdict.__subclasses__())


def test_the_licence_is_whole_and_names_every_clip_that_is_shipped() -> None:
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()
    notice = (ROOT / "NOTICE").read_text()
    clips = [path for folder in ("autorepost_app", "tests") for path in (ROOT / folder).rglob("*.mp4")]
    assert clips
    assert all(str(path.relative_to(ROOT)) in notice for path in clips)
