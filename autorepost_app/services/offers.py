"""Which posts have something to do now, and what about each?"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import UNSENT, State
from autorepost_app.persistence import posts, publications
from autorepost_app.persistence.models import Post, Publication
from autorepost_app.services.house import House

OFFER_LASTS: Final = timedelta(minutes=2)
"""Then whoever was to start a run for it may have died before it did; a run that takes longer is asked for."""
_NEEDS_FILE: Final = frozenset({State.DETECTED, State.PREPARING})

AtWork = Callable[[Collection[PostIdentity]], Collection[PostIdentity]]
"""Of these posts, those that have a run waiting or under way."""


def nobody(_posts: Collection[PostIdentity]) -> Collection[PostIdentity]:
    return ()


@dataclass(frozen=True, slots=True)
class Offer:
    """Work on one post. `from_start` says that its file has to be fetched or prepared first; `number` makes two
    offers of one post tell apart. `publications` are those it is about, `platforms` where they are to go."""

    identity: PostIdentity
    tenant_id: str
    connection_id: str
    from_start: bool
    number: str
    publications: tuple[str, ...]
    platforms: tuple[str, ...]


def offer(house: House, scope: SystemScope, *, limit: int, at_work: AtWork = nobody) -> list[Offer]:
    """Claims posts with something due for a while; the same post is not offered again until its run is over.

    A post that several tenants have is offered once, for all of them.
    """
    now = house.clock()
    with house.db.system(scope) as session:
        claimed = posts.offer(session, now=now, until=now + OFFER_LASTS, limit=limit)
        rows = publications.of_posts(session, [post.id for post, _ in claimed])
    made: dict[PostIdentity, Offer] = {}
    for post, _ in claimed:
        each = _offer(post, [row for row in rows if row.post_id == post.id and row.state in UNSENT])
        first = made.get(each.identity)
        made[each.identity] = _together(first, each) if first else each
    busy = frozenset(at_work({post.identity for post, again in claimed if again}))
    return [each for identity, each in made.items() if identity not in busy]


def close(house: House, scope: SystemScope, identity: PostIdentity) -> None:
    """The run for a post is over, well or not."""
    with house.db.system(scope) as session:
        posts.close_offer(session, identity)


def _offer(post: Post, rows: list[Publication]) -> Offer:
    number = post.offered_until.isoformat() if post.offered_until else ""
    return Offer(
        post.identity,
        post.tenant_id,
        post.connection_id,
        any(row.state in _NEEDS_FILE for row in rows),
        number,
        tuple(sorted(row.id for row in rows)),
        tuple(sorted({row.platform for row in rows})),
    )


def _together(first: Offer, other: Offer) -> Offer:
    return replace(
        first,
        from_start=first.from_start or other.from_start,
        publications=tuple(sorted({*first.publications, *other.publications})),
        platforms=tuple(sorted({*first.platforms, *other.platforms})),
    )
