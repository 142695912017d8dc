"""Whatever a person does next is safe: press twice, remove and add again, change their mind, edit what is on its way.

The same through Dagster is in tests/pipelines/test_ways_to_go_on.py; docs/exactly-once.md lists every way.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import TenantScope
from autorepost_app.domain.publications import FINAL, State
from autorepost_app.persistence import publications
from autorepost_app.persistence import restores as kept_restores
from autorepost_app.services import connect, detect, finish, notices, offers, people, reconcile, record, restores, rules

Ready = Callable[..., Any]
Meanwhile = Callable[..., Future[Any]]
STATES = (
    State.READY,
    State.STAGING,
    State.COMMITTING,
    State.UNKNOWN,
    State.RECONCILING,
    State.NEEDS_REVIEW,
    State.PUBLISHED,
)


@pytest.fixture
def brought_to(ready: Ready, sandbox: Any, cut_off: Any) -> Callable[[State], Any]:
    """`brought_to(state)`: a publication on X in that state. From COMMITTING on, the post is live."""

    def bring(state: State) -> Any:
        world = ready("x")
        if state == State.STAGING:
            sandbox.control("PUT", "/settings", {"x": {"processing_seconds": 1.0}})
            world.publish("x", patience_seconds=0.0)
        if state == State.COMMITTING:
            with cut_off("insert into evidence"), pytest.raises(OperationalError):
                world.publish("x")
        if state in (State.UNKNOWN, State.RECONCILING, State.NEEDS_REVIEW):
            sandbox.fault("x", "tweets.create", "commit_then_reset")
            sandbox.fault("x", "timeline", "read_error", count=None)
            world.settle("x", state)
            sandbox.control("DELETE", "/faults")
        if state == State.PUBLISHED:
            world.settle("x")
        assert world.publication("x").state == state
        return world

    return bring


def failed(world: Any, sandbox: Any) -> Any:
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    assert world.settle("x").state == State.FAILED
    sandbox.control("DELETE", "/faults")
    return world


def attempts(world: Any) -> int:
    with world.house.db.system(world.system) as session:
        return len(publications.attempts_of(session, world.publication("x").id))


def told(world: Any, kind: str) -> list[str]:
    return [line.text for line in record.recent_activity(world.house, world.scope) if line.kind == kind]


def refusal(pressed: Future[Any]) -> str | None:
    """What a person read who was refused."""
    error = pressed.exception()
    if error is not None and not isinstance(error, UserError):
        raise error
    return None if error is None else error.text


# --------------------------------------------------------------------------------------------------------- try again


def test_a_double_click_and_a_second_session_make_one_attempt_and_one_post(
    ready: Ready, sandbox: Any, meanwhile: Meanwhile
) -> None:
    world = failed(ready("x"), sandbox)
    row, before = world.publication("x"), attempts(world)
    sessions = [world.scope, world.scope, TenantScope(world.scope.tenant_id, None, "mia on her phone")] * 2

    pressed = [meanwhile(people.repeat, world.house, each, row.id) for each in sessions]
    refused = [words for each in pressed if (words := refusal(each)) is not None]

    assert len(refused) == len(sessions) - 1, "one of them counts"
    assert set(refused) <= {"Only a failed publication can be tried again.", "It has moved on in the meantime."}
    assert world.settle("x").state == State.PUBLISHED
    assert (len(sandbox.live("x")), attempts(world)) == (1, before + 1)
    assert len(told(world, "publication.repeat")) == 1


def test_a_click_on_an_old_page_while_it_goes_out_and_afterwards_is_refused(
    ready: Ready, sandbox: Any, meanwhile: Meanwhile
) -> None:
    world = failed(ready("x"), sandbox)
    row = people.repeat(world.house, world.scope, world.publication("x").id)
    sandbox.fault("x", "tweets.create", "slow", seconds=0.5)
    sending = meanwhile(world.publish, "x")
    sandbox.wait_for_call("x", "tweets.create")

    with pytest.raises(UserError, match="Only a failed"):
        people.repeat(world.house, world.scope, row.id)

    assert sending.result().state == State.PUBLISHED
    with pytest.raises(UserError, match="Only a failed"):
        people.repeat(world.house, world.scope, row.id)
    assert len(sandbox.live("x")) == 1


# --------------------------------------------------------------------------------------------------- publish once more


@pytest.mark.parametrize("state", STATES)
def test_publishing_once_more_at_once_or_a_lease_later_makes_no_second_post(
    state: State, brought_to: Any, sandbox: Any
) -> None:
    world = brought_to(state)
    sends_itself = state in (State.READY, State.STAGING)
    with pytest.raises(UserError, match="Only a failed publication can be tried again"):
        people.repeat(world.house, world.scope, world.publication("x").id)

    for moved in (0.0, 121.0):
        world.clock.advance(moved)
        again = world.worker().publish("x")
        assert sends_itself or again.state == state, "only a read or a person may go on from there"

    world.settle("x")
    assert sandbox.calls_now("x", "tweets.create") == 1
    assert len(sandbox.live("x")) == 1


# ------------------------------------------------------------------------------------------------------------ daemons


def test_two_daemons_at_once_do_everything_once(
    ready: Ready, sandbox: Any, meanwhile: Meanwhile, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x", "youtube")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    world.settle("youtube")
    sandbox.post(description="Another walk")
    world.clock.advance(600)
    owner_connection.execute("update connections set poll_not_before_at = null")

    def tick(each: Any) -> list[Any]:
        restores.watch(each.house, each.system)
        detect.poll_due(each.house, each.system, limit=10)
        offered = offers.offer(each.house, each.system, limit=10)
        reconcile.sweep(each.house, each.system)
        reconcile.reconcile_due(each.house, each.system, limit=10)
        notices.work(each.house, each.system)
        finish.finish_due(each.house, each.system, limit=10)
        return [offer.identity.external_post_id for offer in offered]

    ticking = [meanwhile(tick, each) for each in (world, world.worker(), world, world.worker())]
    offered = [post for each in ticking for post in each.result()]

    assert len(offered) == len(set(offered)), "a post has one run, whoever asks for it"
    counted = owner_connection.execute("select count(*), count(distinct external_post_id) from posts").fetchone()
    assert counted == (2, 2)
    promised = owner_connection.execute("select count(*) from publications").fetchone()
    assert promised == (4,), "two posts on two destinations"
    found = "select count(*) from activity where kind = 'publication.published'"
    assert owner_connection.execute(found).fetchone() == (2,), "each is told once"
    assert (len(sandbox.live("x")), len(sandbox.live("youtube"))) == (1, 1)
    world.assert_invariants()


@dataclass
class Interrupted:
    """A store before which something else happens, each time that something is written to it."""

    store: Any
    first: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def put_stream(self, *given: Any) -> Any:
        self.first()
        return self.store.put_stream(*given)


def test_two_daemons_that_start_at_once_do_not_take_a_new_database_for_a_restored_one(world: Any) -> None:
    other = world.worker().house
    store = Interrupted(world.house.store, lambda: restores.notice(other, world.system))

    assert not restores.watch(replace(world.house, store=store), world.system)

    assert not restores.watch(other, world.system)
    assert told(world, "database.restored") == []
    with world.house.db.system(world.system) as session:
        assert kept_restores.epoch(session) == 0


# -------------------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize("state", STATES)
def test_an_account_removed_and_added_again_goes_on_where_it_was(state: State, brought_to: Any, sandbox: Any) -> None:
    world = brought_to(state)
    row = world.publication("x")

    connect.disconnect(world.house, world.scope, row.connection_id)
    world.publish("x")
    again = world.connect_again("x")
    world.detect()

    assert (again.id, again.status) == (row.connection_id, ConnectionStatus.ACTIVE), "it is the same one"
    if state == State.NEEDS_REVIEW:
        with pytest.raises(UserError, match="we have just found it"):
            people.settle_absent(world.house, world.scope, row.id)
    ended = world.settle("x")
    assert (ended.id, ended.state) == (row.id, State.PUBLISHED)
    assert len(sandbox.live("x")) == 1


def test_another_account_in_its_place_is_refused_and_what_waits_goes_to_neither(ready: Ready, sandbox: Any) -> None:
    world = ready("x")
    row = world.publication("x")
    connect.disconnect(world.house, world.scope, row.connection_id)
    other = f"{sandbox.handle}.other"
    sandbox.account("x", other)
    began = connect.begin(
        world.house,
        world.scope,
        "x",
        redirect_uri="http://127.0.0.1:8080/oauth/x/callback",
        connection_id=row.connection_id,
    )

    with pytest.raises(UserError, match="another account than @"):
        connect.finish(world.house, world.scope, sandbox.consent(began.url, other))

    waiting = world.publish("x")
    assert (waiting.state, waiting.external_account_id) == (State.READY, row.external_account_id)
    assert "has to be connected again" in waiting.waiting_for
    assert (sandbox.live("x"), sandbox.live("x", other)) == ([], [])


# ------------------------------------------------------------------------------------------- one account, two tenants


def test_two_tenants_who_take_one_post_to_one_account_at_once_make_one_post(
    world: Any, other_tenant: Any, sandbox: Any, meanwhile: Meanwhile, owner_connection: psycopg.Connection[Any]
) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    other_tenant.rule(other_tenant.connect_again("tiktok"), other_tenant.connect_again("x"))
    sandbox.post()
    owner_connection.execute("update connections set poll_not_before_at = null")

    ticks = [meanwhile(detect.poll_due, each.house, each.system, limit=10) for each in (world, other_tenant) * 2]
    assert sum(found.promised for tick in ticks for found in tick.result()) == 1

    [(publication_id, tenant_id)] = owner_connection.execute("select id::text, tenant_id::text from publications")
    has_it, left_out = (world, other_tenant) if tenant_id == world.scope.tenant_id else (other_tenant, world)
    assert told(left_out, "publication.already_promised") == ["X has or gets this video already."]
    assert told(has_it, "publication.already_promised") == []
    has_it.prepare()
    assert has_it.step_to_rest(publication_id).state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_tenant_whose_rule_reaches_back_is_told_once_that_another_has_sent_it(
    world: Any, other_tenant: Any, sandbox: Any
) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    theirs = other_tenant.connect_again("tiktok")
    other_tenant.rule(theirs, other_tenant.connect("youtube"))
    sandbox.post()
    world.detect()
    post_id = next(story.post.id for story in record.recent(world.house, other_tenant.scope))

    an_hour_ago = world.clock() - timedelta(hours=1)
    made = other_tenant.rule(theirs, other_tenant.connect_again("x"), since_at=an_hour_ago)
    other_tenant.detect()

    lines = [line for line in record.story(world.house, other_tenant.scope, post_id).activity if line.rule_id]
    assert [(line.text, line.rule_id) for line in lines] == [("X has or gets this video already.", made.id)]
    assert told(world, "publication.already_promised") == []


# -------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize("state", STATES)
def test_a_rule_deleted_in_any_state_cancels_what_is_not_begun_and_loses_nothing(
    state: State, brought_to: Any, sandbox: Any
) -> None:
    world = brought_to(state)

    rules.delete(world.house, world.scope, str(world.publication("x").rule_id))

    ended = world.settle("x")
    wanted = {State.READY: (State.CANCELLED, 0), State.NEEDS_REVIEW: (State.NEEDS_REVIEW, 1)}
    assert (ended.state, len(sandbox.live("x"))) == wanted.get(state, (State.PUBLISHED, 1))
    assert ended.state != State.CANCELLED or ended.reason == "Cancelled because the rule “all” was deleted."
    assert ended.state in FINAL or world.publish("x").state == ended.state


def test_a_rule_deleted_while_a_worker_claims_is_before_it_or_after_it(
    ready: Ready, sandbox: Any, meanwhile: Meanwhile
) -> None:
    world = ready("x")
    row = world.publication("x")
    sandbox.fault("x", "upload.initialize", "slow", seconds=0.3)

    sending = meanwhile(world.publish, "x")
    deleting = meanwhile(rules.delete, world.house, world.scope, str(row.rule_id))
    deleting.result()
    sending.result()

    ended = world.settle("x")
    assert (ended.state, len(sandbox.live("x"))) in ((State.CANCELLED, 0), (State.PUBLISHED, 1))
    world.assert_invariants()


# ------------------------------------------------------------------------------------------------- what is frozen goes


def test_words_edited_at_the_source_after_the_intent_are_not_in_the_second_send_either(
    ready: Ready, sandbox: Any
) -> None:
    world = ready("youtube", description="first words")
    sandbox.fault("youtube", "insert.last", "reset_mid_body", bytes=20)
    world.settle("youtube", State.UNKNOWN)
    (post,) = sandbox.live("tiktok")

    sandbox.change(post, description="second words")
    world.detect()

    assert world.settle("youtube").state == State.PUBLISHED
    assert sandbox.calls_now("youtube", "insert.last") == 2, "the first send came to nothing"
    (video,) = sandbox.live("youtube")
    assert "first words" in str(video["text"])
    assert "second words" not in str(video["text"])


def test_a_rules_words_and_options_changed_after_freezing_change_nothing_that_was_promised(
    ready: Ready, sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("youtube", description="first words")
    before = world.publication("youtube")
    owner_connection.execute(
        """update rule_destinations set template = 'Other {caption}', options = '{"privacy": "private"}'"""
    )

    after = world.settle("youtube")

    assert after.state == State.PUBLISHED
    assert (after.text, after.options, after.fingerprint) == (before.text, before.options, before.fingerprint)
    assert "Other" not in str(sandbox.live("youtube")[0]["text"])


@pytest.mark.parametrize(
    "change",
    [
        "text = jsonb_set(text, '{title}', '\"other\"')",
        'options = options || \'{"privacy": "private"}\'',
    ],
    ids=["words", "options"],
)
def test_what_somebody_changed_behind_our_back_is_not_sent_again_either(
    change: str, ready: Ready, sandbox: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("youtube")
    sandbox.fault("youtube", "insert.last", "reset_mid_body", bytes=20)
    world.settle("youtube", State.UNKNOWN)
    world.settle("youtube", State.STAGING, State.READY)
    owner_connection.execute(f"update publications set {change}")
    world.wait_for(world.publication("youtube"))

    with pytest.raises(Exception, match="no longer matches its fingerprint"):
        world.publish("youtube")

    assert sandbox.calls_now("youtube", "insert.last") == 1
    assert sandbox.live("youtube") == []


def test_a_second_send_goes_with_the_handle_of_the_first(ready: Ready, sandbox: Any) -> None:
    world = ready("instagram")
    sandbox.fault("instagram", "media_publish", "reset_mid_body", bytes=20)
    world.settle("instagram", State.UNKNOWN)

    assert world.settle("instagram").state == State.PUBLISHED
    assert sandbox.calls_now("instagram", "media_publish") == 2
    assert sandbox.calls_now("instagram", "container.create") == 1, "one container becomes one post at most"
