"""Both logins: Instagram's own (short, long, refreshed tokens) and Facebook's (user and page tokens)."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from autorepost_app.sandbox.instagram import shapes
from autorepost_app.sandbox.oauth import CodeRefused, Consent, ConsentRefused, Desk, Grant, Token
from autorepost_app.sandbox.platform import Account, Ask, Call, Refusal

if TYPE_CHECKING:
    from autorepost_app.sandbox.instagram import Instagram

_OWN = "instagram_business_"
OWN_SCOPES = {_OWN + name for name in ("basic", "content_publish", "manage_comments", "manage_messages")} | {
    "instagram_business_manage_insights"
}
FACEBOOK_SCOPES = {
    *("instagram_basic", "instagram_content_publish", "pages_show_list", "pages_read_engagement"),
    *("business_management", "ads_management", "ads_read", "public_profile", "email"),
}
CODE_SECONDS = 3600
SHORT_SECONDS = 3600
LONG_SECONDS = 5184000
REFRESH_MIN_AGE_SECONDS = 86400
_KINDS = ("short", "long", "fb_short", "fb_long", "page")


class Login:
    def __init__(self, platform: "Instagram") -> None:
        self._platform = platform
        reader = self._reader(OWN_SCOPES, lambda: platform.own_app)
        own = Desk("www", "/oauth/authorize", reader, self._allowed, self._refused, "#_")
        facebook = self._reader(FACEBOOK_SCOPES, lambda: platform.facebook_app)
        self.desks = [
            own,
            *(
                Desk("facebook-www", path, facebook, self._allowed, self._refused, "#_=_")
                for path in ("/{version}/dialog/oauth", "/dialog/oauth")
            ),
        ]

    def calls(self) -> list[Call]:
        both = ("/{version}/oauth/access_token", "/oauth/access_token")
        return [
            Call("api", "POST", "/oauth/access_token", "token.code", self.code),
            Call("graph", "GET", "/access_token", "token.exchange", self.exchange),
            Call("graph", "GET", "/refresh_access_token", "token.refresh", self.refresh),
            *(Call("facebook-graph", "GET", path, "token.facebook", self.facebook_token) for path in both),
        ]

    def _reader(self, scopes_known: set[str], app: Callable[[], tuple[str, str]]) -> Any:
        def read(query: Mapping[str, str]) -> Consent:
            if query.get("client_id") != app()[0]:
                raise ConsentRefused("Invalid platform app: client_id")
            if query.get("response_type", "code") != "code" or not query.get("redirect_uri"):
                raise ConsentRefused("Invalid redirect_uri or response_type")
            scopes = tuple(query.get("scope", "").replace(" ", ",").split(","))
            if not set(scopes) <= scopes_known:
                raise ConsentRefused("Invalid Scopes")
            return Consent(query["client_id"], query["redirect_uri"], query.get("state"), scopes)

        return read

    def _allowed(self, consent: Consent, account_id: str, scopes: tuple[str, ...]) -> dict[str, str]:
        grants = self._platform.world.grants
        return {"code": grants.write_code(self._platform.key, consent, account_id, scopes, CODE_SECONDS)}

    @staticmethod
    def _refused(consent: Consent) -> dict[str, str]:
        text = "The user denied your request"
        return {"error": "access_denied", "error_reason": "user_denied", "error_description": text}

    async def code(self, ask: Ask) -> Response:
        form = dict(parse_qsl((await ask.body()).decode(), keep_blank_values=True))
        if form.get("grant_type") != "authorization_code":
            raise shapes.refuse_login("Invalid grant_type")
        if form.get("client_id") != self._platform.client_id:
            raise shapes.refuse_login("Invalid platform app")
        if form.get("client_secret") != self._platform.client_secret:
            raise shapes.refuse_login("Error validating client secret.")
        grant = self._redeem(form, self._platform.own_app[0])
        token = self._issue(grant, "short", SHORT_SECONDS)
        reply = {
            "access_token": token.id,
            "user_id": int(self._platform.scoped_id(grant.account_id)),
            "permissions": grant.scopes,
        }
        if self._platform.settings.reply_shape == "list":
            as_text = {**reply, "user_id": str(reply["user_id"]), "permissions": ",".join(grant.scopes)}
            return self._platform.json({"data": [as_text]})
        return self._platform.json(reply)

    def _redeem(self, form: Mapping[str, str], client_id: str) -> Grant:
        grants = self._platform.world.grants
        try:
            code = grants.take_code(form.get("code", ""), client_id, form.get("redirect_uri", ""), None)
        except CodeRefused as refusal:
            if refusal.reason == "redirect":
                text = "Error validating verification code. Please make sure your redirect_uri is identical"
                raise shapes.refuse_login(text) from None
            raise shapes.refuse_login("Matching code was not found or was already used") from None
        return grants.open(code)

    def _issue(self, grant: Grant, kind: str, life_seconds: float | None) -> Token:
        prefix = "EAA" if kind.startswith("fb") or kind == "page" else "IGAA"
        return self._platform.world.grants.issue(grant, kind, prefix + secrets.token_hex(40), life_seconds)

    async def exchange(self, ask: Ask) -> Response:
        query = ask.query_params
        if query.get("grant_type") != "ig_exchange_token":
            raise Refusal(shapes.graph_error(100, None, "Invalid grant_type"))
        if query.get("client_secret") != self._platform.client_secret:
            raise Refusal(shapes.graph_error(101, None, "Error validating client secret."))
        token = self._live(query.get("access_token"), "short")
        return self._long(self._platform.world.grants.grant_of(token))

    def _long(self, grant: Grant, **more: Any) -> Response:
        token = self._issue(grant, "long", LONG_SECONDS)
        reply = {"access_token": token.id, "token_type": "bearer", "expires_in": LONG_SECONDS, **more}
        return self._platform.json(reply)

    async def refresh(self, ask: Ask) -> Response:
        if ask.query_params.get("grant_type") != "ig_refresh_token":
            raise Refusal(shapes.graph_error(100, None, "Invalid grant_type"))
        token = self._live(ask.query_params.get("access_token"), "long")
        age = self._platform.world.clock.now() - token.issued_at
        if age.total_seconds() < REFRESH_MIN_AGE_SECONDS:
            text = "The access token must be at least 24 hours old to be refreshed"
            raise Refusal(shapes.graph_error(100, None, text))
        grant = self._platform.world.grants.grant_of(token)
        return self._long(grant, permissions=",".join(grant.scopes))

    async def facebook_token(self, ask: Ask) -> Response:
        query = ask.query_params
        if (query.get("client_id"), query.get("client_secret")) != self._platform.facebook_app:
            raise Refusal(shapes.graph_error(101, None, "Error validating application."))
        if query.get("grant_type") == "fb_exchange_token":
            grant = self._platform.world.grants.grant_of(self._live(query.get("fb_exchange_token"), "fb_short"))
            return self._facebook_reply(self._issue(grant, "fb_long", LONG_SECONDS), LONG_SECONDS)
        try:
            grant = self._redeem(dict(query), self._platform.facebook_app[0])
        except Refusal:
            text = "This authorization code has been used or has expired."
            raise Refusal(shapes.graph_error(100, 36009, text)) from None
        return self._facebook_reply(self._issue(grant, "fb_short", SHORT_SECONDS), SHORT_SECONDS)

    def _facebook_reply(self, token: Token, life: int) -> Response:
        return self._platform.json({"access_token": token.id, "token_type": "bearer", "expires_in": life})

    def page_token(self, user: Token) -> Token:
        """A page token of a long-lived user token has no expiry date; it is the same one each time."""
        grants = self._platform.world.grants
        for token in grants.tokens.of(user.account_id):
            if token.grant_id == user.grant_id and token.kind == "page":
                return token
        life = None if user.kind == "fb_long" else SHORT_SECONDS
        return self._issue(grants.grant_of(user), "page", life)

    def _live(self, text: str | None, *kinds: str) -> Token:
        grants = self._platform.world.grants
        token = grants.live(self._platform.key, text, *kinds)
        if token is not None:
            return token
        known = grants.tokens.get(text or "")
        if known is None or known.platform != self._platform.key:
            raise shapes.refuse_token(467, "Invalid OAuth access token - Cannot parse access token")
        if grants.grant_of(known).revoked:
            text = "Error validating access token: The user has not authorized application."
            raise shapes.refuse_token(458, text)
        if grants.expired(known):
            raise shapes.refuse_token(463, _session_expired(known.expires_at))
        raise Refusal(shapes.graph_error(100, None, "This token cannot be used for this request"))

    async def signed_in(self, ask: Ask, fields: Mapping[str, Any]) -> tuple[Token, Grant]:
        """The token from the query, the body or the Authorization header; all three are used in the wild."""
        _, _, bearer = ask.headers.get("authorization", "").partition(" ")
        text = str(fields.get("access_token") or bearer)
        if not text:
            raise Refusal(shapes.graph_error(104, None, "An access token is required to request this resource."))
        self._check_proof(text, fields.get("appsecret_proof"))
        token = self._live(text, *_KINDS)
        return token, self._platform.world.grants.grant_of(token)

    def _check_proof(self, token: str, proof: str | None) -> None:
        if proof is None:
            return
        _, secret = self._platform.facebook_app if token.startswith("EAA") else self._platform.own_app
        right = hmac.new(secret.encode(), token.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(right, proof):
            raise Refusal(shapes.graph_error(100, None, "Invalid appsecret_proof provided in the API argument"))

    def may_publish(self, grant: Grant, account: Account) -> None:
        if not {"instagram_business_content_publish", "instagram_content_publish"} & set(grant.scopes):
            raise Refusal(shapes.graph_error(10, None, "Application does not have permission for this action"))
        if not account.options["professional"]:
            raise Refusal(shapes.graph_error(10, None, "The Instagram account is not a professional account"))
        if account.options["restricted"]:
            raise Refusal(shapes.graph_error(25, 2207050, "The Instagram account is restricted."))


def _session_expired(moment: datetime | None) -> str:
    when = f"{moment:%A, %d-%b-%y %H:%M:%S} UTC" if moment else "before"
    return f"Error validating access token: Session has expired on {when}."
