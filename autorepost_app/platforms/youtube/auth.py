"""How does a person let us into their YouTube channel, and how do we keep that permission alive?

Google's OAuth 2 with PKCE. A refresh token comes only when consent is asked for anew (`prompt=consent`), lasts until
revoked, and is not repeated in refresh replies. People may untick single permissions on Google's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, Reconnect
from autorepost_app.platform_kit.http import Api, json_object
from autorepost_app.platform_kit.oauth import challenge_s256, consent_url, new_verifier, token_form, token_set
from autorepost_app.platform_kit.protocol import Account, AppCredentials, Connectable, Consent, OAuthSpec, TokenSet
from autorepost_app.platforms.youtube.errors import (
    NAME,
    is_invalid_token,
    no_channel,
    refusal,
    token_refusal,
    unreadable,
)
from autorepost_app.platforms.youtube.reading import answered, items, uploads_playlist

LOGIN: Final = "default"
PLAYLISTS: Final = "playlists"
_UPLOAD: Final = "https://www.googleapis.com/auth/youtube.upload"
_READ: Final = "https://www.googleapis.com/auth/youtube.readonly"
_EDIT: Final = "https://www.googleapis.com/auth/youtube"
_IN_WORDS: Final = {
    _UPLOAD: "manage your YouTube videos (to upload)",
    _READ: "view your YouTube account",
    _EDIT: "manage your YouTube account (to add to playlists)",
}
_EDITS_PLAYLISTS: Final = frozenset({_EDIT, "https://www.googleapis.com/auth/youtube.force-ssl"})

OAUTH: Final = OAuthSpec(
    # Adding to a playlist needs the permission to change everything on the channel: only who wants it is asked for it.
    logins=(LOGIN, PLAYLISTS),
    scopes={LOGIN: (_UPLOAD, _READ), PLAYLISTS: (_UPLOAD, _READ, _EDIT)},
    needed_scopes={LOGIN: frozenset({_UPLOAD, _READ}), PLAYLISTS: frozenset({_UPLOAD, _READ, _EDIT})},
)

_CODE_SPENT: Final = Reconnect(
    "Google does not take this sign-in: it was used already, or took too long. Please start connecting again.",
    code="youtube.code_spent",
)
_GRANT_DEAD: Final = Reconnect(
    "YouTube no longer lets us in: the permission was taken back, or unused for half a year. Please connect it again.",
    code="youtube.invalid_grant",
)
_GRANT_RAN_OUT: Final = Reconnect(
    "The permission for YouTube was given for a limited time, which is over. Please connect it again.",
    "An app in Google's state “Testing” is given seven days: publish it in the Google Cloud console.",
    "youtube.grant_ran_out",
)


@dataclass(frozen=True, slots=True)
class YouTubeAuthoriser:
    accounts_api: Api
    oauth_api: Api
    data_api: Api
    www_url: str
    app: AppCredentials
    clock: Clock

    def consent(self, *, login: str, redirect_uri: str, state: str) -> Consent:
        verifier = new_verifier()
        url = consent_url(
            self.accounts_api.url("/o/oauth2/v2/auth"),
            client_id=self.app.client_id,
            redirect_uri=redirect_uri,
            scopes=OAUTH.scopes[login],
            state=state,
            access_type="offline",
            # `consent` brings the refresh token; `select_account` lets a creator choose among their Google accounts.
            prompt="consent select_account",
            code_challenge=challenge_s256(verifier),
            code_challenge_method="S256",
        )
        return Consent(url, state, verifier)

    def exchange(self, *, login: str, redirect_uri: str, code: str, verifier: str | None) -> TokenSet:
        form = token_form("authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier)
        tokens = self._tokens({"scope": " ".join(OAUTH.scopes[login]), **self._token_reply(form, _CODE_SPENT)})
        left_out = OAUTH.needed_scopes[login] - tokens.scopes
        if left_out:
            raise PlatformFault(_permissions_left_out(left_out))
        if tokens.refresh_token is None:
            text = "Google gave no lasting permission; please connect YouTube again."
            raise PlatformFault(Reconnect(text, "token reply without refresh_token", "youtube.no_refresh_token"))
        return tokens

    def refresh(self, *, login: str, tokens: TokenSet) -> TokenSet:
        form = token_form("refresh_token", refresh_token=tokens.refresh_token)
        over = tokens.refresh_expires_at is not None and tokens.refresh_expires_at <= self.clock()
        return self._tokens(self._token_reply(form, _GRANT_RAN_OUT if over else _GRANT_DEAD), previous=tokens)

    def revoke(self, *, login: str, tokens: TokenSet) -> None:
        # In the body, not in the query: addresses end up in logs.
        token = tokens.refresh_token or tokens.access_token
        response = self.oauth_api.call("POST", "/revoke", form={"token": token})
        if not response.is_success and not is_invalid_token(response):
            raise refusal(response, self.clock())

    def accounts(self, *, login: str, tokens: TokenSet) -> list[Connectable]:
        response = self.data_api.call(
            "GET",
            "/youtube/v3/channels",
            params={"part": "snippet,contentDetails", "mine": "true"},
            headers={"Authorization": f"Bearer {tokens.access_token}"},
            counts="channels.list",
        )
        if not response.is_success:
            raise refusal(response, self.clock())
        channels = items(answered(response))
        if not channels:
            raise no_channel(self.clock())
        return [Connectable(self._account(channel), tokens) for channel in channels]

    def _token_reply(self, form: Mapping[str, str], dead: Reconnect) -> dict[str, Any]:
        secrets = {"client_id": self.app.client_id, "client_secret": self.app.client_secret}
        response = self.oauth_api.call("POST", "/token", form={**form, **secrets})
        if not response.is_success:
            raise token_refusal(response, self.clock(), dead)
        body = json_object(response)
        if not body.get("access_token"):
            raise unreadable(response)
        return body

    def _tokens(self, body: Mapping[str, Any], previous: TokenSet | None = None) -> TokenSet:
        now: datetime = self.clock()
        # Sent where the permission is limited in time, as for an app in Google's "Testing" state (7 days).
        lasting = body.get("refresh_token_expires_in")
        return token_set({**body, "refresh_expires_in": lasting}, platform_name=NAME, now=now, previous=previous)

    def _account(self, channel: Mapping[str, Any]) -> Account:
        snippet, channel_id = channel.get("snippet") or {}, str(channel["id"])
        handle = str(snippet.get("customUrl") or "").removeprefix("@")
        thumbnails = snippet.get("thumbnails") or {}
        picture = thumbnails.get("high") or thumbnails.get("default") or {}
        return Account(
            external_id=channel_id,
            handle=handle or channel_id,
            display_name=str(snippet.get("title") or ""),
            avatar_url=picture.get("url"),
            url=f"{self.www_url}/@{handle}" if handle else f"{self.www_url}/channel/{channel_id}",
            traits={"uploads_playlist": uploads_playlist(channel)},
        )


def may_edit_playlists(scopes: frozenset[str]) -> bool:
    return bool(scopes & _EDITS_PLAYLISTS)


def _permissions_left_out(scopes: frozenset[str]) -> Reconnect:
    words = " and ".join(f"“{_IN_WORDS[scope]}”" for scope in sorted(scopes))
    text = f"YouTube was connected without the permission to {words}. Please connect again and tick every box."
    return Reconnect(text, f"scopes not granted: {' '.join(sorted(scopes))}", "youtube.permissions_left_out")
