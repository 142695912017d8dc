"""Is a supervisor already running on this home, and did an earlier one leave anything behind?"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import sweep
from .parts import ProcessError

_LEFTOVER_PATIENCE_SECONDS = 5.0
_ENDING_PATIENCE_SECONDS = 30.0


class AlreadyRunningError(ProcessError):
    """Another supervisor holds this home."""


class Life:
    """One supervisor's time on a home: a locked file that says who, and is emptied by an orderly end."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file = home / "run" / "supervisor.lock"
        self._descriptor: int | None = None
        self.swept = 0

    def __enter__(self) -> Self:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(self._descriptor)
            self._sweep_leftovers()
        except BaseException:
            os.close(self._descriptor)
            raise
        mark = os.environ[sweep.MARK] = secrets.token_hex(16)
        self._write({"pid": os.getpid(), "session": os.getsid(0), "life": mark, "started_at": time.time()})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write({})
        os.environ.pop(sweep.MARK, None)
        if self._descriptor is not None:
            os.close(self._descriptor)

    def ends(self) -> None:
        """Tell the next start that waiting is worth while."""
        self._write({**self._read(), "ending": True})

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + _ENDING_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = self._read()
                # empty for the moment in which the other one rewrites it
                goes_on = bool(other) and not other.get("ending")
                if goes_on or time.monotonic() > deadline:
                    raise self._already_running(other) from None
                time.sleep(sweep.POLL_SECONDS)
            else:
                return

    def _already_running(self, other: dict[str, Any]) -> AlreadyRunningError:
        since = time.strftime("%H:%M", time.localtime(other.get("started_at", time.time())))
        return AlreadyRunningError(
            f"autorepost is already running on {self._home} (process {other.get('pid', 'unknown')}, since {since}). "
            f"Stop it with Ctrl-C in its terminal or `kill {other.get('pid', '<process>')}`, "
            "or give this one a home of its own with AUTOREPOST_HOME."
        )

    def _sweep_leftovers(self) -> None:
        earlier = self._read()
        if "life" in earlier:
            self.swept = sweep.end_all(
                lambda: sweep.of_life(earlier["life"], earlier["session"]), _LEFTOVER_PATIENCE_SECONDS
            )

    def _read(self) -> dict[str, Any]:
        with suppress(ValueError, OSError):
            content = json.loads(self._file.read_text())
            return content if isinstance(content, dict) else {}
        return {}

    def _write(self, content: dict[str, Any]) -> None:
        # In place, not by rename: the lock belongs to this very file.
        self._file.write_text(json.dumps(content) if content else "")
