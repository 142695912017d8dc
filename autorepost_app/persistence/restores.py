"""Did the database lose commits that it had acknowledged, and which publications may therefore have been sent?

A restored backup, a fail-over or a rolled back volume shows in the server's own marks, once somebody outside of it
remembers them: another server, another timeline, or a log that is shorter than it was. Each time opens a new epoch; a
publication is sent only once it has been looked for in the newest one (exactly-once R7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, exists, func, insert, or_, select, text
from sqlalchemy.orm import Session

from autorepost_app.domain.publications import FINAL, State
from autorepost_app.persistence.models import Publication, Restore

_MARKS: Final = text("""
    select s.system_identifier::text, c.timeline_id::bigint, d.oid::bigint, (pg_current_wal_flush_lsn() - '0/0')::bigint
    from pg_control_system() s, pg_control_checkpoint() c, pg_database d where d.datname = current_database()
""")
_ONE_AT_A_TIME: Final = text("select pg_advisory_xact_lock(hashtext('autorepost.restores'))")


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells one life of the database from another. `flushed` counts the bytes of its log that are on disk."""

    server: str
    timeline: int
    database: int
    flushed: int

    def follows(self, earlier: Marks) -> bool:
        """Whether a database with these marks still holds everything that one with the `earlier` marks held."""
        same = (self.server, self.timeline, self.database) == (earlier.server, earlier.timeline, earlier.database)
        return same and self.flushed >= earlier.flushed


def marks(session: Session) -> Marks:
    return Marks(*session.execute(_MARKS).one())


def alone(session: Session) -> None:
    """Until the end of this transaction nobody else opens an epoch."""
    session.execute(_ONE_AT_A_TIME)


def open_epoch(session: Session, *, lost_since: datetime, restored_at: datetime, reason: str) -> Restore:
    values = {"lost_since": lost_since, "restored_at": restored_at, "reason": reason}
    return session.scalars(insert(Restore).values(**values).returning(Restore)).one()


def epoch(session: Session) -> int:
    """The newest one; 0 where the database was never restored."""
    return session.scalars(select(_newest())).one()


def since(session: Session, looked_epoch: int) -> list[Restore]:
    """Those after which a publication has not been looked for, oldest first."""
    return list(session.scalars(select(Restore).where(Restore.epoch > looked_epoch).order_by(Restore.epoch)))


def looked_for() -> ColumnElement[bool]:
    """A condition on publications: nothing that the database forgot can have sent it."""
    return Publication.looked_epoch >= _newest()


def epoch_before(posted_at: ColumnElement[datetime]) -> ColumnElement[int]:
    """The epoch in which a post of that time needs no look: what appeared after a restore, nobody sent before it."""
    statement = select(func.coalesce(func.max(Restore.epoch), 0)).where(Restore.restored_at < posted_at)
    return statement.scalar_subquery()


def unlooked(now: datetime, limit: int) -> Select[Publication]:
    """Those due for a send that have to be looked for first and that nobody holds."""
    return (
        select(Publication)
        .where(Publication.state.in_([State.READY, State.STAGING]), Publication.due_at <= now, ~looked_for())
        .where(or_(Publication.lease_until.is_(None), Publication.lease_until < now))
        .order_by(Publication.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def has_twin(session: Session, row: Publication) -> bool:
    """Whether another one that has, or may get, the same words for the same account has to be looked for too."""
    other = (
        select(Publication.id)
        .where(Publication.platform == row.platform, Publication.external_account_id == row.external_account_id)
        .where(Publication.id != row.id, Publication.state.not_in(list(FINAL)), ~looked_for())
        # words that are not frozen yet may become the same
        .where(or_(Publication.fingerprint.is_(None), Publication.text["body"].astext == str(row.text.get("body", ""))))
    )
    return bool(session.scalar(select(exists(other))))


def unfinished(session: Session) -> dict[str, int]:
    """How many publications are on their way, by tenant."""
    statement = (
        select(Publication.tenant_id, func.count())
        .where(Publication.state.not_in([*FINAL, State.NEEDS_REVIEW]))
        .group_by(Publication.tenant_id)
    )
    return {str(tenant_id): int(count) for tenant_id, count in session.execute(statement)}


def _newest() -> ColumnElement[int]:
    return select(func.coalesce(func.max(Restore.epoch), 0)).scalar_subquery()
