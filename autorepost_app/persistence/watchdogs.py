"""Which promises are broken at the moment, and which were when somebody looked last?

Every question about publications is answered from a partial index that holds only what can be wrong, so that it costs
by what is unfinished and not by what there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import DateTime, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.domain import watchdogs as domain
from autorepost_app.domain.watchdogs import Watch
from autorepost_app.persistence.models import CHECKED, ENDED, UNFINISHED, Alarm, Publication, Restore

_FREE: Final = "(lease_until is null or lease_until < :late)"
_BROKEN: Final[Mapping[Watch, tuple[str, str]]] = {
    # since when, and under which condition
    Watch.NOT_TRIED: (
        "due_at",
        f"state in ('detected', 'preparing', 'ready', 'staging') and due_at < :late and {_FREE}",
    ),
    Watch.OVERDUE: (
        "greatest(publish_at, created_at)",
        f"{UNFINISHED} and publish_at < :late and created_at < :late"
        # a person had it repeated: promised anew
        " and not exists (select from activity a where a.post_id = p.post_id and a.publication_id = p.id"
        " and a.at >= :late and a.kind in"
        " ('publication.repeat', 'publication.repeat_prepare', 'publication.review_absent'))",
    ),
    Watch.LEASE_KEPT: (
        "case when lease_until < :late then lease_until else state_at end",
        f"{UNFINISHED} and lease_until is not null"
        " and (lease_until < :late or (state in ('staging', 'committing') and state_at < :held))",
    ),
    Watch.READS_LATE: ("due_at", f"state in ('unknown', 'reconciling') and due_at < :late and {_FREE}"),
}
_LATE: Final[Mapping[Watch, timedelta]] = {
    Watch.NOT_TRIED: domain.NOT_TRIED_AFTER,
    Watch.OVERDUE: domain.OVERDUE_AFTER,
    Watch.LEASE_KEPT: domain.LEASE_UNSWEPT,
    Watch.READS_LATE: domain.READS_LATE_AFTER,
}
_SOURCES: Final = """
    select c.id::text as subject, turn.since_at, jsonb_build_object(
        'tenant_id', c.tenant_id, 'connection_id', c.id, 'platform', c.platform, 'faults', c.poll_faults) as about
    from connections c
    join tenants t on t.id = c.tenant_id and t.suspended_at is null
    join unnest(cast(:platforms as text[]), cast(:lates as timestamptz[])) as limits(platform, late)
      on limits.platform = c.platform
    cross join lateral (select min(r.created_at) as at from rules r
      where r.tenant_id = c.tenant_id and r.source_connection_id = c.id and r.deleted_at is null) rule
    cross join lateral (select case
        when c.poll_faults > 0 and greatest(c.last_success_at, c.consented_at, rule.at) < :faulty
          then greatest(c.last_success_at, c.consented_at, rule.at)
        else greatest(c.last_polled_at, c.poll_not_before_at, c.consented_at, rule.at) end as since_at) turn
    where c.status = 'active' and rule.at is not null
      and (turn.since_at < limits.late or (c.poll_faults > 0 and turn.since_at < :faulty))
