"""How does X count, link and compare the text of a post?"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import regex

LINK_WEIGHT = 23
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3")
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}_-]*[\p{L}\p{N}])?"
# A link may not begin in the middle of a word, an address or a handle.
_LINK = regex.compile(
    rf"(?<![\p{{L}}\p{{N}}@#$＠＃_./-])(?P<scheme>https?://)?(?P<host>(?:{_LABEL}\.)+(?P<tld>xn--[a-z0-9-]+|[\p{{L}}]+))"
    r"(?![\p{L}\p{N}@_-]|\.[\p{L}\p{N}])(?::\d+)?(?P<path>/[^\s<>\"]*)?(?P<query>\?[^\s<>\"]*)?",
    regex.IGNORECASE,
)


_CASHTAG = regex.compile(r"(?<!\S)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?!\w)")


@cache
def _tlds() -> frozenset[str]:
    lines = (Path(__file__).parent / "tlds.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


@dataclass(frozen=True)
class Link:
    start: int
    end: int
    url: str


def links_in(text: str) -> list[Link]:
    """Links by twitter-text's rules: a scheme is not needed, a real top-level domain is."""
    found = []
    for match in _LINK.finditer(text):
        if match["tld"].lower() in _tlds():
            url = match[0].rstrip(".,;:!?'\")]}…")
            found.append(Link(match.start(), match.start() + len(url), url))
    return found


def cashtags_in(text: str) -> list[str]:
    """On self-serve plans a post holds one at most."""
    return _CASHTAG.findall(text)


def weighted_length(text: str) -> int:
    text = unicodedata.normalize("NFC", text)
    total, position = 0, 0
    for link in links_in(text):
        total += _weigh(text[position : link.start]) + LINK_WEIGHT
        position = link.end
    return total + _weigh(text[position:])


def _weigh(text: str) -> int:
    clusters = regex.findall(r"\X", text)
    return sum(2 if _EMOJI.match(cluster) else sum(map(_weight, cluster)) for cluster in clusters)


def _weight(letter: str) -> int:
    return 1 if any(first <= ord(letter) <= last for first, last in _LIGHT) else 2


def fold(text: str) -> str:
    """Two texts that fold to the same are duplicates of each other."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def with_short_links(text: str, post_id: str, *, media: bool) -> tuple[str, list[dict[str, Any]]]:
    """The text as X gives it back: HTML references for `& < >`, t.co for every link and once more for the media."""
    entities: list[dict[str, Any]] = []
    out, position = "", 0
    for number, link in enumerate(links_in(text)):
        short = f"https://t.co/{_short(post_id, number)}"
        out += escape(text[position : link.start], quote=False)
        whole = link.url if "://" in link.url else f"http://{link.url}"
        entities.append({"start": len(out), "end": len(out) + len(short), "url": short, "expanded_url": whole})
        out, position = out + short, link.end
    out += escape(text[position:], quote=False)
    if media:
        out = f"{out} https://t.co/{_short(post_id, 99)}".strip()
    return out, entities


def _short(post_id: str, number: int) -> str:
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value, name = int(post_id) * 100 + number, ""
    while len(name) < 10:
        value, digit = divmod(value, 62)
        name += letters[digit]
    return name
