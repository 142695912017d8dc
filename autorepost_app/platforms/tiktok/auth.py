"""How does a creator let us in at TikTok? Login Kit v2, as a website or as a program on the creator's own machine.

TikTok's own: `client_key` for client_id, scopes joined by commas, no PKCE on the web and one with a hexadecimal hash on
desktops, and both token lives read from the reply, because TikTok is shortening them (a day to two hours) app by app.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.oauth import consent_url, new_verifier, token_form, token_set
from autorepost_app.platform_kit.protocol import Account, AppCredentials, Connectable, Consent, TokenSet
from autorepost_app.platforms.tiktok import errors
from autorepost_app.platforms.tiktok.limits import STATS_SCOPE

SCOPES: Final = ("user.info.basic", "user.info.profile", STATS_SCOPE, "video.list")
NEEDED_SCOPES: Final = frozenset(SCOPES) - {STATS_SCOPE}
"""Who leaves the box of the numbers unticked is reposted all the same, only noticed later (`TikTokSource.pulse`)."""

_SEPARATOR: Final = ","
_GRANT_TYPES: Final = {"token.code": "authorization_code", "token.refresh": "refresh_token"}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
_PROFILE: Final = "open_id,display_name,avatar_url,username"


class TikTokAuthoriser:
    def __init__(self, www: Api, api: Api, app: AppCredentials, clock: Clock) -> None:
        self._www = www
        self._api = api
        self._app = app
        self._clock = clock

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent:
        verifier = new_verifier() if _is_desktop(redirect_uri) else None
        url = consent_url(
            self._www.url("/v2/auth/authorize/"),
            client_id=self._app.client_id,
            redirect_uri=redirect_uri,
            scopes=SCOPES,
            state=state,
            separator=_SEPARATOR,
            client_key=self._app.client_id,
            code_challenge=_challenge(verifier) if verifier else None,
            code_challenge_method="S256" if verifier else None,
            # Else TikTok waves a known browser through, and whoever adds a second account connects the first again.
            disable_auto_auth="1",
        )
        return Consent(url, state, verifier)

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        return self._tokens("token.code", code=code, redirect_uri=redirect_uri, code_verifier=verifier)

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        return self._tokens("token.refresh", previous=tokens, refresh_token=tokens.refresh_token)

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        try:
            live = self.refresh(login=login, tokens=tokens) if self._stale(tokens) else tokens
            form = {**self._registration(), "token": live.access_token}
            revoked = self._api.call("POST", "/v2/oauth/revoke/", form=form, counts="token.revoke")
            errors.accepted(revoked, self._clock())
        except PlatformFault as fault:
            if fault.verdict.code not in errors.GRANT_IS_OVER:
                raise

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]:
        """The one account of the grant. TikTok knows no grant over several."""
        if tokens.scopes and (missing := NEEDED_SCOPES - tokens.scopes):
            raise errors.not_permitted(missing)
        answer = self._api.call(
            "GET",
            "/v2/user/info/",
            params={"fields": _PROFILE},
            headers={"Authorization": f"Bearer {tokens.access_token}"},
            counts="user.info",
            account=tokens.extra.get("open_id", ""),
        )
        user = errors.fields_of(answer, self._clock()).get("user")
        if not isinstance(user, Mapping) or not user.get("open_id") or not user.get("username"):
            raise errors.unread(answer)
        return [Connectable(self._account(user), tokens)]

    def _account(self, user: Mapping[str, Any]) -> Account:
        handle = str(user["username"])
        return Account(
            external_id=str(user["open_id"]),
            handle=handle,
            display_name=str(user.get("display_name") or handle),
            avatar_url=user.get("avatar_url") or None,
            url=self._www.url(f"/@{handle}"),
        )

    def _tokens(self, call: str, previous: TokenSet | None = None, **fields: str | None) -> TokenSet:
        form = token_form(_GRANT_TYPES[call], **self._registration(), **fields)
        asked_at = self._clock()  # lives are counted from before the call, so that we never think a token lives longer
        reply = errors.tokens_of(self._api.call("POST", "/v2/oauth/token/", form=form, counts=call), asked_at)
        return token_set(
            reply,
            platform_name="TikTok",
            now=asked_at,
            separator=_SEPARATOR,
            previous=previous,
            extra={"open_id": reply["open_id"]},
        )

    def _stale(self, tokens: TokenSet) -> bool:
        """A dead access token cannot be revoked, while the refresh token beside it may live on for months."""
        expires_at = tokens.access_expires_at
        return expires_at is not None and expires_at <= self._clock() and tokens.refresh_token is not None

    def _registration(self) -> dict[str, str]:
        return {"client_key": self._app.client_id, "client_secret": self._app.client_secret}


def _is_desktop(redirect_uri: str) -> bool:
    """An address on this machine is one that TikTok lets only its kind for desktops register."""
    return urlsplit(redirect_uri).hostname in _LOOPBACK


def _challenge(verifier: str) -> str:
    """TikTok's reading of S256: the hash in hexadecimal, where everybody else (RFC 7636) writes base64url."""
    return hashlib.sha256(verifier.encode()).hexdigest()
