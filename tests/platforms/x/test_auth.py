"""Does a person get in, does the grant stay alive, and does it end when asked?"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain
from autorepost_app.platform_kit.oauth import challenge_s256
from autorepost_app.platform_kit.protocol import AppCredentials, Connectable, Parts, Reach, TokenSet
from autorepost_app.platforms.x import PLATFORM

CALLBACK = "http://127.0.0.1:8080/oauth/x/callback"
SCOPES = frozenset({"tweet.read", "tweet.write", "users.read", "media.write", "offline.access"})


def test_the_consent_address_asks_for_every_scope_and_proves_itself_with_s256(parts: Parts) -> None:
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    query = {name: value for name, (value,) in parse_qs(urlsplit(consent.url).query).items()}
    assert urlsplit(consent.url).path.endswith("/i/oauth2/authorize")
    assert frozenset(query["scope"].split(" ")) == SCOPES == PLATFORM.oauth.needed_scopes["default"]
    assert (query["response_type"], query["redirect_uri"], query["state"]) == ("code", CALLBACK, "st-1")
    assert query["code_challenge_method"] == "S256"
    assert consent.verifier is not None
    assert query["code_challenge"] == challenge_s256(consent.verifier)
    assert consent.verifier not in repr(consent)


def test_a_person_who_consents_is_connected(connect: Callable[..., Connectable], control: Any) -> None:
    connected = connect("ada")
    account, tokens = connected.account, connected.tokens
    assert (account.handle, account.display_name) == ("ada", "Ada")
    assert account.external_id.isdecimal()
    assert account.url == f"{control.hosts['X_WWW_URL']}/ada"
    assert tokens.scopes == SCOPES
    assert tokens.access_expires_at is not None
    assert abs(tokens.access_expires_at - control.now() - timedelta(hours=2)) < timedelta(seconds=30)
    assert tokens.refresh_token is not None


def test_a_premium_account_says_so(connect: Callable[..., Connectable]) -> None:
    assert connect("ada", premium=True).account.traits == {"subscription_type": "Premium"}


def test_a_callback_that_comes_too_late_asks_to_connect_again(parts: Parts, control: Any) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]
    control.advance(31)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier=consent.verifier)
    assert isinstance(caught.value.verdict, Reconnect)
    assert "too long" in caught.value.verdict.text
    assert code not in str(caught.value)


def test_a_refresh_rotates_both_tokens_and_keeps_what_the_reply_leaves_out(
    parts: Parts, connect: Callable[..., Connectable]
) -> None:
    before = replace(connect("ada").tokens, extra={"kept": "yes"})
    after = parts.authoriser.refresh(login="default", tokens=before)
    assert after.access_token != before.access_token
    assert after.refresh_token not in (None, before.refresh_token)
    assert (after.scopes, after.extra) == (before.scopes, {"kept": "yes"})
    (again,) = parts.authoriser.accounts(login="default", tokens=after)
    assert again.account.handle == "ada"


def test_a_refresh_token_used_twice_is_dead_and_asks_to_connect_again(
    parts: Parts, connect: Callable[..., Connectable]
) -> None:
    tokens = connect("ada").tokens
    parts.authoriser.refresh(login="default", tokens=tokens)
    verdict = refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens))
    assert isinstance(verdict, Reconnect)
    assert not verdict.refresh_first
    assert verdict.code == "x.dead-refresh-token"


def test_a_grant_without_a_refresh_token_asks_to_connect_again_without_a_call(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = replace(connect("ada").tokens, refresh_token=None)
    calls = len(control.calls("token"))
    assert isinstance(refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens)), Reconnect)
    assert len(control.calls("token")) == calls


def test_a_revoked_grant_is_dead_at_x_and_revoking_it_again_is_no_fault(
    parts: Parts, connect: Callable[..., Connectable]
) -> None:
    tokens = connect("ada").tokens
    parts.authoriser.revoke(login="default", tokens=tokens)
    assert isinstance(refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens)), Reconnect)
    dead = refused(lambda: parts.authoriser.accounts(login="default", tokens=tokens))
    assert isinstance(dead, Reconnect)
    assert dead.refresh_first
    parts.authoriser.revoke(login="default", tokens=tokens)


def test_a_revocation_that_x_could_not_take_is_said(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    control.fault("token.revoke", "read_error", status=503)
    assert isinstance(refused(lambda: parts.authoriser.revoke(login="default", tokens=tokens)), TryAgain)


@pytest.mark.parametrize("fault", ["refuse", "reset_after_body", "commit_then_500"])
def test_a_refresh_without_an_answer_is_tried_again_and_leaks_nothing(
    parts: Parts, connect: Callable[..., Connectable], control: Any, fault: str
) -> None:
    tokens = connect("ada").tokens
    control.fault("token", fault)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, TryAgain)
    assert str(tokens.refresh_token) not in str(caught.value) + repr(caught.value.verdict)


def test_a_wrong_client_secret_is_the_operators_business(
    reach: Reach, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    wrong = PLATFORM.build(replace(reach, app=AppCredentials(reach.app.client_id, "wrong-secret")))
    verdict = refused(lambda: wrong.authoriser.refresh(login="default", tokens=tokens))
    wrong.close()
    assert isinstance(verdict, Operator)
    assert "wrong-secret" not in repr(verdict)


def test_no_repr_shows_a_secret(parts: Parts, reach: Reach, connect: Callable[..., Connectable]) -> None:
    connected = connect("ada")
    shown = repr(connected) + repr(parts) + repr(reach)
    for secret in (connected.tokens.access_token, str(connected.tokens.refresh_token), reach.app.client_secret):
        assert secret not in shown


def refused(call: Callable[[], object]) -> Any:
    with pytest.raises(PlatformFault) as caught:
        call()
    return caught.value.verdict


def test_tokens_are_told_apart_by_their_lifetimes_from_the_reply(
    sign_in: Callable[..., TokenSet], control: Any
) -> None:
    control.account("ada")
    tokens = sign_in("ada")
    assert tokens.issued_at is not None
    assert tokens.access_expires_at == tokens.issued_at + timedelta(seconds=7200)
    assert tokens.refresh_expires_at is None


# ------------------------------------------------------------------------------------------- what goes wrong on the way


def test_a_code_works_once_and_only_with_the_verifier_and_the_address_it_was_asked_with(
    parts: Parts, control: Any
) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
    code = control.allow(consent.url, "ada")["code"]

    def exchange(**changes: Any) -> TokenSet:
        asked = {"login": "default", "redirect_uri": CALLBACK, "code": code, "verifier": consent.verifier, **changes}
        return parts.authoriser.exchange(**asked)

    assert refused(lambda: exchange(verifier="x" * 64)).code == "x.foreign-code"
    elsewhere = refused(lambda: exchange(redirect_uri="http://127.0.0.1:9/cb"))
    assert isinstance(elsewhere, Operator)
    assert "callback address" in elsewhere.remedy
    assert exchange().access_token
    assert isinstance(refused(exchange), Reconnect)


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_permission_that_was_left_out_is_named(
    parts: Parts, sign_in: Callable[..., TokenSet], control: Any, scope: str
) -> None:
    control.account("ada")
    tokens = sign_in("ada", deny_scopes=[scope])
    verdict = refused(lambda: parts.authoriser.accounts(login="default", tokens=tokens))
    assert isinstance(verdict, Reconnect)
    assert scope in verdict.text
    assert not verdict.refresh_first
    assert control.calls("users.me") == []


def test_a_refresh_that_brings_less_than_before_asks_to_connect_again(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    body = {"access_token": "a", "refresh_token": "r", "scope": "tweet.read users.read", "expires_in": 7200}
    control.fault("token.refresh", "error", status=200, body=body)
    verdict = refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens))
    assert isinstance(verdict, Reconnect)
    assert "media.write" in verdict.text


def test_a_grant_without_a_needed_scope_stages_nothing(publish: Callable[..., Any], control: Any) -> None:
    publication = publish()
    grant = replace(publication.delivery.grant, scopes=SCOPES - {"media.write"})
    publication.delivery = replace(publication.delivery, grant=grant)
    verdict = refused(publication.stage_once)
    assert isinstance(verdict, Reconnect)
    assert "media.write" in verdict.text
    assert control.calls("upload.initialize") == []


def test_a_refresh_whose_answer_was_lost_ends_in_reconnect_and_kills_no_other_way_in(
    parts: Parts, connect: Callable[..., Connectable], sign_in: Callable[..., TokenSet], control: Any
) -> None:
    tokens = connect("ada").tokens
    control.fault("token.refresh", "commit_then_reset")
    assert isinstance(refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens)), TryAgain)
    for _ in range(2):
        verdict = refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens))
        assert isinstance(verdict, Reconnect)
        assert not verdict.refresh_first, "nothing that would try once more"
    fresh = parts.authoriser.refresh(login="default", tokens=sign_in("ada"))
    assert parts.authoriser.accounts(login="default", tokens=fresh)


@pytest.mark.parametrize("body", ["<html>busy</html>", "", '{"access_token": "abc', "{}", "[1]"])
def test_a_token_answer_that_cannot_be_read_is_tried_again(
    parts: Parts, connect: Callable[..., Connectable], control: Any, body: str
) -> None:
    tokens = connect("ada").tokens
    control.fault("token.refresh", "error", status=200, body=body)
    verdict = refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens))
    assert isinstance(verdict, TryAgain)
    assert "abc" not in verdict.detail


def test_a_token_answer_without_a_token_is_tried_again_and_not_repeated_in_words(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    control.fault("token.refresh", "error", status=200, body={"token_type": "bearer", "refresh_token": "SECRET"})
    verdict = refused(lambda: parts.authoriser.refresh(login="default", tokens=tokens))
    assert isinstance(verdict, TryAgain)
    assert "SECRET" not in repr(verdict)


def test_a_token_without_a_lifetime_is_kept_until_x_refuses_it(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    control.fault("token.refresh", "error", status=200, body={"access_token": "a", "refresh_token": "r"})
    fresh = parts.authoriser.refresh(login="default", tokens=tokens)
    assert (fresh.access_expires_at, fresh.scopes) == (None, tokens.scopes)


def test_a_clock_that_runs_behind_is_set_right_by_the_refusal(
    parts: Parts, connect: Callable[..., Connectable], control: Any
) -> None:
    tokens = connect("ada").tokens
    control.client.put("/_sandbox/clock", json={"advance_seconds": 7300})
    assert tokens.access_expires_at is not None
    assert tokens.access_expires_at > control.now()
    verdict = refused(lambda: parts.authoriser.accounts(login="default", tokens=tokens))
    assert isinstance(verdict, Reconnect)
    assert verdict.refresh_first
    assert parts.authoriser.refresh(login="default", tokens=tokens).access_token


def test_an_app_without_credits_connects_nobody_and_tells_the_operator(
    parts: Parts, sign_in: Callable[..., TokenSet], control: Any
) -> None:
    control.account("ada")
    tokens = sign_in("ada")
    control.settings(credit_usd=0.0)
    verdict = refused(lambda: parts.authoriser.accounts(login="default", tokens=tokens))
    assert isinstance(verdict, Operator)
    assert "credits" in verdict.remedy


def test_a_suspended_account_is_told_so(parts: Parts, sign_in: Callable[..., TokenSet], control: Any) -> None:
    control.account("ada", suspended=True)
    tokens = sign_in("ada")
    verdict = refused(lambda: parts.authoriser.accounts(login="default", tokens=tokens))
    assert isinstance(verdict, Rejected)
    assert verdict.code == "x.suspended"
    assert "suspended" in verdict.text
