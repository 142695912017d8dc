"""How does code get at rows, and as whom?

`Database.tenant(scope)` and `Database.system(scope)` each give one transaction. The first runs as the plain role with
the tenant set for that transaction only; the second as the system role. Both commit at the end of the block, or roll
back. `Database.statement` is for what is asked so often that BEGIN and COMMIT beside it would cost more than itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Engine, TextClause, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from autorepost_app.domain.crash_points import AFTER_COMMIT, BEFORE_COMMIT, reached
from autorepost_app.domain.identity import Scope, SystemScope, TenantScope

__all__ = ["Database", "Session", "Statement", "wrote"]

_WRITTEN = "written"
_SET_TENANT = text("select set_config('app.tenant_id', :tenant, true)")


class Statement(Protocol):
    """One statement that is a transaction of its own; gives its rows."""

    def __call__(self, sql: TextClause, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]: ...


class Database:
    """Two pools on one database: the application's and the workers'."""

    def __init__(self, app_url: URL, system_url: URL, *, pool_size: int = 5) -> None:
        self._app = _engine(app_url, pool_size)
        self._system = _engine(system_url, pool_size)
        self._system_at_once = self._system.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """One transaction on behalf of `scope`."""
        match scope:
            case TenantScope():
                with self.tenant(scope) as session:
                    yield session
            case SystemScope():
                with self.system(scope) as session:
                    yield session

    @contextmanager
    def tenant(self, scope: TenantScope) -> Iterator[Session]:
        with _transaction(self._app) as session:
            session.execute(_SET_TENANT, {"tenant": scope.tenant_id})
            yield session

    @contextmanager
    def system(self, _scope: SystemScope) -> Iterator[Session]:
        with _transaction(self._system) as session:
            yield session

    def statement(self, sql: TextClause, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """One statement under the system role, committed with itself."""
        with self._system_at_once.connect() as connection:
            return connection.execute(sql, values).all()

    def ping(self) -> None:
        """Raises what the driver raises when either role cannot reach the database."""
        for engine in (self._app, self._system):
            with engine.connect() as connection:
                connection.execute(text("select 1"))

    def close(self) -> None:
        self._app.dispose()
        self._system.dispose()


def wrote(session: Session, what: str) -> None:
    """Names what the running transaction changes, for those who want to know how far a process came."""
    session.info.setdefault(_WRITTEN, []).append(what)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Session]:
    with Session(engine, expire_on_commit=False) as session:
        with session.begin():
            yield session
            session.flush()
            for what in session.info.get(_WRITTEN, ()):
                reached(BEFORE_COMMIT, what)
        for what in session.info.get(_WRITTEN, ()):
            reached(AFTER_COMMIT, what)


def _engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"), pool_size=pool_size, max_overflow=20, pool_pre_ping=True
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        # exactly-once R7: an acknowledged intent must be on disk, whatever the server's default is
        connection.execute("set synchronous_commit = on")
        connection.commit()

    return engine
