"""How far does one tick go, when a platform may let every call wait until it is given up?

What is left is there for the next tick. Platforms take turns, so that one that hangs holds up its own rows first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest

from autorepost_app.persistence.models import Publication


def in_turn(rows: Iterable[Publication]) -> list[Publication]:
    """One of each platform, then the next of each; each platform's own in the order given."""
    by_platform: dict[str, list[Publication]] = {}
    for row in rows:
        by_platform.setdefault(row.platform, []).append(row)
    return [row for row in chain.from_iterable(zip_longest(*by_platform.values())) if row is not None]


def while_it_lasts(rows: list[Publication], seconds: float) -> Iterator[Publication]:
    """Takes rows out of the list, from its beginning, for so long; what then is in it has not been touched."""
    until = time.monotonic() + seconds
    while rows and time.monotonic() < until:
        yield rows.pop(0)
