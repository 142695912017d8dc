"""Does each import contract find the offence it is there for?

A rule that nothing has ever broken may be a rule that nothing can break: for every contract one offending import is
planted in a copy of the house, and the contract has to name it.
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Lint = Callable[[Path], subprocess.CompletedProcess[str]]

OFFENCES = {
    "layers": ("autorepost_app/media", "import autorepost_app.persistence.engine"),
    "faces": ("dashboards/screens", "import autorepost_app.web.app"),
    "app": ("autorepost_app/services", "import autorepost_pipelines.keys"),
    "rows": ("dashboards/screens", "from autorepost_app.persistence import publications"),
    "platforms": ("autorepost_app/platforms/x", "import autorepost_app.platforms.youtube.errors"),
    "platform_parts": ("autorepost_app/platforms/x", "import autorepost_app.media.store"),
    "wiring": ("autorepost_app/cli", "import autorepost_app.platforms.tiktok.source"),
    "settings": ("autorepost_app/services", "from autorepost_app import config"),
    "sandbox": ("autorepost_app/services", "from autorepost_app.sandbox import SandboxServer"),
    "processes": ("autorepost_app/web", "from autorepost_app.processes import Supervisor"),
    "decisions": ("autorepost_app/domain", "import time"),
    "use_cases": ("autorepost_app/services", "import httpx"),
    "sql": ("autorepost_app/services", "from sqlalchemy import select"),
    "dagster": ("autorepost_app/services", "import dagster"),
    "streamlit": ("autorepost_pipelines", "import streamlit"),
    "doors": ("autorepost_app/services", "import obstore"),
    "seals": ("autorepost_app/services", "from cryptography.hazmat.primitives.ciphers.aead import AESGCM"),
    "downloads": ("autorepost_app/platforms/tiktok", "import yt_dlp"),
}
"""By contract id: where, and which line."""

MORE_OFFENCES = [
    ("autorepost_app/sandbox", "import autorepost_app.platforms.x.limits", "layers"),
    ("autorepost_app/services", "import autorepost_app.platforms.x", "layers"),
    ("autorepost_app/web", "import streamlit", "streamlit"),
    ("autorepost_pipelines", "import sqlalchemy", "sql"),
    ("autorepost_pipelines", "from autorepost_app.persistence.models import Post", "rows"),
    ("autorepost_app/domain", "from autorepost_app.platform_kit.protocol import Platform", "layers"),
]


@pytest.fixture(scope="module")
def names(root: Path) -> dict[str, str]:
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    return {each["id"]: each["name"] for each in settings["tool"]["importlinter"]["contracts"]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, copy_house: Callable[[Path], Path]) -> Path:
    return copy_house(tmp_path_factory.mktemp("house"))


@contextmanager
def planted(copy: Path, folder: str, line: str) -> Iterator[None]:
    module = copy / folder / "planted.py"
    module.write_text(f'"""Breaks a rule."""\n\n{line}\n')
    try:
        yield
    finally:
        module.unlink()


def broken(report: str) -> set[str]:
    return {line.removesuffix(" BROKEN") for line in report.splitlines() if line.endswith(" BROKEN")}


def test_the_house_as_it_stands_keeps_every_contract(copy: Path, lint_imports: Lint, names: dict[str, str]) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{name} KEPT" in done.stdout for name in names.values())


def test_every_contract_has_an_offence_of_its_own(names: dict[str, str]) -> None:
    assert set(OFFENCES) == set(names)


@pytest.mark.parametrize("contract", OFFENCES)
def test_a_planted_import_is_found_by_its_contract(
    contract: str, copy: Path, lint_imports: Lint, names: dict[str, str]
) -> None:
    with planted(copy, *OFFENCES[contract]):
        done = lint_imports(copy)
    assert done.returncode != 0
    assert names[contract] in broken(done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize(("folder", "line", "contract"), MORE_OFFENCES)
def test_a_neighbouring_offence_is_found_too(
    folder: str, line: str, contract: str, copy: Path, lint_imports: Lint, names: dict[str, str]
) -> None:
    with planted(copy, folder, line):
        done = lint_imports(copy)
    assert names[contract] in broken(done.stdout), done.stdout + done.stderr


def test_a_new_package_must_be_given_its_place_among_the_layers(
    copy: Path, lint_imports: Lint, names: dict[str, str]
) -> None:
    package = copy / "autorepost_app" / "extras"
    package.mkdir()
    (package / "__init__.py").write_text('"""Nobody has placed this."""\n')
    try:
        done = lint_imports(copy)
    finally:
        (package / "__init__.py").unlink()
        package.rmdir()
    assert names["layers"] in broken(done.stdout)
