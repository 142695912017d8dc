#!/usr/bin/env python3
"""From a bare clone to a running product: `python3 dev.py demo`.

Needs Python 3.11 to 3.13 with pip, on Linux or macOS, as root or not. Everything lands inside this folder: the
installer in .tools, the locked packages in .venv; uv and pip keep their usual caches. The second start only compares
a checksum.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
TOOLS_LOCK = ROOT / "requirements-tools.lock"  # the installer itself, with hashes as well
PYTHON = VENV / "bin" / "python"
CHAOS = ROOT / "tests" / "faults" / "chaos"
STAMP = VENV / "installed-from"
OLDEST, NEWEST = (3, 11), (3, 13)
QUIET_SECONDS = 1.0
PRODUCT_COMMANDS = ("demo", "up", "doctor", "sandbox", "migrate", "restored", "scaffold")
USAGE = f"""usage: python3 dev.py COMMAND [arguments]

  demo [--once]   everything on this machine with pretend platforms; Ctrl-C ends it
  up              the same product with your settings and the real platforms
  doctor          what would stop a post, and what helps
  test [...]      the tests; arguments go to pytest
  chaos [...]     everything is destroyed for a while, and then counted; --minutes N --seed S --publications N
  lint            style, types and import rules
  lock [...]      choose versions again; --upgrade for newer ones

Also: {", ".join(PRODUCT_COMMANDS[3:])} (`python3 dev.py COMMAND --help`)."""

REMEDIES = (
    (
        r"No space left on device|Disk quota exceeded",
        "The disk is full: about 1.5 GB are needed here and in the cache.",
    ),
    (r"Read-only file system|Permission denied", f"Something is not writable: check who owns {ROOT} and your cache."),
    (
        r"No matching distribution|NewConnection|name resolution|dns error|error sending request|[Cc]onnection refused"
        r"|[Cc]ould not connect|timed? ?out|unreachable|ProxyError",
        "The package index cannot be reached: check the network. Behind a proxy set HTTPS_PROXY; for an index of your "
        "own set PIP_INDEX_URL and UV_DEFAULT_INDEX.",
    ),
    (
        r"No module named pip",
        "pip is missing: `apt-get install python3-pip` (Debian, Ubuntu) or `python3 -m ensurepip`.",
    ),
    (r"[Hh]ash mismatch|DO NOT MATCH THE HASHES", "A package differs from the locked one: do not use that index."),
)


class DevError(Exception):
    """Ends the script with these words."""


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help") or (command in ("lint", "lock") and {"-h", "--help"} & set(rest)):
        print(USAGE)
        return 0
    if command not in (*PRODUCT_COMMANDS, "test", "chaos", "lint", "lock"):
        raise DevError(f"There is no command {command!r}.\n\n{USAGE}")
    use_fitting_python(sys.version_info[:2], arguments)
    os.chdir(ROOT)
    if command == "lock":
        return lock(rest)
    install()
    if command == "lint":
        return lint()
    become({"test": ["-m", "pytest"], "chaos": [str(CHAOS)]}.get(command, ["-m", "autorepost_app.cli", command]) + rest)
    return 0


def use_fitting_python(version: tuple[int, ...], arguments: list[str]) -> None:
    """Go on under another Python of this machine if this one is too old or too new."""
    if OLDEST <= version <= NEWEST or is_installed():
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        if other := shutil.which(f"python3.{minor}"):
            os.execv(other, [other, str(ROOT / "dev.py"), *arguments])
    raise DevError(
        f"This is Python {version[0]}.{version[1]}, but 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed, and no other is "
        "installed. Try `apt-get install python3` (Debian 12, Ubuntu 24.04) or `brew install python@3.13`."
    )


def install() -> None:
    """Make .venv hold exactly the locked packages."""
    if is_installed():
        return
    with alone():
        if not is_installed():
            fill_venv(get_uv())


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two of us at once wait for each other; what a killed one left unfinished is removed."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        for left in TOOLS.glob("unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def is_installed() -> bool:
    try:
        return STAMP.read_text() == f"{checksum()} {count_installed()}" and os.access(PYTHON, os.X_OK)
    except OSError:
        return False


def checksum() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def count_installed() -> int:
    """Tells a .venv of which somebody removed a part; a look at every file would cost each start half a second."""
    return sum(1 for _ in VENV.glob("lib/python3*/site-packages/*.dist-info"))


def count_packages() -> int:
    return len(re.findall(r"^\S+==", LOCK.read_text(), re.MULTILINE))


def fill_venv(uv: str) -> None:
    # No stamp means never finished, or killed in the middle: then nothing in it is trusted. With the stamp of
    # another lock it is sound, and only the difference is installed.
    sound = STAMP.exists() and STAMP.read_text().endswith(f" {count_installed()}") and os.access(PYTHON, os.X_OK)
    STAMP.unlink(missing_ok=True)
    if not sound:
        step("making .venv", [uv, "venv", "--quiet", "--clear", "--python", base_python(), str(VENV)])
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(LOCK)]
    step(f"installing {count_packages()} packages", sync)
    make_importable()
    STAMP.write_text(f"{checksum()} {count_installed()}")


def make_importable() -> None:
    """The project itself, from any folder. The path is relative, so the clone may be moved."""
    for packages in VENV.glob("lib/python3*/site-packages"):
        (packages / "autorepost.pth").write_text(os.path.relpath(ROOT, packages) + "\n")


def get_uv() -> str:
    """The pinned installer, in a folder of its own that appears complete or not at all.

    `pip install --target` is the one way that works with every pip: a distribution's Python refuses plain and user
    installs (PEP 668), and many have neither venv nor ensurepip.
    """
    uv = TOOLS / f"uv-{hashlib.sha256(TOOLS_LOCK.read_bytes()).hexdigest()[:12]}" / "bin" / "uv"
    if uv.exists():
        return str(uv)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=TOOLS))
    pip = [base_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    try:
        locked = ["--no-deps", "--require-hashes", "--requirement", str(TOOLS_LOCK)]
        step("getting the installer", [*pip, f"--target={unfinished}", *locked])
        unfinished.chmod(0o755)
        shutil.rmtree(uv.parents[1], ignore_errors=True)
        unfinished.rename(uv.parents[1])
    except DevError:
        if not (other := shutil.which("uv")):
            raise
        return other
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return str(uv)


def base_python() -> str:
    """The Python below any virtual environment we were started from, which may be the very one to be rebuilt."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def lock(arguments: list[str]) -> int:
    """Resolve anew, for all platforms. No index's address may get into the file: it is nobody's business."""
    with alone(), tempfile.TemporaryDirectory(prefix="unfinished-", dir=TOOLS) as folder:
        result = Path(folder) / LOCK.name
        if LOCK.exists():
            shutil.copy(LOCK, result)  # what it holds is kept where it still fits
        options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11"]
        what = ["--group", "pyproject.toml:dev", "pyproject.toml", "--output-file", str(result)]
        step("choosing versions", [get_uv(), "pip", "compile", "--quiet", *options, *what, *arguments])
        if address := re.search(r"\S*://\S*", result.read_text()):
            raise DevError(f"The new lock holds an address ({address[0]}); {LOCK.name} stays as it was.")
        result.replace(LOCK)
    print(f"{LOCK.name}: {count_packages()} packages")
    return 0


