"""What can go wrong on the way to a token, through both logins, and who is told what to do about it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, WaitUntil
from autorepost_app.platform_kit.protocol import AppCredentials, Connectable, Parts, Reach, TokenSet
from autorepost_app.platforms.instagram import PLATFORM, assemble

CALLBACK = "http://127.0.0.1:8080/oauth/instagram/callback"
DAY = timedelta(days=1)
CODE_STEPS = [
    ("instagram", "token.code"),
    ("instagram", "token.exchange"),
    ("facebook", "token.facebook"),
    ("facebook", "token.debug"),
]
ACCOUNT_STEPS = [("instagram", "me"), ("facebook", "accounts.list")]


class Visit:
    """One person on the way through one login."""

    def __init__(self, parts: Parts, control: Any, handle: str, login: str) -> None:
        self.parts, self.control, self.handle, self.login = parts, control, handle, login

    def code(self, **decision: Any) -> str:
        consent = self.parts.authoriser.consent(login=self.login, redirect_uri=CALLBACK, state="st")
        return str(self.control.allow(consent.url, self.handle, **decision)["code"])

    def exchange(self, code: str, redirect_uri: str = CALLBACK) -> TokenSet:
        return self.parts.authoriser.exchange(login=self.login, redirect_uri=redirect_uri, code=code, verifier=None)

    def accounts(self, tokens: TokenSet) -> list[Connectable]:
        return self.parts.authoriser.accounts(login=self.login, tokens=tokens)

    def connect(self) -> Connectable:
        return self.accounts(self.exchange(self.code()))[0]


@pytest.fixture
def visit(shared: Any, shared_parts: Parts, handle: str) -> Callable[..., Visit]:
    def visit(login: str, handle: str = handle, parts: Parts = shared_parts) -> Visit:
        return Visit(parts, shared, handle, login)

    return visit


def verdict_of(act: Callable[[], Any]) -> Any:
    with pytest.raises(PlatformFault) as caught:
        act()
    return caught.value.verdict


# ------------------------------------------------------------------------------------------- answers that are no answer


@pytest.mark.parametrize(("login", "call"), CODE_STEPS)
@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "body": "<html>Sorry, something went wrong.</html>"},
        {"status": 502, "body": "<html>Bad gateway</html>"},
        {"status": 200, "body": '{"access_token": "IGAAc'},
        {"status": 200, "body": '{"access', "headers": {"Content-Length": "300"}},
        {"status": 200, "body": ""},
    ],
    ids=["html", "bad gateway", "cut json", "cut on the wire", "empty"],
)
def test_an_answer_that_is_none_is_asked_for_again(
    login: str, call: str, answer: dict[str, Any], visit: Callable[..., Visit], shared: Any
) -> None:
    here = visit(login)
    code = here.code()
    shared.fault(call, "error", **answer)
    verdict = verdict_of(lambda: here.exchange(code))
    assert isinstance(verdict, TryAgain)
    assert code not in repr(verdict)
    assert "IGAAc" not in repr(verdict)


@pytest.mark.parametrize(("login", "call"), ACCOUNT_STEPS)
@pytest.mark.parametrize("fault", ["refuse", "reset_after_body", "read_error"])
def test_accounts_that_cannot_be_read_now_are_read_later(
    login: str, call: str, fault: str, visit: Callable[..., Visit], shared: Any
) -> None:
    here = visit(login)
    tokens = here.exchange(here.code())
    shared.fault(call, fault)
    assert isinstance(verdict_of(lambda: here.accounts(tokens)), TryAgain)
    assert here.accounts(tokens)[0].account.handle == here.handle


# ----------------------------------------------------------------------------------------------------- what is set up


@pytest.mark.parametrize(("login", "call"), CODE_STEPS[:3])
def test_a_way_back_that_meta_does_not_know_is_for_the_operator(
    login: str, call: str, visit: Callable[..., Visit], shared: Any
) -> None:
    here = visit(login)
    if call == "token.code":
        verdict = verdict_of(lambda: here.exchange(here.code(), CALLBACK + "/"))
    else:
        text = "Error validating verification code. Please make sure your redirect_uri is identical to the one used"
        shared.fault(
            call, "error", status=400, body={"error": {"message": text, "code": 100, "type": "OAuthException"}}
        )
        verdict = verdict_of(lambda: here.exchange(here.code()))
    assert isinstance(verdict, Operator)
    assert "callback" in verdict.remedy


def test_an_account_that_may_not_test_our_app_yet_is_told_whom_to_ask(visit: Callable[..., Visit], shared: Any) -> None:
    refusal = {"error_type": "OAuthException", "code": 400, "error_message": "Insufficient developer role"}
    shared.fault("token.code", "error", status=400, body=refusal)
    here = visit("instagram")
    verdict = verdict_of(lambda: here.exchange(here.code()))
    assert isinstance(verdict, Rejected)
    assert "tester" in verdict.remedy


@pytest.fixture
def two_registrations(shared: Any, shared_reach: Reach) -> Iterator[Parts]:
    """As Meta's dashboard gives them: one for Instagram's login, another for Facebook's."""
    shared.settings(facebook_client_id="page-app", facebook_client_secret="page-secret")
    apps = {"instagram": shared_reach.app, "facebook": AppCredentials("page-app", "page-secret")}
    parts = assemble(shared_reach, apps)
    yield parts
    parts.close()


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_each_login_can_have_a_registration_of_its_own(
    login: str, two_registrations: Parts, visit: Callable[..., Visit]
) -> None:
    here = visit(login, parts=two_registrations)
    assert here.connect().account.handle == here.handle


