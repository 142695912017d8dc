"""Does a run start warm, outlive its daemon, stop when asked, and is a killed one noticed?"""

import importlib
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._cli import api
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from autorepost_pipelines import launcher
from autorepost_pipelines.workers import forget_dead_workers, living_worker, living_workers, stop_workers

REPO = Path(__file__).resolve().parents[2]
SUCCESS, FAILURE = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE
RUNNING = WorkerStatus.RUNNING
STARTED, CANCELED = DagsterRunStatus.STARTED, DagsterRunStatus.CANCELED

Eventually = Callable[..., Any]


@pytest.fixture
def home(runs: Any) -> Iterator[Path]:
    home = Path(runs.instance.root_directory)
    yield home
    stop_workers(home, grace_seconds=5)
    forget_dead_workers(home)


def _in(folder: Path, op_name: str = "wait_for_permission") -> dict[str, Any]:
    return {"ops": {op_name: {"config": {"folder": str(folder)}}}}


def _patient_run(runs: Any, folder: Path, eventually: Eventually) -> tuple[str, int]:
    """A run in the middle of its step, and the pid it runs in."""
    run_id = runs.launch("patient", _in(folder))
    eventually((folder / "running").exists)
    return run_id, int((folder / "running").read_text())


def _monitor(instance: DagsterInstance) -> None:
    """One round of Dagster's own run monitoring."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        for error in execute_run_monitoring_iteration(workspace, logging.getLogger("monitoring")):
            assert error is None


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_run_goes_through_all_its_steps(runs: Any, home: Path, eventually: Eventually) -> None:
    run_id = runs.launch("six_steps")
    eventually(runs.is_in(run_id, SUCCESS))
    steps = runs.instance.get_run_step_stats(run_id)
    assert len(steps) == 6
    eventually(lambda: living_workers(home) == {})


def test_a_worker_has_nothing_of_its_parents(runs: Any, home: Path, tmp_path: Path, eventually: Eventually) -> None:
    run_id = runs.launch("introspective", _in(tmp_path, "describe_process"))
    eventually(runs.is_in(run_id, SUCCESS))
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["group"] == facts["pid"]
    assert facts["session"] == os.getsid(0)
    assert runs.sample.open_sockets()  # Postgres knows this process, too
    assert runs.sample.open_sockets().isdisjoint(facts["sockets"])
    assert facts["threads_of_the_fork_server"] == 1
    assert facts["resident_mb"] < 220


def test_what_a_step_prints_is_kept(runs: Any, home: Path, tmp_path: Path, eventually: Eventually) -> None:
    run_id = runs.launch("introspective", _in(tmp_path, "describe_process"))
    eventually(runs.is_in(run_id, SUCCESS))
    eventually(lambda: living_workers(home) == {})
    logs = runs.instance.compute_log_manager
    [key] = logs.get_log_keys_for_log_key_prefix([run_id, "compute_logs"], ComputeIOType.STDOUT)
    assert logs.get_log_data(key).stdout == b"written by the step\n"


def test_ten_runs_in_a_burst_need_few_connections(
    runs: Any, home: Path, runs_database_url: str, postgres_socket: Path, eventually: Eventually
) -> None:
    database = runs_database_url.partition("@/")[2].partition("?")[0]
    statistics = psycopg2.connect(host=str(postgres_socket), user="postgres", dbname="postgres")
    statistics.autocommit = True  # a transaction would see one snapshot for ever

    def sessions() -> int:
        with statistics.cursor() as cursor:
            cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = %s", (database,))
            [(count,)] = cursor.fetchall()
            return count

    eventually(lambda: living_workers(home) == {})
    before = sessions()
    run_ids = [runs.launch("six_steps") for _ in range(10)]
    for run_id in run_ids:
        eventually(runs.is_in(run_id, SUCCESS))
    eventually(lambda: living_workers(home) == {})
    with closing(statistics):
        assert 10 <= sessions() - before <= 50


def test_a_killed_worker_is_found_and_its_run_marked_failed(
    runs: Any, home: Path, tmp_path: Path, eventually: Eventually
) -> None:
    run_id, pid = _patient_run(runs, tmp_path, eventually)
    _monitor(runs.instance)
    assert runs.status(run_id) == STARTED
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: living_worker(home, run_id) is None)
    _monitor(runs.instance)
    assert runs.status(run_id) == FAILURE


def test_a_run_stops_when_asked(runs: Any, home: Path, tmp_path: Path, eventually: Eventually) -> None:
    run_id, pid = _patient_run(runs, tmp_path, eventually)
    assert runs.instance.run_launcher.terminate(run_id)
    eventually(runs.is_in(run_id, CANCELED))
    eventually(lambda: _is_gone(pid))
    assert not runs.instance.run_launcher.terminate(run_id)


def test_a_run_that_has_no_worker_is_canceled_at_once(runs: Any, home: Path) -> None:
    run_id = runs.create("six_steps").run_id
    assert runs.instance.run_launcher.terminate(run_id)
    assert runs.status(run_id) == CANCELED


def test_a_run_canceled_before_its_worker_came_up_does_nothing(runs: Any, home: Path, eventually: Eventually) -> None:
    run = runs.create("six_steps")
    runs.instance.run_launcher.terminate(run.run_id)
    runs.instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    eventually(lambda: living_workers(home) == {})
    assert runs.status(run.run_id) == CANCELED
    assert runs.instance.get_run_step_stats(run.run_id) == []


def test_a_worker_that_dies_at_birth_fails_its_run_at_once(runs: Any, home: Path) -> None:
    forget_dead_workers(home)
    (home / "workers").rmdir()
    (home / "workers").touch()
    try:
        run_id = runs.create("six_steps").run_id
        with pytest.raises(DagsterLaunchFailedError, match="ended before it began"):
            runs.instance.launch_run(run_id, workspace=None)
        assert runs.status(run_id) == FAILURE
    finally:
        (home / "workers").unlink()


def test_a_fork_server_that_was_killed_is_replaced(
    runs: Any, home: Path, tmp_path: Path, eventually: Eventually
) -> None:
    run_id, pid = _patient_run(runs, tmp_path, eventually)
    fork_server = psutil.Process(pid).ppid()
    os.kill(fork_server, signal.SIGKILL)
    eventually(lambda: _is_gone(fork_server))
    assert runs.instance.run_launcher.check_run_worker_health(runs.instance.get_run_by_id(run_id)).status == RUNNING
    next_id = runs.launch("six_steps")
    (tmp_path / "go").touch()
    eventually(runs.is_in(next_id, SUCCESS))
    eventually(runs.is_in(run_id, SUCCESS))


def test_a_module_that_cannot_be_preloaded_fails_the_launch_with_words(tmp_path: Path) -> None:
    """In a process of its own: a process has one fork server."""
    (tmp_path / "broken.py").write_text("1 / 0")
    environment = {**os.environ, "PYTHONPATH": f"{REPO}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", FORK_FROM_A_BROKEN_SERVER], env=environment, capture_output=True, text=True, check=True
    )
    assert "cannot be imported" in done.stdout
    assert "ZeroDivisionError" in done.stderr


FORK_FROM_A_BROKEN_SERVER = """
from autorepost_pipelines import launcher
launcher.start_fork_server(["broken"])
try:
    launcher._fork(launcher._Worker(target=print))
