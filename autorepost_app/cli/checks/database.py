"""Is the database there, current, and closed between tenants? And are the keys there that opened its secrets?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autorepost_app.cli.checks import Finding, ok, problem, warning
from autorepost_app.cli.checks.machine import nearest_folder
from autorepost_app.cli.product import DATABASE_NAME, embedded
from autorepost_app.config import PREFIX, Settings
from autorepost_app.domain.errors import UserError
from autorepost_app.persistence import health
from autorepost_app.persistence.access import AccessFile
from autorepost_app.persistence.secrets import KeyFile
from autorepost_app.persistence.server import EmbeddedPostgres, EmbeddedPostgresError

_START = "Start with `autorepost up`, or run `autorepost migrate`."


@dataclass(frozen=True, slots=True)
class Stored:
    """What the other checks need to know from the rows: nothing, where there are none yet."""

    connected: frozenset[tuple[str, str]] = frozenset()
    sealing_keys: frozenset[str] = frozenset()


def database(settings: Settings) -> tuple[list[Finding], Stored]:
    """The embedded server is started for as long as this takes, unless it runs."""
    if settings.database_url is None and not (settings.home / "postgres" / "data").exists():
        return [_trial(settings)], Stored()
    try:
        with _owner(settings) as owner:
            return _look(settings, owner)
    except UserError as error:
        return [problem("database", error.text, error.remedy)], Stored()
    except EmbeddedPostgresError as error:
        return [problem("database", str(error), "")], Stored()


def key_file(settings: Settings, stored: Stored) -> Finding:
    path = settings.key_file
    if settings.keys.startswith("kms:"):
        return problem("keys", "keys in AWS KMS cannot be used yet", f"Leave {PREFIX}KEYS unset to use a key file.")
    if not path.exists() and not settings.keys and not stored.sealing_keys:
        return ok("keys", f"{path} will be made at the first start")
    try:
        keys = KeyFile.open(path, make=False)
    except UserError as error:
        return problem("keys", error.text, error.remedy)
    missing = sorted(stored.sealing_keys - set(keys.keys))
    if missing:
        remedy = "Put the lost lines back from a backup, or connect the accounts again."
        return problem("keys", f"{path} lacks keys that sealed stored tokens: {', '.join(missing)}", remedy)
    return ok("keys", str(path))


def _trial(settings: Settings) -> Finding:
    """Nothing to look at yet: does a server start on this machine at all?"""
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=_a_place(settings)) as folder,
            EmbeddedPostgres(Path(folder) / "postgres"),
        ):
            return ok("database", "an embedded server starts here; the database will be made at the first start")
    except EmbeddedPostgresError as error:
        return problem("database", str(error), "")
    except OSError as error:
        remedy = f"Choose a folder that this user may write to with {PREFIX}HOME."
        return problem("database", f"no server can be tried: {error.strerror}", remedy)


def _a_place(settings: Settings) -> Path:
    there = nearest_folder(settings.home)
    return there if there.is_dir() else there.parent


@contextmanager
def _owner(settings: Settings) -> Iterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with embedded(settings) as server:
        yield server.admin_url(DATABASE_NAME)


def _look(settings: Settings, owner: str) -> tuple[list[Finding], Stored]:
    facts = health.server_facts(owner)
    server = "PostgreSQL" if settings.database_url else "embedded PostgreSQL"
    if facts.old:
        remedy = f"Use PostgreSQL 15 or newer, or leave {PREFIX}DATABASE_URL unset."
        return [problem("database", f"{server} {facts.version} is too old", remedy)], Stored()
    reached = ok("database", f"{server} {facts.version}")
    if facts.revision is None:
        return [reached, ok("schema", "nothing in it yet; the tables will be made at the first start")], Stored()
    if facts.revision != facts.newest_revision:
        found = f"revision {facts.revision}, this version needs {facts.newest_revision}"
        return [reached, problem("schema", found, _START)], Stored()
    return _look_inside(AccessFile.of(settings.home), [reached, ok("schema", f"revision {facts.revision}")])


def _look_inside(access: AccessFile, before: list[Finding]) -> tuple[list[Finding], Stored]:
    refused = health.refused_roles(access)
    if refused:
        found = "; ".join(f"{role}: {reason}" for role, reason in refused.items())
        return [*before, problem("roles", f"these cannot log in: {found}", _START)], Stored()
    stored = Stored(frozenset(health.connected_logins(access)), frozenset(health.sealing_keys_in_use(access)))
    return [*before, ok("roles", "all can log in"), _closed(access), _dagster(access)], stored


def _closed(access: AccessFile) -> Finding:
    leaks = health.leaks(access)
    if leaks:
        remedy = "Stop the product, restore the table's policies from a backup, and find out who changed them."
        return problem("tenants", "; ".join(leaks), remedy)
    return ok("tenants", "closed to each other")


def _dagster(access: AccessFile) -> Finding:
    if not health.has_dagster_tables(access):
        return warning("Dagster", "its tables are not there yet", "They are made at the start of `autorepost up`.")
    return ok("Dagster", "its tables are there")
