"""What is the honest story of one post? Read for people: operators in the run, creators in the app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from autorepost_app.domain.identity import Scope, SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import FINAL, UNSENT, State
from autorepost_app.persistence import connections, ledger, posts, publications, rules
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import (
    Activity,
    Connection,
    Original,
    Post,
    Publication,
    Rendition,
)
from autorepost_app.services.house import House
from autorepost_app.services.receipts import Receipt, Trail, page

_OVERDUE = timedelta(hours=1)
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Story:
    """One tenant's post with everything that came of it."""

    post: Post
    source: Connection
    original: Original | None
    renditions: Sequence[Rendition]
    publications: Sequence[Publication]
    activity: Sequence[Activity]

    @property
    def unsettled(self) -> list[Publication]:
        return [row for row in self.publications if State(row.state) not in FINAL]

    def stuck(self, now: datetime) -> list[Publication]:
        """On their way, nobody at work on them, and long overdue: there must be none."""
        return [
            row
            for row in self.unsettled
            if row.state != State.NEEDS_REVIEW and row.lease_until is None and now - row.due_at > _OVERDUE
        ]


def stories(house: House, scope: SystemScope, identity: PostIdentity) -> list[Story]:
    """The post in every tenant that has it."""
    with house.db.system(scope) as session:
        return _stories(session, posts.with_identity(session, identity))


def post_ids(house: House, scope: SystemScope, identity: PostIdentity) -> list[str]:
    """The same posts, where their ids are all that is wanted."""
    with house.db.system(scope) as session:
        return [post.id for post in posts.with_identity(session, identity)]


def unsent(house: House, scope: SystemScope, identity: PostIdentity, platform: str) -> list[Publication]:
    """What the post still owes one platform, in every tenant that has it."""
    with house.db.system(scope) as session:
        ids = [post.id for post in posts.with_identity(session, identity)]
        rows = publications.of_posts(session, ids)
    return [row for row in rows if row.platform == platform and row.state in UNSENT]


def story(house: House, scope: Scope, post_id: str) -> Story:
    """Raises KeyError for a post that the scope cannot see."""
    with house.db.session(scope) as session:
        return _stories(session, [posts.get(session, post_id)])[0]


def recent(house: House, scope: Scope, *, limit: int = 50) -> list[Story]:
    """The newest posts that the scope can see."""
    with house.db.session(scope) as session:
        return _stories(session, posts.newest(session, limit))


def partition_key_of(house: House, scope: SystemScope, post_id: str) -> str:
    with house.db.system(scope) as session:
        post = posts.get(session, post_id)
    return post.identity.partition_key()


def receipt(house: House, scope: Scope, publication_id: str) -> Receipt:
    """Raises KeyError for a publication that the scope cannot see."""
    return page(trail(house, scope, publication_id), house.platforms.name)


def receipts(house: House, scope: Scope, post_id: str) -> list[Receipt]:
    """One for each publication of a post. Raises KeyError for a post that the scope cannot see."""
    with house.db.session(scope) as session:
        rows = publications.of_post(session, posts.get(session, post_id).id)
        return [page(_trail(session, row), house.platforms.name) for row in rows]


def trail(house: House, scope: Scope, publication_id: str) -> Trail:
    """The rows behind a receipt. Raises KeyError for a publication that the scope cannot see."""
    with house.db.session(scope) as session:
        return _trail(session, publications.get(session, publication_id))


def _trail(session: Session, row: Publication) -> Trail:
    return Trail(
        publication=row,
        connection=connections.get(session, row.connection_id),
        post=posts.get(session, row.post_id),
        rule=rules.name_of(session, row.rule_id) if row.rule_id else None,
        original=posts.original_of(session, row.post_id),
        rendition=posts.rendition(session, row.rendition_id) if row.rendition_id else None,
        attempts=publications.attempts_of(session, row.id),
        evidence=publications.evidence_of(session, row.id),
        activity=ledger.activity_of_posts(session, [row.post_id]),
    )


def recent_activity(house: House, scope: Scope, *, limit: int = 100) -> list[Activity]:
    with house.db.session(scope) as session:
        return ledger.newest_activity(session, limit)


def run_failed(house: House, scope: SystemScope, identity: PostIdentity, run_id: str, error: str) -> None:
    """A run broke: a line for the tenants concerned, whose publications are unharmed and are offered again."""
    with house.db.system(scope) as session:
        for post in posts.with_identity(session, identity):
            ledger.tell(
                session,
                tenant_id=post.tenant_id,
                at=house.clock(),
                kind="run.failed",
                text="Something broke on our side while working on this video. It will be tried again.",
                detail=f"run {run_id}: {error}",
                post_id=post.id,
            )
        posts.close_offer(session, identity)


def _stories(session: Session, found: Sequence[Post]) -> list[Story]:
    """However many posts there are, one question for each kind of thing that belongs to them."""
    ids = [post.id for post in found]
    sources = connections.by_id(session, [post.connection_id for post in found])
    originals = posts.originals_of(session, ids)
    renditions = _grouped(posts.renditions_of(session, [each.id for each in originals.values()]), "original_id")
    promised = _grouped(publications.of_posts(session, ids), "post_id")
    lines = _grouped(ledger.activity_of_posts(session, ids), "post_id")
    return [
        Story(
            post=post,
            source=sources[post.connection_id],
            original=originals.get(post.id),
            renditions=renditions[originals[post.id].id] if post.id in originals else (),
            publications=promised[post.id],
            activity=lines[post.id],
        )
        for post in found
    ]


def _grouped(rows: Iterable[_Row], column: str) -> defaultdict[str, list[_Row]]:
    groups: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, column)].append(row)
    return groups
