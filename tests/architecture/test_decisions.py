"""Does what a decision names as its enforcement notice when the decision is broken?

A test that is there, and has its name in a document, may still pass whatever happens. So each decision is broken in a
copy of the house, in one line, and the test that it names has to fail there. Import contracts are broken one by one in
`test_contracts.py`, and Dagster's hidden interfaces are not ours to break: what they enforce needs no breach here.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DECISIONS = {
    path.name[:4]: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("*.md"))
}
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")
_SWITCHED_OFF = {"skip", "xfail"}


@dataclass(frozen=True)
class Breach:
    """One line of the house that goes against a decision, and the test that has to say so."""

    path: str
    line: str
    instead: str
    test: str


MIGRATIONS = "autorepost_app/persistence/migrations/versions"
PERSISTENCE = "tests/integration/persistence"
BREACHES = {
    "0001": Breach(
        "autorepost_app/persistence/engine.py",
        "set synchronous_commit = on",
        "set synchronous_commit = off",
        f"{PERSISTENCE}/test_roles.py::test_an_acknowledged_commit_is_on_disk_whatever_the_server_was_told",
    ),
    "0003": Breach(
        "autorepost_app/domain/publications.py",
        '"it is not there: send again", proof="absent")',
        '"it is not there: send again")',
        "tests/unit/domain/test_moves.py::test_what_may_be_out_there_is_not_sent_again_without_proof_that_it_is_not",
    ),
    "0004": Breach(
        f"{MIGRATIONS}/0001_tables.py",
        "'source_post_id', name='publications_identity_key'",
        "'source_post_id', 'tenant_id', name='publications_identity_key'",
        f"{PERSISTENCE}/test_promises.py::test_a_race_of_eight_tenants_for_one_account_has_one_winner",
    ),
    "0005": Breach(
        f"{MIGRATIONS}/0002_guards.py",
        'op.execute(f"alter table {table} force row level security")',
        "pass",
        f"{PERSISTENCE}/test_row_level_security.py::test_every_table_has_its_policy_and_it_binds_its_owner_too",
    ),
    "0006": Breach(
        "autorepost_app/persistence/secrets.py",
        '"owner": self.owner_id, ',
        "",
        f"{PERSISTENCE}/test_secrets.py::test_a_value_moved_to_another_row_or_column_does_not_open",
    ),
    "0009": Breach(
        "autorepost_app/platform_kit/http.py",
        "follow_redirects=False",
        "follow_redirects=True",
        "tests/unit/test_platform_http.py::test_a_token_follows_no_redirect_and_no_log_names_the_address",
    ),
    "0011": Breach(
        "autorepost_app/processes/guardian.py",
        "            sweep.end_all(lambda: _left_by(supervisor.pid), _PATIENCE_SECONDS)\n",
        "",
        "tests/integration/test_processes.py::test_nothing_is_left_when_the_supervisor_is_killed",
    ),
    "0012": Breach(
        "autorepost_app/domain/media.py",
        "(_shared(facts, kind, {key: limits}) for kind in Kind)",
        "(_shared(facts, kind, {key: limits}) for kind in [Kind.TRANSCODE])",
        "tests/unit/test_media_plan.py::test_a_clip_everyone_accepts_is_used_as_it_is",
    ),
    "0013": Breach(
        "autorepost_app/config.py",
        "cutoff=0.6",
        "cutoff=1.0",
        "tests/unit/test_config.py::test_a_misspelt_setting_is_refused_with_the_nearest_one",
    ),
    "0014": Breach(
        "dev.py",
        "if address := re.search(",
        "if False and re.search(",
        "tests/unit/test_dev_script.py::test_a_lock_with_an_address_is_refused_and_the_old_one_kept",
    ),
    "0015": Breach(
        "autorepost_app/config.py",
        "if not _is_loopback(value):",
        "if False:",
        "tests/unit/test_config.py::test_a_value_that_cannot_be_is_refused_by_the_name_of_its_setting",
    ),
    "0016": Breach(
        "autorepost_app/persistence/publications.py",
        "if publication.looked_epoch < restores.epoch(session):",
        "if False:",
        f"{PERSISTENCE}/test_claims.py::test_a_lease_from_before_a_restore_sends_nothing",
    ),
}


def enforcement(number: str) -> str:
    return DECISIONS[number].partition("## What enforces it\n")[2]


def named_tests(number: str) -> list[tuple[str, str]]:
    """Files, each with the test that is named in it, or nothing for all of them."""
    return _NAMED.findall(enforcement(number))


@pytest.mark.parametrize("number", DECISIONS)
def test_every_test_that_a_decision_names_is_there_and_runs(number: str, root: Path) -> None:
    for path, name in named_tests(number):
        found = [each for each in ast.walk(ast.parse((root / path).read_text())) if isinstance(each, ast.FunctionDef)]
        tests = [each for each in found if each.name == name or (not name and each.name.startswith("test_"))]
        assert tests, f"{path} has no test {name}"
        for test in tests:
            assert not _switched_off(test), f"{test.name} does not run"


def _switched_off(test: ast.FunctionDef) -> bool:
    marks = {each.attr for mark in test.decorator_list for each in ast.walk(mark) if isinstance(each, ast.Attribute)}
    return bool(marks & _SWITCHED_OFF)


def test_every_decision_is_broken_here_or_kept_by_contracts() -> None:
    by_contract = {number for number in DECISIONS if "contract" in enforcement(number)}
    assert set(DECISIONS) == set(BREACHES) | by_contract


@pytest.mark.parametrize("number", BREACHES)
def test_a_breach_is_of_one_line_that_is_there_and_is_noticed_by_a_test_that_is_named(number: str, root: Path) -> None:
    breach = BREACHES[number]
    assert (root / breach.path).read_text().count(breach.line) == 1, "the line has changed: break the decision anew"
    path, _, name = breach.test.partition("::")
    assert {(path, name), (path, "")} & set(named_tests(number))


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory, root: Path) -> set[str]:
    """The tests that fail where every decision is broken; one run for all, each breach in a place of its own."""
    copy = tmp_path_factory.mktemp("broken")
    for name in ("autorepost_app", "autorepost_pipelines", "tests", "docs"):
        shutil.copytree(root / name, copy / name)  # with what Python has compiled of it
    for name in ("dev.py", "pyproject.toml", "requirements.lock", "requirements-tools.lock"):
        shutil.copy(root / name, copy)
    for breach in BREACHES.values():
        broken = copy / breach.path
        broken.write_text(broken.read_text().replace(breach.line, breach.instead))
    argv = [sys.executable, "-m", "pytest", "-n0", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AUTOREPOST_"))}
    tests = [breach.test for breach in BREACHES.values()]
    done = subprocess.run(
        [*argv, *tests], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=170
    )
    print(done.stdout[-5000:])  # noqa: T201 - what came of it is shown where a breach went unnoticed
    return set(re.findall(r"^FAILED (\S+?)(?:\[| - |$)", done.stdout, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("number", BREACHES)
def test_the_test_that_a_decision_names_fails_where_it_is_broken(number: str, failures: set[str]) -> None:
    wanted = BREACHES[number].test
    assert any(failed.startswith(wanted) for failed in failures), f"{wanted} did not notice"
