"""A tool ends when we say so, takes no more than it may, and never outlives us."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from autorepost_app.media import run
from autorepost_app.media.errors import NoSpaceLeft, ToolFailed, ToolTimedOut
from autorepost_app.media.run import RunLimits, run_tool

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits a running process and ties its life to its parent's"
)
ENDLESS = ["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=64x64", "-f", "null", "-"]


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_after_a_timeout_the_tool_and_its_children_are_gone(tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $$ $! > {pids}; wait"
    with pytest.raises(ToolTimedOut) as caught:
        run_tool(shell(script), limits=RunLimits(timeout_seconds=0.5))
    assert caught.value.remedy
    wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


def test_a_tool_that_closes_its_pipes_and_stays_is_stopped_too():
    with pytest.raises(ToolTimedOut):
        run_tool(shell("exec sleep 600 >&- 2>&-"), limits=RunLimits(timeout_seconds=0.3))


def test_an_exception_in_the_callback_stops_the_tool(tools):
    started = []

    def stop(progress):
        started.extend(child.pid for child in psutil.Process().children() if "ffmpeg" in child.name())
        raise KeyboardInterrupt

    argv = [str(tools.ffmpeg.path), "-progress", "pipe:1", "-stats_period", "0.05", *ENDLESS]
    with pytest.raises(KeyboardInterrupt):
        run_tool(argv, reports=True, on_progress=stop)
    assert started
    wait_until(lambda: all(gone(pid) for pid in started))


@only_linux
@pytest.mark.parametrize("wrapper", ["setpriv", "shim"])
def test_when_we_are_killed_the_tool_dies_with_us(tools, tmp_path, wrapper):
    program = f"""
        import shutil
        from autorepost_app.media.run import run_tool
        if {wrapper!r} == "shim":
            shutil.which = lambda name: "/bin/false"
        run_tool({[str(tools.ffmpeg.path), *ENDLESS]!r})
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    with parent:
        children = []

        def ffmpeg_runs():
            with contextlib.suppress(psutil.NoSuchProcess):
                children[:] = [child for child in psutil.Process(parent.pid).children() if "ffmpeg" in child.exe()]
            return children

        wait_until(ffmpeg_runs)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: gone(children[0].pid))


def test_a_tool_started_from_a_thread_lives_as_long_as_the_call(tools):
    ended = []
    argv = [str(tools.ffmpeg.path), "-v", "error", "-f", "lavfi", "-i", "color=duration=1", "-f", "null", "-"]
    thread = threading.Thread(target=lambda: ended.append(run_tool(argv)))
    thread.start()
    thread.join()
    assert ended[0].returncode == 0


def test_the_tool_sees_neither_our_environment_nor_our_folder(monkeypatch):
    monkeypatch.setenv("AUTOREPOST_YOUTUBE_CLIENT_SECRET", "secret")
    ended = run_tool(shell("/usr/bin/env; pwd; ls -A; /bin/cat"))
    lines = ended.stdout.decode().split()
    assert not any("AUTOREPOST" in line or line.startswith(("HOME=", "PATH=/")) for line in lines)
    assert str(Path.cwd()) not in lines
    assert not Path(lines[-1]).exists(), "the work folder is gone with the run"


def test_the_tool_stays_in_our_session_but_in_its_own_group():
    ended = run_tool([sys.executable, "-c", "import os; print(os.getsid(0), os.getpgid(0) == os.getpid())"])
    assert ended.stdout.decode().split() == [str(os.getsid(0)), "True"]


def once_limited(name: str, most: int, then: str) -> list[str]:
    """A program that goes on when the limit, which is set just after its start, has reached it."""
    code = f"import os, resource as r, time\nwhile r.getrlimit(r.{name})[0] != {most}: time.sleep(0.01)\n{then}"
    return [sys.executable, "-c", code]


@only_linux
def test_the_limits_reach_the_tool():
    told = f"print(r.getrlimit(r.RLIMIT_AS)[0], os.nice(0) - {os.nice(0)})"
    ended = run_tool(once_limited("RLIMIT_CPU", 77, told), limits=RunLimits(memory_bytes=2**30, cpu_seconds=77))
    assert ended.stdout.decode().split() == [str(2**30), "5"]


@only_linux
def test_a_file_grown_too_large_has_an_error_of_its_own(tmp_path):
    write = f"open({str(tmp_path / 'big')!r}, 'wb').write(bytes(2_000_000))"
    with pytest.raises(NoSpaceLeft):
        run_tool(once_limited("RLIMIT_FSIZE", 1_000_000, write), limits=RunLimits(file_bytes=1_000_000))


@only_linux
def test_too_much_processor_time_has_an_error_of_its_own():
    with pytest.raises(ToolTimedOut, match="processor"):
        run_tool(once_limited("RLIMIT_CPU", 1, "while 1: pass"), limits=RunLimits(cpu_seconds=1))


def test_only_the_end_of_a_long_complaint_is_kept():
    ended = run_tool(shell("i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3"))
    assert ended.returncode == 3
    assert ended.stderr.endswith("line 19999")
    assert len(ended.stderr) <= run.STDERR_KEPT


def test_a_tool_that_floods_its_output_is_stopped(monkeypatch):
    monkeypatch.setattr(run, "STDOUT_MOST", 100_000)
    with pytest.raises(ToolFailed, match="far more"):
        run_tool(shell("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"))
