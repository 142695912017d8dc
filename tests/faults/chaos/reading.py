"""What do the database and the platforms say now?"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from chaos.audit import LivePost, Row
from chaos.stage import Sandbox
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import FINAL, UNSENT, EvidenceKind, State
from autorepost_app.persistence.models import Attempt, Connection, Evidence, Post, Publication
from autorepost_app.services.house import House

AT_REST = frozenset({*FINAL, State.NEEDS_REVIEW})


@dataclass(frozen=True, slots=True)
class Motion:
    """How many publications stand where, and when the next of them can go on by itself."""

    states: Counter[State]
    next_at: datetime | None
    held: int

    @property
    def total(self) -> int:
        return self.states.total()

    @property
    def moving(self) -> int:
        return sum(count for state, count in self.states.items() if state not in AT_REST)


def motion(house: House, *, promised: int) -> Motion:
    """While not everything that is promised is in the tables, the next poll counts as well."""
    now = house.clock()
    with _session(house) as session:
        counted = session.execute(select(Publication.state, func.count()).group_by(Publication.state)).all()
        states = Counter({State(state): count for state, count in counted})
        rows = session.execute(
            select(Publication.state, Publication.due_at, Publication.lease_until, Post.offered_until)
            .join(Post, Post.id == Publication.post_id)
            .where(Publication.state.not_in(AT_REST))
        ).all()
        polls = session.scalars(select(Connection.poll_not_before_at).where(Connection.platform == "tiktok")).all()
    times = [_next_at(State(row[0]), row[1], row[2], row[3]) for row in rows]
    times += [at or now for at in polls] if states.total() < promised else []
    held = sum(lease is not None and lease > now for _, _, lease, _ in rows)
    return Motion(states, min(times, default=None), held)


def _next_at(state: State, due_at: datetime, lease_until: datetime | None, offered_until: datetime | None) -> datetime:
    waits = [due_at if state is not State.COMMITTING else None, lease_until, offered_until if state in UNSENT else None]
    return max((each for each in waits if each is not None), default=due_at) + timedelta(seconds=0.5)


def rows(house: House) -> list[Row]:
    """Every publication, with what was proved about it."""
    with _session(house) as session:
        found = list(session.scalars(select(Publication)))
        told: dict[str, list[tuple[EvidenceKind, str]]] = defaultdict(list)
        for owner, kind, proof in session.execute(
            select(Evidence.publication_id, Evidence.kind, Evidence.proof).order_by(Evidence.id)
        ):
            told[owner].append((EvidenceKind(kind), proof))
        sends = Counter(session.scalars(select(Attempt.publication_id).where(Attempt.intended_at.is_not(None))))
    return [_row(each, tuple(told[each.id]), sends[each.id]) for each in found]


def _row(row: Publication, evidence: tuple[tuple[EvidenceKind, str], ...], sends: int) -> Row:
    return Row(
        id=row.id,
        source_post_id=row.source_post_id,
        platform=row.platform,
        account_id=row.external_account_id,
        state=State(row.state),
        external_id=row.external_id,
        reason=row.reason or row.waiting_for,
        sends=sends,
        evidence=evidence,
    )


def live(sandbox: Sandbox) -> list[LivePost]:
    """Everything that is out there, but for what the creators posted themselves."""
    return [
        LivePost(post["id"], post["platform"], post["account_id"], json.dumps(post["text"]))
        for post in sandbox.control("GET", "/ledger")["posts"]
        if post["platform"] != "tiktok"
    ]


def calls(sandbox: Sandbox) -> tuple[int, dict[str, int]]:
    """How many calls the platforms have had, and how many of them met which fault."""
    requests = sandbox.control("GET", "/requests")
    return len(requests), dict(Counter(each["fault"] for each in requests if each["fault"]))


@contextmanager
def _session(house: House) -> Iterator[Session]:
    with house.db.system(SystemScope("chaos")) as session:
        yield session
