"""A refresh whose answer was lost or is not what was asked for: what can be saved is saved, and the rest is said."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, UserError
from autorepost_app.domain.publications import State
from autorepost_app.services import connect, record, tokens

DAY = 86_400
LIVES = {"youtube": 3600, "x": 7200, "tiktok": DAY, "instagram": 59 * DAY}
"""How long the sandbox's access tokens live."""


def row_of(world: Any, connection: Any) -> Any:
    return next(row for row in connect.connections_of(world.house, world.scope) if row.id == connection.id)


def grant(world: Any, connection: Any) -> Any:
    return tokens.grant_for(world.house, world.system, connection.id)


def verdict_on(world: Any, connection: Any) -> Reconnect:
    with pytest.raises(PlatformFault) as caught:
        grant(world, connection)
    assert isinstance(caught.value.verdict, Reconnect)
    return caught.value.verdict


def asked(world: Any) -> int:
    return sum(line.kind == "connection.needs_reconnect" for line in record.recent_activity(world.house, world.scope))


def killed_between_answer_and_store(world: Any, connection: Any, sandbox: Any) -> None:
    """A process of its own asks; the platform has done it and holds its answer back; the process dies."""
    platform = connection.platform
    sandbox.fault(platform, "token.refresh", "slow", seconds=10, after_work=True)
    with world.process("grant", connection.id) as worker:
        sandbox.wait_for_call(platform, "token.refresh")
        os.killpg(worker.pid, signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
    sandbox.control("DELETE", "/faults")


@pytest.mark.parametrize("platform", ["youtube"])
def test_a_killed_refresh_is_survived_where_refresh_tokens_last(platform: str, world: Any, sandbox: Any) -> None:
    made = world.connect(platform)
    world.clock.advance(LIVES[platform] + 60)
    killed_between_answer_and_store(world, made, sandbox)

    assert grant(world, made).access_token
    assert sandbox.calls_now(platform, "token.refresh") == 2
    assert row_of(world, made).status == ConnectionStatus.ACTIVE
    assert asked(world) == 0


@pytest.mark.parametrize("platform", ["x", "tiktok"])
def test_a_killed_refresh_ends_in_a_question_where_they_are_used_up(platform: str, world: Any, sandbox: Any) -> None:
    made = world.connect(platform)
    world.clock.advance(LIVES[platform] + 60)
    killed_between_answer_and_store(world, made, sandbox)

    verdict_on(world, made)
    for _ in range(5):
        assert verdict_on(world, made).code == tokens.NOT_ACTIVE
    assert sandbox.calls_now(platform, "token.refresh") == 2, "nobody asks in vain again"
    assert row_of(world, made).status == ConnectionStatus.NEEDS_RECONNECT
    assert asked(world) == 1
    world.connect_again(platform)
    assert grant(world, made).access_token


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "x", "youtube"])
@pytest.mark.parametrize(
    "odd",
    [
        {"expires_in": "soon"},
        {"expires_in": 1e30},
        {"scope": True, "permissions": True},
        {"access_token": None},
        {"access_token": {"S3CRET": 1}},
    ],
    ids=["a word for a number", "a life without end", "no scopes", "no token", "no text"],
)
def test_a_refresh_with_an_odd_answer_keeps_the_old_token_and_the_connection(
    platform: str, odd: dict[str, Any], world: Any, sandbox: Any
) -> None:
    made = world.connect(platform)
    had = row_of(world, made)
    world.clock.advance(LIVES[platform] + 60)
    body = {"access_token": "S3CRET", "expires_in": DAY, "refresh_token": "S3CRET", "open_id": made.external_account_id}
    sandbox.fault(platform, "token.refresh", "error", status=200, body={**body, **odd})

    with pytest.raises(PlatformFault) as caught:
        tokens.renew(world.house, world.system, made.id, tokens._grant(world.house, had))

    assert isinstance(caught.value.verdict, TryAgain)
    assert "S3CRET" not in f"{caught.value} {caught.value.verdict!r}"
    row = row_of(world, made)
    assert (row.status, row.token_version) == (ConnectionStatus.ACTIVE, had.token_version)
    assert row.access_token_sealed == had.access_token_sealed
    assert grant(world, made).access_token, "the next refresh goes well"


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "x", "youtube"])
def test_an_odd_answer_to_a_sign_in_is_said_in_words(platform: str, world: Any, sandbox: Any) -> None:
    sandbox.account(platform)
    body = {"access_token": "S3CRET", "expires_in": "S3CRET", "refresh_token": "S3CRET", "open_id": "o-1"}
    sandbox.fault(platform, "token.code", "error", status=200, body=body)
    with pytest.raises(UserError, match="cannot read") as caught:
        world.connect_again(platform)
    assert "S3CRET" not in f"{caught.value} {caught.value.__cause__}"


