"""What does YouTube accept as a Short: file, words and calls per day?

Evidence letters as in the platform reference: P Google's own pages or discovery document, C working code or its issues,
U unverified. Read on 23 November 2026.

    Short at most 180 s, square or upright                  P  help pages, uploads since 15 October 2024
    file at most 274,877,906,944 bytes                      P  discovery document
    upload portions are multiples of 262,144 bytes          P  resumable upload guide
    title 1-100 characters, no < >                          P  videos resource; UTF-16 or code points: U, so UTF-16
    description 5000 bytes of UTF-8, no < >                 P  videos resource
    tags 500 characters in all; a comma between tags counts,
      a tag with a space counts two more (quotes)           P  videos resource
    100 videos.insert a day for the whole project           P  since 1 June 2026
    10,000 units a day for all the rest: a list call is 1,
      thumbnails.set and playlistItems.insert are 50 each   P
    both counted from midnight Pacific time                 P
    a channel's own daily limit: unpublished                C  uploadLimitExceeded, clears within 24 h
    encoding advice 1080x1920, 24-60 frames a second        U
    cover picture JPEG or PNG, at most 52,428,800 bytes     P  discovery document, since 14 September 2026
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

import regex

from autorepost_app.domain.captions import cut_to, hashtags_of, utf16_units
from autorepost_app.domain.media import MediaLimits
from autorepost_app.platform_kit.protocol import PostText, QuotaRule, ReconcilePlan, TextField, TextSpec

DAY_ZONE: Final = "America/Los_Angeles"
PART_MULTIPLE_BYTES: Final = 262_144
PORTION_BYTES: Final = 32 * PART_MULTIPLE_BYTES
"""8 MiB a request: a broken connection costs at most this much, a fast line loses little to round trips."""

TITLE_LIMIT: Final = 100
DESCRIPTION_LIMIT_BYTES: Final = 5000
TAGS_LIMIT: Final = 500
HASHTAGS_ROOM_BYTES: Final = 1500
"""How much of a cut description its hashtags may take."""

MARKER_ROOM: Final = 40
"""Kept free among the tags for the one that lets us find our own video again."""

COVER_LIMIT_BYTES: Final = 52_428_800

FALLBACK_TITLE: Final = "Short video"

MEDIA: Final = MediaLimits(
    size_max_bytes=274_877_906_944,
    duration_max_seconds=180.0,
    aspect_max=1.0,
    box=(1080, 1920),
)

QUOTAS: Final = (
    QuotaRule(
        name="inserts",
        label="YouTube uploads a day, all customers together",
        scope="app",
        costs={"videos.insert": 1},
        limit=100,
        zone=DAY_ZONE,
    ),
    QuotaRule(
        # The limit is the channel's own and unpublished: it becomes known when YouTube says that it is reached.
        name="channel_uploads",
        label="YouTube uploads a day of one channel",
        scope="account",
        costs={"videos.insert": 1},
        limit=None,
        window_seconds=24 * 3600,
    ),
    QuotaRule(
        name="units",
        label="YouTube questions a day, all customers together",
        scope="app",
        unit="units",
        costs={
            "channels.list": 1,
            "playlistItems.list": 1,
            "videos.list": 1,
            "playlistItems.insert": 50,
            "thumbnails.set": 50,
        },
        limit=10_000,
        zone=DAY_ZONE,
    ),
)

RECONCILE: Final = ReconcilePlan(
    read_after_seconds=(5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 23 * 3600),
    # How long a session answers is not published ("about a week", U): within a day it is sure to.
    give_up_after_seconds=24 * 3600,
    request_lifetime_seconds=600,
)


# --------------------------------------------------------------------------------------------------------- counting


def utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def tags_units(tags: Iterable[str]) -> int:
    """All tags as YouTube counts them: commas between them, and quotes around those with a space."""
    sizes = [utf16_units(tag) + (2 if " " in tag else 0) for tag in tags]
    return sum(sizes) + max(0, len(sizes) - 1)


def _written_tags_units(text: str) -> int:
    return tags_units(tag.strip() for tag in text.split(",") if tag.strip())


# ---------------------------------------------------------------------------------------------------------- fitting


def fit(text: PostText) -> tuple[PostText, tuple[str, ...]]:
    """The same words within YouTube's limits, and what had to change. Fitting twice changes nothing more."""
    body, title = _clean(text.body), " ".join(_clean(text.title).split())
    notes = []
    if any(mark in text.body + text.title for mark in "<>"):
        notes.append("“<” and “>” were replaced by “‹” and “›”: YouTube takes neither.")
    if not _says_something(title):
        title = _first_line(body)
    if not title:
        title = FALLBACK_TITLE
        notes.append(f"The caption has no words, and YouTube needs a title: it is “{FALLBACK_TITLE}”.")
    fitted = PostText(
        body=_fit_description(body),
        title=cut_to(title, TITLE_LIMIT, utf16_units),
        tags=_fit_tags(text.tags, TAGS_LIMIT - MARKER_ROOM),
    )
    return fitted, (*notes, *_losses(title, body, text.tags, fitted))


