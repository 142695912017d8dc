"""Clients that others wrote for Node, to hold our sandbox against.

They are installed once, by lock, into a cache outside the repository; `node/loopback.mjs` leads their built-in hosts
to the sandbox.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent / "node"
INSTALLED = "installed"


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """A folder below which Node finds the clients. Skips only where there is no Node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node with npm is not installed: the clients that others wrote for it cannot run")
    listed = b"".join((NODE / name).read_bytes() for name in ("package.json", "package-lock.json"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "autorepost-tests" / f"node-{hashlib.sha256(listed).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes begin at once
        if not (folder / INSTALLED).exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, f"npm could not install what the lock names: {done.stderr[-1500:]}"
    (folder / INSTALLED).touch()


@pytest.fixture
def run_node(node_clients: Path) -> Callable[..., Any]:
    """`run_node(script, sandbox="http://127.0.0.1:...", ...)`: what the script handed to `answer`.

    The script imports `given` (the keyword arguments), `answer` and `redirect` from "./loopback.mjs".
    """

    def run(script: Path, **given: Any) -> Any:
        # Node looks for packages beside the script, so it runs from where they are installed
        place = node_clients / f"run-{os.getpid()}"
        place.mkdir(exist_ok=True)
        try:
            for file in (script, NODE / "loopback.mjs"):
                shutil.copy(file, place)
            command = ["node", str(place / script.name), json.dumps(given)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        finally:
            shutil.rmtree(place)
        assert done.returncode == 0, f"{script.name}: {done.stderr[-3000:]}"
        return json.loads(done.stdout.splitlines()[-1])

    return run
