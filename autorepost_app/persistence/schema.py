"""Is the database in the shape this version needs, and who may do what in it?

`upgrade` runs as the owner of the database: migrations under an advisory lock, then the login roles. The application
connects as `<database>_app` (held to a tenant by row-level security), the workers as `<database>_system` (every
tenant's rows, no schema rights), Dagster as `<database>_dagster` (its own schema only). Role names carry the database's
name because roles belong to the whole server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from autorepost_app.domain.errors import UserError
from autorepost_app.persistence.models import Base

_LOCK: Final = 7_420_311_905
OLDEST_SERVER: Final = 150000
CONNECT_TIMEOUT_SECONDS: Final = 10
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_SETTING: Final = "AUTOREPOST_DATABASE_URL"
_REMEDIES: Final = (
    ("password authentication failed", "Correct the user and the password in {setting}."),
    ("no password supplied", "Put the password into {setting}: postgresql://user:password@host/name."),
    ("does not exist", "Make that database or role on the server, or correct its name in {setting}."),
    ("permission denied", "The user of {setting} has to own the database and may have to make roles (CREATEROLE)."),
    ("No space left", "Free some space on the database's disk and start again."),
    ("too many", "Raise max_connections of the server, or close other programs' connections."),
)
_UNREACHABLE: Final = "Start the server, or correct host and port in {setting}."
ROLES: Final = ("app", "system", "dagster")


@dataclass(frozen=True, slots=True)
class RolePasswords:
    """The passwords that the login roles get at each upgrade."""

    app: str
    system: str
    dagster: str

    def __repr__(self) -> str:
        return "RolePasswords()"


def role_name(database: str, role: str) -> str:
    return f"{database}_{role}"


def upgrade(owner_url: URL, passwords: RolePasswords) -> None:
    """Brings the schema to this version and the roles to these passwords. Safe to run from several processes.

    Raises UserError for a server that cannot be reached, refuses us or is too old.
    """
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS})
    with database_errors_in_words(owner_url), engine.connect() as connection:
        refuse_old_server(int(connection.execute(text("show server_version_num")).scalar_one()))
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            _make_roles(connection, passwords)
            connection.commit()
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def owner_url(address: str) -> URL:
    """The owner's address, for our driver. Raises UserError, which never repeats the address: it holds a password."""
    try:
        url = make_url(address).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        url = None
    if url is None or not url.database:
        raise UserError(
            f"{_SETTING} is not the address of a database.",
            remedy="Write postgresql://user:password@host:5432/name; in the password, write @ as %40 and / as %2F.",
            field=_SETTING,
        )
    return url


@contextmanager
def database_errors_in_words(url: URL) -> Iterator[None]:
    """What the server or the way to it refuses, with what helps. Faults of our own statements pass as they are."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        if isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) != "42501":
            raise
        text = first_line(error)
        remedy = next((remedy for words, remedy in _REMEDIES if words in text), _UNREACHABLE)
        where = f"{url.database} on {url.host or url.query.get('host') or 'this machine'}"
        raise UserError(
            f"The database {where} refuses or does not answer: {text}",
            remedy=remedy.format(setting=_SETTING),
            field=_SETTING,
        ) from error


def first_line(error: DBAPIError) -> str:
    """The driver's own words, without the statement and its values."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def create_database(admin_url: str, name: str) -> None:
    """Makes the database unless it is there."""
    engine = create_engine(admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        there = connection.execute(text("select 1 from pg_database where datname = :name"), {"name": name}).first()
        if there is None:
            quoted = connection.dialect.identifier_preparer.quote(name)
            connection.execute(text(f"create database {quoted} template template0 encoding 'UTF8'"))


def differences(owner_url: URL) -> list[object]:
    """What the models say that the database does not, and the reverse. Empty after a complete upgrade."""
    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def refuse_old_server(version: int) -> None:
    """Raises UserError; the number is as the server tells it, 180006 for 18.6."""
    if version < OLDEST_SERVER:
        raise UserError(
            f"PostgreSQL {version // 10000} is too old.",
            remedy="Use PostgreSQL 15 or newer, or leave AUTOREPOST_DATABASE_URL unset.",
            field=_SETTING,
        )


def _make_roles(connection: Connection, passwords: RolePasswords) -> None:
    """Makes what is missing and sets the passwords; another database's upgrade may be making roles meanwhile."""
    database = connection.execute(text("select current_database()")).scalar_one()
    quote = connection.dialect.identifier_preparer.quote
    for role in ROLES:
        name = role_name(database, role)
        password = getattr(passwords, role).replace("'", "''")
        connection.execute(
            text(
                f"do $$ begin create role {quote(name)} login; "
                "exception when duplicate_object or unique_violation then null; end $$"
            )
        )
        connection.execute(text(f"alter role {quote(name)} with login nosuperuser nobypassrls password '{password}'"))
