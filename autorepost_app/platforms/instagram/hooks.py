"""What does Meta tell us on its own, and how is that proven?

Two calls, both a form with one signed text: a person removed our app, or wants everything about them deleted. They name
the person by an id that only our app sees; it is kept among the account's traits when it is connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs

from autorepost_app.platform_kit.protocol import AppCredentials, Hook, NotGenuine, Notice, NoticeKind
from autorepost_app.platform_kit.signatures import signed_request

_LEEWAY: Final = timedelta(minutes=5)
"""How far Meta's clock and ours may be apart."""

_Read = Callable[[Mapping[str, str], bytes, AppCredentials, datetime], Notice]


def _reader(kind: NoticeKind) -> _Read:
    def read(_headers: Mapping[str, str], body: bytes, app: AppCredentials, now: datetime) -> Notice:
        content = signed_request(_signed_text(body), app.client_secret)
        person, at = _person(content), _issued_at(content)
        if at > now + _LEEWAY:
            raise NotGenuine(f"signed in the future, at {at}")
        expires_at = _time(content.get("expires"))
        if expires_at is not None and expires_at < now - _LEEWAY:
            raise NotGenuine(f"expired at {expires_at}")
        return Notice(kind, key=f"{kind}:{person}:{at.timestamp():.0f}", account=person, at=at)

    return read


def _signed_text(body: bytes) -> str:
    try:
        found = parse_qs(body.decode(), strict_parsing=True, max_num_fields=8).get("signed_request", [])
    except ValueError:
        raise NotGenuine("not a form") from None
    if len(found) != 1:
        raise NotGenuine(f"{len(found)} fields signed_request instead of one")
    return found[0]


def _person(content: Mapping[str, Any]) -> str:
    user_id = content.get("user_id")
    if not isinstance(user_id, str | int) or isinstance(user_id, bool) or not str(user_id):
        raise NotGenuine("no user_id")
    return str(user_id)


def _issued_at(content: Mapping[str, Any]) -> datetime:
    at = _time(content.get("issued_at"))
    if at is None:
        raise NotGenuine("no issued_at")
    return at


def _time(seconds: Any) -> datetime | None:
    """None for what is left out, which Meta also writes as 0."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC) if seconds else None
    except (TypeError, ValueError, OverflowError, OSError):
        raise NotGenuine("not a time") from None


HOOKS: Final = (
    Hook("deauthorize", _reader(NoticeKind.DISCONNECTED)),
    Hook("data-deletion", _reader(NoticeKind.DELETE_EVERYTHING), confirms=True),
)
