"""No post is lost, none is taken twice, and what is left out says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.publications import State
from autorepost_app.domain.rules import Filter
from autorepost_app.persistence import connections
from autorepost_app.services import detect, quotas, record

DAY = 86_400


@pytest.fixture
def source(world: Any) -> Any:
    return world.connect("tiktok")


@pytest.fixture
def listen(world: Any, source: Any) -> Callable[..., Any]:
    """`listen("x", ...)` makes a rule from the source to new connections of these platforms."""

    def make(*platforms: str, **rule: Any) -> list[Any]:
        made = [world.connect(each) for each in platforms]
        world.rule(source, *made, **rule)
        return made

    return make


def stories(world: Any) -> list[Any]:
    return record.recent(world.house, world.scope, limit=100)


def told(world: Any, kind: str) -> list[str]:
    return [line.text for line in record.recent_activity(world.house, world.scope) if line.kind == kind]


def captions(world: Any) -> list[str]:
    return sorted(story.post.caption for story in stories(world))


def ago(world: Any, seconds: float) -> str:
    return str((world.clock() - timedelta(seconds=seconds)).isoformat())


# -------------------------------------------------------------------------------------------------- what is a new post


def test_posts_from_before_the_rule_are_left_alone(world: Any, sandbox: Any, source: Any, listen: Any) -> None:
    sandbox.post(description="old", create_time=ago(world, 3600))
    listen("x")
    sandbox.post(description="new")

    (found,) = world.detect()

    assert found.promised == 1
    promised = {story.post.caption: [row.state for row in story.publications] for story in stories(world)}
    assert promised == {"new": [State.DETECTED], "old": []}


def test_a_rule_may_reach_back_for_earlier_posts(world: Any, sandbox: Any, listen: Any) -> None:
    sandbox.post(description="an hour old", create_time=ago(world, 3600))
    sandbox.post(description="a day old", create_time=ago(world, DAY))
    listen("x", since_at=world.clock() - timedelta(hours=2))

    (found,) = world.detect()

    assert found.promised == 1


def test_a_poll_that_finds_nothing_new_changes_nothing(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    sandbox.post()
    world.detect()

    (again,) = world.detect()

    assert (again.posts, again.promised) == ((), 0)
    assert len(stories(world)) == 1


def test_twenty_five_new_posts_are_read_page_by_page(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    for number in range(25):
        sandbox.post(description=f"clip {number:02}")

    (found,) = world.detect()

    assert found.promised == 25
    assert captions(world) == [f"clip {number:02}" for number in range(25)]


def test_an_empty_page_with_more_behind_it_is_not_taken_for_the_end(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    world.detect()  # the daily deep read, which goes on in any case
    sandbox.post(description="behind nothing")
    newest = int((world.clock() + timedelta(hours=1)).timestamp() * 1000)
    page = {"data": {"videos": [], "cursor": newest, "has_more": True}, "error": {"code": "ok", "message": ""}}
    sandbox.fault("tiktok", "video.list", "error", status=200, body=page)

    assert [found.promised for found in world.detect()] == [1]
    assert captions(world) == ["behind nothing"]


def test_a_private_post_made_public_late_is_found_by_the_daily_deep_read(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    late = sandbox.post(description="late", private="true")
    for number in range(21):
        sandbox.post(description=f"clip {number}")
    world.detect()
    sandbox.control("PATCH", f"/tiktok/accounts/{sandbox.handle}/posts/{late['id']}", {"private": False})

    assert [found.promised for found in world.detect()] == [0], "it is behind the newest page"
    world.clock.advance(DAY + 60)

    assert [found.promised for found in world.detect()] == [1]
    assert "late" in captions(world)


def test_a_photo_post_is_skipped_in_words(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    post = sandbox.post()
    picture = sandbox.hosts["TIKTOK_WWW_URL"] + f"/@{sandbox.handle}/photo/{post['id']}"
    listed = {
        "id": post["id"],
        "create_time": int(datetime.now(UTC).timestamp()),
        "share_url": picture,
        "video_description": "two pictures",
        "title": "",
        "duration": 0,
        "height": 0,
        "width": 0,
        "cover_image_url": picture,
        **dict.fromkeys(("like_count", "comment_count", "share_count", "view_count"), 0),
    }
    page = {"data": {"videos": [listed], "cursor": 0, "has_more": False}, "error": {"code": "ok", "message": ""}}
    sandbox.fault("tiktok", "video.list", "error", status=200, body=page)

    world.detect()

    row = world.publication("x")
    assert (row.state, row.reason) == (
        State.SKIPPED,
        "Left out because it is a photo post and only videos are reposted.",
    )


# ---------------------------------------------------------------------------------------------------- what rules say


def test_the_first_rule_to_name_a_destination_has_it(world: Any, sandbox: Any, source: Any, listen: Any) -> None:
    (x,) = listen("x", delay_seconds=600)
    world.rule(source, x, delay_seconds=0)
    sandbox.post()
    world.detect()

    row = world.publication("x")
    assert (row.publish_at - row.created_at).total_seconds() == 600


def test_a_rule_that_takes_it_goes_before_one_that_leaves_it(
    world: Any, sandbox: Any, source: Any, listen: Any
) -> None:
    (x,) = listen("x", conditions=Filter(any_hashtag=frozenset({"other"})))
    world.rule(source, x)
    sandbox.post(description="A walk #walk")
    world.detect()

    assert world.publication("x").state == State.DETECTED


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (Filter(any_hashtag=frozenset({"food"})), "Left out because it has none of the hashtags #food."),
        (Filter(no_hashtag=frozenset({"Walk"})), "Left out because it has one of the hashtags #Walk."),
        (Filter(any_word=frozenset({"bread"})), "Left out because its caption has none of the words bread."),
        (Filter(duration_min_seconds=60), "Left out because it is shorter than 60 seconds."),
    ],
)
def test_a_filtered_post_is_skipped_and_says_why(
    conditions: Filter, reason: str, world: Any, sandbox: Any, listen: Any
) -> None:
    listen("x", conditions=conditions)
    sandbox.post(description="A #walk")

    (found,) = world.detect()

    row = world.publication("x")
    assert (found.promised, row.state, row.reason) == (0, State.SKIPPED, reason)


def test_a_disconnected_destination_gathers_no_backlog(
    world: Any, sandbox: Any, listen: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    (x,) = listen("x")
    owner_connection.execute("update connections set status = 'disconnected' where id = %s", [x.id])
    sandbox.post()
    world.detect()

    row = world.publication("x")
    assert row.state == State.SKIPPED
    assert "was disconnected when it was found" in row.reason


def test_a_delay_holds_the_send_but_not_the_file(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x", delay_seconds=3600)
    sandbox.post()
    world.detect()
    world.prepare()

    assert world.publish("x").state == State.READY
    world.clock.advance(3601)
    assert world.publish("x").state == State.PUBLISHED


# --------------------------------------------------------------------------------------------------------- tenants


def test_two_tenants_with_one_source_account_each_have_the_post(
    world: Any, other_tenant: Any, sandbox: Any, listen: Any
) -> None:
    listen("x")
    theirs = other_tenant.connect_again("tiktok")
    other_tenant.rule(theirs, other_tenant.connect("x", handle=f"{sandbox.handle}-noa"))
    sandbox.post()

    assert sorted(found.promised for found in world.detect()) == [1, 1]
    assert world.publication("x").id != other_tenant.publication("x").id


def test_a_destination_that_has_the_video_already_is_named_and_not_promised_twice(
    world: Any, other_tenant: Any, sandbox: Any, listen: Any
) -> None:
    listen("x")
    sandbox.post()
    world.detect()
    theirs = other_tenant.connect_again("tiktok")
    other_tenant.rule(theirs, other_tenant.connect_again("x"), since_at=world.clock() - timedelta(hours=1))

    assert sorted(found.promised for found in world.detect()) == [0, 0]
    assert told(other_tenant, "publication.already_promised") == ["X has or gets this video already."]


# ----------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(("fault", "more"), [("read_error", {}), ("reset_after_body", {}), ("error", {"status": 502})])
def test_a_failed_poll_waits_and_finds_the_post_later(
    fault: str, more: dict[str, Any], world: Any, sandbox: Any, source: Any, listen: Any
) -> None:
    listen("x")
    sandbox.post()
    sandbox.fault("tiktok", "video.list", fault, **more)

    (failed,) = world.detect()
    with world.house.db.system(world.system) as session:
        after = connections.get(session, source.id)

    assert failed.fault
    assert after.status == ConnectionStatus.ACTIVE
    assert after.poll_faults == 1
    assert after.poll_not_before_at > world.clock()
    assert [found.promised for found in world.detect()] == [1]


def test_a_limit_postpones_a_poll_to_its_end_and_counts_against_nobody(
    world: Any, sandbox: Any, source: Any, listen: Any
) -> None:
    listen("x")
    world.detect()
    before = marks(world, source)
    sandbox.fault("tiktok", "video.list", "read_error")
    world.detect()
    assert marks(world, source).poll_faults == 1
    sandbox.fault("tiktok", "video.list", "rate_limited", count=None)
    for _ in range(3):
        world.clock.advance(5)
        [limited] = world.detect()
        assert limited.fault

    after = marks(world, source)
    assert after.poll_faults == 1, "neither one more nor forgiven"
    assert (after.status, after.last_success_at) == (ConnectionStatus.ACTIVE, before.last_success_at)
    assert after.last_polled_at == after.last_success_at, "it lost its place"
    assert 50 < (after.poll_not_before_at - world.clock()).total_seconds() <= 60, "a minute's limit takes a minute"


def test_a_limit_that_somebody_else_used_up_meanwhile_postpones_all_the_same(
    world: Any, sandbox: Any, source: Any, listen: Any
) -> None:
    listen("x")
    sandbox.post()
    meter = quotas.SharedMeter(world.house.db, world.house.platforms.manifest("tiktok"), world.clock)
    for _ in range(600):
        meter.reserve("video.list")

    limited = detect.detect(world.house, world.system, source)
    assert limited.fault == "A limit of TikTok is used up: TikTok looks for new posts a minute."
    assert marks(world, source).poll_faults == 0
    world.clock.advance(71)
    assert [found.promised for found in world.detect()] == [1]


def marks(world: Any, source: Any) -> Any:
    with world.house.db.system(world.system) as session:
        return connections.get(session, source.id)


def test_a_source_that_fails_delays_no_other(world: Any, other_tenant: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    handle = f"{sandbox.handle}-noa"
    other_tenant.rule(other_tenant.connect("tiktok", handle=handle), other_tenant.connect("x", handle=handle))
    sandbox.post()
    sandbox.post(handle=handle)
    sandbox.fault("tiktok", "video.list", "read_error", account=sandbox.handle, count=None)

    assert sorted((bool(found.fault), found.promised) for found in world.detect()) == [(False, 1), (True, 0)]


def test_a_dead_grant_stops_its_source_and_says_so_once(
    world: Any, other_tenant: Any, sandbox: Any, source: Any, listen: Any
) -> None:
    listen("x")
    handle = f"{sandbox.handle}-noa"
    other_tenant.rule(other_tenant.connect("tiktok", handle=handle), other_tenant.connect("x", handle=handle))
    sandbox.post(handle=handle)
    sandbox.control("DELETE", f"/accounts/tiktok/{sandbox.handle}/grants")

    world.detect()
    asked = world.detect()

    with world.house.db.system(world.system) as session:
        assert connections.get(session, source.id).status == ConnectionStatus.NEEDS_RECONNECT
    assert len(told(world, "connection.needs_reconnect")) == 1
    assert [found.connection_id for found in asked] != [source.id], "it is not asked again"
    assert told(other_tenant, "connection.needs_reconnect") == []
    assert other_tenant.publication("x").state == State.DETECTED


def test_an_access_token_refused_in_a_poll_is_renewed_once(world: Any, sandbox: Any, listen: Any) -> None:
    listen("x")
    sandbox.post()
    refused = {"error": {"code": "access_token_invalid", "message": "The access token is invalid.", "log_id": "1"}}
    sandbox.fault("tiktok", "video.list", "error", status=401, body=refused)

    before = sandbox.calls_now("tiktok", "token.refresh")
    (found,) = world.detect()

    assert (found.fault, found.promised) == ("", 1)
    assert sandbox.calls_now("tiktok", "token.refresh") == before + 1


def test_dying_between_the_answer_and_the_commit_loses_nothing_and_doubles_nothing(
    world: Any, sandbox: Any, listen: Any, cut_off: Callable[..., Any]
) -> None:
    listen("x", "youtube")
    for number in range(3):
        sandbox.post(description=f"clip {number}")

    with cut_off("insert into publications"), pytest.raises(OperationalError):
        world.detect()
    assert stories(world) == []
    with cut_off("update connections", after="insert into publications"), pytest.raises(OperationalError):
        world.detect()
    assert stories(world) == []

    assert sum(found.promised for found in world.detect()) == 6
    assert sum(found.promised for found in world.detect()) == 0
    assert captions(world) == ["clip 0", "clip 1", "clip 2"]
