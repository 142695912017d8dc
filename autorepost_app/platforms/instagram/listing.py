"""What has an account published lately, and which of it carries our words?"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from autorepost_app.platform_kit.protocol import Grant
from autorepost_app.platforms.instagram import quotas
from autorepost_app.platforms.instagram.graph import Graph, edge

_FIELDS: Final = "id,caption,timestamp,permalink,media_product_type"
_ROWS_A_PAGE: Final = "50"
EVERYTHING: Final = 200
"""Pages that hold the 10,000 posts which are all that the list ever shows."""


@dataclass(frozen=True, slots=True)
class Reel:
    """One row of the list; `words` and `at` are None where the row does not tell them, `id` and `url` likewise."""

    id: str
    url: str | None
    at: datetime | None
    words: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """`whole`: every page there was has been read."""

    reels: tuple[Reel, ...]
    whole: bool

    def saying(self, words: str) -> list[Reel]:
        return [reel for reel in self.reels if (reel.words or "") == words]

    @property
    def shows_words(self) -> bool:
        return any(reel.words is not None for reel in self.reels)


def published_since(graph: Graph, grant: Grant, since: datetime, pages_at_most: int) -> Listed:
    """The Reels since then, newest first."""
    reels: list[Reel] = []
    pages = graph.pages(
        edge(grant, "media"),
        grant.access_token,
        counts=quotas.LIST,
        account=grant.account.external_id,
        fields=_FIELDS,
        since=str(int(since.timestamp())),
        limit=_ROWS_A_PAGE,
    )
    for number, page in enumerate(pages, start=1):
        reels += [_reel(row) for row in page.rows if _is_reel(row)]
        if page.last or number == pages_at_most:
            return Listed(tuple(reel for reel in reels if reel.at is None or reel.at >= since), page.last)
    return Listed((), whole=True)


def _is_reel(row: Mapping[str, Any]) -> bool:
    # Meta's pages disagree on whether Instagram's own login is told the product type: it may be missing.
    return row.get("media_product_type") in (None, "REELS")


def _reel(row: Mapping[str, Any]) -> Reel:
    at, caption = row.get("timestamp"), row.get("caption")
    return Reel(
        id=str(row.get("id") or ""),
        url=row.get("permalink"),
        at=datetime.fromisoformat(str(at)) if at else None,
        words=None if caption is None else folded(str(caption)),
    )


def folded(caption: str) -> str:
    """A caption for comparing: Instagram may compose letters and trim spaces differently from us."""
    return " ".join(unicodedata.normalize("NFC", caption).split())
