"""How many publications are there, by state and platform?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import watchdogs
from autorepost_app.services.house import House

ByState = list[tuple[tuple[str, str], int]]


@dataclass(frozen=True, slots=True)
class Counts:
    """Each by state and platform."""

    unfinished: ByState
    ended: ByState


def publications(house: House, scope: SystemScope, *, ended_within: timedelta) -> Counts:
    """Everything that has not ended, and what ended lately: history is too long to be counted every few seconds."""
    with house.db.system(scope) as session:
        unfinished = [*watchdogs.unfinished(session), *watchdogs.in_review(session)]
        ended = watchdogs.ended_since(session, house.clock() - ended_within)
    return Counts(
        [((state, platform), count) for state, platform, count in unfinished],
        [((state, platform), count) for state, platform, count in ended],
    )
