"""What the platforms show is held against what we say, by reads alone, and never takes back that something is live."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import State
from autorepost_app.domain.watchdogs import Watch
from autorepost_app.persistence import publications
from autorepost_app.platform_kit.protocol import Done, Staged
from autorepost_app.services import checks, deliveries, people, record, restores, tokens, watchdogs

HOUR, DAY = 3600.0, 24 * 3600.0
SCOPE = SystemScope("test")
LISTS = {"instagram": "media.list", "youtube": "playlistItems.list", "x": "timeline"}
each_platform = pytest.mark.parametrize("platform", ["instagram", "x", "youtube"])


@pytest.fixture
def check(world: Any) -> Callable[[float], None]:
    """After so long, everything that is due by then is checked."""

    def go(seconds: float) -> None:
        world.clock.advance(seconds)
        for _ in range(5):
            checks.check_due(world.house, SCOPE, limit=20)

    return go


@pytest.fixture
def published(ready: Callable[..., Any]) -> Callable[[str], Any]:
    def make(platform: str) -> Any:
        world = ready(platform)
        assert world.settle(platform).state == State.PUBLISHED
        return world

    return make


def lasting(world: Any) -> list[Watch]:
    return sorted(Watch(each.watch) for each in watchdogs.alarms(world.house, SCOPE))


def told(world: Any, watch: Watch) -> list[str]:
    return [
        line.text for line in record.recent_activity(world.house, world.scope) if line.kind == f"alarm.{watch.value}"
    ]


def send_behind_our_back(world: Any, platform: str) -> None:
    """The same publication goes out once more, by hands that no table holds back."""
    row = world.publication(platform)
    with world.house.db.system(SCOPE) as session:
        loaded = deliveries.load(session, row.id, row.attempt_id)
    grant = tokens.grant_for(world.house, SCOPE, row.connection_id)
    delivery = deliveries.delivery_of(world.house, loaded, grant, lambda _step, _fraction: None)
    destination, handles = world.house.platforms.destination(platform), {}
    give_up_at = time.monotonic() + 30
    while not isinstance(destination.stage(delivery, dict(handles), handles.update), Staged):
        assert time.monotonic() < give_up_at, "the platform never had it ready"
        time.sleep(0.02)
    assert isinstance(destination.commit(delivery, handles, deliveries.Window.opens_now(20, 60)), Done)


@each_platform
def test_what_is_still_there_is_looked_for_and_said_to_nobody(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any, platform: str
) -> None:
    world = published(platform)
    before = sandbox.calls_now(platform, LISTS[platform])
    check(60.0)
    assert sandbox.calls_now(platform, LISTS[platform]) == before, "too early to mean anything"
    check(2 * HOUR)
    assert sandbox.calls_now(platform, LISTS[platform]) > before
    assert lasting(world) == []


@each_platform
def test_what_its_owner_deletes_is_told_once_and_stays_published(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any, platform: str
) -> None:
    world = published(platform)
    before = world.publication(platform)
    sandbox.control("DELETE", f"/posts/{platform}/{sandbox.live(platform)[0]['id']}")

    check(2 * HOUR)
    check(DAY)

    assert lasting(world) == [Watch.GONE]
    [line] = told(world, Watch.GONE)
    assert "no longer listed" in line
    after = world.publication(platform)
    assert (after.state, after.external_id, after.url) == (State.PUBLISHED, before.external_id, before.url)
    assert sandbox.live(platform) == [], "nothing was sent again"


@pytest.mark.parametrize("platform", ["instagram", "youtube"])
def test_a_double_is_loud_until_one_of_both_is_deleted(
    published: Callable[[str], Any],
    check: Callable[[float], None],
    sandbox: Any,
    platform: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = published(platform)
    send_behind_our_back(world, platform)
    assert len(sandbox.live(platform)) == 2

    check(2 * HOUR)
    assert lasting(world) == [Watch.TWICE]
    assert len(told(world, Watch.TWICE)) == 1
    assert [each.levelname for each in caplog.records if "twice" in each.getMessage()] == ["ERROR"]

    ours = world.publication(platform).external_id
    [other] = [post["id"] for post in sandbox.live(platform) if post["id"] != ours]
    sandbox.control("DELETE", f"/posts/{platform}/{other}")
    check(DAY)
    assert lasting(world) == []


def test_it_is_looked_at_each_day_while_it_is_new_and_never_again(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any
) -> None:
    world = published("youtube")
    asked = []
    for _ in range(8):
        before = sandbox.calls_now("youtube", LISTS["youtube"])
        check(DAY)
        asked.append(sandbox.calls_now("youtube", LISTS["youtube"]) - before)
    assert asked == [1, 1, 0, 0, 0, 0, 0, 0], "three days are over at the third"
    assert world.publication("youtube").check_at is None


def test_a_platform_that_bills_reads_is_asked_once(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any
) -> None:
    published("x")
    before = sandbox.calls_now("x", LISTS["x"])
    for _ in range(4):
        check(DAY)
    assert sandbox.calls_now("x", LISTS["x"]) - before == 1


def test_with_little_left_of_a_limit_nothing_is_looked_for(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any
) -> None:
    world = published("x")
    before = sandbox.calls_now("x", LISTS["x"])
    world.clock.advance(2 * HOUR)
    account = world.publication("x").external_account_id
    meter = world.house.platforms.destination("x").api.meter
    for _ in range(900 - 200):
        meter.reserve("timeline", account)

    check(0)
    assert sandbox.calls_now("x", LISTS["x"]) == before
    assert world.publication("x").check_at > world.clock(), "later"
    check(2 * HOUR)
    assert sandbox.calls_now("x", LISTS["x"]) == before + 1


def test_a_list_that_cannot_be_read_says_nothing(
    published: Callable[[str], Any], check: Callable[[float], None], sandbox: Any
) -> None:
    world = published("instagram")
    sandbox.fault("instagram", LISTS["instagram"], "read_error", count=None)
    check(2 * HOUR)
    assert lasting(world) == []
    assert world.publication("instagram").check_at > world.clock()


def test_what_was_given_up_and_is_live_becomes_published(
    ready: Callable[..., Any], check: Callable[[float], None], sandbox: Any
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_500")
    sandbox.fault("x", LISTS["x"], "read_error", count=None)
    assert world.settle("x").state == State.NEEDS_REVIEW
    people.drop(world.house, world.scope, world.publication("x").id)
    sandbox.control("DELETE", "/faults")

    check(2 * HOUR)

    row = world.publication("x")
    assert (row.state, row.external_id) == (State.PUBLISHED, sandbox.live("x")[0]["id"])
    world.assert_invariants()


def test_what_a_look_found_live_is_not_sent_again_though_a_person_had_it_repeated_meanwhile(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("x")
    refusal = {"title": "Forbidden", "status": 403, "detail": "Your account is suspended."}
    sandbox.fault("x", "tweets.create", "client_error_although_done", status=403, body=refusal)
    assert world.publish("x").state == State.FAILED
    world.clock.advance(2 * HOUR)
    asked = sandbox.calls_now("x", LISTS["x"])
    sandbox.fault("x", LISTS["x"], "slow", seconds=1.0, after_work=True)
    looking = meanwhile(checks.check_due, world.house, SCOPE, limit=20)
    sandbox.wait_for_call("x", LISTS["x"], times=asked + 1)

    people.repeat(world.house, world.scope, world.publication("x").id)
    assert looking.result() == 1
    assert world.publication("x").state == State.READY, "it was moved by the person"

    row = world.publish("x")
    assert (row.state, row.external_id) == (State.PUBLISHED, sandbox.live("x")[0]["id"])
    assert len(sandbox.live("x")) == 1
    assert sandbox.calls_now("x", "tweets.create") == 1
    world.assert_invariants()


# ------------------------------------------------------------------------------------------------ after a restore


def ended_after_restore(world: Any, platform: str, rewind: Any, restored: Any) -> Any:
    """Sent in the time that is forgotten, and cancelled by a person before anybody has looked."""
    back = rewind()
    sent = world.settle(platform)
    assert sent.state == State.PUBLISHED
    restored(world, back)
    people.cancel(world.house, world.scope, world.publication(platform).id)
    return sent


@each_platform
def test_what_is_cancelled_after_a_restore_and_was_sent_before_becomes_published(
    prepared: Any, check: Callable[[float], None], rewind: Any, restored: Any, platform: str
) -> None:
    sent = ended_after_restore(prepared, platform, rewind, restored)
    watchdogs.look(prepared.house, SCOPE)
    check(2 * HOUR)

    row = prepared.publication(platform)
    assert (row.state, row.external_id) == (State.PUBLISHED, sent.external_id)
    prepared.assert_invariants()


def test_what_is_cancelled_after_a_restore_and_was_never_sent_is_looked_for_once(
    prepared: Any, check: Callable[[float], None], sandbox: Any
) -> None:
    restores.declare(prepared.house, prepared.system)
    prepared.cancel("youtube")
    before = sandbox.calls_now("youtube", LISTS["youtube"])
    for _ in range(3):
        watchdogs.look(prepared.house, SCOPE)
        check(2 * HOUR)
    assert prepared.publication("youtube").state == State.CANCELLED
    assert sandbox.calls_now("youtube", LISTS["youtube"]) - before == 1


def test_a_failure_that_was_repeated_in_the_forgotten_time_is_found(
    prepared: Any, check: Callable[[float], None], sandbox: Any, rewind: Any, restored: Any
) -> None:
    sandbox.fault("x", "upload.status", "processing_failed")
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    row = prepared.settle("x", State.FAILED)
    assert row.state == State.FAILED
    sandbox.control("DELETE", "/faults")
    check(60.0)
    assert prepared.publication("x").check_at is None, "nothing was sent, so there is nothing to look for"
    back = rewind()
    people.repeat(prepared.house, prepared.scope, row.id)
    sent = prepared.settle("x")
    assert sent.state == State.PUBLISHED
    restored(prepared, back)
    watchdogs.look(prepared.house, SCOPE)
    check(2 * HOUR)

    found = prepared.publication("x")
    assert (found.state, found.external_id) == (State.PUBLISHED, sent.external_id)


def test_of_what_a_rule_left_out_after_a_restore_people_are_told(
    prepared: Any, check: Callable[[float], None], rewind: Any, restored: Any, owner_connection: Any
) -> None:
    back = rewind()
    prepared.settle("youtube")
    restored(prepared, back)
    row = prepared.publication("youtube")
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute(
        "update publications set state = 'skipped', state_at = %s, check_at = null where id = %s",
        [prepared.clock(), row.id],
    )
    owner_connection.execute("set session_replication_role = origin")
    watchdogs.look(prepared.house, SCOPE)
    check(2 * HOUR)

    assert prepared.publication("youtube").state == State.SKIPPED
    assert lasting(prepared) == [Watch.LIVE_UNSAID]
    assert len(told(prepared, Watch.LIVE_UNSAID)) == 1


def test_where_a_look_after_a_restore_decides_nothing_its_tenant_is_asked_to_look(
    prepared: Any, check: Callable[[float], None], sandbox: Any, rewind: Any, restored: Any
) -> None:
    back = rewind()
    prepared.settle("instagram")
    send_behind_our_back(prepared, "instagram")
    restored(prepared, back)
    prepared.cancel("instagram")
    watchdogs.look(prepared.house, SCOPE)
    check(2 * HOUR)

    assert prepared.publication("instagram").state == State.CANCELLED
    lines = [line.text for line in record.recent_activity(prepared.house, prepared.scope)]
    assert sum("cannot be told. Please look." in line for line in lines) == 1
    with prepared.house.db.system(SCOPE) as session:
        assert publications.get(session, prepared.publication("instagram").id).looked_epoch == 1
