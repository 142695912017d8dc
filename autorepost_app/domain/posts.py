"""What appeared at a source, and how is it told apart from every other post?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class PostIdentity:
    """External ids only: they survive reconnects, renamed handles and a restored database."""

    platform: str
    external_account_id: str
    external_post_id: str

    def partition_key(self) -> str:
        """`<platform>:<external account id>:<external post id>`; a colon inside an id is percent-encoded."""
        return ":".join(
            quote(part, safe="-._~@") for part in (self.platform, self.external_account_id, self.external_post_id)
        )

    @classmethod
    def from_partition_key(cls, key: str) -> PostIdentity:
        """Raises ValueError for a key that is not of three parts."""
        parts = key.split(":")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{key!r} is not <platform>:<account id>:<post id>")
        return cls(*(unquote(part) for part in parts))


@dataclass(frozen=True, slots=True)
class SourcePost:
    """A post as its source lists it. `caption` may be cut by the source; `full_caption` comes with the file.

    `counts` are the source's public numbers by name (views, likes, ...), absent where not given.
    """

    external_post_id: str
    posted_at: datetime
    caption: str
    url: str
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    cover_url: str | None = None
    kind: str = "video"
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PostPage:
    """One page of a source's list, newest first. `next_cursor` is None on the last page."""

    posts: tuple[SourcePost, ...]
    next_cursor: str | None
