"""What an operator gets wrong at the start: one message that names it and what helps, and nothing half-done."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from autorepost_app.cli.product import make_home
from autorepost_app.domain.errors import UserError
from autorepost_app.persistence import schema
from autorepost_app.persistence.server import EmbeddedPostgres
from autorepost_app.processes import free_port

SECRET = "hunter2"


def untouched(home: Path) -> bool:
    """Nothing is kept there but what Python compiled."""
    return not home.exists() or {each.name for each in home.iterdir()} <= {"cache"}


# -------------------------------------------------------------------------------------------------------- settings


def test_a_misspelt_setting_is_named_with_the_nearest_one(refused, home):
    said = refused("up", DATABSE_URL=f"postgresql://me:{SECRET}@db/x")
    assert "There is no setting AUTOREPOST_DATABSE_URL. Did you mean AUTOREPOST_DATABASE_URL?" in said
    assert SECRET not in said
    assert untouched(home)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "web"),
        ("PORT", "70000"),
        ("HOST", "0.0.0.0"),
        ("DATABASE_URL", f"mysql://me:{SECRET}@db/x"),
        ("STORE_URL", "ftp://files"),
        ("STORE_URL", "file://relative/folder"),
        ("STORE_URL", "s3:///nobucket"),
        ("PUBLIC_URL", "repost.example.org"),
        ("PUBLIC_URL", "ftp://repost.example.org"),
        ("TIKTOK_API_URL", "open.tiktokapis.com"),
        ("KEYS", "vault"),
        ("KEYS", "kms:"),
        ("LOG_FORMAT", "xml"),
        ("TRANSCODE_SLOTS", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_name_before_anything_is_made(refused, home, name, value):
    said = refused("up", **{name: value})
    assert f"autorepost: AUTOREPOST_{name} is not usable: " in said
    assert SECRET not in said
    assert untouched(home)


def test_a_database_address_without_a_name_is_refused_without_repeating_it(refused):
    for address in (f"postgresql://me:{SECRET}@db", f"postgresql://me:{SECRET}@db:port/x"):
        said = refused("migrate", DATABASE_URL=address)
        assert "AUTOREPOST_DATABASE_URL is not the address of a database." in said
        assert SECRET not in said


# -------------------------------------------------------------------------------------------------- files and folders


@pytest.mark.parametrize("command", ["up", "migrate", "demo"])
def test_a_home_that_is_a_file_is_left_as_it_is(refused, home, command):
    home.write_text("mine")
    said = refused(command)
    assert f"{home} cannot be used: File exists." in said
    assert "AUTOREPOST_HOME" in said
    assert home.read_text() == "mine"


def test_a_home_and_every_folder_made_above_it_are_private(tmp_path):
    """The demo's home lies in the folder that is the home without a demo."""
    make_home(tmp_path / ".autorepost" / "demo")
    made = (tmp_path / ".autorepost", tmp_path / ".autorepost" / "demo")
    assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o700}


def test_a_home_where_nothing_can_be_made_is_named(refused):
    said = refused("up", HOME="/proc/autorepost")
    assert "/proc/autorepost cannot be used" in said
    assert "AUTOREPOST_HOME" in said


def test_a_key_file_that_others_can_read_is_refused(refused, home, tmp_path):
    key = tmp_path / "sealing.key"
    key.write_text("one:" + "ab" * 32)
    key.chmod(0o644)
    said = refused("up", KEYS=key)
    assert f"The key file {key} can be read by others (mode 644). Run: chmod 600 {key}" in said
    assert "abab" not in said
    assert not (home / "postgres").exists()


@pytest.mark.parametrize("content", [b"", b"one:short", b"\xff\xfe"])
def test_a_damaged_key_file_is_refused(refused, tmp_path, content):
    key = tmp_path / "sealing.key"
    key.write_bytes(content)
    key.chmod(0o600)
    assert f"The key file {key} " in refused("up", KEYS=key)


def test_a_key_file_that_is_not_there_is_not_made_in_silence(refused, tmp_path):
    said = refused("up", KEYS=tmp_path / "lost.key")
    assert "cannot be read: No such file or directory. Restore it from a backup" in said
    assert not (tmp_path / "lost.key").exists()


