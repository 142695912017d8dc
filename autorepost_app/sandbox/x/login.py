"""OAuth 2 with mandatory PKCE: 30-second codes, single-use refresh tokens, and what reuse of one does."""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response

from autorepost_app.sandbox.oauth import (
    CodeRefused,
    Consent,
    ConsentRefused,
    Desk,
    Grant,
    access_denied,
    app_in_header,
    bearer_of,
    form_of,
    standard_consent,
    token_call_names,
)
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.x import shapes

if TYPE_CHECKING:
    from autorepost_app.sandbox.x import X

SCOPES = {
    *("tweet.read", "tweet.write", "users.read", "media.write", "offline.access", "tweet.moderate.write"),
    *("follows.read", "follows.write", "space.read", "like.read", "like.write", "list.read", "bookmark.read"),
}
ACCESS_SECONDS = 7200
REFRESH_SECONDS = 182 * 86400


class Login:
    def __init__(self, platform: "X") -> None:
        self._platform = platform
        makers = (self._read, self._allowed, access_denied)
        self.desks = [Desk("www", "/i/oauth2/authorize", *makers), Desk("api", "/2/oauth2/authorize", *makers)]

    def calls(self) -> list[Call]:
        return [
            Call(
                "api", "POST", "/2/oauth2/token", "token", self.token, token_call_names, ("token.code", "token.refresh")
            ),
            Call("api", "POST", "/2/oauth2/revoke", "token.revoke", self.revoke),
        ]

    def _read(self, query: Mapping[str, str]) -> Consent:
        if len(query.get("state", "")) > 500:
            raise ConsentRefused("state")
        needed = ("redirect_uri", "state", "code_challenge")
        return standard_consent(query, self._platform.client_id, SCOPES, str, needed=needed)

    def _allowed(self, consent: Consent, account_id: str, scopes: tuple[str, ...]) -> dict[str, str]:
        life = self._platform.settings.code_seconds
        code = self._platform.world.grants.write_code(self._platform.key, consent, account_id, scopes, life)
        return {"code": code}

    async def _app_form(self, ask: Ask) -> dict[str, str]:
        """The form of a caller that proved to be the app: Basic when confidential, `client_id` when public."""
        form = await form_of(ask)
        if self._platform.settings.client_type == "public":
            if form.get("client_id") != self._platform.client_id:
                raise shapes.refuse_oauth(400, "invalid_request", "Missing required parameter [client_id].")
        elif app_in_header(ask) != (self._platform.client_id, self._platform.client_secret):
            raise shapes.refuse_oauth(401, "unauthorized_client", "Missing valid authorization header")
        return form

    async def token(self, ask: Ask) -> Response:
        form = await self._app_form(ask)
        match form.get("grant_type"):
            case "authorization_code":
                return self._issue(self._from_code(form))
            case "refresh_token":
                return self._issue(self._from_refresh(form))
            case _:
                raise shapes.refuse_oauth(400, "unsupported_grant_type", "Value passed for the grant type was invalid.")

    def _from_code(self, form: dict[str, str]) -> Grant:
        grants = self._platform.world.grants
        client_id, redirect = self._platform.client_id, form.get("redirect_uri", "")
        try:
            code = grants.take_code(form.get("code", ""), client_id, redirect, form.get("code_verifier"))
        except CodeRefused as refusal:
            what = {"redirect": "redirect uri", "pkce": "code verifier"}.get(refusal.reason, "authorization code")
            text = f"Value passed for the {what} was invalid."
            raise shapes.refuse_oauth(400, "invalid_request", text) from None
        return grants.open(code)

    def _from_refresh(self, form: dict[str, str]) -> Grant:
        grants = self._platform.world.grants
        text = form.get("refresh_token", "")
        token = grants.live(self._platform.key, text, "refresh")
        if token is not None:
            grants.spend(token)
            return grants.grant_of(token)
        used = grants.tokens.get(text)
        if used is not None and used.platform == self._platform.key and used.spent:
            # A refresh token shown twice may be stolen, so the whole family dies with it.
            grants.revoke(grants.grant_of(used))
        raise shapes.refuse_oauth(400, "invalid_request", "Value passed for the token was invalid.")

    def _issue(self, grant: Grant) -> Response:
        grants = self._platform.world.grants
        access = grants.issue(grant, "access", secrets.token_urlsafe(64), ACCESS_SECONDS)
        body = {
            "token_type": "bearer",
            "expires_in": ACCESS_SECONDS,
            "access_token": access.id,
            "scope": " ".join(grant.scopes),
        }
        if "offline.access" in grant.scopes:
            refresh = grants.issue(grant, "refresh", secrets.token_urlsafe(64), REFRESH_SECONDS)
            body["refresh_token"] = refresh.id
        return self._platform.json(body)

    async def revoke(self, ask: Ask) -> Response:
        form = await self._app_form(ask)
        grants = self._platform.world.grants
        token = grants.live(self._platform.key, form.get("token"), "access", "refresh")
        if token is None:
            raise shapes.refuse_oauth(400, "invalid_request", "Value passed for the token was invalid.")
        grants.revoke(grants.grant_of(token))
        return self._platform.json({"revoked": True})

    def signed_in(self, ask: Ask, *scopes: str) -> Account:
        token = self._platform.world.grants.live(self._platform.key, bearer_of(ask), "access")
        if token is None:
            raise shapes.unauthorized()
        if not set(scopes) <= set(self._platform.world.grants.grant_of(token).scopes):
            raise shapes.forbidden("You are not permitted to perform this action.")
        account = self._platform.world.account(self._platform.key, token.account_id)
        if account.options["suspended"]:
            raise shapes.forbidden(shapes.SUSPENDED)
        return account
