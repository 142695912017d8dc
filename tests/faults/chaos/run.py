"""How does a run go? People settle in, everything is destroyed for a while, all is healed, an account is given.

The product runs at real time while it is destroyed. Afterwards the waits that it asks for (a read in an hour, a limit
that ends at midnight) are skipped, but only while nobody works: a send under way must never lose time that it has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

import httpx
from chaos import people, reading
from chaos.audit import Audit, Promise, compare
from chaos.plan import make_plan
from chaos.ruin import PARTS, Ruin
from chaos.stage import ChaosError, Stage
from chaos.trouble import Trouble
from sqlalchemy.exc import SQLAlchemyError

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.services.house import House

_POSTS_WITHIN: Final = 0.8
_LOOK_SECONDS: Final = 0.25
_TICK_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 5.0
_PERSON_SECONDS: Final = 20.0
_STILL_SECONDS: Final = 6.0
_WORTH_SKIPPING_SECONDS: Final = 15.0
_LATE_SECONDS: Final = 900.0
"""Longer than any platform still acts on a request whose sender is gone: what comes out late has come out then."""

_T = TypeVar("_T")
Tell = Callable[[str], None]


@dataclass
class Outcome:
    """What a run knows at its end, whether it came to it or was interrupted."""

    audit: Audit
    seed: int
    posts: int
    destroyed_seconds: float
    drained_seconds: float
    skipped_seconds: float
    at_rest: bool
    acts: dict[str, int]
    calls: int
    faults: dict[str, int]
    starts: int
    gave_up: list[str] = field(default_factory=list)
    no_full_disk: str = ""
    interrupted: bool = False

    @property
    def is_clean(self) -> bool:
        return self.audit.is_clean and self.at_rest


class Run:
    """One run on one stage."""

    def __init__(self, stage: Stage, publications: int, seconds: float, tell: Tell) -> None:
        self.stage = stage
        self.publications = publications
        self.seconds = seconds
        self.tell = tell
        self.promises: list[Promise] = []
        self.posts = 0
        self.house: House = open_house(settings_from(stage.house.environ), clock=stage.clock)
        self.creators = people.settle_in(self.house, stage.sandbox, publications)
        handles = {key: [h for each in self.creators for h in each.handles[key]] for key in self.creators[0].handles}
        self.trouble = Trouble(Random(f"platforms {stage.seed}"), handles)
        self.ruin = Ruin(stage, self.trouble)
        self.destroyed_seconds = self.drained_seconds = 0.0
        self.at_rest = False
        self._every: dict[str, float] = {}

    def close(self) -> None:
        close_house(self.house)

    def destroy(self) -> None:
        """The plan, act by act, while the creators post."""
        plan = make_plan(self.stage.seed, self.seconds)
        posts = self._post_times()
        self.stage.log.tell("begin", seed=self.stage.seed, plan=len(plan), posts=len(posts))
        self.ruin.begin()
        began = time.monotonic()
        while (now := time.monotonic() - began) < self.seconds or posts:
            while plan and plan[0].at_seconds <= now:
                self.ruin.act(plan.pop(0))
            if posts and posts[0] <= now and self._post():
                posts.pop(0)
            self._keep_going("destroying", self.ruin.tick)
            self.destroyed_seconds = time.monotonic() - began
            time.sleep(_LOOK_SECONDS)

    def drain(self, patience_seconds: float) -> None:
        """Heals, and waits until nothing moves any more and nothing can come out late."""
        self.ruin.heal()
        began = time.monotonic()
        late = False
        while time.monotonic() - began < patience_seconds:
            self.drained_seconds = time.monotonic() - began
            self._keep_going("draining", lambda: None)
            found = self._motion()
            if found is not None and found.moving == 0 and found.total >= len(self.promises):
                if late and not self.stage.house.workers():
                    self.at_rest = True
                    return
                late = True
                self._skip_while_nobody_works(lambda: _LATE_SECONDS)
                time.sleep(2 * _STILL_SECONDS)
            elif found is not None:
                self._skip_waits(found)
            time.sleep(1.0)

    def outcome(self, *, interrupted: bool = False) -> Outcome:
        """Raises ChaosError where the database or the platforms cannot be asked any more."""
        audit, (calls, faults) = self._asked(self._audit), self._asked(lambda: reading.calls(self.stage.sandbox))
        return Outcome(
            audit=audit,
            seed=self.stage.seed,
            posts=self.posts,
            destroyed_seconds=self.destroyed_seconds,
            drained_seconds=self.drained_seconds,
            skipped_seconds=self.stage.clock.skipped_seconds,
            at_rest=self.at_rest,
            acts=dict(self.ruin.done),
            calls=calls,
            faults=faults,
            starts=self.stage.house.starts,
            gave_up=self.stage.house.gave_up,
            no_full_disk=self.stage.disk.why_not,
            interrupted=interrupted,
        )

    def _audit(self) -> Audit:
        return compare(self.promises, reading.rows(self.house), reading.live(self.stage.sandbox))

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """The answer, if need be of a product that has to come up first."""
        give_up_at = time.monotonic() + 90
        while True:
            try:
                return ask()
            except (SQLAlchemyError, httpx.HTTPError) as error:
                if time.monotonic() > give_up_at:
                    raise ChaosError(f"There is nobody left to ask: {error}") from error
                self.stage.house.ensure()
                time.sleep(1.0)

    # ------------------------------------------------------------------------------------------------------ creators

    def _post_times(self) -> list[float]:
        rng = Random(f"creators {self.stage.seed}")
        wide = len(self.creators[0].destinations)
        return sorted(rng.uniform(0, self.seconds * _POSTS_WITHIN) for _ in range(math.ceil(self.publications / wide)))

    def _post(self) -> bool:
        """False when the platforms do not answer; a person tries again."""
        creator = self.creators[self.posts % len(self.creators)]
        try:
            self.promises += people.post(self.stage.sandbox, creator, self.posts)
        except httpx.HTTPError:
            return False
        self.posts += 1
        return True

    # ------------------------------------------------------------------------------------------------------- waiting

    def _keep_going(self, word: str, tick: Callable[[], None]) -> None:
        self.stage.house.ensure()
        self._now_and_then(_TICK_SECONDS, "tick", tick)
        self._now_and_then(_PERSON_SECONDS, "person", self._reconnect)
        self._now_and_then(_TELL_SECONDS, "tell", lambda: self._progress(word))

    def _now_and_then(self, every_seconds: float, name: str, what: Callable[[], object]) -> None:
        if time.monotonic() - self._every.get(name, 0.0) >= every_seconds:
            what()
            self._every[name] = time.monotonic()

    def _reconnect(self) -> None:
        people.reconnect(self.house, self.stage.sandbox, self.creators, self.stage.log)

    def _progress(self, word: str) -> None:
        found = self._motion()
        if found is None:
            states = "the database is away"
        else:
            states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items())) or "nothing yet"
        hours = self.stage.clock.skipped_seconds / 3600
        skipped = f", {hours:.1f} h skipped" if hours else ""
        self.tell(
            f"{self.stage.log.seconds:6.0f} s  {word}{skipped}: {len(self.promises)} of {self.publications} promised; "
            f"{states}; {self.ruin.done.total()} acts"
        )

    def _motion(self) -> reading.Motion | None:
        with suppress(SQLAlchemyError):
            return reading.motion(self.house, promised=len(self.promises))
        return None

    def _skip_waits(self, found: reading.Motion) -> None:
        """To just before the next publication can go on, if that was so a while ago, too."""

        def wait_seconds() -> float:
            now = self._motion()
            if now is None or now.next_at is None or now.held:
                return 0.0
            return float((now.next_at - self.stage.clock()).total_seconds()) - 1.0

        if found.next_at is None or found.held:
            return
        if (found.next_at - self.stage.clock()).total_seconds() < _WORTH_SKIPPING_SECONDS:
            return
        if self.stage.house.workers():
            return
        time.sleep(_STILL_SECONDS)
        self._skip_while_nobody_works(wait_seconds)

    def _skip_while_nobody_works(self, seconds: Callable[[], float]) -> None:
        """The daemon stands still meanwhile, so that no work begins."""
        daemons = self.stage.house.named(PARTS["daemon"])
        for process in daemons:
            process.suspend()
        try:
            time.sleep(1.0)
            wait = seconds()
            if not self.stage.house.workers() and wait > 1.0:
                self.stage.clock.skip(self.stage.sandbox, wait)
                self.stage.log.tell("skipped", skipped=wait)
        finally:
            for process in daemons:
                process.resume()
