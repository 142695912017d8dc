"""What does the doctor look at? Small questions about one part each, answered with a `Finding`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`PROBLEM` would stop a post; `WARNING` will stop one some day, or only on one platform."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, what was found there, and what to do about it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Finding:
    return Finding(name, Status.OK, found)


def warning(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.WARNING, found, remedy)


def problem(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.PROBLEM, found, remedy)
