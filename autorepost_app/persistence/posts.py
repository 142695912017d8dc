"""How are posts and their files read and written?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import FINAL, UNSENT
from autorepost_app.persistence.engine import wrote
from autorepost_app.persistence.models import (
    Connection,
    Original,
    Post,
    Publication,
    Rendition,
)


def add(session: Session, rows: Iterable[Mapping[str, Any]]) -> list[Post]:
    """Inserts posts; those already known are left out of the answer."""
    values = list(rows)
    if not values:
        return []
    wrote(session, "detect")
    statement = pg_insert(Post).values(values).on_conflict_do_nothing().returning(Post)
    return list(session.scalars(statement, execution_options={"populate_existing": True}))


def known_ids(session: Session, connection: Connection, external_ids: Iterable[str]) -> set[str]:
    """Which of these posts of that account the tenant already has."""
    statement = select(Post.external_post_id).where(
        Post.tenant_id == connection.tenant_id,
        Post.platform == connection.platform,
        Post.external_account_id == connection.external_account_id,
        Post.external_post_id.in_(list(external_ids)),
    )
    return set(session.scalars(statement))


def get(session: Session, post_id: str) -> Post:
    """Raises KeyError for an id that is not visible here."""
    found = session.get(Post, post_id, populate_existing=True)
    if found is None:
        raise KeyError(post_id)
    return found


def with_identity(session: Session, identity: PostIdentity) -> list[Post]:
    """The same post may belong to several tenants that share a source account."""
    statement = select(Post).where(
        Post.platform == identity.platform,
        Post.external_account_id == identity.external_account_id,
        Post.external_post_id == identity.external_post_id,
    )
    return list(session.scalars(statement.order_by(Post.detected_at, Post.id)))


def newest(session: Session, limit: int) -> list[Post]:
    return list(session.scalars(select(Post).order_by(Post.posted_at.desc(), Post.id).limit(limit)))


def offer(session: Session, *, now: datetime, until: datetime, limit: int) -> list[tuple[Post, bool]]:
    """Claims, until `until`, posts that have something due and no offer that still holds: one of each tenant in turn,
    of each tenant the oldest first. So a queue that a limit has held up delays nobody else's posts.

    Each with whether an earlier offer of it ran out, which may be because its run takes long.
    """
    wrote(session, "offer")
    chosen = {post_id: ran_out is not None for post_id, ran_out in session.execute(_in_turn(now, limit))}
    statement = update(Post).where(Post.id.in_(chosen)).values(offered_until=until).returning(Post)
    claimed = {row.id: row for row in session.scalars(statement, execution_options={"populate_existing": True})}
    return [(claimed[post_id], again) for post_id, again in chosen.items()]


def _in_turn(now: datetime, limit: int) -> Select[str, datetime | None]:
    free = or_(Post.offered_until.is_(None), Post.offered_until < now)
    wanted_at = func.min(Publication.publish_at)
    turn = func.row_number().over(partition_by=Publication.tenant_id, order_by=(wanted_at, Publication.post_id))
    due = (
        select(Publication.post_id, turn.label("turn"), wanted_at.label("wanted_at"))
        .join(Post, Post.id == Publication.post_id)
        .where(Publication.state.in_(UNSENT), Publication.due_at <= now, free)
        .where(or_(Publication.lease_until.is_(None), Publication.lease_until < now))
        .group_by(Publication.tenant_id, Publication.post_id)
        .cte("due")
    )
    return (
        select(Post.id, Post.offered_until)
        .join(due, due.c.post_id == Post.id)
        .where(free)  # asked again of the locked row: another tick may have claimed it meanwhile
        .order_by(due.c.turn, due.c.wanted_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Post)
    )


def finished(session: Session, *, before: datetime) -> list[PostIdentity]:
    """Identities found before that time of which no tenant has anything unfinished."""
    whole = tuple_(Post.platform, Post.external_account_id, Post.external_post_id)
    unfinished = select(whole).join(Publication, Publication.post_id == Post.id).where(Publication.state.not_in(FINAL))
    rows = session.execute(select(*whole.clauses).where(Post.detected_at < before, whole.not_in(unfinished)).distinct())
    return [PostIdentity(*row) for row in rows]


def close_offer(session: Session, identity: PostIdentity) -> None:
    """The run for that post has ended, well or not: it may be offered again as soon as something is due."""
    session.execute(
        update(Post)
        .where(
            Post.platform == identity.platform,
            Post.external_account_id == identity.external_account_id,
            Post.external_post_id == identity.external_post_id,
        )
        .values(offered_until=None)
    )


def set_full_caption(session: Session, post_id: str, caption: str) -> None:
    session.execute(update(Post).where(Post.id == post_id).values(full_caption=caption))


def original_of(session: Session, post_id: str) -> Original | None:
    return session.scalars(select(Original).where(Original.post_id == post_id)).one_or_none()


def originals_of(session: Session, post_ids: Collection[str]) -> dict[str, Original]:
    """By post, of those that have one."""
    found = session.scalars(select(Original).where(Original.post_id.in_(post_ids)))
    return {original.post_id: original for original in found}


def save_original(session: Session, values: Mapping[str, Any]) -> Original:
    """Keeps the first one written: a second fetch of the same post changes nothing."""
    wrote(session, "fetch")
    session.execute(pg_insert(Original).values(dict(values)).on_conflict_do_nothing(index_elements=["post_id"]))
    return session.scalars(select(Original).where(Original.post_id == values["post_id"])).one()


def rendition(session: Session, rendition_id: str) -> Rendition:
    """Raises KeyError for an id that is not visible here."""
    found = session.get(Rendition, rendition_id)
    if found is None:
        raise KeyError(rendition_id)
    return found


def renditions_of(session: Session, original_ids: Collection[str]) -> list[Rendition]:
    """In the order in which they were made."""
    statement = select(Rendition).where(Rendition.original_id.in_(original_ids)).order_by(Rendition.made_at)
    return list(session.scalars(statement))


def save_rendition(session: Session, values: Mapping[str, Any]) -> Rendition:
    """Keeps the first one written for each way of making."""
    wrote(session, "render")
    statement = pg_insert(Rendition).values(dict(values)).on_conflict_do_nothing(index_elements=["original_id", "spec"])
    session.execute(statement)
    return session.scalars(
        select(Rendition).where(Rendition.original_id == values["original_id"], Rendition.spec == values["spec"])
    ).one()
