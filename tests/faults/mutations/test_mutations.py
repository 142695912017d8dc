"""Would the tests notice? Each rule is taken out of a copy of the code, and the tests named beside it must turn red.

One line of code a rule (docs/exactly-once.md names them). That each patch still fits the code, and that each
test still exists, is checked in every run; the copies are made and tried by `python3 dev.py test --faults`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
SERVICES: Final = "tests/integration/services"
_NOT_FOR_CHILDREN: Final = ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")


@dataclass(frozen=True)
class Mutation:
    """`old` occurs once in `file`; with `new` in its place each of `red` fails."""

    name: str
    file: str
    old: str
    new: str
    red: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


MUTATIONS: Final = (
    Mutation(
        "R1 the send goes out before its intent is acknowledged",
        "autorepost_app/services/publish.py",
        "        # R1: the commit of that transaction was acknowledged, or its exception has ended this worker's part\n"
        "        outcome = ",
        "            outcome = ",
        (f"{SERVICES}/test_publish.py::test_the_intent_is_on_disk_or_nothing_is_sent",),
    ),
    Mutation(
        "R2 nobody looks at the deadline of a send",
        "autorepost_app/services/deliveries.py",
        "        if time.monotonic() >= self.closes_at:",
        "        if self.closes_at < 0:",
        (
            f"{SERVICES}/test_publish.py::test_a_sender_that_is_too_late_for_its_window_sends_nothing",
            f"{SERVICES}/test_publish_limits.py::test_an_intent_that_was_acknowledged_after_its_window_is_not_sent",
        ),
    ),
    Mutation(
        "R3 a late answer is written as a state",
        "autorepost_app/services/outcomes.py",
        "            publications.record(session, self.lease, evidence)",
        "            publications.record(session, self.lease, evidence)\n"
        "            publications.get(session, self.row.id).state = 'published'",
        (f"{SERVICES}/test_publish.py::test_a_late_answer_wins_over_a_review",),
    ),
    Mutation(
        "R3 a late answer is thrown away",
        "autorepost_app/services/publish.py",
        "            self._outcomes.tell_late(outcome)\n",
        "",
        (
            f"{SERVICES}/test_publish.py::test_a_late_answer_wins_over_a_review",
            f"{SERVICES}/test_publish.py::test_a_worker_that_hangs_after_its_intent_is_not_followed_by_a_second_send",
        ),
    ),
    Mutation(
        "R4 a sender does not heed that it is live",
        "autorepost_app/services/publish.py",
        "        seen = publications.live_evidence(session, self.row.id)",
        "        seen = None",
        (
            f"{SERVICES}/test_publish.py::test_live_evidence_wins_whatever_was_concluded_before",
            f"{SERVICES}/test_publish.py::test_live_evidence_that_comes_while_staging_stops_the_send",
        ),
    ),
    Mutation(
        "R4 what was concluded stands although it is live",
        "autorepost_app/services/reconcile.py",
        "            for row, proof in publications.live_after_all(session, list(_LIVE_AFTER_ALL))",
        "            for row, proof in publications.live_after_all(session, [])",
        (
            f"{SERVICES}/test_publish.py::test_live_evidence_wins_whatever_was_concluded_before",
            f"{SERVICES}/test_publish.py::test_a_late_answer_wins_over_a_review",
        ),
    ),
    Mutation(
        "R5 an unclear answer is taken for nothing done",
        "autorepost_app/services/outcomes.py",
        "            case Unknown():\n                self.lost_sight(session, outcome)",
        "            case Unknown():\n                self.not_done(session, NotDone(TryAgain(outcome.reason)))",
        (
            f"{SERVICES}/test_publish.py::test_an_answer_slower_than_we_wait_is_unknown_until_a_read_finds_it",
            f"{SERVICES}/test_publish_faults.py::test_a_fault_at_the_send_never_makes_two_and_never_lies",
            f"{SERVICES}/test_ways_to_go_on.py::test_publishing_once_more_at_once_or_a_lease_later_makes_no_second_post",
        ),
    ),
    Mutation(
        "R7 after a restore nobody looks before a send",
        "autorepost_app/persistence/publications.py",
        "        .where(restores.looked_for())\n",
        "",
        (
            f"{SERVICES}/test_restores.py::test_nothing_is_sent_before_the_look_even_by_a_run_that_somebody_starts_by_hand",
        ),
    ),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_each_rule_is_where_its_patch_looks_for_it_and_its_tests_exist(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    for test in mutation.red:
        module, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / module).read_text(), test


def test_the_page_shows_each_rule_with_the_tests_that_miss_it() -> None:
    page = (ROOT / "docs" / "exactly-once.md").read_text()
    drawn = [f"| {each.name} | {', '.join(f'`{test}`' for test in each.red)} |" for each in MUTATIONS]
    assert [row for row in drawn if row not in page] == []


@pytest.mark.only_with_faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_without_this_rule_the_tests_turn_red(mutation: Mutation, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules"))
    patched = copy / mutation.file
    patched.write_text(patched.read_text().replace(mutation.old, mutation.new))
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}
    environ["PYTHONPATH"] = str(copy)  # else worker processes would import the code that is installed

    command = [sys.executable, "-m", "pytest", "-n0", "-q", "--tb=no", "-rfE", *mutation.red]
    ended = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, check=False)

    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout + ended.stderr
    failed = set(re.findall(r"^FAILED ([^\s\[]+)", ended.stdout, re.MULTILINE))
    assert set(mutation.red) <= failed, f"still green without it: {set(mutation.red) - failed}"
