"""How does X count, show and compare the text of a post?"""

import unicodedata
from html import escape
from typing import Any

import regex

from autorepost_app.sandbox.x.links import links_in

LINK_WEIGHT = 23
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
_ONE = r"\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?[\U000E0020-\U000E007F]*"
_EMOJI = regex.compile(rf"\p{{Regional_Indicator}}{{2}}|[0-9#*]\uFE0F?\u20E3|{_ONE}(?:\u200D{_ONE})*")
_CASHTAG = regex.compile(r"(?<!\S)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?!\w)")


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
    """An emoji counts 2, of however many parts."""
    rest, emoji = _EMOJI.subn("", text)
    return 2 * emoji + sum(map(_weight, rest))


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
