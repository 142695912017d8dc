"""What may each login do in the database, beside its work?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence.schema import ROLES

REFUSED = psycopg.errors.InsufficientPrivilege
every_role = pytest.mark.parametrize("role", ROLES)


@pytest.fixture
def login(database: Any, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the role of this test."""
    role = request.node.callspec.params["role"]
    url = database.url(role).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@every_role
def test_a_login_is_plain(login: Any, role: str) -> None:
    rights = login.execute(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles"
        " where rolname = current_user"
    ).fetchone()
    assert rights == (False, False, False, False, False)
    memberships = login.execute("select count(*) from pg_auth_members where member = current_user::regrole").fetchone()
    assert memberships == (0,)


@every_role
@pytest.mark.parametrize(
    "attempt",
    [
        "create table public.mine (id int)",
        "create temp table publication_moves (source text, target text)",
        "create schema mine",
        "alter table public.publications disable trigger publications_guard",
        "alter table public.publications disable row level security",
        "alter table public.publications no force row level security",
        "drop policy own_tenant on public.publications",
        "drop table public.evidence",
        "drop trigger evidence_kept on public.evidence",
        "insert into public.publication_moves values ('published', 'ready')",
        "delete from public.publication_moves",
        "create or replace function public.append_only() returns trigger language sql as 'select 1'",
        "set session_replication_role = replica",
        "set session authorization pg_monitor",
        "copy (select 1) to program 'true'",
    ],
)
def test_no_login_can_take_the_guards_away(login: Any, role: str, attempt: str) -> None:
    with pytest.raises(psycopg.Error) as refusal:
        login.execute(attempt)
    assert isinstance(refusal.value, (REFUSED, psycopg.errors.InvalidFunctionDefinition)), refusal.value


@every_role
def test_no_login_can_become_another(login: Any, role: str, owner_connection: Any) -> None:
    others = [name for (name,) in owner_connection.execute("select rolname from pg_roles where rolname !~ '^pg_'")]
    assert len(others) > len(ROLES)
    for other in others:
        if other != f"tests_{role}":
            with pytest.raises(REFUSED):
                login.execute(f'set role "{other}"')


@pytest.mark.parametrize("role", ["dagster"])
def test_dagster_sees_its_own_schema_and_no_row_of_ours(login: Any, role: str, every_table: Any) -> None:
    login.execute("create table runs (id int)")
    assert login.execute("select schemaname from pg_tables where tablename = 'runs'").fetchone() == ("dagster",)
    login.execute("drop table runs")
    tables = login.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    assert len(tables) > 10
    for (table,) in tables:
        with pytest.raises(REFUSED):
            login.execute(f"select 1 from public.{table}")


@pytest.mark.parametrize("role", ["app", "system"])
def test_neither_application_nor_workers_see_what_is_dagsters(login: Any, role: str) -> None:
    with pytest.raises(REFUSED):
        login.execute("create table dagster.mine (id int)")


@pytest.mark.parametrize("role", ["app", "system"])
def test_the_record_of_migrations_is_the_owners(login: Any, role: str) -> None:
    with pytest.raises(REFUSED):
        login.execute("select * from alembic_version")


def test_an_acknowledged_commit_is_on_disk_whatever_the_server_was_told(db: Any, rows: Any, postgres: Any) -> None:
    """The server of these tests runs with synchronous_commit off; an intent must not (exactly-once R7)."""
    with psycopg.connect(postgres.address("tests").url(None)) as plain:
        assert plain.execute("show synchronous_commit").fetchone() == ("off",)
    with db.tenant(rows.tenant()) as ours, db.system(SystemScope("test")) as workers:
        assert [session.scalar(text("show synchronous_commit")) for session in (ours, workers)] == ["on", "on"]


def test_each_scope_comes_as_its_own_login(db: Any, rows: Any) -> None:
    with db.session(rows.tenant()) as ours, db.session(SystemScope("test")) as workers:
        assert ours.scalar(text("select current_user")) == "tests_app"
        assert workers.scalar(text("select current_user")) == "tests_system"


def test_a_database_that_answers_both_logins_is_there(db: Any) -> None:
    db.ping()
