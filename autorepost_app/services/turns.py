"""Whose turn is it to be polled or asked for a pulse, and how many may be at once?

The ledger's figures decide how many, `domain/polling.py` who. What does not fit waits for the next tick, and grows more
urgent with it.
"""

from __future__ import annotations

from datetime import timedelta

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.polling import choose, expected_posts, longest_wait_seconds
from autorepost_app.persistence import connections
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Connection
from autorepost_app.services import quotas
from autorepost_app.services.house import House


def claim_polls(house: House, scope: SystemScope, platform: str, limit: int) -> list[Connection]:
    """At most `limit` sources of one platform whose turn it is, marked as polled now."""
    now, spec = house.clock(), house.platforms.source_spec(platform)
    most = _room(house, scope, platform, spec.poll_call, limit)
    with house.db.system(scope) as session:
        waiting = connections.due_for_poll(session, platform, now)
        longest_seconds = longest_wait_seconds(connections.count_sources(session, platform), spec.polls_per_minute)
        return connections.claim_polls(session, choose(waiting, most, longest_seconds), now)


def claim_pulses(house: House, scope: SystemScope, platform: str, limit: int) -> list[Connection]:
    """The same for pulses, which have a limit of their own."""
    now, spec = house.clock(), house.platforms.source_spec(platform)
    most = _room(house, scope, platform, spec.pulse_call, limit)
    with house.db.system(scope) as session:
        waiting = connections.due_for_pulse(session, platform, now, timedelta(seconds=spec.pulse_gap_seconds))
        longest_seconds = longest_wait_seconds(connections.count_sources(session, platform), spec.polls_per_minute)
        return connections.claim_pulses(session, choose(waiting, most, longest_seconds), now)


def learn(house: House, session: Session, connection: Connection) -> None:
    """Reckons from all its posts when this source is to be expected to post."""
    known = connections.posted_at(session, connection)
    connections.expect_posts(session, connection.id, expected_posts(known, house.clock()))


def _room(house: House, scope: SystemScope, platform: str, call: str, limit: int) -> int:
    """What the platform's limits let through now, less what is kept for repeats and for reading further back."""
    left = quotas.room(house, scope, platform, call)
    if left is None:
        return limit
    return max(0, min(limit, left - house.platforms.source_spec(platform).calls_kept))
