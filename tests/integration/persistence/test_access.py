"""Are the database's addresses kept so that only their user reads them, and stay the same?"""

from __future__ import annotations

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.persistence.access import AccessFile, prepare
from autorepost_app.persistence.schema import ROLES, RolePasswords


@pytest.fixture
def owner(postgres: Any, database: Any) -> str:
    return str(postgres.admin_url("tests"))


@pytest.fixture
def home(tmp_path: Path, database: Any) -> Path:
    """A home that shares its passwords with the other tests of this database, which go on with theirs."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    kept = database.path.parent.parent / "keys" / "roles.json"
    (keys / "roles.json").touch(mode=0o600)
    (keys / "roles.json").write_text(kept.read_text())
    return tmp_path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_holds_passwords_is_for_its_user_alone(database: Any) -> None:
    home = database.path.parent.parent
    for path in (database.path, home / "keys" / "roles.json"):
        assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)


def test_a_generous_umask_opens_nothing(home: Path, owner: str) -> None:
    before = os.umask(0)
    try:
        access = prepare(home, owner)
    finally:
        os.umask(before)
    assert (_mode(access.path), _mode(access.path.parent)) == (0o600, 0o700)


def test_preparing_again_keeps_the_passwords(home: Path, owner: str) -> None:
    first = prepare(home, owner).path.read_text()
    assert prepare(home, owner).path.read_text() == first


def test_nothing_unfinished_is_left_behind(home: Path, owner: str) -> None:
    prepare(home, owner)
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["database.json", "roles.json"]


def test_every_login_works_with_the_address_that_was_written(home: Path, owner: str) -> None:
    access = prepare(home, owner)
    for role in ROLES:
        url = access.url(role).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            assert connection.execute("select current_user").fetchone() == (f"tests_{role}",)


def test_dagsters_address_names_its_driver_and_its_schema(home: Path, owner: str) -> None:
    url = prepare(home, owner).dagster_url()
    assert url.startswith("postgresql+psycopg2://tests_dagster:")
    assert "search_path" in url


def test_first_starts_at_once_agree_on_the_passwords(tmp_path: Path, database: Any) -> None:
    from autorepost_app.persistence import access

    start = threading.Barrier(8)

    def run(_number: int) -> RolePasswords:
        start.wait()
        return access._role_passwords(tmp_path / "keys" / "roles.json")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["roles.json"]


def test_without_a_prepared_database_one_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="autorepost migrate"):
        AccessFile.of(tmp_path).url("app")


def test_passwords_are_not_shown(home: Path, owner: str) -> None:
    access = prepare(home, owner)
    passwords = json.loads((home / "keys" / "roles.json").read_text())
    shown = repr(RolePasswords(**passwords)) + repr(access) + "".join(repr(access.url(role)) for role in ROLES)
    assert not any(password in shown for password in passwords.values())
    assert len(set(passwords.values())) == len(ROLES)
