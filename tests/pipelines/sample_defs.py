"""Small jobs for the launcher's tests; a code location of its own, because the real one is tested elsewhere."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil
from dagster import Definitions, OpExecutionContext, in_process_executor, job, op

PATIENCE_SECONDS = 60.0


@op
def detect() -> int:
    return 1


@op
def fetch(number: int) -> int:
    return number + 1


@op
def prepare(number: int) -> int:
    return number + 1


@op
def publish_here(number: int) -> int:
    return number + 1


@op
def publish_there(number: int) -> int:
    return number + 1


@op
def publish_elsewhere(number: int) -> int:
    return number + 1


@job(executor_def=in_process_executor)
def six_steps() -> None:
    rendition = prepare(fetch(detect()))
    publish_here(rendition)
    publish_there(rendition)
    publish_elsewhere(rendition)


@op(config_schema={"folder": str})
def wait_for_permission(context: OpExecutionContext) -> None:
    """Says where it runs, then waits until the test writes the file `go`."""
    folder = Path(context.op_config["folder"])
    draft = folder / "draft"
    draft.write_text(str(os.getpid()))
    draft.replace(folder / "running")
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (folder / "go").exists() and time.monotonic() < give_up_at:
        time.sleep(0.02)


@job(executor_def=in_process_executor)
def patient() -> None:
    wait_for_permission()


@op
def describe_process(context: OpExecutionContext) -> None:
    """What a worker has of its parents, as an event the test reads."""
    me = psutil.Process()
    connections = me.net_connections(kind="all")
    context.log.info(
        json.dumps(
            {
                "sockets": len(connections),
                "threads": threading.active_count(),
                "group": os.getpgid(0),
                "session": os.getsid(0),
                "rss_mb": me.memory_info().rss / 1e6,
                "pid": os.getpid(),
            }
        )
    )
    print("written by the step")


@job(executor_def=in_process_executor)
def introspective() -> None:
    describe_process()


@op
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(executor_def=in_process_executor)
def crashing() -> None:
    crash()


defs = Definitions(jobs=[six_steps, patient, introspective, crashing])
