"""How is what we know said to a person? States, times and other people's words, ready to show."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from autorepost_app.domain.publications import State

Colour = Literal["green", "red", "orange", "blue", "gray"]

STATES: Final[dict[State, tuple[str, Colour]]] = {
    State.DETECTED: ("found", "blue"),
    State.PREPARING: ("preparing", "blue"),
    State.READY: ("waiting", "blue"),
    State.STAGING: ("uploading", "blue"),
    State.COMMITTING: ("publishing", "blue"),
    State.UNKNOWN: ("checking", "orange"),
    State.RECONCILING: ("checking", "orange"),
    State.NEEDS_REVIEW: ("please look", "orange"),
    State.PUBLISHED: ("live", "green"),
    State.FAILED: ("not published", "red"),
    State.SKIPPED: ("left out", "gray"),
    State.CANCELLED: ("cancelled", "gray"),
    State.DROPPED: ("left as it is", "gray"),
}
_CAPTION_CHARACTERS: Final = 140
_IN_ADDRESSES: Final = ":/?#@!$&'*+,;=%"
_TURNS_TEXT_AROUND: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def in_one_line(text: str, characters: int = _CAPTION_CHARACTERS) -> str:
    """Somebody's words, cut to fit. For `st.text` only: Streamlit reads markup and links in everything else."""
    words = " ".join(_TURNS_TEXT_AROUND.sub("", text).split())
    return words if len(words) <= characters else words[: characters - 1].rstrip() + "…"


def clock_time(at: datetime, now: datetime, zone: tzinfo) -> str:
    """In the viewer's own zone, with as much of the date as is not today's."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {local:%b}{year}, {local:%H:%M}"


def when(at: datetime, now: datetime, zone: tzinfo) -> str:
    """The time, and of the last day also how long ago."""
    said, ago = clock_time(at, now, zone), now - at
    return f"{said} ({_ago(ago)})" if timedelta(0) <= ago < timedelta(days=1) else said


def _ago(ago: timedelta) -> str:
    minutes = int(ago.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    return f"{minutes} min ago" if minutes < 60 else f"{minutes // 60} h ago"


def zone_of(name: str | None) -> tzinfo:
    """The viewer's zone as the browser names it; UTC where it names none that we know."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def linked(name: str, url: str | None) -> str:
    """Markup: our name for a place, leading there if it is a web page. Nothing in the address can end the link."""
    if not url or urlsplit(url).scheme not in ("http", "https"):
        return name
    return f"[{name}]({quote(url, safe=_IN_ADDRESSES)})"
