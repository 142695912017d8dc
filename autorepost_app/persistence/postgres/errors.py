"""What do we tell a person when the embedded database does not start?"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN_SERVER = "or set AUTOREPOST_DATABASE_URL to a PostgreSQL of your own"

_REMEDIES = (
    ("No space left on device", "The disk is full. Free some space and start again."),
    ("Disk quota exceeded", "Your disk quota is used up. Free some space and start again."),
    ("Read-only file system", "The folder is read-only. Choose a writable one with AUTOREPOST_HOME."),
    (
        "could not create shared memory segment",
        "The machine gives out no more shared memory. Stop other databases, " + OWN_SERVER + ".",
    ),
    ("Permission denied", "The folder belongs to someone else. Start as its owner, or change AUTOREPOST_HOME."),
    ("must be owned by", "The folder belongs to someone else. Start as its owner, or change AUTOREPOST_HOME."),
)
_SYSTEM_ERRORS = {
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
    errno.EPERM: "Permission denied",
}


class EmbeddedPostgresError(Exception):
    """The embedded database cannot run; the message says why and what helps."""


def explain(what_failed: str, output: str, folder: Path) -> EmbeddedPostgresError:
    """Turn the server's last words into an error that names the folder and the remedy."""
    for words, remedy in _REMEDIES:
        if words in output:
            return EmbeddedPostgresError(f"{what_failed} in {folder}: {words.lower()}. {remedy}")
    last_words = "\n".join(output.strip().splitlines()[-8:]) or "it said nothing"
    return EmbeddedPostgresError(f"{what_failed} in {folder}. Its last words:\n{last_words}")


@contextmanager
def system_errors_in_words(what_failed: str, folder: Path) -> Iterator[None]:
    """A full disk or a read-only folder met by our own file calls reads the same as one met by the server."""
    try:
        yield
    except OSError as error:
        words = _SYSTEM_ERRORS.get(error.errno or 0, str(error))
        raise explain(what_failed, words, folder) from error
