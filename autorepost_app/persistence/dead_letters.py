"""Which publications wait for a person, and which of them for the same thing?

One statement sorts every candidate into its group, so that a publication is in one group at most and a group's count
and its members are never of two minds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import CTE, Case, ColumnElement, String, and_, case, cast, exists, func, literal, or_, select, true
from sqlalchemy.orm import Session

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.dead_letters import Kind
from autorepost_app.domain.publications import BACK_OFF_SECONDS, State
from autorepost_app.persistence.models import Attempt, Connection, Evidence, Original, Post, Publication

_SENDS: Final = (State.READY, State.STAGING)
_NEEDS_ITS_GRANT: Final = (*_SENDS, State.UNKNOWN, State.RECONCILING)
_Row = TypeVar("_Row", Attempt, Evidence)


@dataclass(frozen=True, slots=True)
class Standstill:
    """What stands still for everybody at the moment: the names of platforms, and since when failures count."""

    stopped: Collection[str]
    stopped_cause: str
    without_files: Collection[str]
    failed_since: datetime


@dataclass(frozen=True, slots=True)
class Heap:
    """One group: `about` is a connection's id or a cause; `reason` and `remedy` are those of one of its members."""

    kind: Kind
    platform: str
    about: str
    handle: str | None
    count: int
    oldest_at: datetime
    due_at: datetime
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Found:
    """One member of a group, with its post and everything that was proven about it."""

    publication: Publication
    post: Post
    handle: str
    attempts: tuple[Attempt, ...]
    evidence: tuple[Evidence, ...]


def heaps(session: Session, still: Standstill, *, tenants: Collection[str] | None = None) -> list[Heap]:
    """The groups that the session may see, the longest waiting first; of these tenants only, where they are named."""
    sorted_ = _sorted(still, true() if tenants is None else Publication.tenant_id.in_(tenants))
    columns = sorted_.c
    statement = (
        select(
            columns.kind,
            columns.platform,
            columns.about,
            columns.handle,
            func.count(),
            func.min(columns.since_at),
            func.min(columns.due_at),
            func.max(columns.reason),
            func.max(columns.remedy),
        )
        .group_by(columns.kind, columns.platform, columns.about, columns.handle)
        .order_by(func.min(columns.since_at))
    )
    return [Heap(Kind(kind), *rest) for kind, *rest in session.execute(statement)]


def ids_of(session: Session, still: Standstill, heap: Heap, limit: int) -> list[str]:
    """The members of that group, the longest waiting first."""
    sorted_ = _sorted(still, true())
    columns = sorted_.c
    statement = (
        select(columns.id)
        .where(columns.kind == heap.kind, columns.platform == heap.platform, columns.about == heap.about)
        .order_by(columns.since_at, columns.id)
        .limit(limit)
    )
    return list(session.scalars(statement))


def found(session: Session, publication_ids: Collection[str]) -> list[Found]:
    """In the order of the ids, one question for each kind of thing however many there are."""
    statement = (
        select(Publication, Post, Connection.handle)
        .join(Post, Post.id == Publication.post_id)
        .join(Connection, Connection.id == Publication.connection_id)
        .where(Publication.id.in_(publication_ids))
    )
    rows = {row.id: (row, post, handle) for row, post, handle in session.execute(statement)}
    attempts = _by_publication(
        session.scalars(select(Attempt).where(Attempt.publication_id.in_(publication_ids)).order_by(Attempt.number))
    )
    evidence = _by_publication(
        session.scalars(select(Evidence).where(Evidence.publication_id.in_(publication_ids)).order_by(Evidence.id))
    )
    return [
        Found(*rows[each], tuple(attempts.get(each, ())), tuple(evidence.get(each, ()))) for each in publication_ids
    ]


def _by_publication(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    grouped: dict[str, list[_Row]] = {}
    for row in rows:
        grouped.setdefault(row.publication_id, []).append(row)
    return grouped


def _sorted(still: Standstill, whose: ColumnElement[bool]) -> CTE:
    """Every publication that waits for a person, with what it waits for."""
    kind, state, fetches = _kind(still), Publication.state, Publication.state == State.PREPARING
    of_one_account = kind.in_([Kind.RECONNECT, Kind.REVIEW])
    cause = case((Publication.cause != "", Publication.cause), else_=Publication.reason)
    rests = state.in_([State.FAILED, State.NEEDS_REVIEW])
    lately = and_(state == State.FAILED, Publication.state_at >= still.failed_since)
    platform = case(
        (of_one_account, Connection.platform), (fetches, Publication.source_platform), else_=Publication.platform
    )
    about = case((of_one_account, cast(Connection.id, String)), (state == State.FAILED, cause), else_=literal(""))
    everything = (
        select(
            Publication.id,
            kind.label("kind"),
            platform.label("platform"),
            about.label("about"),
            case((of_one_account, Connection.handle)).label("handle"),
            case((rests, Publication.state_at), else_=Publication.publish_at).label("since_at"),
            Publication.due_at,
            Publication.reason,
            Publication.remedy,
        )
        .join(Post, Post.id == Publication.post_id)
        .join(Connection, Connection.id == case((fetches, Post.connection_id), else_=Publication.connection_id))
        .where(or_(state.in_([*_NEEDS_ITS_GRANT, State.PREPARING, State.NEEDS_REVIEW]), lately), whose)
        .cte("everything")
    )
    return select(everything).where(everything.c.kind.is_not(None)).cte("sorted")


def _kind(still: Standstill) -> Case[str | None]:
    """What it waits for; null for what goes its way. What only its own person can mend comes first."""
    state, cause = Publication.state, Publication.cause
    failed, gave_up = state == State.FAILED, Publication.faults >= len(BACK_OFF_SECONDS)
    fetches = and_(state == State.PREPARING, ~exists().where(Original.post_id == Publication.post_id))
    needs_grant = or_(state.in_(_NEEDS_ITS_GRANT), fetches)
    stopped = and_(state.in_(_SENDS), Publication.platform.in_(still.stopped), cause == still.stopped_cause)
    return case(
        (state == State.NEEDS_REVIEW, literal(Kind.REVIEW.value)),
        (and_(failed, gave_up), literal(Kind.GAVE_UP.value)),
        (failed, literal(Kind.REJECTED.value)),
        (and_(needs_grant, Connection.status != ConnectionStatus.ACTIVE), literal(Kind.RECONNECT.value)),
        (stopped, literal(Kind.STOPPED.value)),
        (and_(fetches, Publication.source_platform.in_(still.without_files)), literal(Kind.NO_FILES.value)),
    )
