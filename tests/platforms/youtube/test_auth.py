"""Can a creator connect a channel, does the permission stay alive, and is everyone told when it is not?"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, Reconnect, Rejected, TryAgain
from autorepost_app.platform_kit.oauth import challenge_s256
from autorepost_app.platform_kit.protocol import Connectable, Parts, Reach
from autorepost_app.platforms.youtube import PLATFORM

CALLBACK = "http://127.0.0.1:8080/oauth/youtube/callback"
UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
READ = "https://www.googleapis.com/auth/youtube.readonly"
Connect = Callable[..., Connectable]


def test_consent_asks_for_a_lasting_permission_with_proof_of_origin(parts: Parts) -> None:
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    query = {name: values[0] for name, values in parse_qs(urlsplit(consent.url).query).items()}
    assert query["access_type"] == "offline"
    assert "consent" in query["prompt"].split()
    assert query["scope"].split() == [UPLOAD, READ]
    assert query["code_challenge_method"] == "S256"
    assert query["code_challenge"] == challenge_s256(str(consent.verifier))
    assert (query["state"], query["redirect_uri"], query["response_type"]) == ("st-1", CALLBACK, "code")
    assert str(consent.verifier) not in repr(consent)


def test_the_challenge_is_the_one_of_the_rfc() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_s256(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_connected_channel_is_known_by_its_id_and_has_an_address(
    control: Any, connect: Connect, reach: Reach
) -> None:
    made = control.account("ada")
    connected = connect("ada")
    account, tokens = connected.account, connected.tokens
    assert account.external_id == made["id"]
    assert account.handle == "ada"
    assert account.display_name == "Ada Bakes"
    assert account.traits["uploads_playlist"].startswith("UU")
    assert tokens.refresh_token
    assert tokens.scopes == {UPLOAD, READ}
    assert tokens.access_expires_at is not None
    assert timedelta(minutes=59) < tokens.access_expires_at - utc_now() <= timedelta(hours=1)
    assert tokens.access_token not in repr(connected)
    assert tokens.refresh_token not in repr(connected)
    assert account.url == f"{reach.urls['WWW']}/@ada"


@pytest.mark.parametrize(
    ("left_out", "words"), [([UPLOAD], ["upload"]), ([READ], ["view"]), ([UPLOAD, READ], ["upload", "view"])]
)
def test_a_permission_left_unticked_is_named(
    control: Any, connect: Connect, left_out: list[str], words: list[str]
) -> None:
    control.account("ada")
    with pytest.raises(PlatformFault) as caught:
        connect("ada", deny_scopes=left_out)
    verdict = caught.value.verdict
    assert isinstance(verdict, Reconnect)
    assert all(word in verdict.text for word in words)
    assert ("upload" in verdict.text) == (UPLOAD in left_out)


def test_a_google_account_without_a_channel_is_told_what_to_do(control: Any, connect: Connect) -> None:
    control.account("ada", channel=False)
    with pytest.raises(PlatformFault) as caught:
        connect("ada")
    verdict = caught.value.verdict
    assert isinstance(verdict, Rejected)
    assert "Create a channel" in verdict.remedy


def test_a_code_works_once_and_only_with_its_verifier(control: Any, parts: Parts) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier="x" * 64)
    assert isinstance(caught.value.verdict, Reconnect)
    assert code not in str(caught.value)


def test_a_refresh_keeps_what_googles_reply_leaves_out(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    before = connect("ada").tokens
    after = parts.authoriser.refresh(login="default", tokens=before)
    assert after.access_token != before.access_token
    assert after.refresh_token == before.refresh_token
    assert after.scopes == before.scopes
    assert parts.authoriser.accounts(login="default", tokens=after)[0].account.handle == "ada"


def test_a_permission_taken_back_asks_to_connect_again(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.disconnect("ada")
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    verdict = caught.value.verdict
    assert isinstance(verdict, Reconnect)
    assert not verdict.refresh_first
    assert str(tokens.refresh_token) not in str(caught.value)


def test_an_old_access_token_is_refreshed_before_anyone_is_bothered(
    control: Any, connect: Connect, parts: Parts
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.advance(3700)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.accounts(login="default", tokens=tokens)
    verdict = caught.value.verdict
    assert isinstance(verdict, Reconnect)
    assert verdict.refresh_first
    fresh = parts.authoriser.refresh(login="default", tokens=tokens)
    assert parts.authoriser.accounts(login="default", tokens=fresh)


def test_revoking_ends_the_grant_and_may_be_repeated(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    parts.authoriser.revoke(login="default", tokens=tokens)
    with pytest.raises(PlatformFault):
        parts.authoriser.refresh(login="default", tokens=tokens)
    parts.authoriser.revoke(login="default", tokens=tokens)


def test_an_app_in_testing_learns_that_its_permission_is_short(control: Any, connect: Connect, parts: Parts) -> None:
    control.settings(testing_mode=True)
    control.account("ada")
    tokens = connect("ada").tokens
    control.advance(8 * 86_400)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, Reconnect)


def test_an_unreachable_google_is_tried_again(reach: Reach, free_port: int) -> None:
    parts = PLATFORM.build(replace(reach, urls={**reach.urls, "OAUTH": f"http://127.0.0.1:{free_port}"}))
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code="SECRET-CODE", verifier="v" * 64)
    parts.close()
    assert isinstance(caught.value.verdict, TryAgain)
    assert "SECRET-CODE" not in str(caught.value)
