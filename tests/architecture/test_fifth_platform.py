"""Is a new platform really one folder, one sandbox module and one test folder?

A fifth one is added to a copy of the house, under version control: written by the scaffold, filled in from `fifth/`,
published to. The copy's history then shows that no file was changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autorepost_app.cli.scaffold import scaffold
from autorepost_app.domain.errors import UserError

Run = Callable[..., subprocess.CompletedProcess[str]]
FILLED = Path(__file__).with_name("fifth")
KEY = "loops"
PLACES = (f"autorepost_app/platforms/{KEY}/", f"autorepost_app/sandbox/{KEY}.py", f"tests/platforms/{KEY}/")

ASK = """
import json
from autorepost_app.bootstrap import find_platforms, platform_settings, settings_from
from autorepost_pipelines.definitions import defs
from autorepost_pipelines.keys import pool_limits
found = find_platforms()
steps = [node.name for node in defs.resolve_assets_def("publications").node_def.nodes]
settings_from({"AUTOREPOST_LOOPS_API_URL": "http://127.0.0.1:9"})
print(json.dumps({"platforms": sorted(found), "settings": platform_settings(found), "steps": steps,
                  "pools": sorted(pool_limits(2))}))
"""


def pytest_in(copy: Path) -> tuple[str, ...]:
    """A run of its own within this one: without workers, which would only wait for the same cores, and away from the
    folder where every run on this machine clears up after the others, and stumbles over whoever does so as well."""
    return ("-m", "pytest", "-n0", "-p", "no:cacheprovider", f"--basetemp={copy.with_name(copy.name + '-tests')}")


def git(copy: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=copy, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def house(root: Path, tmp_path_factory: pytest.TempPathFactory, copy_house: Callable[[Path], Path]) -> Path:
    """A copy under version control, with what its tests lean on."""
    copy = copy_house(tmp_path_factory.mktemp("fifth"))
    for path in root.glob("autorepost_app/cli/*.mp4"):
        shutil.copy(path, copy / path.relative_to(root))
    shutil.copytree(root / "tests" / "platforms", copy / "tests" / "platforms", ignore=_only_folders)
    shutil.copy(root / "tests" / "conftest.py", copy / "tests")
    shutil.copy(root / ".gitignore", copy)
    git(copy, "init", "--quiet")
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "before")
    return copy


def _only_folders(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (Path(folder) / name).is_dir()]


@pytest.fixture(scope="module")
def scaffolded(house: Path, in_copy: Run) -> Path:
    words = ("scaffold", "platform", KEY, "--name", "Loops", "--role", "destination")
    done = in_copy(house, "-m", "autorepost_app.cli", *words)
    assert done.returncode == 0, done.stderr
    return house


@pytest.fixture(scope="module")
def unfilled_checks(scaffolded: Path, in_copy: Run, lint_imports: Run) -> dict[str, subprocess.CompletedProcess[str]]:
    """What the checks say of it before a line is filled in."""
    return {
        "style": in_copy(scaffolded, "-m", "ruff", "check", *PLACES),
        "format": in_copy(scaffolded, "-m", "ruff", "format", "--check", *PLACES),
        "imports": lint_imports(scaffolded),
        "found": in_copy(scaffolded, "-c", ASK),
        "tests": in_copy(scaffolded, *pytest_in(scaffolded), f"tests/platforms/{KEY}"),
    }


@pytest.fixture(scope="module")
def filled(scaffolded: Path, unfilled_checks: dict[str, subprocess.CompletedProcess[str]]) -> Path:
    folder, sandbox_module, tests = (scaffolded / place for place in PLACES)
    shutil.copy(FILLED / "auth.py", folder)
    shutil.copy(FILLED / "destination.py", folder)
    shutil.copy(FILLED / "sandbox.py", sandbox_module)
    shutil.copy(FILLED / "publishes.py", tests / "test_publishes.py")
    return scaffolded


@pytest.mark.parametrize("check", ["style", "format", "imports", "found"])
def test_what_the_scaffold_writes_passes_every_check_at_once(
    unfilled_checks: dict[str, subprocess.CompletedProcess[str]], check: str
) -> None:
    done = unfilled_checks[check]
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_tests_fail_and_say_what_to_write_next(
    unfilled_checks: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    done = unfilled_checks["tests"]
    assert done.returncode == 1
    assert " passed" not in done.stdout
    assert done.stdout.count("E       Failed: Write next: ") == done.stdout.count("FAILED tests/") > 0


def test_everything_that_lists_platforms_lists_the_fifth(filled: Path, in_copy: Run) -> None:
    done = in_copy(filled, "-c", ASK)
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    assert KEY in known["platforms"]
    assert {"LOOPS_CLIENT_ID", "LOOPS_CLIENT_SECRET", "LOOPS_WWW_URL", "LOOPS_API_URL"} <= set(known["settings"])
    assert f"publish_{KEY}" in known["steps"]
    assert KEY in known["pools"]


def test_the_fifth_keeps_every_import_contract(filled: Path, lint_imports: Run) -> None:
    done = lint_imports(filled)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_post_reaches_the_fifth_once(filled: Path, in_copy: Run) -> None:
    path = f"tests/platforms/{KEY}/test_publishes.py"
    done = in_copy(filled, *pytest_in(filled), path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_no_file_that_was_there_has_changed(filled: Path) -> None:
    lines = git(filled, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert lines
    assert [line for line in lines if not line.removeprefix("?? ").startswith(PLACES)] == []


@pytest.mark.parametrize("key", ["X", "two words", "../up", "9lives", "class", "transcode", "a_b", ""])
def test_an_illegal_key_is_refused(house: Path, key: str) -> None:
    with pytest.raises(UserError, match="cannot be the key"):
        scaffold(house, key, "Loops", "destination")


@pytest.mark.parametrize("key", ["x", "youtube", "pages", "control"])
def test_a_key_that_is_taken_by_a_platform_or_by_the_sandbox_is_refused(house: Path, key: str) -> None:
    before = git(house, "status", "--porcelain")
    with pytest.raises(UserError, match="is there already"):
        scaffold(house, key, "Loops", "destination")
    assert git(house, "status", "--porcelain") == before


def test_a_name_that_would_break_out_of_its_text_is_refused(house: Path) -> None:
    with pytest.raises(UserError, match="cannot be a name"):
        scaffold(house, "bird", 'Bird""" + evil', "destination")


def test_a_source_is_written_with_a_source_and_without_a_destination(tmp_path: Path) -> None:
    (tmp_path / "tests" / "platforms").mkdir(parents=True)
    made = {
        path.name for path in scaffold(tmp_path, "reels", "Reels", "source") if "platforms/reels" in path.as_posix()
    }
    assert {"__init__.py", "auth.py", "source.py", "limits.py", "errors.py", "test_source.py"} <= made
    assert "destination.py" not in made


def test_outside_of_a_clone_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in a clone"):
        scaffold(tmp_path, "reels", "Reels", "source")
    assert not list(tmp_path.iterdir())
