"""What does a creator read, and what happens to their post, on the bad days of a beginning? At every platform.

An account that may not publish, an app that is set up wrongly or not paid for, a grant that is taken back half way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import Operator, PlatformFault, UserError
from autorepost_app.domain.publications import State
from autorepost_app.services import connect, record, tokens

PLATFORMS = ("instagram", "tiktok", "x", "youtube")
WRONG = "wr0ng-secret"


@pytest.fixture
def misconfigured(environ: dict[str, str], world: Any) -> Iterator[Callable[[str], Any]]:
    """The same house as a process sees it that was given another client secret for one platform."""
    opened = []

    def make(platform: str) -> Any:
        settings = settings_from({**environ, f"AUTOREPOST_{platform.upper()}_CLIENT_SECRET": WRONG})
        opened.append(open_house(settings, clock=world.clock))
        return opened[-1]

    yield make
    for house in opened:
        close_house(house)


def refused(world: Any, platform: str, login: str | None = None, **decision: Any) -> UserError:
    redirect = f"http://127.0.0.1:8080/oauth/{platform}/callback"
    began = connect.begin(world.house, world.scope, platform, redirect_uri=redirect, login=login)
    with pytest.raises(UserError) as caught:
        connect.finish(world.house, world.scope, world.sandbox.consent(began.url, **decision))
    assert connect.connections_of(world.house, world.scope) == [], "nothing half connected stays"
    return caught.value


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_personal_instagram_account_reads_how_to_become_one_that_may_publish(
    login: str, world: Any, sandbox: Any
) -> None:
    sandbox.account("instagram", professional=False)
    said = refused(world, "instagram", login)
    assert "Instagram was not connected" in said.text
    assert "Business or Creator" in said.remedy


def test_a_channel_that_was_not_opened_for_uploads_is_not_connected_and_says_which_box_to_tick(
    world: Any, sandbox: Any
) -> None:
    sandbox.account("youtube")
    said = refused(world, "youtube", deny_scopes=["https://www.googleapis.com/auth/youtube.upload"])
    assert "to upload" in said.text
    assert "tick every box" in said.text


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_wrong_client_secret_connects_nobody_and_says_what_its_operator_has_to_mend(
    platform: str, world: Any, sandbox: Any, misconfigured: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.account(platform)
    world.house = misconfigured(platform)

    said = refused(world, platform)

    assert "was not connected" in said.text
    assert said.remedy.startswith("Only who runs this installation can mend it: ")
    assert "secret" in said.remedy.casefold()
    assert "connects nobody" in caplog.text
    assert WRONG not in caplog.text + str(said)


@pytest.mark.parametrize("platform", ["tiktok", "x", "youtube"])
def test_a_client_secret_that_goes_wrong_later_harms_no_connection(
    platform: str, world: Any, misconfigured: Callable[[str], Any]
) -> None:
    made = world.connect(platform)
    world.clock.advance(2 * 86_400)
    with pytest.raises(PlatformFault) as caught:
        tokens.grant_for(misconfigured(platform), world.system, made.id)
    assert isinstance(caught.value.verdict, Operator)
    assert "secret" in caught.value.verdict.remedy.casefold()
    assert WRONG not in f"{caught.value} {caught.value.verdict!r}"
    assert tokens.grant_for(world.house, world.system, made.id).access_token, "once it is right again"


def test_an_app_that_runs_out_of_credits_at_the_send_has_sent_nothing_and_goes_on_when_it_is_paid(
    ready: Callable[..., Any], sandbox: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = ready("x")
    problem = {"title": "CreditsDepleted", "detail": "no credits", "type": "https://api.x.com/2/problems/credits"}
    sandbox.fault("x", "tweets.create", "error", status=402, body={**problem, "account_id": 1})

    with caplog.at_level(logging.ERROR):
        row = world.settle_hours("x", 0.01)

    assert row.state == State.READY
    assert "paused" in row.waiting_for
    assert "buy credits" in caplog.text
    assert sandbox.live("x") == []
    assert world.settle("x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


@pytest.mark.parametrize(("platform", "commit"), [("instagram", "media_publish"), ("x", "tweets.create")])
def test_a_grant_taken_back_between_the_upload_and_the_send_waits_for_its_owner_and_goes_out_once(
    platform: str, commit: str, ready: Callable[..., Any], sandbox: Any
) -> None:
    world = ready(platform)
    sandbox.fault(platform, commit, "token_revoked")

    row = world.settle_hours(platform, 3)

    assert row.state in (State.READY, State.STAGING)
    made = next(each for each in connect.connections_of(world.house, world.scope) if each.platform == platform)
    assert made.status == ConnectionStatus.NEEDS_RECONNECT
    lines = [each for each in record.recent_activity(world.house, world.scope) if each.kind.endswith("needs_reconnect")]
    assert len(lines) == 1
    assert "connect" in lines[0].text
    world.connect_again(platform)
    assert world.settle(platform).state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1


def test_an_upload_that_outlives_its_grant_goes_out_once_and_is_known_to_be_live(
    ready: Callable[..., Any], sandbox: Any
) -> None:
    """YouTube's upload session is a permission of its own: its last part is taken although the grant has ended."""
    world = ready("youtube")
    sandbox.fault("youtube", "insert.last", "token_revoked")
    assert world.settle_hours("youtube", 3).state == State.PUBLISHED
    assert len(sandbox.live("youtube")) == 1
