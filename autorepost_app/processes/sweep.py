"""Which processes are ours, and how do all of them end?

Three nets, because each has a hole: descendants (lost when a parent dies, except on Linux, where a subreaper
inherits them), the session (left by whoever calls setsid, as database backends do), and a mark in the environment
(not carried by programs started with an empty one).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

MARK = "SUPERVISED_AUTOREPOST_LIFE"
POLL_SECONDS = 0.02
_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 3


def become_subreaper() -> None:
    """Orphans among our descendants become our children instead of pid 1's (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def of_session(session: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _session_of(process) == session]


def of_life(life: str, session: int) -> list[psutil.Process]:
    """Everything an earlier supervisor left behind.

    A session number may have been given away since, so it counts only if someone in it carries the mark of that
    life: as long as one member lives, the number cannot be given to others.
    """
    marked = [process for process in psutil.process_iter() if _mark_of(process) == life]
    in_session = of_session(session) if any(_session_of(process) == session for process in marked) else []
    family = {process for one in (*marked, *in_session) for process in (one, *_children_of(one))}
    return [process for process in family if process.pid != os.getpid()]


def end_all(find: Callable[[], list[psutil.Process]], patience_seconds: float) -> int:
    """Ask all found to leave, kill the rest, look again for what was born meanwhile. How many there were."""
    ended = 0
    for _ in range(_ROUNDS):
        found = [process for process in find() if not is_gone(process)]
        if not found:
            break
        ended += len(found)
        for word, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 5.0)):
            _send(found, word)
            if _all_gone(found, patience):
                break
        patience_seconds = 0.2
    return ended


def is_gone(process: psutil.Process) -> bool:
    """A zombie is gone: it runs nothing, and pid 1 may take its time to bury it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _send(processes: Iterable[psutil.Process], word: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(word)


def _all_gone(processes: list[psutil.Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not all(is_gone(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _session_of(process: psutil.Process) -> int | None:
    with suppress(OSError):
        return os.getsid(process.pid)
    return None


def _mark_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARK)
    return None


def _children_of(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []
