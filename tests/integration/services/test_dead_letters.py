"""Does a person find what waits for them by what keeps it, and can they do what is safe, to one or to all of it?"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from autorepost_app.domain.dead_letters import ACTIONS, Action, Kind, key_of
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import BACK_OFF_SECONDS, EvidenceKind, State
from autorepost_app.domain.waking import APART_SECONDS, GAP_SECONDS
from autorepost_app.persistence import publications
from autorepost_app.persistence.publications import Proof
from autorepost_app.services import chains, connect, dead_letters, fetch, people, prepare, publish, record

CLIP = Path(__file__).parents[3] / "autorepost_app" / "cli" / "clip.mp4"
NO_CREDITS = {
    "status": 402,
    "body": {"account_id": 1, "title": "CreditsDepleted", "detail": "no credits", "type": "about:blank"},
}


def quiet(_step: str, _fraction: float) -> None:
    """Nobody watches."""


def waiting(world: Any) -> list[dead_letters.Group]:
    return dead_letters.waiting(world.house, world.scope)


def only(world: Any) -> dead_letters.Group:
    [group] = waiting(world)
    return group


def letters(world: Any, group: dead_letters.Group) -> list[dead_letters.Letter]:
    return dead_letters.letters(world.house, world.scope, group.key)


def all_rows(world: Any) -> list[Any]:
    found = record.recent(world.house, world.scope)
    return sorted((row for story in found for row in story.publications), key=lambda row: row.due_at)


@pytest.fixture
def several(world: Any, sandbox: Any) -> Callable[[int], Any]:
    """`several(3)`: so many posts, READY for X."""

    def make(count: int) -> Any:
        world.rule(world.connect("tiktok"), world.connect("x"))
        for number in range(count):
            sandbox.post(description=f"Walk {number}")
        world.detect()
        for story in record.recent(world.house, world.scope):
            fetch.fetch(world.house, world.system, story.post.id, quiet)
            prepare.prepare(world.house, world.system, story.post.id, quiet)
        return world

    return make


def send_all(world: Any) -> None:
    for row in all_rows(world):
        publish.publish(world.house, world.system, row.id, patience_seconds=0.0, progress=quiet)


@pytest.fixture
def refused(several: Callable[[int], Any], sandbox: Any) -> Callable[[int], Any]:
    """So many posts that X will never take; meanwhile it has come to its senses."""

    def make(count: int) -> Any:
        world = several(count)
        sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
        send_all(world)
        assert {row.state for row in all_rows(world)} == {State.FAILED}
        sandbox.control("DELETE", "/faults")
        return world

    return make


@pytest.fixture
def undecided(ready: Callable[..., Any], sandbox: Any) -> Callable[..., Any]:
    """The send to X had no answer and reads cannot decide; was it done?"""

    def make(done: bool) -> Any:
        world = ready("x")
        sandbox.fault("x", "tweets.create", "commit_then_reset" if done else "reset_after_body")
        if done:
            sandbox.fault("x", "timeline", "read_error", count=None)
        assert world.settle("x").state == State.NEEDS_REVIEW
        sandbox.control("DELETE", "/faults")
        return world

    return make


@pytest.fixture
def closed(world: Any, sandbox: Any) -> Any:
    """A post found while TikTok's pages are of no use for anybody."""
    world.rule(world.connect("tiktok"), world.connect("x"), world.connect("youtube"))
    sandbox.post()
    world.detect()
    chains.look(world.house, world.system)
    sandbox.fault("tiktok", "video.page", "read_error", count=None)
    fetch.fetch(world.house, world.system, world.story().post.id, quiet)
    chains.look(world.house, world.system)
    return world


# --------------------------------------------------------------------------------------------------------------- groups


def test_nothing_waits_for_a_person_where_all_goes_its_way(ready: Callable[..., Any], world: Any) -> None:
    assert waiting(world) == []
    ready("x")
    assert waiting(world) == [], "on its way"
    assert world.settle("x").state == State.PUBLISHED
    assert waiting(world) == []


def test_a_dead_grant_is_one_group_however_many_wait_for_it(several: Callable[[int], Any], sandbox: Any) -> None:
    world = several(3)
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    send_all(world)

    group = only(world)

    assert group.title == f"X: reconnect @{sandbox.handle}, 3 waiting"
    assert (group.kind, group.platform, group.account, group.count) == (Kind.RECONNECT, "x", sandbox.handle, 3)
    assert group.actions == (Action.RECONNECT,)
    assert group.connection_id in {row.id for row in connect.connections_of(world.house, world.scope)}
    assert {each.state for each in letters(world, group)} == {State.READY}
    assert all("never sent" in each.story for each in letters(world, group))


