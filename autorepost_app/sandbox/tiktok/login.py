"""Login Kit v2: the authorize page, tokens that rotate, and revocation."""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import Response

from autorepost_app.sandbox.oauth import CodeRefused, Consent, ConsentRefused, Desk, Grant, Token, token_call_names
from autorepost_app.sandbox.platform import Ask, Call
from autorepost_app.sandbox.tiktok import shapes

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

SCOPES = {"user.info.basic", "user.info.profile", "user.info.stats", "video.list"}
LIVES = {"nov2026": (7200, 15552000), "classic": (86400, 31536000)}
_LOOPBACK = {"localhost", "127.0.0.1"}


class Login:
    def __init__(self, platform: "TikTok") -> None:
        self._platform = platform
        self.desk = Desk("www", "/v2/auth/authorize", self._read, self._allowed, self._refused)

    def calls(self) -> list[Call]:
        return [
            Call(
                "api", "POST", "/v2/oauth/token", "token", self.token, token_call_names, ("token.code", "token.refresh")
            ),
            Call("api", "POST", "/v2/oauth/revoke", "token.revoke", self.revoke),
        ]

    def _read(self, query: Mapping[str, str]) -> Consent:
        if query.get("client_key") != self._platform.client_id:
            raise ConsentRefused("client_key")
        if query.get("response_type") != "code":
            raise ConsentRefused("response_type")
        if not query.get("state"):
            raise ConsentRefused("state")
        scopes = tuple(filter(None, query.get("scope", "").split(",")))
        if not scopes or not set(scopes) <= SCOPES:
            raise ConsentRefused("scope")
        self._check_redirect(query.get("redirect_uri", ""))
        return Consent(query["client_key"], query["redirect_uri"], query["state"], scopes, *self._challenge(query))

    @staticmethod
    def _check_redirect(address: str) -> None:
        parts = urlsplit(address)
        local = parts.hostname in _LOOPBACK and parts.scheme in ("http", "https")
        if not (local or parts.scheme == "https") or parts.query or parts.fragment or len(address) >= 512:
            raise ConsentRefused("redirect_uri")

    def _challenge(self, query: Mapping[str, str]) -> tuple[str, str] | tuple[None, None]:
        if self._platform.settings.client_type == "web":
            return None, None
        if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
            raise ConsentRefused("code_challenge")
        # TikTok's own reading of S256: the hex text of the hash, not base64url.
        return query["code_challenge"], "hex"

    def _allowed(self, consent: Consent, account_id: str, scopes: tuple[str, ...]) -> dict[str, str]:
        life = self._platform.settings.code_seconds
        # Real codes end like this; only a reader that decodes the address gets them right.
        code = self._platform.world.grants.write_code(
            self._platform.key, consent, account_id, scopes, life, "*0!4821.va"
        )
        return {"code": code, "scopes": ",".join(scopes)}

    @staticmethod
    def _refused(consent: Consent) -> dict[str, str]:
        return {"error": "access_denied", "error_description": "The user denied the request."}

    def _refuse(self, code: str, description: str) -> Exception:
        return shapes.refuse_oauth(code, description, self._platform.settings.oauth_error_status)

    async def _app_form(self, ask: Ask) -> dict[str, str]:
        form = dict(parse_qsl((await ask.body()).decode(), keep_blank_values=True))
        if form.get("client_key") != self._platform.client_id or (
            form.get("client_secret") != self._platform.client_secret
        ):
            raise self._refuse("invalid_client", "Client key or secret is incorrect.")
        return form

    async def token(self, ask: Ask) -> Response:
        form = await self._app_form(ask)
        match form.get("grant_type"):
            case "authorization_code":
                return self._issue(self._from_code(form))
            case "refresh_token":
                return self._from_refresh(form)
            case "client_credentials":
                body = {"access_token": "clt." + secrets.token_hex(16), "expires_in": 7200, "token_type": "Bearer"}
                return self._platform.json(body)
            case _:
                raise self._refuse("unsupported_grant_type", "The grant type is not supported.")

    def _from_code(self, form: dict[str, str]) -> Grant:
        grants = self._platform.world.grants
        try:
            code = grants.take_code(
                form.get("code", ""), form["client_key"], form.get("redirect_uri", ""), form.get("code_verifier")
            )
        except CodeRefused as refusal:
            if refusal.reason == "redirect":
                text = "Redirect_uri is not matched with the uri when requesting code."
                raise self._refuse("invalid_request", text) from None
            if refusal.reason == "pkce":
                raise self._refuse("invalid_request", "Code verifier or code challenge is invalid.") from None
            raise self._refuse("invalid_grant", "Authorization code is expired or invalid.") from None
        return grants.open(code)

    def _from_refresh(self, form: dict[str, str]) -> Response:
        grants = self._platform.world.grants
        token = grants.live(self._platform.key, form.get("refresh_token"), "refresh")
        if token is None:
            raise self._refuse("invalid_grant", "Refresh token is invalid or expired.")
        if self._platform.settings.token_profile == "classic":
            return self._issue(grants.grant_of(token), kept=token.id)
        grants.spend(token)
        return self._issue(grants.grant_of(token))

    def _issue(self, grant: Grant, kept: str | None = None) -> Response:
        """`kept`: a refresh token that lives on, its life counted anew; else a new one takes its place."""
        access, refresh = LIVES[self._platform.settings.token_profile]
        grants = self._platform.world.grants
        first = grants.issue(grant, "access", "act." + secrets.token_urlsafe(40), access)
        second = grants.issue(grant, "refresh", kept or "rft." + secrets.token_urlsafe(40), refresh)
        return self._platform.json(
            {
                "access_token": first.id,
                "expires_in": access,
                "open_id": grant.account_id,
                "refresh_expires_in": refresh,
                "refresh_token": second.id,
                "scope": ",".join(grant.scopes),
                "token_type": "Bearer",
            }
        )

    async def revoke(self, ask: Ask) -> Response:
        form = await self._app_form(ask)
        grants = self._platform.world.grants
        token = grants.live(self._platform.key, form.get("token"), "access", "refresh")
        if token is None:
            raise self._refuse("invalid_request", "The request parameters are malformed.")
        grants.revoke(grants.grant_of(token))
        self._platform.webhooks.authorization_removed(self._platform.world.account("tiktok", token.account_id), 5)
        return self._platform.json({})

    def signed_in(self, ask: Ask, scope: str) -> tuple[Token, Grant]:
        """The live token of a Display API request, or TikTok's refusal."""
        kind, _, text = ask.headers.get("authorization", "").partition(" ")
        token = self._platform.world.grants.live(self._platform.key, text, "access")
        if kind.lower() != "bearer" or token is None:
            text = "The access token is invalid or not found in the request."
            raise shapes.refuse("access_token_invalid", text, 401)
        grant = self._platform.world.grants.grant_of(token)
        if scope not in grant.scopes:
            text = "The user did not authorize the scope required for completing this request."
            raise shapes.refuse("scope_not_authorized", text, 401)
        return token, grant
