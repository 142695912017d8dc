"""What becomes of a caption that is longer than X takes, or that X would not take as it is?

280 weighted characters, a link 23 of them, by twitter-text's configuration v3 (P); at most one cashtag a post on
self-serve plans (P). What a post costs depends on its words too: one with a link costs thirteen times as much (P).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import regex

from autorepost_app.platform_kit.protocol import PostText, TextField, TextSpec
from autorepost_app.platforms.x.entities import TWITTER_TEXT, Entity, EntityKind, entities_in, links_in

TEXT_LIMIT: Final = 280
TAGS_ROOM: Final = 80
"""So much of a shortened text is kept for hashtags that would be cut away with its end."""

_V3: Final[dict[str, Any]] = TWITTER_TEXT.config.config["version3"]
_ELLIPSIS: Final = "…"
_GRAPHEME: Final = regex.compile(r"\X")
_REFUSED: Final = regex.compile(r"[\p{Cs}\uFFFE\uFEFF\uFFFF\x00-\x08\x0B-\x1F\x7F]")
_LONGEST_WORD: Final = 40


def weighted_length(text: str) -> int:
    """As X counts: most scripts 1, emoji and CJK 2, a link 23, after NFC."""
    encodable = text.encode("utf-8", "ignore").decode()
    return int(TWITTER_TEXT.parse_tweet(encodable, _V3).weightedLength)


def fit(text: PostText) -> tuple[PostText, tuple[str, ...]]:
    """A body that X takes, and what was changed or will surprise (a dear link)."""
    notes: list[str] = []
    body = _one_cashtag(_clean(text.body))
    if body != _clean(text.body):
        notes.append("X takes one cashtag in a post: the others stand without their $.")
    if weighted_length(body) > TEXT_LIMIT:
        body = _shortened(body)
        notes.append(f"Shortened to the {TEXT_LIMIT} characters X allows.")
    if links := links_in(body):
        notes.append(f"“{links[0]}” counts as a link: X charges $0.20 for this post instead of $0.015.")
    return replace(text, body=body), tuple(notes)


def without_links(body: str) -> str:
    """The same words without what X would take for a link. Looks again, as what closes up may be a link itself."""
    while links := [entity for entity in entities_in(body) if entity.kind is EntityKind.LINK]:
        for link in reversed(links):
            body = body[: link.start].rstrip(" ") + " " + body[link.end :].lstrip(" ")
        body = body.strip()
    return body


def _clean(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _REFUSED.sub("", lines)).strip()


def _one_cashtag(text: str) -> str:
    cashtags = [entity for entity in entities_in(text) if entity.kind is EntityKind.CASHTAG]
    for cashtag in reversed(cashtags[1:]):
        text = text[: cashtag.start] + text[cashtag.start + 1 :]
    return text


# -------------------------------------------------------------------------------------------------------- shortening


def _shortened(text: str) -> str:
    """The beginning of the text, and those of its hashtags that would be lost with the end."""
    entities = entities_in(text)
    tags = [entity for entity in entities if entity.kind is EntityKind.HASHTAG]
    words_end = _end_of_words(text, tags)
    short = _cut(text, entities, TEXT_LIMIT - TAGS_ROOM, words_end)
    lost = _fitting([tag.text for tag in tags if tag.start >= len(short) - len(_ELLIPSIS)], TAGS_ROOM)
    room = TEXT_LIMIT - weighted_length("".join(f" {tag}" for tag in lost))
    kept = _cut(text, entities, room, words_end)
    return " ".join([kept, *lost]).strip()


def _end_of_words(text: str, tags: list[Entity]) -> int:
    """Where nothing but hashtags follows."""
    end = len(text)
    for tag in reversed(tags):
        if text[tag.end : end].strip():
            break
        end = tag.start
    return end


def _fitting(tags: Iterable[str], room: int) -> list[str]:
    """As many as there is room for, each once, in their order."""
    chosen: dict[str, str] = {}
    for tag in tags:
        cost = 1 + weighted_length(tag)
        if tag.casefold() not in chosen and cost <= room:
            chosen[tag.casefold()] = tag
            room -= cost
    return list(chosen.values())


def _cut(text: str, entities: list[Entity], room: int, words_end: int) -> str:
    """All of the words, or their longest beginning that fits with an ellipsis and means nothing else than it did."""
    if weighted_length(words := text[:words_end].rstrip()) <= room:
        return words
    known = {(entity.start, entity.end) for entity in entities}
    for end in _places_to_cut(text, _end_of_room(text[:words_end], room), entities):
        kept = text[:end].rstrip() + _ELLIPSIS
        # a cut can make a link or a name of what was none ("brand.community"), and so weigh more than before
        if weighted_length(kept) <= room and {(each.start, each.end) for each in entities_in(kept)} <= known:
            return kept
    return _ELLIPSIS


def _end_of_room(text: str, room: int) -> int:
    """The library says where the weight runs out, in UTF-16."""
    options = {**_V3, "max_weighted_tweet_length": room - weighted_length(_ELLIPSIS)}
    last_unit = TWITTER_TEXT.parse_tweet(text, options).validRangeEnd
    return len(text.encode("utf-16-le")[: 2 * (last_unit + 1)].decode("utf-16-le", "ignore"))


def _places_to_cut(text: str, end: int, entities: list[Entity]) -> Iterator[int]:
    """Borders of words that are not far, then of graphemes; the longest beginning first, none inside an entity."""
    inside = {place for entity in entities for place in range(entity.start + 1, entity.end)}
    borders = [found.end() for found in _GRAPHEME.finditer(text[: end + 1]) if found.end() <= end]
    borders = [place for place in reversed(borders) if place not in inside]
    yield from (place for place in borders if end - place <= _LONGEST_WORD and text[place : place + 1].isspace())
    yield from borders


TEXT: Final = TextSpec(
    fields=(
        TextField(name="body", label="Post", limit=TEXT_LIMIT, measure=weighted_length, unit="characters as X counts"),
    ),
    fit=fit,
)