except launcher.DagsterLaunchFailedError as refusal:
    print(refusal)
"""

LAUNCH_AND = """
import sys, os, time
from dagster import DagsterInstance
if __name__ == "__main__":
    with DagsterInstance.from_config(sys.argv[1]) as instance:
        instance.launch_run(sys.argv[2], workspace=None)
        print("launched", flush=True)
        sys.stdin.read()
"""


def _daemon(tmp_path: Path, home: Path, run_id: str) -> subprocess.Popen[str]:
    """A process that launches one run and stays until its input ends."""
    script = tmp_path / "daemon.py"
    script.write_text(LAUNCH_AND)
    command = [sys.executable, str(script), str(home), run_id]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    daemon = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert daemon.stdout
    assert daemon.stdout.readline() == "launched\n"
    return daemon


def _close(daemon: subprocess.Popen[str]) -> None:
    assert daemon.stdin
    assert daemon.stdout
    daemon.stdin.close()
    daemon.stdout.close()
    daemon.wait(timeout=20)


@pytest.mark.parametrize("ending", ["killed", "stopped"])
def test_a_run_outlives_the_daemon_that_launched_it(
    ending: str, runs: Any, home: Path, tmp_path: Path, eventually: Eventually
) -> None:
    run = runs.create("patient", _in(tmp_path))
    daemon = _daemon(tmp_path, home, run.run_id)
    eventually((tmp_path / "running").exists)
    pid = living_worker(home, run.run_id)
    fork_server = psutil.Process(pid).ppid()
    if ending == "killed":
        daemon.kill()
    _close(daemon)

    health = runs.instance.run_launcher.check_run_worker_health(run)
    assert (health.status, health.run_worker_id) == (RUNNING, str(pid))
    (tmp_path / "go").touch()
    eventually(runs.is_in(run.run_id, SUCCESS))
    eventually(lambda: _is_gone(pid))
    eventually(lambda: _is_gone(fork_server))


def test_stopping_the_product_stops_the_runs(runs: Any, home: Path, tmp_path: Path, eventually: Eventually) -> None:
    run_id, pid = _patient_run(runs, tmp_path, eventually)
    stop_workers(home, grace_seconds=10)
    assert living_workers(home) == {}
    assert runs.status(run_id) == FAILURE
    eventually(lambda: _is_gone(pid))


def test_a_run_that_will_not_stop_is_killed_with_its_children(
    runs: Any, home: Path, tmp_path: Path, eventually: Eventually
) -> None:
    runs.launch("stubborn", _in(tmp_path, "ignore_the_request_to_stop"))
    eventually((tmp_path / "running").exists)
    stop_workers(home, grace_seconds=0.2)
    eventually(lambda: living_workers(home) == {})
    eventually(lambda: _is_gone(int((tmp_path / "running").read_text())))


def test_records_of_the_dead_are_forgotten_and_those_of_the_living_kept(
    runs: Any, home: Path, tmp_path: Path, eventually: Eventually
) -> None:
    run_id, pid = _patient_run(runs, tmp_path, eventually)
    (home / "workers" / "long-dead").write_text("4711")
    assert living_worker(home, "long-dead") is None
    forget_dead_workers(home)
    assert [path.name for path in (home / "workers").iterdir()] == [run_id]
    assert living_workers(home) == {run_id: pid}


@pytest.mark.parametrize("module", launcher._USED_BY_EVERY_RUN)
def test_contract_what_is_preloaded_exists(module: str) -> None:
    """The fork server passes over a module it cannot import, and every run would be slow again without a word."""
    importlib.import_module(module)


def test_contract_a_worker_runs_the_body_of_dagsters_own_run_command() -> None:
    parameters = list(inspect.signature(api._execute_run_command_body).parameters)
    assert parameters == ["run_id", "instance", "write_stream_fn", "set_exit_code_on_failure"]


def test_contract_the_pinned_releases_belong_together() -> None:
    assert version("dagster") == version("dagster-webserver") == "1.13.27"
    assert version("dagster-postgres") == version("dagster-aws") == "0.29.27"


def test_contract_dagster_does_not_resume_runs_behind_our_back(runs: Any) -> None:
    assert not runs.instance.run_launcher.supports_resume_run
    assert runs.instance.run_monitoring_max_resume_run_attempts == 0


def test_contract_our_definitions_can_be_forked() -> None:
    """A thread or a socket that an import opens would be broken in every run."""
    count = "len(me.threads()), len(me.net_connections('all'))"
    script = f"import autorepost_pipelines.definitions, psutil; me = psutil.Process(); print({count})"
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1 0\n"


def test_a_run_that_waits_for_a_slot_sleeps_meanwhile(runs: Any) -> None:
    """Contract: Dagster asks this method how long to sleep, and keeps the moments to ask again where we read them."""
    with InstanceConcurrencyContext(runs.instance, runs.create("six_steps")) as context:
        context._pending_claims.add("step")
        context._pending_timeouts["step"] = time.time() + 5
        assert 4 < context.interval_to_next_pending_claim_check() <= 5
        context._pending_timeouts["step"] = time.time() - 5
        assert context.interval_to_next_pending_claim_check() == 0
        context._pending_claims.clear()
        context._pending_timeouts.clear()
        assert context.interval_to_next_pending_claim_check() == 0
