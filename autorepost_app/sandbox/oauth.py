"""Who allowed what to whom? Codes, grants and tokens, and the person's answer on a consent page."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import Field
from starlette.requests import Request

from autorepost_app.sandbox.clock import Clock
from autorepost_app.sandbox.records import Record, Store, Table


class ConsentRefused(Exception):
    """The authorize address itself is wrong; the platform shows an error page and redirects nobody."""


class CodeRefused(Exception):
    """The code cannot be exchanged. `reason`: unknown, used, expired, client, redirect, pkce."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Consent:
    """What an authorize address asks for, after the platform checked it."""

    client_id: str
    redirect_uri: str
    state: str | None
    scopes: tuple[str, ...]
    challenge: str | None = None
    challenge_method: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Desk:
    """One authorize endpoint: where it is, how it reads its query, and how it sends the browser back."""

    host: str
    path: str
    read: Callable[[Mapping[str, str]], Consent]
    allowed: Callable[[Consent, str, tuple[str, ...]], dict[str, str]]
    refused: Callable[[Consent], dict[str, str]]
    suffix: str = ""

    def back(self, consent: Consent, params: dict[str, str]) -> str:
        if consent.state is not None:
            params = {**params, "state": consent.state}
        glue = "&" if urlsplit(consent.redirect_uri).query else "?"
        return f"{consent.redirect_uri}{glue}{urlencode(params)}{self.suffix}"


class Code(Record):
    platform: str
    client_id: str
    redirect_uri: str
    scopes: list[str]
    challenge: str | None = None
    challenge_method: str | None = None
    expires_at: datetime
    used: bool = False
    extra: dict[str, str] = Field(default_factory=dict)


class Grant(Record):
    """One person's permission for the app. Revoking it kills every token that came from it."""

    platform: str
    scopes: list[str]
    revoked: bool = False
    extra: dict[str, Any] = Field(default_factory=dict)


class Token(Record):
    platform: str
    grant_id: str
    kind: str
    issued_at: datetime
    expires_at: datetime | None = None
    spent: bool = False


def standard_consent(
    query: Mapping[str, str],
    client_id: str,
    known_scopes: set[str],
    words: Callable[[str], str],
    *,
    needed: tuple[str, ...] = ("redirect_uri",),
    extra: tuple[str, ...] = (),
) -> Consent:
    """What RFC 6749 and RFC 7636 let an authorize address ask for.

    Raises ConsentRefused with the platform's `words` about the first parameter that is wrong.
    """
    scopes = tuple(query.get("scope", "").split())
    method = query.get("code_challenge_method", "plain")
    right = {
        "client_id": query.get("client_id") == client_id,
        "response_type": query.get("response_type") == "code",
        **{name: bool(query.get(name)) for name in needed},
        "scope": bool(scopes) and set(scopes) <= known_scopes,
        "code_challenge_method": method in ("S256", "plain"),
    }
    for name, is_right in right.items():
        if not is_right:
            raise ConsentRefused(words(name))
    more = {name: query.get(name, "") for name in extra}
    challenge = query.get("code_challenge")
    return Consent(client_id, query["redirect_uri"], query.get("state"), scopes, challenge, method, more)


def access_denied(consent: Consent) -> dict[str, str]:
    """What comes back from a person who said no."""
    return {"error": "access_denied"}


async def form_of(ask: Request) -> dict[str, str]:
    return dict(parse_qsl((await ask.body()).decode(), keep_blank_values=True))


def app_in_header(ask: Request) -> tuple[str, str] | None:
    """Client id and secret, where the caller proves itself by HTTP Basic (RFC 6749, 2.3.1)."""
    kind, _, text = ask.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(name), unquote(secret)


def bearer_of(ask: Request) -> str:
    """The access token in the header, "" where there is none."""
    kind, _, text = ask.headers.get("authorization", "").partition(" ")
    return text if kind.lower() == "bearer" else ""


async def token_call_names(ask: Request) -> tuple[str, ...]:
    """One address, two calls: exchanging a code and refreshing go wrong in different ways."""
    form = dict(parse_qsl((await ask.body()).decode(errors="replace")))
    return {"authorization_code": ("token.code",), "refresh_token": ("token.refresh",)}.get(
        form.get("grant_type", ""), ()
    )


def challenge_of(verifier: str, method: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    if method == "hex":
        return digest.hex()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() if method == "S256" else verifier


class Grants:
    """All codes, grants and tokens of all platforms."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self.codes = Table(store, "oauth.code", Code)
        self.grants = Table(store, "oauth.grant", Grant)
        self.tokens = Table(store, "oauth.token", Token)

    def write_code(
        self, platform: str, consent: Consent, account_id: str, scopes: tuple[str, ...], life: float, tail: str = ""
    ) -> str:
        code = Code(
            id=secrets.token_urlsafe(32) + tail,
            account_id=account_id,
            platform=platform,
            client_id=consent.client_id,
            redirect_uri=consent.redirect_uri,
            scopes=list(scopes),
            challenge=consent.challenge,
            challenge_method=consent.challenge_method,
            expires_at=self._clock.after(life),
            extra=consent.extra,
        )
        return self.codes.put(code).id

    def take_code(self, text: str, client_id: str, redirect_uri: str, verifier: str | None) -> Code:
        """Single use: a code is spent by the first complete and correct exchange."""
        code = self.codes.get(text)
        if code is None:
            raise CodeRefused("unknown")
        if code.used:
            raise CodeRefused("used")
        if code.expires_at <= self._clock.now():
            raise CodeRefused("expired")
        if code.client_id != client_id:
            raise CodeRefused("client")
        if code.redirect_uri != redirect_uri:
            raise CodeRefused("redirect")
        if code.challenge is not None and not self._verified(code, verifier):
            raise CodeRefused("pkce")
        code.used = True
        return self.codes.put(code)

    @staticmethod
    def _verified(code: Code, verifier: str | None) -> bool:
        expected = challenge_of(verifier or "", code.challenge_method or "plain")
        return bool(verifier) and hmac.compare_digest(expected, code.challenge or "")

    def open(self, code: Code) -> Grant:
        return self.grants.put(
            Grant(
                id=secrets.token_hex(12),
                account_id=code.account_id,
                platform=code.platform,
                scopes=code.scopes,
                extra=dict(code.extra),
            )
        )

    def issue(self, grant: Grant, kind: str, text: str, life_seconds: float | None) -> Token:
        return self.tokens.put(
            Token(
                id=text,
                account_id=grant.account_id,
                platform=grant.platform,
                grant_id=grant.id,
                kind=kind,
                issued_at=self._clock.now(),
                expires_at=None if life_seconds is None else self._clock.after(life_seconds),
            )
        )

    def grant_of(self, token: Token) -> Grant:
        grant = self.grants.get(token.grant_id)
        if grant is None:
            raise LookupError("token without a grant")
        return grant

    def expired(self, token: Token) -> bool:
        return token.expires_at is not None and token.expires_at <= self._clock.now()

    def live(self, platform: str, text: str | None, *kinds: str) -> Token | None:
        token = self.tokens.get(text or "")
        if token is None or token.platform != platform or token.kind not in kinds:
            return None
        dead = token.spent or self.expired(token) or self.grant_of(token).revoked
        return None if dead else token

    def spend(self, token: Token) -> None:
        token.spent = True
        self.tokens.put(token)

    def revoke(self, grant: Grant) -> None:
        grant.revoked = True
        self.grants.put(grant)

    def revoke_account(self, account_id: str) -> int:
        live = [grant for grant in self.grants.of(account_id) if not grant.revoked]
        for grant in live:
            self.revoke(grant)
        return len(live)