def test_tokens_of_another_account_are_not_kept(world: Any, sandbox: Any) -> None:
    made = world.connect("tiktok")
    had = row_of(world, made)
    world.clock.advance(DAY + 60)
    body = {"access_token": "act.stranger", "expires_in": DAY, "open_id": "stranger", "refresh_expires_in": DAY}
    body |= {"refresh_token": "rft.stranger", "scope": ",".join(made.scopes), "token_type": "Bearer"}
    sandbox.fault("tiktok", "token.refresh", "error", status=200, body=body)

    assert "another account" in verdict_on(world, made).text

    row = row_of(world, made)
    assert row.status == ConnectionStatus.NEEDS_RECONNECT
    assert (row.access_token_sealed, row.token_extra) == (had.access_token_sealed, had.token_extra)
    assert asked(world) == 1


@pytest.mark.parametrize("platform", ["youtube", "x", "tiktok"])
@pytest.mark.parametrize("fault", ["read_error", "reset_after_body", "rate_limited"])
def test_no_passing_fault_disconnects_anybody(platform: str, fault: str, world: Any, sandbox: Any) -> None:
    made = world.connect(platform)
    world.clock.advance(LIVES[platform] + 60)
    sandbox.fault(platform, "token.refresh", fault, count=3)

    for _ in range(3):
        with pytest.raises(PlatformFault) as caught:
            grant(world, made)
        assert not isinstance(caught.value.verdict, Reconnect)
    assert row_of(world, made).status == ConnectionStatus.ACTIVE
    assert grant(world, made).access_token


def test_a_refresh_on_its_way_is_ended_with_the_connection(
    world: Any, sandbox: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    """Else the platform would keep a grant that nobody here knows of."""
    made = world.connect("x")
    world.clock.advance(LIVES["x"] + 60)
    sandbox.fault("x", "token.refresh", "slow", seconds=0.5, after_work=True)
    refreshing = meanwhile(grant, world, made)
    sandbox.wait_for_call("x", "token.refresh")

    connect.disconnect(world.house, world.scope, made.id)

    fresh = refreshing.result()
    row = row_of(world, made)
    assert (row.status, row.access_token_sealed) == (ConnectionStatus.DISCONNECTED, None)
    account = world.house.platforms.parts("x").authoriser
    with pytest.raises(PlatformFault) as caught:
        account.accounts(login="default", tokens=tokens.TokenSet(fresh.access_token, None))
    assert isinstance(caught.value.verdict, Reconnect)


def test_a_reconnect_keeps_rules_and_history_and_sends_nothing_again(
    ready: Callable[..., Any], sandbox: Any, owner_connection: Any
) -> None:
    world = ready("x")
    assert world.settle("x").state == State.PUBLISHED
    first = world.story()
    x = next(row for row in connect.connections_of(world.house, world.scope) if row.platform == "x")
    tokens.needs_reconnect(world.house, world.system, x.id, Reconnect("It ran out."))

    world.connect_again("x")
    world.detect()

    again = world.story(first.post.id)
    assert [(row.id, row.state, row.external_id) for row in again.publications] == [
        (row.id, row.state, row.external_id) for row in first.publications
    ]
    assert len(again.activity) >= len(first.activity)
    sandbox.post(description="Another walk")
    world.detect()
    promised = owner_connection.execute("select count(*) from publications where connection_id = %s", [x.id])
    assert promised.fetchone() == (2,), "the rule still stands"
    assert len(sandbox.live("x")) == 1


def test_another_account_is_refused_with_words_and_changes_nothing(world: Any, sandbox: Any) -> None:
    x = world.connect("x")
    tokens.needs_reconnect(world.house, world.system, x.id, Reconnect("It ran out."))
    sandbox.account("x", f"{sandbox.handle}-other")
    callback = "http://127.0.0.1:8080/oauth/x/callback"
    began = connect.begin(world.house, world.scope, "x", redirect_uri=callback, connection_id=x.id)

    with pytest.raises(UserError, match=f"another account than @{sandbox.handle}") as caught:
        connect.finish(world.house, world.scope, sandbox.consent(began.url, f"{sandbox.handle}-other"))

    assert f"Sign in as @{sandbox.handle}" in caught.value.remedy
    assert [row.status for row in connect.connections_of(world.house, world.scope)] == ["needs_reconnect"]
