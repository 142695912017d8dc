"""Does what was written down stay written down?"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence.models import Base

SYSTEM = SystemScope("test")
KEPT = ["evidence", "activity"]
WAYS = {
    "changed": "update {} set detail = 'another story'",
    "deleted": "delete from {}",
    "truncated": "truncate {}",
}


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", ["app", "system"])
def test_no_role_of_ours_can_rewrite_history(db: Any, every_table: Any, table: str, way: str, role: str) -> None:
    scope = SYSTEM if role == "system" else every_table.mine
    with pytest.raises(DBAPIError, match=r"permission denied|append-only"), db.session(scope) as session:
        session.execute(text(WAYS[way].format(table)))
    with db.system(SYSTEM) as session:
        left = session.execute(select(Base.metadata.tables[table].c.detail)).scalars().all()
    assert left == ["", ""]


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("way", ["changed", "truncated"])
def test_not_even_the_owner_rewrites_history_by_mistake(
    every_table: Any, owner_connection: Any, table: str, way: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=f"{table} is append-only"):
        owner_connection.execute(WAYS[way].format(table))


def test_the_owner_cannot_empty_the_promises_by_mistake(every_table: Any, owner_connection: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="is append-only"):
        owner_connection.execute("truncate publications cascade")


def test_a_tenants_end_takes_everything_of_theirs_and_nothing_of_others(
    db: Any, every_table: Any, owner_connection: Any
) -> None:
    owner_connection.execute("delete from tenants where id = %s", [every_table.theirs.tenant_id])
    with db.system(SYSTEM) as session:
        for table in Base.metadata.sorted_tables:
            if "tenant_id" in table.columns:
                assert session.scalars(select(table.c.tenant_id)).all() == [every_table.mine.tenant_id], table.name


def test_a_connection_with_publications_cannot_be_deleted_from_under_them(db: Any, every_table: Any) -> None:
    """The next poll after a reconnect would promise, and send, all of them again."""
    with pytest.raises(DBAPIError, match="violates foreign key constraint"), db.system(SYSTEM) as session:
        session.execute(text("delete from connections"))
    with db.system(SYSTEM) as session:
        assert session.scalar(select(func.count()).select_from(Base.metadata.tables["publications"])) == 2
