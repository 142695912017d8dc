"""What waits for a person, grouped by what keeps it, and what may that person do about it?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

KEPT: Final = timedelta(days=30)
"""So long a failure is somebody's to decide about; afterwards it is history."""
_IN_A_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}")


class Kind(StrEnum):
    """What keeps the publications of a group."""

    RECONNECT = "reconnect"
    REVIEW = "review"
    REJECTED = "rejected"
    GAVE_UP = "gave_up"
    STOPPED = "stopped"
    NO_FILES = "no_files"


class Action(StrEnum):
    """What a person may do, none of which can make a second post. WAIT: nothing, it goes on by itself."""

    RECONNECT = "reconnect"
    ATTACH_LINK = "attach_link"
    SEND_AGAIN = "send_again"
    DROP = "drop"
    REPEAT = "repeat"
    LOOK_AGAIN = "look_again"
    HAND_OVER = "hand_over"
    WAIT = "wait"


ACTIONS: Final[Mapping[Kind, tuple[Action, ...]]] = {
    Kind.RECONNECT: (Action.RECONNECT,),
    Kind.REVIEW: (Action.LOOK_AGAIN, Action.ATTACH_LINK, Action.SEND_AGAIN, Action.DROP),
    Kind.REJECTED: (Action.REPEAT,),
    Kind.GAVE_UP: (Action.REPEAT,),
    Kind.STOPPED: (Action.WAIT,),
    Kind.NO_FILES: (Action.HAND_OVER, Action.WAIT),
}


def key_of(kind: Kind, platform: str, about: str) -> str:
    """The same for the same group, whoever asks; can stand in an address. `about` is a connection's id or a cause."""
    if about and not _IN_A_KEY.fullmatch(about):
        about = hashlib.sha256(about.encode()).hexdigest()[:12]
    return ".".join(part for part in (kind, platform, about) if part)
