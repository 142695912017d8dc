"""A person's consent becomes a connection once, for the right account, in the right tenant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import State
from autorepost_app.services import connect, record

CALLBACK = "http://127.0.0.1:8080/oauth/x/callback"


def begin(world: Any, platform: str = "x", **more: Any) -> connect.Began:
    return connect.begin(world.house, world.scope, platform, redirect_uri=CALLBACK, **more)


def finish(world: Any, reply: dict[str, str], **more: Any) -> Any:
    return connect.finish(world.house, world.scope, reply, **more)


def mine(world: Any) -> list[Any]:
    return connect.connections_of(world.house, world.scope)


def said(world: Any) -> list[str]:
    return [line.text for line in record.recent_activity(world.house, world.scope)]


@pytest.fixture
def account(sandbox: Any) -> Callable[..., Any]:
    return lambda platform="x", handle=None: sandbox.account(platform, handle)


@pytest.mark.parametrize("platform", ["tiktok", "instagram", "youtube", "x"])
def test_a_consent_becomes_an_active_connection_with_its_tokens_sealed(platform: str, world: Any, sandbox: Any) -> None:
    made = world.connect(platform)

    assert (made.status, made.handle) == (ConnectionStatus.ACTIVE, sandbox.handle)
    assert made.connected_by == world.scope.user_id
    tokens = connect.open_tokens(world.house, made)
    assert tokens.access_token.encode() not in bytes(made.access_token_sealed)
    assert said(world)[0].endswith(f"@{sandbox.handle} is connected.")


def test_a_person_who_says_no_reads_what_to_do(world: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url, deny=True)

    with pytest.raises(UserError, match="permission was not given"):
        finish(world, reply)
    assert mine(world) == []


def test_a_missing_permission_is_named(world: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url, deny_scopes=["media.write"])

    with pytest.raises(UserError, match=r"media\.write"):
        finish(world, reply)
    assert mine(world) == []


def test_a_reply_counts_once(world: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url)
    finish(world, reply)

    with pytest.raises(UserError, match="used already"):
        finish(world, reply)
    assert len(mine(world)) == 1


def test_a_reply_that_comes_too_late_is_refused(world: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url)
    world.clock.advance(15 * 60 + 1)

    with pytest.raises(UserError, match="run out"):
        finish(world, reply)


def test_a_code_that_the_platform_no_longer_takes_is_said_in_words(world: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url)
    world.clock.advance(60)

    with pytest.raises(UserError, match="was not connected"):
        finish(world, reply)


def test_an_account_that_must_be_put_right_first_says_how(world: Any, sandbox: Any) -> None:
    sandbox.account("youtube", channel=False)
    began = connect.begin(world.house, world.scope, "youtube", redirect_uri="http://127.0.0.1:8080/cb")
    with pytest.raises(UserError) as caught:
        connect.finish(world.house, world.scope, sandbox.consent(began.url))
    assert "has no YouTube channel yet" in caught.value.text
    assert caught.value.remedy.startswith("Create a channel")


def test_a_reply_without_a_known_state_or_a_code_is_refused(world: Any, sandbox: Any, account: Any) -> None:
    account()
    state = begin(world).state

    with pytest.raises(UserError, match="used already"):
        finish(world, {"state": "made up", "code": "c"})
    with pytest.raises(UserError, match="no code"):
        finish(world, {"state": state})


def test_another_tenants_reply_is_unknown(world: Any, other_tenant: Any, sandbox: Any, account: Any) -> None:
    account()
    reply = sandbox.consent(begin(world).url)

    with pytest.raises(UserError, match="used already"):
        finish(other_tenant, reply)
    assert finish(world, reply).handle == sandbox.handle


def test_a_reconnect_wants_the_same_account(world: Any, sandbox: Any, account: Any) -> None:
    first = world.connect("x")
    account("x", "somebody")
    reply = sandbox.consent(begin(world, connection_id=first.id).url, handle="somebody")

    with pytest.raises(UserError, match="another account"):
        finish(world, reply)
    assert [row.handle for row in mine(world)] == [sandbox.handle]


def test_a_reconnect_is_of_its_own_platform_and_tenant(world: Any, other_tenant: Any) -> None:
    x = world.connect("x")

    with pytest.raises(UserError, match="not one to YouTube"):
        begin(world, "youtube", connection_id=x.id)
    with pytest.raises(KeyError):
        begin(other_tenant, "x", connection_id=x.id)


def test_the_same_account_again_renews_its_connection_and_keeps_its_history(world: Any) -> None:
    first = world.connect("x")
    again = world.connect_again("x")

    assert again.id == first.id
    assert again.token_version == first.token_version + 1
    assert again.watermark_at == first.watermark_at


def test_an_unknown_platform_or_login_is_refused_by_name(world: Any) -> None:
    with pytest.raises(UserError, match="There is no platform"):
        begin(world, "myspace")
    with pytest.raises(UserError, match="has no login"):
        begin(world, login="by mail")


def test_connecting_again_wakes_what_waited_to_be_sent(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    assert world.publish("x").due_at > world.clock()

    world.connect_again("x")

    assert world.publication("x").due_at <= world.clock()
    assert world.publish("x", patience_seconds=10).state == State.PUBLISHED


def test_connecting_the_source_again_wakes_what_waited_for_its_file(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    source = next(row for row in mine(world) if row.platform == "tiktok")
    connect.disconnect(world.house, world.scope, source.id)
    world.prepare()
    assert {row.state for row in world.story().publications} == {State.PREPARING}
    assert min(row.due_at for row in world.story().publications) > world.clock()

    world.connect_again("tiktok")
    world.prepare()

    assert {row.state for row in world.story().publications} == {State.READY}


def test_disconnecting_ends_the_grant_there_and_here(world: Any, sandbox: Any) -> None:
    x = world.connect("x")

    connect.disconnect(world.house, world.scope, x.id)
    connect.disconnect(world.house, world.scope, x.id)

    (row,) = mine(world)
    assert (row.status, row.access_token_sealed, row.refresh_token_sealed) == (
        ConnectionStatus.DISCONNECTED,
        None,
        None,
    )
    assert sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants") == {"revoked_grants": 0}
    assert said(world).count(f"@{sandbox.handle} was disconnected.") == 1


def test_a_platform_that_cannot_be_told_keeps_nobody_connected_here(world: Any, sandbox: Any) -> None:
    x = world.connect("x")
    sandbox.fault("x", "token.revoke", "read_error", count=None)

    connect.disconnect(world.house, world.scope, x.id)

    assert mine(world)[0].status == ConnectionStatus.DISCONNECTED
    assert said(world)[0].endswith("X could not be told: remove the permission there, too.")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"status": 400, "body": {"error": "never heard of"}}, id="an answer that no rule reads"),
        pytest.param({"status": 451, "body": "<html>not here</html>"}, id="a page in between"),
    ],
)
def test_a_platform_that_talks_nonsense_keeps_nobody_connected_here(
    broken: dict[str, Any], world: Any, sandbox: Any
) -> None:
    x = world.connect("x")
    sandbox.fault("x", "token.revoke", "error", count=None, **broken)

    connect.disconnect(world.house, world.scope, x.id)

    assert (mine(world)[0].status, mine(world)[0].access_token_sealed) == (ConnectionStatus.DISCONNECTED, None)
    assert said(world)[0].endswith("X could not be told: remove the permission there, too.")


def test_a_platform_that_is_not_set_up_any_more_keeps_nobody_connected_here(
    world: Any, environ: dict[str, str]
) -> None:
    x = world.connect("x")
    left = open_house(settings_from({**environ, "AUTOREPOST_X_CLIENT_SECRET": ""}), clock=world.clock)
    try:
        connect.disconnect(left, world.scope, x.id)
    finally:
        close_house(left)

    assert mine(world)[0].status == ConnectionStatus.DISCONNECTED
    assert said(world)[0].endswith("X could not be told: remove the permission there, too.")


def test_nobody_disconnects_another_tenants_account(world: Any, other_tenant: Any) -> None:
    x = world.connect("x")

    with pytest.raises(KeyError):
        connect.disconnect(other_tenant.house, other_tenant.scope, x.id)
    assert mine(world)[0].status == ConnectionStatus.ACTIVE