def with_marker(tags: Iterable[str], marker: str) -> list[str]:
    """The tags to send, each once: ours first, so that it is never the one left out."""
    kept = {marker.casefold(): marker}
    for tag in tags:
        if tags_units([*kept.values(), tag]) <= TAGS_LIMIT:
            kept.setdefault(tag.casefold(), tag)
    return list(kept.values())


def _losses(title: str, body: str, tags: tuple[str, ...], fitted: PostText) -> Iterable[str]:
    if fitted.title != title:
        yield f"The title was shortened to {TITLE_LIMIT} characters."
    if fitted.body != body:
        yield f"The description was shortened to {DESCRIPTION_LIMIT_BYTES} bytes."
    lost = len({name.casefold() for name in map(_clean_tag, tags) if name}) - len(fitted.tags)
    if lost:
        yield f"{lost} of the tags did not fit."


def _fit_description(body: str) -> str:
    """Cut between words; hashtags that stood behind the cut are put at the end, for they are how a video is found."""
    if utf8_bytes(body) <= DESCRIPTION_LIMIT_BYTES:
        return body
    listed = _listed(hashtags_of(body))
    head = cut_to(body, DESCRIPTION_LIMIT_BYTES - utf8_bytes(listed), utf8_bytes)
    kept = {tag.casefold() for tag in hashtags_of(head)}
    return head + _listed(tag for tag in hashtags_of(body) if tag.casefold() not in kept)


def _listed(tags: Iterable[str]) -> str:
    text = ""
    for tag in tags:
        if utf8_bytes(f"{text} #{tag}") < HASHTAGS_ROOM_BYTES:
            text += f" #{tag}"
    return f"\n\n{text[1:]}" if text else ""


def _clean(text: str) -> str:
    # A caption that its source cut at 150 UTF-16 units may end in half a surrogate pair, which no request can carry.
    text = text.encode("utf-8", "ignore").decode().replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(mark for mark in text if mark in "\n\t" or unicodedata.category(mark) != "Cc")
    return text.replace("<", "‹").replace(">", "›").strip()


def _clean_tag(tag: str) -> str:
    return " ".join(regex.sub(r"[,\"#]", " ", _clean(tag)).split())


def _fit_tags(tags: Iterable[str], limit: int) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for name in map(_clean_tag, tags):
        if name and name.casefold() not in kept and tags_units([*kept.values(), name]) <= limit:
            kept[name.casefold()] = name
    return tuple(kept.values())


def _says_something(text: str) -> bool:
    return any(mark.isprintable() and not mark.isspace() for mark in text)


def _first_line(body: str) -> str:
    return next((" ".join(line.split()) for line in body.splitlines() if _says_something(line)), "")


TEXT: Final = TextSpec(
    fields=(
        TextField("title", "Title", TITLE_LIMIT, utf16_units, required=True, forbidden="<>"),
        TextField("body", "Description", DESCRIPTION_LIMIT_BYTES, utf8_bytes, unit="bytes", forbidden="<>"),
        TextField("tags", "Tags", TAGS_LIMIT - MARKER_ROOM, _written_tags_units),
    ),
    fit=fit,
)
