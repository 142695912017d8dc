"""How is it kept which platforms and accounts do not answer?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.domain.circuits import CAUSE
from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import GAP_SECONDS, WOKEN_WITHIN_SECONDS
from autorepost_app.persistence.models import Circuit, Publication

WHOLE = ""
"""In place of an account: the circuit of the platform as a whole."""


def of(session: Session, platform: str, account: str) -> Sequence[Circuit]:
    """The platform's circuit and the account's, where they have had a fault lately. Locked, the platform's first."""
    wanted = select(Circuit).where(Circuit.platform == platform, Circuit.account.in_([WHOLE, account]))
    return session.scalars(wanted.order_by(Circuit.account).with_for_update()).all()


def all_open(session: Session) -> Sequence[Circuit]:
    """The longest open first."""
    return session.scalars(select(Circuit).where(Circuit.opened_at.is_not(None)).order_by(Circuit.opened_at)).all()


def ready_to_count(session: Session, platform: str, account: str) -> Sequence[Circuit]:
    """The same, made where they are missing."""
    rows = [{"platform": platform, "account": each} for each in (WHOLE, account)]
    session.execute(pg_insert(Circuit).values(rows).on_conflict_do_nothing())
    return of(session, platform, account)


def any_fault(session: Session, platform: str) -> bool:
    """Whether anything is kept about the platform; locks nothing."""
    return session.scalars(select(Circuit.platform).where(Circuit.platform == platform).limit(1)).first() is not None


def wake(session: Session, platform: str, now: datetime) -> int:
    """What was held off on that platform goes on, one after the other, the oldest first; how many there are.

    Those of an account whose own circuit is still open find that out for themselves.
    """
    held = (
        Publication.platform == platform,
        Publication.cause == CAUSE,
        Publication.state == State.READY,
        Publication.lease_until.is_(None),
    )
    turn = func.row_number().over(order_by=(Publication.publish_at, Publication.id)) - 1
    gap = func.least(GAP_SECONDS, WOKEN_WITHIN_SECONDS / func.count().over())
    turns = select(Publication.id, (turn * gap).label("seconds")).where(*held).cte("turns")
    after = func.make_interval(0, 0, 0, 0, 0, 0, turns.c.seconds)
    woken = (
        update(Publication)
        .where(Publication.id == turns.c.id, *held)  # asked again of the locked row: it may have been claimed meanwhile
        .values(due_at=func.greatest(Publication.publish_at, now + after), cause="", waiting_for="")
    )
    return len(session.execute(woken.returning(Publication.id)).all())
