"""How is each act of destruction done, and how is everything healed again?"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Final

import httpx
import psutil
from chaos.plan import Disturbance
from chaos.stage import Stage
from chaos.trouble import Trouble

PARTS: Final = {
    "daemon": "autorepost_pipelines run",
    "code-server": "dagster api grpc",
    "web": "autorepost_app.web",
}


class Ruin:
    """Does what the plan says to the product of this stage; `done` counts what found somebody to hurt."""

    def __init__(self, stage: Stage, trouble: Trouble) -> None:
        self._stage = stage
        self._trouble = trouble
        self._rng = Random(stage.seed)
        self._later: list[tuple[float, Callable[[], object]]] = []
        self.done: Counter[str] = Counter()
        self._acts: Mapping[str, Callable[..., object]] = {
            "kill worker": self._kill_worker,
            "pause worker": self._pause_worker,
            **{f"kill {part}": self._kill_part(words) for part, words in PARTS.items()},
            **{f"pause {part}": self._pause_part(words) for part, words in PARTS.items()},
            "kill house": self._kill_house,
            "restart database": self._restart_database,
            "kill backend": self._kill_backend,
            "cut connections": lambda share: stage.relay.cut(share, self._rng),
            "swallow answers": lambda share: stage.relay.swallow(share, self._rng),
            "outage": self._outage,
            "fill disk": self._fill_disk,
        }

    def begin(self) -> None:
        self._stage.sandbox.control("PUT", "/faults", self._trouble.begin())

    def act(self, disturbance: Disturbance) -> None:
        """What it hit goes to the log; that nobody was there to be hit, too."""
        hit = self._acts[disturbance.what](**disturbance.options)
        self._stage.log.tell(disturbance.what, **disturbance.options, hit=hit)
        if hit:
            self.done[disturbance.what] += 1

    def tick(self) -> None:
        """Wakes who has slept long enough, and keeps the platforms' book of faults full."""
        now = time.monotonic()
        for each in [each for each in self._later if each[0] <= now]:
            self._later.remove(each)
            each[1]()
        with suppress(httpx.HTTPError):  # an outage
            if (book := self._trouble.renew(self._stage.sandbox.control("GET", "/faults"))) is not None:
                self._stage.sandbox.control("PUT", "/faults", book)

    def heal(self) -> None:
        """Everybody awake, faults off, room on the disk, nothing between the product and its database."""
        for _, undo in self._later:
            undo()
        self._later.clear()
        self._stage.house.continue_all()
        self._stage.relay.forgive()
        self._stage.disk.free()
        give_up_at = time.monotonic() + 60
        while True:
            try:
                self._stage.sandbox.control("DELETE", "/faults")
                break
            except httpx.HTTPError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.5)
        self._stage.log.tell("healed", acts=self.done)

    # --------------------------------------------------------------------------------------------------- processes

    def _kill_worker(self) -> int | None:
        return self._signal(self._one(self._stage.house.workers()), signal.SIGKILL)

    def _pause_worker(self, seconds: float) -> int | None:
        return self._pause(self._one(self._stage.house.workers()), seconds)

    def _kill_part(self, words: str) -> Callable[[], int | None]:
        return lambda: self._signal(self._part(words), signal.SIGKILL)

    def _pause_part(self, words: str) -> Callable[[float], int | None]:
        return lambda seconds: self._pause(self._part(words), seconds)

    def _part(self, words: str) -> int | None:
        return next((process.pid for process in self._stage.house.named(words)), None)

    def _one(self, pids: list[int]) -> int | None:
        return self._rng.choice(pids) if pids else None

    def _pause(self, pid: int | None, seconds: float) -> int | None:
        hit = self._signal(pid, signal.SIGSTOP)
        if hit:
            process = psutil.Process(hit)
            self._later.append((time.monotonic() + seconds, lambda: _resume(process)))
        return hit

    @staticmethod
    def _signal(pid: int | None, number: signal.Signals) -> int | None:
        if pid is None:
            return None
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid

    def _kill_house(self) -> bool:
        self._stage.house.kill()
        return True

    # ------------------------------------------------------------------------------------------ database, platforms

    def _restart_database(self) -> int | None:
        """What `pg_ctl -m immediate stop` sends; the supervisor starts it again, and it recovers from its log."""
        return self._signal(self._postmaster(), signal.SIGQUIT)

    def _kill_backend(self) -> int | None:
        """One killed backend makes the server end all others and recover."""
        postmaster = self._postmaster()
        if postmaster is None:
            return None
        with suppress(psutil.Error):
            backends = [each.pid for each in psutil.Process(postmaster).children() if "postgres: " in _title(each)]
            return self._signal(self._one(backends), signal.SIGKILL)
        return None

    def _postmaster(self) -> int | None:
        file = self._stage.home / "postgres" / "data" / "postmaster.pid"
        with suppress(OSError, ValueError, IndexError):
            pid = int(file.read_text().splitlines()[0])
            return pid if psutil.pid_exists(pid) else None
        return None

    def _outage(self, seconds: float) -> Any:
        with suppress(httpx.HTTPError):
            self._stage.sandbox.control("PUT", "/outage", {"seconds": seconds})
            return True
        return False

    def _fill_disk(self, seconds: float) -> bool:
        disk = self._stage.disk
        if disk.why_not:
            return False
        disk.fill()
        self._later.append((time.monotonic() + seconds, disk.free))
        return True


def _title(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.resume()
