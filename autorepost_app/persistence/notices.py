"""How is kept what platforms tell us on their own, once however often they say it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import cast, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.persistence.models import Connection, Notice


def keep(session: Session, values: Mapping[str, Any]) -> Notice:
    """The notice of that platform and key: this one, or the one that was kept when it came first."""
    session.execute(pg_insert(Notice).values(dict(values)).on_conflict_do_nothing(index_elements=["platform", "key"]))
    found = select(Notice).where(Notice.platform == values["platform"], Notice.key == values["key"])
    return session.scalars(found).one()


def by_code(session: Session, platform: str, code: str) -> Notice | None:
    return session.scalars(select(Notice).where(Notice.platform == platform, Notice.code == code)).one_or_none()


def next_waiting(session: Session, after_id: int) -> Notice | None:
    """The oldest one after that which nobody has worked on or is working on, this transaction's until it ends."""
    statement = select(Notice).where(Notice.worked_at.is_(None), Notice.id > after_id).order_by(Notice.id).limit(1)
    return session.scalars(statement.with_for_update(skip_locked=True)).one_or_none()


def connections_about(session: Session, platform: str, account: str) -> list[Connection]:
    """Every tenant's connection to an account that the platform knows by that id, locked.

    Some platforms name a person by an id that they use nowhere else; it is among the account's traits.
    """
    any_trait = cast("$.* ? (@ == $id)", JSONPATH)
    named = func.jsonb_path_exists(Connection.traits, any_trait, cast({"id": account}, JSONB))
    statement = (
        select(Connection)
        .where(Connection.platform == platform, or_(Connection.external_account_id == account, named))
        .order_by(Connection.id)
        .with_for_update()
    )
    return list(session.scalars(statement, execution_options={"populate_existing": True}))
