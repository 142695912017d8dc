"""Which processes work on a run now, and how are they all stopped? Knows nothing of Dagster, and so costs nothing."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RECORDS = "workers"


@contextmanager
def held_record(home: Path, run_id: str) -> Iterator[None]:
    """Tell everyone on this machine that this process works on the run, for exactly as long as it does.

    The kernel drops the lock with the process, however it ends: no stale pid, no zombie and no reused pid can look
    alive. The record appears under its name only when it is complete and locked.
    """
    folder = home / _RECORDS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{run_id}.{os.getpid()}"
    with draft.open("w") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        record.write(str(os.getpid()))
        record.flush()
        draft.replace(folder / run_id)
        try:
            yield
        finally:
            (folder / run_id).unlink(missing_ok=True)


def living_worker(home: Path, run_id: str) -> int | None:
    """The pid of the process that works on this run, whichever daemon launched it."""
    try:
        record = (home / _RECORDS / run_id).open()
    except FileNotFoundError:
        return None
    with record:
        try:
            fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(record.read())
    return None


def living_workers(home: Path) -> dict[str, int]:
    """Run id and pid of every worker on this machine."""
    folder = home / _RECORDS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = {name: living_worker(home, name) for name in names if not name.startswith(".")}
    return {run_id: pid for run_id, pid in found.items() if pid is not None}


def stop_workers(home: Path, grace_seconds: float = 10.0) -> None:
    """Stop all runs, for a supervisor that stops the product: first asked, then killed with their children."""
    for pid in living_workers(home).values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    give_up_at = time.monotonic() + grace_seconds
    while (workers := living_workers(home)) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    for pid in workers.values():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def forget_dead_workers(home: Path) -> None:
    """Remove what killed workers left. Only for the moment before a daemon starts."""
    folder = home / _RECORDS
    living = living_workers(home)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in living:
            path.unlink(missing_ok=True)
