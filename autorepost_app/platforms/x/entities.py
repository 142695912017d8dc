"""Which parts of a text does X take for links, hashtags, names and cashtags?

By the rules of twitter-text. Links come from a library, since its list of top-level domains is half of the matter; the
rest is written here, and held to twitter-text's own conformance tests.
"""

from __future__ import annotations

import pkgutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, Final

import regex


def _twitter_text() -> Any:
    """twitter-text-parser asks `pkg_resources` for its list of emoji, and setuptools ships that module no more. The
    one function it calls reads a file that lies beside a module, which is what `pkgutil.get_data` does."""
    absent = object()
    before: Any = sys.modules.get("pkg_resources", absent)
    stand_in = ModuleType("pkg_resources")
    stand_in.__dict__["resource_string"] = pkgutil.get_data
    sys.modules["pkg_resources"] = stand_in
    try:
        import twitter_text
    finally:
        if before is absent:
            del sys.modules["pkg_resources"]
        else:
            sys.modules["pkg_resources"] = before
    return twitter_text


TWITTER_TEXT: Final = _twitter_text()


class EntityKind(StrEnum):
    LINK = "link"
    HASHTAG = "hashtag"
    NAME = "name"
    CASHTAG = "cashtag"


@dataclass(frozen=True, slots=True)
class Entity:
    """`text` is as written, with its sign: `text[start:end]` of the whole."""

    kind: EntityKind
    text: str
    start: int
    end: int


_WORD: Final = (
    r"\p{L}\p{M}\p{Nd}_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
_HASHTAG: Final = regex.compile(
    rf"(?:^|(?<=[\ufe0e\ufe0f])|(?<=[^&{_WORD}]))[#＃](?![\ufe0f\u20e3])(?>[{_WORD}]*[\p{{L}}\p{{M}}][{_WORD}]*)(?![#＃]|://)"
)
_NAME: Final = regex.compile(
    r"(?:^|(?<=[^a-zA-Z0-9_!#$%&*@＠])|(?<=(?:^|[^a-zA-Z0-9_+~.-])(?:rt|RT|rT|Rt):?))"
    r"[@＠][a-zA-Z0-9_]{1,20}+(?:/[a-zA-Z][a-zA-Z0-9_-]{0,24})?+(?![@＠\u00c0-\u024f\u0253-\u02af\u0300-\u036f]|://)"
)
_CASHTAG: Final = regex.compile(
    r"(?:^|(?<=[\s\u2066-\u2069\u202a-\u202e\u061c\u200e\u200f]))\$[a-zA-Z]{1,6}(?:[._][a-zA-Z]{1,2})?(?=$|\s|\p{P}|\$)"
)


def entities_in(text: str) -> list[Entity]:
    """In the order of the text. What lies inside a link is nothing by itself."""
    links = _links(text)
    found = list(links)
    for kind, pattern in ((EntityKind.HASHTAG, _HASHTAG), (EntityKind.NAME, _NAME), (EntityKind.CASHTAG, _CASHTAG)):
        for match in pattern.finditer(text):
            if not any(link.start < match.end() and match.start() < link.end for link in links):
                found.append(Entity(kind, match[0], match.start(), match.end()))
    return sorted(found, key=lambda entity: entity.start)


def links_in(text: str) -> list[str]:
    """Every part of the text that X takes for a link, bare domains included."""
    return [link.text for link in _links(text)]


def _links(text: str) -> list[Entity]:
    found = TWITTER_TEXT.extract_urls_with_indices(text)
    return [Entity(EntityKind.LINK, each["url"], *each["indices"]) for each in found]
