"""Workers that really die: processes of their own, killed while a platform holds its answer back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).parent / "worker.py"


@pytest.fixture(autouse=True)
def _no_processing(sandbox: Any) -> Iterator[None]:
    def take(seconds: float) -> None:
        settings = {key: {"processing_seconds": seconds} for key in ("instagram", "x", "youtube")}
        sandbox.control("PUT", "/settings", settings)

    take(0.0)
    yield
    take(1.0)


@pytest.fixture
def ready(world: Any, sandbox: Any) -> Callable[[str], Any]:
    """One post, READY for one destination."""

    def make(platform: str) -> Any:
        world.rule(world.connect(world.house.platforms.sources()[0]), world.connect(platform))
        sandbox.post(description="A walk #walk")
        world.detect()
        world.prepare()
        return world

    return make


@pytest.fixture(scope="session")
def _nursery() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(WORKER), "nursery"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


@pytest.fixture
def nursery(_nursery: subprocess.Popen[str]) -> Callable[..., tuple[int, int]]:
    """A worker process of its own does one thing and dies at a crash point, if it comes to it for the `time`-th time.

    Gives how it ended, as `os.waitpid` puts it, and how often it came to the point.
    """

    def order(
        world: Any, verb: str, subject: str, point: str = "", time: int = 1, times: Mapping[str, float] | None = None
    ) -> tuple[int, int]:
        moved = str(world.clock.moved.total_seconds())
        given = {"verb": verb, "subject": subject, "point": point, "time": time, "times": dict(times or {})}
        assert _nursery.stdin is not None
        assert _nursery.stdout is not None
        _nursery.stdin.write(json.dumps({**given, "environ": {**world.environ, "MOVED_SECONDS": moved}}) + "\n")
        _nursery.stdin.flush()
        status, reached = _nursery.stdout.readline().split()
        return int(status), int(reached)

    return order
