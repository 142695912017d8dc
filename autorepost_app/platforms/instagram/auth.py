"""How do we get an Instagram account's tokens, and which accounts do they reach?

Two ways in. "instagram" is Instagram's own login: the access token refreshes itself and must be a day old for it.
"facebook" goes through a page: the page's token does not expire, and Graph wants a proof that the caller is our app.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, Protocol

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, Reconnect
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.oauth import consent_url, odd_tokens, token_form, token_set
from autorepost_app.platform_kit.protocol import Account, AppCredentials, Connectable, Consent, OAuthSpec, TokenSet
from autorepost_app.platforms.instagram import errors, quotas, refusals
from autorepost_app.platforms.instagram.graph import VERSION, Graph, bearer

INSTAGRAM: Final = "instagram"
FACEBOOK: Final = "facebook"

SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    INSTAGRAM: ("instagram_business_basic", "instagram_business_content_publish"),
    # business_management: pages that belong to a business account are not listed without it.
    FACEBOOK: (
        "instagram_basic",
        "instagram_content_publish",
        "pages_show_list",
        "pages_read_engagement",
        "business_management",
    ),
}
OAUTH: Final = OAuthSpec(
    logins=(INSTAGRAM, FACEBOOK),
    scopes=SCOPES,
    needed_scopes={
        INSTAGRAM: frozenset(SCOPES[INSTAGRAM]),
        FACEBOOK: frozenset(SCOPES[FACEBOOK]) - {"business_management"},
    },
    registrations=frozenset({FACEBOOK}),
    # Half of 60 days: a month of trouble on either side still leaves time, and a token lost is lost for good.
    refresh_margin=0.5,
    refresh_min_age_seconds=86_400.0,
)

_ME_FIELDS: Final = "id,user_id,username,name,account_type,profile_picture_url,followers_count"
_PAGE_FIELDS: Final = "id,name,access_token,instagram_business_account{id,username,name,profile_picture_url}"
_PAGES_AT_MOST: Final = 20
_NOT_PROFESSIONAL: Final = frozenset({"PERSONAL", "CONSUMER"})


def profile_url(www_url: str, handle: str) -> str:
    return f"{www_url.rstrip('/')}/{handle}/"


class Login(Protocol):
    def consent(self, redirect_uri: str, state: str) -> str: ...

    def exchange(self, redirect_uri: str, code: str) -> TokenSet: ...

    def refresh(self, tokens: TokenSet) -> TokenSet: ...

    def accounts(self, tokens: TokenSet) -> list[Connectable]: ...


@dataclass(frozen=True, slots=True)
class InstagramAuthoriser:
    logins: Mapping[str, Login]

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent:
        return Consent(self.logins[login].consent(redirect_uri, state), state)

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        return self.logins[login].exchange(redirect_uri, code.removesuffix("#_"))

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        return self.logins[login].refresh(tokens)

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        """Nothing: Instagram's login documents no way. Facebook's would end the person's grant for all their pages,
        and with it connections that nobody asked to end."""

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]:
        return self.logins[login].accounts(tokens)


@dataclass(frozen=True, slots=True)
class InstagramLogin:
    """Code, then a token of an hour, then one of 60 days that is its own refresh token."""

    app: AppCredentials
    www_url: str
    code_api: Api
    graph: Graph
    clock: Clock

    def consent(self, redirect_uri: str, state: str) -> str:
        return consent_url(
            self.www_url.rstrip("/") + "/oauth/authorize",
            client_id=self.app.client_id,
            redirect_uri=redirect_uri,
            scopes=SCOPES[INSTAGRAM],
            state=state,
            separator=",",
        )

    def exchange(self, redirect_uri: str, code: str) -> TokenSet:
        form = token_form(
            "authorization_code",
            client_id=self.app.client_id,
            client_secret=self.app.client_secret,
            redirect_uri=redirect_uri,
            code=code,
        )
        now = self.clock()
        response = self.code_api.call("POST", "/oauth/access_token", form=form, counts=quotas.CODE)
        short = _tokens(errors.login_row(response, now), now)
        params = {
            "grant_type": "ig_exchange_token",
            "client_secret": self.app.client_secret,
            "access_token": short.access_token,
        }
        now = self.clock()
        response = self.graph.api.call("GET", "/access_token", params=params, counts=quotas.EXCHANGE)
        return _its_own_refresh(errors.login_row(response, now), now, short)

    def refresh(self, tokens: TokenSet) -> TokenSet:
        now = self.clock()
        errors.refuse_young(tokens, now)
        params = {"grant_type": "ig_refresh_token", "access_token": tokens.access_token}
        response = self.graph.api.call("GET", "/refresh_access_token", params=params, counts=quotas.REFRESH)
        return _its_own_refresh(errors.refreshed_row(response, tokens, now), now, tokens)

    def accounts(self, tokens: TokenSet) -> list[Connectable]:
        response = self.graph.get("/me", tokens.access_token, counts=quotas.ME, fields=_ME_FIELDS)
        me = errors.row(response, self.clock(), "user_id")
        if me.get("account_type") in _NOT_PROFESSIONAL:
            raise refusals.personal_account(str(me["account_type"]))
        traits = {"account_type": me.get("account_type"), "app_scoped_id": me.get("id")}
        # `user_id` is the id of the publishing paths; `id` is only ours and names the person in callbacks.
        return [Connectable(_account(me, str(me["user_id"]), self.www_url, traits), tokens)]


@dataclass(frozen=True, slots=True)
class FacebookLogin:
    """Code, then a person's token of 60 days, from which each page's own token follows; that one stays."""

    app: AppCredentials
    www_url: str
    facebook_www_url: str
    graph: Graph
    clock: Clock

    def consent(self, redirect_uri: str, state: str) -> str:
        return consent_url(
            f"{self.facebook_www_url.rstrip('/')}/{VERSION}/dialog/oauth",
            client_id=self.app.client_id,
            redirect_uri=redirect_uri,
            scopes=SCOPES[FACEBOOK],
            state=state,
            separator=",",
        )

    def exchange(self, redirect_uri: str, code: str) -> TokenSet:
        short = self._token(redirect_uri=redirect_uri, code=code)
        person = self._token(grant_type="fb_exchange_token", fb_exchange_token=short.access_token)
        granted = self._inspect(person.access_token)
        reply = {"access_token": person.access_token, "scope": granted.get("scopes"), "user_id": granted.get("user_id")}
        return replace(_tokens(reply, self.clock(), person), access_expires_at=person.access_expires_at)

    def refresh(self, tokens: TokenSet) -> TokenSet:
        """A page's token does not expire; one that died comes back only with a new consent."""
        raise PlatformFault(
            Reconnect("Please connect Instagram again.", "a page token cannot be refreshed", "instagram.page_token")
        )

    def accounts(self, tokens: TokenSet) -> list[Connectable]:
        """The professional accounts linked to the person's pages, each once. Raises PlatformFault where none is."""
        found: dict[str, Connectable] = {}
        pages = list(self._pages(tokens.access_token))
        for page in pages:
            linked = page.get("instagram_business_account")
            if linked and page.get("access_token"):
                traits = {"page_id": page.get("id"), "page": page.get("name"), **tokens.extra}
                account = _account(linked, str(linked["id"]), self.www_url, traits)
                own = replace(tokens, access_token=str(page["access_token"]), access_expires_at=None)
                found.setdefault(account.external_id, Connectable(account, own))
        if found:
            return list(found.values())
        names = [str(page.get("name") or page.get("id")) for page in pages]
        raise refusals.no_linked_account(names) if names else refusals.no_page()

    def _token(self, **fields: str) -> TokenSet:
        params = {"client_id": self.app.client_id, "client_secret": self.app.client_secret, **fields}
        now = self.clock()
        response = self.graph.call("GET", "/oauth/access_token", params=params, counts=quotas.FACEBOOK_TOKEN)
        return _tokens(errors.login_row(response, now), now)

    def _inspect(self, token: str) -> Mapping[str, Any]:
        """What was granted and by whom: the token reply says neither."""
        params = {"input_token": token}
        ours = bearer(f"{self.app.client_id}|{self.app.client_secret}")
        response = self.graph.call("GET", "/debug_token", params=params, headers=ours, counts=quotas.TOKEN_FACTS)
        granted = errors.answer(response, self.clock()).get("data")
        if not isinstance(granted, dict):
            raise odd_tokens(errors.NAME, "data")
        return granted

    def _pages(self, token: str) -> Iterator[Mapping[str, Any]]:
        listed = self.graph.pages("/me/accounts", token, counts=quotas.PAGES, fields=_PAGE_FIELDS, limit="100")
        for page in islice(listed, _PAGES_AT_MOST):
            yield from page.rows


