"""How does a creator let us in at Loops?"""

from __future__ import annotations

from typing import Final

from autorepost_app.domain.clock import Clock
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.oauth import consent_url, token_form, token_set
from autorepost_app.platform_kit.protocol import Account, AppCredentials, Connectable, Consent, OAuthSpec, TokenSet
from autorepost_app.platforms.loops import errors

SCOPES: Final = ("read", "publish")
OAUTH: Final = OAuthSpec(
    logins=("default",),
    scopes={"default": SCOPES},
    needed_scopes={"default": frozenset(SCOPES)},
)


class LoopsAuthoriser:
    def __init__(self, www: Api, api: Api, app: AppCredentials, clock: Clock) -> None:
        self._www = www
        self._api = api
        self._app = app
        self._clock = clock

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent:
        address = self._www.url("/authorize")
        return Consent(
            consent_url(address, client_id=self._app.client_id, redirect_uri=redirect_uri, scopes=SCOPES, state=state),
            state,
        )

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        return self._tokens(token_form("authorization_code", code=code, redirect_uri=redirect_uri))

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        return self._tokens(token_form("refresh_token", refresh_token=tokens.refresh_token))

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        """Loops offers no way."""

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]:
        me = errors.accepted(self._api.call("GET", "/me", headers={"Authorization": f"Bearer {tokens.access_token}"}))
        return [Connectable(Account(str(me["id"]), str(me["handle"])), tokens)]

    def _tokens(self, form: dict[str, str]) -> TokenSet:
        credentials = (self._app.client_id, self._app.client_secret)
        answer = self._api.call("POST", "/token", form=form, auth=credentials)
        return token_set(errors.accepted(answer), platform_name="Loops", now=self._clock())
