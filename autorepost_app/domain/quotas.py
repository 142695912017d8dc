"""Over which stretch of time is a call counted, and when will a queue be through its limits?

A limit is either sliding (so many in any 15 minutes) or of a calendar day in a zone. A sliding one is counted in short
spans that each leave as a whole, together with the last call in them: never more than the limit in any position of the
window, at the price of a twentieth of it at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_PARTS: Final = 20
_UNSEEN_SECONDS: Final = 120.0
"""A call that was counted less than this ago may not have reached the platform yet: a client gives up long before."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a call is counted. What counts now was all begun after `since`; from `ends_at` on this call does not.

    Counts that last beyond `fresh_after` are of calls that the platform may not have seen yet.
    """

    since: datetime
    starts_at: datetime
    ends_at: datetime
    fresh_after: datetime


def span_at(now: datetime, *, window_seconds: float | None, zone: str) -> Span:
    return _day(now, ZoneInfo(zone)) if window_seconds is None else _sliding(now, window_seconds)


def _sliding(now: datetime, seconds: float) -> Span:
    part, window = seconds / _PARTS, timedelta(seconds=seconds)
    starts_at = datetime.fromtimestamp(math.floor(now.timestamp() / part) * part, UTC)
    since = starts_at - window - timedelta(seconds=part)
    return Span(since, starts_at, now + window, now + window - timedelta(seconds=min(seconds, _UNSEEN_SECONDS)))


def _day(now: datetime, zone: ZoneInfo) -> Span:
    """From midnight to midnight by that zone's clocks: 23 to 25 hours."""
    today = now.astimezone(zone).date()
    starts_at, ends_at = (
        datetime.combine(day, time(), zone).astimezone(UTC) for day in (today, today + timedelta(days=1))
    )
    return Span(starts_at, starts_at, ends_at, starts_at)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How one limit stands for a queue: `left` now, `most` in each window, room again at `frees_at`."""

    left: float
    most: float
    frees_at: datetime
    window: timedelta


def done_at(now: datetime, wanted: float, outlook: Outlook) -> datetime:
    """When so much has been let through: at once while there is room, then a window's worth at a time."""
    if wanted <= outlook.left:
        return now
    if outlook.most <= 0:
        return datetime.max.replace(tzinfo=UTC)
    windows = math.ceil((wanted - max(outlook.left, 0)) / outlook.most)
    return outlook.frees_at + (windows - 1) * outlook.window


def turns_before(mine: int, others: list[int]) -> int:
    """How many are let through before the last of `mine` is, when every tenant gets one turn after the other."""
    return mine + sum(min(mine, waiting) for waiting in others)
