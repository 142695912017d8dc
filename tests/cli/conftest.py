"""The command as an operator runs it: a process of its own, with nothing of ours in its environment but what is set."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def _forks() -> Iterator[subprocess.Popen[str]]:
    """See `forks.py`."""
    argv = [sys.executable, str(Path(__file__).with_name("forks.py"))]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        argv, env=environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server
        assert server.stdin is not None
        server.stdin.close()


@pytest.fixture
def run(home: Path, tmp_path: Path, _forks: subprocess.Popen[str]) -> Run:
    """`autorepost <arguments>` with AUTOREPOST_<names>; the home is a fresh one unless given."""
    numbers = itertools.count()

    def run(*arguments: str, **names: object) -> Ended:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AUTOREPOST_")}
        ours = {"HOME": home, "PORT": free_port(), **names}
        environ |= {f"AUTOREPOST_{name}": str(value) for name, value in ours.items()}
        out, err = (tmp_path / f"{name}-{next(numbers)}" for name in ("out", "err"))
        asked = {"argv": arguments, "environ": environ, "out": str(out), "err": str(err)}
        assert _forks.stdin is not None
        assert _forks.stdout is not None
        _forks.stdin.write(json.dumps(asked) + "\n")
        _forks.stdin.flush()
        code = int(_forks.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

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
