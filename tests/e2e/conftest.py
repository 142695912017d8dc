"""The product as a visitor runs it: the command in a process of its own, on a home and ports of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

REPO = Path(__file__).parents[2]


class Product:
    """One start of the command, what it says, and its processes."""

    def __init__(self, home: Path, port: int, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.sandbox_url = f"http://127.0.0.1:{port + 1}"
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autorepost_app.cli", *arguments],
            cwd=REPO,
            env={**_environment(home, port), **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[tuple[float, str]] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append((time.monotonic() - self.started, line.rstrip()))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in list(self.said))

    def when(self, words: str) -> float | None:
        """Seconds from the start until it said so."""
        return next((at for at, line in list(self.said) if words in line), None)

    def wait_for(self, words: str, within_seconds: float = 120) -> float:
        give_up_at = time.monotonic() + within_seconds
        while (at := self.when(words)) is None:
            assert self.process.poll() is None, f"it ended:\n{self.text}"
            assert time.monotonic() < give_up_at, f"{words!r} not said:\n{self.text}"
            time.sleep(0.05)
        return at

    def ended(self, within_seconds: float = 150) -> int:
        code = self.process.wait(within_seconds)
        self._listener.join(10)
        return code

    def processes(self) -> list[psutil.Process]:
        """Everything of this home, by the home in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("AUTOREPOST_HOME") == str(self.home) and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def named(self, words: str) -> list[psutil.Process]:
        return [each for each in self.processes() if words in _line_of(each)]

    def control(self, method: str, path: str, json: Any = None) -> Any:
        answer = httpx.request(method, f"{self.sandbox_url}/_sandbox{path}", json=json, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, description: str) -> Any:
        clip = REPO / "autorepost_app" / "cli" / "clip.mp4"
        with clip.open("rb") as file:
            path = f"{self.sandbox_url}/_sandbox/tiktok/accounts/mia.makes/posts"
            answer = httpx.post(path, files={"clip": file}, data={"description": description}, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()

    def live(self) -> dict[str, list[str]]:
        """The destinations' live posts, by platform: what each says, in whatever fields."""
        found: dict[str, list[str]] = {}
        for post in self.control("GET", "/ledger")["posts"]:
            if post["platform"] != "tiktok":
                found.setdefault(post["platform"], []).append(json.dumps(post["text"]))
        return found

    def stop(self) -> None:
        """Whatever a test left, in the way the next start would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            for each in self.processes():
                each.kill()
            self._listener.join(10)
            if self.process.stdout:
                self.process.stdout.close()


def _environment(home: Path, port: int) -> dict[str, str]:
    ours = {"AUTOREPOST_HOME": str(home), "AUTOREPOST_PORT": str(port)}
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("AUTOREPOST_", "DAGSTER_"))}
    return {**foreign, **ours}


def free_ports() -> int:
    """A port of which the next one is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Starts the command; a second start of a test is on the same home, unless it names another."""
    started: list[Product] = []
    port = free_ports()

    def begin(
        *arguments: str, home: Path | None = None, on_port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> Product:
        started.append(Product(home or tmp_path / "home", on_port or port, *arguments, settings=settings))
        return started[-1]

    yield begin
    for product in reversed(started):
        product.stop()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A demo that stays up, with its first video live, for all tests that only look at it."""
    product = Product(tmp_path_factory.mktemp("demo"), free_ports(), "demo")
    try:
        product.wait_for("Ctrl-C stops everything", within_seconds=170)
        yield product
    finally:
        product.stop()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    def wait(condition: Callable[[], Any], within_seconds: float = 60) -> Any:
        give_up_at = time.monotonic() + within_seconds
        while not (result := condition()):
            assert time.monotonic() < give_up_at, f"not within {within_seconds} s: {condition}"
            time.sleep(0.1)
        return result

    return wait


def _line_of(process: psutil.Process) -> str:
    """Its command, or nothing where it has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
