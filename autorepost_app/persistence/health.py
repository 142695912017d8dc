"""Is the database as this version needs it? Facts for a person who looks after it; reads only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from autorepost_app.persistence import schema
from autorepost_app.persistence.access import AccessFile
from autorepost_app.persistence.secrets import SealBroken, sealed_by

_UNGUARDED = text("""
    select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'tenant_id'
      and not (c.relrowsecurity and c.relforcerowsecurity) order by 1
""")
_ALL_SEEING = text("select rolsuper or rolbypassrls from pg_roles where rolname = current_user")
_TENANT_ROWS = text("""
    select (select count(*) from connections) + (select count(*) from posts) + (select count(*) from publications)
""")
_SEALED = text("select access_token_sealed from connections where access_token_sealed is not null")
_CONNECTED = text("select distinct platform, login from connections where status <> 'disconnected' order by 1, 2")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`revision` is None where nothing was migrated yet."""

    version: str
    old: bool
    revision: str | None
    newest_revision: str


def server_facts(owner: str) -> ServerFacts:
    """Raises UserError for a server that cannot be reached or refuses us."""
    url = schema.owner_url(owner)
    with schema.database_errors_in_words(url), _connected(url) as connection:
        number = int(connection.execute(text("show server_version_num")).scalar_one())
        return ServerFacts(
            version=f"{number // 10000}.{number % 10000}",
            old=number < schema.OLDEST_SERVER,
            revision=MigrationContext.configure(connection).get_current_revision(),
            newest_revision=_newest_revision(),
        )


def refused_roles(access: AccessFile) -> dict[str, str]:
    """The roles that cannot log in, each with the driver's reason."""
    refused = {}
    for role in schema.ROLES:
        try:
            with _as(access, role):
                pass
        except DBAPIError as error:
            refused[role] = schema.first_line(error)
    return refused


def leaks(access: AccessFile) -> list[str]:
    """What would let one tenant see another's rows. Empty is good."""
    found = []
    with _as(access, "app") as connection:
        if connection.execute(_ALL_SEEING).scalar_one():
            found.append("the application's role is above row-level security")
        found += [f"{name} is not under forced row-level security" for name in connection.scalars(_UNGUARDED)]
        seen = connection.execute(_TENANT_ROWS).scalar_one()
        if seen:
            found.append(f"without a tenant {seen} rows are visible")
    return found


def has_dagster_tables(access: AccessFile) -> bool:
    with _as(access, "dagster") as connection:
        return connection.execute(text("select to_regclass('dagster.runs') is not null")).scalar_one() is True


def sealing_keys_in_use(access: AccessFile) -> set[str]:
    """The ids of the keys that stored tokens need; a damaged value counts as the key `?`."""
    with _as(access, "system") as connection:
        return {_key_of(bytes(sealed)) for sealed in connection.scalars(_SEALED)}


def connected_logins(access: AccessFile) -> list[tuple[str, str]]:
    """Platform and login of every connection that is in use in any tenant."""
    with _as(access, "system") as connection:
        return [(row.platform, row.login) for row in connection.execute(_CONNECTED)]


def _key_of(sealed: bytes) -> str:
    try:
        return sealed_by(sealed)
    except SealBroken:
        return "?"


def _newest_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return str(ScriptDirectory.from_config(config).get_current_head())


@contextmanager
def _as(access: AccessFile, role: str) -> Iterator[Connection]:
    with _connected(make_url(access.url(role)).set(drivername="postgresql+psycopg")) as connection:
        yield connection


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": schema.CONNECT_TIMEOUT_SECONDS})
    with engine.connect() as connection:
        yield connection
