"""When is a grant renewed, and is a reconnect of the same account?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.connections import missing_scopes, refresh_due, same_account
from autorepost_app.domain.errors import UserError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _due(now: datetime, *, issued: datetime | None = NOON, expires: datetime | None = NOON + HOUR) -> bool:
    return refresh_due(now=now, issued_at=issued, expires_at=expires, margin=0.1, min_age_seconds=300)


def test_a_token_without_an_end_is_never_refreshed() -> None:
    assert not _due(NOON + timedelta(days=900), expires=None)


@pytest.mark.parametrize(("minutes", "due"), [(0, False), (53, False), (54, True), (60, True), (9000, True)])
def test_a_token_is_refreshed_in_the_last_tenth_of_its_life(minutes: int, due: bool) -> None:
    assert _due(NOON + timedelta(minutes=minutes)) is due


def test_a_token_younger_than_the_platform_takes_is_left_alone() -> None:
    assert not _due(NOON + timedelta(seconds=299), expires=NOON + timedelta(seconds=300))


def test_a_dead_token_is_refreshed_however_young() -> None:
    assert _due(NOON + timedelta(seconds=10), expires=NOON + timedelta(seconds=10))


def test_a_token_of_unknown_age_counts_as_one_of_an_hour() -> None:
    assert not _due(NOON + timedelta(minutes=53), issued=None)
    assert _due(NOON + timedelta(minutes=54), issued=None)


@given(
    life=st.integers(1, 10**7),
    age=st.integers(0, 2 * 10**7),
    margin=st.floats(0, 1),
    min_age=st.floats(0, 86400),
)
def test_once_due_it_stays_due(life: int, age: int, margin: float, min_age: float) -> None:
    def due(seconds: int) -> bool:
        return refresh_due(
            now=NOON + timedelta(seconds=seconds),
            issued_at=NOON,
            expires_at=NOON + timedelta(seconds=life),
            margin=margin,
            min_age_seconds=min_age,
        )

    assert due(life)
    assert not due(age) or due(age + 1)


def test_missing_scopes_are_those_needed_and_not_granted() -> None:
    assert missing_scopes(frozenset({"read", "extra"}), frozenset({"read", "write"})) == {"write"}


def test_reconnecting_with_another_account_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="another account than @mia") as refusal:
        same_account("1", "2", "Instagram", "mia")
    assert "@mia" in refusal.value.remedy


def test_reconnecting_the_same_account_is_let_through() -> None:
    same_account("1", "1", "Instagram", "renamed")
