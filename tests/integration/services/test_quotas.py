"""What is counted before it is sent, never beyond a limit, and what people are told about it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import quotas as counts
from autorepost_app.persistence.engine import Database
from autorepost_app.platform_kit.protocol import Allowance, OAuthSpec, Parts, Platform, QuotaRule
from autorepost_app.services.quotas import SharedMeter

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PACIFIC = "America/Los_Angeles"
MINUTE = QuotaRule("minute", "looks a minute", "app", {"look": 1}, 60, window_seconds=60.0)
QUARTER = QuotaRule("quarter", "posts in 15 minutes", "account", {"post": 1}, 5, window_seconds=900.0)
DAY = QuotaRule("day", "posts a day", "app", {"post": 1}, 8, zone=PACIFIC)
UNITS = QuotaRule("units", "units a day", "app", {"list": 1, "update": 50}, 100, zone=PACIFIC, unit="units")
MONEY = QuotaRule("money", "cost", "account", {"dear": 200, "cheap": 15}, None, unit="tenths of a cent")


@dataclass
class Counting:
    """A platform of these tests' own with a clock that stands still until it is moved."""

    db: Database
    now: datetime = NOON
    allowed: list[datetime] = field(default_factory=list)

    def meter(self, *rules: QuotaRule) -> SharedMeter:
        oauth = OAuthSpec(("default",), {"default": ()}, {"default": frozenset()})
        return SharedMeter(self.db, Platform("tube", "Tube", (), oauth, _no_parts, quotas=rules), lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def _no_parts(_reach: Any) -> Parts:
    raise AssertionError("nobody builds it")


@pytest.fixture
def counting(database: Any) -> Iterator[Counting]:
    db = Database(database.url("app"), database.url("system"))
    yield Counting(db)
    db.close()


def refused(meter: SharedMeter, call: str, account: str = "") -> WaitUntil | None:
    """The verdict on one more call, or None where it was let through (and counted)."""
    try:
        meter.reserve(call, account)
    except PlatformFault as fault:
        return cast(WaitUntil, fault.verdict)
    return None


def let_through(meter: SharedMeter, call: str, account: str = "", *, of: int) -> int:
    return sum(refused(meter, call, account) is None for _ in range(of))


# ----------------------------------------------------------------------------------------------------- sliding windows


def most_in_any_window(times: list[datetime], seconds: float) -> int:
    """The busiest position of a window that is open on its left: (t - seconds, t]."""
    return max(sum(at - timedelta(seconds=seconds) < each <= at for each in times) for at in times)


@pytest.mark.parametrize("seed", range(3))
def test_a_sliding_limit_holds_in_every_position_of_the_window(counting: Counting, seed: int) -> None:
    meter, chance, times = counting.meter(replace(MINUTE, limit=20)), random.Random(seed), []
    for _ in range(600):
        counting.after(chance.choice([0.0, 0.0, 0.01, 0.4, 1.0, 2.9, 7.0]))
        if refused(meter, "look") is None:
            times.append(counting.now)

    assert most_in_any_window(times, 60.0) == 20
    minutes = (times[-1] - times[0]).total_seconds() / 60
    assert len(times) >= 0.9 * 20 * minutes, "caution costs a twentieth of the window, not more"


def test_a_full_limit_says_to_the_moment_when_there_is_room(counting: Counting) -> None:
    meter = counting.meter(QUARTER)
    for _ in range(5):
        assert refused(meter, "post", "mia") is None
        counting.after(100)
    verdict = refused(meter, "post", "mia")

    assert verdict is not None
    assert verdict.at == NOON + timedelta(seconds=900)
    assert verdict.limit == "posts in 15 minutes"
    assert "Tube" in verdict.text
    counting.now = verdict.at - timedelta(microseconds=1)
    assert refused(meter, "post", "mia") is not None
    counting.now = verdict.at
    assert refused(meter, "post", "mia") is None
    assert refused(meter, "post", "mia") is not None


def test_a_dear_call_waits_until_enough_has_left(counting: Counting) -> None:
    meter = counting.meter(QuotaRule("units", "units", "app", {"list": 1, "dear": 3}, 4, window_seconds=900.0))
    for _ in range(4):
        meter.reserve("list")
        counting.after(100)

    verdict = refused(meter, "dear")

    assert verdict is not None
    assert verdict.at == NOON + timedelta(seconds=900 + 2 * 100)
    assert refused(meter, "list") is not None


def test_each_account_has_its_own_and_the_app_one_for_all(counting: Counting) -> None:
    meter = counting.meter(QUARTER, DAY)

    assert let_through(meter, "post", "mia", of=6) == 5
    assert let_through(meter, "post", "noa", of=6) == 3, "eight of the day, five are gone"


def test_a_call_is_counted_under_all_its_limits_or_under_none(counting: Counting) -> None:
    meter = counting.meter(QUARTER, DAY)
    let_through(meter, "post", "mia", of=5)

    assert let_through(meter, "post", "mia", of=20) == 0

    assert let_through(meter, "post", "noa", of=5) == 3, "what was refused took nothing from the day"


def test_of_several_full_limits_the_last_to_open_is_waited_for(counting: Counting) -> None:
    meter = counting.meter(replace(QUARTER, limit=1), replace(DAY, limit=1))
    meter.reserve("post", "mia")
    verdict = refused(meter, "post", "mia")

    assert verdict is not None
    assert (verdict.limit, verdict.at) == ("posts a day", datetime(2026, 11, 24, 8, tzinfo=UTC))


def test_a_call_that_no_limit_names_and_one_that_is_only_counted_always_go(counting: Counting) -> None:
    meter = counting.meter(MONEY)
    meter.reserve("free")

    assert let_through(meter, "dear", "mia", of=50) == 50


def test_a_call_for_nobody_cannot_be_counted_for_an_account(counting: Counting) -> None:
    with pytest.raises(ValueError, match="names none"):
        counting.meter(QUARTER).reserve("post")


def test_a_clock_that_lags_behind_opens_nothing(counting: Counting) -> None:
    meter = counting.meter(MINUTE)
    let_through(meter, "look", of=60)
    counting.after(-30)

    assert refused(meter, "look") is not None


# --------------------------------------------------------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 11, 1, 7, tzinfo=UTC), 25),
        (datetime(2026, 3, 8, 8, tzinfo=UTC), 23),
        (datetime(2026, 7, 4, 7, tzinfo=UTC), 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_has_it(counting: Counting, day: datetime, hours: int) -> None:
    """The clocks of that zone go back on the first of these days and forward on the second."""
    meter, midnight = counting.meter(DAY), day + timedelta(hours=hours)
    counting.now = day
    assert let_through(meter, "post", of=9) == 8
    counting.now = midnight - timedelta(microseconds=1)
    verdict = refused(meter, "post")
    assert verdict is not None
    assert verdict.at == midnight

    counting.now = midnight
    assert let_through(meter, "post", of=9) == 8


def test_calls_of_different_price_share_a_days_budget(counting: Counting) -> None:
    meter = counting.meter(UNITS)
    assert let_through(meter, "update", of=3) == 2
    assert refused(meter, "list") is not None


# -------------------------------------------------------------------------------------------------------------- racing


def test_racing_threads_are_let_through_exactly_as_often_as_the_limit_says(counting: Counting) -> None:
    meter = counting.meter(replace(QUARTER, scope="app", limit=70), replace(DAY, limit=40))
    other = counting.meter(replace(DAY, limit=40), replace(QUARTER, scope="app", limit=70))

    with ThreadPoolExecutor(8) as pool:
        racing = [pool.submit(let_through, (meter, other)[n % 2], "post", of=20) for n in range(8)]
    assert sum(each.result() for each in racing) == 40


def test_racing_processes_never_exceed_a_limit(world: Any) -> None:
    rules = world.house.platforms.manifest("tiktok").quotas
    [limit] = [rule.limit for rule in rules if "video.list" in rule.costs and rule.limit is not None]

    with world.process("count", "tiktok video.list mia 130", copies=6) as racing:
        counts = [int(line) for line in racing.stdout.readlines()]

    assert len(counts) == 6
    assert sum(counts) == limit < 6 * 130


# -------------------------------------------------------------------------------------------------- the platform's word


def test_a_platform_that_grants_less_or_more_than_documented_is_believed(counting: Counting) -> None:
    meter = counting.meter(QUARTER)
    meter.settle("quarter", "mia", Allowance(limit=2))
    meter.settle("quarter", "noa", Allowance(limit=9))

    assert [let_through(meter, "post", who, of=10) for who in ("mia", "noa", "zoe")] == [2, 9, 5]


def test_what_other_tools_have_used_is_taken_off(counting: Counting) -> None:
    meter = counting.meter(QUARTER)
    meter.reserve("post", "mia")
    meter.settle("quarter", "mia", Allowance(limit=5, remaining=1))

    assert let_through(meter, "post", "mia", of=5) == 1


def test_what_is_left_is_reckoned_from_what_the_platform_grants(counting: Counting) -> None:
    meter = counting.meter(QUARTER)
    meter.settle("quarter", "mia", Allowance(limit=50, remaining=20))

    assert let_through(meter, "post", "mia", of=30) == 20


def test_what_other_tools_have_used_counts_until_the_platform_starts_anew(counting: Counting) -> None:
    meter, anew = counting.meter(QUARTER), NOON + timedelta(seconds=200)
    meter.settle("quarter", "mia", Allowance(limit=5, remaining=0, resets_at=anew))

    verdict = refused(meter, "post", "mia")
    assert verdict is not None
    assert verdict.at == anew
    counting.now = anew
    assert let_through(meter, "post", "mia", of=6) == 5


def test_what_never_reached_the_platform_is_given_back_but_not_what_may_be_on_its_way(counting: Counting) -> None:
    meter = counting.meter(replace(QUARTER, limit=10))
    let_through(meter, "post", "mia", of=6)
    counting.after(300)
    let_through(meter, "post", "mia", of=2)
    meter.settle("quarter", "mia", Allowance(limit=10, remaining=9))

    assert let_through(meter, "post", "mia", of=10) == 10 - (1 + 2)


def test_a_day_is_never_given_back(counting: Counting) -> None:
    """Midnight tells nothing of when a call of the day was made, so each may still be on its way."""
    meter = counting.meter(DAY)
    let_through(meter, "post", of=6)
    counting.after(3600)
    meter.settle("day", "", Allowance(remaining=8))

    assert let_through(meter, "post", of=8) == 2


def test_a_limit_that_the_platform_closed_opens_when_it_said(counting: Counting) -> None:
    meter, opens_at = counting.meter(QUARTER), NOON + timedelta(seconds=77)
    meter.settle("quarter", "mia", Allowance(resets_at=opens_at))

    verdict = refused(meter, "post", "mia")
    assert verdict is not None
    assert verdict.at == opens_at
    assert refused(meter, "post", "noa") is None
    counting.now = opens_at
    assert refused(meter, "post", "mia") is None


def test_a_limit_that_the_platform_opens_early_is_open(counting: Counting) -> None:
    meter = counting.meter(QUARTER)
    meter.settle("quarter", "mia", Allowance(remaining=0, resets_at=NOON + timedelta(seconds=600)))
    assert refused(meter, "post", "mia") is not None
    counting.after(130)
    meter.settle("quarter", "mia", Allowance(limit=500, remaining=490, resets_at=NOON + timedelta(seconds=600)))

    assert refused(meter, "post", "mia") is None


def test_a_word_about_a_limit_that_nobody_knows_is_a_fault_of_ours(counting: Counting) -> None:
    with pytest.raises(KeyError):
        counting.meter(QUARTER).settle("quater", "mia", Allowance(limit=1))


# ------------------------------------------------------------------------------------------------------- housekeeping


def test_old_counts_go_and_days_stay_for_the_bill(counting: Counting) -> None:
    meter = counting.meter(MINUTE, DAY)
    meter.reserve("look")
    meter.reserve("post")
    counting.after(86_400 * 2)

    with counting.db.system(SystemScope("test")) as session:
        assert counts.forget(session, counting.now) == 1
        assert counts.spent(session, "tube", "day", NOON - timedelta(days=30)) == {"": 1}
        assert counts.forget(session, counting.now + timedelta(days=60)) == 1
