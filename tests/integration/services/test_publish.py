"""Who may send, when, and what becomes of a sender that stops, wakes up late or is cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from autorepost_app.domain.publications import EvidenceKind, SendTimes, State
from autorepost_app.services import connect, deliveries, offers, reconcile, record
from autorepost_app.services.deliveries import PayloadChanged

COMMITS = {"instagram": "media_publish", "x": "tweets.create", "youtube": "insert.last"}
PLATFORMS = sorted(COMMITS)


def trail(world: Any, platform: str) -> record.Trail:
    return record.trail(world.house, world.scope, world.publication(platform).id)


def kinds(world: Any, platform: str) -> list[tuple[str, str]]:
    return [(each.kind, each.source) for each in trail(world, platform).evidence]


def sweep(world: Any) -> int:
    return reconcile.sweep(world.house, world.system)


def hasty(world: Any, **times: float) -> Any:
    """The same world with other times for a send."""
    chosen = {"window_seconds": 5.0, "exchange_seconds": 0.3, "lease_seconds": 120.0, **times}
    return replace(world, house=replace(world.house, times=SendTimes(**chosen)))


# ----------------------------------------------------------------------------------------------------- one at a time


def test_two_workers_at_once_make_one_post(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("x", "youtube")
    for platform in ("x", "youtube"):
        racing = [meanwhile(each.publish, platform) for each in (world, world.worker(), world, world.worker())]
        assert State.PUBLISHED in {each.result().state for each in racing}
        assert world.settle(platform).state == State.PUBLISHED
        assert len(sandbox.live(platform)) == 1
        assert len(trail(world, platform).attempts) == 1


def test_what_is_published_is_left_alone(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    world.settle("x")
    calls = sandbox.calls_now("x", "tweets.create")

    assert world.publish("x").state == State.PUBLISHED
    assert world.reconcile("x").state == State.PUBLISHED
    assert sandbox.calls_now("x", "tweets.create") == calls


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_worker_that_hangs_after_its_intent_is_not_followed_by_a_second_send(
    platform: str, ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready(platform)
    sandbox.fault(platform, COMMITS[platform], "slow", seconds=1.5, after_work=True)
    hanging = meanwhile(world.settle, platform, State.PUBLISHED, State.UNKNOWN, State.RECONCILING)
    sandbox.wait_for_call(platform, COMMITS[platform])
    assert world.publication(platform).state == State.COMMITTING

    world.clock.advance(121)
    assert sweep(world) == 1
    assert world.worker().publish(platform).state == State.UNKNOWN
    found = world.worker().settle(platform)
    assert found.state == State.PUBLISHED, "the read has found it"
    hanging.result()

    assert kinds(world, platform)[-1] == (EvidenceKind.LIVE, "late_answer"), "its answer is evidence (R3)"
    assert world.publication(platform).lease_epoch == found.lease_epoch
    world.assert_invariants()


def test_a_late_answer_wins_over_a_review(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "timeline", "read_error", count=None)
    sandbox.fault("x", "tweets.create", "slow", seconds=4, after_work=True)
    hanging = meanwhile(world.publish, "x")
    sandbox.wait_for_call("x", "tweets.create")
    world.clock.advance(121)
    sweep(world)
    assert world.worker().settle("x").state == State.NEEDS_REVIEW
    hanging.result()
    assert world.publication("x").state == State.NEEDS_REVIEW, "a fenced-off sender writes no state (R3)"

    (heeded,) = reconcile.reconcile_due(world.house, world.system, limit=10)

    assert (heeded.state, heeded.external_id) == (State.PUBLISHED, sandbox.live("x")[0]["id"])
    assert reconcile.reconcile_due(world.house, world.system, limit=10) == []
    world.assert_invariants()


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.DROPPED, State.READY])
def test_live_evidence_wins_whatever_was_concluded_before(
    state: State, ready: Callable[..., Any], sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x")
    world.settle("x")
    (post,) = sandbox.live("x")
    world.seen.clear()
    with owner_connection.transaction():
        owner_connection.execute("set local session_replication_role = replica")
        owner_connection.execute("delete from evidence")
        owner_connection.execute("update publications set state = %s, external_id = null", [state])
        owner_connection.execute(
            "insert into evidence (tenant_id, publication_id, epoch, kind, source, proof, external_id, at)"
            " select tenant_id, id, 1, 'live', 'late_answer', 'heard late', %s, now() from publications",
            [post["id"]],
        )

    reconcile.reconcile_due(world.house, world.system, limit=10)
    world.publish("x")

    assert (world.publication("x").state, world.publication("x").external_id) == (State.PUBLISHED, post["id"])
    assert len(sandbox.live("x")) == 1


def test_live_evidence_that_comes_while_staging_stops_the_send(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "upload.finalize", "slow", seconds=2)
    staging = meanwhile(world.publish, "x")
    sandbox.wait_for_call("x", "upload.append")
    owner_connection.execute(
        "insert into evidence (tenant_id, publication_id, epoch, kind, source, proof, external_id, at)"
        " select tenant_id, id, 1, 'live', 'late_answer', 'heard late', '4242', now() from publications"
    )

    ended = staging.result()

    assert (ended.state, ended.external_id) == (State.PUBLISHED, "4242")
    assert sandbox.calls_now("x", "tweets.create") == 0


# ------------------------------------------------------------------------------------------------- windows and clocks


def test_a_sender_that_is_too_late_for_its_window_sends_nothing(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    calls = sandbox.calls_now("x", "tweets.create")

    late = hasty(world, window_seconds=0.0).publish("x")

    assert late.state == State.STAGING
    assert sandbox.calls_now("x", "tweets.create") == calls
    assert kinds(world, "x") == [(EvidenceKind.NOT_DONE, "answer")]
    assert world.settle("x").state == State.PUBLISHED


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_answer_slower_than_we_wait_is_unknown_until_a_read_finds_it(
    platform: str, ready: Callable[..., Any], sandbox: Any, eventually: Callable[..., Any]
) -> None:
    world = ready(platform)
    sandbox.fault(platform, COMMITS[platform], "slow", seconds=1.0)

    assert hasty(world).settle(platform, State.UNKNOWN).state == State.UNKNOWN
    eventually(lambda: sandbox.live(platform))

    assert world.settle(platform).state == State.PUBLISHED


def test_the_intent_is_on_disk_or_nothing_is_sent(
    ready: Callable[..., Any], sandbox: Any, cut_off: Callable[..., Any]
) -> None:
    world = ready("x")
    calls = sandbox.calls_now("x", "tweets.create")

    with cut_off("update attempts set intended_at"), pytest.raises(OperationalError):
        world.publish("x")

    assert sandbox.calls_now("x", "tweets.create") == calls
    assert world.publication("x").state == State.STAGING
    assert world.settle("x").state == State.PUBLISHED


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_answer_that_could_not_be_written_down_is_found_by_reading(
    platform: str, ready: Callable[..., Any], cut_off: Callable[..., Any]
) -> None:
    world = ready(platform)

    with cut_off("insert into evidence"), pytest.raises(OperationalError):
        world.settle(platform)

    assert world.publication(platform).state == State.COMMITTING
    assert world.settle(platform).state == State.PUBLISHED


def test_what_was_frozen_is_what_is_sent_or_nothing(
    ready: Callable[..., Any], sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x")
    owner_connection.execute("update publications set text = jsonb_set(text, '{body}', '\"other words\"')")

    with pytest.raises(PayloadChanged):
        world.publish("x")
    assert sandbox.live("x") == []


def test_what_may_be_out_there_is_read_even_when_its_words_changed(
    ready: Callable[..., Any], sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    owner_connection.execute("update publications set text = jsonb_set(text, '{body}', '\"other words\"')")

    assert world.settle("x").state == State.PUBLISHED


# ------------------------------------------------------------------------------------------------------- ends of a way


@pytest.mark.parametrize(
    ("platform", "call"), [("instagram", "container.create"), ("x", "upload.finalize")], ids=["instagram", "x"]
)
def test_media_that_the_platform_cannot_process_fails_with_proof(
    platform: str, call: str, ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready(platform)
    sandbox.fault(platform, call, "processing_failed", count=None)

    row = world.settle(platform)

    assert row.state == State.FAILED
    assert row.reason
    assert kinds(world, platform)[-1][0] == EvidenceKind.NOT_SENT
    assert sandbox.live(platform) == []


def test_a_platform_that_cannot_be_reached_is_tried_again_and_nothing_is_doubled(
    ready: Callable[..., Any], sandbox: Any, eventually: Callable[..., Any]
) -> None:
    world = ready("x", "youtube")
    sandbox.control("PUT", "/outage", {"seconds": 1})
    eventually(sandbox.is_dark)

    waiting = [world.publish(platform) for platform in ("x", "youtube")]
    eventually(lambda: not sandbox.is_dark())

    assert [row.state for row in waiting] == [State.READY, State.READY]
    assert [world.settle(platform).state for platform in ("x", "youtube")] == [State.PUBLISHED] * 2


def test_a_fault_that_never_passes_ends_in_a_failure_with_its_reason_in_about_a_day(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    began = world.clock()
    sandbox.fault("x", "upload.initialize", "read_error", count=None)

    row = world.settle("x")

    assert row.state == State.FAILED
    assert timedelta(hours=12) < world.clock() - began < timedelta(hours=48)


def test_one_read_that_breaks_delays_no_other(
    ready: Callable[..., Any], sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x", "youtube")
    for platform in ("x", "youtube"):
        sandbox.fault(platform, COMMITS[platform], "commit_then_reset")
        world.settle(platform, State.UNKNOWN)
    owner_connection.execute("update attempts set handles = '{\"media_id\": 7}' where handles ? 'media_id'")
    world.clock.advance(600)

    with pytest.raises(ExceptionGroup, match="reads that broke"):
        reconcile.reconcile_due(world.house, world.system, limit=10)

    assert world.publication("youtube").state == State.PUBLISHED


# ----------------------------------------------------------------------------------------------------- while on its way


@pytest.mark.parametrize("change", ["deleted_at = now()", "paused_at = now()"])
def test_a_rule_taken_away_on_the_way_loses_nothing(
    change: str, ready: Callable[..., Any], sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    owner_connection.execute(f"update rules set {change}")

    assert world.settle("x").state == State.PUBLISHED


def test_an_account_disconnected_on_the_way_keeps_its_unclear_send_for_a_person(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    row = world.settle("x", State.UNKNOWN)
    connect.disconnect(world.house, world.scope, row.connection_id)

    assert world.settle("x").state == State.NEEDS_REVIEW
    world.assert_invariants()


def test_a_post_of_two_tenants_is_offered_once_for_both(world: Any, other_tenant: Any, sandbox: Any) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    sandbox.post()
    world.detect()
    world.prepare()
    source = other_tenant.connect_again("tiktok")
    other_tenant.rule(
        source,
        other_tenant.connect("x", handle=f"{sandbox.handle}-noa"),
        since_at=source.connected_at - timedelta(hours=1),
    )
    world.detect()

    (offered,) = offers.offer(world.house, world.system, limit=10)

    assert offered.from_start, "one of them still needs its file"
    assert offers.offer(world.house, world.system, limit=10) == []
    offers.close(world.house, world.system, offered.identity)
    assert len(offers.offer(world.house, world.system, limit=10)) == 1


def test_a_marker_and_handles_never_show_a_secret(ready: Callable[..., Any]) -> None:
    world = ready("youtube")
    world.settle("youtube")
    (attempt,) = trail(world, "youtube").attempts

    assert "session_uri" not in attempt.handles
    assert deliveries.open_handles(world.house, attempt)["session_uri"].startswith("http")
    assert b"http" not in bytes(attempt.secret_handles_sealed)
