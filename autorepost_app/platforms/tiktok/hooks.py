"""What does TikTok tell us by itself, and is it TikTok that tells it?

One address for the whole app, set in TikTok's portal. Only one event matters to a source: that a creator's permission
has ended. No event tells of a new post (those named `post.*` are of posts made through TikTok's own posting API).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from autorepost_app.platform_kit.protocol import AppCredentials, Hook, NotGenuine, Notice, NoticeKind
from autorepost_app.platform_kit.signatures import hmac_hex, same

TOLERANCE: Final = timedelta(minutes=5)
"""What working clients allow between the signing of a delivery and its reading [C]."""

_YEAR_5138: Final = 10**11
_HEADER: Final = "tiktok-signature"
_REMOVED: Final = "authorization.removed"
_REASONS: Final[Mapping[Any, str]] = {
    0: "for a reason TikTok does not tell",
    1: "by the creator, in TikTok's settings",
    2: "because the account was deleted",
    3: "because the age of its owner was changed",
    4: "because the account was banned",
    5: "by us, on request",
}


def read(headers: Mapping[str, str], body: bytes, app: AppCredentials, now: datetime) -> Notice:
    """One delivery. TikTok repeats it for three days until it is taken, each time as the same notice."""
    _check_signature(headers.get(_HEADER, ""), body, app.client_secret, now)
    event = _object(body)
    if event.get("client_key") != app.client_id:
        raise NotGenuine("signed with our secret, but for another app")
    name, account, made = event.get("event"), event.get("user_openid"), event.get("create_time")
    if not (isinstance(name, str) and isinstance(account, str) and isinstance(made, int) and 0 < made < _YEAR_5138):
        raise NotGenuine("signed with our secret, but no event: event, user_openid or create_time is missing")
    removed = name == _REMOVED
    return Notice(
        kind=NoticeKind.DISCONNECTED if removed else NoticeKind.OTHER,
        key=_key(event),
        account=account,
        at=datetime.fromtimestamp(made, UTC),
        detail=f"{name}: permission ended {_reason(event)}" if removed else name,
    )


HOOKS: Final = (Hook(path="", read=read),)


def _check_signature(header: str, body: bytes, secret: str, now: datetime) -> None:
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    signed_at, signature = parts.get("t", ""), parts.get("s", "")
    if not (signed_at.isascii() and signed_at.isdecimal() and len(signed_at) < 12):
        raise NotGenuine("no TikTok-Signature of the form t=<seconds>,s=<hash>")
    # First the signature: the time is as the signer wrote it only if the signature is.
    if not same(signature, hmac_hex(secret, signed_at.encode() + b"." + body)):
        raise NotGenuine("the signature is not made with our client secret")
    off = now - datetime.fromtimestamp(int(signed_at), UTC)
    if abs(off) > TOLERANCE:
        raise NotGenuine(
            f"signed {off.total_seconds():.0f} s ago by our clock: sent again by somebody, or a clock is off"
        )


def _object(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise NotGenuine("signed with our secret, but no JSON object")
    return event


def _key(event: Mapping[str, Any]) -> str:
    """Deliveries carry no id: TikTok's own advice is to compare what they say."""
    said = [event.get(name) for name in ("event", "user_openid", "create_time", "content")]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _reason(event: Mapping[str, Any]) -> str:
    """From `content`, which is a JSON text inside the JSON."""
    try:
        return _REASONS[json.loads(event["content"])["reason"]]
    except (KeyError, TypeError, ValueError):
        return _REASONS[0]
