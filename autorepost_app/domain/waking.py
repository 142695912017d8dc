"""When what waited for the same thing is over, who goes on when?

Not all at once: whoever goes first meets what is still the matter, and a platform that has just come back is not met
by everything that waited for it.
"""

from __future__ import annotations

from typing import Final

GAP_SECONDS: Final = 0.5
"""Between two that are woken together."""


def after_seconds(turn: int) -> float:
    """How long after the first the one whose turn it is goes on; turns count from 0."""
    return turn * GAP_SECONDS