def _tokens(reply: Mapping[str, Any], now: datetime, previous: TokenSet | None = None) -> TokenSet:
    user_id = reply.get("user_id")
    if not isinstance(user_id, str | int | None):
        raise odd_tokens(errors.NAME, "user_id")
    extra = {"app_scoped_id": str(user_id)} if user_id else None
    scoped = {**reply, "scope": reply.get("permissions") or reply.get("scope")}
    tokens = token_set(scoped, platform_name=errors.NAME, now=now, separator=",", previous=previous, extra=extra)
    return replace(tokens, refresh_token=None, refresh_expires_at=None)


def _its_own_refresh(reply: Mapping[str, Any], now: datetime, previous: TokenSet) -> TokenSet:
    tokens = _tokens(reply, now, previous)
    if tokens.access_expires_at is None:  # it would never be renewed, and be lost in two months
        raise odd_tokens(errors.NAME, "expires_in")
    return replace(tokens, refresh_token=tokens.access_token, refresh_expires_at=tokens.access_expires_at)


def _account(fields: Mapping[str, Any], external_id: str, www_url: str, traits: Mapping[str, Any]) -> Account:
    handle = str(fields.get("username") or external_id)
    return Account(
        external_id=external_id,
        handle=handle,
        display_name=str(fields.get("name") or handle),
        avatar_url=fields.get("profile_picture_url"),
        url=profile_url(www_url, handle),
        traits={name: str(value) for name, value in traits.items() if value},
    )