def test_once_it_is_reconnected_all_of_them_go_on_one_after_the_other(
    several: Callable[[int], Any], sandbox: Any
) -> None:
    world = several(3)
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    send_all(world)
    assert len({row.cause for row in all_rows(world)}) == 2, "the first one met it, the others were told"

    world.connect_again("x")

    assert waiting(world) == []
    due = [row.due_at for row in all_rows(world)]
    assert [(at - due[0]).total_seconds() for at in due] == [0.0, GAP_SECONDS, 2 * GAP_SECONDS]
    world.clock.advance(5)
    send_all(world)
    assert {row.state for row in all_rows(world)} == {State.PUBLISHED}
    assert len(sandbox.live("x")) == 3


def test_a_source_that_has_to_be_reconnected_is_named_and_not_the_destinations(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    source = next(row for row in connect.connections_of(world.house, world.scope) if row.platform == "tiktok")
    connect.disconnect(world.house, world.scope, source.id)
    fetch.fetch(world.house, world.system, world.story().post.id, quiet)

    group = only(world)

    assert group.title == f"TikTok: reconnect @{sandbox.handle}, 3 waiting"
    assert {row.cause for row in all_rows(world)} == {"not_active"}
    world.connect_again("tiktok")
    assert waiting(world) == []


def test_a_send_that_waits_for_a_reconnect_to_be_read_waits_for_a_person(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    assert world.reconcile("x").state == State.RECONCILING

    assert (only(world).kind, only(world).count) == (Kind.RECONNECT, 1)
    world.connect_again("x")
    assert world.settle("x").state == State.PUBLISHED
    assert waiting(world) == []


def test_what_was_refused_is_grouped_by_its_cause_and_says_what_to_do(refused: Callable[[int], Any]) -> None:
    world = refused(2)

    group = only(world)

    assert (group.kind, group.count, group.actions) == (Kind.REJECTED, 2, (Action.REPEAT,))
    assert group.title.startswith("X: 2 refused: ")
    assert group.remedy
    assert group.oldest_at == min(row.state_at for row in all_rows(world))
    assert all_rows(world)[0].cause in group.key


def test_a_post_whose_file_cannot_be_had_waits_for_its_person(world: Any, sandbox: Any) -> None:
    world.rule(world.connect("tiktok"), world.connect("x"))
    post = sandbox.post(private="true")
    sandbox.change(post, private=False)
    world.detect()
    sandbox.change(post, private=True)
    world.prepare()

    [row] = all_rows(world)
    assert row.state == State.FAILED
    assert row.cause
    assert only(world).kind is Kind.REJECTED


def test_what_was_given_up_after_a_day_of_faults_is_not_called_refused(
    refused: Callable[[int], Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = refused(1)
    owner_connection.execute("update publications set faults = %s", [len(BACK_OFF_SECONDS)])

    group = only(world)

    assert (group.kind, group.actions) == (Kind.GAVE_UP, (Action.REPEAT,))
    assert "given up after a day of faults" in group.title


def test_failures_of_last_month_are_history(refused: Callable[[int], Any]) -> None:
    world = refused(1)
    world.clock.advance(timedelta(days=29).total_seconds())
    assert len(waiting(world)) == 1
    world.clock.advance(timedelta(days=2).total_seconds())
    assert waiting(world) == []


def test_failures_of_long_ago_are_left_out_before_anything_is_joined_to_them(
    refused: Callable[[int], Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = refused(3)
    owner_connection.execute(
        "update publications set state_at = state_at - interval '31 days'"
        " where id <> (select id from publications limit 1)"
    )
    asked: list[tuple[str, Any]] = []
    listen = (Engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    event.listen(*listen)
    try:
        assert only(world).count == 1
    finally:
        event.remove(*listen)

    [(statement, given)] = [each for each in asked if "everything" in each[0]]
    [[[plan]]] = owner_connection.execute(f"explain (analyze, format json) {statement}", given).fetchall()
    assert rows_of(plan["Plan"], "publications") == [1]


def rows_of(plan: dict[str, Any], table: str) -> list[int]:
    """How many rows each look into that table gave."""
    here = [int(plan["Actual Rows"])] if plan.get("Relation Name") == table else []
    return here + [count for below in plan.get("Plans", ()) for count in rows_of(below, table)]


def test_whoever_names_tenants_is_told_of_theirs_alone(refused: Callable[[int], Any], other_tenant: Any) -> None:
    world = refused(1)

    def told(*tenants: Any) -> list[int]:
        named = [each.scope.tenant_id for each in tenants]
        return [each.count for each in dead_letters.waiting(world.house, world.system, tenants=named)]

    assert (told(world), told(other_tenant), told(world, other_tenant)) == ([1], [], [1])


def test_failures_without_a_cause_are_grouped_by_their_words(
    refused: Callable[[int], Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = refused(2)
    owner_connection.execute("update publications set cause = ''")
    group = only(world)
    assert group.count == 2
    assert [each.publication_id for each in letters(world, group)]


def test_what_the_operator_has_to_mend_goes_on_by_itself_for_everybody_else(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    sandbox.fault("x", "upload.initialize", "error", count=None, **NO_CREDITS)
    row = world.publish("x")

    group = only(world)

    assert (group.kind, group.actions, group.account) == (Kind.STOPPED, (Action.WAIT,), None)
    assert group.goes_on_at is not None
    assert timedelta(0) <= row.due_at - group.goes_on_at < timedelta(minutes=1)
    assert "credits" not in group.remedy
    [told] = dead_letters.waiting(world.house, world.system)
    assert "buy credits" in told.remedy, "the operator is told what to mend"
    world.clock.advance(16 * 60)
    assert waiting(world) == [], "it is tried again by now"


def test_while_no_file_comes_they_wait_or_the_file_is_handed_over(closed: Any) -> None:
    world = closed

    group = only(world)

    assert group.title == "TikTok: no video can be fetched, 2 waiting"
    assert (group.kind, group.actions) == (Kind.NO_FILES, (Action.HAND_OVER, Action.WAIT))
    assert group.goes_on_at == chains.health(world.house, world.system)[0].next_look_at
    fetch.hand_over(world.house, world.scope, world.story().post.id, CLIP)
    assert waiting(world) == []


def test_what_only_its_person_can_mend_comes_before_what_mends_itself(closed: Any) -> None:
    source = next(row for row in connect.connections_of(closed.house, closed.scope) if row.platform == "tiktok")
    connect.disconnect(closed.house, closed.scope, source.id)

    assert [group.kind for group in waiting(closed)] == [Kind.RECONNECT], "each is in one group"


def test_the_longest_waiting_group_comes_first(refused: Callable[[int], Any], sandbox: Any) -> None:
    world = refused(1)
    world.clock.advance(3600)
    world.connect("youtube")
    sandbox.post(description="Later")
    world.detect()
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    for story in record.recent(world.house, world.scope):
        fetch.fetch(world.house, world.system, story.post.id, quiet)
        prepare.prepare(world.house, world.system, story.post.id, quiet)
    send_all(world)

    assert [group.kind for group in waiting(world)] == [Kind.REJECTED, Kind.RECONNECT]


def test_a_limit_keeps_nobody_waiting_for_a_person_and_opens_for_them_one_by_one(
    several: Callable[[int], Any], sandbox: Any
) -> None:
    world = several(3)
    opens_at = world.clock() + timedelta(seconds=900)
    sandbox.fault("x", "tweets.create", "rate_limited", seconds=900, count=None)
    send_all(world)
    sandbox.control("DELETE", "/faults")

    rows = all_rows(world)
    assert {row.state for row in rows} == {State.READY}
    assert waiting(world) == []
    late = sorted((row.due_at - opens_at).total_seconds() for row in rows)
    assert len(set(late)) == 3
    assert -5 < late[0] < late[-1] < APART_SECONDS + 30
    world.clock.advance(900 + APART_SECONDS + 60)
    send_all(world)
    assert {row.state for row in all_rows(world)} == {State.PUBLISHED}
    assert len(sandbox.live("x")) == 3


@pytest.mark.parametrize("about", ["limit.posts", "a/b?c#d", "The video is private.", "x" * 200, "", "..", "ümlaut"])
def test_a_key_can_stand_in_an_address_and_is_always_the_same(about: str) -> None:
    key = key_of(Kind.REJECTED, "x", about)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,120}", key)
    assert key == key_of(Kind.REJECTED, "x", about)
    assert key != key_of(Kind.REJECTED, "x", about + "?")


# -------------------------------------------------------------------------------------------------------------- letters


def test_a_letter_tells_what_was_tried_and_what_was_answered(undecided: Callable[..., Any]) -> None:
    world = undecided(done=True)

    group = only(world)
    [letter] = letters(world, group)

    assert group.title == f"X: look at @{world.sandbox.handle}, 1 undecided"
    assert letter.caption == "A walk #walk"
    assert re.match(r"Promised 20\S+ \S+ UTC, sent 20\S+ \S+ UTC\. X cannot tell", letter.story)
    assert letter.actions == (Action.LOOK_AGAIN, Action.ATTACH_LINK, Action.SEND_AGAIN, Action.DROP)
    assert [line.at for line in letter.lines] == sorted(line.at for line in letter.lines)
    assert {"attempt", "intent", "answer", "evidence"} <= {line.what for line in letter.lines}
    assert any(line.detail for line in letter.lines), "the raw exchange"


def test_sending_again_is_not_offered_while_the_last_send_may_still_arrive(
    undecided: Callable[..., Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = undecided(done=False)
    owner_connection.execute("update publications set last_sent_at = %s", [world.clock()])

    [letter] = letters(world, only(world))

    assert letter.actions == (Action.LOOK_AGAIN, Action.ATTACH_LINK, Action.DROP)


def test_no_more_letters_are_read_than_were_asked_for(refused: Callable[[int], Any]) -> None:
    world = refused(3)
    group = only(world)
    first = dead_letters.letters(world.house, world.scope, group.key, limit=2)
    assert [each.publication_id for each in first] == [each.publication_id for each in letters(world, group)][:2]
    assert len(first) == 2 < group.count


# ------------------------------------------------------------------------------------------------------------- deciding


def test_all_that_was_refused_is_repeated_one_after_the_other_and_goes_out_once(
    refused: Callable[[int], Any], sandbox: Any
) -> None:
    world = refused(3)

    key = only(world).key

    answer = dead_letters.repeat_all(world.house, world.scope, key)

    assert (answer.done, answer.refused, answer.left) == (3, (), 0)
    due = [row.due_at for row in all_rows(world)]
    apart = [(later - earlier).total_seconds() for earlier, later in pairwise(due)]
    assert apart == pytest.approx([GAP_SECONDS] * 2, abs=GAP_SECONDS * 0.9)
    world.clock.advance(5)
    send_all(world)
    assert len(sandbox.live("x")) == 3
    with pytest.raises(UserError, match="Nothing waits there any more"):
        dead_letters.letters(world.house, world.scope, key)


def test_too_many_for_once_are_left_and_said_so(refused: Callable[[int], Any]) -> None:
    world = refused(3)
    answer = dead_letters.repeat_all(world.house, world.scope, only(world).key, limit=2)
    assert (answer.done, answer.left) == (2, 1)
    assert only(world).count == 1


def test_one_that_cannot_be_repeated_stops_no_other_and_says_why(refused: Callable[[int], Any]) -> None:
    world = refused(2)
    seen = all_rows(world)[0]
    with world.house.db.system(world.system) as session:
        proof = Proof(EvidenceKind.LIVE, "late_answer", "it was seen", world.clock(), external_id="77")
        publications.record(session, publications.get(session, seen.id), proof)

    answer = dead_letters.repeat_all(world.house, world.scope, only(world).key)

    assert answer.done == 1
    [no] = answer.refused
    assert (no.publication_id, no.text) == (seen.id, "There is proof that it is live.")


def test_a_look_finds_what_is_live_after_all_and_sends_nothing(undecided: Callable[..., Any], sandbox: Any) -> None:
    world = undecided(done=True)
    sent = sandbox.calls_now("x", "tweets.create")

    answer = dead_letters.look_again_all(world.house, world.scope, only(world).key)

    assert (answer.done, answer.found, answer.refused) == (1, 1, ())
    assert world.publication("x").state == State.PUBLISHED
    assert sandbox.calls_now("x", "tweets.create") == sent
    assert waiting(world) == []
    world.assert_invariants()


def test_a_look_that_finds_nothing_changes_nothing_and_is_remembered(
    undecided: Callable[..., Any], sandbox: Any
) -> None:
    world = undecided(done=False)
    before = record.trail(world.house, world.scope, world.publication("x").id).evidence

    answer = dead_letters.look_again_all(world.house, world.scope, only(world).key)

    assert (answer.done, answer.found) == (1, 0)
    assert world.publication("x").state == State.NEEDS_REVIEW
    after = record.trail(world.house, world.scope, world.publication("x").id).evidence
    assert [each.kind for each in after[len(before) :]] == [EvidenceKind.UNDECIDED]
    assert sandbox.live("x") == []
    world.assert_invariants()


def test_a_look_that_fails_says_so_and_decides_nothing(undecided: Callable[..., Any], sandbox: Any) -> None:
    world = undecided(done=True)
    sandbox.fault("x", "timeline", "read_error", count=None)

    answer = dead_letters.look_again_all(world.house, world.scope, only(world).key)

    assert answer.done == 0
    [no] = answer.refused
    assert "could not look once more" in no.text
    assert world.publication("x").state == State.NEEDS_REVIEW


def test_only_what_is_under_review_is_looked_for_again(ready: Callable[..., Any]) -> None:
    world = ready("x")
    with pytest.raises(UserError, match="does not wait for a decision"):
        people.look_again(world.house, world.scope, world.publication("x").id)


def test_dropping_in_bulk_asks_for_the_number_that_was_shown(undecided: Callable[..., Any]) -> None:
    world = undecided(done=False)
    key = only(world).key

    with pytest.raises(UserError, match="There are 1 by now, not 2"):
        dead_letters.drop_all(world.house, world.scope, key, count=2)
    assert world.publication("x").state == State.NEEDS_REVIEW

    assert dead_letters.drop_all(world.house, world.scope, key, count=1).done == 1
    assert world.publication("x").state == State.DROPPED
    assert waiting(world) == []


def test_what_a_group_does_not_offer_is_refused_with_what_it_does(undecided: Callable[..., Any]) -> None:
    world = undecided(done=False)
    key = only(world).key

    with pytest.raises(UserError, match="cannot be done here: X: look at") as caught:
        dead_letters.repeat_all(world.house, world.scope, key)
    assert caught.value.remedy == "What can be done: look again, attach link, send again, drop."
    assert world.publication("x").state == State.NEEDS_REVIEW


def test_a_refused_group_is_neither_dropped_nor_looked_for(refused: Callable[[int], Any]) -> None:
    world = refused(1)
    key = only(world).key
    with pytest.raises(UserError, match="cannot be done here"):
        dead_letters.drop_all(world.house, world.scope, key, count=1)
    with pytest.raises(UserError, match="cannot be done here"):
        dead_letters.look_again_all(world.house, world.scope, key)
    assert {row.state for row in all_rows(world)} == {State.FAILED}


def test_every_kind_of_group_says_what_may_be_done() -> None:
    assert set(ACTIONS) == set(Kind)
    assert all(ACTIONS.values())


def test_another_tenant_neither_sees_a_group_nor_decides_about_it(
    undecided: Callable[..., Any], other_tenant: Any
) -> None:
    world = undecided(done=True)
    key, theirs = only(world).key, other_tenant.scope

    assert dead_letters.waiting(world.house, theirs) == []
    for decide in (
        lambda: dead_letters.letters(world.house, theirs, key),
        lambda: dead_letters.repeat_all(world.house, theirs, key),
        lambda: dead_letters.look_again_all(world.house, theirs, key),
        lambda: dead_letters.drop_all(world.house, theirs, key, count=1),
        lambda: people.look_again(world.house, theirs, world.publication("x").id),
    ):
        with pytest.raises(UserError, match=r"Nothing waits there any more|no such publication"):
            decide()
    assert world.publication("x").state == State.NEEDS_REVIEW


def test_two_tenants_with_the_same_trouble_each_see_their_own(
    refused: Callable[[int], Any], other_tenant: Any, sandbox: Any
) -> None:
    world = refused(2)
    noa = replace(other_tenant, sandbox=replace(sandbox, handle=f"{sandbox.handle}noa"))
    noa.rule(noa.connect("tiktok"), noa.connect("x"))
    noa.sandbox.post()
    noa.detect()
    noa.prepare()
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    assert noa.publish("x").state == State.FAILED

    assert (only(world).key, only(world).count) == (only(noa).key, 2)
    assert only(noa).count == 1
    assert [group.count for group in dead_letters.waiting(world.house, world.system)] == [3]
    assert dead_letters.repeat_all(noa.house, noa.scope, only(noa).key).done == 1
    assert {row.state for row in all_rows(world)} == {State.FAILED}, "nobody repeats for somebody else"
