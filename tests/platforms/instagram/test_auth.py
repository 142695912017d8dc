"""Consent, tokens that last, and the accounts behind them, through both logins."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain
from autorepost_app.platform_kit.protocol import Parts, TokenSet
from autorepost_app.platform_kit.signatures import hmac_hex
from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.graph import VERSION, next_cursor

CALLBACK = "http://127.0.0.1:8080/oauth/instagram/callback"
VECTORS = Path(__file__).with_name("vectors.json")
DAY = 86_400.0


def test_the_consent_address_asks_for_what_publishing_needs(parts: Parts) -> None:
    consent = parts.authoriser.consent(login="instagram", redirect_uri=CALLBACK, state="st")
    query = parse_qs(urlsplit(consent.url).query)
    assert urlsplit(consent.url).path.endswith("/oauth/authorize")
    assert query["scope"] == ["instagram_business_basic,instagram_business_content_publish"]
    assert query["response_type"] == ["code"]
    assert query["state"] == ["st"]
    assert "code_challenge" not in query
    assert consent.verifier is None


def test_the_facebook_consent_address_carries_the_graph_version(parts: Parts) -> None:
    consent = parts.authoriser.consent(login="facebook", redirect_uri=CALLBACK, state="st")
    assert urlsplit(consent.url).path.endswith(f"/{VERSION}/dialog/oauth")
    assert "pages_show_list" in parse_qs(urlsplit(consent.url).query)["scope"][0].split(",")


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_consent_becomes_an_account_with_its_tokens(
    connect: Callable[..., Any], control: Any, parts: Parts, login: str
) -> None:
    made = control.account("ada")
    connected = connect("ada", login)
    assert connected.account.external_id == made["id"]
    assert connected.account.handle == "ada"
    assert connected.account.url == f"{control.sandbox.hosts['INSTAGRAM_WWW_URL']}/ada/"
    assert connected.tokens.scopes >= PLATFORM.oauth.needed_scopes[login]
    assert connected.account.traits["app_scoped_id"]


def test_both_logins_name_an_account_by_the_same_id(connect: Callable[..., Any], control: Any) -> None:
    control.account("ada")
    ids = {connect("ada", login).account.external_id for login in ("instagram", "facebook")}
    assert len(ids) == 1, "else reconnecting another way would publish everything twice"


@pytest.mark.parametrize("shape", ["flat", "list"])
def test_both_shapes_of_the_token_reply_are_read(connect: Callable[..., Any], control: Any, shape: str) -> None:
    control.settings(reply_shape=shape)
    control.account("ada")
    assert connect("ada").account.handle == "ada"


def test_instagrams_token_lasts_sixty_days_and_is_its_own_refresh_token(
    sign_in: Callable[..., TokenSet], control: Any
) -> None:
    control.account("ada")
    tokens = sign_in("ada")
    assert tokens.refresh_token == tokens.access_token
    assert tokens.access_expires_at is not None
    assert 59 < (tokens.access_expires_at - control.now()).total_seconds() / DAY <= 60


def test_a_pages_token_never_expires(connect: Callable[..., Any], control: Any) -> None:
    control.account("ada")
    tokens = connect("ada", "facebook").tokens
    assert tokens.access_expires_at is None
    assert tokens.refresh_token is None


def test_a_refresh_gives_another_sixty_days_and_keeps_what_the_reply_left_out(
    sign_in: Callable[..., TokenSet], control: Any, parts: Parts
) -> None:
    control.account("ada")
    before = sign_in("ada")
    control.advance(30 * DAY)
    after = parts.authoriser.refresh(login="instagram", tokens=before)
    assert after.access_expires_at is not None
    assert before.access_expires_at is not None
    assert after.access_expires_at > before.access_expires_at
    assert after.refresh_token == after.access_token
    assert (after.scopes, after.extra) == (before.scopes, before.extra)
    [connected] = parts.authoriser.accounts(login="instagram", tokens=after)
    assert connected.account.handle == "ada"


def test_a_token_left_alone_for_sixty_days_needs_a_new_consent(
    sign_in: Callable[..., TokenSet], control: Any, parts: Parts
) -> None:
    control.account("ada")
    tokens = sign_in("ada")
    control.advance(61 * DAY)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="instagram", tokens=tokens)
    assert isinstance(caught.value.verdict, Reconnect)


def test_a_page_token_is_not_refreshed_but_asked_for_again(
    connect: Callable[..., Any], control: Any, parts: Parts
) -> None:
    control.account("ada")
    tokens = connect("ada", "facebook").tokens
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="facebook", tokens=tokens)
    assert isinstance(caught.value.verdict, Reconnect)


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_code_used_twice_asks_for_one_more_consent(control: Any, parts: Parts, login: str) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st")
    code = control.allow(consent.url, "ada")["code"]
    parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=code, verifier=None)
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=code, verifier=None)
    assert isinstance(caught.value.verdict, Reconnect)
    assert code not in str(caught.value)


def test_the_mark_that_instagram_adds_to_its_code_is_taken_off(control: Any, parts: Parts) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="instagram", redirect_uri=CALLBACK, state="st")
    code = control.allow(consent.url, "ada")["code"].removesuffix("#_") + "#_"
    assert parts.authoriser.exchange(login="instagram", redirect_uri=CALLBACK, code=code, verifier=None).access_token


def test_a_login_host_that_is_down_is_asked_again_later(control: Any, parts: Parts) -> None:
    control.account("ada")
    consent = parts.authoriser.consent(login="instagram", redirect_uri=CALLBACK, state="st")
    code = control.allow(consent.url, "ada")["code"]
    control.fault("token.code", "refuse")
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login="instagram", redirect_uri=CALLBACK, code=code, verifier=None)
    assert isinstance(caught.value.verdict, TryAgain)
    assert parts.authoriser.exchange(login="instagram", redirect_uri=CALLBACK, code=code, verifier=None).access_token


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_ending_the_grant_here_leaves_the_persons_other_pages_connected(
    connect: Callable[..., Any], control: Any, parts: Parts, login: str
) -> None:
    control.account("ada")
    tokens = connect("ada", login).tokens
    asked = len(control.calls())
    parts.authoriser.revoke(login=login, tokens=tokens)
    assert len(control.calls()) == asked


def test_an_account_removed_by_its_owner_asks_to_reconnect(
    connect: Callable[..., Any], control: Any, parts: Parts
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.ask("DELETE", "/accounts/instagram/ada/grants")
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.accounts(login="instagram", tokens=tokens)
    assert isinstance(caught.value.verdict, Reconnect)
    assert tokens.access_token not in str(caught.value)


def test_no_token_is_in_any_repr(connect: Callable[..., Any], control: Any, parts: Parts, reach: Any) -> None:
    control.account("ada")
    for login in ("instagram", "facebook"):
        connected = connect("ada", login)
        assert connected.tokens.access_token not in repr(connected)
    assert reach.app.client_secret not in repr(parts)


def test_the_proof_of_our_app_is_what_metas_own_sdk_sends() -> None:
    vector = json.loads(VECTORS.read_text())["meta_appsecret_proof"]
    assert hmac_hex(vector["app_secret"], vector["access_token"]) == vector["proof"]


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"paging": {"cursors": {"after": "abc"}, "next": "https://x/?access_token=t"}}, "abc"),
        ({"paging": {"cursors": {"after": "abc"}}}, None),
        ({"data": []}, None),
    ],
)
def test_the_last_page_of_a_list_is_recognised(body: dict[str, Any], cursor: str | None) -> None:
    assert next_cursor(body) == cursor


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_personal_account_is_told_how_to_become_a_professional_one(
    connect: Callable[..., Any], control: Any, login: str
) -> None:
    control.account("ada", professional=False)
    with pytest.raises(PlatformFault) as caught:
        connect("ada", login)
    assert isinstance(caught.value.verdict, Rejected)
    assert "Business or Creator" in caught.value.verdict.remedy


@pytest.mark.parametrize(
    ("login", "scope"),
    [("instagram", "instagram_business_content_publish"), ("facebook", "instagram_content_publish")],
)
def test_a_switch_left_off_shows_in_the_scopes(
    connect: Callable[..., Any], control: Any, login: str, scope: str
) -> None:
    control.account("ada")
    granted = connect("ada", login, deny_scopes=[scope]).tokens.scopes
    assert PLATFORM.oauth.needed_scopes[login] - granted == {scope}


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_wrong_app_secret_is_for_the_operator_not_the_creator(control: Any, reach: Any, login: str) -> None:
    control.account("ada")
    parts = PLATFORM.build(replace(reach, app=replace(reach.app, client_secret="wr0ng")))
    consent = parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st")
    code = control.allow(consent.url, "ada")["code"]
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=code, verifier=None)
    parts.close()
    assert isinstance(caught.value.verdict, Operator)
    assert "wr0ng" not in str(caught.value)
