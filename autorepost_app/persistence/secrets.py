"""How is a secret sealed so that it opens only in its own place?

Envelope encryption: each value is sealed with AES-256-GCM under a data key of its own, and the data key is wrapped by a
key provider. Tenant, connection and field are authenticated with it, so a value moved to another row does not open.

    sealed = magic (4) | key id length (1) | key id | wrapped length (2) | wrapped key | nonce (12) | ciphertext
"""

from __future__ import annotations

import json
import os
import secrets
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from autorepost_app.domain.errors import UserError

_MAGIC: Final = b"ARS1"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class SealBroken(Exception):
    """The value was changed, belongs to another place, or its key is not here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives. It opens nowhere else."""

    tenant_id: str
    owner_id: str
    field: str

    def context(self) -> bytes:
        parts = {"field": self.field, "owner": self.owner_id, "tenant": self.tenant_id, "v": 1}
        return json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()


class KeyProvider(Protocol):
    """Wraps data keys. The context is authenticated along with them."""

    @property
    def primary_id(self) -> str: ...

    def wrap(self, data_key: bytes, context: bytes) -> bytes: ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Raises SealBroken."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Key-encryption keys in a file that only its owner can read; the first line is the primary one.

    A line is `<key id>:<64 hex digits>`.
    """

    keys: dict[str, bytes] = field(repr=False)
    primary: str

    @property
    def primary_id(self) -> str:
        return self.primary

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.keys[self.primary]).encrypt(nonce, data_key, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        key = self.keys.get(key_id)
        if key is None:
            raise SealBroken(f"the key {key_id} that sealed this is not in the key file")
        return _open(key, wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)

    @classmethod
    def open(cls, path: Path, *, make: bool) -> KeyFile:
        """Reads the file; with `make` a missing one is made with a first key. Raises UserError."""
        try:
            if make and not path.exists():
                _make(path)
            mode = path.stat().st_mode & 0o777
            lines = path.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"The key file {path} cannot be read: {getattr(error, 'strerror', 'it is not text')}.",
                remedy="Restore it from a backup: without it no stored token can be opened.",
                field="AUTOREPOST_KEYS",
            ) from error
        if mode & 0o077:
            raise UserError(
                f"The key file {path} can be read by others (mode {mode:o}).",
                remedy=f"Run: chmod 600 {path}",
                field="AUTOREPOST_KEYS",
            )
        return cls(*_parse(path, lines))


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = f"{secrets.token_hex(4)}:{secrets.token_hex(_KEY_BYTES)}\n"
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.touch(mode=0o600, exist_ok=False)
    part.write_text(line, encoding="ascii")
    try:
        os.link(part, path)  # two first starts at once: one file wins, the other is thrown away
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _parse(path: Path, lines: list[str]) -> tuple[dict[str, bytes], str]:
    keys: dict[str, bytes] = {}
    for line in lines:
        key_id, _, digits = line.partition(":")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if not key_id or len(key) != _KEY_BYTES:
            raise UserError(
                f"The key file {path} has a line that is not <id>:<64 hex digits>.",
                remedy="Restore it from a backup.",
                field="AUTOREPOST_KEYS",
            )
        keys[key_id] = key
    if not keys:
        raise UserError(f"The key file {path} is empty.", remedy="Restore it from a backup.", field="AUTOREPOST_KEYS")
    return keys, next(iter(keys))


@dataclass(frozen=True, slots=True)
class Vault:
    """Seals and opens text."""

    provider: KeyProvider

    def seal(self, plain: str, place: Place) -> bytes:
        context = place.context()
        data_key = AESGCM.generate_key(bit_length=256)
        key_id = self.provider.primary_id.encode()
        wrapped = self.provider.wrap(data_key, context)
        header = _MAGIC + struct.pack("B", len(key_id)) + key_id + struct.pack(">H", len(wrapped)) + wrapped
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + AESGCM(data_key).encrypt(nonce, plain.encode(), header + context)

    def open(self, sealed: bytes, place: Place) -> str:
        """Raises SealBroken."""
        key_id, wrapped, header_end = _header(sealed)
        context = place.context()
        data_key = self.provider.unwrap(key_id, wrapped, context)
        nonce, body = sealed[header_end : header_end + _NONCE_BYTES], sealed[header_end + _NONCE_BYTES :]
        return _open(data_key, nonce, body, sealed[:header_end] + context).decode()


def sealed_by(sealed: bytes) -> str:
    """The id of the key that wrapped this value's data key. Raises SealBroken."""
    return _header(sealed)[0]


def _header(sealed: bytes) -> tuple[str, bytes, int]:
    try:
        if sealed[:4] != _MAGIC:
            raise SealBroken("this was not sealed by us")
        id_end = 5 + sealed[4]
        (length,) = struct.unpack(">H", sealed[id_end : id_end + 2])
        end = id_end + 2 + length
        return sealed[5:id_end].decode("ascii"), sealed[id_end + 2 : end], end
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise SealBroken("this is cut or was not sealed by us") from error


def _open(key: bytes, nonce: bytes, body: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, body, context)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("this was changed, or belongs to another place") from error
