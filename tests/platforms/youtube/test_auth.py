"""Can a creator connect a channel, does the permission stay alive, and is everyone told when it is not?"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain
from autorepost_app.platform_kit.oauth import challenge_s256
from autorepost_app.platform_kit.protocol import AppCredentials, Connectable, Parts, Reach, TokenSet
from autorepost_app.platforms.youtube import PLATFORM

CALLBACK = "http://127.0.0.1:8080/oauth/youtube/callback"
UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
EDIT = "https://www.googleapis.com/auth/youtube"
READ = "https://www.googleapis.com/auth/youtube.readonly"
Connect = Callable[..., Connectable]


def refresh(parts: Parts, tokens: TokenSet) -> TokenSet:
    return parts.authoriser.refresh(login="default", tokens=tokens)


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


def test_a_code_works_only_with_its_verifier(control: Any, parts: Parts) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier="x" * 64)
    assert caught.value.verdict.code == "youtube.code_spent"
    assert code not in str(caught.value)


@pytest.mark.parametrize("seconds", [0, 601])
def test_a_code_used_twice_or_too_late_says_to_start_again(control: Any, parts: Parts, seconds: float) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]

    def exchange() -> Any:
        return parts.authoriser.exchange(
            login="default", redirect_uri=CALLBACK, code=code, verifier=str(consent.verifier)
        )

    if seconds:
        control.advance(seconds)
    else:
        assert exchange().refresh_token
    with pytest.raises(PlatformFault) as caught:
        exchange()
    verdict = caught.value.verdict
    assert isinstance(verdict, Reconnect)
    assert "used already, or took too long" in verdict.text
    assert "start connecting again" in verdict.text


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


def test_a_permission_for_a_week_is_known_for_one_and_told_when_it_ran_out(
    control: Any, connect: Connect, reach: Reach
) -> None:
    control.settings(testing_mode=True)
    control.account("ada")
    now = utc_now()
    tokens = connect("ada").tokens
    assert tokens.refresh_expires_at is not None
    assert timedelta(0) <= tokens.refresh_expires_at - now - timedelta(days=7) < timedelta(minutes=1)
    control.advance(8 * 86_400)
    parts = PLATFORM.build(replace(reach, clock=lambda: utc_now() + timedelta(days=8)))
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    parts.close()
    verdict = caught.value.verdict
    assert isinstance(verdict, Reconnect)
    assert verdict.code == "youtube.grant_ran_out"
    assert "publish it in the Google Cloud console" in verdict.detail


def test_a_permission_taken_back_and_one_for_a_week_are_told_apart(
    control: Any, connect: Connect, parts: Parts
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.disconnect("ada")
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    assert caught.value.verdict.code == "youtube.invalid_grant"
    assert "taken back" in caught.value.verdict.text


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, Reconnect, "sign in again"),
        (400, {"error": "admin_policy_enforced"}, Reconnect, "Ask them to allow it"),
        (403, {"error": "org_internal"}, Operator, "not set up"),
        (401, {"error": "invalid_client"}, Operator, "not set up"),
        (401, {"error": "deleted_client"}, Operator, "not set up"),
        (400, {"error": "redirect_uri_mismatch"}, Operator, "not set up"),
        (400, {"error": "invalid_request"}, Operator, "not set up"),
        (500, {"error": "internal_failure"}, TryAgain, "busy"),
        (503, "<html>Service Unavailable</html>", TryAgain, "busy"),
        (403, "<html>Blocked by the office</html>", TryAgain, "stands between us and YouTube"),
        (200, "<html>Sign in to the guest network</html>", TryAgain, "stands between us and YouTube"),
        (200, '{"access_token": "ya29.cut-in-the-mid', TryAgain, "stands between us and YouTube"),
        (200, "ya29.cut-loose-from-its-name", TryAgain, "got lost"),
        (200, "", TryAgain, "got lost"),
        (200, {"token_type": "Bearer"}, TryAgain, "got lost"),
        (200, [], TryAgain, "got lost"),
    ],
)
@pytest.mark.parametrize("call", ["token.code", "token.refresh"])
def test_every_answer_of_the_token_endpoint_gives_a_verdict(
    control: Any, connect: Connect, parts: Parts, call: str, status: int, body: object, kind: type, words: str
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault(call, "error", status=status, body=body)
    ask = {"token.code": lambda: connect("ada"), "token.refresh": lambda: refresh(parts, tokens)}[call]
    with pytest.raises(PlatformFault) as caught:
        ask()
    verdict = caught.value.verdict
    assert type(verdict) is kind
    assert words in verdict.text
    assert "ya29.cut" not in str(caught.value)
    assert parts.authoriser.refresh(login="default", tokens=tokens).access_token


@pytest.mark.parametrize("fault", ["refuse", "reset_after_body", "commit_then_reset"])
def test_an_answer_that_never_arrives_is_tried_again_with_the_same_refresh_token(
    control: Any, connect: Connect, parts: Parts, fault: str
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault("token.refresh", fault)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, TryAgain)
    assert str(tokens.refresh_token) not in str(caught.value)
    assert parts.authoriser.refresh(login="default", tokens=tokens).refresh_token == tokens.refresh_token


@pytest.mark.parametrize("more", [{"refresh_token": ""}, {"refresh_token": None}, {}])
def test_an_empty_refresh_token_never_takes_the_place_of_a_good_one(
    control: Any, connect: Connect, parts: Parts, more: dict[str, Any]
) -> None:
    control.account("ada")
    before = connect("ada").tokens
    control.fault("token.refresh", "error", status=200, body={"access_token": "ya29.new", "expires_in": 3599, **more})
    after = parts.authoriser.refresh(login="default", tokens=before)
    assert after.access_token == "ya29.new"
    assert after.refresh_token == before.refresh_token
    assert after.scopes == before.scopes


def test_a_refresh_token_that_does_come_is_kept(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    before = connect("ada").tokens
    body = {"access_token": "ya29.new", "expires_in": 3599, "refresh_token": "1//0new"}
    control.fault("token.refresh", "error", status=200, body=body)
    after = parts.authoriser.refresh(
        login="default", tokens=replace(before, refresh_expires_at=utc_now() + timedelta(days=1))
    )
    assert after.refresh_token == "1//0new"
    assert after.refresh_expires_at is None, "when the old one would have ended says nothing about the new one"


def test_a_first_reply_without_lasting_permission_is_not_taken(control: Any, connect: Connect) -> None:
    control.account("ada")
    body = {"access_token": "ya29.x", "expires_in": 3599, "refresh_token": "", "scope": f"{UPLOAD} {READ}"}
    control.fault("token.code", "error", status=200, body=body)
    with pytest.raises(PlatformFault) as caught:
        connect("ada")
    assert caught.value.verdict.code == "youtube.no_refresh_token"
    assert "ya29.x" not in str(caught.value)


def test_a_wrong_client_secret_is_for_the_operator_and_is_not_told(control: Any, reach: Reach) -> None:
    control.account("ada")
    parts = PLATFORM.build(replace(reach, app=AppCredentials(reach.app.client_id, "GOCSPX-not-the-secret")))
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier=consent.verifier)
    parts.close()
    verdict = caught.value.verdict
    assert isinstance(verdict, Operator)
    assert "client secret" in verdict.remedy
    assert "GOCSPX" not in str(caught.value) + repr(parts.authoriser)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_is_wrong_spoils_no_token(control: Any, reach: Reach, hours: int) -> None:
    """A token's life is counted from our own clock, so a clock that is off by a constant is off for both ends."""
    control.account("ada")

    def clock() -> datetime:
        return utc_now() + timedelta(hours=hours)

    parts = PLATFORM.build(replace(reach, clock=clock))
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]
    tokens = parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier=consent.verifier)
    assert tokens.access_expires_at is not None
    assert timedelta(minutes=59) < tokens.access_expires_at - clock() < timedelta(minutes=60)
    fresh = parts.authoriser.refresh(login="default", tokens=tokens)
    assert parts.authoriser.accounts(login="default", tokens=fresh)
    parts.close()


