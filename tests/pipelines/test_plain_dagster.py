"""Do Dagster's own commands work on this repository as it is, without ours?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from autorepost_app.processes import free_port
from autorepost_pipelines.prepare import prepare_home

REPO = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    prepare_home(tmp_path / "dagster", REPO / "dagster.yaml")
    ours = {"DAGSTER_HOME": tmp_path / "dagster", "DAGSTER_PG_URL": database_url, "AUTOREPOST_HOME": tmp_path / "home"}
    return {**os.environ, **{name: str(value) for name, value in ours.items()}}


def test_the_definitions_validate(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(REPO / "workspace.yaml")]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location autorepost" in done.stdout + done.stderr


def test_dagster_dev_serves_them_and_leaves_nothing(
    environment: dict[str, str], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(REPO / "workspace.yaml"), "-p", str(port)]
    with (tmp_path / "log").open("w") as log:
        dev = subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _answers(f"{url}/server_info"), within_seconds=120)
        family = psutil.Process(dev.pid).children(recursive=True)
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { sensors { name } } } } }"
        answer = httpx.post(f"{url}/graphql", json={"query": query}, timeout=30).json()["data"]
        [repository] = answer["repositoriesOrError"]["nodes"]
        assert "detect_posts" in {sensor["name"] for sensor in repository["sensors"]}
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(60)
    eventually(lambda: not [each for each in family if each.is_running() and each.status() != "zombie"], 60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
