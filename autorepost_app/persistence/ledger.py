"""How is the rest kept: who there is, what happened, what the installation remembers?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from autorepost_app.persistence.models import Activity, Membership, Setting, Tenant, User


def add_tenant(session: Session, *, name: str, slug: str, zone: str = "UTC") -> Tenant:
    """The tenant of that slug, made if it is not there."""
    session.execute(pg_insert(Tenant).values(id=_id(session), name=name, slug=slug, zone=zone).on_conflict_do_nothing())
    return session.scalars(select(Tenant).where(Tenant.slug == slug)).one()


def add_user(session: Session, *, email: str, display_name: str = "") -> User:
    """The user of that address, made if it is not there."""
    address = email.strip().lower()
    session.execute(
        pg_insert(User).values(id=_id(session), email=address, display_name=display_name).on_conflict_do_nothing()
    )
    return session.scalars(select(User).where(User.email == address)).one()


def add_membership(session: Session, *, tenant_id: str, user_id: str, role: str) -> None:
    statement = pg_insert(Membership).values(tenant_id=tenant_id, user_id=user_id, role=role)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "user_id"], set_={"role": role}))


def _id(session: Session) -> Any:
    return session.scalar(select(func.gen_random_uuid()))


def tell(session: Session, *, tenant_id: str, at: datetime, kind: str, text: str, **about: Any) -> None:
    """One line of activity. `about` names its subjects and, for operators, `detail`."""
    session.execute(insert(Activity).values(tenant_id=tenant_id, at=at, kind=kind, text=text, **about))


def activity_of_posts(session: Session, post_ids: Collection[str]) -> list[Activity]:
    """In the order in which it happened."""
    return list(session.scalars(select(Activity).where(Activity.post_id.in_(post_ids)).order_by(Activity.id)))


def newest_activity(session: Session, limit: int) -> list[Activity]:
    return list(session.scalars(select(Activity).order_by(Activity.id.desc()).limit(limit)))


def setting(session: Session, name: str) -> Setting | None:
    return session.get(Setting, name)


def save_setting(
    session: Session, name: str, value: Mapping[str, Any], *, now: datetime, sealed: bytes | None = None
) -> None:
    values = {"value": dict(value), "sealed": sealed, "changed_at": now}
    session.execute(
        pg_insert(Setting).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
