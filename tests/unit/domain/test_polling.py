"""Who is polled next: no one is forgotten, the busy come sooner, and a budget is never stretched."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.polling import (
    HALF_HOURS,
    Waiting,
    choose,
    expected_posts,
    half_hour,
    longest_wait_seconds,
    unknown_posts,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AGES = st.lists(st.floats(0, 400, allow_nan=False), max_size=60)
SOURCES = st.lists(
    st.tuples(st.floats(0.001, 50), st.floats(0, 1e6), st.booleans()).map(lambda each: Waiting("", *each)), max_size=30
).map(
    lambda found: [
        Waiting(str(n), each.posts_a_day, each.waited_seconds, each.asked_for) for n, each in enumerate(found)
    ]
)


# ----------------------------------------------------------------------------------------------- what is to be expected


def posted(*ages_in_days: float) -> list[datetime]:
    return [NOW - age * DAY for age in ages_in_days]


def a_day(posted_at: list[datetime], now: datetime = NOW) -> float:
    return fmean(expected_posts(posted_at, now))


def test_of_a_source_of_which_nothing_is_known_two_posts_in_five_days_are_expected_at_any_hour() -> None:
    assert expected_posts([], NOW) == pytest.approx([unknown_posts()] * HALF_HOURS)
    assert unknown_posts() == 0.4


def test_a_daily_creator_is_expected_daily() -> None:
    assert a_day(posted(*range(60))) == pytest.approx(1.0, rel=0.05)


def test_a_creator_who_fell_silent_is_expected_less_and_less() -> None:
    busy = posted(*range(30))
    later = [a_day(busy, NOW + months * 30 * DAY) for months in range(5)]
    assert later == sorted(later, reverse=True)
    assert later[-1] < later[0] / 4


def test_a_habit_shows_in_its_hours_and_no_hour_is_empty() -> None:
    evenings = [NOW.replace(hour=19, minute=10) - n * DAY for n in range(1, 40)]
    expected = expected_posts(evenings, NOW)
    assert max(range(HALF_HOURS), key=expected.__getitem__) == half_hour(evenings[0]) == 38
    assert expected[38] > 20 * expected[8]
    assert expected[8] > 0.1 * a_day(evenings)


@given(AGES)
def test_the_hours_share_out_the_days_posts_and_nothing_more(ages: list[float]) -> None:
    expected = expected_posts(posted(*ages), NOW)
    known = max(ages, default=0)
    assert len(expected) == HALF_HOURS
    assert min(expected) >= 0.15 * fmean(expected) * 0.999
    assert fmean(expected) <= 1 + len(ages)
    assert fmean(expected) * (2.5 + known) >= 1 * 0.999, "less than if it had never posted"


@given(AGES, st.integers(-12, 14))
def test_posts_from_the_future_and_other_zones_change_nothing(ages: list[float], hours: int) -> None:
    expected = expected_posts(posted(*ages), NOW)
    assert expected_posts([*posted(*ages), NOW + timedelta(hours=1)], NOW) == expected
    elsewhere = [at.astimezone(timezone(timedelta(hours=hours))) for at in posted(*ages)]
    assert expected_posts(elsewhere, NOW) == expected


# ----------------------------------------------------------------------------------------------------- whose turn it is


@given(SOURCES, st.integers(0, 40), st.floats(1, 1e6))
def test_never_more_than_there_is_room_for_and_nobody_twice(sources: list[Waiting], most: int, longest: float) -> None:
    chosen = choose(sources, most, longest)
    assert len(chosen) == len(set(chosen)) == min(most, len(sources))


@given(SOURCES, st.integers(0, 40), st.floats(1, 1e6))
def test_nobody_who_was_asked_for_or_is_overdue_waits_for_one_who_is_not(
    sources: list[Waiting], most: int, longest: float
) -> None:
    chosen = set(choose(sources, most, longest))
    left_out = [each for each in sources if each.key not in chosen]
    for came in (each for each in sources if each.key in chosen):
        for waits in left_out:
            assert came.asked_for or not waits.asked_for
            overdue = waits.waited_seconds >= longest and came.waited_seconds < longest
            assert came.asked_for or not overdue


@given(SOURCES)
def test_a_longer_wait_never_costs_a_turn(sources: list[Waiting]) -> None:
    if sources:
        first = choose(sources, 1, 1e9)[0]
        waits_on = [
            Waiting(each.key, each.posts_a_day, each.waited_seconds + (each.key == first) * 60, each.asked_for)
            for each in sources
        ]
        assert choose(waits_on, 1, 1e9) == [first]


def test_a_look_of_another_kind_puts_a_poll_off_and_not_for_ever() -> None:
    just_felt, not_felt = Waiting("felt", 1.0, 10.0, unpolled_seconds=299.0), Waiting("not", 1.0, 60.0)
    assert choose([just_felt, not_felt], 1, 300.0) == ["not"]
    assert choose([replace(just_felt, unpolled_seconds=300.0), not_felt], 1, 300.0) == ["felt"]


# --------------------------------------------------------------------------------------------------------- over a while


def polls(rates: list[float], *, a_tick: int, ticks: int, tick_seconds: float = 5.0) -> list[list[float]]:
    """The moments at which each source is polled."""
    longest = longest_wait_seconds(len(rates), a_tick * 60 / tick_seconds)
    polled: list[list[float]] = [[0.0] for _ in rates]
    for tick in range(1, ticks):
        now = tick * tick_seconds
        waiting = [Waiting(str(n), rate, now - polled[n][-1]) for n, rate in enumerate(rates)]
        for key in choose(waiting, a_tick, longest):
            polled[int(key)].append(now)
    return polled


def gaps(polled: list[float]) -> list[float]:
    return [later - before for before, later in pairwise(polled)]


def test_sixteen_times_the_posts_get_four_times_the_polls() -> None:
    counts = [len(each) for each in polls([0.25] * 30 + [4.0] * 30, a_tick=3, ticks=3000)]
    assert fmean(counts[30:]) / fmean(counts[:30]) == pytest.approx(4.0, rel=0.1), (
        "the quiet ones come by their three rounds now and then"
    )
    counts = [len(each) for each in polls([1.0] * 30 + [4.0] * 30, a_tick=3, ticks=3000)]
    assert fmean(counts[30:]) / fmean(counts[:30]) == pytest.approx(2.0, rel=0.05)


def test_equals_take_turns() -> None:
    for each in polls([0.5] * 40, a_tick=2, ticks=1000):
        assert set(gaps(each)[1:]) == {100.0}


def test_one_with_a_thousand_posts_a_day_takes_no_more_than_its_square_root() -> None:
    counts = [len(each) for each in polls([1000.0] + [1.0] * 99, a_tick=2, ticks=4000)]
    assert counts[0] / sum(counts) < 1000**0.5 / (1000**0.5 + 99) * 1.1


@pytest.mark.parametrize("seed", [1, 2])
def test_no_gap_is_longer_than_four_rounds_however_unlike_they_are(seed: int) -> None:
    dice = random.Random(seed)
    rates = [dice.lognormvariate(-1, 2) for _ in range(120)]
    longest = longest_wait_seconds(len(rates), 4 * 12)
    a_round = len(rates) / 4 * 5.0
    assert longest == 3 * a_round
    assert max(max(gaps(each)) for each in polls(rates, a_tick=4, ticks=2000)) <= longest + a_round


def test_few_sources_are_never_overdue_within_five_minutes() -> None:
    assert longest_wait_seconds(3, 570) == 300.0


@pytest.mark.parametrize("seed", [1, 2])
def test_posts_are_found_a_fifth_sooner_than_by_taking_turns(seed: int) -> None:
    """Log-normal rates, known to the learner from a month of posts, and no habits. 0.70 is the best there is for such:
    (mean square root)² / mean."""
    dice = random.Random(seed)
    truth = [dice.lognormvariate(-1, 1.2) for _ in range(150)]
    learned = [a_day([NOW - dice.random() * 30 * DAY for _ in range(round(rate * 30))]) for rate in truth]
    delays = [_mean_delay(truth, polls(rates, a_tick=1, ticks=1500)) for rates in (learned, [1.0] * len(truth))]
    assert delays[0] / delays[1] < 0.8


def _mean_delay(truth: list[float], polled: list[list[float]]) -> float:
    """Of a post at any moment: within a gap g it waits g / 2, and falls into it with g times the rate."""
    waits = [(rate * g * g / 2, rate * g) for rate, each in zip(truth, polled, strict=True) for g in gaps(each)]
    return sum(wait for wait, _ in waits) / sum(weight for _, weight in waits)
