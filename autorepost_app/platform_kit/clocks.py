"""By how much does this machine's clock differ from those of the platforms, as their answers tell?

Heard in passing, from the `Date` of answers that are read anyhow. Kept by this process, for whoever looks in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median
from threading import Lock
from typing import Final

_HEARD: Final = 5
"""The middle one of so many counts, so that one answer out of a cache says nothing."""
_seconds: dict[str, deque[float]] = {}
_one_at_a_time: Final = Lock()


def heard(platform_name: str, date: str | None) -> None:
    """Real time against real time: a clock that a test has moved has no part in it."""
    try:
        at = parsedate_to_datetime(date or "")
    except ValueError:
        return
    seconds = (datetime.now(UTC) - at.replace(tzinfo=at.tzinfo or UTC)).total_seconds()
    with _one_at_a_time:
        _seconds.setdefault(platform_name, deque(maxlen=_HEARD)).append(seconds)


def ahead_seconds() -> Mapping[str, float]:
    """By platform, how much later it is here; negative where it is earlier. Those of which enough was heard."""
    with _one_at_a_time:
        return {name: median(seconds) for name, seconds in _seconds.items() if len(seconds) == _HEARD}
