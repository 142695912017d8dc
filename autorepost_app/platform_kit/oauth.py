"""How is an OAuth 2 conversation spelt, where all platforms spell it alike?

Authlib builds the consent address, the token request body and the PKCE pair; each platform's `auth.py` keeps only what
is its own (names of fields, separators, extra exchanges).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from authlib.common.security import generate_token
from authlib.common.urls import url_decode
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from autorepost_app.platform_kit.protocol import TokenSet


def new_verifier() -> str:
    """A PKCE code verifier: 64 characters of `A-Z a-z 0-9`."""
    return str(generate_token(64))


def challenge_s256(verifier: str) -> str:
    """base64url(SHA-256(verifier)) without padding (RFC 7636)."""
    return str(create_s256_code_challenge(verifier))


def consent_url(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Iterable[str],
    state: str,
    separator: str = " ",
    **more: str | None,
) -> str:
    """The address to send a person to. `more` holds the platform's own parameters; None values are left out."""
    return str(
        prepare_grant_uri(endpoint, client_id, "code", redirect_uri, scope=separator.join(scopes), state=state, **more)
    )


def token_form(grant_type: str, **fields: str | None) -> dict[str, str]:
    """The form of a token request; None values are left out."""
    return dict(url_decode(prepare_token_request(grant_type, **fields)))


def token_set(
    body: Mapping[str, Any],
    *,
    now: datetime,
    separator: str = " ",
    previous: TokenSet | None = None,
    extra: Mapping[str, str] | None = None,
) -> TokenSet:
    """Reads a token reply. What it leaves out, or leaves empty, is taken over from `previous`.

    Raises KeyError when there is no access token in it: callers look for an error first.
    """
    refresh_token = body.get("refresh_token") or (previous.refresh_token if previous else None)
    rotated = bool(body.get("refresh_token"))
    return TokenSet(
        access_token=str(body["access_token"]),
        access_expires_at=_after(now, body.get("expires_in")),
        refresh_token=str(refresh_token) if refresh_token else None,
        refresh_expires_at=_after(now, body.get("refresh_expires_in"))
        or (previous.refresh_expires_at if previous and not rotated else None),
        scopes=_scopes(body.get("scope"), separator) or (previous.scopes if previous else frozenset()),
        issued_at=now,
        extra={**(previous.extra if previous else {}), **(extra or {})},
    )


def _after(now: datetime, seconds: Any) -> datetime | None:
    return now + timedelta(seconds=float(seconds)) if seconds else None


def _scopes(value: Any, separator: str) -> frozenset[str]:
    names = value.split(separator) if isinstance(value, str) else value or ()
    return frozenset(name.strip() for name in names if name.strip())
