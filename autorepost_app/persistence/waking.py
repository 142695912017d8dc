"""What waited for something that is over now: which publications go on, and when each of them?

Only what waited for it: whoever waits for something else would ask in vain. One post after the other, the oldest first.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import GAP_SECONDS, WOKEN_WITHIN_SECONDS
from autorepost_app.persistence.models import Post, Publication
from autorepost_app.persistence.publications import without_files


def reconnected(session: Session, connection_id: str, now: datetime, *, cause: str, text: str) -> int:
    """What waited for that connection, in either of its roles, but nothing before its rule wants it; how many.

    They say so by `cause`; the one that found the grant dead says in the platform's own words, `text`.
    """
    asked = or_(Publication.cause == cause, and_(Publication.waiting_for == text, Publication.waiting_for != ""))
    sends = and_(Publication.state.in_([State.READY, State.STAGING]), asked)
    reads = Publication.state.in_([State.UNKNOWN, State.RECONCILING])
    fetches = and_(Post.connection_id == connection_id, Publication.state == State.PREPARING, asked)
    return _wake(session, or_(and_(Publication.connection_id == connection_id, or_(sends, reads)), fetches), now)


def files_come(session: Session, platform: str, now: datetime, *, causes: Collection[str]) -> int:
    """What waited, for one of these causes, for files of that source; how many publications."""
    return _wake(session, and_(without_files(platform), Publication.cause.in_(causes)), now)


def has_file(session: Session, post_id: str, now: datetime) -> int:
    """What waited for the file of that post, for whatever cause; how many publications."""
    return _wake(session, and_(Publication.post_id == post_id, Publication.state == State.PREPARING), now)


def _wake(session: Session, waiting: ColumnElement[bool], now: datetime) -> int:
    wanted = (Post.id == Publication.post_id, waiting, Publication.lease_until.is_(None))
    turn = func.dense_rank().over(order_by=(Post.posted_at, Post.id)) - 1
    turns = select(Publication.id, turn.label("turn")).where(*wanted).cte("turns")
    posts = select(func.max(turns.c.turn) + 1).scalar_subquery()
    gap = func.least(GAP_SECONDS, WOKEN_WITHIN_SECONDS / posts)
    at = now + func.make_interval(0, 0, 0, 0, 0, 0, turns.c.turn * gap)
    fetches = Publication.state == State.PREPARING
    woken = (
        update(Publication)
        .where(Publication.id == turns.c.id, *wanted)  # asked again of the locked row: it may be claimed meanwhile
        .values(
            due_at=case((fetches, at), else_=func.greatest(Publication.publish_at, at)),
            waiting_for="",
            cause=case((Publication.state.in_([State.UNKNOWN, State.RECONCILING]), Publication.cause), else_=""),
        )
    )
    return len(session.execute(woken.returning(Publication.id)).all())
