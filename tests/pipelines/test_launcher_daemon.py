"""With Dagster's real daemon: is a queued run started, a killed one failed, and then run again to its end?"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator import SubmitRunContext

from autorepost_pipelines.prepare import prepare_home
from autorepost_pipelines.workers import living_worker, stop_workers

REPO = Path(__file__).resolve().parents[2]
SAMPLE_DEFS = Path(__file__).with_name("sample_defs.py")


@pytest.fixture
def instance(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """The product's dagster.yaml, but a monitor that does not keep a test waiting."""
    monkeypatch.setenv("DAGSTER_PG_URL", database_url)
    settings = yaml.safe_load((REPO / "dagster.yaml").read_text())
    monitoring = {**settings["run_monitoring"], "poll_interval_seconds": 1}
    launcher = {**settings["run_launcher"], "config": {"preload": []}}
    overrides = {"run_monitoring": monitoring, "run_launcher": launcher}
    prepare_home(tmp_path / "home", REPO / "dagster.yaml", overrides=overrides)
    with DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        yield instance


@pytest.fixture
def daemon(instance: DagsterInstance, tmp_path: Path) -> Iterator[None]:
    location = {"relative_path": str(SAMPLE_DEFS), "attribute": "defs", "location_name": "sample"}
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_file": location}]}))
    command = [sys.executable, "-m", "autorepost_pipelines", "run", "-w", str(workspace)]
    home = instance.root_directory
    environment = {**os.environ, "DAGSTER_HOME": home, "PYTHONPATH": str(REPO)}
    with Path(home, "daemon.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            stop_workers(Path(home))


@pytest.mark.usefixtures("daemon")
def test_a_killed_run_is_failed_by_the_daemon_and_run_again(
    instance: DagsterInstance, runs_on: Callable[..., Any], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    runs = runs_on(instance)
    run = runs.create("patient", {"ops": {"wait_for_permission": {"config": {"folder": str(tmp_path)}}}})
    instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))
    eventually((tmp_path / "running").exists, within_seconds=40)
    (tmp_path / "running").unlink()
    os.kill(living_worker(Path(instance.root_directory), run.run_id), signal.SIGKILL)

    eventually(runs.is_in(run.run_id, DagsterRunStatus.FAILURE))
    eventually((tmp_path / "running").exists, within_seconds=40)
    (tmp_path / "go").touch()
    [retry] = instance.get_runs(RunsFilter(tags={"dagster/root_run_id": run.run_id, "dagster/retry_number": "1"}))
    eventually(runs.is_in(retry.run_id, DagsterRunStatus.SUCCESS))
