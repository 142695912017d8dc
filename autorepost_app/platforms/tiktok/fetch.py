"""How is yt-dlp kept at arm's length?

In a child process with a deadline. Measured with yt-dlp 2026.10.26: inside the run worker it would add 19 MB to 124-162
MB and 0.4 s, which alone is affordable. What is not: yt-dlp parses a page that changes monthly with regular expressions
and limits only the silence between two packets, so one bad answer could hold a run for ever, and only a process can be
ended from outside. The child takes 53 MB and 0.25 s beside the transfer, however large the file; the worker grows by
nothing; and a `pip install -U yt-dlp` counts from the next fetch on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from autorepost_app.domain.errors import PlatformFault
from autorepost_app.platforms.tiktok import errors, limits

Progress = Callable[[int, int | None], None]

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_HANDED_ON: Final = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"})
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class FetchJob:
    """One post's file: where its page is, where the file goes, and how much of both we put up with.

    `only_start` is for a look whether files come at all: the first few kilobytes are fetched.
    """

    www_url: str
    handle: str
    video_id: str
    target: str
    file_bytes: int = limits.FILE_BYTES
    timeout_seconds: float = 30.0
    memory_bytes: int = limits.FETCH_MEMORY_BYTES
    see_seconds: float = limits.SEE_SECONDS
    only_start: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    full_caption: str | None
    format_id: str


def fetch(job: FetchJob, progress: Progress, *, within_seconds: float = limits.FETCH_SECONDS) -> Fetched:
    """Puts the file at `job.target`, or leaves nothing there. First by reading the page; where the page cannot be
    read, by a browser that plays it. Raises PlatformFault, or UnreadAnswer for a bug."""
    try:
        return _by_reading(job, progress, within_seconds)
    except PlatformFault as fault:
        if fault.verdict.code not in errors.BROWSER_MAY_HELP:
            raise
        unread = fault
    browser = find_browser()
    if browser is None:
        raise errors.no_browser(unread)
    try:
        return _by_playing(job, browser, progress, within_seconds)
    except PlatformFault as fault:
        raise errors.both_ways(unread, fault) from fault


def find_browser() -> str | None:
    """A Chromium on the search path. Nothing of Python's is needed for it, so there is nothing else to install."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def _by_reading(job: FetchJob, progress: Progress, within_seconds: float) -> Fetched:
    return _outcome(_run("ytdlp_child.py", asdict(job), job.target, progress, within_seconds))


def _by_playing(job: FetchJob, browser: str, progress: Progress, within_seconds: float) -> Fetched:
    profile = f"{job.target}.browser"
    wanted = {
        "page_url": f"{job.www_url}/@{job.handle}/video/{job.video_id}",
        "target": job.target,
        "file_bytes": job.file_bytes,
        "see_seconds": job.see_seconds,
        "only_start": job.only_start,
        "browser": browser,
        "profile": profile,
    }
    try:
        return _outcome(_run("browser_child.py", wanted, job.target, progress, within_seconds))
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def _outcome(last: Mapping[str, Any]) -> Fetched:
    if "failed" in last:
        raise errors.fetch_refused(errors.FetchFailure(**last["failed"]))
    return Fetched(**last["fetched"])


def _run(
    script: str, wanted: Mapping[str, Any], target: str, progress: Progress, within_seconds: float
) -> Mapping[str, Any]:
    deadline_at = time.monotonic() + within_seconds
    with subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name(script)), json.dumps(wanted)],
        stdin=subprocess.PIPE,  # never written to: the child ends when it closes, so it cannot outlive us
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(os.environ),
        start_new_session=True,
    ) as child:
        alarm = threading.Timer(within_seconds, _end, [child])
        alarm.start()
        try:
            last = _last_word(child.stdout, progress)
        finally:
            alarm.cancel()
            alarm.join()
            _end(child)
            Path(f"{target}.part").unlink(missing_ok=True)
    if last is None:
        raise errors.fetch_ended(child.returncode, out_of_time=time.monotonic() >= deadline_at)
    return last


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it started: a browser is many processes, all of the child's own group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _last_word(lines: IO[bytes] | None, progress: Progress) -> Mapping[str, Any] | None:
    for line in lines or ():
        if not line.endswith(b"\n"):  # cut off by a kill
            break
        news: dict[str, Any] = json.loads(line)
        if "progress" not in news:
            return news
        done, total = news["progress"]
        progress(done, total)
    return None


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the child needs to reach the network, and none of our settings, which hold secrets."""
    handed_on = {name: value for name, value in ours.items() if name in _HANDED_ON or name.lower() in _PROXIES}
    return {**handed_on, "YTDLP_NO_PLUGINS": "1"}
