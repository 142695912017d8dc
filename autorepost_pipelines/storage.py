"""How does each process reach Dagster's tables, and who makes them?

dagster-postgres opens a connection for every query: 100 to 165 a run. The storages here are its own, with one thing
changed: they share one small pool a process. They also make their tables under a lock, because several processes
that open an empty database at once break each other.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import register_at_fork
from typing import Any

import sqlalchemy as db
from dagster import StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import SqlEventLogStorageMetadata
from dagster._core.storage.runs import RunStorageSqlMetadata
from dagster._core.storage.schedules import ScheduleStorageSqlMetadata
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

DRIVER = "postgresql+psycopg2"
POOL_SIZE = 1
POOL_OVERFLOW = 20
POOL_RECYCLE_SECONDS = 300
REVISION = "29b539ebc72a"
"""Of the tables of the pinned release; asking Alembic takes a fifth of a second, which every run would pay."""
_SCHEMA_LOCK = 0x6461_6773_7465_7201  # any number that no one else in this database locks

_tables_seen: set[tuple[str, str]] = set()
_engines: dict[tuple[str, int | None], db.Engine] = {}
_engines_lock = threading.Lock()


def process_engine(url: str, statement_timeout_ms: int | None = None) -> db.Engine:
    """The one engine of this process for this database."""
    with _engines_lock:
        key = (url, statement_timeout_ms)
        if key not in _engines:
            _engines[key] = _pooled_engine(url, statement_timeout_ms)
        return _engines[key]


def dispose_engines() -> None:
    """Close every pooled connection of this process, for those who stop a database and go on living."""
    with _engines_lock:
        for engine in _engines.values():
            engine.dispose()
        _engines.clear()


def _pooled_engine(url: str, statement_timeout_ms: int | None) -> db.Engine:
    return db.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_recycle=POOL_RECYCLE_SECONDS,
        pool_pre_ping=True,
        connect_args=_connect_args(url, statement_timeout_ms),
    )


def _connect_args(url: str, statement_timeout_ms: int | None) -> dict[str, Any]:
    if statement_timeout_ms is None:
        return {}
    # connect_args replace the URL's own options, and those carry the search path.
    own = db.make_url(url).query.get("options", "")
    return {"options": f"{own} -c statement_timeout={statement_timeout_ms}"}


def _start_afresh_after_fork() -> None:
    """A child that wrote to, or closed, its parent's sockets would break the parent's queries."""
    global _engines_lock  # noqa: PLW0603  the parent may have held it at the moment of the fork
    _engines_lock = threading.Lock()
    for engine in _engines.values():
        engine.dispose(close=False)
    _engines.clear()


register_at_fork(after_in_child=_start_afresh_after_fork)


class _Pooled:
    """Lets a storage of dagster-postgres find its engine when it needs it, instead of owning one without a pool."""

    postgres_url: str
    _statement_timeout_ms: int | None = None

    @property
    def _engine(self) -> db.Engine:
        return process_engine(self.postgres_url, self._statement_timeout_ms)

    @_engine.setter
    def _engine(self, engine: db.Engine) -> None:
        engine.dispose()

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Only the timeout is of use to a storage that pools already."""
        self._statement_timeout_ms = statement_timeout


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Runs, tags, snapshots and heartbeats."""

    def has_run_stats_index_cols(self) -> bool:
        return True  # the tables are of REVISION; the original looks at them again for each event


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events, assets, partitions and pool slots."""

    def has_table(self, table_name: str) -> bool:
        """A table that is there stays there; the original asks some twenty times a run."""
        seen = (self.postgres_url, table_name)
        if seen not in _tables_seen and super().has_table(table_name):
            _tables_seen.add(seen)
        return seen in _tables_seen

    def _has_asset_key_col_on_connection(self, conn: db.Connection, column_name: str) -> bool:
        return True  # as above


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Ticks and states of sensors and schedules."""


class PooledPostgresStorage(DagsterStorage, ConfigurableClass):
    """All three, as `storage.custom` in dagster.yaml names them."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._inst_data = inst_data
        url = checked_url(postgres_url)
        if not _is_current(process_engine(url)):
            create_tables(url)
        self._run_storage = PooledRunStorage(url, should_autocreate_tables=False)
        self._event_log_storage = PooledEventLogStorage(url, should_autocreate_tables=False)
        self._schedule_storage = PooledScheduleStorage(url, should_autocreate_tables=False)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"postgres_url": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        return cls(config_value["postgres_url"], inst_data=inst_data)

    @property
    def run_storage(self) -> PooledRunStorage:
        return self._run_storage

    @property
    def event_log_storage(self) -> PooledEventLogStorage:
        return self._event_log_storage

    @property
    def schedule_storage(self) -> PooledScheduleStorage:
        return self._schedule_storage