def test_a_store_that_is_a_file_is_named(refused, tmp_path):
    (tmp_path / "store").write_text("mine")
    said = refused("up", STORE_URL=f"file://{tmp_path}/store")
    assert f"The store file://{tmp_path}/store cannot be used" in said
    assert (tmp_path / "store").read_text() == "mine"


# ---------------------------------------------------------------------------------------------------------- programs


def test_an_ffmpeg_that_is_not_there_is_named(refused, tmp_path, home):
    said = refused("up", FFMPEG_BIN=tmp_path / "ffmpeg")
    assert f"There is no usable ffmpeg ({tmp_path}/ffmpeg: it does not run" in said
    assert "AUTOREPOST_FFMPEG_BIN" in said
    assert not (home / "postgres").exists()


def test_an_ffmpeg_that_is_too_old_is_named_with_its_version(refused, tool):
    said = refused("up", FFMPEG_BIN=tool("ffmpeg", "ffmpeg version 4.4.1 Copyright"))
    assert "version 4.4.1 is older than 5" in said
    assert "Install FFmpeg 5 or newer" in said


def test_a_file_that_is_no_ffmpeg_is_named(refused, tool):
    assert "does not answer as ffprobe does" in refused("up", FFPROBE_BIN=tool("ffprobe", "hello"))


def test_a_port_in_use_is_named_with_a_free_one(refused, home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("up", PORT=port)
    assert f"Port {port} on 127.0.0.1 is already in use" in said
    assert "AUTOREPOST_PORT=" in said
    assert not (home / "postgres").exists()


def test_the_demo_needs_a_port_after_its_own(refused):
    assert "AUTOREPOST_PORT to a smaller number" in refused("demo", PORT=65535)


# ---------------------------------------------------------------------------------------------------------- database


def test_a_database_of_another_major_is_left_untouched(refused, home):
    data = home / "postgres" / "data"
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("17\n")
    said = refused("migrate")
    assert "made by PostgreSQL 17" in said
    assert "Nothing was changed." in said
    assert [each.name for each in data.iterdir()] == ["PG_VERSION"]


def test_a_database_that_is_down_is_named_with_the_setting(refused):
    said = refused("migrate", DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/repost")
    assert "The database repost on 127.0.0.1 refuses or does not answer: " in said
    assert "correct host and port in AUTOREPOST_DATABASE_URL" in said
    assert SECRET not in said


def _at(postgres: EmbeddedPostgres, user: str, password: str, name: str) -> str:
    address = postgres.address()
    return f"postgresql://{user}:{password}@/{name}?host={address.host}&port={address.port}"


def test_a_wrong_password_is_named_and_not_printed(refused, postgres):
    said = refused("migrate", DATABASE_URL=_at(postgres, "postgres", SECRET, "tests"))
    assert "Correct the user and the password in AUTOREPOST_DATABASE_URL." in said
    assert SECRET not in said


def test_a_database_that_nobody_made_is_named(refused, postgres):
    said = refused("migrate", DATABASE_URL=_at(postgres, "postgres", postgres.address().password, "nowhere"))
    assert 'database "nowhere" does not exist' in said
    assert postgres.address().password not in said


def test_a_user_who_may_not_make_roles_is_told_so(refused, postgres, owner_connection):
    owner_connection.execute(f"create role guest login password '{SECRET}'")
    owner_connection.execute("create database guests")
    try:
        said = refused("migrate", DATABASE_URL=_at(postgres, "guest", SECRET, "guests"))
        assert "may have to make roles (CREATEROLE)" in said
        assert SECRET not in said
    finally:
        owner_connection.execute("drop database guests")
        owner_connection.execute("drop role guest")


def test_a_server_that_is_too_old_is_named(postgres):
    """No old server runs here: the refusal is asked for what one would say."""
    schema.refuse_old_server(schema.OLDEST_SERVER)
    with pytest.raises(UserError, match=r"PostgreSQL 14 is too old\. Use PostgreSQL 15"):
        schema.refuse_old_server(140_022)


def test_a_bracket_in_a_path_is_not_read_as_markup(refused, tmp_path):
    folder = tmp_path / "[red]home"
    folder.write_text("")
    assert str(Path(folder)) in refused("migrate", HOME=folder)
