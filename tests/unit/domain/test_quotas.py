"""Over which time is a call counted, and when is a queue through?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.quotas import Outlook, done_at, span_at, turns_before

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECONDS = st.sampled_from([60.0, 900.0, 86_400.0])
TIMES = st.integers(1_767_225_600_000, 1_830_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
ZONES = st.sampled_from(["America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "UTC"])


@given(now=TIMES, seconds=SECONDS)
def test_a_sliding_span_outlasts_its_window_by_less_than_a_twentieth(now: datetime, seconds: float) -> None:
    span = span_at(now, window_seconds=seconds, zone="UTC")
    part = timedelta(seconds=seconds / 20)

    assert span.ends_at - now == timedelta(seconds=seconds)
    assert timedelta(0) <= now - span.starts_at < part
    assert span.since <= now - timedelta(seconds=seconds) - part, "whatever still counts was begun after it"


@given(now=TIMES, zone=ZONES)
def test_every_moment_is_in_exactly_one_day(now: datetime, zone: str) -> None:
    day = span_at(now, window_seconds=None, zone=zone)
    following = span_at(day.ends_at, window_seconds=None, zone=zone)

    assert day.starts_at <= now < day.ends_at == following.starts_at
    assert timedelta(hours=23) <= day.ends_at - day.starts_at <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(0, NOON), (4, NOON), (5, NOON + HOUR), (14, NOON + HOUR), (15, NOON + 2 * HOUR), (104, NOON + 10 * HOUR)],
)
def test_a_queue_goes_at_once_while_there_is_room_and_then_a_window_at_a_time(wanted: int, expected: datetime) -> None:
    assert done_at(NOON, wanted, Outlook(left=4, most=10, frees_at=NOON + HOUR, window=HOUR)) == expected


@pytest.mark.parametrize(("left", "wanted"), [(4, 4), (0, 0)])
def test_what_is_just_left_is_gone_now_however_soon_there_is_more(left: int, wanted: int) -> None:
    soon = Outlook(left=left, most=10, frees_at=NOON + HOUR / 4, window=HOUR)

    assert done_at(NOON, wanted, soon) == NOON
    assert done_at(NOON, wanted + 1, soon) == NOON + HOUR / 4


def test_an_overdrawn_limit_begins_its_next_window_anew() -> None:
    """The platform grants less than it did: nothing of what was used before is taken off the next window."""
    overdrawn = Outlook(left=-7, most=10, frees_at=NOON + HOUR, window=HOUR)

    assert done_at(NOON, 10, overdrawn) == NOON + HOUR


def test_what_a_platform_grants_nothing_of_is_never_done() -> None:
    assert done_at(NOON, 1, Outlook(left=0, most=0, frees_at=NOON, window=HOUR)).year == 9999


def test_in_turns_a_short_queue_waits_for_as_many_of_the_long_one() -> None:
    assert turns_before(3, [1000]) == 6
    assert turns_before(1000, [3, 5]) == 1008
    assert turns_before(4, []) == 4
