"""What a run of all faults shows on the terminal: how far it is, and at its end who died where and what came of it."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

_BAR: Final = 30


@dataclass
class Cell:
    """What one test met: the points at which workers died, those they never came to, and whether all ended well."""

    died_at: list[str]
    never_met: list[str]
    passed: bool

    def __str__(self) -> str:
        return f"{len(self.died_at)}" + ("" if self.passed else " WRONG")


@dataclass(eq=False)
class FaultRun:
    """A plugin for the process that shows results."""

    began_at: float = field(default_factory=time.monotonic)
    ended: int = 0
    of: int = 0
    cells: dict[str, dict[str, Cell]] = field(default_factory=lambda: defaultdict(dict))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.of = len(session.items)

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.of = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        self.ended += 1
        for name, value in report.user_properties:
            if name == "cell":
                platform, fault, died_at, never_met = value  # type: ignore[misc]
                self.cells[fault][platform] = Cell(died_at, never_met, report.passed)

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """One line that moves on, in place of a dot a test."""
        if report.when != "call":
            return None
        done = self.ended / max(self.of, 1)
        bar = "#" * round(done * _BAR)
        spent = time.monotonic() - self.began_at
        left = f", about {spent / done * (1 - done) / 60:.0f} min left" if 0 < done < 1 else ""
        line = f"\r[{bar:<{_BAR}}] {self.ended} of {self.of} tests{left}   "
        return report.outcome, line, report.outcome.upper()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        platforms = sorted({platform for cells in self.cells.values() for platform in cells})
        if not platforms:
            return
        wide = max(map(len, self.cells))
        terminalreporter.section("workers killed, each at another crash point, under each fault")
        terminalreporter.line(" " * wide + "".join(f"{platform:>14}" for platform in platforms))
        for fault, cells in self.cells.items():
            row = "".join(f"{cells.get(platform, '-')!s:>14}" for platform in platforms)
            terminalreporter.line(f"{fault:<{wide}}{row}")
        every = [cell for cells in self.cells.values() for cell in cells.values()]
        killed, wrong = sum(len(cell.died_at) for cell in every), sum(not cell.passed for cell in every)
        terminalreporter.line(f"{killed} workers killed; {wrong} tests found a wrong end")
        for platform in platforms:
            self._tell_never_met(terminalreporter, platform)

    def _tell_never_met(self, terminalreporter: Any, platform: str) -> None:
        of_platform = [cells[platform] for cells in self.cells.values() if platform in cells]
        died_at = {point for cell in of_platform for point in cell.died_at}
        never = sorted({point for cell in of_platform for point in cell.never_met} - died_at)
        more = f"; never met: {', '.join(never)}" if never else ""
        terminalreporter.line(f"{platform}: {len(died_at)} different points{more}")
