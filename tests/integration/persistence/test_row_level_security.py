"""Can one tenant see, touch or guess anything of another's? Asked of every table there is, by introspection."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import ColumnElement, ForeignKeyConstraint, Table, UniqueConstraint, Uuid, and_, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence.engine import Database, Session
from autorepost_app.persistence.models import Base

SYSTEM = SystemScope("test")
TABLES = sorted(Base.metadata.tables.values(), key=lambda table: table.name)
OWNED = [table for table in TABLES if "tenant_id" in table.columns]
VISIBLE = [*OWNED, *(table for table in TABLES if table.name in ("tenants", "users"))]
OPERATORS_ONLY = [
    Base.metadata.tables[name]
    for name in ("alarms", "allowances", "circuits", "notices", "quota_windows", "restores", "settings")
]
FOR_ALL = {"publication_moves"}
REFERENCES = [
    (table, reference)
    for table in OWNED
    for reference in sorted(table.foreign_key_constraints, key=lambda one: str(one.name))
    if reference.referred_table in OWNED
]
INSERTABLE = {"activity", "connections", "consents", "evidence", "memberships", "rule_destinations", "rules"}

each_visible = pytest.mark.parametrize("table", VISIBLE, ids=str)
each_owned = pytest.mark.parametrize("table", OWNED, ids=str)


def _only(table: Table, row: dict[str, Any]) -> ColumnElement[bool]:
    """The condition that is true of that row alone."""
    return and_(*(column == row[column.name] for column in table.primary_key))


def _count(session: Session, table: Table) -> int | None:
    return session.scalar(select(func.count()).select_from(table))


def _as_stored(db: Database, table: Table, row: dict[str, Any]) -> dict[str, Any] | None:
    with db.system(SYSTEM) as session:
        found = session.execute(select(table).where(_only(table, row))).mappings().one_or_none()
        return dict(found) if found else None


# ------------------------------------------------------------------------------------------------ every table is told


def test_every_table_is_either_a_tenants_or_named_here() -> None:
    """A new table without a tenant has to be thought about, here."""
    named = {"tenants", "users", *FOR_ALL, *(table.name for table in OPERATORS_ONLY)}
    assert {table.name for table in TABLES} == {table.name for table in OWNED} | named


@pytest.mark.parametrize("table", [table for table in TABLES if table.name not in FOR_ALL], ids=str)
def test_every_table_has_its_policy_and_it_binds_its_owner_too(owner_connection: Any, db: Any, table: Table) -> None:
    enabled, forced = owner_connection.execute(
        "select relrowsecurity, relforcerowsecurity from pg_class where oid = %s::regclass", [table.name]
    ).fetchone()
    policies = owner_connection.execute(
        "select roles::text[], qual, with_check from pg_policies where tablename = %s", [table.name]
    ).fetchall()
    assert (enabled, forced) == (True, True)
    by_role = {role: (seen, written) for roles, seen, written in policies for role in roles}
    assert by_role.pop("tests_system") == ("true", "true")
    for role, (seen, written) in by_role.items():
        assert role == "tests_app"
        assert seen == written
        assert "app.tenant_id" in seen


@each_owned
def test_no_reference_between_tenants_rows_leaves_the_tenant_out(table: Table) -> None:
    for reference in table.foreign_key_constraints:
        if reference.referred_table in OWNED:
            assert ("tenant_id", "tenant_id") in {(one.parent.name, one.column.name) for one in reference.elements}


# --------------------------------------------------------------------------------------------------------- what is seen


@each_visible
def test_without_a_tenant_there_is_nothing(db: Any, every_table: Any, table: Table) -> None:
    with Session(db._app) as session:
        assert _count(session, table) == 0


@pytest.mark.parametrize("told", ["", "6f1f64a8-0f0e-4b55-8f0c-6f2c4c4c4c4c"])
@each_visible
def test_a_tenant_that_does_not_exist_has_nothing(db: Any, every_table: Any, table: Table, told: str) -> None:
    with Session(db._app) as session:
        session.execute(text("select set_config('app.tenant_id', :told, true)"), {"told": told})
        assert _count(session, table) == 0


@each_visible
def test_a_tenant_sees_its_own_row_and_no_other(db: Any, every_table: Any, table: Table) -> None:
    mine = every_table.mine_in(table)
    with db.tenant(every_table.mine) as session:
        assert [dict(row) for row in session.execute(select(table)).mappings()] == [mine]
        assert session.execute(select(table).where(_only(table, every_table.theirs_in(table)))).first() is None


@each_visible
def test_workers_see_every_tenants_rows(db: Any, every_table: Any, table: Table) -> None:
    with db.system(SYSTEM) as session:
        assert _count(session, table) == 2


@pytest.mark.parametrize("table", OPERATORS_ONLY, ids=str)
def test_what_is_the_operators_is_closed_to_tenants(db: Any, every_table: Any, table: Table) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), db.tenant(every_table.mine) as session:
        _count(session, table)


# ------------------------------------------------------------------------------------------------------ what is touched


@each_visible
def test_another_tenants_row_can_be_neither_changed_nor_deleted(db: Any, every_table: Any, table: Table) -> None:
    theirs, column = every_table.theirs_in(table), next(iter(table.columns))
    changed, deleted = table.update().values({column: column}), table.delete()
    for way in (changed.where(_only(table, theirs)), deleted.where(_only(table, theirs))):
        with suppress(ProgrammingError), db.tenant(every_table.mine) as session:
            assert session.execute(way).rowcount == 0
    assert _as_stored(db, table, theirs) == theirs


@each_owned
def test_a_row_cannot_be_written_for_another_tenant(db: Any, every_table: Any, table: Table) -> None:
    for_them = every_table.row(table, every_table.theirs)
    told = r"row-level security policy|permission denied"
    with pytest.raises(ProgrammingError, match=told), db.tenant(every_table.mine) as session:
        session.execute(table.insert().values(for_them))
    with db.system(SYSTEM) as session:
        assert _count(session, table) == 2


@each_owned
def test_a_row_cannot_be_given_away(db: Any, every_table: Any, table: Table) -> None:
    given = f"update {table.name} set tenant_id = '{every_table.theirs.tenant_id}'"
    with pytest.raises(DBAPIError), db.tenant(every_table.mine) as session:
        session.execute(text(given))
    mine = every_table.mine_in(table)
    assert _as_stored(db, table, mine) == mine


@each_owned
def test_the_application_may_write_only_where_people_do(db: Any, every_table: Any, table: Table) -> None:
    """Posts, files, attempts and promises are made by workers; a tenant cannot make one up."""
    with db.tenant(every_table.mine) as session:
        may = session.scalar(text(f"select has_table_privilege('{table.name}', 'insert')"))
    assert may is (table.name in INSERTABLE)


# ------------------------------------------------------------------------------------------------------ what is guessed


def _refusal(db: Database, scope: Any, table: Table, values: dict[str, Any]) -> str:
    with pytest.raises(IntegrityError) as refusal, db.session(scope) as session:
        session.execute(table.insert().values(values))
    uuids = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return re.sub(uuids, "<id>", str(refusal.value.orig))


def _of_reference(part: Any) -> str:
    return str(part.name) if isinstance(part, ForeignKeyConstraint) else ""


@pytest.mark.parametrize(
    ("table", "reference"), [pair for pair in REFERENCES if pair[0].name in INSERTABLE], ids=_of_reference
)
def test_pointing_at_another_tenants_row_fails_as_pointing_at_nothing_does(
    db: Any, every_table: Any, table: Table, reference: ForeignKeyConstraint
) -> None:
    [own] = [one.parent.name for one in reference.elements if one.parent.name != "tenant_id"]
    theirs = every_table.theirs_in(reference.referred_table)["id"]
    told = [
        _refusal(db, every_table.mine, table, every_table.row(table, every_table.mine, **{own: pointed_at}))
        for pointed_at in (theirs, str(uuid.uuid4()))
    ]
    assert told[0] == told[1]
    assert f'violates foreign key constraint "{reference.name}"' in told[0]


@pytest.mark.parametrize(("table", "reference"), REFERENCES, ids=_of_reference)
def test_not_even_a_worker_can_join_two_tenants_rows(
    db: Any, every_table: Any, table: Table, reference: ForeignKeyConstraint
) -> None:
    [own] = [one.parent.name for one in reference.elements if one.parent.name != "tenant_id"]
    theirs = every_table.theirs_in(reference.referred_table)["id"]
    _refusal(db, SYSTEM, table, every_table.row(table, every_table.mine, **{own: theirs}))


@pytest.mark.parametrize("table", [table for table in OWNED if table.name in INSERTABLE], ids=str)
def test_what_must_be_unique_is_unique_within_a_tenant_wherever_people_write(table: Table) -> None:
    """Else a refused duplicate would tell that somebody else has one. An id of our own making cannot be guessed."""
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            known = [column.name for column in constraint.columns if not isinstance(column.type, Uuid)]
            assert not known or "tenant_id" in constraint.columns, constraint.name


# ------------------------------------------------------------------------------------------------------------- the pool


def test_a_tenant_does_not_stay_on_the_connection_for_whoever_comes_next(database: Any, every_table: Any) -> None:
    db = Database(database.url("app"), database.url("system"), pool_size=1)
    connections = Base.metadata.tables["connections"]
    backends = set()

    class Crash(Exception):
        pass

    def crash() -> None:
        with db.tenant(every_table.mine) as session:
            session.execute(select(connections))
            raise Crash

    with db.tenant(every_table.mine) as session:
        assert _count(session, connections) == 1
        backends.add(session.scalar(text("select pg_backend_pid()")))
    with pytest.raises(Crash):
        crash()
    with Session(db._app) as session:
        assert _count(session, connections) == 0
        backends.add(session.scalar(text("select pg_backend_pid()")))
    db.close()
    assert len(backends) == 1, "the same connection, or this proves nothing"


def test_two_tenants_in_turn_on_one_connection_each_see_their_own(database: Any, every_table: Any) -> None:
    db = Database(database.url("app"), database.url("system"), pool_size=1)
    posts = Base.metadata.tables["posts"]
    for scope in (every_table.mine, every_table.theirs, every_table.mine):
        with db.tenant(scope) as session:
            assert session.scalars(select(posts.c.tenant_id)).all() == [scope.tenant_id]
    db.close()