def lint() -> int:
    """All checks, even after one has failed."""
    rules = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    checks = (["-m", "ruff", "check"], ["-m", "ruff", "format", "--check"], ["-m", "mypy"], ["-c", rules])
    codes = [subprocess.run([PYTHON, *check], check=False, env=clean_environment()).returncode for check in checks]
    return max(codes)


def become(arguments: list[str]) -> None:
    sys.stdout.flush()
    os.execve(PYTHON, [str(PYTHON), *arguments], clean_environment())


def clean_environment() -> dict[str, str]:
    """Ours, without what would let another Python's packages or settings in."""
    strangers = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "CONDA_PREFIX")
    kept = {name: value for name, value in os.environ.items() if name not in strangers}
    return {
        **kept,
        "VIRTUAL_ENV": str(VENV),
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def installer_environment() -> dict[str, str]:
    environment = {
        **clean_environment(),
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_USER": "0",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    environment.pop("VIRTUAL_ENV")
    for variable, value in pips_choices().items():
        environment.setdefault(variable, value)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/nonexistent") / ".cache")
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        environment.update(UV_CACHE_DIR=str(TOOLS / "cache"), PIP_NO_CACHE_DIR="1")
    return environment


@functools.cache
def pips_choices() -> dict[str, str]:
    """What this machine's pip was told of indexes and certificates, in uv's words, since uv does not read it."""
    asked = subprocess.run([base_python(), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings = re.findall(r"^(?:\S+\.)?(index-url|cert)='(.+)'$", asked.stdout, re.MULTILINE)
    told = dict(reversed(settings))  # the environment is listed first and wins
    choices = {"UV_DEFAULT_INDEX": told.get("index-url"), "SSL_CERT_FILE": told.get("cert")}
    # Companies put their own authority among the system's; a slim container has no system certificates at all.
    system = ssl.get_default_verify_paths()
    if sys.platform == "darwin" or system.cafile or any(Path(system.capath or "/nonexistent").glob("*.0")):
        choices["UV_SYSTEM_CERTS"] = "true"
    return {variable: value for variable, value in choices.items() if value}


def step(what: str, command: list[str]) -> None:
    """Run silently; after a second say what is going on, and how long it has been."""
    started_at, said = time.monotonic(), False
    with tempfile.TemporaryFile("w+", dir=TOOLS) as output:
        with subprocess.Popen(command, stdout=output, stderr=output, env=installer_environment()) as process:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2 if said else QUIET_SECONDS)
                    break
                said = say(what, time.monotonic() - started_at, first=not said)
        if said:
            print(f"{line_start()}{what}: {time.monotonic() - started_at:.0f} s", flush=True)
        if process.returncode:
            output.seek(0)
            raise DevError(in_words(what, output.read()))


def say(what: str, seconds: float, *, first: bool) -> bool:
    """On a terminal one line that counts; elsewhere one line at the start."""
    if sys.stdout.isatty():
        print(f"{line_start()}{what} … {seconds:.0f} s", end="", flush=True)
    elif first:
        print(f"{what} …", flush=True)
    return True


def line_start() -> str:
    return "\r\x1b[K" if sys.stdout.isatty() else ""


def in_words(what: str, output: str) -> str:
    remedy = next((remedy for pattern, remedy in REMEDIES if re.search(pattern, output)), "")
    last_lines = "\n".join(output.strip().splitlines()[-8:])
    return f"{what[0].upper()}{what[1:]} failed.\n{last_lines}\n\n{remedy}".rstrip()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DevError as error:
        sys.exit(f"{line_start()}{error}")
    except OSError as error:
        sys.exit(f"{line_start()}{in_words('preparing', str(error))}")
    except KeyboardInterrupt:
        print(f"{line_start()}Interrupted. The next start goes on from a clean state.", file=sys.stderr)
        sys.exit(130)
