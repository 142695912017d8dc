"""Which tables are there, and what does each row say?

Rows leave this package as they are: plain objects, detached, safe to read. Every table with a `tenant_id` is under
forced row-level security (see `migrations`); references between such tables carry the tenant along, so that no row can
point into another tenant. Secrets are sealed before they come here.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import EvidenceKind, State

_NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        int: BigInteger,
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


def _new_id() -> str:
    return str(uuid.uuid4())


def _id() -> Mapped[str]:
    return mapped_column(Uuid(as_uuid=False), primary_key=True, default=_new_id)


def _tenant() -> Mapped[str]:
    return mapped_column(Uuid(as_uuid=False), ForeignKey("tenants.id", ondelete="CASCADE"))


def _ref() -> Mapped[Any]:
    return mapped_column(Uuid(as_uuid=False))


def _of_tenant(column: str, table: str) -> ForeignKeyConstraint:
    """A reference to a row of the same tenant. Nothing cascades but a tenant's own end: a publication that could be
    deleted along with its connection would be forgotten, and published again."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"])


def _referable() -> UniqueConstraint:
    return UniqueConstraint("tenant_id", "id")


_NOW = text("now()")
UNFINISHED = "state in ('detected', 'preparing', 'ready', 'staging', 'committing', 'unknown', 'reconciling')"
ENDED = "state in ('published', 'failed', 'skipped', 'cancelled', 'dropped')"
CHECKED = "check_at is not null and state in ('published', 'failed', 'skipped', 'cancelled', 'dropped', 'needs_review')"
"""Written out, because only a condition with these very words is served by the indexes that have it."""


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=text("now()"))


def _empty() -> Mapped[dict[str, Any]]:
    return mapped_column(default=dict, server_default=text("'{}'::jsonb"))


def _one_of(column: str, values: type[State | EvidenceKind | ConnectionStatus]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


class Tenant(Base):
    """A customer: owner of everything that carries its id."""

    __tablename__ = "tenants"
    id: Mapped[str] = _id()
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    zone: Mapped[str] = mapped_column(default="UTC", server_default="UTC")
    created_at: Mapped[datetime] = _now()
    suspended_at: Mapped[datetime | None]


class User(Base):
    """Signs in; belongs to tenants by memberships. The e-mail is kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower"),)
    id: Mapped[str] = _id()
    email: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime] = _now()
    disabled_at: Mapped[datetime | None]


class Membership(Base):
    """A user's role in a tenant."""

    __tablename__ = "memberships"
    tenant_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str]
    created_at: Mapped[datetime] = _now()


class Connection(Base):
    """A tenant's grant for one account on one platform. Tokens are sealed; the poll columns serve sources.

    `token_version` grows with each stored token set: a refresher that re-reads it knows whether it lost the race.
    `connected_at` is when it was made, `consented_at` when its person last said yes.
    """

    __tablename__ = "connections"
    __table_args__ = (
        _referable(),
        UniqueConstraint("tenant_id", "platform", "external_account_id"),
        Index(None, "platform", "external_account_id"),
        _one_of("status", ConnectionStatus),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    platform: Mapped[str]
    login: Mapped[str]
    external_account_id: Mapped[str]
    handle: Mapped[str]
    display_name: Mapped[str] = mapped_column(default="", server_default="")
    avatar_url: Mapped[str | None]
    profile_url: Mapped[str | None]
    traits: Mapped[dict[str, Any]] = _empty()
    status: Mapped[str] = mapped_column(default=ConnectionStatus.ACTIVE, server_default="active")
    status_reason: Mapped[str] = mapped_column(default="", server_default="")
    scopes: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    access_token_sealed: Mapped[bytes | None]
    refresh_token_sealed: Mapped[bytes | None]
    access_expires_at: Mapped[datetime | None]
    refresh_expires_at: Mapped[datetime | None]
    token_issued_at: Mapped[datetime | None]
    token_extra: Mapped[dict[str, Any]] = _empty()
    token_version: Mapped[int] = mapped_column(default=1, server_default="1")
    connected_by: Mapped[str | None] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.id", ondelete="SET NULL"))
    connected_at: Mapped[datetime] = _now()
    consented_at: Mapped[datetime] = _now()
    last_refreshed_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_polled_at: Mapped[datetime | None]
    deep_polled_at: Mapped[datetime | None]
    pulse: Mapped[str | None]
    pulsed_at: Mapped[datetime | None]
    poll_not_before_at: Mapped[datetime | None]
    poll_faults: Mapped[int] = mapped_column(default=0, server_default="0")
    expected_posts: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    watermark_at: Mapped[datetime] = _now()


class Consent(Base):
    """A person sent to a platform's consent page and not back yet. The state is kept as its SHA-256."""

    __tablename__ = "consents"
    __table_args__ = (_of_tenant("connection_id", "connections"),)
    state_sha256: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _tenant()
    user_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False), ForeignKey("users.id", ondelete="CASCADE"))
    connection_id: Mapped[str | None] = _ref()
    platform: Mapped[str]
    login: Mapped[str]
    redirect_uri: Mapped[str]
    verifier_sealed: Mapped[bytes | None]
    expires_at: Mapped[datetime]


