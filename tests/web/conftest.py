"""The real web process on a real database, with Dagster and Streamlit in it; Dagster keeps its rows in SQLite here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from autorepost_app.bootstrap import open_links, open_store, settings_from
from autorepost_app.config import Settings
from autorepost_app.media.store import Store
from autorepost_app.persistence.access import AccessFile
from autorepost_app.processes import free_port
from autorepost_app.services.links import PATH, SignedLinks

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class WebProcess:
    """Where it answers, and everything it has printed so far."""

    settings: Settings
    log: Path

    @property
    def address(self) -> str:
        """Host and port, as in a `Host` header."""
        return f"{self.settings.host}:{self.settings.port}"

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        return httpx.request(method, f"http://{self.address}{path}", timeout=30, **more)  # type: ignore[arg-type]

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    @property
    def links(self) -> SignedLinks:
        return open_links(self.settings)

    def signed(self, key: str, ttl_seconds: float = 60) -> str:
        """The path of a link to that file."""
        return PATH + self.links.address(key, ttl_seconds).rpartition("/")[2]

    def printed(self) -> str:
        return self.log.read_text()


@pytest.fixture(scope="session")
def web(_access: AccessFile, _home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    ours = {
        "AUTOREPOST_HOME": str(_home),
        "AUTOREPOST_PORT": str(free_port()),
        "AUTOREPOST_STORE_URL": f"file://{folder / 'store'}",
        "AUTOREPOST_PUBLIC_URL": "https://repost.example.org",
    }
    process = WebProcess(settings_from(ours), folder / "web.log")
    argv = [sys.executable, "-m", "autorepost_app.web", str(workspace)]
    with process.log.open("w") as log:
        environ = {**os.environ, **ours, "DAGSTER_HOME": str(folder)}
        running = subprocess.Popen(argv, env=environ, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(process, running)
        yield process
    finally:
        running.terminate()
        running.wait(30)


def _wait_until_ready(process: WebProcess, running: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 90
    while True:
        assert running.poll() is None, process.printed()
        assert time.monotonic() < give_up_at, process.printed()
        try:
            if process.ask("GET", "/readyz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
