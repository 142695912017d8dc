"""How does a queued run become a process, and how does anyone know later that this process lives?

Dagster's own launcher starts a fresh interpreter a run, two seconds of work before the first step. Here a fork server
imports everything once and each run is a fork of it. A worker does not depend on the daemon that asked for it: it
goes on when the daemon stops or is killed, and the next daemon finds it by the lock it holds on its record.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun, Field
from dagster._cli.api import _execute_run_command_body
from dagster._config.config_schema import UserConfigSchema
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts

from autorepost_pipelines.workers import held_record, living_worker

DEFINITIONS_MODULE = "autorepost_pipelines.definitions"
READY_WITHIN_SECONDS = 60.0

# What Dagster imports only when a run needs it: a second of work that each fork would repeat.
_USED_BY_EVERY_RUN = (
    "autorepost_pipelines.storage",
    "autorepost_pipelines.warm",
    "psycopg2.extras",
    "dagster._core.definitions.external_asset",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.workspace.autodiscovery",
    "dagster._daemon.monitoring",
    "upath.implementations.local",
)

_forking = threading.Lock()


class WarmForkLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Forks each run from a process that has imported Dagster and our definitions, and nothing else."""

    def __init__(self, preload: Sequence[str], inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._inst_data = inst_data
        self._preload = list(preload)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"preload": Field([str], is_required=False, default_value=[DEFINITIONS_MODULE])}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WarmForkLauncher":
        return cls(config_value["preload"], inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Return when the worker has said that it is at work.

        It cannot be resumed after a crash: the in-process executor would start over from the first step. The retry
        of the run that dagster.yaml asks for goes on after the last finished step.
        """
        ready, ready_end_of_worker = multiprocessing.Pipe(duplex=False)
        reference = serialize_value(self._instance.get_ref())
        worker = _Worker(target=_execute, args=(reference, context.dagster_run.run_id, ready_end_of_worker))
        with ready:
            with ready_end_of_worker, _forking:
                start_fork_server(self._preload)
                _fork(worker)
            _wait_until_ready(ready, worker)

    def terminate(self, run_id: str) -> bool:
        """Ask the worker to stop; it reports the run as canceled itself. May be called from any process here."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        pid = living_worker(self._home, run_id)
        if pid is None:
            # Nothing is left to stop, and a worker about to start reads this first.
            self._instance.report_run_canceled(run)
        else:
            os.kill(pid, signal.SIGTERM)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        pid = living_worker(self._home, run.run_id)
        if pid is None:
            return CheckRunHealthResult(WorkerStatus.FAILED, "The process of this run is gone.")
        return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(pid))

    @property
    def _home(self) -> Path:
        return Path(self._instance.root_directory)


def start_fork_server(preload: Sequence[str] = (DEFINITIONS_MODULE,)) -> None:
    """Begin its imports now, and return at once. Does nothing where it runs already."""
    if sys.platform == "darwin":
        # Apple's frameworks abort a forked child that uses them, although nothing of them ran before the fork.
        os.environ.setdefault("OBJC_DISABLE_INITIALIZE_FORK_SAFETY", "YES")
    forkserver.set_forkserver_preload([__name__, *_USED_BY_EVERY_RUN, *preload])
    forkserver.ensure_running()


class _Worker(ForkServerProcess):
    """A run outlives its daemon, so an interpreter that ends must not wait for it, as it does for its children."""

    def join(self, timeout: float | None = None) -> None:
        return


def _fork(worker: ForkServerProcess) -> None:
    try:
        worker.start()
    except (EOFError, ConnectionError) as ending:
        raise DagsterLaunchFailedError(
            "The fork server ended before it could fork, most likely because a module it preloads cannot be imported;"
            " see the daemon's log. The next launch starts another."
        ) from ending


def _wait_until_ready(ready: Connection, worker: ForkServerProcess) -> None:
    """Without this a worker that dies at birth would be missed until the start timeout of run monitoring."""
    try:
        if ready.poll(READY_WITHIN_SECONDS):
            ready.recv()
            return
        worker.kill()
        raise DagsterLaunchFailedError(f"The run's process was not ready within {READY_WITHIN_SECONDS:.0f} s.")
    except EOFError:
        raise DagsterLaunchFailedError("The run's process ended before it began; see the daemon's log.") from None


def wait_seconds(context: InstanceConcurrencyContext) -> float:
    """Until a step that waits for a slot of its pool is to ask for it again."""
    return max(0.0, min(context._pending_timeouts.values(), default=0.0) - time.time())


# The original takes the smaller of nought and the wait, so a run that waits for a slot keeps a whole core from those
# that have one.
InstanceConcurrencyContext.interval_to_next_pending_claim_check = wait_seconds  # type: ignore[method-assign]


def _execute(reference: str, run_id: str, ready: Connection) -> None:
    """All of a worker's life. Of its parents it has the standard streams and nothing else."""
    os.setpgid(0, 0)  # Ctrl-C is for the daemon; what the steps start can be stopped with the worker
    # What was imported before the fork is never garbage; to look through it again and again costs a quarter of a run,
    # and each look copies the pages that all workers share.
    gc.freeze()
    with (
        capture_interrupts(),
        DagsterInstance.from_ref(deserialize_value(reference, InstanceRef)) as instance,
        held_record(Path(instance.root_directory), run_id),
    ):
        ready.send(None)
        ready.close()
        _execute_run_command_body(run_id, instance, lambda event: None, set_exit_code_on_failure=False)
