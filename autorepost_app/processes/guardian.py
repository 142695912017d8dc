"""Who ends everything when the supervisor itself is killed, and who tells it that the terminal is gone?"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import psutil

from . import sweep

GUARD_FD = "SUPERVISED_AUTOREPOST_GUARD_FD"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENT_ASKS = 2
_PATIENCE_SECONDS = 5.0


def under_guard() -> bool:
    """True in the supervisor's process, False in the one the user started."""
    return GUARD_FD in os.environ


def guard(argv: Sequence[str]) -> int:
    """Run the supervisor's command in a session of its own; return its exit code once everything is gone.

    The supervisor holds the reading end of a pipe of which we hold the writing end: however we die, it notices.
    """
    sweep.become_subreaper()
    reading, writing = os.pipe()
    environment = {**os.environ, GUARD_FD: str(reading)}
    try:
        with _forwarding() as forward_to:
            supervisor = subprocess.Popen(argv, env=environment, start_new_session=True, pass_fds=(reading,))
            os.close(reading)
            forward_to(supervisor)
            status = supervisor.wait()
            sweep.end_all(lambda: _left_by(supervisor.pid), _PATIENCE_SECONDS)
    finally:
        os.close(writing)
    return 128 - status if status < 0 else status


def _left_by(session: int) -> list[psutil.Process]:
    return list({*sweep.descendants(), *sweep.of_session(session)})


class _Forwarder:
    """Passes signals on; those that come before there is anyone to pass them to are kept."""

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __call__(self, supervisor: subprocess.Popen[bytes]) -> None:
        self._supervisor = supervisor
        for number in self._asked:
            supervisor.send_signal(number)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        self._asked.append(number)
        if self._supervisor is not None:
            too_often = len(self._asked) > _PATIENT_ASKS
            self._supervisor.send_signal(signal.SIGKILL if too_often else number)


@contextmanager
def _forwarding() -> Iterator[_Forwarder]:
    forwarder = _Forwarder()
    before = {number: signal.signal(number, forwarder.receive) for number in FORWARDED}
    try:
        yield forwarder
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
