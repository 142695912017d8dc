"""Do the files for containers and for CI name things that exist? They run where no test of ours does."""

from __future__ import annotations

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from autorepost_app.bootstrap import settings_from
from autorepost_app.cli import main


@pytest.fixture(scope="module")
def service(root: Path) -> dict[str, Any]:
    (only,) = yaml.safe_load((root / "docker-compose.yml").read_text())["services"].values()
    return dict(only)


@pytest.fixture(scope="module")
def dockerfile(root: Path, service: dict[str, Any]) -> str:
    return (root / service["build"]["context"] / service["build"]["dockerfile"]).read_text()


def test_compose_keeps_the_home_that_the_image_and_the_settings_name(
    root: Path, service: dict[str, Any], dockerfile: str
) -> None:
    home = str(settings_from(service["environment"]).home)
    volumes = yaml.safe_load((root / "docker-compose.yml").read_text())["volumes"]
    assert [tuple(each.split(":")) for each in service["volumes"]] == [(next(iter(volumes)), home)]
    assert f"AUTOREPOST_HOME={home}" in dockerfile
    assert f"-m 0700 {home}" in dockerfile


def test_compose_publishes_no_port_to_other_machines(service: dict[str, Any]) -> None:
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert "AUTOREPOST_HOST" not in service["environment"]


def test_the_image_copies_what_is_there(root: Path, dockerfile: str) -> None:
    copied = re.findall(r"^COPY \S+ (.+) \S+$", dockerfile, re.MULTILINE)
    sources = [name for line in copied for name in line.split()]
    assert sources
    assert all((root / name).exists() for name in sources)


def _installs(dockerfile: str, folder: Path, **arguments: str) -> str:
    """What the image's shell installs with these build arguments, as far as it can be run here."""
    [step] = re.findall(r"^RUN (if \[ -n .*?fi)$", dockerfile, re.MULTILINE | re.DOTALL)
    declared = dict(re.findall(r"^ARG (\w+)=(\S*)$", dockerfile, re.MULTILINE))
    for name in ("apt-get", "rm"):
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (folder / name).chmod(0o700)
    environ = {**declared, **arguments, "PATH": str(folder)}
    return subprocess.run(["/bin/sh", "-c", step], env=environ, capture_output=True, text=True, check=True).stdout


def test_the_image_holds_a_browser_only_where_one_is_asked_for(root: Path, dockerfile: str, tmp_path: Path) -> None:
    assert _installs(dockerfile, tmp_path) == ""
    browser = re.findall(r"^apt-get install .* (\S+)$", _installs(dockerfile, tmp_path, CHROMIUM="1"), re.MULTILINE)
    assert browser == ["chromium"]
    assert dockerfile.index("ARG CHROMIUM=") < dockerfile.index("USER "), "only root may install"
    assert "--build-arg CHROMIUM=1" in (root / "docs" / "platforms" / "tiktok.md").read_text()


def test_the_image_runs_commands_that_there_are(dockerfile: str) -> None:
    commands = re.findall(r"python dev\.py (\w+)", dockerfile) + re.findall(
        r'^CMD \["(\w+)"\]', dockerfile, re.MULTILINE
    )
    assert len(commands) == 2
    assert set(commands) <= set(main.commands)


@pytest.mark.parametrize("private", [".env", ".git", ".autorepost", ".venv"])
def test_nothing_private_or_large_gets_into_the_image(root: Path, private: str) -> None:
    patterns = (root / ".dockerignore").read_text().split()
    assert any(fnmatch(private, pattern) for pattern in patterns)


def test_the_workflow_runs_what_a_person_would_run(root: Path) -> None:
    workflow = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run"]


def test_ci_is_a_script_that_stops_at_the_first_failure(root: Path) -> None:
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_ci_checks_style_migrations_and_tests_in_this_order(root: Path) -> None:
    commands = re.findall(r"python3 dev\.py (\w+)", (root / ".ci" / "run").read_text())
    assert commands == ["lint", "migrate", "test"]
    known = subprocess.run(["python3", "dev.py", "--help"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"\b{command}\b", known) for command in commands)
