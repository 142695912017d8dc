"""Google's OAuth 2: offline access only when asked for, refresh tokens that stay the same, and how they die."""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response

from autorepost_app.sandbox.oauth import (
    CodeRefused,
    Consent,
    Desk,
    Grant,
    Token,
    access_denied,
    app_in_header,
    bearer_of,
    form_of,
    standard_consent,
    token_call_names,
)
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.youtube import shapes

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube

_BASE = "https://www.googleapis.com/auth/"
UPLOAD, READONLY, WIDE, FORCE = (
    _BASE + name for name in ("youtube.upload", "youtube.readonly", "youtube", "youtube.force-ssl")
)
SCOPES = {UPLOAD, READONLY, WIDE, FORCE, "openid", "email", "profile", _BASE + "userinfo.profile"}
READERS = {READONLY, WIDE, FORCE}
UPLOADERS = {UPLOAD, WIDE, FORCE}
EDITORS = {WIDE, FORCE}
ACCESS_SECONDS = 3599
IDLE_SECONDS = 182 * 86400
TESTING_SECONDS = 7 * 86400
REFRESH_PER_USER = 100
_DEAD = "Token has been expired or revoked."


def _mistake(parameter: str) -> str:
    kinds = {"client_id": "401: invalid_client", "scope": "400: invalid_scope"}
    return f"Error {kinds.get(parameter, '400: invalid_request')}"


class Login:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform
        self.desk = Desk("accounts", "/o/oauth2/v2/auth", self._read, self._allowed, access_denied)

    def calls(self) -> list[Call]:
        return [
            Call("oauth", "POST", "/token", "token", self.token, token_call_names, ("token.code", "token.refresh")),
            Call("oauth", "POST", "/revoke", "token.revoke", self.revoke),
        ]

    def _read(self, query: Mapping[str, str]) -> Consent:
        extra = ("access_type", "prompt")
        return standard_consent(query, self._platform.client_id, SCOPES, _mistake, extra=extra)

    def _allowed(self, consent: Consent, account_id: str, scopes: tuple[str, ...]) -> dict[str, str]:
        life = self._platform.settings.code_seconds
        code = self._platform.world.grants.write_code(self._platform.key, consent, account_id, scopes, life)
        return {"code": code, "scope": " ".join(scopes)}

    async def _app_form(self, ask: Ask) -> dict[str, str]:
        form = await form_of(ask)
        named = app_in_header(ask) or (form.get("client_id", ""), form.get("client_secret", ""))
        if named != (self._platform.client_id, self._platform.client_secret):
            raise shapes.refuse_oauth(401, "invalid_client", "The OAuth client was not found.")
        return form

    async def token(self, ask: Ask) -> Response:
        form = await self._app_form(ask)
        match form.get("grant_type"):
            case "authorization_code":
                return self._first(form)
            case "refresh_token":
                return self._again(form)
            case _:
                raise shapes.refuse_oauth(400, "unsupported_grant_type", "Invalid grant_type")

    def _first(self, form: dict[str, str]) -> Response:
        grants = self._platform.world.grants
        client_id, redirect = self._platform.client_id, form.get("redirect_uri", "")
        try:
            code = grants.take_code(form.get("code", ""), client_id, redirect, form.get("code_verifier"))
        except CodeRefused as refusal:
            error, text = {
                "redirect": ("redirect_uri_mismatch", "Bad Request"),
                "pkce": ("invalid_grant", "Invalid code verifier."),
            }.get(refusal.reason, ("invalid_grant", "Malformed auth code."))
            raise shapes.refuse_oauth(400, error, text) from None
        before = [grant for grant in grants.grants.of(code.account_id) if not grant.revoked]
        grant = grants.open(code)
        body = self._access(grant)
        # Offline access is told once: on the first consent, or when the consent page was forced.
        offline = code.extra.get("access_type") == "offline"
        if offline and (not before or "consent" in code.extra.get("prompt", "")):
            body["refresh_token"] = self._refresh_token(grant).id
            if self._platform.settings.testing_mode:
                body["refresh_token_expires_in"] = TESTING_SECONDS
        return self._platform.json(body)

    def _refresh_token(self, grant: Grant) -> Token:
        grants = self._platform.world.grants
        mine = [t for t in grants.tokens.of(grant.account_id) if t.kind == "refresh" and not t.spent]
        for oldest in mine[: max(0, len(mine) + 1 - REFRESH_PER_USER)]:
            grants.spend(oldest)
        life = TESTING_SECONDS if self._platform.settings.testing_mode else IDLE_SECONDS
        return grants.issue(grant, "refresh", "1//0" + secrets.token_urlsafe(60), life)

    def _access(self, grant: Grant) -> dict[str, object]:
        text = "ya29.a0" + secrets.token_urlsafe(90)
        token = self._platform.world.grants.issue(grant, "access", text, ACCESS_SECONDS)
        scope = " ".join(grant.scopes)
        return {"access_token": token.id, "expires_in": ACCESS_SECONDS, "scope": scope, "token_type": "Bearer"}

    def _again(self, form: dict[str, str]) -> Response:
        grants = self._platform.world.grants
        token = grants.live(self._platform.key, form.get("refresh_token"), "refresh")
        if token is None:
            raise shapes.refuse_oauth(400, "invalid_grant", _DEAD)
        if not self._platform.settings.testing_mode:
            # Only half a year without use lets it die.
            token.expires_at = self._platform.world.clock.after(IDLE_SECONDS)
            grants.tokens.put(token)
        return self._platform.json(self._access(grants.grant_of(token)))

    async def revoke(self, ask: Ask) -> Response:
        form = await form_of(ask)
        text = ask.query_params.get("token") or form.get("token")
        token = self._platform.world.grants.live(self._platform.key, text, "access", "refresh")
        if token is None:
            raise shapes.refuse_oauth(400, "invalid_token", "Token expired or revoked")
        # Google forgets the person's whole permission for the app, not one token of it.
        self._platform.world.grants.revoke_account(token.account_id)
        return Response(status_code=200)

    def signed_in(self, ask: Ask, any_of: set[str]) -> Account:
        text = bearer_of(ask) or ask.query_params.get("access_token", "")
        token = self._platform.world.grants.live(self._platform.key, text, "access")
        if token is None:
            raise shapes.refuse(401, "authError", "Invalid Credentials", "global")
        if not any_of & set(self._platform.world.grants.grant_of(token).scopes):
            text = "Request had insufficient authentication scopes."
            raise shapes.refuse(403, "insufficientPermissions", text, "global")
        account = self._platform.world.account(self._platform.key, token.account_id)
        if account.options["suspended"]:
            text = "The authenticated user's account is suspended."
            raise shapes.refuse(403, "authenticatedUserAccountSuspended", text, "youtube.common")
        return account

    def with_channel(self, ask: Ask, any_of: set[str]) -> Account:
        account = self.signed_in(ask, any_of)
        if not account.options["channel"]:
            raise shapes.refuse(401, "youtubeSignupRequired", "Unauthorized", "youtube.header")
        return account