def test_every_channel_of_a_person_can_be_connected_on_its_own(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    control.account("bakery")
    ada, bakery = connect("ada"), connect("bakery")
    assert ada.account.external_id != bakery.account.external_id
    parts.authoriser.revoke(login="default", tokens=bakery.tokens)
    assert parts.authoriser.accounts(login="default", tokens=ada.tokens)[0].account == ada.account


def test_an_answer_with_several_channels_offers_each_of_them(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    channels = [{"id": f"UC{name}", "snippet": {"title": name, "customUrl": f"@{name}"}} for name in ("one", "two")]
    control.fault("channels.list", "error", status=200, body={"kind": "youtube#channelListResponse", "items": channels})
    found = parts.authoriser.accounts(login="default", tokens=tokens)
    assert [(each.account.external_id, each.account.handle) for each in found] == [("UCone", "one"), ("UCtwo", "two")]
    assert all(each.tokens == tokens for each in found)


@pytest.mark.parametrize("body", ["<html>hello</html>", '{"items": [{"id": "UC', "", []])
def test_a_channel_list_that_got_lost_is_not_taken_for_no_channel(
    control: Any, connect: Connect, parts: Parts, body: object
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault("channels.list", "error", status=200, body=body)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.accounts(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, TryAgain)


def test_signing_up_for_youtube_is_asked_for_by_both_answers(control: Any, connect: Connect, parts: Parts) -> None:
    control.account("ada", channel=False)
    for body in (None, control.refusals()["youtubeSignupRequired"]):
        if body:
            control.fault("channels.list", "error", **body)
        with pytest.raises(PlatformFault) as caught:
            connect("ada")
        assert isinstance(caught.value.verdict, Rejected)
        assert caught.value.verdict.text == "This Google account has no YouTube channel yet."


@pytest.mark.parametrize("body", [{"error": "invalid_token"}, {"error": "invalid_token", "error_description": "x"}])
def test_revoking_what_is_dead_already_is_no_fault(
    control: Any, connect: Connect, parts: Parts, body: dict[str, str]
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault("token.revoke", "error", status=400, body=body)
    parts.authoriser.revoke(login="default", tokens=tokens)
    assert parts.authoriser.refresh(login="default", tokens=tokens), "the sandbox never saw it"


@pytest.mark.parametrize(("status", "body"), [(503, "<html>"), (502, ""), (403, "<html>no</html>")])
def test_a_revocation_that_cannot_be_told_says_so(
    control: Any, connect: Connect, parts: Parts, status: int, body: str
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault("token.revoke", "error", status=status, body=body)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.revoke(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, TryAgain)


def test_playlists_are_a_permission_of_their_own(control: Any, parts: Parts) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="playlists", redirect_uri=CALLBACK, state="st-1")
    query = {name: values[0] for name, values in parse_qs(urlsplit(consent.url).query).items()}
    assert query["scope"].split() == [UPLOAD, READ, EDIT]
    code = control.allow(consent.url, "ada", deny_scopes=[EDIT])["code"]
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="playlists", redirect_uri=CALLBACK, code=code, verifier=consent.verifier)
    assert "playlists" in caught.value.verdict.text


def test_an_unreachable_google_is_tried_again(reach: Reach, free_port: int) -> None:
    parts = PLATFORM.build(replace(reach, urls={**reach.urls, "OAUTH": f"http://127.0.0.1:{free_port}"}))
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code="SECRET-CODE", verifier="v" * 64)
    parts.close()
    assert isinstance(caught.value.verdict, TryAgain)
    assert "SECRET-CODE" not in str(caught.value)
