"""What can the supervisor run, and how does one such part start, answer and stop?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

_LOG_LIMIT_BYTES = 10_000_000
_TAIL_LINES = 12
_READY_REQUEST_SECONDS = 2.0


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


Progress = Callable[[str, State, float], None]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to keep running.

    `env` is added to our own; as a callable it is read at each start, when earlier parts are up. `ready` is a URL
    that answers below 400, or a question; without it a started program counts as ready. With `wait=False` the parts
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
    def last_words(self) -> str: ...


class InlinePart:
    ready_timeout_seconds = 0.0
    grace_seconds = 0.0
    wait = True

    def __init__(self, step: Inline) -> None:
        self._step = step
        self.name = step.name
        self.max_restarts = step.max_restarts
        self.needs = step.needs

    def start(self) -> None:
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

    def last_words(self) -> str:
        return ""


class ChildPart:
    """A program in a process group of its own, inside our session, writing to its log file."""

    def __init__(self, spec: ProcessSpec, logs: Path) -> None:
        self._spec = spec
        self._log_file = spec.log_file or logs / f"{spec.name}.log"
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
        extra = self._spec.env() if callable(self._spec.env) else self._spec.env
        self._log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put_aside_if_overgrown(self._log_file)
        with self._log_file.open("ab") as log:
            self._process = self._popen({**os.environ, **extra}, log)

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
        return ready() if callable(ready) else _answers(ready)

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

    def last_words(self) -> str:
        status = self._process.returncode if self._process else None
        lines = self._log_file.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        ending = f" (exit code {status})" if status is not None else ""
        return f"{ending}. Its log {self._log_file} ends with:\n" + "\n".join(lines)

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


def _answers(url: str) -> bool:
    # A proxy from the environment has no business between two processes of ours.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_READY_REQUEST_SECONDS) as response:
            return bool(response.status < 400)
    except (OSError, urllib.error.URLError, ValueError):
        return False
