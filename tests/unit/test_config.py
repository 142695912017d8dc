"""Is a mistake in the environment told by its name, before anything starts?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autorepost_app import bootstrap
from autorepost_app.config import _PLAIN_WORDS, Settings, read
from autorepost_app.domain.errors import UserError


def _set(**values: str) -> dict[str, str]:
    return {f"AUTOREPOST_{name}": value for name, value in values.items()}


def _refusal(environ: dict[str, str], platform_names: tuple[str, ...] = ()) -> UserError:
    with pytest.raises(UserError) as refusal:
        read(environ, platform_names)
    return refusal.value


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = read({"PATH": "/usr/bin"})
    home = Path.cwd() / ".autorepost"
    assert (settings.host, settings.port, settings.url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert settings.home == home
    assert settings.store == f"file://{home}/store"
    assert settings.key_file == home / "keys" / "sealing.key"
    assert settings.database_url is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [("PROT", "PORT"), ("DATABASE_URI", "DATABASE_URL"), ("STOREURL", "STORE_URL"), ("X_CLIENT", "X_CLIENT_ID")],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_one(written: str, meant: str) -> None:
    refusal = _refusal(_set(**{written: "1"}), ("X_CLIENT_ID",))
    assert refusal.field == f"AUTOREPOST_{written}"
    assert refusal.remedy == f"Did you mean AUTOREPOST_{meant}?"


def test_a_name_like_no_other_points_to_the_list() -> None:
    assert ".env.example" in _refusal(_set(ZZZZZZ="1")).remedy


def test_the_field_that_collects_platforms_is_no_setting() -> None:
    assert _refusal(_set(PLATFORMS="x")).field == "AUTOREPOST_PLATFORMS"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "0.0.0.0"),
        ("HOST", "192.168.1.7"),
        ("HOST", "repost.example.org"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("DATABASE_URL", "mysql://localhost/posts"),
        ("STORE_URL", "ftp://store"),
        ("KEYS", "kms:"),
        ("KEYS", "vault"),
        ("LOG_FORMAT", "xml"),
        ("TRANSCODE_SLOTS", "0"),
        ("TRANSCODE_SLOTS", "many"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_setting(name: str, value: str) -> None:
    refusal = _refusal(_set(**{name: value}))
    assert refusal.field == f"AUTOREPOST_{name}"
    assert refusal.text.startswith(f"AUTOREPOST_{name} is not usable: ")
    assert re.fullmatch(r"(Use|Write) .+\.", refusal.remedy), "one sentence that says what to set"
    assert "Input should" not in str(refusal), "the library's words are not ours"
    assert "Value error" not in str(refusal)


def test_the_fault_of_a_value_names_the_value_and_the_remedy_what_to_set() -> None:
    refusal = _refusal(_set(PORT="http"))
    assert refusal.text == "AUTOREPOST_PORT is not usable: “http” is no port."
    assert refusal.remedy == "Use a number from 1 to 65535, or leave it unset for 8080."


def test_an_address_that_others_would_reach_is_refused_with_one_remedy() -> None:
    refusal = _refusal(_set(HOST="0.0.0.0"))
    assert refusal.text == "AUTOREPOST_HOST is not usable: nobody can sign in yet, and others would reach “0.0.0.0”."
    assert refusal.remedy.startswith("Use 127.0.0.1; to be reached from elsewhere, put a server")


def test_every_setting_that_its_type_may_refuse_has_words_of_ours() -> None:
    """A field of another type than text would otherwise fall back to nothing at all."""
    free = {"home", "platforms", "database_url", "ffmpeg_bin", "ffprobe_bin"}
    checked = {name for name, field in Settings.model_fields.items() if field.annotation is not str} - free
    assert checked == set(_PLAIN_WORDS)


def test_a_refused_address_does_not_show_its_password() -> None:
    assert "hunter2" not in str(_refusal(_set(DATABASE_URL="mysql://mia:hunter2@db/posts")))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_each_way_to_write_a_postgresql_address_is_taken(scheme: str) -> None:
    url = read(_set(DATABASE_URL=f"{scheme}://mia:secret@db/posts")).database_url
    assert url is not None
    assert url.get_secret_value() == f"{scheme}://mia:secret@db/posts"


def test_an_empty_line_in_an_env_file_is_as_good_as_none() -> None:
    names = {name.upper(): "" for name in Settings.model_fields if name != "platforms"}
    assert read(_set(**names, X_CLIENT_ID=""), ["X_CLIENT_ID"]) == read({})


def test_a_trailing_slash_of_the_public_address_does_not_double() -> None:
    assert read(_set(PUBLIC_URL="https://repost.example.org/")).url == "https://repost.example.org"


def test_the_address_follows_host_and_port_unless_it_is_set() -> None:
    assert read(_set(HOST="127.0.0.2", PORT="9000")).url == "http://127.0.0.2:9000"


def test_keys_are_a_file_by_path_or_a_key_in_kms() -> None:
    assert read(_set(KEYS="/etc/autorepost.key")).key_file == Path("/etc/autorepost.key")
    assert read(_set(KEYS="~/my.key")).key_file == Path.home() / "my.key"
    assert read(_set(KEYS="kms:alias/autorepost")).keys == "kms:alias/autorepost"


def test_every_platform_found_adds_its_hosts_and_credentials() -> None:
    for key, manifest in bootstrap.find_platforms().items():
        names = ["CLIENT_ID", "CLIENT_SECRET", *(f"{host.name}_URL" for host in manifest.hosts)]
        given = {f"{key}_{name}".upper(): f"https://{name}.example" for name in names}
        settings = bootstrap.settings_from(_set(**given))
        assert {name: settings.platform_value(key, name) for name in names} == {
            name: f"https://{name}.example" for name in names
        }


def test_a_platform_that_is_not_there_adds_nothing() -> None:
    assert _refusal(_set(X_CLIENT_ID="1")).field == "AUTOREPOST_X_CLIENT_ID"
    assert read({}).platform_value("x", "CLIENT_ID") is None


def test_no_secret_shows_when_settings_are_printed() -> None:
    environ = _set(DATABASE_URL="postgresql://mia:hunter2@db/posts", X_CLIENT_SECRET="hunter3")
    settings = read(environ, ["X_CLIENT_SECRET"])
    for shown in (repr(settings), str(settings), str(settings.model_dump())):
        assert "hunter" not in shown


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read({}).port = 9000  # type: ignore[misc]
