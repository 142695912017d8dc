"""One refresh whoever asks, stored before anybody uses it, and a dead grant only where it is really dead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect
from autorepost_app.domain.publications import State
from autorepost_app.persistence import connections, ledger
from autorepost_app.services import connect, detect, record, tokens

X_LIFE = 7200
REFUSED = {"title": "Unauthorized", "detail": "Unauthorized", "type": "about:blank", "status": 401}


def row_of(world: Any, connection: Any) -> Any:
    with world.house.db.system(world.system) as session:
        return connections.get(session, connection.id)


def grant(world: Any, connection: Any) -> Any:
    return tokens.grant_for(world.house, world.system, connection.id)


def asked_to_reconnect(world: Any) -> int:
    lines = record.recent_activity(world.house, world.scope)
    return sum(line.kind == "connection.needs_reconnect" for line in lines)


def test_eight_processes_that_need_a_new_token_make_one_refresh(world: Any, sandbox: Any) -> None:
    made = [world.connect("x"), world.connect("tiktok")]
    world.clock.advance(86_400 + 60)
    before = [sandbox.calls_now(each.platform, "token.refresh") for each in made]

    with world.process("grant", *(each.id for each in made), copies=8) as racing:
        used = racing.stdout.readlines()

    assert len(used) == 16
    assert len(set(used)) == 2, "all of them use the same tokens"
    assert [sandbox.calls_now(each.platform, "token.refresh") for each in made] == [count + 1 for count in before]
    assert [row_of(world, each).token_version for each in made] == [2, 2]


def test_nothing_that_names_a_connection_waits_for_its_refresh(
    world: Any, sandbox: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    source, x = world.connect("tiktok"), world.connect("x")
    world.rule(source, x)
    sandbox.post()
    world.clock.advance(X_LIFE)
    sandbox.fault("x", "token.refresh", "slow", seconds=1.5)
    refreshing = meanwhile(lambda: grant(world, x))
    sandbox.wait_for_call("x", "token.refresh")

    with world.house.db.tenant(world.scope) as session:
        about = {"tenant_id": world.scope.tenant_id, "at": world.clock(), "connection_id": x.id}
        ledger.tell(session, kind="test", text="A line about it.", **about)
    detect.poll_due(world.house, world.system, limit=1)

    assert world.publication("x").connection_id == x.id, "promised"
    assert not refreshing.done()
    assert refreshing.result()
    assert row_of(world, x).token_version == 2


def test_a_refresh_whose_answer_was_lost_ends_in_a_question_and_never_in_a_loop(
    ready: Callable[..., Any], sandbox: Any, cut_off: Callable[..., Any]
) -> None:
    world = ready("x")
    world.clock.advance(X_LIFE)
    before = sandbox.calls_now("x", "token.refresh")

    with cut_off("update connections set access"), pytest.raises(OperationalError):
        world.publish("x")
    row = world.settle_hours("x", 5)

    assert row.state in (State.READY, State.STAGING), "it waits for its owner, unharmed"
    assert sandbox.calls_now("x", "token.refresh") == before + 2
    assert asked_to_reconnect(world) == 1
    world.connect_again("x")
    assert world.settle("x").state == State.PUBLISHED


def test_a_refresh_that_fails_in_passing_ahead_of_the_end_harms_nobody(world: Any, sandbox: Any) -> None:
    x = world.connect("x")
    old = grant(world, x)
    world.clock.advance(X_LIFE * 0.95)
    sandbox.fault("x", "token.refresh", "read_error")

    assert grant(world, x) == old
    assert grant(world, x) != old


def test_a_refresh_that_our_operator_must_mend_is_told_while_the_old_token_still_serves(
    world: Any, sandbox: Any
) -> None:
    x = world.connect("x")
    world.clock.advance(X_LIFE * 0.95)
    body = {"error": "invalid_client", "error_description": "client secret"}
    sandbox.fault("x", "token.refresh", "error", status=401, body=body)

    with pytest.raises(PlatformFault) as caught:
        grant(world, x)

    assert isinstance(caught.value.verdict, Operator)
    assert row_of(world, x).status == ConnectionStatus.ACTIVE
    assert asked_to_reconnect(world) == 0
    assert grant(world, x)


def test_a_refresh_that_fails_in_passing_after_the_end_waits_and_asks_nobody(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    world.clock.advance(X_LIFE + 60)
    sandbox.fault("x", "token.refresh", "read_error")

    row = world.publish("x")

    assert row.due_at > world.clock()
    assert world.settle("x").state == State.PUBLISHED
    assert asked_to_reconnect(world) == 0


def test_an_empty_refresh_token_never_overwrites_the_one_we_have(world: Any, sandbox: Any) -> None:
    x = world.connect("x")
    had = tokens.open_tokens(world.house, row_of(world, x)).refresh_token
    world.clock.advance(X_LIFE)
    body = {"access_token": "fresh", "refresh_token": "", "expires_in": X_LIFE, "token_type": "bearer"}
    sandbox.fault("x", "token.refresh", "error", status=200, body=body)

    assert grant(world, x).access_token == "fresh"

    kept = tokens.open_tokens(world.house, row_of(world, x))
    assert kept.refresh_token == had
    assert kept.scopes == frozenset(x.scopes)


@pytest.mark.parametrize("call", ["upload.initialize", "tweets.create", "timeline"])
def test_a_token_refused_in_the_middle_is_renewed_once(call: str, ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    before = sandbox.calls_now("x", "token.refresh")
    sandbox.fault("x", call, "error", status=401, body=REFUSED)
    if call == "timeline":
        sandbox.fault("x", "tweets.create", "commit_then_reset")

    assert world.settle("x").state == State.PUBLISHED
    assert sandbox.calls_now("x", "token.refresh") == before + 1
    assert asked_to_reconnect(world) == 0


@pytest.mark.parametrize("call", ["upload.initialize", "tweets.create"])
def test_a_renewal_that_fails_in_passing_does_not_take_the_grant_for_dead(
    call: str, ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready("x")
    sandbox.fault("x", call, "error", status=401, body=REFUSED, count=2)
    sandbox.fault("x", "token.refresh", "read_error")

    assert world.settle("x").state == State.PUBLISHED
    assert asked_to_reconnect(world) == 0


@pytest.mark.parametrize("call", ["upload.initialize", "tweets.create"])
def test_a_grant_that_dies_on_the_way_asks_once_and_waits(call: str, ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    sandbox.fault("x", call, "token_revoked")

    row = world.settle_hours("x", 5)

    assert row.state in (State.READY, State.STAGING)
    assert asked_to_reconnect(world) == 1
    waited = [line for line in world.story().activity if line.kind == "publication.waiting"]
    assert len(waited) <= 1, "the same news is told once"
    world.connect_again("x")
    assert world.settle("x").state == State.PUBLISHED


def test_what_a_person_disconnected_is_not_asked_for_again(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    x = next(each for each in connect.connections_of(world.house, world.scope) if each.platform == "x")
    connect.disconnect(world.house, world.scope, x.id)

    with pytest.raises(PlatformFault) as caught:
        grant(world, x)
    world.settle_hours("x", 3)

    assert isinstance(caught.value.verdict, Reconnect)
    assert row_of(world, x).status == ConnectionStatus.DISCONNECTED
    assert asked_to_reconnect(world) == 0


@pytest.mark.parametrize(("seconds_before", "asked"), [(1, 0), (0, 1), (-1, 1)], ids=["before", "with", "after"])
def test_a_refusal_of_work_that_began_before_its_person_connected_again_says_nothing(
    seconds_before: int, asked: int, world: Any
) -> None:
    world.connect("x")
    again = world.connect_again("x")
    began_at = row_of(world, again).consented_at - timedelta(seconds=seconds_before)

    tokens.needs_reconnect(world.house, world.system, again.id, Reconnect("It ran out."), began_at=began_at)

    assert row_of(world, again).status == (ConnectionStatus.NEEDS_RECONNECT if asked else ConnectionStatus.ACTIVE)
    assert asked_to_reconnect(world) == asked


def test_a_poll_that_a_new_consent_overtakes_does_not_ask_for_another(
    world: Any, sandbox: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    """Its first page is long in coming; meanwhile its person, warned by TikTok, connects again with all permissions."""
    source = world.connect("tiktok")
    world.rule(source, world.connect("x"))
    for number in range(21):
        sandbox.post(description=f"clip {number}")
    sandbox.fault("tiktok", "video.list", "slow", seconds=1.0, after_work=True)
    body = {"error": {"code": "scope_not_authorized", "message": "", "log_id": "1"}}
    sandbox.fault("tiktok", "video.list", "error", status=401, body=body)
    polling = meanwhile(world.detect)
    sandbox.wait_for_call("tiktok", "video.list")

    world.connect_again("tiktok")

    [found] = polling.result()
    assert found.fault
    assert row_of(world, source).status == ConnectionStatus.ACTIVE
    assert asked_to_reconnect(world) == 0
    assert len(world.detect()[0].posts) == 21
