"""Is this machine able: Python, disk, folders, ffmpeg, port, time zones?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx

from autorepost_app.bootstrap import open_store
from autorepost_app.cli.checks import Finding, ok, problem, warning
from autorepost_app.config import PREFIX, Settings
from autorepost_app.domain.errors import UserError
from autorepost_app.media.binaries import decoders, resolve_binaries
from autorepost_app.media.errors import MediaFault
from autorepost_app.media.keys import temporary_key
from autorepost_app.processes import PortInUseError, ProcessError, require_port

OLDEST_PYTHON: Final = (3, 11)
FIRST_UNTRIED_PYTHON: Final = (3, 14)
LEAST_FREE_BYTES: Final = 1_000_000_000
_ZONES: Final = ("America/Los_Angeles", "Europe/Berlin")
_TRIAL: Final = b"autorepost doctor"
_ANSWER_SECONDS: Final = 3.0


def python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    found = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return problem("Python", f"{found} is too old", "Use Python 3.11, 3.12 or 3.13.")
    if version >= FIRST_UNTRIED_PYTHON:
        return warning("Python", f"{found} has not been tried", "Use Python 3.11, 3.12 or 3.13.")
    return ok("Python", found)


def time_zones(zones: tuple[str, ...] = _ZONES) -> Finding:
    try:
        for zone in zones:
            ZoneInfo(zone)
    except ZoneInfoNotFoundError as error:
        remedy = "Install the locked requirements again (package tzdata), or the system's tzdata."
        return problem("time zones", f"no data for {error.args[0]}", remedy)
    return ok("time zones", "known")


def home(settings: Settings) -> Finding:
    """Only looks: the folder is made at the first start."""
    folder = settings.home
    remedy = f"Choose a folder that this user may write to with {PREFIX}HOME."
    there = nearest_folder(folder)
    if folder.exists() and not folder.is_dir():
        return problem("home", f"{folder} is not a folder", remedy)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return problem("home", f"{there} cannot be written to", remedy)
    if there != folder:
        return ok("home", f"{folder} will be made at the first start")
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        return warning("home", f"{folder} is open to others (mode {mode:o})", f"Run: chmod 700 {folder}")
    return ok("home", str(folder))


def disk(settings: Settings, least_bytes: int = LEAST_FREE_BYTES) -> Iterator[Finding]:
    """The disk of the home, and that of the store where it is another one."""
    folders = {nearest_folder(settings.home)}
    if settings.store.startswith("file://"):
        folders.add(nearest_folder(Path(settings.store.removeprefix("file://"))))
    for _device, folder in sorted({folder.stat().st_dev: folder for folder in folders}.items()):
        free = shutil.disk_usage(folder).free
        found = f"{free / 1e9:.1f} GB free at {folder}"
        if free < least_bytes:
            yield problem("disk", found, f"Free some space: a post needs up to {least_bytes / 1e9:.0f} GB on its way.")
        else:
            yield ok("disk", found)


def ffmpeg(settings: Settings) -> Iterator[Finding]:
    try:
        tools = resolve_binaries(settings.ffmpeg_bin, settings.ffprobe_bin)
    except MediaFault as fault:
        yield problem("ffmpeg", fault.text, fault.remedy)
        return
    yield ok("ffmpeg", f"{tools.ffmpeg.version} with libx264, {tools.ffmpeg.path}")
    yield ok("ffprobe", f"{tools.ffprobe.version}, {tools.ffprobe.path}")
    if not tools.maps_hdr:
        yield warning("HDR videos", "this ffmpeg cannot turn them into SDR", "Install FFmpeg 8 or newer.")
    # FFmpeg's own "av1" only drives graphics cards
    if not decoders(tools) & {"libdav1d", "libaom-av1"}:
        remedy = f"Set {PREFIX}FFMPEG_BIN to a build with libdav1d, as Debian's is, if your sources use AV1."
        yield warning("AV1 videos", "this ffmpeg cannot read them", remedy)


def store(settings: Settings) -> Finding:
    """Puts, reads and deletes a small object. A folder that is not there yet is left to the first start."""
    if settings.store.startswith("file://"):
        folder = Path(settings.store.removeprefix("file://"))
        there = nearest_folder(folder)
        if there != folder and there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return ok("store", f"{folder} will be made at the first start")
    try:
        return _try_store(settings)
    except UserError as error:
        return problem("store", error.text, error.remedy)
    except MediaFault as fault:
        return problem("store", fault.text, fault.remedy)
    except OSError as error:
        remedy = f"Give {PREFIX}STORE_URL a folder that this user may write to."
        return problem("store", f"{settings.store}: {error.strerror or error}", remedy)


def _try_store(settings: Settings) -> Finding:
    opened = open_store(settings)
    key = temporary_key("doctor")
    opened.put_stream([_TRIAL], key)
    try:
        read = b"".join(opened.stream(key))
    finally:
        opened.delete(key)
    if read != _TRIAL:
        return problem("store", f"{settings.store} gives back other bytes than it got", "Check its disk or its proxy.")
    return ok("store", settings.store)


def port(settings: Settings) -> Finding:
    """Free, or taken by this product itself."""
    try:
        require_port(settings.host, settings.port)
    except PortInUseError as error:
        if is_running(settings):
            return ok("port", f"{settings.port} is in use by this product, which is running")
        return problem("port", str(error), "")
    except ProcessError as error:
        return problem("port", str(error), "")
    return ok("port", f"{settings.port} is free")


def is_running(settings: Settings) -> bool:
    """Whether what answers on our port answers as this product does."""
    url = f"http://{settings.host}:{settings.port}/healthz"
    try:
        return httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False).text == "alive\n"
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def nearest_folder(path: Path) -> Path:
    """The path itself, or what of it is there."""
    return next(each for each in (path, *path.parents) if each.exists())
