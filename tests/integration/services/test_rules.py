"""What a rule takes along when it is made, paused, resumed or deleted, and what it leaves to others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import State
from autorepost_app.domain.rules import Filter
from autorepost_app.services import record, rules, workspaces


@pytest.fixture
def source(world: Any) -> Any:
    return world.connect("tiktok")


def hours_ago(world: Any, hours: float) -> Any:
    return world.clock() - timedelta(hours=hours)


def told(world: Any, kind: str) -> list[str]:
    return [line.text for line in record.recent_activity(world.house, world.scope) if line.kind == kind]


def states(world: Any) -> dict[str, dict[str, str]]:
    """What became of each post, by its words and by platform."""
    stories = record.recent(world.house, world.scope, limit=100)
    return {story.post.caption: {row.platform: row.state for row in story.publications} for story in stories}


# ------------------------------------------------------------------------------------------------- reaching back


def test_a_rule_that_reaches_back_takes_posts_that_are_known_already(world: Any, sandbox: Any, source: Any) -> None:
    sandbox.post(description="a day old", create_time=hours_ago(world, 24).isoformat())
    sandbox.post(description="an hour old", create_time=hours_ago(world, 1).isoformat())
    world.rule(source, world.connect("x"))
    world.detect()
    assert states(world) == {"a day old": {}, "an hour old": {}}

    world.rule(source, world.connect("youtube"), since_at=hours_ago(world, 2))

    assert states(world) == {"a day old": {}, "an hour old": {"youtube": State.DETECTED}}
    assert told(world, "rule.looked_back") == [f"One publication of earlier posts of @{sandbox.handle} was promised."]


def test_reaching_back_promises_what_another_rule_has_promised_only_once(world: Any, sandbox: Any, source: Any) -> None:
    x = world.connect("x")
    world.rule(source, x)
    sandbox.post()
    world.detect()
    before = world.publication("x")

    world.rule(source, x, world.connect("youtube"), since_at=hours_ago(world, 2))

    story = world.story()
    assert sorted(row.platform for row in story.publications) == ["x", "youtube"]
    assert world.publication("x").rule_id == before.rule_id
    world.detect()
    assert len(world.story().publications) == 2


def test_what_a_rule_takes_along_it_also_filters_and_delays(world: Any, sandbox: Any, source: Any) -> None:
    for words in ("bread #food", "a walk"):
        sandbox.post(description=words, create_time=hours_ago(world, 1).isoformat())
    world.rule(source, world.connect("youtube"))
    world.detect()

    wanted = Filter(any_hashtag=frozenset({"food"}))
    world.rule(source, world.connect("x"), conditions=wanted, delay_seconds=600, since_at=hours_ago(world, 2))

    assert states(world) == {"bread #food": {"x": State.DETECTED}, "a walk": {"x": State.SKIPPED}}
    rows = [row for story in record.recent(world.house, world.scope, limit=9) for row in story.publications]
    assert {(row.publish_at - row.created_at).total_seconds() for row in rows if row.state == State.DETECTED} == {600}


def test_a_post_taken_along_goes_out_like_any_other(world: Any, sandbox: Any, source: Any) -> None:
    sandbox.post(create_time=hours_ago(world, 1).isoformat())
    world.rule(source, world.connect("youtube"))
    world.detect()
    world.rule(source, world.connect("x"), since_at=hours_ago(world, 2))

    world.prepare()

    assert world.publish("x").state == State.PUBLISHED
    world.assert_invariants()


def test_a_maker_who_dies_before_looking_back_is_made_good_by_the_next_deep_read(
    world: Any, sandbox: Any, source: Any, cut_off: Callable[..., Any]
) -> None:
    world.rule(source, world.connect("youtube"))
    sandbox.post(create_time=hours_ago(world, 1).isoformat())
    world.detect()
    x = world.connect("x")
    with cut_off("insert into publications"), pytest.raises(Exception, match="terminating connection"):
        world.rule(source, x, since_at=hours_ago(world, 2))
    assert states(world) == {"Hello #walk": {}}

    world.clock.advance(86_400 + 60)
    world.detect()

    assert states(world) == {"Hello #walk": {"x": State.DETECTED}}


def test_a_rule_made_while_its_post_is_being_found_does_not_miss_it(
    world: Any,
    sandbox: Any,
    source: Any,
    owner_connection: psycopg.Connection[Any],
    meanwhile: Callable[..., Future[Any]],
    eventually: Callable[..., Any],
) -> None:
    """The poll has read the rules and is held at its very next step; the rule is made; the poll goes on."""
    world.rule(source, world.connect("youtube"))
    x = world.connect("x")
    sandbox.post()
    with owner_connection.transaction():
        owner_connection.execute("lock table posts in share mode")
        finding = meanwhile(world.detect)
        waiting = "select count(*) from pg_locks where not granted"
        eventually(lambda: owner_connection.execute(waiting).fetchone()[0] == 1)
        making = meanwhile(world.rule, source, x, since_at=hours_ago(world, 2))
        eventually(lambda: owner_connection.execute(waiting).fetchone()[0] == 2)
    finding.result(30)
    making.result(30)

    assert states(world) == {"Hello #walk": {"youtube": State.DETECTED, "x": State.DETECTED}}


def test_another_tenants_posts_are_not_taken_along(world: Any, other_tenant: Any, sandbox: Any, source: Any) -> None:
    sandbox.post(create_time=hours_ago(world, 1).isoformat())
    world.rule(source, world.connect("youtube"))
    world.detect()
    handle = f"{sandbox.handle}-noa"

    theirs = other_tenant.connect("tiktok", handle=handle)
    other_tenant.rule(theirs, other_tenant.connect("x", handle=handle), since_at=hours_ago(world, 2))

    assert states(other_tenant) == {}
    assert states(world) == {"Hello #walk": {}}


# --------------------------------------------------------------------------------------------------- pause and resume


@pytest.fixture
def rule(world: Any, source: Any) -> Any:
    return world.rule(source, world.connect("x"))


def test_a_paused_rule_remembers_posts_promises_none_and_keeps_what_it_promised(
    world: Any, sandbox: Any, rule: Any
) -> None:
    sandbox.post(description="before")
    world.detect()
    rules.pause(world.house, world.scope, rule.id)
    sandbox.post(description="meanwhile")

    (found,) = world.detect()

    assert (len(found.posts), found.promised) == (1, 0)
    assert states(world) == {"before": {"x": State.DETECTED}, "meanwhile": {}}
    assert told(world, "rule.paused") == ["The rule “all” was paused. What it has promised already goes on."]
    assert "A new post was found on TikTok. It is left alone by what is paused: “all”." in told(world, "post.detected")


def test_resuming_takes_new_posts_and_leaves_those_of_the_pause(world: Any, sandbox: Any, rule: Any) -> None:
    rules.pause(world.house, world.scope, rule.id)
    during = (world.clock() + timedelta(seconds=1)).isoformat()
    world.clock.advance(60)
    sandbox.post(description="seen", create_time=during)
    world.detect()
    sandbox.post(description="not seen yet", create_time=during)
    rules.resume(world.house, world.scope, rule.id)
    sandbox.post(description="after", create_time=(world.clock() + timedelta(seconds=1)).isoformat())

    world.clock.advance(86_400 + 60)
    world.detect()

    assert states(world) == {"seen": {}, "not seen yet": {}, "after": {"x": State.DETECTED}}
    assert told(world, "rule.resumed") == ["The rule “all” takes new posts again."]


def test_resuming_takes_what_the_pause_left_when_it_is_asked_to(world: Any, sandbox: Any, rule: Any) -> None:
    sandbox.post(description="older", create_time=hours_ago(world, 3).isoformat())
    rules.pause(world.house, world.scope, rule.id)
    sandbox.post(description="seen", create_time=hours_ago(world, 1).isoformat())
    world.detect()

    rules.resume(world.house, world.scope, rule.id, since_at=hours_ago(world, 2))

    assert states(world) == {"older": {}, "seen": {"x": State.DETECTED}}


def test_pausing_twice_is_said_once_and_resuming_twice_is_refused(world: Any, rule: Any) -> None:
    first = rules.pause(world.house, world.scope, rule.id).paused_at
    assert rules.pause(world.house, world.scope, rule.id).paused_at == first
    assert len(told(world, "rule.paused")) == 1
    rules.resume(world.house, world.scope, rule.id)
    with pytest.raises(UserError, match="not paused"):
        rules.resume(world.house, world.scope, rule.id)


# -------------------------------------------------------------------------------------------------------------- delete


@pytest.fixture
def two_promised(world: Any, sandbox: Any, source: Any) -> Any:
    """One rule, one post: X is still to be prepared, YouTube waits for the platform, its bytes already there."""
    made = world.rule(source, world.connect("x"), world.connect("youtube"))
    sandbox.post()
    world.detect()
    return made


def test_deleting_a_rule_cancels_what_nobody_has_begun_to_send(world: Any, two_promised: Any) -> None:
    rules.delete(world.house, world.scope, two_promised.id)

    rows = world.story().publications
    assert {(row.state, row.reason) for row in rows} == {
        (State.CANCELLED, "Cancelled because the rule “all” was deleted.")
    }
    assert told(world, "rule.deleted") == [
        "The rule “all” was deleted; 2 publications that it had promised were cancelled."
    ]
    assert workspaces.rules_of(world.house, world.scope) == []
    world.assert_invariants()


@pytest.mark.parametrize("prepared", [False, True])
def test_deleting_a_rule_may_leave_its_promises_to_be_kept(world: Any, two_promised: Any, prepared: bool) -> None:
    if prepared:
        world.prepare()
    rules.delete(world.house, world.scope, two_promised.id, keep_promises=True)

    world.settle_file()
    assert world.settle("x").state == State.PUBLISHED
    assert told(world, "rule.deleted") == ["The rule “all” was deleted."]


def test_deleting_a_rule_does_not_reach_what_is_staged_or_sent(world: Any, sandbox: Any, two_promised: Any) -> None:
    world.prepare()
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)

    rules.delete(world.house, world.scope, two_promised.id)

    assert world.publication("youtube").state == State.CANCELLED
    assert world.settle("x").state == State.PUBLISHED
    world.assert_invariants()


def test_what_another_rule_takes_to_the_same_place_goes_on_as_its_own(world: Any, sandbox: Any, source: Any) -> None:
    x = world.connect("x")
    first = world.rule(source, x, world.connect("youtube"))
    second = world.rule(source, x)
    sandbox.post()
    world.detect()

    rules.delete(world.house, world.scope, first.id)

    assert (world.publication("x").state, world.publication("x").rule_id) == (State.DETECTED, second.id)
    assert world.publication("youtube").state == State.CANCELLED


def test_a_deleted_rule_finds_nothing_and_is_gone(world: Any, sandbox: Any, rule: Any, source: Any) -> None:
    world.rule(source, world.connect("youtube"))
    rules.delete(world.house, world.scope, rule.id)
    sandbox.post()
    world.detect()

    assert states(world) == {"Hello #walk": {"youtube": State.DETECTED}}
    for change in (rules.pause, rules.resume, rules.delete):
        with pytest.raises(UserError, match="no such rule"):
            change(world.house, world.scope, rule.id)


# ------------------------------------------------------------------------------------------------------------- tenants


@pytest.mark.parametrize("change", [rules.pause, rules.resume, rules.delete])
def test_nobody_reaches_another_tenants_rule(change: Any, world: Any, other_tenant: Any, rule: Any) -> None:
    with pytest.raises(UserError, match="no such rule"):
        change(world.house, other_tenant.scope, rule.id)

    (untouched,) = workspaces.rules_of(world.house, world.scope)
    assert (untouched.paused_at, untouched.deleted_at) == (None, None)
    assert told(other_tenant, f"rule.{change.__name__}d") == []
