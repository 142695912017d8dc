"""How are grants kept, which of them is polled next, and who may refresh one?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.polling import Waiting, half_hour, unknown_posts
from autorepost_app.persistence.models import Connection, Consent, Post, Rule, Tenant


def get(session: Session, connection_id: str) -> Connection:
    """Raises KeyError for an id that is not visible here."""
    found = session.get(Connection, connection_id, populate_existing=True)
    if found is None:
        raise KeyError(connection_id)
    return found


def by_id(session: Session, connection_ids: Collection[str]) -> dict[str, Connection]:
    """Those of them that are visible here."""
    found = session.scalars(select(Connection).where(Connection.id.in_(connection_ids)))
    return {connection.id: connection for connection in found}


def of_tenant(session: Session) -> list[Connection]:
    """Those the session may see, in the order in which they were made."""
    return list(session.scalars(select(Connection).order_by(Connection.connected_at, Connection.id)))


def tenants_on(session: Session, platform: str) -> list[str]:
    """Ids of the tenants with a connection to that platform that is not ended."""
    live = (Connection.platform == platform, Connection.status != ConnectionStatus.DISCONNECTED)
    return list(session.scalars(select(Connection.tenant_id).where(*live).distinct()))


def id_of(session: Session, tenant_id: str, platform: str, external_account_id: str) -> str | None:
    """The connection that this tenant has for that account, dead or alive. Tokens are sealed for its id."""
    return session.scalar(
        select(Connection.id).where(
            Connection.tenant_id == tenant_id,
            Connection.platform == platform,
            Connection.external_account_id == external_account_id,
        )
    )


def save(session: Session, values: Mapping[str, Any]) -> Connection:
    """Adds the grant, or renews the one this tenant already has for that account."""
    renewed = {name: value for name, value in values.items() if name not in ("id", "tenant_id", "watermark_at")}
    statement = (
        pg_insert(Connection)
        .values(dict(values))
        .on_conflict_do_update(
            index_elements=["tenant_id", "platform", "external_account_id"],
            set_={**renewed, "token_version": Connection.token_version + 1},
        )
        .returning(Connection)
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).one()


def lock(session: Session, connection_id: str) -> Connection:
    """The row, this transaction's alone to change until it ends. Raises KeyError for an id that is not visible here.

    Its keys stay as they are, so that rows which refer to it can be added meanwhile: a refresh lasts as long as the
    platform takes.
    """
    found = session.get(Connection, connection_id, populate_existing=True, with_for_update={"key_share": True})
    if found is None:
        raise KeyError(connection_id)
    return found


def lock_refresh(session: Session, connection_id: str) -> Connection:
    """Waits until this transaction is the only one refreshing that connection, then reads and locks it anew."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"connection:{connection_id}", 0))))
    return lock(session, connection_id)


def _sources(platforms: Collection[str]) -> Select[str]:
    """Ids of active connections of tenants that are not suspended, named by a rule that is not deleted."""
    return (
        select(Connection.id)
        .join(Tenant, and_(Tenant.id == Connection.tenant_id, Tenant.suspended_at.is_(None)))
        .where(Connection.platform.in_(platforms), Connection.status == ConnectionStatus.ACTIVE)
        .where(select(Rule.id).where(Rule.source_connection_id == Connection.id, Rule.deleted_at.is_(None)).exists())
    )


def count_sources(session: Session, platform: str) -> int:
    return session.scalar(select(func.count()).select_from(_sources([platform]).subquery())) or 0


def due_for_poll(session: Session, platform: str, now: datetime) -> list[Waiting]:
    """The sources that may be polled now. Whose `poll_not_before_at` is empty was asked for, or never polled."""
    statement = (
        select(
            Connection.id,
            _expected(now),
            _seconds_since(_LOOKED_AT, now),
            _ASKED_FOR,
            _seconds_since(Connection.last_polled_at, now),
        )
        .where(Connection.id.in_(_sources([platform])))
        .where(or_(_ASKED_FOR, Connection.poll_not_before_at <= now))
    )
    return [Waiting(*row) for row in session.execute(statement)]


