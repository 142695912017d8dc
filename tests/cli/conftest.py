"""The command as an operator runs it: a process of its own, with nothing of ours in its environment but what is set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autorepost_app.config import Settings
from autorepost_app.processes import free_port

ROOT = Path(__file__).parents[2]

Ended = subprocess.CompletedProcess[str]
Run = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """`autorepost <arguments>` with AUTOREPOST_<names>; the home is a fresh one unless given."""

    def run(*arguments: str, **names: object) -> Ended:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AUTOREPOST_")}
        ours = {"HOME": home, "PORT": free_port(), **names}
        environ |= {f"AUTOREPOST_{name}": str(value) for name, value in ours.items()}
        argv = [sys.executable, "-m", "autorepost_app.cli", *arguments]
        return subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Runs what must be refused: exit code 1, words instead of a traceback. Returns the words on one line."""

    def refused(*arguments: str, **names: object) -> str:
        ended = run(*arguments, **names)
        said = " ".join((ended.stdout + ended.stderr).split())
        assert ended.returncode == 1, said
        assert "Traceback" not in said
        assert said.count("autorepost:") == 1, said
        return said

    return refused


@pytest.fixture
def settings(home: Path) -> Settings:
    """Defaults on a fresh home."""
    return Settings(home=home, port=free_port())


@pytest.fixture
def tool(tmp_path: Path) -> Callable[[str, str], Path]:
    """A program that answers every question with these words."""

    def make(name: str, words: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncat <<'WORDS'\n{words}\nWORDS\n")
        path.chmod(0o700)
        return path

    return make
