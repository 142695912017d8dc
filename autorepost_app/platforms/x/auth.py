"""How does a person give us their X account, and how is that grant kept alive?

OAuth 2 with mandatory PKCE, as a confidential client (HTTP Basic at the token endpoint). Refresh tokens are single
use: the caller makes one refresh at a time and stores the outcome before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, Reconnect
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.oauth import challenge_s256, consent_url, new_verifier, token_form, token_set
from autorepost_app.platform_kit.protocol import Account, AppCredentials, Connectable, Consent, OAuthSpec, TokenSet
from autorepost_app.platforms.x import quotas
from autorepost_app.platforms.x.errors import PLATFORM_NAME, body_of, data_of

LOGIN: Final = "default"
SCOPES: Final = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")

OAUTH: Final = OAuthSpec(
    logins=(LOGIN,),
    scopes={LOGIN: SCOPES},
    needed_scopes={LOGIN: frozenset(SCOPES)},
)


def require_scopes(granted: frozenset[str]) -> None:
    """Raises PlatformFault(Reconnect) naming what was left out; where X did not say what it granted, its word stands
    for all that was asked for (RFC 6749, 5.1)."""
    missing = sorted(set(SCOPES) - granted) if granted else []
    if missing:
        names = ", ".join(missing)
        text = f"X was not allowed everything that is needed ({names}). Please connect X again and leave it all ticked."
        raise PlatformFault(Reconnect(text, f"scopes left out: {names}", "x.missing-scope"))


@dataclass(frozen=True, slots=True)
class XAuthoriser:
    api: Api
    www_url: str
    app: AppCredentials
    clock: Clock

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent:
        verifier = new_verifier()
        url = consent_url(
            f"{self.www_url}/i/oauth2/authorize",
            client_id=self.app.client_id,
            redirect_uri=redirect_uri,
            scopes=OAUTH.scopes[login],
            state=state,
            code_challenge=challenge_s256(verifier),
            code_challenge_method="S256",
        )
        return Consent(url, state, verifier)

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        """To be called inside the callback: a code lives 30 seconds."""
        return self._tokens(
            token_form("authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier)
        )

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        if tokens.refresh_token is None:
            raise PlatformFault(
                Reconnect("Please connect X again.", "the grant came without a refresh token", "x.no-refresh-token")
            )
        return self._tokens(token_form("refresh_token", refresh_token=tokens.refresh_token), previous=tokens)

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        """Both tokens, the lasting one first. A token that X calls dead already is as good as revoked."""
        kinds = (("refresh_token", tokens.refresh_token), ("access_token", tokens.access_token))
        for kind, token in kinds:
            if token:
                self._revoke({"token": token, "token_type_hint": kind, "client_id": self.app.client_id})

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]:
        """One grant is one account. `subscription_type` says whether X lets it post longer videos."""
        require_scopes(tokens.scopes)
        response = self.api.call(
            "GET",
            "/2/users/me",
            params={"user.fields": "profile_image_url,subscription_type"},
            headers={"Authorization": f"Bearer {tokens.access_token}"},
            counts=quotas.ME,
        )
        user = data_of(response, quotas.ME, self.clock(), "id", "username")
        return [Connectable(self._account(user), tokens)]

    def _account(self, user: dict[str, Any]) -> Account:
        handle, subscription = str(user["username"]), user.get("subscription_type")
        return Account(
            external_id=str(user["id"]),
            handle=handle,
            display_name=str(user.get("name") or handle),
            avatar_url=user.get("profile_image_url"),
            url=f"{self.www_url}/{handle}",
            traits={"subscription_type": str(subscription)} if subscription else {},
        )

    def _tokens(self, form: dict[str, str], previous: TokenSet | None = None) -> TokenSet:
        response = self.api.call("POST", "/2/oauth2/token", form=form, auth=self._basic, counts=quotas.TOKEN)
        body = body_of(response, quotas.TOKEN, self.clock())
        tokens = token_set(body, platform_name=PLATFORM_NAME, now=self.clock(), previous=previous)
        if previous is not None:
            require_scopes(tokens.scopes)
        return tokens

    def _revoke(self, form: dict[str, str]) -> None:
        response = self.api.call("POST", "/2/oauth2/revoke", form=form, auth=self._basic, counts=quotas.REVOKE)
        try:
            body_of(response, quotas.REVOKE, self.clock())
        except PlatformFault as fault:
            if not isinstance(fault.verdict, Reconnect):
                raise

    @property
    def _basic(self) -> tuple[str, str]:
        return (self.app.client_id, self.app.client_secret)
