"""How often may one name ask? So often a minute, as fast as it likes until then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_NAMES: Final = 10_000
"""More than one machine's callers; a flood of made-up names costs this much memory and no more."""


class Throttle:
    """For the one event loop that asks it. `clock` counts seconds.

    Kept of each name is one number, the time at which all it has asked for would be over at an even pace.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._pace = 60.0 / per_minute
        self._clock = clock
        self._over_at: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, name: str) -> float:
        """0.0, and the question is counted; or how long until there is room for one."""
        now = self._clock()
        ahead = self._over_at.get(name, now) - now
        # It is never more than a minute, but for a clock that was set back since: nobody waits for it to catch up.
        over_at = now + (ahead if 0.0 < ahead < 61.0 else 0.0) + self._pace
        late = over_at - now - 60.0
        if late > 1e-9:
            return late
        self._over_at[name] = over_at
        self._over_at.move_to_end(name)
        if len(self._over_at) > _NAMES:
            self._over_at.popitem(last=False)
        return 0.0
