"""What a person may say about a publication, and what the house answers when that would make two or lose one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.services import fetch, people, record

HOUR = 3600


@pytest.fixture
def in_review(ready: Callable[..., Any], sandbox: Any) -> Callable[..., Any]:
    """`in_review(done=True)`: the send to X had no answer and reads cannot decide; was it done?"""

    def make(done: bool) -> Any:
        world = ready("x")
        sandbox.fault("x", "tweets.create", "commit_then_reset" if done else "reset_after_body")
        if done:
            sandbox.fault("x", "timeline", "read_error", count=None)
        assert world.settle("x").state == State.NEEDS_REVIEW
        sandbox.control("DELETE", "/faults")
        return world

    return make


def act(verb: Callable[..., Any], world: Any, *more: Any, platform: str = "x") -> Any:
    return verb(world.house, world.scope, world.publication(platform).id, *more)


def evidence(world: Any, platform: str = "x") -> list[str]:
    trail = record.trail(world.house, world.scope, world.publication(platform).id)
    return [each.kind for each in trail.evidence]


# ----------------------------------------------------------------------------------------------------------- cancel


def test_a_publication_can_be_cancelled_at_each_step_before_its_send(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    act(people.cancel, world, platform="x")
    fetch.fetch(world.house, world.system, world.story().post.id, lambda _step, _at: None)
    act(people.cancel, world, platform="youtube")
    world.prepare()
    world.publish("instagram", patience_seconds=0.0)
    assert world.publication("instagram").state in (State.READY, State.STAGING)
    act(people.cancel, world, platform="instagram")

    assert {row.state for row in world.story().publications} == {State.CANCELLED}
    for platform in ("x", "youtube", "instagram"):
        assert world.publish(platform).state == State.CANCELLED
    world.assert_invariants()


@pytest.mark.parametrize("state", [State.UNKNOWN, State.RECONCILING, State.PUBLISHED])
def test_after_the_send_it_is_too_late_to_cancel(state: State, ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    if state != State.PUBLISHED:
        sandbox.fault("x", "tweets.create", "commit_then_reset")
        sandbox.fault("x", "timeline", "read_error", count=None)
    world.settle("x", state)

    with pytest.raises(UserError, match="too late"):
        act(people.cancel, world)
    assert world.publication("x").state == state


def test_a_cancellation_while_a_worker_stages_stops_its_send(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "upload.finalize", "slow", seconds=1)
    sending = meanwhile(world.publish, "x")
    sandbox.wait_for_call("x", "upload.finalize")

    act(people.cancel, world)

    assert sending.result().state == State.CANCELLED
    world.assert_invariants()
    assert sandbox.live("x") == []


# ----------------------------------------------------------------------------------------------------------- repeat


def test_only_what_failed_is_repeated_and_goes_out_once(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    with pytest.raises(UserError, match="Only a failed"):
        act(people.repeat, world)
    sandbox.fault("x", "upload.status", "processing_failed")
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    assert world.settle("x").state == State.FAILED
    sandbox.control("DELETE", "/faults")

    act(people.repeat, world)

    assert world.settle("x").state == State.PUBLISHED


def test_a_file_that_could_not_be_had_is_fetched_anew(world: Any, sandbox: Any) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    post = sandbox.post(private="true")
    sandbox.change(post, private=False)
    world.detect()
    sandbox.change(post, private=True)
    world.prepare()
    assert world.publication("x").state == State.FAILED
    sandbox.change(post, private=False)

    act(people.repeat, world)
    world.prepare()

    assert world.settle("x").state == State.PUBLISHED


# ----------------------------------------------------------------------------------------------------------- settle


def test_a_person_who_has_seen_it_settles_it_with_its_link(in_review: Callable[..., Any]) -> None:
    world = in_review(done=True)
    with pytest.raises(UserError, match="web address"):
        act(people.settle_live, world, "javascript:alert(1)")

    row = act(people.settle_live, world, "https://x.com/mia/status/1")

    assert (row.state, row.url) == (State.PUBLISHED, "https://x.com/mia/status/1")
    world.assert_invariants()


def test_a_person_may_leave_it_as_it_is(in_review: Callable[..., Any]) -> None:
    world = in_review(done=False)

    assert act(people.drop, world).state == State.DROPPED
    assert world.publish("x").state == State.DROPPED


def test_what_is_really_not_there_is_sent_again_and_goes_out_once(in_review: Callable[..., Any], sandbox: Any) -> None:
    world = in_review(done=False)

    act(people.settle_absent, world)

    assert world.settle("x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_person_who_overlooked_it_is_shown_it_instead_of_a_second_post(
    in_review: Callable[..., Any], sandbox: Any
) -> None:
    world = in_review(done=True)

    with pytest.raises(UserError, match="we have just found it"):
        act(people.settle_absent, world)

    row = world.publication("x")
    assert (row.state, row.external_id) == (State.PUBLISHED, sandbox.live("x")[0]["id"])
    world.assert_invariants()


def test_nobody_sends_again_while_the_last_send_may_still_arrive(
    in_review: Callable[..., Any], owner_connection: psycopg.Connection[Any], world: Any
) -> None:
    in_review(done=False)
    owner_connection.execute("update publications set last_sent_at = %s", [world.clock()])

    with pytest.raises(UserError, match="may still arrive"):
        act(people.settle_absent, world)


def test_nobody_sends_again_who_cannot_look(in_review: Callable[..., Any], sandbox: Any) -> None:
    world = in_review(done=True)
    sandbox.fault("x", "timeline", "read_error")

    with pytest.raises(UserError, match="could not look"):
        act(people.settle_absent, world)
    assert world.publication("x").state == State.NEEDS_REVIEW


def test_a_post_that_shows_up_after_a_person_gave_it_up_stops_the_second_send(
    in_review: Callable[..., Any], sandbox: Any
) -> None:
    world = in_review(done=True)
    sandbox.fault("x", "timeline", "read_lag", seconds=48 * HOUR)
    act(people.settle_absent, world)
    assert world.publication("x").state == State.READY

    assert world.publish("x").state == State.PUBLISHED
    assert [post["id"] for post in sandbox.live("x")] == [world.publication("x").external_id]
    world.assert_invariants()


def test_a_decision_counts_once(in_review: Callable[..., Any]) -> None:
    world = in_review(done=False)
    act(people.drop, world)

    for verb, more in ((people.drop, ()), (people.settle_absent, ()), (people.settle_live, ("https://x.com/1",))):
        with pytest.raises(UserError, match="does not wait for a decision"):
            act(verb, world, *more)


def test_another_tenant_sees_and_moves_nothing(in_review: Callable[..., Any], other_tenant: Any) -> None:
    world = in_review(done=False)
    theirs = world.publication("x").id

    for verb, more in (
        (people.cancel, ()),
        (people.repeat, ()),
        (people.drop, ()),
        (people.settle_absent, ()),
        (people.settle_live, ("https://x.com/1",)),
    ):
        with pytest.raises(UserError, match="no such publication"):
            verb(other_tenant.house, other_tenant.scope, theirs, *more)
    assert world.publication("x").state == State.NEEDS_REVIEW
    assert EvidenceKind.ABSENT not in evidence(world)
