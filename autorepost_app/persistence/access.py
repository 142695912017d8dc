"""Where is the database, and under which login does each part of the product use it?

`prepare` settles it once, before any process starts; the processes read it from a file that only their user may read.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url

from autorepost_app.domain.errors import UserError
from autorepost_app.persistence import schema
from autorepost_app.persistence.schema import RolePasswords

DAGSTER_SCHEMA: Final = "dagster"


@dataclass(frozen=True, slots=True)
class AccessFile:
    """`<home>/run/database.json`, 0600: each role's address."""

    path: Path

    @classmethod
    def of(cls, home: Path) -> AccessFile:
        return cls(home / "run" / "database.json")

    def write(self, owner: URL, passwords: RolePasswords) -> None:
        """Whole or not at all: a reader sees the old addresses or the new ones."""
        addresses = {role: _address(owner, role, passwords) for role in schema.ROLES}
        draft = _private_draft(self.path, json.dumps(addresses))
        draft.replace(self.path)

    def url(self, role: str) -> URL:
        """Raises UserError when no database was prepared on this home."""
        try:
            return make_url(json.loads(self.path.read_text())[role])
        except FileNotFoundError:
            raise UserError(
                f"No database has been prepared in {self.path.parent.parent}.",
                remedy="Start with `autorepost up` or `autorepost migrate`.",
                field="AUTOREPOST_HOME",
            ) from None

    def dagster_url(self) -> str:
        """For DAGSTER_PG_URL: names its driver, its role and its schema."""
        return self.url("dagster").render_as_string(hide_password=False)


def prepare(home: Path, owner: str) -> AccessFile:
    """Migrates the owner's database, sets the roles' passwords and writes the addresses down. Safe to repeat.

    `owner` is the PostgreSQL URL of somebody who may make tables and roles. Raises UserError.
    """
    url = schema.owner_url(owner)
    passwords = _role_passwords(home / "keys" / "roles.json")
    schema.upgrade(url, passwords)
    access = AccessFile.of(home)
    access.write(url, passwords)
    return access


def differences(owner: str) -> list[str]:
    """What the models say that the owner's database does not, and the reverse, one line each."""
    return [str(each) for each in schema.differences(schema.owner_url(owner))]


def _address(owner: URL, role: str, passwords: RolePasswords) -> str:
    url = owner.set(
        drivername="postgresql+psycopg",
        username=schema.role_name(str(owner.database), role),
        password=getattr(passwords, role),
    )
    if role == "dagster":
        url = url.set(drivername="postgresql+psycopg2").update_query_dict(
            {"options": f"-csearch_path={DAGSTER_SCHEMA}"}
        )
    return url.render_as_string(hide_password=False)


def _role_passwords(path: Path) -> RolePasswords:
    """Made once for each home, so that several hosts on one home agree."""
    if not path.exists():
        draft = _private_draft(path, json.dumps({role: secrets.token_urlsafe(24) for role in schema.ROLES}))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return RolePasswords(**json.loads(path.read_text()))


def _private_draft(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(content)
    return draft
