"""How much may be asked of Instagram, and what do its answers tell about it?

Of its limits two are numbers (posts and containers of an account in 24 hours); the two on requests are formulas over
figures only Instagram knows, so requests are counted and its own headers stop them. A header that says nothing alarming
settles nothing: most answers cost no write.

Evidence letters as in `limits.py`.

    50 posts a day on one page, 100 on another; the platform is asked instead   P
    400 containers an account in 24 h                                           P
    requests: 4800 x views of the account in 24 h; 200 x people in an hour      P
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from autorepost_app.platform_kit.protocol import Allowance, Meter, QuotaRule

DAY_SECONDS: Final = 86_400.0
HOUR_SECONDS: Final = 3600.0

MAKE, PUBLISH, LIMIT = "media", "media_publish", "content_publishing_limit"
CONTAINER, UPLOAD, LIST = "container", "rupload", "media.list"
CODE, EXCHANGE, REFRESH, FACEBOOK_TOKEN = "token.code", "token.exchange", "token.refresh", "token.facebook"
TOKEN_FACTS, ME, PAGES = "token.facts", "me", "pages"

POSTS, CONTAINERS, ACCOUNT_CALLS, APP_CALLS = "posts", "containers", "account_calls", "app_calls"

_FOR_AN_ACCOUNT: Final = (MAKE, PUBLISH, LIMIT, CONTAINER, LIST)
_FOR_NOBODY_YET: Final = (UPLOAD, CODE, EXCHANGE, REFRESH, FACEBOOK_TOKEN, TOKEN_FACTS, ME, PAGES)

QUOTAS: Final = (
    # Of the two documented numbers the larger: with the smaller we would hold back posts that Instagram takes, and a
    # refusal by Instagram costs nothing (it is proof that nothing was published). What it tells replaces this.
    QuotaRule(
        POSTS, "Instagram posts in 24 hours", "account", {PUBLISH: 1}, 100, window_seconds=DAY_SECONDS, unit="posts"
    ),
    QuotaRule(
        CONTAINERS,
        "Instagram uploads in 24 hours",
        "account",
        {MAKE: 1},
        400,
        window_seconds=DAY_SECONDS,
        unit="uploads",
    ),
    QuotaRule(
        ACCOUNT_CALLS,
        "Instagram requests for one account in 24 hours",
        "account",
        dict.fromkeys(_FOR_AN_ACCOUNT, 1),
        None,
        window_seconds=DAY_SECONDS,
        unit="requests",
    ),
    QuotaRule(
        APP_CALLS,
        "Instagram requests in an hour",
        "app",
        dict.fromkeys((*_FOR_AN_ACCOUNT, *_FOR_NOBODY_YET), 1),
        None,
        window_seconds=HOUR_SECONDS,
        unit="requests",
    ),
)


def heed(meter: Meter, response: httpx.Response, account: str, now: datetime) -> None:
    """Stops what the usage headers of an answer say is used up, until the time they name."""
    wait = regain_seconds(response)
    if wait is not None and account:
        meter.settle(ACCOUNT_CALLS, account, Allowance(remaining=0, resets_at=now + timedelta(seconds=wait)))
    if max(_percents(_header(response, "X-App-Usage")), default=0) >= 100:
        # The app's window is a rolling hour; when it has room again is not told.
        meter.settle(APP_CALLS, "", Allowance(remaining=0, resets_at=now + timedelta(seconds=HOUR_SECONDS)))


def regain_seconds(response: httpx.Response) -> float | None:
    """The longest wait that X-Business-Use-Case-Usage names (it counts minutes), None where it names none."""
    minutes = max(_regain_minutes(_header(response, "X-Business-Use-Case-Usage")), default=0)
    return minutes * 60.0 if minutes > 0 else None


def posts_allowed(usage: Any, now: datetime, published_at: tuple[datetime, ...] = ()) -> Allowance:
    """What `content_publishing_limit` says. `published_at`: when the account's latest posts went out, which tells when
    a used-up day has room again: when the posts above the limit are a day old."""
    config = usage.get("config") if isinstance(usage.get("config"), dict) else {}
    total, used = _number(config.get("quota_total")), _number(usage.get("quota_usage"))
    if total is None or used is None:
        return Allowance(limit=total)
    if used < total:
        return Allowance(total, total - used)
    window = timedelta(seconds=_number(config.get("quota_duration")) or DAY_SECONDS)
    counted = sorted(at for at in published_at if at > now - window)
    freed = counted[min(used - total, len(counted) - 1)] + window if counted else now + timedelta(seconds=HOUR_SECONDS)
    return Allowance(total, 0, freed)


def _header(response: httpx.Response, name: str) -> Any:
    try:
        return json.loads(response.headers.get(name, "{}"))
    except ValueError:
        return {}


def _regain_minutes(usage: Any) -> Iterator[int]:
    for rows in usage.values() if isinstance(usage, dict) else ():
        for row in rows if isinstance(rows, list) else ():
            yield (_number(row.get("estimated_time_to_regain_access")) or 0) if isinstance(row, dict) else 0


def _percents(usage: Any) -> Iterator[int]:
    for value in usage.values() if isinstance(usage, dict) else ():
        yield _number(value) or 0


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
