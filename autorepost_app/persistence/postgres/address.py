"""Where is a database, and how does each driver want to be told?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """One database on one server. `host` is a host name or the folder of a unix socket."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str = "postgres"

    def url(self, driver: str | None = "psycopg") -> str:
        """An SQLAlchemy URL for that driver, or a plain libpq URL with `driver=None`.

        The driver is always spelled out: SQLAlchemy 2.1 reads a bare scheme as psycopg 3, with which
        Dagster's first event insert fails.
        """
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        where = f"host={quote(self.host, safe='')}&port={self.port}"
        return f"{scheme}://{login}@/{quote(self.dbname, safe='')}?{where}"

    def for_database(self, dbname: str) -> DatabaseAddress:
        return replace(self, dbname=dbname)

    def for_role(self, user: str, password: str) -> DatabaseAddress:
        return replace(self, user=user, password=password)
