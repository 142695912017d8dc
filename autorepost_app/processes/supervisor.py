"""How do all parts come up in order, stay up, and go down in reverse?"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from . import sweep
from .guardian import FORWARDED, GUARD_FD
from .life import Life
from .parts import ChildPart, Inline, InlinePart, Part, ProcessError, ProcessSpec, Progress, State

_TICK_SECONDS = 0.05
_WATCH_SECONDS = 0.2
_TELL_EVERY_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
_SWEEP_PATIENCE_SECONDS = 2.0


class _StopAsked(Exception):
    """Someone wants everything to end."""


@dataclass(slots=True)
class _Slot:
    """One part and where it stands."""

    part: Part
    state: State = State.STOPPED
    since: float = 0.0
    told: float = 0.0
    crashes: int = 0
    restart_at: float = 0.0

    def seconds(self) -> float:
        return time.monotonic() - self.since


class Supervisor:
    """Runs the parts on one home. Must run in the main thread of its process; `then` gets a thread of its own."""

    def __init__(self, home: Path, parts: Sequence[ProcessSpec | Inline], progress: Progress) -> None:
        self._slots = [_Slot(_as_part(part, home / "logs")) for part in parts]
        self._life = Life(home)
        self._progress = progress
        self._asked: list[int] = []
        self._sources: list[int] = []
        self.stopping = threading.Event()

    def run(self, then: Callable[[], int | None] | None = None) -> int:
        """Start all, do `then`, stay until asked to stop, stop all. The exit code.

        `then` runs when every part is ready; if it returns a number, everything stops with it.
        """
        with self._life, self._listening():
            sweep.become_subreaper()
            work = _Work(then)
            try:
                self._bring_up()
                work.start()
                return self._watch(work)
            except _StopAsked:
                # Cut short is no success for one who wanted a result; for one who wanted it to run, it is.
                return 0 if work.wants_to_stay or not self._asked else 128 + self._asked[0]
            finally:
                self._take_down()

    def _bring_up(self) -> None:
        for slot in self._slots:
            for needed in self._slots:
                if needed.part.name in slot.part.needs:
                    self._until_ready(needed)
            self._launch(slot)
            if slot.part.wait:
                self._until_ready(slot)
        for slot in self._slots:
            self._until_ready(slot)

    def _until_ready(self, wanted: _Slot) -> None:
        while wanted.state is State.STARTING:
            self._wait(_TICK_SECONDS)
            for slot in self._slots:
                if slot.state is State.STARTING and self._has_failed(slot):
                    raise _failure(slot, "did not start", _ending(slot))

    def _launch(self, slot: _Slot) -> None:
        slot.since = slot.told = time.monotonic()
        self._move(slot, State.STARTING)
        slot.part.start()
        self._look_whether_ready(slot)

    def _look_whether_ready(self, slot: _Slot) -> None:
        if slot.part.is_ready() and slot.part.is_alive():
            self._move(slot, State.READY)
        elif time.monotonic() - slot.told > _TELL_EVERY_SECONDS:
            slot.told = time.monotonic()
            self._tell(slot.part.name, State.STARTING, slot.seconds(), "")

    def _has_failed(self, slot: _Slot) -> bool:
        """True if a starting part ended or takes too long; a part that has become ready is moved on."""
        if not slot.part.is_alive():
            return True
        self._look_whether_ready(slot)
        return slot.state is State.STARTING and slot.seconds() > slot.part.ready_timeout_seconds

    def _watch(self, work: _Work) -> int:
        while True:
            self._wait(_WATCH_SECONDS)
            if (result := work.result()) is not None:
                return result
            for slot in self._slots:
                self._attend(slot)

    def _attend(self, slot: _Slot) -> None:
        if slot.state is State.RESTARTING:
            if time.monotonic() >= slot.restart_at:
                self._launch(slot)
        elif slot.state is State.STARTING:
            if self._has_failed(slot):
                self._crashed(slot)
        elif not slot.part.is_alive():
            self._crashed(slot)

    def _crashed(self, slot: _Slot) -> None:
        was_steady = slot.state is State.READY and slot.seconds() > _STEADY_SECONDS
        slot.crashes = 1 if was_steady else slot.crashes + 1
        ending = _ending(slot)
        self._move(slot, State.CRASHED, ", ".join(filter(None, (ending, slot.part.last_line()))))
        slot.part.kill()  # a crashed leader's workers would hold its port
        if slot.crashes > slot.part.max_restarts:
            raise _failure(slot, "does not stay up", ending)
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (slot.crashes - 1), _LONGEST_PAUSE_SECONDS)
        slot.restart_at = time.monotonic() + pause
        slot.state = State.RESTARTING
        self._tell(slot.part.name, State.RESTARTING, pause, "")

    def _take_down(self) -> None:
        self.stopping.set()
        self._life.ends()
        for slot in reversed(self._slots):
            if slot.state is not State.STOPPED:
                self._stop(slot)
        sweep.end_all(sweep.descendants, _SWEEP_PATIENCE_SECONDS)

    def _stop(self, slot: _Slot) -> None:
        slot.since = time.monotonic()
        self._move(slot, State.STOPPING)
        with suppress(Exception):  # one part's failure to stop must not keep the others up
            slot.part.ask_to_stop()
        while not slot.part.is_gone() and slot.seconds() < slot.part.grace_seconds and not self._is_urgent():
            self._listen(_TICK_SECONDS)
        obeyed = slot.part.is_gone()
        slot.part.kill()
        self._move(slot, State.STOPPED if obeyed else State.KILLED)

    def _is_urgent(self) -> bool:
        """A second Ctrl-C means now."""
        return len(self._asked) > 1

    def _move(self, slot: _Slot, state: State, why: str = "") -> None:
        slot.state = state
        self._tell(slot.part.name, state, slot.seconds(), why)

    def _tell(self, name: str, state: State, seconds: float, why: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._progress(name, state, seconds, why)

    def _wait(self, seconds: float) -> None:
        self._listen(seconds)
        if self.stopping.is_set():
            raise _StopAsked

    def _listen(self, seconds: float) -> None:
        """Sleep until a signal, the end of a child or of the guardian."""
        heard, _, _ = select.select(self._sources, [], [], seconds)
        for source in heard:
            if not os.read(source, 4096):  # the guardian's end of the pipe is closed: it is dead
                self._sources.remove(source)
                self.stopping.set()
        if self._asked:
            self.stopping.set()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        reading, wake = os.pipe()
        os.set_blocking(wake, False)
        self._sources = [reading]
        if guard_fd := os.environ.pop(GUARD_FD, ""):
            os.set_inheritable(int(guard_fd), False)
            self._sources.append(int(guard_fd))
        handlers = {signal.SIGCHLD: _ignore, **dict.fromkeys(FORWARDED, self._hear)}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(wake)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._asked.append(number)


class _Work:
    """The caller's own task beside the parts, if there is one."""

    def __init__(self, task: Callable[[], int | None] | None) -> None:
        self._task = task
        self._done = threading.Event()
        self._result: int | None = None
        self._error: BaseException | None = None

    @property
    def wants_to_stay(self) -> bool:
        return self._task is None or (self._done.is_set() and self._result is None)

    def start(self) -> None:
        if self._task is not None:
            threading.Thread(target=self._run, args=(self._task,), daemon=True).start()

    def result(self) -> int | None:
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self, task: Callable[[], int | None]) -> None:
        try:
            self._result = task()
        except BaseException as error:
            self._error = error
        self._done.set()


def _ending(slot: _Slot) -> str:
    """Of a part that failed, before it is killed for it."""
    late = f"not ready within {slot.part.ready_timeout_seconds:.0f} s"
    return late if slot.part.is_alive() else slot.part.ending()


def _failure(slot: _Slot, what: str, ending: str) -> ProcessError:
    return ProcessError(f"{slot.part.name} {what}{ending and f' ({ending})'}. {slot.part.last_words()}".rstrip())


def _as_part(part: ProcessSpec | Inline, logs: Path) -> Part:
    return ChildPart(part, logs) if isinstance(part, ProcessSpec) else InlinePart(part)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """SIGCHLD only has to wake the loop."""