def checked_url(url: str) -> str:
    """Dagster needs psycopg2 by name: bare `postgresql://` now means psycopg 3, over which no event can be stored."""
    try:
        driver = db.make_url(url).drivername
    except ArgumentError:
        raise ValueError("Dagster's database URL is not a URL at all") from None
    if driver != DRIVER:
        raise ValueError(f"Dagster's database URL must begin with {DRIVER}://, not {driver}://")
    return url


def create_schema(url: str, pool_limits: Mapping[str, int] | None = None) -> None:
    """Make or upgrade Dagster's tables and set how many steps each pool runs at once. Safe to call at every start."""
    create_tables(url)
    pools = PooledPostgresStorage(url).event_log_storage
    for pool, slots in (pool_limits or {}).items():
        pools.set_concurrency_slots(pool, slots)


def create_tables(url: str) -> None:
    """Bring Dagster's tables to this release. Whoever comes later, or at the same moment, finds it done."""
    with _schema_lock(checked_url(url)) as connection:
        if _is_current(process_engine(url)):
            return
        _create_namespace(connection)
        runs = PooledRunStorage(url, should_autocreate_tables=False)
        events = PooledEventLogStorage(url, should_autocreate_tables=False)
        schedules = PooledScheduleStorage(url, should_autocreate_tables=False)
        revision, newest = runs.alembic_version()
        if revision is not None and revision != newest:
            _upgrade_tables(runs, events, schedules)
        elif _missing_tables(process_engine(url)):
            _create_tables(runs, events, schedules)


def _create_tables(runs: PooledRunStorage, events: PooledEventLogStorage, schedules: PooledScheduleStorage) -> None:
    """Every step may be repeated, so a start that was killed half-way is finished by the next."""
    for storage in (runs, events, schedules):
        storage._init_db()
    runs.migrate()
    runs.optimize()
    events.reindex_events()
    events.reindex_assets()


def _upgrade_tables(runs: PooledRunStorage, events: PooledEventLogStorage, schedules: PooledScheduleStorage) -> None:
    """What `dagster instance migrate` does."""
    runs.upgrade()  # one history of revisions serves all three
    runs.migrate()
    events.reindex_assets()
    schedules.migrate()


@contextmanager
def _schema_lock(url: str) -> Iterator[db.Connection]:
    engine = db.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(db.text("SELECT pg_advisory_lock(:key)"), {"key": _SCHEMA_LOCK})
        yield connection  # closing the connection unlocks, also when this process is killed


def _create_namespace(connection: db.Connection) -> None:
    """The URL's search path names where the tables shall live; Postgres passes over a name that does not exist."""
    search_path: str = connection.scalar(db.text("SHOW search_path"))
    first = search_path.partition(",")[0].strip().strip('"')
    if first != "$user" and not db.inspect(connection).has_schema(first):
        connection.execute(db.schema.CreateSchema(first))


def _is_current(engine: db.Engine) -> bool:
    if _missing_tables(engine):
        return False
    with engine.connect() as connection:
        return bool(connection.scalar(db.text("SELECT version_num FROM alembic_version")) == REVISION)


def _missing_tables(engine: db.Engine) -> set[str]:
    wanted = (
        {"alembic_version"}
        | set(RunStorageSqlMetadata.tables)
        | set(SqlEventLogStorageMetadata.tables)
        | set(ScheduleStorageSqlMetadata.tables)
    )
    with engine.connect() as connection:
        return wanted - set(db.inspect(connection).get_table_names())
