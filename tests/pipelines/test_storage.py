"""Does Dagster keep its tables where we say, over few connections, and can it start several times at once?"""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as db
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from autorepost_pipelines import storage
from autorepost_pipelines.storage import PooledPostgresStorage, create_tables

REPO = Path(__file__).resolve().parents[2]
UPSTREAM = [PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage]


@contextmanager
def _connection(url: str) -> Iterator[db.Connection]:
    """A connection that no pool of ours knows."""
    engine = db.create_engine(url, poolclass=db.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def _other_backends(url: str) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with _connection(url) as connection:
        return list(connection.scalars(db.text(query)))


def _python(script: str, url: str) -> str:
    """A process without threads, which may fork as it likes."""
    command = [sys.executable, "-W", "error", "-c", script, url]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _use_everything(dagster: PooledPostgresStorage) -> None:
    dagster.run_storage.get_runs()
    dagster.event_log_storage.get_pool_limits()
    dagster.schedule_storage.all_instigator_state()


def test_the_tables_live_in_the_schema_the_url_names(empty_database_url: str) -> None:
    _use_everything(PooledPostgresStorage(empty_database_url))
    with _connection(empty_database_url) as connection:
        tables = db.inspect(connection)
        assert {"runs", "event_logs", "instigators", "alembic_version"} <= set(tables.get_table_names("dagster"))
        assert tables.get_table_names("public") == []


FOUR_AT_ONCE = """
import multiprocessing, sys
from autorepost_pipelines.storage import PooledPostgresStorage

def start(barrier):
    barrier.wait()
    PooledPostgresStorage(sys.argv[1]).run_storage.get_runs()

fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(4)
starters = [fork.Process(target=start, args=(barrier,)) for _ in range(4)]
for starter in starters: starter.start()
for starter in starters: starter.join()
print([starter.exitcode for starter in starters])
"""


def test_four_processes_may_open_an_empty_database_at_once(empty_database_url: str) -> None:
    assert _python(FOUR_AT_ONCE, empty_database_url) == "[0, 0, 0, 0]\n"


def test_a_start_that_was_killed_half_way_is_finished_by_the_next(empty_database_url: str) -> None:
    create_tables(empty_database_url)
    with _connection(empty_database_url) as connection:
        connection.execute(db.text("DROP TABLE instigators, concurrency_slots, pending_steps"))
    _use_everything(PooledPostgresStorage(empty_database_url))


@pytest.mark.parametrize("open_it", [create_tables, PooledPostgresStorage])
def test_tables_of_an_older_release_are_brought_to_this_one(
    open_it: Callable[[str], object], database_url: str
) -> None:
    revision, newest = PooledPostgresStorage(database_url).run_storage.alembic_version()
    assert revision == newest == storage.REVISION
    with _connection(database_url) as connection:
        connection.execute(db.text("UPDATE alembic_version SET version_num = '16e3655b4d9b'"))
    open_it(database_url)
    assert PooledPostgresStorage(database_url).run_storage.alembic_version() == (newest, newest)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "sqlite"])
def test_another_driver_is_refused_without_showing_the_password(driver: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with postgresql\+psycopg2://") as refusal:
        PooledPostgresStorage(f"{driver}://dagster:hush@db.example/app")
    assert "hush" not in str(refusal.value)


def test_nonsense_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="not a URL at all") as refusal:
        PooledPostgresStorage("dagster:hush@db.example")
    assert "hush" not in str(refusal.value)


def test_all_storages_of_a_process_share_one_connection(database_url: str) -> None:
    for _ in range(3):
        _use_everything(PooledPostgresStorage(database_url))
    assert len(_other_backends(database_url)) == 1


def test_a_connection_the_server_cut_is_replaced_unseen(database_url: str) -> None:
    dagster = PooledPostgresStorage(database_url)
    _use_everything(dagster)
    with _connection(database_url) as connection:
        connection.execute(db.text("SELECT pg_terminate_backend(:pid)"), {"pid": _other_backends(database_url)[0]})
    _use_everything(dagster)


PARENT_AND_CHILD = """
import os, sys
from sqlalchemy import text
from autorepost_pipelines.storage import PooledPostgresStorage

def backend():
    with dagster.run_storage.connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))

dagster = PooledPostgresStorage(sys.argv[1])
before = backend()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, str(backend()).encode())
    sys.exit(0)
os.wait()
print(before, int(os.read(reader, 100)), backend())
"""


def test_a_forked_child_opens_a_connection_of_its_own_and_leaves_its_parents_alone(database_url: str) -> None:
    before, in_child, after = _python(PARENT_AND_CHILD, database_url).split()
    assert before == after
    assert in_child != before


def test_the_web_servers_statement_timeout_does_not_lose_the_search_path(database_url: str) -> None:
    dagster = PooledPostgresStorage(database_url)
    for part in (dagster.run_storage, dagster.event_log_storage, dagster.schedule_storage):
        part.optimize_for_webserver(statement_timeout=7000, pool_recycle=1, max_overflow=1)
    with dagster.run_storage.connect() as connection:
        assert connection.scalar(db.text("SHOW statement_timeout")) == "7s"
        assert connection.scalar(db.text("SELECT current_schema()")) == "dagster"


@pytest.mark.parametrize("upstream", UPSTREAM)
def test_contract_dagster_postgres_reaches_the_database_only_through_engine(upstream: type) -> None:
    """The pool works because the pinned release connects by `self._engine` and by nothing else."""
    source = inspect.getsource(upstream)
    connecting = [line.strip() for line in source.splitlines() if "create_pg_connection(" in line]
    assert connecting
    assert set(connecting) == {"return create_pg_connection(self._engine)"}
    assert list(inspect.signature(upstream.__init__).parameters)[1:3] == ["postgres_url", "should_autocreate_tables"]
    assert list(inspect.signature(upstream.optimize_for_webserver).parameters)[1:] == [
        "statement_timeout",
        "pool_recycle",
        "max_overflow",
    ]


def test_contract_tables_are_made_by_the_steps_we_call() -> None:
    assert all(callable(getattr(upstream, "_init_db", None)) for upstream in UPSTREAM)
    assert callable(SqlRunStorage.optimize)
    assert "self.migrate()" in inspect.getsource(PostgresScheduleStorage._init_db)


def test_a_process_can_let_go_of_its_connections(database_url: str, eventually: Callable[..., object]) -> None:
    _use_everything(PooledPostgresStorage(database_url))
    storage.dispose_engines()
    eventually(lambda: _other_backends(database_url) == [])
