"""What tests of the house's shape share: its folder, and copies of it to do wrong in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("autorepost_app", "autorepost_pipelines", "dashboards")
_NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.mp4")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def copy_house() -> Callable[[Path], Path]:
    """Copies the packages and their rules, without history or environment."""

    def copy(target: Path) -> Path:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, target / package, ignore=_NOT_SOURCE)
        shutil.copy(ROOT / "pyproject.toml", target)
        return target

    return copy


@pytest.fixture(scope="session")
def in_copy() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python in a copy, whose packages then win over the installed ones."""

    def run(copy: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=copy, env=env, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture(scope="session")
def lint_imports(
    in_copy: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return lambda copy: in_copy(copy, "-c", program)
