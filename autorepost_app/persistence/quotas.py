"""How are calls counted under their limits, so that racing processes never count beyond one?

The counting itself is a function of the database (migration 0005): one statement, one round trip, a lock for each limit
held for as long as the statement takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, DateTime, Text, and_, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from autorepost_app.domain.publications import UNSENT, State
from autorepost_app.domain.quotas import Span
from autorepost_app.persistence.engine import Statement
from autorepost_app.persistence.models import Allowance, Publication, QuotaWindow

_WHEN: Final = DateTime(timezone=True)
_RESERVE: Final = text(
    "select full_quota, room_at from quota_reserve("
    ":platform, :at, :quotas, :subjects, :since, :starts, :ends, :costs, :limits)"
).bindparams(
    bindparam("quotas", type_=ARRAY(Text)),
    bindparam("subjects", type_=ARRAY(Text)),
    bindparam("since", type_=ARRAY(_WHEN)),
    bindparam("starts", type_=ARRAY(_WHEN)),
    bindparam("ends", type_=ARRAY(_WHEN)),
    bindparam("costs", type_=ARRAY(BigInteger)),
    bindparam("limits", type_=ARRAY(BigInteger)),
)
_SETTLE: Final = text(
    "select quota_settle(:platform, :at, :quota, :subject, :since, :ends, :fresh_after,"
    " cast(:most as bigint), cast(:limit as bigint), cast(:remaining as bigint), cast(:reset as timestamptz))"
)
_KEEP_DAYS: Final = timedelta(days=40)
"""Counts of whole days are kept for a month's bill, those of short spans only while they may matter."""


@dataclass(frozen=True, slots=True)
class Count:
    """What one call takes from one limit. `limit` None: it is only counted."""

    quota: str
    subject: str
    span: Span
    cost: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Full:
    """A limit without room, and the moment at which there is some again."""

    quota: str
    room_at: datetime


@dataclass(frozen=True, slots=True)
class Used:
    """How one limit stands: what counts now, when the first of it leaves, when the last."""

    used: int
    frees_at: datetime | None
    empty_at: datetime | None


NOTHING: Final = Used(0, None, None)


def reserve(statement: Statement, platform: str, at: datetime, counts: Sequence[Count]) -> list[Full]:
    """Counts the call under all of these limits and gives nothing, or counts nothing and gives those without room."""
    rows = statement(
        _RESERVE,
        {
            "platform": platform,
            "at": at,
            "quotas": [each.quota for each in counts],
            "subjects": [each.subject for each in counts],
            "since": [each.span.since for each in counts],
            "starts": [each.span.starts_at for each in counts],
            "ends": [each.span.ends_at for each in counts],
            "costs": [each.cost for each in counts],
            "limits": [each.limit for each in counts],
        },
    )
    return [Full(quota, room_at) for quota, room_at in rows]


def settle(
    statement: Statement,
    platform: str,
    at: datetime,
    count: Count,
    *,
    limit: int | None,
    remaining: int | None,
    resets_at: datetime | None,
) -> None:
    """Corrects one limit by what the platform told. What it has not seen yet stays counted."""
    statement(
        _SETTLE,
        {
            "platform": platform,
            "at": at,
            "quota": count.quota,
            "subject": count.subject,
            "since": count.span.since,
            "ends": count.span.ends_at,
            "fresh_after": count.span.fresh_after,
            "most": count.limit,
            "limit": limit,
            "remaining": remaining,
            "reset": resets_at,
        },
    )


def used(session: Session, platform: str, quota: str, at: datetime, since: datetime) -> dict[str, Used]:
    """By subject. `since` keeps the look short: nothing begun before it counts now."""
    statement = (
        select(
            QuotaWindow.subject,
            func.sum(QuotaWindow.used),
            func.min(QuotaWindow.ends_at),
            func.max(QuotaWindow.ends_at),
        )
        .where(QuotaWindow.platform == platform, QuotaWindow.quota == quota)
        .where(QuotaWindow.starts_at >= since, QuotaWindow.ends_at > at)
        .group_by(QuotaWindow.subject)
    )
    return {
        subject: Used(int(total), frees_at, empty_at)
        for subject, total, frees_at, empty_at in session.execute(statement)
    }


def spent(session: Session, platform: str, quota: str, since: datetime) -> dict[str, int]:
    """By subject, everything counted since then, whether it still counts or not."""
    statement = (
        select(QuotaWindow.subject, func.sum(QuotaWindow.used))
        .where(QuotaWindow.platform == platform, QuotaWindow.quota == quota, QuotaWindow.starts_at >= since)
        .group_by(QuotaWindow.subject)
    )
    return {subject: int(total) for subject, total in session.execute(statement)}


def allowances(session: Session) -> dict[tuple[str, str, str], Allowance]:
    """What platforms said, by platform, quota and subject."""
    return {(row.platform, row.quota, row.subject): row for row in session.scalars(select(Allowance))}


def waiting(session: Session, platforms: Iterable[str]) -> dict[tuple[str, str, str], tuple[int, datetime]]:
    """By tenant, platform and account: how many publications are unsent, and when the last of them is wanted."""
    statement = (
        select(
            Publication.tenant_id,
            Publication.platform,
            Publication.external_account_id,
            func.count(),
            func.max(Publication.publish_at),
        )
        .where(Publication.state.in_(list(UNSENT)), Publication.platform.in_(list(platforms)))
        .group_by(Publication.tenant_id, Publication.platform, Publication.external_account_id)
    )
    return {
        (str(tenant_id), platform, account): (int(count), last)
        for tenant_id, platform, account, count, last in session.execute(statement)
    }


def published(session: Session, platform: str, since: datetime) -> dict[str, int]:
    """By account, how many publications went out since then."""
    statement = (
        select(Publication.external_account_id, func.count())
        .where(Publication.state == State.PUBLISHED, Publication.due_at >= since, Publication.platform == platform)
        .group_by(Publication.external_account_id)
    )
    return {account: int(count) for account, count in session.execute(statement)}


def forget(session: Session, now: datetime) -> int:
    """Deletes what can count no more; how many rows."""
    short = and_(QuotaWindow.ends_at - QuotaWindow.starts_at < timedelta(hours=22), QuotaWindow.ends_at < now)
    old = QuotaWindow.ends_at < now - _KEEP_DAYS
    gone = session.execute(delete(QuotaWindow).where(short | old).returning(QuotaWindow.quota))
    return len(gone.all())
