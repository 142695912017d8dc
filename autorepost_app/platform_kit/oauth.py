"""How is an OAuth 2 conversation spelt, where all platforms spell it alike?

Authlib builds the consent address, the token request body and the PKCE pair; each platform's `auth.py` keeps only what
is its own (names of fields, separators, extra exchanges).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.common.security import generate_token
from authlib.common.urls import url_decode
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.protocol import TokenSet

_VISIBLE: Final = frozenset(map(chr, range(0x20, 0x7F)))
"""What a token may be made of (RFC 6749, appendix A); anything else could not be sent in a header."""


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
    platform_name: str,
    now: datetime,
    separator: str = " ",
    previous: TokenSet | None = None,
    extra: Mapping[str, str] | None = None,
) -> TokenSet:
    """Reads a token reply. What it leaves out, or leaves empty, is taken over from `previous`.

    Raises PlatformFault(TryAgain) where it lacks the access token or holds something of an odd kind: callers look for
    a refusal first.
    """
    try:
        return _token_set(body, now, separator, previous, extra or {})
    except _OddField as odd:
        raise odd_tokens(platform_name, str(odd)) from None


def odd_tokens(platform_name: str, field: str) -> PlatformFault:
    """For a good answer whose `field` nobody can use. Nothing of it is repeated: the rest of it may be a live token."""
    text = f"{platform_name} answered a sign-in with something that we cannot read; we will try again."
    return PlatformFault(TryAgain(text, f"a token reply without a usable {field}", "token_reply"))


class _OddField(ValueError):
    """Names the field, never its value."""


def _token_set(
    body: Mapping[str, Any], now: datetime, separator: str, previous: TokenSet | None, extra: Mapping[str, str]
) -> TokenSet:
    access_token, refresh_token = _token(body, "access_token"), _token(body, "refresh_token")
    if access_token is None:
        raise _OddField("access_token")
    old = previous or TokenSet(access_token, None)
    return TokenSet(
        access_token=access_token,
        access_expires_at=_end(body, "expires_in", now),
        refresh_token=refresh_token or old.refresh_token,
        refresh_expires_at=_end(body, "refresh_expires_in", now) or (None if refresh_token else old.refresh_expires_at),
        scopes=_scopes(body.get("scope"), separator) or old.scopes,
        issued_at=now,
        extra={**old.extra, **extra},
    )


def _token(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _VISIBLE.issuperset(value):
        raise _OddField(name)
    return value


def _end(body: Mapping[str, Any], name: str, now: datetime) -> datetime | None:
    """The end of a life that is told in seconds; none where it is left out or 0."""
    value = body.get(name)
    if not value:
        return None
    try:
        seconds = float(value) if isinstance(value, int | float | str) and value is not True else -1.0
        end = now + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise _OddField(name) from None
    if seconds < 0:
        raise _OddField(name)
    return end if seconds else None


def _scopes(value: Any, separator: str) -> frozenset[str]:
    names = value.split(separator) if isinstance(value, str) else value or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise _OddField("scope")
    return frozenset(name.strip() for name in names if name.strip())
