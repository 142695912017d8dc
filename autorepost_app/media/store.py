"""Where do files live, and how do they get in and out without passing through memory?

A folder of this machine (`file:///...`) or S3 and its likes (`s3://bucket/prefix`), by the same calls. What is
put is whole or absent: readers never see half an object, whatever becomes of the writer.
"""

import contextlib
import hashlib
import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from autorepost_app.domain.crash_points import AFTER_FILE, BEFORE_FILE, reached
from autorepost_app.media.errors import ObjectDamaged, ObjectMissing, StoreUnavailable
from autorepost_app.media.files import LocalFolder, hash_file, keep, space_is_left
from autorepost_app.media.keys import TEMPORARY, check_key

CHUNK_BYTES = 1024 * 1024
READ_AT_ONCE = 256 * 1024
PARTS_AT_ONCE = 4
RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """`sha256` is known where this very call has seen the bytes, `modified_at` where the store told it."""

    key: str
    size_bytes: int
    sha256: str | None = None
    modified_at: datetime | None = None


class Store:
    """Objects by key. Safe to share between threads."""

    def __init__(self, url: str, s3_options: Mapping[str, Any] | None = None) -> None:
        """`s3_options` are obstore's (`endpoint`, `region`, `access_key_id`, ...); AWS_* names fill the rest."""
        parts = urlsplit(url)
        self._folder: LocalFolder | None = None
        self._s3: S3Store | None = None
        if parts.scheme == "file" and parts.path:
            root = Path(unquote(parts.path))
            self._folder = LocalFolder(root)
            self._objects: LocalStore | S3Store = LocalStore(root)
        elif parts.scheme == "s3" and parts.netloc:
            self._objects = self._s3 = _open_s3(parts.netloc, parts.path, s3_options or {})
        else:
            raise ValueError("a store URL starts with file:/// or s3://bucket")

    def put_file(self, source: Path, key: str, *, consume: bool = False) -> StoredObject:
        """Keeps a copy; with `consume` the file itself moves in, which costs nothing on one disk.

        What is there already is left as it is: keys name contents. In a folder that is proven by the hash, so
        putting again also mends what the disk has damaged; elsewhere the size has to do.
        """
        check_key(key)
        size, sha256 = source.stat().st_size, hash_file(source)
        if not self._holds(key, size, sha256):
            kind = PurePosixPath(key).parent.name
            reached(BEFORE_FILE, kind)
            with space_is_left():
                self._take(source, key, consume=consume)
            reached(AFTER_FILE, kind)
        if consume:
            source.unlink(missing_ok=True)
        return StoredObject(key, size, sha256)

    def put_stream(self, chunks: Iterable[bytes], key: str) -> StoredObject:
        """Keeps what the iterator gives; if the iterator fails, nothing is kept."""
        counted = _Counted(chunks)
        with space_is_left():
            if self._folder is not None:
                self._folder.write(counted, check_key(key))
            else:
                self._send(iter(counted), check_key(key))
        return StoredObject(key, counted.size, counted.sha256.hexdigest())

    def fetch_to(self, key: str, target: Path, *, sha256: str | None = None) -> StoredObject:
        """A file of the caller's own; with `sha256` the bytes are proven to be those that were put."""
        part = target.with_name(f"{target.name}.part")
        counted = _Counted(self.stream(key))
        try:
            with space_is_left(), part.open("wb") as file:
                for chunk in counted:
                    file.write(chunk)
            found = counted.sha256.hexdigest()
            if sha256 is not None and found != sha256:
                text = f"The stored file {key} is damaged: its content hash is {found}."
                raise ObjectDamaged(text, remedy="Restore it from a backup, or fetch the post again.")
            keep(part, target)
        finally:
            part.unlink(missing_ok=True)
        return StoredObject(key, counted.size, found)

    def stream(
        self, key: str, *, chunk_bytes: int = CHUNK_BYTES, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Bytes from `start` up to `end` in pieces of exactly `chunk_bytes`, the last one shorter.

        Platforms that take uploads in pieces insist on the size; memory holds about one piece.
        """
        found = self.head(key)
        if found is None:
            raise ObjectMissing(f"The store has nothing under {key}.")
        stop = found.size_bytes if end is None else min(end, found.size_bytes)
        if start >= stop:
            return
        with _answering():
            answer = obstore.get(self._objects, key, options={"range": (start, stop)})
            yield from _in_pieces(answer.stream(min_chunk_size=min(chunk_bytes, READ_AT_ONCE)), chunk_bytes)

    def head(self, key: str) -> StoredObject | None:
        try:
            with _answering():
                told = obstore.head(self._objects, check_key(key))
        except (NotFoundError, FileNotFoundError):
            return None
        return StoredObject(key, told["size"], modified_at=told["last_modified"])

    def exists(self, key: str) -> bool:
        return self.head(key) is not None

    def delete(self, key: str) -> None:
        """What is gone already is as good as deleted."""
        with contextlib.suppress(NotFoundError, FileNotFoundError), _answering():
            obstore.delete(self._objects, check_key(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """By whole path parts: `tenants/1` lists what is under that folder and not `tenants/10`."""
        with _answering():
            for page in obstore.list(self._objects, prefix or None):
                for told in page:
                    yield StoredObject(told["path"], told["size"], modified_at=told["last_modified"])

    def local_path(self, key: str) -> Path | None:
        """The object as a file to read in place, where the store is a folder. Never write to it."""
        if self._folder is None:
            return None
        path = self._folder.path(check_key(key))
        return path if path.is_file() else None

    def presign_get(self, key: str, ttl_seconds: float) -> str | None:
        """An address anyone may read until then: a secret. None where the store has no addresses."""
        if self._s3 is None:
            return None
        return obstore.sign(self._s3, "GET", check_key(key), timedelta(seconds=ttl_seconds))

    def sweep_temporary(self, *, older_than: datetime) -> int:
        """Deletes leftovers of writers that died; returns how many."""
        left = list(self.list(TEMPORARY.rstrip("/")))
        old = [each.key for each in left if each.modified_at is not None and each.modified_at < older_than]
        for key in old:
            self.delete(key)
        return len(old)

    def _holds(self, key: str, size: int, sha256: str) -> bool:
        present, in_place = self.head(key), self.local_path(key)
        if present is None or present.size_bytes != size:
            return False
        return in_place is None or hash_file(in_place) == sha256

    def _take(self, source: Path, key: str, *, consume: bool) -> None:
        if self._folder is None:
            self._send(source, key)
        elif consume:
            self._folder.adopt(source, key)
        else:
            self._folder.copy_in(source, key)

    def _send(self, content: Path | Iterator[bytes], key: str) -> None:
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        obstore.put(self._objects, key, content, max_concurrency=PARTS_AT_ONCE, attributes={"Content-Type": kind})


class _Counted:
    """Passes chunks on while it measures and hashes them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            self.sha256.update(chunk)
            yield chunk


def _in_pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def _open_s3(bucket: str, prefix: str, options: Mapping[str, Any]) -> S3Store:
    # Plain HTTP happens only where the operator's own endpoint says http://, as inside one network.
    return S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        client_options={"allow_http": True},
        retry_config=RETRIES,
        **options,
    )


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Only the first line of the store's complaint: the rest is its inner life, with addresses."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise
    except BaseError as error:
        remedy = "Check STORE_URL, the endpoint and the access keys; `autorepost doctor` tries them."
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreUnavailable(f"The object store refuses or does not answer: {first}", remedy=remedy) from None
