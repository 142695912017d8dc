"""Which posts have something to do now, and what about each?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import State
from autorepost_app.persistence import posts, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Post
from autorepost_app.services.house import House

_OFFER_LASTS = timedelta(minutes=15)
_NEEDS_FILE = frozenset({State.DETECTED, State.PREPARING})


@dataclass(frozen=True, slots=True)
class Offer:
    """Work on one post. `from_start` says that its file has to be fetched or prepared first; `number` makes two
    offers of one post tell apart."""

    identity: PostIdentity
    tenant_id: str
    connection_id: str
    from_start: bool
    number: str


def offer(house: House, scope: SystemScope, *, limit: int) -> list[Offer]:
    """Claims posts with something due for a while; the same post is not offered again until its run is over.

    A post that several tenants have is offered once, for all of them.
    """
    now = house.clock()
    with house.db.system(scope) as session:
        rows = posts.offer(session, now=now, until=now + _OFFER_LASTS, limit=limit)
        made: dict[PostIdentity, Offer] = {}
        for each in (_offer(session, row) for row in rows):
            first = made.setdefault(each.identity, each)
            made[each.identity] = replace(first, from_start=first.from_start or each.from_start)
    return list(made.values())


def close(house: House, scope: SystemScope, identity: PostIdentity) -> None:
    """The run for a post is over, well or not."""
    with house.db.system(scope) as session:
        posts.close_offer(session, identity)


def _offer(session: Session, post: Post) -> Offer:
    states = {State(row.state) for row in publications.of_post(session, post.id)}
    number = post.offered_until.isoformat() if post.offered_until else ""
    return Offer(post.identity, post.tenant_id, post.connection_id, bool(states & _NEEDS_FILE), number)
