"""Is a server running on this cluster, and how is it ended?

`postmaster.pid` is the server's own word, but it outlives a crash, and after a reboot its number may belong to
anyone. A number counts only if the process is alive, no zombie, called postgres and works inside the cluster.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.01
_ENDINGS = (
    (signal.SIGINT, 1.0),  # fast shutdown: roll back, checkpoint, leave
    (signal.SIGQUIT, 0.3),  # immediate: leave now, recover at the next start
    (signal.SIGKILL, 0.3),
)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a running server wrote about itself."""

    pid: int
    cluster: Path
    port: int
    socket_dir: Path
    ready: bool

    @classmethod
    def read(cls, cluster: Path) -> Postmaster | None:
        """None when there is no server, or when it has only begun to write."""
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
            status = lines[7].strip()
            return cls(int(lines[0]), cluster, int(lines[3]), Path(lines[4]), status == "ready")
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def answers(self) -> bool:
        """Ready by its own word, and someone picks up the telephone."""
        if not self.ready:
            return False
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.socket_dir / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end_leftovers(cluster: Path, patience_seconds: float) -> None:
    """End what an earlier life left running on this cluster, then drop its pid file.

    Taking over by a restart costs a tenth of a second and gives a server that is our own child, has today's
    settings, and has lost the clients of the earlier life.
    """
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    if (leftover := _leftover_server(pid_file, cluster)) is not None:
        end(leftover, patience_seconds)
    # Orphaned backends keep the shared memory, and a new server refuses to start beside them.
    for orphan in _servers_inside(cluster):
        end(orphan, 0.0)
    pid_file.unlink(missing_ok=True)


def end(process: psutil.Process, patience_seconds: float) -> None:
    """Ask, insist, kill; returns when the process is gone."""
    for word, share in _ENDINGS:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(word)
        if wait_until(lambda: _is_gone(process), share * patience_seconds):
            return
    wait_until(lambda: _is_gone(process), 10.0)


def _is_gone(process: psutil.Process) -> bool:
    # Where pid 1 reaps late a dead orphan stays a zombie, which kill(pid, 0) and is_running() call alive.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _leftover_server(pid_file: Path, cluster: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
    except (psutil.NoSuchProcess, ValueError):
        return None
    return process if _serves(process, cluster) else None


def _servers_inside(cluster: Path) -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter() if _serves(process, cluster))


def _serves(process: psutil.Process, cluster: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).samefile(cluster)
    except (psutil.Error, OSError):
        return False
