"""To the moment and to the call: what counts, what is given back, and what a platform's word changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.quotas import span_at
from autorepost_app.persistence import quotas
from autorepost_app.persistence.engine import Database
from autorepost_app.persistence.quotas import Count, Full

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUARTER = 900.0
PACIFIC = "America/Los_Angeles"


@dataclass
class Limit:
    """So many in 15 minutes, or in a day of California where `window` is None."""

    db: Database
    most: int | None = 5
    window: float | None = QUARTER

    def at(self, after: float | datetime, cost: int = 1) -> tuple[datetime, Count]:
        now = after if isinstance(after, datetime) else NOON + timedelta(seconds=after)
        return now, Count("posts", "mia", span_at(now, window_seconds=self.window, zone=PACIFIC), cost, self.most)

    def take(self, after: float | datetime, cost: int = 1) -> datetime | None:
        """One call; when there is room again, or None where it went."""
        now, count = self.at(after, cost)
        full: list[Full] = quotas.reserve(self.db.statement, "tube", now, [count])
        return full[0].room_at if full else None

    def through(self, after: float | datetime, of: int = 20) -> int:
        return sum(self.take(after) is None for _ in range(of))

    def told(self, after: float, limit: int | None = None, remaining: int | None = None, resets: float = 0) -> None:
        now, count = self.at(after)
        anew = NOON + timedelta(seconds=resets) if resets else None
        quotas.settle(self.db.statement, "tube", now, count, limit=limit, remaining=remaining, resets_at=anew)

    def used(self, after: float) -> int:
        now, count = self.at(after)
        with self.db.system(SystemScope("test")) as session:
            found = quotas.used(session, "tube", "posts", now, count.span.since)
        return found.get("mia", quotas.NOTHING).used

    def forget(self, at: datetime) -> int:
        with self.db.system(SystemScope("test")) as session:
            return quotas.forget(session, at)


@pytest.fixture
def limit(db: Database) -> Limit:
    return Limit(db)


@pytest.fixture
def daily(db: Database) -> Limit:
    return Limit(db, most=8, window=None)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


# --------------------------------------------------------------------------------------------------- when there is room


def test_a_count_leaves_at_the_moment_its_window_is_over(limit: Limit) -> None:
    limit.take(0)

    assert (limit.used(QUARTER - 0.000001), limit.used(QUARTER)) == (1, 0)


def test_what_has_left_says_nothing_of_when_there_is_room(limit: Limit) -> None:
    for seconds in (0, 100, 200, 300, 400):
        assert limit.take(seconds) is None
    assert limit.take(QUARTER) is None

    assert limit.take(QUARTER) == after(100 + QUARTER)


def test_a_call_dearer_than_the_whole_limit_is_put_off_a_window_at_a_time(limit: Limit) -> None:
    assert limit.take(0, cost=6) == after(QUARTER)
    assert limit.through(0) == 5, "it took nothing"


@pytest.mark.parametrize(("cost", "last_to_leave"), [(1, 0), (2, 100), (3, 200), (4, 300)])
def test_a_dear_call_waits_until_as_much_as_it_takes_has_left(limit: Limit, cost: int, last_to_leave: float) -> None:
    for seconds, taken in ((0, 1), (100, 1), (200, 1), (300, 2)):
        assert limit.take(seconds, cost=taken) is None

    assert limit.take(400, cost=cost) == after(last_to_leave + QUARTER)


def test_a_limit_that_is_full_and_closed_opens_with_the_later_of_both(limit: Limit) -> None:
    limit.through(0)
    limit.told(1, resets=77)
    assert limit.take(2) == after(QUARTER)
    limit.told(3, resets=2 * QUARTER)
    assert limit.take(4) == after(2 * QUARTER)


def test_a_closure_that_is_over_does_not_hide_that_the_limit_is_full(limit: Limit) -> None:
    limit.told(0, resets=77)
    limit.through(80)

    assert limit.take(100) == after(80 + QUARTER)


def test_the_calls_of_a_moment_leave_with_the_last_of_them(limit: Limit) -> None:
    limit.take(0, cost=4)
    limit.take(20)

    assert limit.take(QUARTER) == after(20 + QUARTER)


def test_a_clock_that_lags_behind_takes_no_count_away(limit: Limit) -> None:
    """Two processes: the one whose clock is behind counts into the span that the other one has begun."""
    limit.take(20, cost=4)
    limit.take(5)

    assert limit.take(5 + QUARTER) is not None, "four of 20 seconds past noon still count"
    assert limit.take(20 + QUARTER) is None


# ---------------------------------------------------------------------------------------------------- a platform's word


def test_a_platform_that_says_what_is_left_but_not_of_how_much_is_believed(limit: Limit) -> None:
    limit.told(0, remaining=1)

    assert limit.through(1) == 1


def test_what_it_says_later_about_something_else_leaves_what_it_said_first(limit: Limit) -> None:
    limit.told(0, limit=3)
    limit.told(1, resets=77)
    limit.told(2, limit=None, remaining=None)

    assert limit.take(3) == after(77), "closed until then"
    assert limit.through(77) == 3, "and three are granted"


def test_a_limit_with_room_is_not_closed_by_when_it_starts_anew(limit: Limit) -> None:
    limit.told(0, limit=5, remaining=3, resets=600)

    assert limit.through(1) == 3


def test_a_limit_that_was_closed_opens_when_its_platform_says_that_there_is_room(limit: Limit) -> None:
    limit.told(0, limit=5, remaining=0, resets=600)
    assert limit.take(1) == after(600)
    limit.told(130, limit=5, remaining=3)

    assert limit.through(131) == 3


def test_what_is_left_is_taken_off_the_limit_that_the_platform_names_and_not_off_ours(limit: Limit) -> None:
    limit.told(0, limit=3, remaining=2)

    assert limit.through(1) == 2


def test_what_others_took_leaves_when_the_platform_says_that_it_starts_anew(limit: Limit) -> None:
    limit.told(3, limit=5, remaining=1, resets=300)

    assert limit.through(4) == 1
    assert limit.through(300) == 4, "ours still counts, theirs no more"


def test_two_words_of_one_moment_add_up_to_the_later(limit: Limit) -> None:
    limit.told(0, limit=5, remaining=4)
    limit.told(0, limit=5, remaining=2)

    assert limit.used(0) == 3


def test_more_left_than_there_is_gives_nothing_back_of_just_now(limit: Limit) -> None:
    limit.take(0, cost=2)
    limit.told(1, limit=5, remaining=9)

    assert limit.through(2) == 3


@pytest.mark.parametrize(
    ("seconds", "given_back"), [(119.999, False), (120, True)], ids=["may be on its way", "is there"]
)
def test_a_call_may_be_on_its_way_for_two_minutes(limit: Limit, seconds: float, given_back: bool) -> None:
    limit.take(0, cost=2)
    limit.told(seconds, limit=5, remaining=5)

    assert limit.through(seconds) == (5 if given_back else 3)


def test_the_oldest_are_given_back_first(limit: Limit) -> None:
    wide = Limit(limit.db, most=10)
    wide.take(0, cost=6)
    wide.take(300, cost=2)
    wide.told(301, limit=10, remaining=9)

    assert wide.through(QUARTER) == 8, "of what is left one has just gone and two are of later"


def test_a_word_at_the_moment_that_counts_leave_counts_them_anew(limit: Limit) -> None:
    limit.take(0, cost=3)
    limit.told(QUARTER, limit=5, remaining=2)

    assert limit.through(QUARTER) == 2


def test_a_word_about_a_day_takes_nothing_off_twice(daily: Limit) -> None:
    daily.take(0, cost=3)
    daily.told(1, limit=8, remaining=5)

    assert daily.through(2) == 5


# --------------------------------------------------------------------------------------------------------------- racing


@pytest.fixture
def busy(owner_connection: psycopg.Connection[Any]) -> Callable[[Callable[[], Any]], Any]:
    """`busy(call)` begins a call while another process has the limit to itself, and ends that once it waits."""

    def begin(call: Callable[[], Any]) -> tuple[bool, Any]:
        with ThreadPoolExecutor(1) as pool:
            with owner_connection.transaction():
                owner_connection.execute("select quota_lock('tube', array['posts'], array['mia'])")
                begun = pool.submit(call)
                waited = _waits(owner_connection, begun)
            return waited, begun.result()

    return begin


def _waits(connection: psycopg.Connection[Any], begun: Future[Any]) -> bool:
    asked = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    while not begun.done():
        if connection.execute(asked).fetchone() == (True,):
            return True
    return False


def test_counting_and_heeding_a_word_wait_for_whoever_has_the_limit(limit: Limit, busy: Any) -> None:
    assert busy(lambda: limit.take(0)) == (True, None)
    assert busy(lambda: limit.told(0, limit=5, remaining=4)) == (True, None)
    assert limit.through(0) == 4


def test_whoever_has_the_limit_of_one_account_holds_up_no_other(limit: Limit, busy: Any) -> None:
    now, count = limit.at(0)
    other = replace(count, subject="noa")
    assert busy(lambda: quotas.reserve(limit.db.statement, "tube", now, [other])) == (False, [])


# ----------------------------------------------------------------------------------------------------------- forgetting


@pytest.fixture
def spent(db: Database) -> Iterator[Callable[[datetime], dict[str, int]]]:
    with db.system(SystemScope("test")) as session:
        yield lambda since: quotas.spent(session, "tube", "posts", since)


def test_nothing_is_forgotten_that_still_counts(limit: Limit) -> None:
    limit.take(0)
    assert limit.forget(after(QUARTER)) == 0
    assert limit.forget(after(QUARTER + 1)) == 1


@pytest.mark.parametrize(
    "day",
    [datetime(2026, 3, 8, 20, tzinfo=UTC), datetime(2026, 11, 1, 20, tzinfo=UTC), NOON],
    ids=["23 hours", "25 hours", "24 hours"],
)
def test_a_day_of_any_length_is_kept_for_a_months_bill(daily: Limit, day: datetime) -> None:
    daily.take(day, cost=3)

    assert daily.forget(day + timedelta(days=31)) == 0
    assert daily.forget(day + timedelta(days=50)) == 1


def test_a_bill_holds_what_was_counted_since_and_nothing_before(
    daily: Limit, spent: Callable[[datetime], dict[str, int]]
) -> None:
    daily.take(NOON - timedelta(days=40), cost=2)
    daily.take(NOON, cost=3)

    assert spent(NOON - timedelta(days=30)) == {"mia": 3}
    assert spent(NOON - timedelta(days=60)) == {"mia": 5}
