"""How does a file come into being so that nobody, ever, sees half of it?

Written under another name, flushed, renamed, and the folder flushed too: after that a power cut keeps it.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from autorepost_app.media.errors import NoSpaceLeft
from autorepost_app.media.keys import temporary_key

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalFolder:
    """The writing side of a store in a folder; only its owner can read it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        make_folders(root)
        if not root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        root.chmod(0o700)

    def path(self, key: str) -> Path:
        return self._root / key

    def adopt(self, source: Path, key: str) -> None:
        """The file itself moves in; on another disk that takes a copy."""
        if source.stat().st_dev != self._root.stat().st_dev:
            self.copy_in(source, key)
            source.unlink()
        else:
            make_folders(self.path(key).parent)
            keep(source, self.path(key))

    def copy_in(self, source: Path, key: str) -> None:
        with self._waiting(key) as waiting:
            shutil.copyfile(source, waiting)

    def write(self, chunks: Iterable[bytes], key: str) -> None:
        with self._waiting(key) as waiting, waiting.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)

    @contextlib.contextmanager
    def _waiting(self, key: str) -> Iterator[Path]:
        waiting, final = self.path(temporary_key()), self.path(key)
        make_folders(waiting.parent)
        make_folders(final.parent)
        try:
            yield waiting
            keep(waiting, final)
        finally:
            waiting.unlink(missing_ok=True)


def keep(part: Path, target: Path) -> None:
    """Gives a finished file its name, durably."""
    part.chmod(0o600)
    flush(part)
    part.replace(target)
    flush(target.parent)


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """`mkdir(parents=True)` would make all but the last as open as the umask allows."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def space_is_left() -> Iterator[None]:
    """A full disk becomes an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            remedy = "Free some space; the work is taken up again by itself."
            raise NoSpaceLeft("The disk is full.", remedy=remedy) from error
        raise
