"""How does the embedded PostgreSQL live and die?

One process owns the server: it holds the lock of the folder, has the server as its direct child and stops it.
Others that start the same folder meanwhile borrow it. When an owner is killed its lock falls free, and the next
start takes over. Nothing listens on TCP; the way in is a unix socket with a password.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from .postgres.address import DatabaseAddress
from .postgres.cluster import SUPERUSER, Cluster
from .postgres.errors import EmbeddedPostgresError, explain, system_errors_in_words
from .postgres.launch import Launch, choose_launch, find_programs
from .postgres.postmaster import POLL_SECONDS, Postmaster, end, end_leftovers, wait_until

__all__ = ["DatabaseAddress", "EmbeddedPostgres", "EmbeddedPostgresError"]

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_FAST_BUT_LOSES_COMMITS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server of our own in `folder`.

    `durable=False` trades acknowledged commits for speed and is meant for tests only. `die_with_parent=True`
    makes the server shut down when the thread that called `start()` ends, however it ends (Linux); only a
    process whose main thread lives as long as it does may ask for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        die_with_parent: bool = False,
        settings: Mapping[str, str] | None = None,
        start_timeout_seconds: float = 60.0,
        stop_timeout_seconds: float = 30.0,
    ) -> None:
        self._cluster = Cluster(folder.absolute())
        self._settings = {**_SETTINGS, **({} if durable else _FAST_BUT_LOSES_COMMITS), **(settings or {})}
        self._die_with_parent = die_with_parent
        self._start_timeout_seconds = start_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._address: DatabaseAddress | None = None

    @property
    def owned(self) -> bool:
        """True if `stop()` here stops the server, False if another process's server is borrowed."""
        return self._lock is not None

    @property
    def log_file(self) -> Path:
        return self._cluster.log_file

    def start(self) -> DatabaseAddress:
        """Start the server, or join the one that runs; returns the superuser's address. Safe to repeat."""
        if self._address and self.is_running():
            return self._address
        with system_errors_in_words("The database cannot start", self._cluster.folder):
            self._cluster.make_folder()
            deadline = time.monotonic() + self._start_timeout_seconds
            while not self._take_lock():
                if (server := Postmaster.read(self._cluster.data)) and server.answers():
                    return self._remember(server.socket_dir)
                if time.monotonic() > deadline:
                    raise self._too_slow("Another process is starting the database and does not finish")
                time.sleep(POLL_SECONDS)
            return self._start_as_owner(deadline)

    def stop(self) -> None:
        """Shut down cleanly, sooner or later by force. A borrowed server keeps running."""
        if self._process is not None:
            if self._process.poll() is None:
                with suppress(psutil.NoSuchProcess):  # it may die by itself between the two questions
                    end(psutil.Process(self._process.pid), self._stop_timeout_seconds)
            self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._address = None

    def is_running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        server = Postmaster.read(self._cluster.data)
        return self._address is not None and server is not None and server.answers()

    def address(self, dbname: str = "postgres") -> DatabaseAddress:
        """The superuser's address of a database. For migrations: row-level security does not bind superusers."""
        if self._address is None:
            raise EmbeddedPostgresError("The embedded database has not been started.")
        return self._address.for_database(dbname)

    def admin_url(self, dbname: str = "postgres") -> str:
        return self.address(dbname).url("psycopg")

    def psycopg2_url(self, dbname: str = "postgres") -> str:
        """The driver Dagster's storage needs."""
        return self.address(dbname).url("psycopg2")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        descriptor = os.open(self._cluster.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def _start_as_owner(self, deadline: float) -> DatabaseAddress:
        try:
            programs = find_programs()
            launch, major = choose_launch(programs, self._cluster.folder)
            end_leftovers(self._cluster.data, self._stop_timeout_seconds)
            self._cluster.create_if_missing(programs, launch)
            self._cluster.check_version(major)
            self._cluster.belong_to(launch)
            socket_dir = self._cluster.make_socket_dir(launch)
            self._run_server(programs, launch, socket_dir, deadline)
            return self._remember(socket_dir)
        except BaseException:
            self.stop()
            raise

    def _run_server(self, programs: Path, launch: Launch, socket_dir: Path, deadline: float) -> None:
        if self._die_with_parent:
            launch = launch.dying_with_parent()
        self._cluster.shorten_log()
        with self.log_file.open("ab") as log:
            launch.own(self.log_file)
            said_before = log.tell()
            # A process group of its own: Ctrl-C in a terminal must reach us, not the database behind our back.
            argv = self._server_command(programs, socket_dir)
            self._process = launch.start(argv, stdout=log, stderr=subprocess.STDOUT, process_group=0)
        patience = deadline - time.monotonic()
        if not wait_until(lambda: self._answers() or not self.is_running(), patience):
            raise self._too_slow("The database does not become ready")
        if not self.is_running():
            last_words = self.log_file.read_bytes()[said_before:].decode(errors="replace")
            raise explain("The database cannot start", last_words, self._cluster.folder)

    def _server_command(self, programs: Path, socket_dir: Path) -> list[str]:
        quoted = str(socket_dir).replace('"', '""')
        settings = {**self._settings, "unix_socket_directories": f'"{quoted}"'}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(programs / "postgres"), "-D", str(self._cluster.data), *words]

    def _answers(self) -> bool:
        server = Postmaster.read(self._cluster.data)
        mine = self._process is not None and server is not None and server.pid == self._process.pid
        return mine and server is not None and server.answers()

    def _remember(self, socket_dir: Path) -> DatabaseAddress:
        self._address = DatabaseAddress(str(socket_dir), 5432, SUPERUSER, self._cluster.password())
        return self._address

    def _too_slow(self, what: str) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"{what} within {self._start_timeout_seconds:.0f} seconds ({self._cluster.folder}). "
            f"The log is in {self.log_file}."
        )
