"""Is a post that X shows made of our words?

X gives a text back changed: every link is a t.co one, one more t.co link for the video stands at the end, and the
letters `& < >` are HTML references. Long texts have been seen cut.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, Final

from autorepost_app.platforms.x.entities import links_in

_SHORT: Final = re.compile(r"https://t\.co/\w+")
_LINK: Final = "\ufffc"
_CUT_FROM_CHARACTERS: Final = 200


def are_ours(body: str, post: Mapping[str, Any]) -> bool | None:
    """None where it cannot be told: a link that X does not resolve for us, or a text that X cut."""
    links = links_in(body)
    ours = _even(_with_marks(body, links))
    shown = str(post.get("text", ""))
    media_link = list(_SHORT.finditer(shown))[-1:]
    shown = shown[: media_link[0].start()] if media_link else shown
    # our own text may hold what looks like an HTML reference, and X may one day stop writing them
    readings = {_even(_SHORT.sub(_LINK, text)) for text in (shown, html.unescape(shown))}
    if ours in readings:
        return _same_links(links, _SHORT.findall(shown), post)
    cut = [text.rstrip("…") for text in readings if len(text) > _CUT_FROM_CHARACTERS]
    return None if any(ours.startswith(text) for text in cut) else False


def _with_marks(body: str, links: list[str]) -> str:
    out, rest = "", body
    for link in links:
        before, _, rest = rest.partition(link)
        out += before + _LINK
    return out + rest


def _same_links(ours: list[str], short: list[str], post: Mapping[str, Any]) -> bool | None:
    told = {str(each.get("url")): each.get("expanded_url") for each in (post.get("entities") or {}).get("urls") or ()}
    theirs = [told.get(url) for url in short]
    if None in theirs:
        return None
    return [_bare(link) for link in ours] == [_bare(str(link)) for link in theirs]


def _bare(link: str) -> str:
    """X adds a scheme to a bare domain, and a slash to an address without a path."""
    return re.sub(r"^https?://", "", link, flags=re.IGNORECASE).rstrip("/").casefold()


def _even(text: str) -> str:
    return " ".join(text.split())
