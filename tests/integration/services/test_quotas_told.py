"""What a used-up limit does to publications, and what people are told of limits, money and queues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from autorepost_app.domain.publications import State
from autorepost_app.platform_kit.protocol import Allowance
from autorepost_app.services import quotas, record
from autorepost_app.services.quotas import Forecast, SharedMeter, Standing

EARLY = datetime(2026, 11, 25, 9, tzinfo=UTC)
"""Nowhere near any platform's midnight."""


@pytest.fixture(autouse=True)
def _early(clock: Any, sandbox: Any) -> None:
    clock.advance((EARLY - clock()).total_seconds())


def meter(world: Any, platform: str) -> SharedMeter:
    return SharedMeter(world.house.db, world.house.platforms.manifest(platform), world.clock)


def use(world: Any, platform: str, call: str, times: int, account: str = "somebody") -> None:
    counting = meter(world, platform)
    for _ in range(times):
        counting.reserve(call, account)


def line(found: list[Standing], platform: str, quota: str) -> Standing:
    [only] = [each for each in found if (each.platform, each.quota) == (platform, quota)]
    return only


def forecast_of(world: Any, platform: str) -> Forecast:
    [only] = [each for each in quotas.forecast(world.house, world.scope) if each.platform == platform]
    return only


# ----------------------------------------------------------------------------------------------- what a limit does


def test_a_used_up_day_is_waited_for_and_costs_no_attempt(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("youtube")
    midnight = datetime(2026, 11, 26, tzinfo=ZoneInfo("America/Los_Angeles"))
    use(world, "youtube", "videos.insert", 100)

    row = world.publish("youtube")

    assert (row.state, row.faults) == (State.READY, 0)
    assert abs(row.due_at - midnight) < timedelta(seconds=5)
    assert "A limit of YouTube is used up" in row.waiting_for
    assert sandbox.calls_now("youtube", "session.start") == 0
    assert world.settle("youtube").state == State.PUBLISHED
    assert sandbox.calls_now("youtube", "session.start") == 1
    told = record.receipt(world.house, world.scope, row.id)
    assert [each.number for each in told.attempts] == [1], "the same attempt, begun yesterday"


def test_a_used_up_quarter_hour_sends_nothing_and_is_over_in_a_quarter_hour(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    account = world.publication("x").external_account_id
    use(world, "x", "post", 100, account)
    full_at = world.clock()

    row = world.publish("x")

    assert row.state in (State.READY, State.STAGING)
    assert row.faults == 0
    assert timedelta(minutes=14) < row.due_at - full_at < timedelta(minutes=16)
    assert sandbox.calls_now("x", "tweets.create") == 0
    told = record.receipt(world.house, world.scope, row.id)
    assert [each.intended_at for each in told.attempts] == [None]
    assert world.settle("x").state == State.PUBLISHED
    assert sandbox.calls_now("x", "tweets.create") == 1


def test_nobody_waits_for_a_limit_of_somebody_elses_account(ready: Callable[..., Any]) -> None:
    world = ready("x")
    use(world, "x", "post", 100, "somebody")
    assert world.settle("x").state == State.PUBLISHED


# ----------------------------------------------------------------------------------------------- what people are told


def test_a_tenant_sees_its_own_accounts_limits_and_the_ones_all_share(
    world: Any, other_tenant: Any, sandbox: Any
) -> None:
    mine, theirs = world.connect("x"), other_tenant.connect("x", f"{sandbox.handle}-noa")
    use(world, "x", "post", 3, mine.external_account_id)
    use(world, "x", "post", 5, theirs.external_account_id)

    found = quotas.standing(world.house, world.scope)

    own = line(found, "x", "posts")
    assert (own.account, own.used, own.limit, own.left) == (sandbox.handle, 3, 100, 97)
    assert own.frees_at is not None
    assert timedelta(minutes=14) < own.frees_at - world.clock() <= timedelta(minutes=15)
    assert line(found, "x", "app_posts").used == 8
    everybody = quotas.standing(world.house, world.system)
    assert {each.account for each in everybody if each.quota == "posts" and each.platform == "x"} == {
        sandbox.handle,
        f"{sandbox.handle}-noa",
    }


def test_money_is_counted_and_never_refused(world: Any, sandbox: Any) -> None:
    x = world.connect("x")
    use(world, "x", "post", 2, x.external_account_id)
    world.clock.advance(3 * 86_400)
    use(world, "x", "post", 1, x.external_account_id)

    bill = line(quotas.standing(world.house, world.scope), "x", "money")

    assert (bill.limit, bill.left) == (None, None)
    assert bill.in_30_days is not None
    assert bill.in_30_days >= bill.used + 30, "two posts at 15 thousandths of a dollar are three days old"
    assert "dollar" in bill.unit


def test_what_a_platform_said_is_told_in_its_place(world: Any) -> None:
    x = world.connect("x")
    opens_at = world.clock() + timedelta(minutes=3)
    meter(world, "x").settle("posts", x.external_account_id, Allowance(limit=50, remaining=0, resets_at=opens_at))

    told = line(quotas.standing(world.house, world.scope), "x", "posts")

    assert (told.limit, told.left, told.closed_until, told.frees_at) == (50, 0, opens_at, opens_at)


def test_who_polls_many_can_ask_how_many_go_through_now(world: Any) -> None:
    def room(call: str, platform: str = "tiktok") -> int | None:
        return quotas.room(world.house, world.system, platform, call)

    assert room("video.list") == 600
    use(world, "tiktok", "video.list", 10)
    assert room("video.list") == 590
    assert room("videos.insert", "youtube") == 100, "a limit without a number holds nobody back"
    assert room("smoke signals") is None
    meter(world, "tiktok").settle("video.list", "", Allowance(resets_at=world.clock() + timedelta(seconds=30)))
    assert room("video.list") == 0


# --------------------------------------------------------------------------------------------------- when it is done


def test_a_queue_of_three_hundred_takes_three_days_at_a_hundred_a_day(
    ready: Callable[..., Any], owner_connection: Any
) -> None:
    world = ready("youtube")
    assert forecast_of(world, "youtube").bound_by == ""
    queue_more(owner_connection, world, 299)
    use(world, "youtube", "videos.insert", 100)

    ahead = forecast_of(world, "youtube")

    assert ahead.waiting == 300
    assert ahead.done_at == datetime(2026, 11, 28, tzinfo=ZoneInfo("America/Los_Angeles"))
    assert ahead.bound_by == "YouTube uploads a day, all customers together"


def test_a_short_queue_does_not_wait_for_a_long_one_but_the_long_one_for_it(
    ready: Callable[..., Any], other_tenant: Any, owner_connection: Any
) -> None:
    world = ready("youtube")
    queue_more(owner_connection, world, 299)
    other_tenant.rule(
        other_tenant.connect("tiktok", f"{world.sandbox.handle}-noa"),
        other_tenant.connect("youtube", f"{world.sandbox.handle}-noa"),
    )
    world.sandbox.post(handle=f"{world.sandbox.handle}-noa")
    world.detect()

    assert forecast_of(other_tenant, "youtube").bound_by == ""
    third_midnight = datetime(2026, 11, 28, tzinfo=ZoneInfo("America/Los_Angeles"))
    assert forecast_of(world, "youtube").done_at == third_midnight, "the 301st goes out on the fourth day"


def queue_more(owner_connection: Any, world: Any, count: int) -> None:
    """So many more publications like the one there is."""
    columns = "tenant_id, post_id, connection_id, platform, external_account_id, source_platform, state, template"
    owner_connection.execute(
        f"insert into publications (id, source_post_id, publish_at, due_at, {columns})"
        f" select gen_random_uuid(), 'more' || n, publish_at, due_at, {columns}"
        " from publications, generate_series(1, %s) n where tenant_id = %s",
        [count, world.scope.tenant_id],
    )
