"""What can the supervisor run, and how does one such part start, answer and stop?"""

from __future__ import annotations

import http.client
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

_LOG_LIMIT_BYTES = 10_000_000
_TAIL_LINES = 12
_LINE_CHARACTERS = 300
_READ_BYTES = 64_000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_READY_REQUEST_SECONDS = 2.0
START = "SUPERVISED_AUTOREPOST_START"
START_HEADER = "Autorepost-Start"
"""Where a program finds the mark of this start of it, and where it gives it back to whoever asks with it."""


class ProcessError(Exception):
    """A part of the product cannot start or stay up; the message says which and what helps."""


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLED = "killed"


Progress = Callable[[str, State, float, str], None]
"""Told which part moved to which state, after how many seconds, and why where that is worth a word."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to keep running.

    `env` is added to our own; as a callable it is read at each start, when earlier parts are up. `ready` is a URL
    that answers below 400 and gives back the mark of this start (anybody may answer on a port), or a question;
    without it a started program counts as ready. With `wait=False` the parts
    after it start beside it, except those that name it in their `needs`; all are ready before the product is. After
    `max_restarts` crashes in quick succession everything is stopped.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(default_factory=dict)
    ready: str | Callable[[], bool] | None = None
    cwd: Path | None = None
    log_file: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    ready_timeout_seconds: float = 60.0
    max_restarts: int = 5
    wait: bool = True
    needs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Inline:
    """A step done inside the supervisor: the embedded database, migrations, demo accounts."""

    name: str
    start: Callable[[], object]
    stop: Callable[[], object] = lambda: None
    is_alive: Callable[[], bool] = lambda: True
    log_file: Path | None = None
    max_restarts: int = 5
    needs: Sequence[str] = ()


class Part(Protocol):
    """What the supervisor needs to know of either kind."""

    @property
    def name(self) -> str: ...
    @property
    def max_restarts(self) -> int: ...
    @property
    def ready_timeout_seconds(self) -> float: ...
    @property
    def grace_seconds(self) -> float: ...
    @property
    def wait(self) -> bool: ...
    @property
    def needs(self) -> Sequence[str]: ...

    def start(self) -> None: ...
    def is_ready(self) -> bool: ...
    def is_alive(self) -> bool: ...
    def ask_to_stop(self) -> None: ...
    def is_gone(self) -> bool: ...
    def kill(self) -> None: ...
    def ending(self) -> str: ...
    def last_line(self) -> str: ...
    def last_words(self) -> str: ...


class InlinePart:
    ready_timeout_seconds = 0.0
    grace_seconds = 0.0
    wait = True

    def __init__(self, step: Inline) -> None:
        self._step = step
        self._log = _Log(step.log_file) if step.log_file else None
        self.name = step.name
        self.max_restarts = step.max_restarts
        self.needs = step.needs

    def start(self) -> None:
        if self._log:
            self._log.begin()
        self._step.start()

    def is_ready(self) -> bool:
        return True

    def is_alive(self) -> bool:
        return self._step.is_alive()

    def ask_to_stop(self) -> None:
        self._step.stop()

    def is_gone(self) -> bool:
        return True

    def kill(self) -> None:
        """Nothing is left of a step that has returned."""

    def ending(self) -> str:
        return ""

    def last_line(self) -> str:
        return self._log.last_line() if self._log else ""

    def last_words(self) -> str:
        return self._log.in_words() if self._log else ""


class _Log:
    """What a part has written since its last start: lines of an earlier life explain nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begins = 0

    def begin(self) -> None:
        self._begins = self.path.stat().st_size if self.path.exists() else 0

    def last_line(self) -> str:
        lines = self._lines()
        return f"its log ends with: {lines[-1][:_LINE_CHARACTERS]}" if lines else ""

    def in_words(self) -> str:
        lines = self._lines()[-_TAIL_LINES:]
        if not lines:
            return f"It wrote nothing into its log {self.path}."
        return f"Its log {self.path} ends with:\n" + "\n".join(lines)

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(max(self._begins, self.path.stat().st_size - _READ_BYTES))
            text = file.read().decode(errors="replace")
        return [line for line in _COLOURS.sub("", text).splitlines() if line.strip()]


