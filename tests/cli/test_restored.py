"""Does whoever restored a backup get a clear answer?"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ran(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "AUTOREPOST_HOME": str(home)}
    argv = [sys.executable, "-m", *arguments]
    return subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_home_without_a_database_is_no_home_that_was_restored(tmp_path: Path) -> None:
    done = ran("autorepost_app.cli", "restored", home=tmp_path / "typo")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "There is no database in" in said
    assert "AUTOREPOST_HOME" in said
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_what_was_noted_is_said_once(tmp_path: Path) -> None:
    assert ran("autorepost_app.cli", "migrate", home=tmp_path).returncode == 0
    done = ran("autorepost_app.cli", "restored", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Noted: no publications are on the way, to be looked for before anything is sent.\n"


@pytest.mark.parametrize("said", ["yesterday", "2026-11-23", "2026-11-23T12:00"])
def test_a_time_without_its_zone_is_refused_with_an_example(tmp_path: Path, said: str) -> None:
    done = ran("autorepost_app.cli", "restored", "--lost-since", said, home=tmp_path)
    assert done.returncode == 1
    assert "2026-11-23T12:00+00:00" in done.stdout + done.stderr


def test_a_sandbox_on_a_taken_port_says_so_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ran("autorepost_app.sandbox", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "already in use. Choose another with --port." in done.stderr
    assert "Traceback" not in done.stderr
