"""The model is a set of plain modules beside the tests; it needs no platform and no database."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = str(Path(__file__).parents[1])
if FOLDER not in sys.path:
    sys.path.append(FOLDER)


@pytest.fixture(autouse=True)
def _no_processing() -> None:
    """Stands in for what the folder above asks of the sandbox."""
