"""Where may a process die so that those who come after it find a different world?

Between two lines nobody can tell. What others see is what a transaction left, what a request asked, and what lies in
the store: so each of these names itself here, right before and right after. In the product nobody listens and a point
costs a comparison; tests listen, and kill the process at the point they want (docs/exactly-once.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BEFORE_COMMIT: Final = "before commit: "
AFTER_COMMIT: Final = "after commit: "
BEFORE_REQUEST: Final = "before request: "
WITHIN_REQUEST: Final = "within request: "
AFTER_ANSWER: Final = "after answer: "
BEFORE_FILE: Final = "before file: "
AFTER_FILE: Final = "after file: "
SEND: Final = "send"
"""What the one request that may publish is called, on every platform."""

_listener: Callable[[str], None] | None = None


def reached(kind: str, what: str) -> None:
    """This process is at that point."""
    if _listener is not None:
        _listener(kind + what)


def listen(listener: Callable[[str], None] | None) -> None:
    """From now on `listener` is told of every point that this process reaches; None for nobody."""
    global _listener  # noqa: PLW0603 - it is about the process as a whole
    _listener = listener
