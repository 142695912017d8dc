"""What does a run of chaos stand on? A folder, the platforms, the relay, the disk, and the product as one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from chaos.disk import Disk
from chaos.relay import Relay

from autorepost_app.processes import free_port
from autorepost_pipelines.workers import living_workers

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
CLIP: Final = ROOT / "autorepost_app" / "cli" / "clip.mp4"
_PATIENCE_SECONDS: Final = 400.0


class ChaosError(Exception):
    """Ends the run with these words."""


class Log:
    """What was done when, one line of JSON each, for whoever looks afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def tell(self, what: str, **more: Any) -> None:
        line = {"at": datetime.now(UTC).isoformat(), "seconds": round(self.seconds, 2), "what": what, **more}
        with self.path.open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")


@dataclass
class Sandbox:
    """The platforms, in a process that nobody destroys: they are the others."""

    url: str

    def control(self, method: str, path: str, json: Any = None, **more: Any) -> Any:
        """Raises httpx.HTTPError, during an outage too."""
        answer = httpx.request(method, f"{self.url}/_sandbox{path}", json=json, timeout=60, trust_env=False, **more)
        return answer.raise_for_status().json() if answer.content else None

    def settings(self) -> dict[str, str]:
        found = {**self.control("GET", "/hosts"), **self.control("GET", "/apps")}
        return {f"AUTOREPOST_{name}": str(value) for name, value in found.items()}

    def post(self, handle: str, caption: str) -> str:
        """A creator posts; the id that the source gives it."""
        with CLIP.open("rb") as clip:
            path = f"/tiktok/accounts/{handle}/posts"
            answer = self.control("POST", path, files={"clip": clip}, data={"description": caption})
        return str(answer["id"])


@dataclass
class Clock:
    """Real time and what was skipped, for the product and for the platforms alike."""

    path: Path
    skipped_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._write()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.skipped_seconds)

    def skip(self, sandbox: Sandbox, seconds: float) -> None:
        """The platforms first: what they do late by their time is done before the product asks."""
        sandbox.control("PUT", "/clock", {"advance_seconds": seconds})
        time.sleep(1.0)
        self.skipped_seconds += seconds
        self._write()

    def _write(self) -> None:
        draft = self.path.with_suffix(".part")
        draft.write_text(repr(self.skipped_seconds))
        draft.replace(self.path)


@dataclass
class House:
    """The product's processes, under the supervisor that `autorepost up` has. Ends and starts again."""

    home: Path
    environ: Mapping[str, str]
    command: list[str]
    output: Path
    log: Log
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    gave_up: list[str] = field(default_factory=list)
    _is_awaited: bool = False

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.starts += 1
        self._is_awaited = False

    def ensure(self) -> None:
        """As the machine's own supervisor would: a product that has ended is started again."""
        if self.process is None or self.process.poll() is None:
            return
        if not self._is_awaited:
            self.gave_up.append(self._last_words())
            self.log.tell("the product ended by itself", words=self.gave_up[-1])
        self.start()

    def kill(self) -> None:
        """The supervisor itself; everything below it has to go by itself."""
        if self.process is not None:
            self._is_awaited = True
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.continue_all()
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            self.process.kill()
            self.process.wait()

    def below(self) -> list[psutil.Process]:
        """Every process of the product but its supervisor."""
        with suppress(psutil.Error):
            if self.process is not None:
                return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def named(self, words: str) -> list[psutil.Process]:
        found = []
        for process in self.below():
            with suppress(psutil.Error):
                if words in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def workers(self) -> list[int]:
        with suppress(OSError, ValueError):
            return sorted(living_workers(self.home / "dagster").values())
        return []

    def continue_all(self) -> None:
        for process in self.below():
            with suppress(psutil.Error):
                process.resume()

    def _last_words(self) -> str:
        return self.output.read_bytes()[-2000:].decode(errors="replace")


@dataclass
class Stage:
    folder: Path
    seed: int
    log: Log
    clock: Clock
    sandbox: Sandbox
    relay: Relay
    disk: Disk
    house: House
    keep: bool = True

    @property
    def home(self) -> Path:
        return self.house.home


@contextmanager
def set_up(seed: int) -> Iterator[Stage]:
    """Everything started but nobody there yet; taken down at the end, and removed unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="autorepost-chaos-"))
    (folder / "home").mkdir(mode=0o700)
    stage: Stage | None = None
    with ExitStack() as stack:
        try:
            log, clock = Log(folder / "chaos.jsonl"), Clock(folder / "skipped")
            sandbox = stack.enter_context(_platforms(folder))
            relay = stack.enter_context(Relay(_made(folder / "db"), folder / "upstream"))
            disk = Disk(folder / "disk")
            stack.callback(disk.close)
            house = _house(folder, log, clock, sandbox, disk)
            stack.callback(house.stop)
            stage = Stage(folder, seed, log, clock, sandbox, relay, disk, house)
            house.start()
            _until_ready(stage)
            yield stage
        finally:
            stack.close()
            if stage is not None and not stage.keep:
                shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def _platforms(folder: Path) -> Iterator[Sandbox]:
    state, ready = _made(folder / "sandbox") / "state.sqlite", folder / "sandbox" / "ready"
    argv = [sys.executable, "-m", "autorepost_app.sandbox", "--state", str(state), "--ready-file", str(ready)]
    with (folder / "sandbox.log").open("ab") as output:
        process = subprocess.Popen(
            [*argv, "--port", str(free_port())], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise ChaosError(f"The sandbox did not start; see {folder / 'sandbox.log'}.")
            time.sleep(0.05)
        yield Sandbox(ready.read_text().strip())
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _house(folder: Path, log: Log, clock: Clock, sandbox: Sandbox, disk: Disk) -> House:
    home = folder / "home"
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("AUTOREPOST_", "DAGSTER_"))}
    paths = [str(HERE / "moved"), *filter(None, [foreign.get("PYTHONPATH")])]
    environ = {
        **foreign,
        **sandbox.settings(),
        **disk.take_in(home),
        "AUTOREPOST_HOME": str(home),
        "AUTOREPOST_PORT": str(free_port()),
        "AUTOREPOST_LOG_FORMAT": "json",
        "PYTHONPATH": os.pathsep.join(paths),
        "CHAOS_SKIPPED_SECONDS": str(clock.path),
    }
    command = [sys.executable, str(HERE / "house.py"), str(folder / "db"), str(folder / "upstream")]
    return House(home, environ, command, folder / "house.log", log)


def _until_ready(stage: Stage) -> None:
    url = f"http://127.0.0.1:{stage.house.environ['AUTOREPOST_PORT']}/readyz"
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        stage.house.ensure()  # on a machine that is too busy, a first start may take longer than the product waits
        if time.monotonic() > give_up_at:
            raise ChaosError(f"The product did not start; see {stage.house.output}.")
        time.sleep(0.2)
