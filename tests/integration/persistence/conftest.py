"""Rows to work on: a database as two roles see it, tenants, and publications in any state."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table

from autorepost_app.domain.identity import SystemScope, TenantId, TenantScope
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.persistence import publications
from autorepost_app.persistence.access import AccessFile
from autorepost_app.persistence.engine import Database
from autorepost_app.persistence.models import Attempt, Base, Connection, Post, Publication, Tenant
from autorepost_app.persistence.publications import Lease, Proof

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SYSTEM = SystemScope("test")
LEASE_SECONDS = 120.0


@pytest.fixture
def db(database: AccessFile) -> Iterator[Database]:
    opened = Database(database.url("app"), database.url("system"), pool_size=2)
    yield opened
    opened.close()


@dataclass
class Rows:
    """Makes rows as a worker would, at a standing noon, and takes publications through their moves."""

    db: Database
    now: datetime = NOON
    lease_seconds: float = LEASE_SECONDS
    tenants: list[str] = field(default_factory=list)

    def tenant(self) -> TenantScope:
        with self.db.system(SYSTEM) as session:
            row = Tenant(id=str(uuid.uuid4()), name="Mia", slug=f"mia-{uuid.uuid4()}")
            session.add(row)
        return TenantScope(TenantId(row.id))

    def account(self, scope: TenantScope, platform: str = "there") -> Connection:
        with self.db.system(SYSTEM) as session:
            row = Connection(
                id=str(uuid.uuid4()),
                tenant_id=scope.tenant_id,
                platform=platform,
                login="default",
                external_account_id=str(uuid.uuid4()),
                handle="mia",
            )
            session.add(row)
        return row

    def post(self, source: Connection) -> Post:
        with self.db.system(SYSTEM) as session:
            row = Post(
                id=str(uuid.uuid4()),
                tenant_id=source.tenant_id,
                connection_id=source.id,
                platform=source.platform,
                external_account_id=source.external_account_id,
                external_post_id=str(uuid.uuid4()),
                kind="video",
                caption="A walk",
                url="https://example.org/1",
                posted_at=self.now,
                detected_at=self.now,
            )
            session.add(row)
        return row

    def promise_of(self, post: Post, destination: Connection, **columns: Any) -> dict[str, Any]:
        """The columns of a publication of that post to that account."""
        return {
            "id": str(uuid.uuid4()),
            "tenant_id": destination.tenant_id,
            "post_id": post.id,
            "connection_id": destination.id,
            "platform": destination.platform,
            "external_account_id": destination.external_account_id,
            "source_platform": post.platform,
            "source_post_id": post.external_post_id,
            "template": "{caption}",
            "state": State.READY,
            "due_at": self.now,
            "publish_at": self.now,
            **columns,
        }

    def publication(self, state: State = State.READY, scope: TenantScope | None = None, **columns: Any) -> Publication:
        """A publication that is in `state` out of nowhere."""
        owner = scope or self.tenant()
        post = self.post(self.account(owner, "here"))
        values = self.promise_of(post, self.account(owner), state=state, **columns)
        with self.db.system(SYSTEM) as session:
            return publications.promise(session, [values])[0]

    def held(self, state: State, **columns: Any) -> tuple[Publication, Lease]:
        """A publication in `state` that a worker holds, with an attempt."""
        row = self.publication(
            state, lease_owner="worker", lease_epoch=1, lease_until=self.now + timedelta(seconds=120), **columns
        )
        attempt_id = str(uuid.uuid4())
        with self.db.system(SYSTEM) as session:
            session.add(
                Attempt(
                    id=attempt_id,
                    tenant_id=row.tenant_id,
                    publication_id=row.id,
                    number=1,
                    epoch=1,
                    started_at=self.now,
                )
            )
            stored = publications.get(session, row.id)
            stored.attempt_id = attempt_id
        return self.read(row), Lease(row.id, row.tenant_id, "worker", 1, attempt_id)

    def unclear(self, **columns: Any) -> Publication:
        """A publication whose send got no clear answer."""
        _row, sender = self.held(State.COMMITTING)
        return self.release("lose_sight", sender, proof=self.proof(EvidenceKind.UNCLEAR), **columns)

    def read(self, row: Publication | Lease) -> Publication:
        with self.db.system(SYSTEM) as session:
            return publications.get(session, row.publication_id if isinstance(row, Lease) else row.id)

    def evidence(self, row: Publication | Lease) -> list[str]:
        with self.db.system(SYSTEM) as session:
            found = publications.evidence_of(session, row.publication_id if isinstance(row, Lease) else row.id)
            return [each.kind for each in found]

    def claim(self, row: Publication, owner: str = "worker", *, now: datetime | None = None) -> Lease | None:
        with self.db.system(SYSTEM) as session:
            return publications.claim(
                session, row.id, owner=owner, now=now or self.now, lease_seconds=self.lease_seconds
            )

    def claim_reading(self, row: Publication, owner: str = "reader", *, now: datetime | None = None) -> Lease | None:
        with self.db.system(SYSTEM) as session:
            return publications.claim_reading(
                session, row.id, owner=owner, now=now or self.now, lease_seconds=self.lease_seconds
            )

    def intend(self, lease: Lease, *, now: datetime | None = None) -> None:
        at = now or self.now
        with self.db.system(SYSTEM) as session:
            publications.intend(
                session,
                lease,
                now=at,
                send_before=at + timedelta(seconds=20),
                lease_until=at + timedelta(seconds=self.lease_seconds),
            )

    def move(self, name: str, row: Publication | Lease, *, proof: Proof | None = None, **changes: Any) -> Publication:
        with self.db.system(SYSTEM) as session:
            return publications.move(session, name, row, now=self.now, proof=proof, **changes)

    def release(self, name: str, lease: Lease, *, proof: Proof | None = None, **changes: Any) -> Publication:
        with self.db.system(SYSTEM) as session:
            when = {"now": self.now, "due_at": self.now, **changes}
            return publications.release(session, name, lease, proof=proof, **when)

    def proof(self, kind: EvidenceKind) -> Proof:
        return Proof(kind, "test", "seen by a test", self.now)


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


# ------------------------------------------------------------------------------------------- a row of every table


class EveryTable:
    """One row in each table for each of two tenants, made from the models alone: a new table is taken in by itself."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.mine = TenantScope(TenantId(str(uuid.uuid4())))
        self.theirs = TenantScope(TenantId(str(uuid.uuid4())))
        self.made: dict[tuple[str, str], dict[str, Any]] = {}
        with db.system(SYSTEM) as session:
            for scope in (self.mine, self.theirs):
                for table in Base.metadata.sorted_tables:
                    if table.name != "publication_moves":
                        written = session.execute(table.insert().values(self.row(table, scope)).returning(table))
                        self.made[scope.tenant_id, table.name] = dict(written.mappings().one())

    def row(self, table: Table, scope: TenantScope, **columns: Any) -> dict[str, Any]:
        """A full row whose references lead to the same tenant's rows."""
        values: dict[str, Any] = {}
        for column in table.columns:
            if not (column.nullable or column.identity or column.server_default is not None):
                values[column.name] = _something(table, column)
        if "tenant_id" in table.columns:
            values["tenant_id"] = scope.tenant_id
        if table.name == "tenants":
            values["id"] = scope.tenant_id
        for reference in table.foreign_key_constraints:
            values.update(self._target(reference, scope.tenant_id, values))
        return {**values, **columns}

    def _target(self, reference: ForeignKeyConstraint, tenant_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        row = self.made.get((tenant_id, reference.referred_table.name), {})
        pairs = [(element.parent.name, element.column.name) for element in reference.elements]
        return {own: row[far] for own, far in pairs if own in values and own != "tenant_id"}

    def theirs_in(self, table: Table) -> dict[str, Any]:
        return self.made[self.theirs.tenant_id, table.name]

    def mine_in(self, table: Table) -> dict[str, Any]:
        return self.made[self.mine.tenant_id, table.name]


def _something(table: Table, column: Column[Any]) -> Any:
    """Any value that the column takes."""
    for check in table.constraints:
        if isinstance(check, CheckConstraint) and (
            allowed := re.match(rf"{column.name} in \('(\w+)'", str(check.sqltext))
        ):
            return allowed[1]
    kind = column.type.python_type
    if kind in (str, uuid.UUID):
        return str(uuid.uuid4())
    return {datetime: NOON, bytes: b"sealed", dict: {}, list: []}.get(kind, 1)


@pytest.fixture
def every_table(db: Database) -> EveryTable:
    return EveryTable(db)
