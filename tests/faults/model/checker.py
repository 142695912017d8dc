"""Does anything break, in any world that can be come to? Breadth first, so the first fault found is the shortest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model.steps import steps
from model.surroundings import RESTORED
from model.world import Restore, Rules, Step, World, about_to_send, canonical, first, key, still_possible

from autorepost_app.domain.publications import FINAL, State

ENDS: Final = FINAL | {State.NEEDS_REVIEW}
_SAYS_NOTHING_IS_LIVE: Final = frozenset({State.FAILED, State.CANCELLED, State.SKIPPED})


def at_most_one(rules: Rules, world: World) -> bool:
    return world.live <= 1


def published_is_live(rules: Rules, world: World) -> bool:
    return world.row.state is not State.PUBLISHED or world.live == 1


def ended_is_not_live(rules: Rules, world: World) -> bool:
    """Of what a restored database may have forgotten it speaks only after the look for it."""
    if world.row.state not in _SAYS_NOTHING_IS_LIVE or world.restore is Restore.UNNOTICED or not world.row.looked:
        return True
    return not world.live and not still_possible(world) and not about_to_send(rules, world)


def sends_are_licensed(rules: Rules, world: World) -> bool:
    return world.credit >= 0


INVARIANTS: Final[Mapping[str, Callable[[Rules, World], bool]]] = {
    "I1": at_most_one,
    "I2": published_is_live,
    "I3": ended_is_not_live,
    "I5": sends_are_licensed,
}
MEANING: Final[Mapping[str, str]] = {
    "I1": "at most one post is live, also for a moment",
    "I2": "PUBLISHED: exactly one post is live",
    "I3": "FAILED, CANCELLED, SKIPPED: none is live and no request can still make one",
    "I4": "once faults stop, an end or NEEDS_REVIEW can be come to from everywhere, without a person",
    "I5": "no more sends than one and one for each proof of absence",
    "I6": "nothing leaves PUBLISHED, and who was fenced off changes nothing",
}
"""The invariants by their numbers in the specification."""


@dataclass(frozen=True)
class Verdict:
    """What was found. `broken` names an invariant, or nothing; `trace` is the shortest way there."""

    states: int
    broken: str = ""
    trace: tuple[str, ...] = ()
    moves: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if not self.broken:
            return f"holds in {self.states:,} states"
        lines = [f"{self.broken} is broken: {MEANING[self.broken]}"]
        return "\n".join([*lines, *(f"  {number}. {text}" for number, text in enumerate(self.trace, 1))])


class Exploration:
    """Every world that can be come to under `rules`, each with the way that led there first."""

    def __init__(self, rules: Rules, asked: Iterable[str] = MEANING) -> None:
        self.rules = rules
        self.asked = [name for name in MEANING if name in asked]
        self.came_from: dict[World, tuple[World | None, str]] = {}
        self.led_to_by: dict[World, list[World]] = {}
        self.moves: set[str] = set()

    def run(self) -> Verdict:
        begin = canonical(first(self.rules))
        self.came_from[key(begin)] = (None, "")
        waiting = deque([begin])
        while waiting:
            world = waiting.popleft()
            at = key(world)
            for step in steps(self.rules, world):
                self.moves.add(step.move)
                to = canonical(step.to)
                known = key(to)
                if not (step.fault or step.by_person):
                    self.led_to_by.setdefault(known, []).append(at)
                broken = self._broken_on_the_way(world, step)
                if known in self.came_from and not broken:
                    continue
                broken = broken or self._broken_in(to)
                if broken:
                    return self._verdict(broken, [*self._way(at), step.text])
                self.came_from[known] = (at, step.text)
                waiting.append(to)
        return self._verdict(*self._stuck())

    def _broken_in(self, world: World) -> str:
        checks = (name for name in self.asked if name in INVARIANTS)
        return next((name for name in checks if not INVARIANTS[name](self.rules, world)), "")

    def _broken_on_the_way(self, before: World, step: Step) -> str:
        if "I6" not in self.asked or step.text == RESTORED:
            return ""
        was, now = before.row, step.to.row
        left = was.state is State.PUBLISHED is not now.state
        fenced_off = step.lease is not None and step.lease != was.lease
        changed = now.state not in (was.state, State.PUBLISHED)
        return "I6" if left or (fenced_off and changed) or now.lease < was.lease else ""

    def _stuck(self) -> tuple[str, list[str]]:
        """I4: worlds from which no end can be come to while nothing fails and no person acts."""
        if "I4" not in self.asked:
            return "", []
        good = [world for world in self.came_from if world.row.state in ENDS]
        seen = set(good)
        while good:
            for before in self.led_to_by.get(good.pop(), ()):
                if before not in seen:
                    seen.add(before)
                    good.append(before)
        lost = next((world for world in self.came_from if world not in seen), None)
        return ("I4", self._way(lost)) if lost is not None else ("", [])

    def _way(self, to: World) -> list[str]:
        way: list[str] = []
        at: World | None = to
        while at is not None:
            at, text = self.came_from[at]
            way.append(text)
        return way[-2::-1]

    def _verdict(self, broken: str, trace: list[str]) -> Verdict:
        return Verdict(len(self.came_from), broken, tuple(trace), frozenset(self.moves - {""}))
