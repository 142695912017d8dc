"""How is ffmpeg or ffprobe run on a file nobody vouches for?

In its own empty folder, without our environment, with ceilings on memory, file size and time, in a process group
that is gone when the call is over, however the call ends: by an answer, a time-out, an exception in the progress
callback, or the death of this very process.
"""

import contextlib
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from autorepost_app.media.errors import NoSpaceLeft, ToolFailed, ToolsMissing, ToolTimedOut

FORMATS = "mov,matroska,webm,mpegts,avi"
MAX_PIXELS = 40_000_000
# A text file that names other files is a "video" to ffmpeg; only the list of formats keeps such files out, the
# list of protocols does not.
GUARDS = {
    "protocol_whitelist": "file",
    "format_whitelist": FORMATS,
    "max_pixels": str(MAX_PIXELS),
    "max_streams": "16",
}
# Some builds know a codec by name only; then nothing is wrong with the file.
NO_DECODER = ("Function not implemented", "Decoder not found", "no decoder found")
STDERR_KEPT = 8_192
STDOUT_MOST = 64 * 2**20

OnProgress = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` is None as long as nobody knows how long the outcome will be."""

    seconds: float
    fraction: float | None


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may take of this machine."""

    timeout_seconds: float = 1_800.0
    memory_bytes: int = 3 * 2**30
    file_bytes: int = 4 * 2**30
    cpu_seconds: int = 7_200
    nice: int = 5


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended. `progress` is the last report; `stderr` only the end of what was written."""

    returncode: int
    stdout: bytes
    stderr: str
    progress: Progress | None


@dataclass(slots=True)
class _Streams:
    """What has come out of the tool so far."""

    reports: bool
    on_progress: OnProgress | None
    expected_seconds: float | None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    progress: Progress | None = None

    def take_error(self, chunk: bytes) -> None:
        self.stderr += chunk
        del self.stderr[:-STDERR_KEPT]

    def take_output(self, chunk: bytes) -> None:
        self.stdout += chunk
        if len(self.stdout) > STDOUT_MOST:
            raise ToolFailed("The tool wrote far more than it should have.")
        if self.reports:
            self._take_reports()

    def _take_reports(self) -> None:
        *lines, rest = self.stdout.split(b"\n")
        self.stdout = bytearray(rest)
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"out_time_us" and value.strip().lstrip(b"-").isdigit():
                self._report(max(0, int(value)) / 1e6)

    def _report(self, seconds: float) -> None:
        expected = self.expected_seconds
        self.progress = Progress(seconds, min(1.0, seconds / expected) if expected else None)
        if self.on_progress is not None:
            self.on_progress(self.progress)


def file_url(path: Path) -> str:
    """With `file:` a name that starts with a dash or looks like an address stays a name."""
    return f"file:{path.absolute()}"


def guard_options() -> list[str]:
    """What stands in front of every input that came from outside."""
    return [word for name, value in GUARDS.items() for word in (f"-{name}", value)]


def raise_if_undecodable(vcodec: str, stderr: str) -> None:
    if any(sign in stderr for sign in NO_DECODER):
        remedy = f"Install an FFmpeg that decodes {vcodec} and set AUTOREPOST_FFMPEG_BIN to it."
        raise ToolsMissing(f"This build of ffmpeg cannot decode {vcodec} video.", remedy=remedy)


def run_tool(
    argv: Sequence[str],
    *,
    limits: RunLimits | None = None,
    reports: bool = False,
    expected_seconds: float | None = None,
    on_progress: OnProgress | None = None,
) -> Finished:
    """Runs to the end and returns it, good or bad; raises only for time, space and silence we imposed.

    With `reports`, standard output is read as `-progress pipe:1` writes it.
    """
    limits = limits or RunLimits()
    streams = _Streams(reports, on_progress, expected_seconds)
    with (
        tempfile.TemporaryDirectory(prefix="media-") as folder,
        _started(argv, Path(folder), limits) as process,
    ):
        returncode = _drain(process, streams, time.monotonic() + limits.timeout_seconds)
    stderr = streams.stderr.decode(errors="replace").strip()
    _raise_if_full(returncode, stderr)
    return Finished(returncode, bytes(streams.stdout), stderr, streams.progress)


@contextlib.contextmanager
def _started(argv: Sequence[str], folder: Path, limits: RunLimits) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*_dies_with_us(), *argv],
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own, yet in our session: whoever ends the session ends the tool as well.
        process_group=0,
    )
    with process:
        try:
            _limit(process.pid, limits)
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _dies_with_us() -> list[str]:
    """Words to put in front so that the tool is killed when the thread that started it is gone (Linux only)."""
    if sys.platform != "linux":
        return []
    if _setpriv():
        return [*_setpriv()]
    code = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
        "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(os.getpid())]


@cache
def _setpriv() -> tuple[str, ...]:
    """Ten times cheaper than starting Python in between; BusyBox has one too, which lacks the option."""
    found = shutil.which("setpriv")
    words = (found, "--pdeathsig", "KILL", "--") if found else ()
    works = words and subprocess.run([*words, sys.executable, "-V"], capture_output=True, check=False)
    return words if works and works.returncode == 0 else ()


def _limit(pid: int, limits: RunLimits) -> None:
    """After the start rather than before the exec: code between fork and exec is unsafe next to threads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PGRP, pid, limits.nice)
        if sys.platform == "linux":
            # Past the soft limit of time comes a signal that names it, past the hard one only a kill.
            for what, soft, hard in (
                (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
                (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
                (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 10),
                (resource.RLIMIT_CORE, 0, 0),
            ):
                resource.prlimit(pid, what, (soft, hard))


def _drain(process: subprocess.Popen[bytes], streams: _Streams, deadline: float) -> int:
    """Reads both pipes until they close; a tool that says nothing and never ends is caught by the deadline."""
    with selectors.DefaultSelector() as selector:
        for pipe, take in ((process.stdout, streams.take_output), (process.stderr, streams.take_error)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, take)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                _pass_on(selector, key)
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        text, remedy = "The tool took longer than it may.", "Give it more time, or this machine less to do."
        raise ToolTimedOut(text, remedy=remedy, stderr=streams.stderr.decode(errors="replace")) from None


def _pass_on(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    chunk = os.read(key.fd, 65_536)
    if chunk:
        key.data(chunk)
    else:
        selector.unregister(key.fileobj)


def _raise_if_full(returncode: int, stderr: str) -> None:
    if returncode == -signal.SIGXFSZ or "File too large" in stderr:
        text, remedy = "The outcome is larger than a file may become.", "Raise the file size limit."
    elif "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        text, remedy = "The disk is full.", "Free some space; the work is taken up again by itself."
    elif returncode == -signal.SIGXCPU:
        raise ToolTimedOut("The tool used more processor time than it may.", returncode=returncode)
    else:
        return
    raise NoSpaceLeft(text, remedy=remedy)