def test_the_page_of_one_registration_is_not_opened_with_the_other(
    two_registrations: Parts, visit: Callable[..., Visit], shared_parts: Parts
) -> None:
    here = visit("facebook", parts=two_registrations)
    there = replace_parts(here, shared_parts)
    assert isinstance(verdict_of(lambda: there.exchange(here.code())), Operator)


def replace_parts(visit: Visit, parts: Parts) -> Visit:
    return Visit(parts, visit.control, visit.handle, visit.login)


def test_one_registration_serves_both_logins_today(shared_parts: Parts, shared_reach: Reach) -> None:
    for login in PLATFORM.oauth.logins:
        consent = shared_parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st")
        assert parse_qs(urlsplit(consent.url).query)["client_id"] == [shared_reach.app.client_id]


# ------------------------------------------------------------------------------------------------- accounts that do not


@pytest.mark.parametrize(
    ("login", "options", "code", "words"),
    [
        ("instagram", {"professional": False}, "instagram.personal_account", "personal account"),
        ("facebook", {"professional": False}, "instagram.no_linked_account", "Ada"),
        ("facebook", {"page": False}, "instagram.no_page", "no Facebook page"),
    ],
)
def test_who_cannot_be_posted_for_is_told_why_and_what_to_change(
    login: str, options: dict[str, Any], code: str, words: str, visit: Callable[..., Visit], shared: Any
) -> None:
    stranger = f"stranger.{login}.{len(options)}.{code}"
    shared.account(stranger, **options)
    here = visit(login, stranger)
    verdict = verdict_of(here.connect)
    assert isinstance(verdict, Rejected)
    assert verdict.code == code
    assert words in verdict.text
    assert verdict.remedy.endswith(".")


def test_a_page_we_have_no_role_on_is_passed_over(visit: Callable[..., Visit], shared: Any) -> None:
    linked = {"id": "178", "username": "theirs"}
    pages = [
        {"id": "1", "name": "No role", "instagram_business_account": linked},
        {"id": "2", "name": "Nothing linked", "access_token": "EAA2"},
        {"id": "3", "name": "Ours", "access_token": "EAA3", "instagram_business_account": {**linked, "id": "179"}},
        {"id": "4", "name": "Ours too", "access_token": "EAA4", "instagram_business_account": {**linked, "id": "179"}},
    ]
    here = visit("facebook")
    tokens = here.exchange(here.code())
    shared.fault("accounts.list", "error", status=200, body={"data": pages})
    [connected] = here.accounts(tokens)
    assert (connected.account.external_id, connected.tokens.access_token) == ("179", "EAA3")


