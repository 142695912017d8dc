"""How do the platforms misbehave, at one call in twenty?

The sandbox's book of faults counts calls and knows no chances. So for each call there is always one fault in it, of a
kind and after a number of calls that the dice say; once it has struck, the next one is written. Streaks on one account
come from the same dice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

SHARE: Final = 0.05
_STREAKS: Final = 0.15
_MOST_STREAKS: Final = 6
_RARE: Final = 0.03
_BUSY: Final = {"status": 503, "body": "<html><body>Service Unavailable</body></html>"}

_Kind = tuple[str, Mapping[str, Any]]
_WRITES: Final[tuple[_Kind, ...]] = (
    ("refuse", {}),
    ("reset_before_body", {}),
    ("reset_mid_body", {"bytes": (16, 2048)}),
    ("reset_after_body", {}),
    ("commit_then_reset", {}),
    ("commit_then_500", {}),
    ("commit_late", {"seconds": (10, 200)}),
    ("rate_limited", {"seconds": (5, 60)}),
    ("client_error_although_done", {}),
    ("ok_without_id", {}),
    ("slow", {"seconds": (1, 12)}),
    ("slow", {"seconds": (31, 50), "after_work": True}),
    ("error", _BUSY),
)
_READS: Final[tuple[_Kind, ...]] = (
    ("refuse", {}),
    ("read_error", {}),
    ("read_lag", {"seconds": (5, 120)}),
    ("rate_limited", {"seconds": (5, 60)}),
    ("ok_without_id", {}),
    ("slow", {"seconds": (1, 12)}),
    ("error", _BUSY),
)
_FILES: Final[tuple[_Kind, ...]] = (*_READS, ("truncated", {"bytes": (1000, 400_000)}), ("reset_after_body", {}))
_SELDOM: Final[tuple[_Kind, ...]] = (("token_revoked", {}), ("quota_used_up", {}), ("processing_failed", {}))

CALLS: Final[Mapping[str, Mapping[str, tuple[_Kind, ...]]]] = {
    "instagram": {
        **dict.fromkeys(("container.create", "rupload", "media_publish"), _WRITES),
        **dict.fromkeys(("container.status", "media.list", "publishing_limit", "media.get"), _READS),
    },
    "x": {
        **dict.fromkeys(("upload.initialize", "upload.append", "upload.finalize", "tweets.create"), _WRITES),
        **dict.fromkeys(("upload.status", "timeline"), _READS),
        "token.refresh": _WRITES,
    },
    "youtube": {
        **dict.fromkeys(("session.start", "insert.last", "token.refresh"), _WRITES),
        **dict.fromkeys(("session.query", "playlistItems.list", "videos.list", "channels.list"), _READS),
    },
    "tiktok": {
        **dict.fromkeys(("video.list", "profile.list", "video.page"), _READS),
        "video.download": _FILES,
        "token.refresh": _WRITES,
    },
}


class Trouble:
    """Keeps the book full. `handles` are the accounts of each platform."""

    def __init__(self, rng: Random, handles: Mapping[str, Sequence[str]]) -> None:
        self._rng = rng
        self._handles = handles

    def begin(self) -> list[dict[str, Any]]:
        return [self._next(platform, call) for platform, calls in CALLS.items() for call in calls]

    def renew(self, book: Iterable[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """The book with a new fault for each that has struck as often as it was to; None where none has."""
        before = list(book)
        spent = [each for each in before if _is_spent(each)]
        streaks = [each for each in before if each["account"] and not _is_spent(each)]
        after = [each for each in before if not _is_spent(each)]
        for each in spent:
            if each["account"] is None:
                after.append(self._next(each["platform"], each["call"]))
            if self._rng.random() < _STREAKS and len(streaks) < _MOST_STREAKS:
                streaks.append(self._streak(each["platform"], each["call"]))
                after.insert(0, streaks[-1])
        return after if spent else None

    def _next(self, platform: str, call: str) -> dict[str, Any]:
        rare = self._rng.random() < _RARE and call != "token.refresh"
        fault, options = self._rng.choice(_SELDOM if rare else CALLS[platform][call])
        chosen = {name: self._value(value) for name, value in options.items()}
        return {"platform": platform, "call": call, "fault": fault, "after": self._calls_before(), **chosen}

    def _streak(self, platform: str, call: str) -> dict[str, Any]:
        """Several calls of one account, one after the other."""
        account, count = self._rng.choice(self._handles[platform]), self._rng.randint(2, 4)
        return {**self._next(platform, call), "account": account, "count": count, "after": 0}

    def _calls_before(self) -> int:
        """How many calls pass before one at which the dice fall so."""
        return int(math.log(1 - self._rng.random()) / math.log(1 - SHARE))

    def _value(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            return value
        low, high = value
        return self._rng.randint(low, high)


def _is_spent(fault: Mapping[str, Any]) -> bool:
    return fault["count"] is not None and fault["hits"] >= fault["count"]
