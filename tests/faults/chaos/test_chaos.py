"""A short run of the whole product under destruction; `python3 dev.py chaos` makes long ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_COMMAND = [sys.executable, str(Path(__file__).parent)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_short_run_of_chaos_loses_nothing_and_doubles_nothing(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--faults"):
        pytest.skip("takes minutes: with --faults only")
    options = ["--minutes", "0.7", "--publications", "30", "--seed", "11", "--patience", "12"]

    done = subprocess.run([*_COMMAND, *options], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout
