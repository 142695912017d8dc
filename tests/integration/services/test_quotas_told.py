"""What a used-up limit does to publications, and what people are told of limits, money and queues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event

from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import apart_seconds
from autorepost_app.persistence import quotas as kept
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
    assert abs(row.due_at - midnight - timedelta(seconds=apart_seconds(row.id))) < timedelta(seconds=5)
    assert "A limit of YouTube is used up" in row.waiting_for
    assert sandbox.calls_now("youtube", "session.start") == 0
    assert world.settle("youtube").state == State.PUBLISHED
    assert sandbox.calls_now("youtube", "session.start") == 1
    told = record.trail(world.house, world.scope, row.id)
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
    told = record.trail(world.house, world.scope, row.id)
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
    assert (bill.used, bill.in_30_days) == (15, 55), "two posts at 15 and a look at 10 are three days old"
    assert "dollar" in bill.unit
    world.clock.advance(26 * 86_400)
    assert line(quotas.standing(world.house, world.scope), "x", "money").in_30_days == 55
    world.clock.advance(2 * 86_400)
    assert line(quotas.standing(world.house, world.scope), "x", "money").in_30_days == 15, "the rest is of last month"


def test_what_is_only_counted_is_told_for_each_account_of_its_own(world: Any, other_tenant: Any, sandbox: Any) -> None:
    mine, theirs = world.connect("x"), other_tenant.connect("x", f"{sandbox.handle}-noa")
    use(world, "x", "post", 2, mine.external_account_id)
    use(world, "x", "post", 5, theirs.external_account_id)

    posts = line(quotas.standing(world.house, world.scope), "x", "day_posts")
    assert (posts.limit, posts.used, posts.in_30_days) == (None, 2, 2)


def test_a_hundred_accounts_are_told_of_with_as_many_statements_as_one(world: Any, owner_connection: Any) -> None:
    x = world.connect("x")
    use(world, "x", "post", 2, x.external_account_id)
    with_one = statements_of(world, 1)
    columns = "tenant_id, platform, login, handle"
    owner_connection.execute(
        f"insert into connections (id, external_account_id, {columns})"
        f" select gen_random_uuid(), 'more' || n, {columns} from connections, generate_series(1, 99) n where id = %s",
        [x.id],
    )

    assert statements_of(world, 100) == with_one


def statements_of(world: Any, accounts: int) -> int:
    """How often the database is asked when everybody's limits are told."""
    asked: list[str] = []
    listen = (Engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    event.listen(*listen)
    try:
        found = quotas.standing(world.house, world.system)
    finally:
        event.remove(*listen)
    assert sum((each.platform, each.quota) == ("x", "posts") for each in found) == accounts
    assert sum((each.platform, each.quota) == ("x", "day_posts") for each in found) == accounts, "a bill each"
    return len(asked)


def test_what_a_platform_said_is_told_in_its_place(world: Any) -> None:
    x = world.connect("x")
    opens_at = world.clock() + timedelta(minutes=3)
    meter(world, "x").settle("posts", x.external_account_id, Allowance(limit=50, remaining=0, resets_at=opens_at))

    told = line(quotas.standing(world.house, world.scope), "x", "posts")

    assert (told.limit, told.left, told.closed_until, told.frees_at) == (50, 0, opens_at, opens_at)
    world.clock.advance(181)
    opened = line(quotas.standing(world.house, world.scope), "x", "posts")
    assert (opened.limit, opened.left, opened.closed_until) == (50, 50, None)


def test_a_closed_limit_with_room_frees_when_it_opens_and_a_full_one_when_there_is_room(world: Any) -> None:
    x = world.connect("x").external_account_id
    use(world, "x", "post", 1, x)
    counting, began_at = meter(world, "x"), world.clock()
    opens_at, soon = began_at + timedelta(minutes=3), timedelta(seconds=5)

    counting.settle("posts", x, Allowance(resets_at=opens_at))
    with_room = line(quotas.standing(world.house, world.scope), "x", "posts")
    assert (with_room.left, with_room.frees_at) == (0, opens_at)

    counting.settle("posts", x, Allowance(limit=1, resets_at=opens_at))
    full = line(quotas.standing(world.house, world.scope), "x", "posts")
    assert full.frees_at is not None
    assert abs(full.frees_at - began_at - timedelta(minutes=15)) < soon


def test_nothing_is_left_of_a_limit_that_was_lowered_below_what_is_used(world: Any) -> None:
    x = world.connect("x").external_account_id
    use(world, "x", "post", 3, x)
    meter(world, "x").settle("posts", x, Allowance(limit=2))

    assert line(quotas.standing(world.house, world.scope), "x", "posts").left == 0


def test_an_answer_that_says_nothing_of_a_limit_is_not_kept(world: Any) -> None:
    meter(world, "x").settle("posts", "somebody", Allowance())

    with world.house.db.system(world.system) as session:
        assert kept.allowances(session) == {}


def test_who_polls_many_can_ask_how_many_go_through_now(world: Any) -> None:
    def room(call: str, platform: str = "tiktok") -> int | None:
        return quotas.room(world.house, world.system, platform, call)

    assert room("video.list") == 600
    use(world, "tiktok", "video.list", 10)
    assert room("video.list") == 590
    assert room("videos.insert", "youtube") == 100, "a limit without a number holds nobody back"
    assert room("smoke signals") is None
    assert room("post", "x") == 10_000, "what one account may do says nothing of all"
    assert room("playlistItems.insert", "youtube") == 200, "ten thousand units at fifty each"
    use(world, "youtube", "playlistItems.list", 1)
    assert room("playlistItems.insert", "youtube") == 199
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


def test_a_queue_is_done_when_the_last_of_it_is_wanted(ready: Callable[..., Any], owner_connection: Any) -> None:
    world = ready("x")
    queue_more(owner_connection, world, 2)
    wanted_at = world.clock() + timedelta(days=5)
    owner_connection.execute("update publications set publish_at = %s where source_post_id = 'more1'", [wanted_at])

    ahead = forecast_of(world, "x")
    assert (ahead.waiting, ahead.done_at, ahead.bound_by) == (3, wanted_at, "")


def test_what_is_out_waits_no_more_and_what_is_overdue_goes_now(ready: Callable[..., Any]) -> None:
    world = ready("x", "youtube")
    world.clock.advance(3600)
    assert abs(forecast_of(world, "x").done_at - world.clock()) < timedelta(seconds=5)
    assert world.settle("x").state == State.PUBLISHED

    assert [each.platform for each in quotas.forecast(world.house, world.scope)] == ["youtube"]


def test_a_full_quarter_hour_lets_the_next_one_go_when_the_first_call_leaves(ready: Callable[..., Any]) -> None:
    world = ready("x")
    account, began_at = world.publication("x").external_account_id, world.clock()
    use(world, "x", "post", 50, account)
    world.clock.advance(600)
    use(world, "x", "post", 50, account)

    ahead = forecast_of(world, "x")
    assert abs(ahead.done_at - began_at - timedelta(minutes=15)) < timedelta(seconds=15)
    assert ahead.bound_by == "X posts in 15 minutes"


def test_a_limit_without_a_number_that_the_platform_closed_is_waited_for(ready: Callable[..., Any]) -> None:
    world = ready("youtube")
    account, opens_at = world.publication("youtube").external_account_id, world.clock() + timedelta(hours=20)
    meter(world, "youtube").settle("channel_uploads", account, Allowance(remaining=0, resets_at=opens_at))

    ahead = forecast_of(world, "youtube")
    assert (ahead.done_at, ahead.bound_by) == (opens_at, "YouTube uploads a day of one channel")


@pytest.mark.parametrize(
    ("published", "of", "done"),
    [(2, "today", "now"), (3, "today", "midnight"), (3, "last week", "now"), (300, "today", "now")],
    ids=["too few to say", "a hundred units each", "too long ago", "hardly anything each"],
)
def test_what_the_next_ones_take_is_reckoned_from_what_todays_took(
    ready: Callable[..., Any], owner_connection: Any, published: int, of: str, done: str
) -> None:
    """Ninety-nine wait, and three hundred of ten thousand units are used."""
    world = ready("youtube")
    queue_more(owner_connection, world, published)
    at = world.clock() - timedelta(days=7 if of == "last week" else 0)
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute(
        "update publications set state = 'published', due_at = %s where source_post_id like 'more%%'", [at]
    )
    owner_connection.execute("set session_replication_role = origin")
    queue_more(owner_connection, world, 98, "next")
    use(world, "youtube", "playlistItems.insert", 6)

    ahead = forecast_of(world, "youtube")
    midnight = datetime(2026, 11, 26, tzinfo=ZoneInfo("America/Los_Angeles"))
    assert ahead.waiting == 99
    assert (ahead.done_at == midnight) is (done == "midnight")


def queue_more(owner_connection: Any, world: Any, count: int, name: str = "more") -> None:
    """So many more publications like the one that waits."""
    columns = "tenant_id, post_id, connection_id, platform, external_account_id, source_platform, state, template"
    owner_connection.execute(
        f"insert into publications (id, source_post_id, publish_at, due_at, {columns})"
        f" select gen_random_uuid(), %s || n, publish_at, due_at, {columns}"
        " from publications, generate_series(1, %s) n where tenant_id = %s and state = 'ready'",
        [name, count, world.scope.tenant_id],
    )
