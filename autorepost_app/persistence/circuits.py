"""How is it kept which platforms and accounts do not answer?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.domain.circuits import CAUSE
from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import GAP_SECONDS
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


def count_fault(session: Session, platform: str, account: str, *, by: str, text: str, detail: str) -> Circuit:
    """One fault more in a row. `by` is the account that had it; of one account the whole platform counts it once."""
    row = pg_insert(Circuit).values(
        platform=platform, account=account, faults=1, last_account=by, text=text, detail=detail
    )
    another = case((Circuit.last_account != by, 1), else_=0)
    counted = row.on_conflict_do_update(
        index_elements=["platform", "account"],
        set_={
            "faults": Circuit.faults + (another if account == WHOLE else 1),
            "last_account": by,
            "text": text,
            "detail": detail,
        },
    )
    return session.scalars(counted.returning(Circuit), execution_options={"populate_existing": True}).one()


def close(session: Session, platform: str, account: str) -> bool:
    """Forgets the faults of the account and of the platform; whether a circuit was open."""
    gone = delete(Circuit).where(Circuit.platform == platform, Circuit.account.in_([WHOLE, account]))
    return any(opened_at is not None for opened_at in session.scalars(gone.returning(Circuit.opened_at)))


def wake(session: Session, platform: str, now: datetime) -> int:
    """What was held off on that platform goes on, one after the other, the oldest first; how many there are.

    Those of an account whose own circuit is still open find that out for themselves.
    """
    turn = (
        select(Publication.id, func.row_number().over(order_by=(Publication.publish_at, Publication.id)).label("turn"))
        .where(Publication.platform == platform, Publication.cause == CAUSE)
        .where(Publication.state == State.READY, Publication.lease_until.is_(None))
        .cte("turns")
    )
    gap = timedelta(seconds=GAP_SECONDS)
    woken = (
        update(Publication)
        .where(Publication.id == turn.c.id)
        .values(due_at=func.greatest(Publication.publish_at, now + (turn.c.turn - 1) * gap), cause="", waiting_for="")
    )
    return len(session.execute(woken.returning(Publication.id)).all())
