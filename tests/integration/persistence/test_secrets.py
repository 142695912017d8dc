"""Does a sealed value open in its own place, unchanged and with its own key, and nowhere else?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import UserError
from autorepost_app.persistence.secrets import KeyFile, Place, SealBroken, Vault, sealed_by

HERE = Place("tenant", "connection", "access_token")
KEYS = KeyFile({"one": b"1" * 32}, "one")
VAULT = Vault(KEYS)
SEALED = VAULT.seal("a token", HERE)


def _key_file(path: Path, *keys: tuple[str, bytes], mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text("".join(f"{key_id}:{key.hex()}\n" for key_id, key in keys))
    return path


@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_in_its_place(plain: str, tenant: str, owner: str, field: str) -> None:
    place = Place(tenant, owner, field)
    assert VAULT.open(VAULT.seal(plain, place), place) == plain


@given(st.tuples(*[st.text(max_size=4)] * 3), st.tuples(*[st.text(max_size=4)] * 3))
def test_no_two_places_are_taken_for_one(one: Any, other: Any) -> None:
    """Whatever stands in the parts: no separator of ours can be forged by a part that holds it."""
    assert (Place(*one).context() == Place(*other).context()) is (one == other)


@pytest.mark.parametrize("part", ["tenant_id", "owner_id", "field"])
def test_a_value_moved_to_another_row_or_column_does_not_open(part: str) -> None:
    with pytest.raises(SealBroken):
        VAULT.open(SEALED, replace(HERE, **{part: "another"}))


def test_parts_that_trade_places_are_another_place() -> None:
    with pytest.raises(SealBroken):
        VAULT.open(SEALED, Place(HERE.owner_id, HERE.tenant_id, HERE.field))


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_one_flipped_bit_anywhere_is_noticed(position: int) -> None:
    flipped = bytearray(SEALED)
    flipped[position] ^= 1
    with pytest.raises(SealBroken):
        VAULT.open(bytes(flipped), HERE)


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_cut_value_is_noticed(length: int) -> None:
    with pytest.raises(SealBroken):
        VAULT.open(SEALED[:length], HERE)


@given(st.binary(max_size=120))
def test_what_we_never_sealed_is_refused_and_never_an_accident(noise: bytes) -> None:
    with pytest.raises(SealBroken):
        VAULT.open(noise, HERE)


def test_the_header_of_one_value_does_not_go_with_the_body_of_another() -> None:
    other = VAULT.seal("a token", HERE)
    with pytest.raises(SealBroken):
        VAULT.open(SEALED[:-35] + other[-35:], HERE)


def test_the_same_value_is_sealed_differently_each_time() -> None:
    assert len({VAULT.seal("a token", HERE) for _ in range(100)}) == 100


def test_a_sealed_value_holds_nothing_of_the_plain_one() -> None:
    plain = "EAAG-a-long-token-that-would-be-seen" * 4
    assert plain[:12].encode() not in VAULT.seal(plain, HERE)


def test_another_key_of_the_same_name_does_not_open_it() -> None:
    with pytest.raises(SealBroken):
        Vault(KeyFile({"one": b"2" * 32}, "one")).open(SEALED, HERE)


def test_a_key_that_was_removed_is_named() -> None:
    with pytest.raises(SealBroken, match="the key one that sealed this is not in the key file"):
        Vault(KeyFile({"two": b"2" * 32}, "two")).open(SEALED, HERE)


def test_after_a_new_key_old_values_open_and_new_ones_use_it(tmp_path: Path) -> None:
    path = _key_file(tmp_path / "k", ("two", b"2" * 32), ("one", b"1" * 32))
    rotated = Vault(KeyFile.open(path, make=False))
    assert rotated.open(SEALED, HERE) == "a token"
    again = rotated.seal("a token", HERE)
    assert (sealed_by(SEALED), sealed_by(again)) == ("one", "two")
    with pytest.raises(SealBroken):
        VAULT.open(again, HERE)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620])
def test_a_key_file_that_others_can_read_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    path = _key_file(tmp_path / "k", ("one", b"1" * 32), mode=mode)
    with pytest.raises(UserError, match=f"mode {mode:o}") as refusal:
        KeyFile.open(path, make=False)
    assert refusal.value.remedy == f"Run: chmod 600 {path}"


@pytest.mark.parametrize("content", ["", "one", "one:abcd", "one:" + "g" * 64, ":" + "0" * 64, "one:" + "0" * 66])
def test_a_key_file_of_another_shape_is_refused_and_its_content_not_repeated(tmp_path: Path, content: str) -> None:
    path = _key_file(tmp_path / "k")
    path.write_text(content)
    with pytest.raises(UserError, match="backup") as refusal:
        KeyFile.open(path, make=False)
    assert "0" * 8 not in str(refusal.value).replace(str(path), "")


def test_a_missing_key_file_is_made_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "sealing.key"
    with pytest.raises(UserError, match="cannot be read"):
        KeyFile.open(path, make=False)
    assert not path.exists()
    made = KeyFile.open(path, make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile.open(path, make=True).keys == made.keys


def test_first_starts_at_once_agree_on_the_key(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def run(_number: int) -> bytes:
        start.wait()
        keys = KeyFile.open(tmp_path / "keys" / "sealing.key", make=True)
        return keys.keys[keys.primary]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["sealing.key"]


def test_no_key_shows_when_it_is_printed() -> None:
    for shown in (repr(KEYS), str(VAULT)):
        assert "1111" not in shown
        assert repr(b"1" * 32) not in shown