class Rule(Base):
    """Which posts of a source go where. Deleted rules stay as rows: publications point at them."""

    __tablename__ = "rules"
    __table_args__ = (
        _referable(),
        _of_tenant("source_connection_id", "connections"),
        Index(None, "tenant_id", "source_connection_id"),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    name: Mapped[str]
    source_connection_id: Mapped[str] = _ref()
    filter: Mapped[dict[str, Any]] = _empty()
    delay_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    watermark_at: Mapped[datetime] = _now()
    created_at: Mapped[datetime] = _now()
    paused_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class RuleDestination(Base):
    """One destination of a rule, with its caption template and options."""

    __tablename__ = "rule_destinations"
    __table_args__ = (
        _of_tenant("rule_id", "rules"),
        _of_tenant("connection_id", "connections"),
        UniqueConstraint("tenant_id", "rule_id", "connection_id"),
        Index(None, "tenant_id"),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    rule_id: Mapped[str] = _ref()
    connection_id: Mapped[str] = _ref()
    template: Mapped[str]
    options: Mapped[dict[str, Any]] = _empty()


class Post(Base):
    """Appeared at a source. `full_caption` comes with the file where the list cuts the text.

    `offered_until` keeps two runs for one post from being asked for while the first is on its way.
    """

    __tablename__ = "posts"
    __table_args__ = (
        _referable(),
        _of_tenant("connection_id", "connections"),
        UniqueConstraint("tenant_id", "platform", "external_account_id", "external_post_id"),
        Index(None, "platform", "external_account_id", "external_post_id"),
        Index("posts_newest_idx", "tenant_id", text("posted_at desc")),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    connection_id: Mapped[str] = _ref()
    platform: Mapped[str]
    external_account_id: Mapped[str]
    external_post_id: Mapped[str]
    kind: Mapped[str]
    caption: Mapped[str]
    full_caption: Mapped[str | None]
    url: Mapped[str]
    cover_url: Mapped[str | None]
    duration_seconds: Mapped[float | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    counts: Mapped[dict[str, Any]] = _empty()
    posted_at: Mapped[datetime]
    detected_at: Mapped[datetime]
    offered_until: Mapped[datetime | None]

    @property
    def identity(self) -> PostIdentity:
        return PostIdentity(self.platform, self.external_account_id, self.external_post_id)


class Original(Base):
    """The file of a post as fetched, kept under its content hash."""

    __tablename__ = "originals"
    __table_args__ = (
        _referable(),
        _of_tenant("post_id", "posts"),
        UniqueConstraint("post_id"),
        Index(None, "tenant_id", "sha256"),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    post_id: Mapped[str] = _ref()
    store_key: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    facts: Mapped[dict[str, Any]] = _empty()
    thumbnail_key: Mapped[str | None]
    fetched_at: Mapped[datetime]
    fetch_seconds: Mapped[float]


class Rendition(Base):
    """A file made (or, for a passthrough, taken) to fit limits; one for each original and way of making."""

    __tablename__ = "renditions"
    __table_args__ = (
        _referable(),
        _of_tenant("original_id", "originals"),
        UniqueConstraint("original_id", "spec"),
        Index(None, "tenant_id"),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    original_id: Mapped[str] = _ref()
    spec: Mapped[str]
    kind: Mapped[str]
    reason: Mapped[str]
    store_key: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    facts: Mapped[dict[str, Any]] = _empty()
    made_at: Mapped[datetime]
    make_seconds: Mapped[float]
    cpu_seconds: Mapped[float]


class Publication(Base):
    """The promise to put one post on one destination, once. Unique across tenants by external ids.

    `publish_at` is when the rule wants it public, `due_at` when there is next something to do about it. `waiting_for`
    is what it waits for, in the tenant's words; `cause` is the code of the verdict behind that, or behind `reason`, by
    which those that wait for the same are grouped. `looked_epoch` is the newest restore epoch in which it cannot have
    been sent without our knowing. `finish_at` is when there is next something to finish, once it is published, and
    `check_at` when it is next looked for on its platform, once it has come to rest.
    """

    __tablename__ = "publications"
    __table_args__ = (
        _referable(),
        _of_tenant("post_id", "posts"),
        _of_tenant("rule_id", "rules"),
        _of_tenant("connection_id", "connections"),
        _of_tenant("rendition_id", "renditions"),
        UniqueConstraint(
            "platform",
            "external_account_id",
            "source_platform",
            "source_post_id",
            name="publications_identity_key",
        ),
        Index("publications_due_idx", "state", "due_at"),
        Index("publications_cause_idx", "tenant_id", "state", "platform", "cause"),
        Index("publications_newest_idx", "tenant_id", text("created_at desc")),
        Index(None, "post_id"),
        Index(None, "connection_id"),
        Index(
            "publications_finish_idx",
            "platform",
            "finish_at",
            postgresql_where=text("state = 'published' and finish_at is not null"),
        ),
        Index("publications_unfinished_idx", "publish_at", "state", "platform", postgresql_where=text(UNFINISHED)),
        Index("publications_leased_idx", "lease_until", postgresql_where=text("lease_until is not null")),
        Index("publications_check_idx", "check_at", postgresql_where=text(CHECKED)),
        Index("publications_ended_idx", "state_at", "state", "platform", postgresql_where=text(ENDED)),
        _one_of("state", State),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    post_id: Mapped[str] = _ref()
    rule_id: Mapped[str | None] = _ref()
    connection_id: Mapped[str] = _ref()
    platform: Mapped[str]
    external_account_id: Mapped[str]
    source_platform: Mapped[str]
    source_post_id: Mapped[str]

    state: Mapped[str] = mapped_column(default=State.DETECTED, server_default="detected")
    state_at: Mapped[datetime] = _now()
    publish_at: Mapped[datetime] = _now()
    due_at: Mapped[datetime] = _now()
    waiting_for: Mapped[str] = mapped_column(default="", server_default="")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    remedy: Mapped[str] = mapped_column(default="", server_default="")
    cause: Mapped[str] = mapped_column(default="", server_default="")
    faults: Mapped[int] = mapped_column(default=0, server_default="0")

    template: Mapped[str]
    options: Mapped[dict[str, Any]] = _empty()
    text: Mapped[dict[str, Any]] = _empty()
    rendition_id: Mapped[str | None] = _ref()
    fingerprint: Mapped[str | None]

    attempt_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    lease_owner: Mapped[str | None]
    lease_epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None]
    send_before: Mapped[datetime | None]
    first_sent_at: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]

    external_id: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    looked_epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    finish_at: Mapped[datetime | None] = mapped_column(server_default=_NOW)
    check_at: Mapped[datetime | None]


class PublicationMove(Base):
    """The pairs of states that the database itself lets a publication go between; filled by migrations."""

    __tablename__ = "publication_moves"
    source: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)


class Attempt(Base):
    """One try: its handles, its intent, its outcome. At most one socket write that could publish belongs to it.

    The id is made by the worker before the intent, so that a lost COMMIT answer can be looked up by it.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        _of_tenant("publication_id", "publications"),
        UniqueConstraint("publication_id", "number"),
        Index(None, "tenant_id"),
    )
    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _tenant()
    publication_id: Mapped[str] = _ref()
    number: Mapped[int]
    epoch: Mapped[int]
    handles: Mapped[dict[str, Any]] = _empty()
    secret_handles_sealed: Mapped[bytes | None]
    started_at: Mapped[datetime]
    intended_at: Mapped[datetime | None]
    send_before: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    verdict: Mapped[dict[str, Any]] = _empty()


class Evidence(Base):
    """What an answer, a read, the sweeper or a person proved about a publication. Append-only."""

    __tablename__ = "evidence"
    __table_args__ = (
        _of_tenant("publication_id", "publications"),
        Index(None, "publication_id", "id"),
        Index(None, "tenant_id"),
        Index("evidence_late_idx", "publication_id", postgresql_where=text("source = 'late_answer' and kind = 'live'")),
        _one_of("kind", EvidenceKind),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    tenant_id: Mapped[str] = _tenant()
    publication_id: Mapped[str] = _ref()
    attempt_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    epoch: Mapped[int]
    kind: Mapped[str]
    source: Mapped[str]
    proof: Mapped[str]
    external_id: Mapped[str | None]
    url: Mapped[str | None]
    detail: Mapped[str] = mapped_column(default="", server_default="")
    at: Mapped[datetime]


class Activity(Base):
    """What a tenant may read about all this, one line a happening. Append-only."""

    __tablename__ = "activity"
    __table_args__ = (Index("activity_newest_idx", "tenant_id", text("id desc")), Index(None, "post_id"))
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    tenant_id: Mapped[str] = _tenant()
    at: Mapped[datetime]
    kind: Mapped[str]
    text: Mapped[str]
    detail: Mapped[str] = mapped_column(default="", server_default="")
    connection_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    rule_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    post_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    publication_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))


class QuotaWindow(Base):
    """Calls counted under one limit. They count until `ends_at`. `subject` is an external account id, "" for the app.

    A sliding limit is counted in short windows, each of which leaves as a whole when its last call does.
    """

    __tablename__ = "quota_windows"
    platform: Mapped[str] = mapped_column(primary_key=True)
    quota: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    used: Mapped[int] = mapped_column(default=0, server_default="0")


class Allowance(Base):
    """What a platform itself last said about one limit: how much it grants, and until when it is closed."""

    __tablename__ = "allowances"
    platform: Mapped[str] = mapped_column(primary_key=True)
    quota: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    granted: Mapped[int | None]
    closed_until: Mapped[datetime | None]
    told_at: Mapped[datetime]


class Circuit(Base):
    """A platform, or one account of it (`account` not empty), that has not answered lately.

    `faults` in a row since its last success, of `accounts`; while `opened_at` is set nothing is sent there before
    `probe_at`, and then for one publication only, `probe_by`. `openings` in a row make the waits longer.
    """

    __tablename__ = "circuits"
    platform: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    faults: Mapped[int] = mapped_column(default=0, server_default="0")
    accounts: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    opened_at: Mapped[datetime | None]
    probe_at: Mapped[datetime | None]
    probe_by: Mapped[str] = mapped_column(default="", server_default="")
    openings: Mapped[int] = mapped_column(default=0, server_default="0")
    text: Mapped[str] = mapped_column(default="", server_default="")
    detail: Mapped[str] = mapped_column(default="", server_default="")


class Alarm(Base):
    """A promise that a watch finds broken. `subject` is the id of what it is about, or a name.

    It broke at `since_at`, which was seen at `began_at`. The row goes when the watch finds the promise kept again.
    """

    __tablename__ = "alarms"
    watch: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    since_at: Mapped[datetime]
    began_at: Mapped[datetime]
    about: Mapped[dict[str, Any]] = _empty()


class Notice(Base):
    """What a platform told us on its own, kept until it is worked on and as proof afterwards.

    `account` is the platform's id of a person, `code` what that person can ask about it with.
    """

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("platform", "key"),
        UniqueConstraint("code"),
        Index("notices_waiting_idx", "id", postgresql_where=text("worked_at is null")),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    platform: Mapped[str]
    key: Mapped[str]
    kind: Mapped[str]
    account: Mapped[str]
    at: Mapped[datetime]
    detail: Mapped[str] = mapped_column(default="", server_default="")
    code: Mapped[str]
    received_at: Mapped[datetime]
    worked_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(default="", server_default="")


class Restore(Base):
    """A time at which the database was found to have lost commits: what was sent since `lost_since` may be missing."""

    __tablename__ = "restores"
    epoch: Mapped[int] = mapped_column(Identity(), primary_key=True)
    lost_since: Mapped[datetime]
    restored_at: Mapped[datetime]
    reason: Mapped[str]


class Setting(Base):
    """The installation's own facts that must live with the rows: what stops a platform, edited app credentials."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]] = _empty()
    sealed: Mapped[bytes | None]
    changed_at: Mapped[datetime] = _now()
