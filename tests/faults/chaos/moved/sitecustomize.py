"""What time is it for the product under destruction? Real time, and what a run has skipped while all was waiting.

Python imports this before anything else, because the folder is on PYTHONPATH for the processes of a chaos run and for
nothing else. The waits that a drain consists of (reads an hour apart, limits that end at midnight) are skipped by it.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autorepost_app.domain import clock

_SKIPPED = Path(os.environ["CHAOS_SKIPPED_SECONDS"])


def moved_now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(_SKIPPED.read_text()))


clock.utc_now = moved_now
