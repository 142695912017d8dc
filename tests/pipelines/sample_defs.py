"""Small jobs for the launcher's tests; a code location of its own, because the real one is tested elsewhere."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
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


def open_sockets() -> set[int]:
    """Inodes of this process's sockets; the standard streams are inherited on purpose."""
    inodes = set()
    for descriptor in range(3, 1024):
        with suppress(OSError):
            state = os.fstat(descriptor)
            if stat.S_ISSOCK(state.st_mode):
                inodes.add(state.st_ino)
    return inodes


@op(config_schema={"folder": str})
def describe_process(context: OpExecutionContext) -> None:
    """Writes down what a worker has of its parents."""
    me = psutil.Process()
    facts = {
        "pid": me.pid,
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "sockets": sorted(open_sockets()),
        "threads_of_the_fork_server": me.parent().num_threads(),
        "resident_mb": me.memory_info().rss / 1e6,
    }
    sys.stdout.write("written by the step\n")
    Path(context.op_config["folder"], "facts").write_text(json.dumps(facts))


@job(executor_def=in_process_executor)
def introspective() -> None:
    describe_process()


@op(config_schema={"folder": str})
def ignore_the_request_to_stop(context: OpExecutionContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", str(PATIENCE_SECONDS)])
    draft = Path(context.op_config["folder"], "draft")
    draft.write_text(str(child.pid))
    draft.replace(draft.with_name("running"))
    child.wait()


@job(executor_def=in_process_executor)
def stubborn() -> None:
    ignore_the_request_to_stop()


defs = Definitions(jobs=[six_steps, patient, introspective, stubborn])
