"""How does Instagram count a caption, and how is one shortened to what it takes?

2200 characters, 30 hashtags, 20 mentions (P). What a character is, is not said (U): UTF-16 units are the largest of the
counts in use, so what fits by them fits by signs and by code points too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import regex

from autorepost_app.domain.captions import cut_to, hashtags_of, utf16_units
from autorepost_app.platform_kit.protocol import PostText, TextField, TextSpec

CAPTION_LIMIT: Final = 2200
HASHTAG_LIMIT: Final = 30
MENTION_LIMIT: Final = 20
_TAIL_LIMIT: Final = CAPTION_LIMIT // 2
"""How much of a shortened caption its hashtags may take: the words come first."""

# Runs of marks count as one and lose all their marks together: "##a" must not become "#a", a tag again.
_HASHTAG: Final = regex.compile(r"[#＃]+(?=[^\s#＃])")
_MENTION: Final = regex.compile(r"[@＠]+(?=[\w.])")


def hashtags_in(text: str) -> int:
    """What Instagram might take for a hashtag: anything but a space after the mark."""
    return len(_HASHTAG.findall(text))


def mentions_in(text: str) -> int:
    return len(_MENTION.findall(text))


def fit(text: PostText) -> tuple[PostText, tuple[str, ...]]:
    """The same words within Instagram's limits, and what had to change. Fitting twice changes nothing more."""
    # A caption that its source cut in UTF-16 may end in half a surrogate pair, which no request can carry.
    body = text.body.encode("utf-8", "ignore").decode().strip()
    notes = tuple(_surplus(body))
    body = _unmarked(body)
    if utf16_units(body) > CAPTION_LIMIT:
        # A mark that stood alone is one of a tag when the cut puts its ellipsis behind it.
        body = _unmarked(_shortened(body))
        notes = (f"The caption was shortened to {CAPTION_LIMIT} characters.", *notes)
    return PostText(body=body), notes


def _shortened(body: str) -> str:
    """Cut at a word; the hashtags that fell off stand behind it."""
    room = CAPTION_LIMIT
    while True:
        head = cut_to(body, room, utf16_units)
        tail = _tail(body, head)
        if utf16_units(head) + utf16_units(tail) <= CAPTION_LIMIT:
            return head + tail
        # Less room for the words may cost one more tag its place among them: again, until nothing moves.
        room = CAPTION_LIMIT - utf16_units(tail)


def _tail(body: str, head: str) -> str:
    kept = {tag.casefold() for tag in hashtags_of(head)}
    tail = ""
    for tag in hashtags_of(body):
        longer = f"{tail or chr(10) * 2}{' ' if tail else ''}#{tag}"
        if tag.casefold() not in kept and utf16_units(longer) <= _TAIL_LIMIT:
            tail = longer
    return tail


def _surplus(body: str) -> Iterator[str]:
    if hashtags_in(body) > HASHTAG_LIMIT:
        yield f"Instagram takes {HASHTAG_LIMIT} hashtags; the ones after that became plain words."
    if mentions_in(body) > MENTION_LIMIT:
        yield f"Instagram takes {MENTION_LIMIT} mentions; the ones after that became plain names."


def _unmarked(body: str) -> str:
    """Keeps the first marks that Instagram allows, and the words of all."""
    return _unmark(_unmark(body, _HASHTAG, HASHTAG_LIMIT), _MENTION, MENTION_LIMIT)


def _unmark(text: str, mark: regex.Pattern[str], allowed: int) -> str:
    surplus = [match.span() for match in mark.finditer(text)][allowed:]
    for start, end in reversed(surplus):
        text = text[:start] + text[end:]
    return text


TEXT: Final = TextSpec(fields=(TextField("body", "Caption", CAPTION_LIMIT, utf16_units),), fit=fit)