def test_an_account_is_found_behind_the_first_hundred_pages(visit: Callable[..., Visit], shared: Any) -> None:
    here = visit("facebook")
    tokens = here.exchange(here.code())
    more = {"next": "https://graph/next?access_token=EAA", "cursors": {"after": "c1"}}
    rows = [{"id": str(n), "name": f"Page {n}", "access_token": "EAA"} for n in range(100)]
    shared.fault("accounts.list", "error", status=200, body={"data": rows, "paging": more})
    last = {"id": "101", "access_token": "EAA3", "instagram_business_account": {"id": "179", "username": "ours"}}
    shared.fault("accounts.list", "error", status=200, body={"data": [last]})

    [connected] = here.accounts(tokens)

    assert connected.account.external_id == "179"


# -------------------------------------------------------------------------------------------------------------- renewal


def test_a_token_younger_than_a_day_is_not_even_offered_for_renewal(visit: Callable[..., Visit], shared: Any) -> None:
    here = visit("instagram")
    tokens = here.exchange(here.code())
    asked = len(shared.calls())
    verdict = verdict_of(lambda: here.parts.authoriser.refresh(login="instagram", tokens=tokens))
    assert isinstance(verdict, WaitUntil)
    assert tokens.issued_at is not None
    assert verdict.at == tokens.issued_at + DAY
    assert len(shared.calls()) == asked


def test_a_clock_of_ours_that_is_fast_costs_an_hour_and_not_the_connection(
    visit: Callable[..., Visit], shared: Any
) -> None:
    here = visit("instagram")
    tokens = here.exchange(here.code())
    assert tokens.issued_at is not None
    looks_old = replace(tokens, issued_at=tokens.issued_at - DAY - timedelta(minutes=1))
    verdict = verdict_of(lambda: here.parts.authoriser.refresh(login="instagram", tokens=looks_old))
    assert isinstance(verdict, WaitUntil)
    assert verdict.at > shared.now()
    assert here.accounts(tokens)[0].account.handle == here.handle


@pytest.mark.parametrize("answer", [{"status": 200, "body": "<html>"}, {"status": 503, "body": ""}])
def test_a_renewal_without_an_answer_leaves_the_old_token_good(
    answer: dict[str, Any], visit: Callable[..., Visit], shared: Any
) -> None:
    here = visit("instagram")
    tokens = replace(here.exchange(here.code()), issued_at=shared.now() - 31 * DAY)
    shared.fault("token.refresh", "error", **answer)
    assert isinstance(verdict_of(lambda: here.parts.authoriser.refresh(login="instagram", tokens=tokens)), TryAgain)
    assert here.accounts(tokens)[0].account.handle == here.handle


def test_a_renewal_of_a_grant_that_was_removed_asks_to_connect_again(visit: Callable[..., Visit], shared: Any) -> None:
    here = visit("instagram")
    tokens = replace(here.exchange(here.code()), issued_at=shared.now() - 31 * DAY)
    shared.ask("DELETE", f"/accounts/instagram/{here.handle}/grants")
    verdict = verdict_of(lambda: here.parts.authoriser.refresh(login="instagram", tokens=tokens))
    assert isinstance(verdict, Reconnect)
    assert "settings" in verdict.text


def test_the_wanted_permissions_go_out_with_commas_and_come_back_as_a_set(visit: Callable[..., Visit]) -> None:
    for login in PLATFORM.oauth.logins:
        here = visit(login)
        url = here.parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st").url
        assert parse_qs(urlsplit(url).query)["scope"] == [",".join(PLATFORM.oauth.scopes[login])]
        assert here.exchange(here.code()).scopes == frozenset(PLATFORM.oauth.scopes[login])


def test_ids_longer_than_a_number_of_javascript_are_kept_to_the_last_digit(
    visit: Callable[..., Visit], shared: Any
) -> None:
    big = 98_765_432_109_876_543
    reply = {"access_token": "IGAA1", "user_id": big, "permissions": ["instagram_business_basic"]}
    shared.fault("token.code", "error", status=200, body=reply)
    shared.fault("token.exchange", "error", status=200, body={"access_token": "IGAA2", "expires_in": 5184000})
    here = visit("instagram")
    assert here.exchange(here.code()).extra["app_scoped_id"] == str(big)
