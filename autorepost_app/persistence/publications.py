"""How is a publication read, claimed and moved?

A move is one compare-and-set along a row of `domain.publications.MOVES`, together with the evidence that the row asks
for, in the caller's transaction. A fenced move also compares the lease: a worker that lost it changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.domain.publications import MOVE, EvidenceKind, Move, State
from autorepost_app.persistence import restores
from autorepost_app.persistence.engine import wrote
from autorepost_app.persistence.models import Attempt, Evidence, Original, Post, Publication

_LEASE_FREE: Final[Mapping[str, None]] = {"lease_owner": None, "lease_until": None}
_CLAIMABLE: Final = (State.READY, State.STAGING)
HANDLE_USABLE: Final = frozenset({"not_done_same_handle", "absent_same_handle"})
"""Outcomes of an attempt after which the next one takes over its handles: the platform keeps them single."""
_READABLE: Final = (State.UNKNOWN, State.RECONCILING)


class MoveLost(Exception):
    """Somebody else moved it, or the lease has passed on: the caller stops, nothing was changed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one publication; `epoch` fences off everybody who held it before."""

    publication_id: str
    tenant_id: str
    owner: str
    epoch: int
    attempt_id: str


@dataclass(frozen=True, slots=True)
class Proof:
    """One row of evidence to be written."""

    kind: EvidenceKind
    source: str
    proof: str
    at: datetime
    external_id: str | None = None
    url: str | None = None
    detail: str = ""


def promise(session: Session, rows: Iterable[Mapping[str, Any]]) -> list[Publication]:
    """Inserts publications; those whose identity already has one, anywhere, are left out of the answer."""
    values = [{**row, "looked_epoch": _epoch_of_post(row["post_id"])} for row in rows]
    if not values:
        return []
    statement = (
        pg_insert(Publication)
        .values(values)
        .on_conflict_do_nothing(constraint="publications_identity_key")
        .returning(Publication)
    )
    return list(session.scalars(statement, execution_options={"populate_existing": True}))


def _epoch_of_post(post_id: str) -> ColumnElement[int]:
    return restores.epoch_before(select(Post.posted_at).where(Post.id == post_id).scalar_subquery())


def get(session: Session, publication_id: str) -> Publication:
    """Raises KeyError for an id that is not visible here."""
    found = session.get(Publication, publication_id, populate_existing=True)
    if found is None:
        raise KeyError(publication_id)
    return found


def of_post(session: Session, post_id: str) -> list[Publication]:
    return of_posts(session, [post_id])


def of_posts(session: Session, post_ids: Collection[str]) -> list[Publication]:
    """In the order in which they were promised."""
    statement = select(Publication).where(Publication.post_id.in_(post_ids))
    return list(session.scalars(statement.order_by(Publication.created_at, Publication.id)))


def due(session: Session, states: Iterable[State], now: datetime, limit: int) -> list[Publication]:
    """Those in `states` whose time has come and that nobody holds: platforms in turn, of each the longest due first."""
    turn = func.row_number().over(partition_by=Publication.platform, order_by=Publication.due_at)
    statement = (
        select(Publication)
        .where(Publication.state.in_(list(states)), Publication.due_at <= now)
        .where(or_(Publication.lease_until.is_(None), Publication.lease_until < now))
        .order_by(turn, Publication.due_at)
        .limit(limit)
    )
    return list(session.scalars(statement))


def set_url(session: Session, publication_id: str, url: str) -> None:
    """The link of a published post, once a later read has told it."""
    session.execute(update(Publication).where(Publication.id == publication_id).values(url=url))


def to_finish(
    session: Session, platforms: Collection[str], *, now: datetime, until: datetime, limit: int
) -> list[Publication]:
    """Claims, until `until`, published ones of these platforms that have something left to do."""
    chosen = (
        select(Publication.id)
        .where(Publication.state == State.PUBLISHED, Publication.platform.in_(platforms), Publication.finish_at <= now)
        .order_by(Publication.finish_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = update(Publication).where(Publication.id.in_(chosen)).values(finish_at=until).returning(Publication)
    return list(session.scalars(statement, execution_options={"populate_existing": True}))


def finish_again(session: Session, publication_id: str, at: datetime | None) -> None:
    """When to go on; None where nothing is left."""
    session.execute(update(Publication).where(Publication.id == publication_id).values(finish_at=at))


def without_files(platform: str) -> ColumnElement[bool]:
    """Of that source, and their file is not there yet."""
    fetched = exists().where(Original.post_id == Publication.post_id)
    return and_(Publication.source_platform == platform, Publication.state == State.PREPARING, ~fetched)


def waiting_for_files(session: Session, platform: str) -> int:
    """How many posts of that source have publications whose file is not there yet."""
    posts = select(func.count(Publication.post_id.distinct())).where(without_files(platform))
    return session.scalars(posts).one()


def move(
    session: Session,
    name: str,
    publication: Publication | Lease,
    *,
    now: datetime,
    proof: Proof | None = None,
    **changes: Any,
) -> Publication:
    """Makes the move `name` or raises MoveLost. `changes` are further columns of the publication.

    Raises ValueError when the evidence that the table asks for is missing: a fault of the caller's.
    """
    row = MOVE[name]
    _check_proof(row, proof)
    lease = publication if isinstance(publication, Lease) else None
    if row.fenced and lease is None:
        raise ValueError(f"{name} is fenced: it needs the lease")
    target_id = lease.publication_id if lease else publication.id  # type: ignore[union-attr]
    statement = (
        update(Publication)
        .where(Publication.id == target_id, Publication.state == row.source)
        .values(state=row.target, state_at=now, check_at=now, **changes)
        .returning(Publication)
    )
    if lease:
        statement = statement.where(
            Publication.lease_epoch == lease.epoch,
            Publication.lease_owner == lease.owner,
            Publication.attempt_id == lease.attempt_id,
        )
    moved = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
    if moved is None:
        raise MoveLost(f"{name} of {target_id}: it is no longer {row.source}, or the lease has passed on")
    if proof is not None:
        record(session, moved, proof)
    wrote(session, name)
    return moved


def _check_proof(row: Move, proof: Proof | None) -> None:
    if row.proof and (proof is None or proof.kind != row.proof):
        raise ValueError(f"{row.name} needs {row.proof} evidence")


def record(session: Session, publication: Publication | Lease, proof: Proof) -> None:
    """Adds evidence. Allowed to anybody at any time: a fenced-off sender may still tell what it saw (R3)."""
    lease = publication if isinstance(publication, Lease) else None
    session.execute(
        insert(Evidence).values(
            tenant_id=publication.tenant_id,
            publication_id=lease.publication_id if lease else publication.id,  # type: ignore[union-attr]
            attempt_id=publication.attempt_id,
            epoch=lease.epoch if lease else publication.lease_epoch,  # type: ignore[union-attr]
            kind=proof.kind,
            source=proof.source,
            proof=proof.proof,
            external_id=proof.external_id,
            url=proof.url,
            detail=proof.detail,
            at=proof.at,
        )
    )


def claim(session: Session, publication_id: str, *, owner: str, now: datetime, lease_seconds: float) -> Lease | None:
    """One winner: READY or an abandoned STAGING becomes STAGING under a new epoch and, where the last attempt was
    spent, a new attempt. None when it is not due, not claimable, held, or to be looked for first (R7)."""
    publication = session.scalars(
        select(Publication)
        .where(Publication.id == publication_id, Publication.state.in_(_CLAIMABLE), Publication.due_at <= now)
        .where(restores.looked_for())
        .where(or_(Publication.lease_until.is_(None), Publication.lease_until < now))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if publication is None:
        return None
    epoch = publication.lease_epoch + 1
    attempt_id = _attempt_for(session, publication, epoch, now)
    move(
        session,
        "claim" if publication.state == State.READY else "resume",
        publication,
        now=now,
        lease_owner=owner,
        lease_epoch=epoch,
        lease_until=now + timedelta(seconds=lease_seconds),
        attempt_id=attempt_id,
        waiting_for="",
    )
    return Lease(publication.id, publication.tenant_id, owner, epoch, attempt_id)


def _attempt_for(session: Session, publication: Publication, epoch: int, now: datetime) -> str:
    """The current attempt while it has sent nothing, else a new one that takes over the handles still kept."""
    current = session.get(Attempt, publication.attempt_id) if publication.attempt_id else None
    if current is not None and current.ended_at is None and current.intended_at is None:
        return current.id
    number = session.scalar(
        select(func.coalesce(func.max(Attempt.number), 0)).where(Attempt.publication_id == publication.id)
    )
    usable = current is not None and current.outcome in HANDLE_USABLE
    fresh = Attempt(
        id=str(uuid.uuid4()),
        tenant_id=publication.tenant_id,
        publication_id=publication.id,
        number=(number or 0) + 1,
        epoch=epoch,
        started_at=now,
        handles=dict(current.handles) if current and usable else {},
        secret_handles_sealed=current.secret_handles_sealed if current and usable else None,
    )
    session.add(fresh)
    session.flush()
    return fresh.id


def extend(session: Session, lease: Lease, *, now: datetime, lease_seconds: float) -> None:
    """Keeps the lease for longer, or raises MoveLost."""
    held = session.execute(
        update(Publication)
        .where(Publication.id == lease.publication_id, Publication.lease_epoch == lease.epoch)
        .where(Publication.lease_owner == lease.owner, Publication.state == State.STAGING)
        .values(lease_until=now + timedelta(seconds=lease_seconds))
        .returning(Publication.id)
    ).first()
    if held is None:
        raise MoveLost(f"the lease on {lease.publication_id} has passed on")


def release(
    session: Session, name: str, lease: Lease, *, now: datetime, due_at: datetime, **changes: Any
) -> Publication:
    """A move that also lets go of the lease and says when to come back."""
    return move(session, name, lease, now=now, due_at=due_at, **_LEASE_FREE, **changes)


def attempt(session: Session, attempt_id: str) -> Attempt:
    """Raises KeyError for an id that is not visible here."""
    found = session.get(Attempt, attempt_id, populate_existing=True)
    if found is None:
        raise KeyError(attempt_id)
    return found


def keep_handles(session: Session, lease: Lease, *, handles: Mapping[str, str], secret_sealed: bytes | None) -> None:
    """Stores the handles of the attempt under the lease, or raises MoveLost."""
    held = session.scalars(
        select(Publication.id)
        .where(Publication.id == lease.publication_id, Publication.lease_epoch == lease.epoch)
        .where(Publication.attempt_id == lease.attempt_id, Publication.state == State.STAGING)
        .with_for_update()
    ).one_or_none()
    if held is None:
        raise MoveLost(f"the lease on {lease.publication_id} has passed on")
    row = attempt(session, lease.attempt_id)
    row.handles = dict(handles)
    row.secret_handles_sealed = secret_sealed
    wrote(session, "keep handles")


def intend(session: Session, lease: Lease, *, now: datetime, send_before: datetime, lease_until: datetime) -> None:
    """The durable intent (R1). The caller sends only after this transaction's commit was acknowledged.

    Raises MoveLost also where the database was restored after the claim: what the lease stands on is forgotten.
    """
    publication = move(
        session,
        "intend",
        lease,
        now=now,
        send_before=send_before,
        lease_until=lease_until,
        last_sent_at=now,
        first_sent_at=func.coalesce(Publication.first_sent_at, now),
    )
    if publication.looked_epoch < restores.epoch(session):
        raise MoveLost(f"{lease.publication_id} has to be looked for before it is sent")
    row = attempt(session, publication.attempt_id or lease.attempt_id)
    row.intended_at = now
    row.send_before = send_before


def close_attempt(
    session: Session, attempt_id: str, *, outcome: str, now: datetime, verdict: Mapping[str, Any]
) -> None:
    """Writes how an attempt ended, once: a later word on it is evidence, never a rewrite."""
    row = attempt(session, attempt_id)
    if row.ended_at is None:
        row.ended_at = now
        row.outcome = outcome
        row.verdict = dict(verdict)


def settle_attempt(session: Session, attempt_id: str, *, outcome: str, now: datetime) -> None:
    """What a read proved about an attempt whose own end was unclear, or that never told its end."""
    row = attempt(session, attempt_id)
    if row.outcome in (None, "unknown"):
        row.outcome, row.ended_at = outcome, row.ended_at or now


def sweep(session: Session, now: datetime, limit: int) -> list[Publication]:
    """COMMITTING whose lease ran out becomes UNKNOWN, never a resend."""
    lost = session.scalars(
        select(Publication)
        .where(Publication.state == State.COMMITTING, Publication.lease_until < now)
        .order_by(Publication.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    proof = Proof(EvidenceKind.UNCLEAR, "sweeper", "the sender went silent after its intent", now)
    return [
        move(session, "lease_lost", row, now=now, proof=proof, due_at=now, reason=proof.proof, **_LEASE_FREE)
        for row in lost
    ]


def doubt(session: Session, now: datetime, limit: int) -> list[Publication]:
    """What is due for a send and may have been sent by what a restored database forgot: RECONCILING, with an attempt
    of its own to read under."""
    found = session.scalars(restores.unlooked(now, limit)).all()
    return [
        move(
            session,
            "doubt" if row.state == State.READY else "doubt_staged",
            row,
            now=now,
            due_at=now,
            attempt_id=_attempt_for(session, row, row.lease_epoch, now),
            **_LEASE_FREE,
        )
        for row in found
    ]


def looked(session: Session, publication_id: str, epoch: int) -> None:
    """Nothing that the database forgot up to that restore is in its way any more."""
    session.execute(update(Publication).where(Publication.id == publication_id).values(looked_epoch=epoch))


def claim_reading(
    session: Session, publication_id: str, *, owner: str, now: datetime, lease_seconds: float
) -> Lease | None:
    """The right to read what became of one publication: UNKNOWN becomes RECONCILING. None when not due or held.

    The epoch grows here too: what an earlier reader concluded can no longer move the publication.
    """
    row = session.scalars(
        select(Publication)
        .where(Publication.id == publication_id, Publication.state.in_(_READABLE))
        .where(Publication.due_at <= now, or_(Publication.lease_until.is_(None), Publication.lease_until < now))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    if row.state == State.UNKNOWN:
        row = move(session, "ask", row, now=now)
    wrote(session, "claim reading")
    row.lease_owner = owner
    row.lease_epoch += 1
    row.lease_until = now + timedelta(seconds=lease_seconds)
    session.flush()
    if row.attempt_id is None:
        raise LookupError(f"publication {row.id} is {row.state} without an attempt: there is nothing to ask about")
    return Lease(row.id, row.tenant_id, owner, row.lease_epoch, row.attempt_id)


def read_again(session: Session, lease: Lease, *, due_at: datetime, waiting_for: str) -> None:
    """Lets go of a reading lease and says when to read next; loses silently to whoever holds it now."""
    wrote(session, "read again")
    session.execute(
        update(Publication)
        .where(Publication.id == lease.publication_id, Publication.lease_epoch == lease.epoch)
        .where(Publication.state == State.RECONCILING)
        .values(due_at=due_at, waiting_for=waiting_for, **_LEASE_FREE)
    )


def evidence_of(session: Session, publication_id: str) -> list[Evidence]:
    return list(
        session.scalars(select(Evidence).where(Evidence.publication_id == publication_id).order_by(Evidence.id))
    )


def attempts_of(session: Session, publication_id: str) -> list[Attempt]:
    return list(
        session.scalars(select(Attempt).where(Attempt.publication_id == publication_id).order_by(Attempt.number))
    )


def live_evidence(session: Session, publication_id: str) -> Evidence | None:
    """The first proof that it is live, if there is any: it outranks all else for ever (R4)."""
    return session.scalars(
        select(Evidence)
        .where(Evidence.publication_id == publication_id, Evidence.kind == EvidenceKind.LIVE)
        .order_by(Evidence.id)
        .limit(1)
    ).one_or_none()


def live_after_all(session: Session, states: Iterable[State]) -> list[tuple[Publication, Evidence]]:
    """Publications in `states` of which a late answer says that they are live, each with the first such answer."""
    statement = (
        select(Publication, Evidence)
        .join(Evidence, Evidence.publication_id == Publication.id)
        .where(text("evidence.source = 'late_answer' and evidence.kind = 'live'"))
        .where(Publication.state.in_(list(states)))
        .order_by(Evidence.id)
        .with_for_update(skip_locked=True, of=Publication)
    )
    first: dict[str, tuple[Publication, Evidence]] = {}
    for row, seen in session.execute(statement):
        first.setdefault(row.id, (row, seen))
    return list(first.values())


def bound_ids(session: Session, platform: str, external_account_id: str, ids: Iterable[str]) -> set[str]:
    """Which of these external ids already belong to a publication."""
    statement = select(Publication.external_id).where(
        Publication.platform == platform,
        Publication.external_account_id == external_account_id,
        Publication.external_id.in_(list(ids)),
    )
    return {found for found in session.scalars(statement) if found}
