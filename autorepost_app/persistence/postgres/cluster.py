"""What lies in the database's folder, and how is it made the first time?

<folder>/lock        held by the process that owns the server
<folder>/password    of the superuser, 0600
<folder>/run/        the unix socket, 0700
<folder>/data/       the cluster itself; appears by a rename, so it is complete or absent
<folder>/server.log
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedPostgresError, explain
from .launch import Launch

SUPERUSER = "postgres"
_LOG_LIMIT_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Cluster:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def make_folder(self) -> None:
        """Make what is missing of the path, closed to others; what exists keeps its permissions."""
        for parent in reversed((self.folder, *self.folder.parents)):
            if not parent.exists():
                parent.mkdir(mode=0o700, exist_ok=True)

    def password(self) -> str:
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError:
            raise EmbeddedPostgresError(
                f"The database in {self.data} has lost its password file {self.password_file}. "
                "Put it back from a backup."
            ) from None

    def create_if_missing(self, programs: Path, launch: Launch) -> None:
        """Run initdb beside the final place. Password first, data last: data in place means all is in place."""
        for left in self.folder.glob("data.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        if self.data.exists():
            return
        # A fresh name each time: the initdb of a killed start may still be writing into its own.
        unfinished = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.folder))
        new_password = self.folder / "password.new"
        _write_secret(new_password, secrets.token_urlsafe(24))
        launch.own(self.folder)
        status, output = launch.run(_initdb(programs, unfinished, new_password))
        if status != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise explain("The database could not be made", output, self.folder)
        new_password.replace(self.password_file)
        unfinished.rename(self.data)
        _flush_names(self.folder)

    def check_version(self, server_major: int) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(server_major):
            raise EmbeddedPostgresError(
                f"The database in {self.data} was made by PostgreSQL {made_by}, but this release brings PostgreSQL "
                f"{server_major}, which cannot read it. Nothing was changed. With the release that made it run "
                f"`autorepost backup`, move {self.folder} away, then run `autorepost restore` with this one."
            )

    def belong_to(self, launch: Launch) -> None:
        """Re-own the files after another way to run was chosen than last time (root only)."""
        owner = (self.data.stat().st_uid, self.data.stat().st_gid)
        launch.own(self.folder if owner != launch.files_belong_to else self.lock_file)

    def make_socket_dir(self, launch: Launch) -> Path:
        """A 0700 folder in which a socket can really be bound and named in a URL."""
        for place in (self.folder / "run", _short_place(self.folder)):
            place.mkdir(mode=0o700, exist_ok=True)
            if place.lstat().st_uid == os.geteuid():
                place.chmod(0o700)
                launch.own(place)
            # The second place has a guessable name below a folder anyone may write to.
            if place.is_symlink() or place.stat().st_uid != launch.files_belong_to[0]:
                raise EmbeddedPostgresError(f"The folder {place} for the database's socket is someone else's.")
            # A crashed server's socket lock names a process; if that is a zombie, the next server would refuse.
            for left in place.glob(".s.PGSQL.*"):
                left.unlink(missing_ok=True)
            if _takes_sockets(place):
                return place
        raise EmbeddedPostgresError(
            f"No place for the database's socket: neither {self.folder} nor the temporary folder takes one. "
            "Set TMPDIR to a folder with a shorter name on a local disk."
        )

    def shorten_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))


def _initdb(programs: Path, data: Path, password_file: Path) -> list[str]:
    # Sorting by code point, decided inside the server: the same on every machine and after every libc update.
    libc_locale = "C" if sys.platform == "darwin" else "C.UTF-8"
    locale = [f"--locale={libc_locale}", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    login = [f"--username={SUPERUSER}", "--auth=scram-sha-256", f"--pwfile={password_file}"]
    return [str(programs / "initdb"), f"--pgdata={data}", "--encoding=UTF8", "--lc-messages=C", *locale, *login]


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _takes_sockets(folder: Path) -> bool:
    """Tried out: paths over 107 bytes cannot be bound, and network and shared folders may refuse any socket."""
    if "," in str(folder):  # libpq reads a comma as the border between two hosts
        return False
    trial = folder / ".s.TRIAL.5432"  # as long as the server's own name for it
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(trial))
    except OSError:
        return False
    finally:
        trial.unlink(missing_ok=True)
    return True


def _short_place(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"autorepost-{os.geteuid()}-{digest}"
