"""A creator connects TikTok, stays connected, and leaves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, TryAgain
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import AppCredentials
from autorepost_app.platforms.tiktok import PLATFORM
from autorepost_app.platforms.tiktok.auth import SCOPES, TikTokAuthoriser, _challenge

REDIRECT = "http://127.0.0.1:8080/oauth/tiktok/callback"


def refused(call: Any, *args: Any, **kwargs: Any) -> Any:
    with pytest.raises(PlatformFault) as caught:
        call(*args, **kwargs)
    return caught.value.verdict


def test_the_consent_page_is_asked_for_in_tiktoks_own_spelling(tiktok):
    consent = tiktok.parts.authoriser.consent(login="default", redirect_uri="https://a.example/back", state="s-9")
    query = {name: values[0] for name, values in parse_qs(urlsplit(consent.url).query).items()}
    assert consent.url.startswith(f"{tiktok.www_url}/v2/auth/authorize/?")
    assert query["client_key"] == tiktok.server.apps["TIKTOK_CLIENT_ID"]
    assert query["scope"] == "user.info.basic,user.info.profile,user.info.stats,video.list"
    assert (query["response_type"], query["redirect_uri"]) == ("code", "https://a.example/back")
    assert (query["state"], query["disable_auto_auth"]) == ("s-9", "1")
    assert "code_challenge" not in query
    assert consent.verifier is None


def test_a_creator_connects_and_we_know_who_they_are(tiktok):
    connectable = tiktok.connect()
    account, tokens = connectable.account, connectable.tokens
    assert account.handle == tiktok.handle
    assert account.display_name == "Anna"
    assert account.url == f"{tiktok.www_url}/@{tiktok.handle}"
    assert account.external_id == tokens.extra["open_id"]
    assert tokens.scopes == frozenset(SCOPES)
    assert PLATFORM.oauth.needed_scopes["default"] == tokens.scopes - {"user.info.stats"}


@pytest.mark.parametrize(
    ("profile", "access_seconds", "refresh_seconds"), [("nov2026", 7200, 15552000), ("classic", 86400, 31536000)]
)
def test_token_lives_come_from_the_reply(tiktok, profile, access_seconds, refresh_seconds):
    tiktok.settings(token_profile=profile)
    tokens = tiktok.connect().tokens
    assert tokens.access_expires_at - tokens.issued_at == timedelta(seconds=access_seconds)
    assert tokens.refresh_expires_at - tokens.issued_at == timedelta(seconds=refresh_seconds)


def test_an_unticked_box_shows_in_the_scopes_and_asks_to_connect_again(tiktok):
    back = tiktok.come_back(deny_scopes=["user.info.profile", "video.list"])
    assert back["scopes"] == "user.info.basic,user.info.stats"
    tokens, asked = tiktok.exchange(back["code"]), len(tiktok.asked())
    verdict = refused(tiktok.parts.authoriser.accounts, login="default", tokens=tokens)
    assert isinstance(verdict, Reconnect)
    assert verdict.text == (
        "TikTok needs your permission to see your profile (user.info.profile) and to see your public videos"
        " (video.list). Please connect TikTok again and leave every box ticked."
    )
    assert len(tiktok.asked()) == asked, "the token reply had said it already"


def test_a_token_reply_that_says_nothing_of_scopes_is_put_to_the_test(tiktok):
    tokens = tiktok.exchange(tiktok.come_back(deny_scopes=["user.info.profile"])["code"])
    verdict = refused(tiktok.parts.authoriser.accounts, login="default", tokens=replace(tokens, scopes=frozenset()))
    assert isinstance(verdict, Reconnect)
    assert verdict.code == "tiktok.scope_permission_missed"
    assert "user.info.profile" in verdict.text


def test_a_refresh_rotates_both_tokens_and_the_old_one_is_dead(tiktok):
    first = tiktok.connect().tokens
    second = tiktok.parts.authoriser.refresh(login="default", tokens=first)
    assert second.access_token != first.access_token
    assert second.refresh_token != first.refresh_token
    assert (second.extra, second.scopes) == (first.extra, first.scopes)
    verdict = refused(tiktok.parts.authoriser.refresh, login="default", tokens=first)
    assert isinstance(verdict, Reconnect)
    assert (verdict.code, verdict.refresh_first) == ("tiktok.invalid_grant", False)


def test_a_refusal_inside_a_good_status_is_still_a_refusal(tiktok):
    tokens = tiktok.connect().tokens
    tiktok.parts.authoriser.refresh(login="default", tokens=tokens)
    tiktok.settings(oauth_error_status=200)
    verdict = refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens)
    assert isinstance(verdict, Reconnect)


def test_what_a_refresh_leaves_out_is_taken_over(tiktok):
    tokens = tiktok.connect().tokens
    body = {"access_token": "act.new", "expires_in": 60, "open_id": tokens.extra["open_id"], "token_type": "Bearer"}
    tiktok.fault("token", "error", status=200, body=body)
    second = tiktok.parts.authoriser.refresh(login="default", tokens=tokens)
    assert second.access_token == "act.new"
    assert second.refresh_token == tokens.refresh_token
    assert second.refresh_expires_at == tokens.refresh_expires_at
    assert second.scopes == tokens.scopes


def test_the_older_wrapped_token_reply_is_read_too(tiktok):
    inner = {"access_token": "act.old", "expires_in": 60, "open_id": "o-1", "scope": "user.info.basic,video.list"}
    tiktok.fault("token", "error", status=200, body={"data": inner, "message": "success"})
    tokens = tiktok.exchange("anything")
    assert (tokens.access_token, tokens.extra) == ("act.old", {"open_id": "o-1"})
    assert tokens.scopes == {"user.info.basic", "video.list"}


def test_a_code_with_the_characters_tiktok_uses_arrives_whole():
    sent = []

    def token_endpoint(request: httpx.Request) -> httpx.Response:
        sent.append(parse_qs(request.content.decode()))
        return httpx.Response(200, json={"access_token": "act.1", "expires_in": 60, "open_id": "o-1"})

    with httpx.Client(transport=httpx.MockTransport(token_endpoint)) as client:
        api = Api(client, "https://open.tiktokapis.com", "TikTok")
        authoriser = TikTokAuthoriser(api, api, AppCredentials("key", "secret"), utc_now)
        authoriser.exchange(login="default", redirect_uri=REDIRECT, code="WX*0!4567.e1+ %2A", verifier=None)
    assert sent == [
        {
            "grant_type": ["authorization_code"],
            "client_key": ["key"],
            "client_secret": ["secret"],
            "code": ["WX*0!4567.e1+ %2A"],
            "redirect_uri": [REDIRECT],
        }
    ]


def test_a_code_that_was_used_or_ran_out_asks_to_connect_again(tiktok):
    code = tiktok.come_back()["code"]
    tiktok.exchange(code)
    verdict = refused(tiktok.exchange, code)
    assert isinstance(verdict, Reconnect)
    assert code not in repr(verdict)


def test_a_revoked_grant_is_dead_and_revoking_it_again_is_no_error(tiktok):
    tokens = tiktok.connect().tokens
    tiktok.parts.authoriser.revoke(login="default", tokens=tokens)
    verdict = refused(tiktok.parts.authoriser.accounts, login="default", tokens=tokens)
    assert isinstance(verdict, Reconnect)
    assert verdict.refresh_first
    tiktok.parts.authoriser.revoke(login="default", tokens=tokens)


def test_revoking_with_a_stale_access_token_ends_the_grant_behind_it(tiktok):
    tokens = tiktok.connect().tokens
    stale = replace(tokens, access_token="act.stale", access_expires_at=utc_now() - timedelta(seconds=1))
    tiktok.parts.authoriser.revoke(login="default", tokens=stale)
    assert refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens).code == "tiktok.invalid_grant"


def test_a_wrong_app_secret_is_for_the_operator_and_never_shown(tiktok, reach):
    parts = PLATFORM.build(replace(reach, app=AppCredentials(reach.app.client_id, "sEcReT-wrong")))
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri="https://a", code="c0de-1", verifier=None)
    parts.close()
    assert isinstance(caught.value.verdict, Operator)
    assert "secret" in caught.value.verdict.remedy
    assert "sEcReT" not in f"{caught.value}{caught.value!r}{caught.value.verdict!r}"


def test_no_token_is_in_any_repr(tiktok):
    connectable = tiktok.connect()
    assert connectable.tokens.access_token not in repr(connectable)
    assert connectable.tokens.refresh_token not in repr(connectable)


def test_a_refresh_that_never_got_an_answer_is_tried_again(tiktok):
    tokens = tiktok.connect().tokens
    tiktok.fault("token", "refuse")
    verdict = refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens)
    assert isinstance(verdict, TryAgain)
    assert tokens.refresh_token not in repr(verdict)


# ------------------------------------------------------------------------------- on the creator's own machine: desktop


def signed_in_from(tiktok, redirect_uri, **decision):
    consent = tiktok.parts.authoriser.consent(login="default", redirect_uri=redirect_uri, state="s-1")
    wanted = {"authorize_url": consent.url, "account": tiktok.handle, **decision}
    back = parse_qs(urlsplit(tiktok.control("POST", "/consent", wanted)["redirect_to"]).query)
    return consent, back["code"][0]


@pytest.mark.parametrize("redirect_uri", [REDIRECT, "http://localhost:8080/oauth/tiktok/callback"])
def test_a_program_on_this_machine_proves_itself_with_a_hexadecimal_hash(tiktok, redirect_uri):
    tiktok.settings(client_type="desktop")
    consent, code = signed_in_from(tiktok, redirect_uri)
    asked = parse_qs(urlsplit(consent.url).query)
    assert asked["code_challenge"] == [hashlib.sha256(consent.verifier.encode()).hexdigest()]
    assert asked["code_challenge_method"] == ["S256"]
    tokens = tiktok.parts.authoriser.exchange(
        login="default", redirect_uri=redirect_uri, code=code, verifier=consent.verifier
    )
    assert tokens.access_token.startswith("act.")
    assert consent.verifier not in repr(consent)


@pytest.mark.parametrize("verifier", [None, "x" * 43])
def test_without_its_own_verifier_a_desktops_code_is_worth_nothing(tiktok, verifier):
    tiktok.settings(client_type="desktop")
    _, code = signed_in_from(tiktok, REDIRECT)
    verdict = refused(
        tiktok.parts.authoriser.exchange, login="default", redirect_uri=REDIRECT, code=code, verifier=verifier
    )
    assert isinstance(verdict, Operator)
    assert "Code verifier" in verdict.detail


def test_the_hash_is_the_one_that_others_compute():
    known = json.loads((Path(__file__).parents[2] / "sandbox" / "vectors.json").read_text())["pkce"]
    assert _challenge(known["verifier"]) == known["s256_hex_tiktok_desktop"] != known["s256_base64url"]


# ------------------------------------------------------------------------------------------------ what can go wrong


def test_an_older_tiktok_keeps_the_refresh_token_alive(tiktok):
    tiktok.settings(token_profile="classic")
    first = tiktok.connect().tokens
    second = tiktok.parts.authoriser.refresh(login="default", tokens=first)
    third = tiktok.parts.authoriser.refresh(login="default", tokens=second)
    assert first.refresh_token == second.refresh_token == third.refresh_token
    assert len({first.access_token, second.access_token, third.access_token}) == 3


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_refresh_token_never_takes_the_place_of_a_live_one(tiktok, empty):
    tokens = tiktok.connect().tokens
    body = {
        "access_token": "act.new",
        "expires_in": 60,
        "open_id": "o",
        "refresh_token": empty,
        "refresh_expires_in": 0,
    }
    tiktok.fault("token.refresh", "error", status=200, body=body)
    second = tiktok.parts.authoriser.refresh(login="default", tokens=tokens)
    assert (second.refresh_token, second.refresh_expires_at) == (tokens.refresh_token, tokens.refresh_expires_at)


@pytest.mark.parametrize("body", ["<html>Attention Required!</html>", '{"access_token": "act.s3cr3t", "expi', "null,"])
@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_that_is_no_answer_is_tried_again(tiktok, body, status):
    tokens = tiktok.connect().tokens
    tiktok.fault("token.refresh", "error", status=status, body=body)
    verdict = refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens)
    assert isinstance(verdict, TryAgain)
    assert "s3cr3t" not in repr(verdict)
    assert tiktok.parts.authoriser.refresh(login="default", tokens=tokens).access_token


@pytest.mark.parametrize("fault", ["reset_before_body", "reset_after_body", "read_error"])
def test_a_line_that_breaks_before_anything_was_done_costs_nothing(tiktok, fault):
    tokens = tiktok.connect().tokens
    tiktok.fault("token.refresh", fault)
    assert isinstance(refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens), TryAgain)
    assert tiktok.parts.authoriser.refresh(login="default", tokens=tokens).access_token


def test_a_renewal_whose_answer_is_lost_ends_in_words_for_the_creator(tiktok):
    """TikTok has put a new refresh token in the place of the old, and nobody knows it: only a person can help."""
    tokens = tiktok.connect().tokens
    tiktok.fault("token.refresh", "commit_then_reset")
    assert isinstance(refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens), TryAgain)
    verdict = refused(tiktok.parts.authoriser.refresh, login="default", tokens=tokens)
    assert isinstance(verdict, Reconnect)
    assert "connect TikTok again" in verdict.text


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_clock_that_is_off_changes_no_life_of_a_token(tiktok, reach, days):
    parts = PLATFORM.build(replace(reach, clock=lambda: utc_now() + timedelta(days=days)))
    tokens = parts.authoriser.exchange(
        login="default", redirect_uri=REDIRECT, code=tiktok.come_back()["code"], verifier=None
    )
    renewed = parts.authoriser.refresh(login="default", tokens=tokens)
    parts.close()
    for each in (tokens, renewed):
        assert each.access_expires_at - each.issued_at == timedelta(hours=2)
        assert abs(each.issued_at - utc_now() - timedelta(days=days)) < timedelta(seconds=30)


def test_a_life_is_counted_from_before_a_slow_answer(tiktok):
    """Counted from when the answer came, a token would be thought to live longer than it does."""
    tokens = tiktok.connect().tokens
    tiktok.fault("token.refresh", "slow", seconds=0.3)
    renewed = tiktok.parts.authoriser.refresh(login="default", tokens=tokens)
    assert utc_now() - renewed.issued_at >= timedelta(seconds=0.3)


def test_a_redirect_address_other_than_the_registered_is_for_the_operator(tiktok):
    code = tiktok.come_back()["code"]
    verdict = refused(
        tiktok.parts.authoriser.exchange, login="default", redirect_uri="https://b.example", code=code, verifier=None
    )
    assert isinstance(verdict, Operator)
    assert "PUBLIC_URL" in verdict.remedy


def test_a_secret_that_was_changed_at_tiktok_stops_renewals_for_the_operator_and_disconnects_nobody(tiktok, reach):
    tokens = tiktok.connect().tokens
    parts = PLATFORM.build(replace(reach, app=AppCredentials(reach.app.client_id, "another")))
    verdict = refused(parts.authoriser.refresh, login="default", tokens=tokens)
    parts.close()
    assert isinstance(verdict, Operator)
    assert tiktok.parts.authoriser.refresh(login="default", tokens=tokens).access_token
