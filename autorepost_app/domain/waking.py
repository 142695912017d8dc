"""When what waited for the same thing is over, who goes on when?

Not all at once: whoever goes first meets what is still the matter, and a platform that has just come back is not met
by everything that waited for it.
"""

from __future__ import annotations

from typing import Final

GAP_SECONDS: Final = 0.5
"""Between two that are woken together, where they are not too many for it."""

WOKEN_WITHIN_SECONDS: Final = 600.0
"""However many they are, the last one goes on so long after the first."""

APART_SECONDS: Final = 30.0
"""Within so long after it come those that wait for the same moment and do not know of each other."""


def share(publication_id: str) -> float:
    """A number from 0 up to 1, always the same for a publication: those that wait together come back apart."""
    return int(publication_id.replace("-", "")[:8], 16) / 2**32


def apart_seconds(publication_id: str) -> float:
    """How long after the moment that it waits for it goes on."""
    return share(publication_id) * APART_SECONDS


def after_seconds(turn: int) -> float:
    """How long after the first the one whose turn it is goes on; turns count from 0."""
    return turn * GAP_SECONDS