class ChildPart:
    """A program in a process group of its own, inside our session, writing to its log file."""

    def __init__(self, spec: ProcessSpec, logs: Path) -> None:
        self._spec = spec
        self._log = _Log(spec.log_file or logs / f"{spec.name}.log")
        self._start_mark = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._group_was_asked = False
        self.name = spec.name
        self.max_restarts = spec.max_restarts
        self.ready_timeout_seconds = spec.ready_timeout_seconds
        self.grace_seconds = spec.grace_seconds
        self.wait = spec.wait
        self.needs = spec.needs

    def start(self) -> None:
        self._group_was_asked = False
        self._start_mark = secrets.token_hex(16)
        extra = self._spec.env() if callable(self._spec.env) else self._spec.env
        self._log.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put_aside_if_overgrown(self._log.path)
        self._log.begin()
        with self._log.path.open("ab") as log:
            self._process = self._popen({**os.environ, **extra, START: self._start_mark}, log)

    def _popen(self, environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        argv = [*_told_of_parents_death(self._spec.stop_signal), *self._spec.argv]
        try:
            return subprocess.Popen(
                argv,
                env=environment,
                cwd=self._spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:
            raise ProcessError(f"{self.name} cannot be started: {error}") from error

    def is_ready(self) -> bool:
        ready = self._spec.ready
        if ready is None:
            return True
        return ready() if callable(ready) else _answers(ready, self._start_mark)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        """The leader alone is asked: programs with workers know in which order theirs should end."""
        if self._process is not None:
            self._process.send_signal(self._spec.stop_signal)

    def is_gone(self) -> bool:
        """Leader and group. What the leader leaves behind is asked once by itself."""
        if self.is_alive():
            return False
        word = 0 if self._group_was_asked else signal.SIGTERM
        self._group_was_asked = True
        return not self._signal_group(word)

    def kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def ending(self) -> str:
        status = self._process.returncode if self._process else None
        if status is None:
            return ""
        return f"exit code {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"

    def last_line(self) -> str:
        return self._log.last_line()

    def last_words(self) -> str:
        return self._log.in_words()

    def _signal_group(self, word: int) -> bool:
        """False when nobody is left in the group."""
        if self._process is None:
            return False
        if self._process.returncode is not None:
            self._bury_orphans(self._process.pid)
        try:
            os.killpg(self._process.pid, word)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS says so of a group of zombies
            return False
        return True

    def _bury_orphans(self, group: int) -> None:
        # Dead workers of a dead leader are ours to wait for (we are their subreaper); until then they count as
        # members. The leader itself has been waited for, so nobody else's exit status is taken.
        with suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass


def _told_of_parents_death(word: signal.Signals) -> list[str]:
    # The supervisor's main thread starts all children: the kernel takes the death of the starting thread for
    # that of the parent.
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", word.name.removeprefix("SIG"), "--"] if setpriv else []


def _put_aside_if_overgrown(log_file: Path) -> None:
    if log_file.exists() and log_file.stat().st_size > _LOG_LIMIT_BYTES:
        log_file.replace(log_file.with_name(log_file.name + ".1"))


def _answers(url: str, start_mark: str) -> bool:
    """Whether the program that we started is ready: a stranger on its port gives no mark back, or another one."""
    # A proxy from the environment has no business between two processes of ours.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [(START_HEADER, start_mark)]
    try:
        with opener.open(url, timeout=_READY_REQUEST_SECONDS) as response:
            return bool(response.headers.get(START_HEADER) == start_mark)
    except (OSError, http.client.HTTPException, ValueError):
        return False
