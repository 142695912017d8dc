"""Does dev.py install once, repair what was killed, and say in words what went wrong?

The script runs for real in a small project of its own. Only the installer it would download is a stand-in, put
where the script keeps it: a shell script that makes a virtual environment without packages and takes notes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[2] / "dev.py"
UV_STAND_IN = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/../../calls"
[ -n "$UV_SAYS" ] && echo "$UV_SAYS" >&2 && exit 2
[ -n "$UV_HANGS" ] && [ "$1" = pip ] && exec sleep 600
for last; do :; done
case "$1 $2" in
  "venv "*) rm -rf "$last"; exec "{python}" -m venv --without-pip "$last" ;;
  "pip compile") while [ "$1" != --output-file ]; do shift; done; echo "$UV_RESOLVES" > "$2" ;;
esac
exit 0
"""
WEB = 'import os, sys\nprint("cli", sys.argv[1:], os.getcwd(), os.environ.get("PYTHONPATH"))\n'


class Clone:
    """A project with dev.py in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "autorepost_app").mkdir(parents=True)
        (root / "autorepost_app" / "cli.py").write_text(WEB)
        (root / "requirements.lock").write_text("one==1.0\n")
        shutil.copy(SCRIPT, root)
        tools_lock = shutil.copy(SCRIPT.with_name("requirements-tools.lock"), root)
        digest = hashlib.sha256(Path(tools_lock).read_bytes()).hexdigest()[:12]
        uv = root / ".tools" / f"uv-{digest}" / "bin" / "uv"
        uv.parent.mkdir(parents=True)
        uv.write_text(UV_STAND_IN.replace("{python}", sys.executable))
        uv.chmod(0o755)
        self.uv = uv

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        argv = [sys.executable, str(self.root / "dev.py"), *arguments]
        variables = {**_own_environment(), **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=variables, cwd="/")

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def calls(self) -> list[str]:
        """What the installer was asked since last time."""
        notes = self.root / ".tools" / "calls"
        found = [re.sub(r" --.*", "", line) for line in notes.read_text().splitlines()] if notes.exists() else []
        notes.unlink(missing_ok=True)
        return found


def _own_environment() -> dict[str, str]:
    """Ours, without what would let this very repository be imported instead of the clone."""
    strangers = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in strangers}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "my clone")


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_the_first_start_installs_and_later_ones_do_not(clone: Clone) -> None:
    code, output, errors = clone.run("demo", "--once", PYTHONPATH="/somewhere/else")
    assert (code, output, errors) == (0, f"cli ['demo', '--once'] {clone.root} None\n", "")
    assert clone.calls() == ["venv", "pip sync"]
    assert clone.run("up")[1] == f"cli ['up'] {clone.root} None\n"
    assert clone.calls() == []


def test_the_installer_takes_nothing_that_is_not_in_the_lock_with_its_hash(clone: Clone) -> None:
    clone.run("up")
    asked = (clone.root / ".tools" / "calls").read_text().splitlines()
    [sync] = [line for line in asked if line.startswith("pip sync ")]
    assert "--require-hashes" in sync.split()
    assert sync.endswith(f" {clone.root / 'requirements.lock'}")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-tools.lock"])
def test_every_package_of_a_lock_has_its_version_and_a_hash(name: str) -> None:
    text = SCRIPT.with_name(name).read_text().replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line.strip()]
    assert packages
    bare = [line for line in packages if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
    assert bare == []


def test_an_installer_that_differs_from_its_lock_is_not_taken(clone: Clone, tmp_path: Path) -> None:
    """pip gets a wheel of the right name and version, and other bytes than the lock says."""
    shutil.rmtree(clone.root / ".tools")
    [version] = re.findall(r"^uv==(\S+)", (clone.root / "requirements-tools.lock").read_text(), re.MULTILINE)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    about = f"uv-{version}.dist-info"
    with zipfile.ZipFile(shelf / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    only = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf), "PIP_CONFIG_FILE": os.devnull, "PATH": "/nonexistent"}

    code, _, errors = clone.run("up", **only)

    assert code == 1
    assert "A package differs from the locked one" in errors
    assert not clone.uv.exists()


def test_the_project_can_be_imported_from_anywhere_even_after_the_clone_has_moved(clone: Clone) -> None:
    clone.run("up")
    moved = clone.root.rename(clone.root.with_name("moved"))
    argv = [str(moved / ".venv/bin/python"), "-c", "import autorepost_app; print(list(autorepost_app.__path__))"]
    environment = _own_environment()
    found = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True, env=environment).stdout
    assert found == f"['{moved / 'autorepost_app'}']\n"


@pytest.mark.parametrize(
    ("stranger", "value"),
    [("PYTHONPATH", "/somewhere/else"), ("PYTHONHOME", sys.base_prefix), ("PYTHONSTARTUP", "/somewhere/else.py")],
)
def test_another_pythons_packages_do_not_get_in(clone: Clone, stranger: str, value: str) -> None:
    (clone.root / "autorepost_app" / "cli.py").write_text("import os\nprint('is there:', sorted(os.environ))\n")
    code, output, _ = clone.run("up", **{stranger: value})
    assert (code, output[:9]) == (0, "is there:")
    assert f"'{stranger}'" not in output


def test_a_changed_lock_installs_only_the_difference(clone: Clone) -> None:
    clone.run("up")
    clone.calls()
    (clone.root / "requirements.lock").write_text("one==2.0\n")
    assert clone.run("up")[0] == 0
    assert clone.calls() == ["pip sync"]


def test_an_installation_killed_in_the_middle_is_made_anew(clone: Clone) -> None:
    with clone.start("up", UV_HANGS="yes") as process:
        assert eventually((clone.root / ".venv" / "bin" / "python").exists)
        assert process.stdout is not None
        assert process.stdout.readline() == "installing 1 packages …\n"
        [installer] = psutil.Process(process.pid).children()
        process.kill()
        installer.kill()
    clone.calls()
    assert clone.run("up")[0] == 0
    assert clone.calls() == ["venv", "pip sync"]


def test_a_vanished_interpreter_makes_the_environment_anew(clone: Clone) -> None:
    clone.run("up")
    clone.calls()
    python = clone.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/longer/there/python3")
    assert clone.run("up")[0] == 0
    assert clone.calls() == ["venv", "pip sync"]


def test_two_starts_at_once_install_once(clone: Clone) -> None:
    with clone.start("up") as first, clone.start("up") as second:
        assert [process.communicate(timeout=60)[0][:3] for process in (first, second)] == ["cli", "cli"]
    assert clone.calls() == ["venv", "pip sync"]


@pytest.mark.parametrize(
    ("installer_says", "remedy"),
    [
        ("error: failed to write: No space left on device (os error 28)", "The disk is full"),
        ("error: Read-only file system (os error 30)", "Something is not writable"),
        ("error: dns error: failed to lookup address information", "The package index cannot be reached"),
        ("error: Hash mismatch for `one==1.0`", "A package differs from the locked one"),
        ("/usr/bin/python3: No module named pip", "apt-get install python3-pip"),
    ],
)
def test_a_failed_installation_names_the_reason_and_the_remedy(clone: Clone, installer_says: str, remedy: str) -> None:
    code, output, errors = clone.run("up", UV_SAYS=installer_says)
    assert (code, output) == (1, "")
    assert errors.startswith(f"Making .venv failed.\n{installer_says}\n\n")
    assert remedy in errors


def test_pip_that_cannot_reach_an_index_is_explained(clone: Clone) -> None:
    shutil.rmtree(clone.uv.parents[1])
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    without_others = {"PATH": "/nonexistent", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    code, _, errors = clone.run("up", **nowhere, **without_others)
    assert code == 1
    assert "The package index cannot be reached" in errors or "pip is missing" in errors
    assert not clone.uv.parents[1].exists()


def test_an_unknown_command_and_none_at_all_show_what_there_is(clone: Clone) -> None:
    code, _, errors = clone.run("dmeo")
    assert code == 1
    assert errors.startswith("There is no command 'dmeo'.\n\nusage: python3 dev.py COMMAND")
    assert clone.run()[1].startswith("usage: python3 dev.py COMMAND")
    assert clone.calls() == []


def test_a_lock_with_an_address_is_refused_and_the_old_one_kept(clone: Clone) -> None:
    code, _, errors = clone.run("lock", UV_RESOLVES="one @ https://mirror.example/one-1.0.whl")
    assert code == 1
    assert "holds an address (https://mirror.example/one-1.0.whl); requirements.lock stays as it was" in errors
    assert (clone.root / "requirements.lock").read_text() == "one==1.0\n"


def test_a_new_lock_replaces_the_old_one(clone: Clone) -> None:
    code, output, _ = clone.run("lock", "--upgrade", UV_RESOLVES="one==3.0")
    assert (code, output) == (0, "requirements.lock: 1 packages\n")
    assert (clone.root / "requirements.lock").read_text() == "one==3.0\n"
    assert clone.calls() == ["pip compile"]


def test_a_python_too_old_goes_on_under_another_or_says_what_to_install(clone: Clone) -> None:
    future = SCRIPT.read_text().replace("OLDEST, NEWEST = (3, 11), (3, 13)", "OLDEST, NEWEST = (3, 98), (3, 99)")
    (clone.root / "dev.py").write_text(future)
    code, _, errors = clone.run("up", PATH="/nonexistent")
    assert code == 1
    assert re.match(r"This is Python 3\.\d+, but 3\.98 to 3\.99 is needed, and no other is installed", errors)
    newer = clone.root / "bin" / "python3.99"
    newer.parent.mkdir()
    newer.write_text('#!/bin/sh\necho "newer $2"\n')
    newer.chmod(0o755)
    assert clone.run("up", PATH=f"{newer.parent}:/usr/bin:/bin")[1] == "newer up\n"
