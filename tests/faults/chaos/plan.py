"""What is destroyed when? A list that the seed alone decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

SUPERVISED: Final = ("daemon", "code-server", "web")
_LONGER_THAN_A_LEASE: Final = (125.0, 140.0)


@dataclass(frozen=True, slots=True, order=True)
class Disturbance:
    """One act of destruction, so many seconds after the beginning."""

    at_seconds: float
    what: str
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class _Recurring:
    """On average every so many seconds, and never again before `gap_seconds` have passed."""

    what: str
    every_seconds: float
    options: Callable[[Random], dict[str, Any]] = lambda _rng: {}
    gap_seconds: float = 0.0


def _pause(rng: Random) -> dict[str, Any]:
    """Mostly seconds; one in eight sleeps past its lease and wakes up as somebody whose work was given away."""
    return {"seconds": rng.uniform(*_LONGER_THAN_A_LEASE) if rng.random() < 1 / 8 else rng.uniform(1, 25)}


def _share(rng: Random) -> dict[str, Any]:
    """A cut connection fails the run that has it, and the post has to be offered again: seldom all at once."""
    return {"share": rng.choice((0.02, 0.05, 0.1, 0.1, 0.2, 1.0))}


def _seconds(low: float, high: float) -> Callable[[Random], dict[str, Any]]:
    return lambda rng: {"seconds": rng.uniform(low, high)}


_FEW_ENOUGH_SECONDS: Final = 65.0
"""A part that stops six times in quick succession ends the product, as it should: so quick nobody kills here."""
_RECURRING: Final = (
    _Recurring("kill worker", 6),
    _Recurring("pause worker", 12, _pause),
    *(_Recurring(f"kill {part}", 90, gap_seconds=_FEW_ENOUGH_SECONDS) for part in SUPERVISED),
    *(_Recurring(f"pause {part}", 90, _seconds(2, 20)) for part in SUPERVISED),
    _Recurring("kill house", 150, gap_seconds=120),
    _Recurring("restart database", 110, gap_seconds=_FEW_ENOUGH_SECONDS),
    _Recurring("kill backend", 150, gap_seconds=30),
    _Recurring("cut connections", 12, _share),
    _Recurring("swallow answers", 12, _share),
    _Recurring("outage", 100, _seconds(3, 15), gap_seconds=20),
    _Recurring("fill disk", 100, _seconds(5, 20), gap_seconds=30),
)


def make_plan(seed: int, seconds: float) -> list[Disturbance]:
    """In the order of time. A longer plan of the same seed is another one."""
    rng = Random(f"{seed} {seconds}")
    return sorted(each for recurring in _RECURRING for each in _times(recurring, rng, seconds))


def _times(recurring: _Recurring, rng: Random, seconds: float) -> list[Disturbance]:
    found: list[Disturbance] = []
    at = rng.expovariate(1 / recurring.every_seconds)
    while at < seconds:
        found.append(Disturbance(at, recurring.what, recurring.options(rng)))
        at += recurring.gap_seconds + rng.expovariate(1 / recurring.every_seconds)
    return found
