"""Limits: counted before, corrected by what Instagram tells, and waited for until the moment it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.platform_kit.protocol import Allowance, Done, NotDone, Staged, Unknown
from autorepost_app.platforms.instagram import PLATFORM, quotas
from autorepost_app.platforms.instagram.quotas import ACCOUNT_CALLS, APP_CALLS, CONTAINERS, POSTS, posts_allowed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = 3600.0


def reply(**headers: Any) -> httpx.Response:
    return httpx.Response(200, headers={name.replace("_", "-"): json.dumps(value) for name, value in headers.items()})


def account_of(publication: Any) -> str:
    return str(publication.delivery.grant.account.external_id)


# ---------------------------------------------------------------------------------------------- the day's posts


def test_what_instagram_counts_replaces_what_we_count(publication: Any) -> None:
    publication.stage()
    assert publication.books.settled == [(POSTS, account_of(publication), Allowance(50, 50))]


def test_a_used_up_day_is_waited_out_to_the_second_without_a_send(publication: Any, control: Any) -> None:
    control.settings(posts_per_day=1)
    publication.another("Monday bread")
    [live] = control.live()
    publication.handles.clear()
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert verdict.at == datetime.fromisoformat(live["created_at"]).replace(microsecond=0) + DAY
    assert control.calls().count("media_publish") == 1
    told = publication.books.settled[-1][2]
    assert (told.limit, told.remaining, told.resets_at) == (1, 0, verdict.at)


def test_when_there_is_room_again_the_waiting_post_goes_out(publication: Any, control: Any) -> None:
    control.settings(posts_per_day=1)
    publication.another("Monday bread")
    publication.handles.clear()
    with pytest.raises(PlatformFault):
        publication.stage()
    control.advance(23.9 * HOUR)
    with pytest.raises(PlatformFault):
        publication.stage()
    publication.handles.clear()  # the container is about to expire
    control.advance(0.2 * HOUR)
    publication.stage()
    assert isinstance(publication.commit(), Done)


def test_a_count_that_cannot_be_read_holds_nothing_back(publication: Any, control: Any) -> None:
    control.fault("publishing_limit", "read_error", count=None)
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert publication.books.settled == []


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"quota_usage": 2, "config": {"quota_total": 50}}, Allowance(50, 48)),
        ({"quota_usage": "2", "config": {"quota_total": "50"}}, Allowance(50, 48)),
        ({"quota_usage": 2}, Allowance()),
        ({"config": {"quota_total": 50}}, Allowance(limit=50)),
        ({"quota_usage": 2, "config": "?"}, Allowance()),
        ({}, Allowance()),
    ],
)
def test_what_the_limit_leaves_unsaid_stays_unsaid(usage: dict[str, Any], told: Allowance) -> None:
    assert posts_allowed(usage, NOW) == told


@pytest.mark.parametrize(
    ("used", "hours_ago", "frees_in"),
    [
        (3, [1, 5, 20], 4),  # the oldest of three leaves first
        (4, [1, 5, 20, 23], 4),  # one too many: two have to leave
        (3, [1, 5, 30], 19),  # what is older than a day does not count
        (9, [1, 5], 23),  # some were deleted: all that are seen have to leave
        (3, [], 1),  # nothing is seen: another look in an hour
    ],
)
def test_a_used_up_day_has_room_when_enough_posts_are_a_day_old(used: int, hours_ago: list[int], frees_in: int) -> None:
    usage = {"quota_usage": used, "config": {"quota_total": 3, "quota_duration": 86400}}
    published = tuple(NOW - timedelta(hours=hours) for hours in hours_ago)
    assert posts_allowed(usage, NOW, published) == Allowance(3, 0, NOW + timedelta(hours=frees_in))


@pytest.mark.parametrize(("hours_ago", "frees_in"), [([1, 5], 7), ([1, 13], 11)])
def test_a_window_that_instagram_tells_replaces_the_day(hours_ago: list[int], frees_in: int) -> None:
    usage = {"quota_usage": 3, "config": {"quota_total": 3, "quota_duration": 43_200}}
    published = tuple(NOW - timedelta(hours=hours) for hours in hours_ago)
    assert posts_allowed(usage, NOW, published) == Allowance(3, 0, NOW + timedelta(hours=frees_in))


@given(
    used=st.integers(0, 500),
    total=st.integers(1, 100),
    ages=st.lists(st.integers(0, 100_000), max_size=60),
)
def test_a_wait_for_room_is_never_in_the_past_nor_longer_than_a_day(used: int, total: int, ages: list[int]) -> None:
    usage = {"quota_usage": used, "config": {"quota_total": total}}
    told = posts_allowed(usage, NOW, tuple(NOW - timedelta(seconds=age) for age in ages))
    assert told.remaining == max(0, total - used)
    if told.remaining == 0:
        assert told.resets_at is not None
        assert NOW < told.resets_at <= NOW + DAY


# -------------------------------------------------------------------------------------------------------- our own count


def test_a_container_over_our_count_is_not_made(publication: Any, control: Any) -> None:
    publication.books.full.add(quotas.MAKE)
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, WaitUntil)
    assert "container.create" not in control.calls()


def test_a_post_over_our_count_is_not_sent_and_keeps_its_container(publication: Any, control: Any) -> None:
    publication.stage()
    publication.books.full.add(quotas.PUBLISH)
    outcome = publication.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, WaitUntil)
    assert outcome.handle_usable
    assert "media_publish" not in control.calls()
    publication.books.full.clear()
    assert isinstance(publication.stage_once(), Staged)
    assert isinstance(publication.commit(), Done)


def test_the_documented_numbers_are_the_ones_that_are_counted() -> None:
    rules = {rule.name: rule for rule in PLATFORM.quotas}
    assert (rules[CONTAINERS].limit, rules[CONTAINERS].window_seconds, rules[CONTAINERS].scope) == (
        400,
        86400,
        "account",
    )
    assert (rules[POSTS].limit, rules[POSTS].window_seconds, rules[POSTS].scope) == (100, 86400, "account")
    assert rules[ACCOUNT_CALLS].limit is None
    assert rules[APP_CALLS].limit is None


# -------------------------------------------------------------------------------------------------------- usage headers


def test_too_many_containers_wait_until_the_minute_that_the_header_names(publication: Any, control: Any) -> None:
    control.settings(containers_per_day=1)
    publication.stage()
    publication.handles.clear()
    before = control.now()
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert timedelta(0) <= verdict.at - before - timedelta(hours=1) < timedelta(seconds=10)
    quota, account, told = publication.books.settled[-2]
    assert (quota, account, told.remaining) == (ACCOUNT_CALLS, account_of(publication), 0)
    assert abs(told.resets_at - verdict.at) < timedelta(seconds=1)
    assert publication.books.settled[-1][0] == APP_CALLS, "the sandbox shows both as full"


def test_a_commit_that_meets_a_limit_tells_the_ledger_although_its_outcome_is_open(
    publication: Any, control: Any
) -> None:
    publication.stage()
    control.fault("media_publish", "rate_limited", seconds=20 * 60)
    assert isinstance(publication.commit(), Unknown)
    assert ACCOUNT_CALLS in [quota for quota, _, _ in publication.books.settled]


@pytest.mark.parametrize(
    ("headers", "settled"),
    [
        ({}, []),
        ({"X_App_Usage": {"call_count": 99, "total_time": 99}}, []),
        (
            {"X_App_Usage": {"call_count": 12, "total_time": 100, "total_cputime": 3}},
            [(APP_CALLS, "", Allowance(remaining=0, resets_at=NOW + timedelta(hours=1)))],
        ),
        (
            {"X_Business_Use_Case_Usage": {"178": [{"call_count": 100, "estimated_time_to_regain_access": 7}]}},
            [(ACCOUNT_CALLS, "178", Allowance(remaining=0, resets_at=NOW + timedelta(minutes=7)))],
        ),
        ({"X_Business_Use_Case_Usage": {"178": [{"call_count": 99, "estimated_time_to_regain_access": 0}]}}, []),
        ({"X_App_Usage": "nonsense", "X_Business_Use_Case_Usage": [1, {"a": 2}]}, []),
    ],
)
def test_only_a_limit_that_is_reached_is_settled(
    headers: dict[str, Any], settled: list[Any], books_of: Callable[[], Any]
) -> None:
    books = books_of()
    quotas.heed(books, reply(**headers), "178", NOW)
    assert books.settled == settled


def test_a_header_of_a_call_for_nobody_closes_no_account(books_of: Callable[[], Any]) -> None:
    books = books_of()
    usage = {"178": [{"estimated_time_to_regain_access": 7}]}
    quotas.heed(books, reply(X_Business_Use_Case_Usage=usage), "", NOW)
    assert books.settled == []


def test_ordinary_answers_cost_no_write(publication: Any, control: Any) -> None:
    publication.delivery = replace(publication.delivery, options={})
    control.fault("publishing_limit", "error", status=200, body={"data": [{}]}, count=None)
    publication.stage()
    publication.commit()
    assert [told for _, _, told in publication.books.settled if told != Allowance()] == []
