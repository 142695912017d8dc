"""Does a database come to this version's shape from nothing, twice, and from four sides at once?"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from autorepost_app.domain.errors import UserError
from autorepost_app.persistence import migrations, schema
from autorepost_app.persistence.access import prepare

VERSIONS = sorted((Path(str(migrations.__file__)).parent / "versions").glob("*.py"))
SHAPE = {
    "columns": "select table_schema, table_name, column_name, data_type, is_nullable, column_default"
    " from information_schema.columns where table_schema in ('public', 'dagster')",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
    " where connamespace = 'public'::regnamespace",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    "policies": "select tablename, policyname, roles::text, qual, with_check from pg_policies",
    "rights": "select grantee, table_name, privilege_type from information_schema.role_table_grants"
    " where table_schema = 'public'",
    "triggers": "select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "moves": "select source, target from publication_moves",
    "revision": "select version_num from alembic_version",
}


def _shape(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        return {name: sorted(map(repr, connection.execute(query).fetchall())) for name, query in SHAPE.items()}


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def empty(postgres: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A database of this test's own with nothing in it: its name, and whom to ask about it."""
    name = f"m{abs(hash(request.node.name)) % 10**9}"
    schema.create_database(postgres.admin_url(), name)
    yield postgres.address(name)
    with psycopg.connect(postgres.address().url(None), autocommit=True) as connection:
        connection.execute(f"drop database {name}")
        for role in schema.ROLES:
            connection.execute(f"drop role if exists {schema.role_name(name, role)}")


def test_from_nothing_the_database_becomes_what_the_models_say(empty: Any, tmp_path: Path) -> None:
    assert schema.differences(make_url(empty.url())) != []
    prepare(tmp_path, empty.url())
    assert schema.differences(make_url(empty.url())) == []


def test_migrating_again_changes_nothing(empty: Any, tmp_path: Path) -> None:
    prepare(tmp_path, empty.url())
    first = _shape(empty.url(None))
    prepare(tmp_path, empty.url())
    assert _shape(empty.url(None)) == first
    assert all(first.values()), "each of these is there, or comparing proves nothing"


def test_making_a_database_that_is_there_leaves_it_as_it_is(empty: Any, postgres: Any, tmp_path: Path) -> None:
    prepare(tmp_path, empty.url())
    schema.create_database(postgres.admin_url(), empty.dbname)
    assert _shape(empty.url(None))["revision"]


def test_two_databases_on_one_server_are_strangers(empty: Any, database: Any, tmp_path: Path) -> None:
    """Roles belong to the server: those of one database must not reach into the other."""
    access = prepare(tmp_path, empty.url())
    for role in ("app", "system"):
        url = access.url(role).set(drivername="postgresql", database="tests").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from public.publications")


@pytest.mark.slow
def test_four_processes_migrating_at_once_agree(empty: Any, tmp_path: Path) -> None:
    code = "import sys, pathlib; from autorepost_app.persistence.access import prepare;"
    code += "print(prepare(pathlib.Path(sys.argv[1]), sys.stdin.read()).path.read_text())"
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        assert process.stdin
        process.stdin.write(empty.url())
        process.stdin.close()
        process.stdin = None
    ended = [(*process.communicate(timeout=100), process.returncode) for process in running]
    assert [(error, code) for _out, error, code in ended] == [("", 0)] * 4
    assert len({out for out, _error, _code in ended}) == 1, "all four wrote the same addresses"
    assert schema.differences(make_url(empty.url())) == []


def test_migrations_are_one_line_from_the_first_to_the_newest() -> None:
    script = ScriptDirectory(str(VERSIONS[0].parents[1]))
    assert len(script.get_heads()) == 1
    assert [revision.revision for revision in script.walk_revisions()] == sorted(
        (path.stem.split("_")[0] for path in VERSIONS), reverse=True
    )


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_every_revision_says_what_it_is_for(path: Path) -> None:
    module = _module(path)
    told = (module.__doc__ or "").splitlines()
    assert told
    assert len(told[0]) > 10
    assert f"Revision: {module.revision}" in module.__doc__


@pytest.mark.parametrize("version", [90624, 130018, 149999])
def test_a_server_that_is_too_old_is_refused_with_the_two_ways_out(version: int) -> None:
    with pytest.raises(UserError, match=f"PostgreSQL {version // 10000} is too old") as refusal:
        schema.refuse_old_server(version)
    assert "15 or newer" in refusal.value.remedy
    assert "AUTOREPOST_DATABASE_URL unset" in refusal.value.remedy


@pytest.mark.parametrize("version", [150000, 180006])
def test_a_server_that_is_new_enough_is_taken(version: int) -> None:
    schema.refuse_old_server(version)