def due_for_pulse(session: Session, platform: str, now: datetime, gap: timedelta) -> list[Waiting]:
    """The sources in good order that were not asked for their pulse within `gap`; whoever is polled now needs none."""
    statement = (
        select(Connection.id, _expected(now), _seconds_since(_LOOKED_AT, now))
        .where(Connection.id.in_(_sources([platform])), ~_ASKED_FOR, Connection.poll_faults == 0)
        .where(or_(Connection.pulsed_at.is_(None), Connection.pulsed_at <= now - gap))
    )
    return [Waiting(*row) for row in session.execute(statement)]


_ASKED_FOR: Final = Connection.poll_not_before_at.is_(None)
_FELT_AT: Final = case((Connection.pulse.is_not(None), Connection.pulsed_at))
"""Not every creator permits a pulse, and then nothing was looked at."""
_LOOKED_AT: Final = func.greatest(Connection.last_polled_at, _FELT_AT)


def _expected(now: datetime) -> ColumnElement[float]:
    """Posts a day, by what is known of this half hour. Arrays begin at 1."""
    return func.coalesce(Connection.expected_posts[half_hour(now) + 1], unknown_posts())


def _seconds_since(at: ColumnElement[Any] | InstrumentedAttribute[Any], now: datetime) -> ColumnElement[float]:
    return cast(func.extract("epoch", now - func.coalesce(at, text("'epoch'"))), Float)


def claim_polls(session: Session, connection_ids: Collection[str], now: datetime) -> list[Connection]:
    """Marks them polled at `now`; those that somebody else has at hand are left out."""
    return _claim(session, connection_ids, {"last_polled_at": now})


def claim_pulses(session: Session, connection_ids: Collection[str], now: datetime) -> list[Connection]:
    return _claim(session, connection_ids, {"pulsed_at": now})


def _claim(session: Session, connection_ids: Collection[str], marks: Mapping[str, Any]) -> list[Connection]:
    free = select(Connection.id).where(Connection.id.in_(connection_ids)).with_for_update(skip_locked=True)
    statement = update(Connection).where(Connection.id.in_(free)).values(dict(marks)).returning(Connection)
    return list(session.scalars(statement, execution_options={"populate_existing": True}))


def posted_at(session: Session, connection: Connection) -> list[datetime]:
    """When the account posted, as far as we know."""
    same = (
        Post.tenant_id == connection.tenant_id,
        Post.platform == connection.platform,
        Post.external_account_id == connection.external_account_id,
    )
    return list(session.scalars(select(Post.posted_at).where(*same)))


def expect_posts(session: Session, connection_id: str, expected: Sequence[float]) -> None:
    session.execute(update(Connection).where(Connection.id == connection_id).values(expected_posts=list(expected)))


def keep_pulse(session: Session, connection_id: str, pulse: str | None, *, poll_now: bool) -> None:
    marks: dict[str, Any] = {"pulse": pulse, **({"poll_not_before_at": None} if poll_now else {})}
    session.execute(update(Connection).where(Connection.id == connection_id).values(marks))


def ask_now(session: Session) -> None:
    """Every source is due, whenever it was asked last."""
    session.execute(update(Connection).values(poll_not_before_at=None))


def polled_well(session: Session, connection_id: str, *, now: datetime, not_before_at: datetime, deep: bool) -> None:
    marks: dict[str, Any] = {"poll_faults": 0, "poll_not_before_at": not_before_at, "last_success_at": now}
    if deep:
        marks["deep_polled_at"] = now
    session.execute(update(Connection).where(Connection.id == connection_id).values(marks))


def poll_failed(session: Session, connection_id: str, not_before_at: datetime) -> None:
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(poll_faults=Connection.poll_faults + 1, poll_not_before_at=not_before_at)
    )


def postpone_poll(session: Session, connection_id: str, until: datetime) -> None:
    """A poll that a limit did not let happen: the source has been waiting since it was last read."""
    marks = {"poll_not_before_at": until, "last_polled_at": Connection.last_success_at}
    session.execute(update(Connection).where(Connection.id == connection_id).values(marks))


def keep_consent(session: Session, values: Mapping[str, Any]) -> None:
    session.add(Consent(**values))


def take_consent(session: Session, state_sha256: str, now: datetime) -> Consent | None:
    """The consent that this state opened, once, while it lasts."""
    return session.scalars(
        delete(Consent).where(Consent.state_sha256 == state_sha256, Consent.expires_at > now).returning(Consent)
    ).one_or_none()
