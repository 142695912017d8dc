"""How soon is a new post found, for so many connected sources, when all of them share one limit?

    .venv/bin/python benchmarks/polling.py

A simulation of the sensor's ticks with the plan of `domain/polling.py` itself, against taking turns with the same
budget: delays come from the limit, not from this machine. Creators are made up: log-normal rates with a median of 0.35
posts a day, a sixth of them silent, four fifths with one to three favourite hours; four weeks of posts are known. Many
sources are simulated by fewer with as much smaller a budget, which changes nothing, because a delay grows with their
quotient. TikTok's own delay until a list has a post, and the calls themselves, come on top.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.domain.polling import Waiting, choose, expected_posts, half_hour, longest_wait_seconds  # noqa: E402
from autorepost_app.platforms.tiktok import PLATFORM  # noqa: E402

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY_SECONDS = 86_400
HISTORY_DAYS, SCORED_DAYS = 28, 1
MOST_SIMULATED = 300
console = Console(width=110)


@dataclass
class Creator:
    """Times in seconds from the start of what is scored."""

    posts: list[float]
    expected: list[float]
    found: int = 0
    polled_at: float = -60.0
    pulsed_at: float = -60.0
    asked_for: bool = False
    delays: list[float] = field(default_factory=list)

    def is_polled(self, now: float) -> None:
        posted = bisect_right(self.posts, now)
        self.delays += [now - at for at in self.posts[self.found : posted]]
        self.found, self.polled_at, self.asked_for = posted, now, False

    def gives_pulse(self, now: float) -> None:
        self.pulsed_at = now
        self.asked_for = self.asked_for or bisect_right(self.posts, now) > self.found


def creator(dice: random.Random, *, flat: bool) -> Creator:
    rate = 0.0 if dice.random() < 0.15 else min(dice.lognormvariate(-1.05, 1.2), 12.0)
    hours = [dice.uniform(0, 24) for _ in range(dice.randint(1, 3))] if dice.random() < 0.8 else []
    posts = sorted(
        day * DAY_SECONDS + (dice.gauss(dice.choice(hours), 1.5) % 24 if hours else dice.uniform(0, 24)) * 3600
        for day in range(-HISTORY_DAYS, SCORED_DAYS)
        for _ in range(_poisson(dice, rate))
    )
    known = [] if flat else [START + timedelta(seconds=at) for at in posts if at < 0]
    return Creator([at for at in posts if at >= 0], expected_posts(known, START))


def _poisson(dice: random.Random, mean: float) -> int:
    count, left = -1, 1.0
    while left > 2.718281828459045**-mean or count < 0:
        left *= dice.random()
        count += 1
    return count


def delays(sources: int, seed: int, *, flat: bool, pulses: bool) -> list[float]:
    spec = PLATFORM.source
    assert spec is not None
    share = min(1.0, MOST_SIMULATED / sources)
    dice = random.Random(seed)
    creators = [creator(dice, flat=flat) for _ in range(round(sources * share))]
    tick = max(5.0, sources / spec.polls_per_minute * 60 / 20)
    a_tick = spec.polls_per_minute * share * tick / 60
    longest, budget = longest_wait_seconds(sources, spec.polls_per_minute), [0.0, 0.0]
    for number in range(1, int(SCORED_DAYS * DAY_SECONDS / tick)):
        now = number * tick
        budget = [min(each % 1 + a_tick, len(creators)) for each in budget]
        slot = half_hour(START + timedelta(seconds=now))
        if pulses:
            rested = [c for c in creators if now - c.pulsed_at >= spec.pulse_gap_seconds and not c.asked_for]
            for each in _turns(rested, slot, now, int(budget[1]), longest):
                each.gives_pulse(now)
        due = [c for c in creators if c.asked_for or now - c.polled_at >= spec.poll_gap_seconds]
        for each in _turns(due, slot, now, int(budget[0]), longest):
            each.is_polled(now)
    return [delay for each in creators for delay in each.delays]


def _turns(creators: Sequence[Creator], slot: int, now: float, most: int, longest: float) -> list[Creator]:
    if len(creators) <= most:
        return list(creators)
    waiting = (
        Waiting(str(n), c.expected[slot], now - max(c.pulsed_at, c.polled_at), c.asked_for, now - c.polled_at)
        for n, c in enumerate(creators)
    )
    return [creators[int(key)] for key in choose(waiting, most, longest)]


def told(found: Sequence[float]) -> str:
    ordered = sorted(found)
    figures = (statistics.fmean(ordered), statistics.median(ordered), ordered[int(len(ordered) * 0.95)])
    return " / ".join(f"{each:.0f} s" if each < 120 else f"{each / 60:.1f} min" for each in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, nargs="+", default=[100, 500, 1_000, 5_000, 10_000])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    table = Table("sources", "posts", "taking turns: mean / median / 95%", "by the plan", "and with pulses")
    for sources in options.sources:
        ways = ((True, False), (False, False), (False, True))
        found = [
            [delay for seed in range(options.seeds) for delay in delays(sources, seed, flat=flat, pulses=pulses)]
            for flat, pulses in ways
        ]
        table.add_row(f"{sources:,}", str(len(found[0])), *map(told, found))
    console.print(table)


if __name__ == "__main__":
    main()