"""
WATCHED: Final = (*_BROKEN, Watch.SOURCE_STILL)
"""What the rows themselves show; the others are found by asking somebody."""


@dataclass(frozen=True, slots=True)
class Look:
    """When a look is made, and since when a source of each platform must have been asked."""

    now: datetime
    sources: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Standing:
    """How many alarms of one kind there are, and since when the oldest."""

    watch: Watch
    count: int
    since_at: datetime | None


def _broken(watch: Watch, look: Look) -> tuple[str, dict[str, Any]]:
    if watch is Watch.SOURCE_STILL:
        values = {"platforms": list(look.sources), "lates": list(look.sources.values())}
        return _SOURCES, {**values, "faulty": look.now - domain.SOURCE_FAULTY_AFTER}
    since, condition = _BROKEN[watch]
    values = {"late": look.now - _LATE[watch]}
    if ":held" in condition:
        values["held"] = look.now - domain.LEASE_HELD
    sql = f"""
        select p.id::text as subject, {since} as since_at, jsonb_build_object('tenant_id', tenant_id,
            'post_id', post_id, 'publication_id', id, 'connection_id', connection_id, 'platform', platform,
            'state', state, 'waits', waiting_for) as about
        from publications p where {condition}
    """  # noqa: S608  of constants alone
    return sql, values


def standing(session: Session, watch: Watch, look: Look) -> Standing:
    """How it is at this moment, whether anybody has looked or not."""
    sql, values = _broken(watch, look)
    count, since_at = session.execute(text(f"select count(*), min(since_at) from ({sql}) broken"), values).one()  # noqa: S608
    return Standing(watch, count, since_at)


def began(session: Session, watch: Watch, look: Look, *, most: int) -> list[Alarm]:
    """The oldest broken promises that had no alarm yet: now they have."""
    sql, values = _broken(watch, look)
    statement = text(f"""
        insert into alarms (watch, subject, since_at, began_at, about)
        select cast(:watch as text), subject, since_at, :now, about from ({sql}) broken
        where not exists (select from alarms a where a.watch = :watch and a.subject = broken.subject)
        order by since_at limit :most on conflict do nothing returning *
    """)  # noqa: S608
    bound = {**values, "watch": watch.value, "now": look.now, "most": most}
    return list(session.scalars(select(Alarm).from_statement(statement), bound))


def ended(session: Session, watch: Watch, look: Look) -> list[Alarm]:
    """Alarms whose promise is kept again: the rows are gone."""
    sql, values = _broken(watch, look)
    statement = text(f"""
        delete from alarms a where a.watch = :watch
          and not exists (select from ({sql}) broken where broken.subject = a.subject) returning *
    """)  # noqa: S608
    return list(session.scalars(select(Alarm).from_statement(statement), {**values, "watch": watch.value}))


def raise_alarm(
    session: Session, watch: Watch, subject: str, *, since_at: datetime, now: datetime, about: Mapping[str, Any]
) -> bool:
    """Whether it was not raised already."""
    values = {"watch": watch, "subject": subject, "since_at": since_at, "began_at": now, "about": dict(about)}
    statement = pg_insert(Alarm).values(**values).on_conflict_do_nothing().returning(Alarm.subject)
    return session.scalar(statement) is not None


def lower_alarm(session: Session, watch: Watch, subject: str) -> bool:
    """Whether it was raised."""
    gone = delete(Alarm).where(Alarm.watch == watch, Alarm.subject == subject).returning(Alarm.subject)
    return session.scalar(gone) is not None


def alarms(session: Session, subject: str | None = None) -> list[Alarm]:
    """Those that last, the oldest first; of one subject, or of all."""
    wanted = select(Alarm).order_by(Alarm.since_at, Alarm.subject)
    return list(session.scalars(wanted if subject is None else wanted.where(Alarm.subject == subject)))


def raised(session: Session) -> dict[Watch, Standing]:
    """How many alarms last, by watch."""
    rows = session.execute(select(Alarm.watch, func.count(), func.min(Alarm.since_at)).group_by(Alarm.watch))
    return {Watch(watch): Standing(Watch(watch), count, since_at) for watch, count, since_at in rows}


def database_time(session: Session) -> datetime:
    """Not of the transaction's beginning, but of now."""
    return session.execute(select(func.clock_timestamp().cast(DateTime(timezone=True)))).scalar_one()


# ---------------------------------------------------------------------------------------------------------- counts


def unfinished(session: Session) -> list[tuple[str, str, int]]:
    """State, platform and how many."""
    return _counted(session, UNFINISHED, {})


def ended_since(session: Session, since: datetime) -> list[tuple[str, str, int]]:
    """The same for those that came to an end since then."""
    return _counted(session, f"{ENDED} and state_at >= :since", {"since": since})


def in_review(session: Session) -> list[tuple[str, str, int]]:
    return _counted(session, "state = 'needs_review'", {})


def _counted(session: Session, condition: str, values: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    sql = f"select state, platform, count(*) from publications where {condition} group by state, platform"  # noqa: S608
    return [(state, platform, count) for state, platform, count in session.execute(text(sql), dict(values))]


# ---------------------------------------------------------------------------------------------------------- checks


def to_check(session: Session, now: datetime, limit: int, leave_out: Sequence[str]) -> list[Publication]:
    """Claims, for a while, publications at rest whose check is due, of platforms that are not left out."""
    chosen = (
        select(Publication.id)
        .where(text(CHECKED), Publication.check_at <= now, Publication.platform.not_in(list(leave_out)))
        .order_by(Publication.check_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    held = update(Publication).where(Publication.id.in_(chosen)).values(check_at=now + domain.CHECKS_HELD)
    return list(session.scalars(held.returning(Publication), execution_options={"populate_existing": True}))


def check_again(session: Session, row: Publication, at: datetime | None) -> None:
    """When to look again, unless it has moved since; None for never."""
    same = (Publication.id == row.id, Publication.state == row.state, Publication.state_at == row.state_at)
    session.execute(update(Publication).where(*same).values(check_at=at))


def check_after(session: Session, restore: Restore, now: datetime) -> int:
    """Has those looked for that had ended when the database was restored, and that may have been sent in the time that
    it forgot: what ended since then, and failures that a person may have had repeated. How many."""
    statement = text(f"""
        update publications set check_at = :now where {ENDED} and state in ('failed', 'cancelled', 'skipped')
          and looked_epoch < :epoch and state_at >= :repeatable and (state_at >= :lost_since or state = 'failed')
        returning id
    """)  # noqa: S608
    repeatable = restore.lost_since - domain.REPEATABLE
    values = {"now": now, "epoch": restore.epoch, "lost_since": restore.lost_since, "repeatable": repeatable}
    return len(session.execute(statement, values).all())
