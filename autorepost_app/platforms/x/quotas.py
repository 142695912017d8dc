"""How much may be asked of X, what does it cost, and what do its answers tell about either?

    posts 100 / 15 min a user and 10 000 / 24 h an app; each upload call 1 875 / 15 min a user and 180 000 / 24 h   P
    an app; status reads 1 000 / 15 min a user and 100 000 / 24 h an app; timeline reads 900 and 10 000 / 15 min
    a limit of a user's day is told by `x-user-limit-24hour-*` only, and bites while the others look healthy       C
    a post $0.015, with a link in its text $0.200; reading one post $0.005, one user $0.010                         P

`users/me` (75 / 15 min a user, P) is read once at a sign-in, before we know whose limit it takes from: it is paid for,
not counted. A refused call is counted here and not billed by X, so money is at most what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import httpx

from autorepost_app.platform_kit.protocol import Allowance, Meter, QuotaRule

INITIALIZE, APPEND, FINALIZE, STATUS = "initialize", "append", "finalize", "status"
POST, LINK = "post", "link"
TIMELINE, READ_POST = "timeline", "read_post"
TOKEN, REVOKE, ME = "token", "revoke", "me"
"""LINK and READ_POST are no calls of their own: a post with a link costs so much more, a list costs by its posts."""

_UPLOAD: Final = (INITIALIZE, APPEND, FINALIZE)
_CALLS: Final = (*_UPLOAD, STATUS, POST, TIMELINE, TOKEN, REVOKE, ME)
_QUARTER: Final = 900.0
_DAY: Final = 86_400.0

QUOTAS: Final = (
    QuotaRule("posts", "X posts in 15 minutes", "account", {POST: 1}, 100, _QUARTER, unit="posts"),
    QuotaRule("day_posts", "X posts in 24 hours", "account", {POST: 1}, None, _DAY, unit="posts"),
    QuotaRule("app_posts", "X posts of all accounts in 24 hours", "app", {POST: 1}, 10_000, _DAY, unit="posts"),
    *(QuotaRule(call, f"X {call} calls in 15 minutes", "account", {call: 1}, 1_875, _QUARTER) for call in _UPLOAD),
    *(
        QuotaRule(f"app_{call}", f"X {call} calls of all accounts in 24 hours", "app", {call: 1}, 180_000, _DAY)
        for call in _UPLOAD
    ),
    QuotaRule(STATUS, "X upload status reads in 15 minutes", "account", {STATUS: 1}, 1_000, _QUARTER),
    QuotaRule(f"app_{STATUS}", "X upload status reads of all accounts in 24 hours", "app", {STATUS: 1}, 100_000, _DAY),
    QuotaRule(TIMELINE, "X timeline reads in 15 minutes", "account", {TIMELINE: 1}, 900, _QUARTER),
    QuotaRule(
        f"app_{TIMELINE}", "X timeline reads of all accounts in 15 minutes", "app", {TIMELINE: 1}, 10_000, _QUARTER
    ),
    QuotaRule("calls", "X requests in a day", "app", dict.fromkeys(_CALLS, 1), None, unit="requests"),
    QuotaRule(
        "money",
        "X charges of a day",
        "app",
        {POST: 15, LINK: 185, READ_POST: 5, ME: 10},
        None,
        unit="thousandths of a US dollar",
    ),
)

_BY_NAME: Final = {rule.name: rule for rule in QUOTAS}
_TOLD_BY: Final = {
    "x-rate-limit": {POST: "posts", **{call: call for call in (*_UPLOAD, STATUS, TIMELINE)}},
    "x-user-limit-24hour": {POST: "day_posts"},
    "x-app-limit-24hour": {POST: "app_posts", **{call: f"app_{call}" for call in (*_UPLOAD, STATUS)}},
}
_NEARLY_USED_UP: Final = 0.1


def heed(meter: Meter, call: str, account: str, headers: httpx.Headers) -> None:
    """Corrects the counts by an answer's headers, where they say that little is left or that a limit is another than
    the documented one. What they say otherwise we count ourselves, and a write for each segment would be waste."""
    for quota, told in told_in(call, headers):
        rule = _BY_NAME[quota]
        little = told.remaining is not None and told.remaining <= (told.limit or 0) * _NEARLY_USED_UP
        if little or (rule.limit is not None and told.limit not in (None, rule.limit)):
            meter.settle(quota, account if rule.scope == "account" else "", told)


def told_in(call: str, headers: httpx.Headers) -> Iterator[tuple[str, Allowance]]:
    for prefix, quotas in _TOLD_BY.items():
        remaining = _number(headers, f"{prefix}-remaining")
        if call in quotas and remaining is not None:
            limit = _number(headers, f"{prefix}-limit")
            yield quotas[call], Allowance(limit, remaining, reset_at(headers, prefix))


def reset_at(headers: httpx.Headers, prefix: str) -> datetime | None:
    """The moment that X names in seconds; None where it names none, or none that a calendar holds."""
    try:
        return datetime.fromtimestamp(int(headers[f"{prefix}-reset"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _number(headers: httpx.Headers, name: str) -> int | None:
    try:
        return int(headers[name])
    except (KeyError, ValueError):
        return None
