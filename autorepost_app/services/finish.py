"""What is left to do once a post is live? Playlists, covers, and the platform's own last word on it.

Nothing here can change that it was published (R5): a step that cannot be done now is tried again later, for a day, and
what then is left becomes a note to the creator.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, UserError, Verdict, WaitUntil
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import ledger, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.services import deliveries, ticks, tokens
from autorepost_app.services.house import House

_HELD_SECONDS: Final = 300.0
_AGAIN_SECONDS: Final = 300.0
_RECONNECT_SECONDS: Final = 3600.0
_LONGEST: Final = timedelta(days=1)


def finish_due(house: House, scope: SystemScope, *, limit: int, seconds: float = math.inf) -> int:
    """Takes published posts that have something left one step further, for so long; how many were looked at."""
    platforms = [key for key in house.platforms.destinations() if house.platforms.destination_spec(key).finishes]
    now = house.clock()
    with house.db.system(scope) as session:
        until = now + timedelta(seconds=_HELD_SECONDS)
        rows = ticks.in_turn(publications.to_finish(session, platforms, now=now, until=until, limit=limit))
    claimed, broken = len(rows), []
    for row in ticks.while_it_lasts(rows, seconds):
        try:
            _finish(house, scope, row)
        except Exception as error:  # what breaks one delays no other: it is held, and comes again
            broken.append(error)
    with house.db.system(scope) as session:
        for left in rows:
            publications.finish_again(session, left.id, house.clock())
    if broken:
        raise ExceptionGroup("steps that broke", broken)
    return claimed - len(rows)


def _finish(house: House, scope: SystemScope, row: Publication) -> None:
    try:
        notes = _steps(house, scope, row)
    except PlatformFault as fault:
        with house.db.system(scope) as session:
            _later(house, session, row, fault.verdict)
        return
    except UserError as error:
        with house.db.system(scope) as session:
            _later(house, session, row, TryAgain(error.text, error.remedy, "set_up"))
        return
    with house.db.system(scope) as session:
        publications.finish_again(session, row.id, None)
        for note in notes:
            _note(house, session, row, note)


def _steps(house: House, scope: SystemScope, row: Publication) -> tuple[str, ...]:
    finisher = house.platforms.parts(row.platform).finisher
    if finisher is None or row.external_id is None or row.attempt_id is None:
        return ()
    with house.db.system(scope) as session:
        loaded = deliveries.load(session, row.id, row.attempt_id)
    grant = tokens.grant_for(house, scope, row.connection_id)
    delivery = deliveries.delivery_of(house, loaded, grant, lambda _step, _fraction: None)
    return finisher.finish(delivery, deliveries.open_handles(house, loaded.attempt), row.external_id)


def _later(house: House, session: Session, row: Publication, verdict: Verdict) -> None:
    now = house.clock()
    if row.published_at is None or now - row.published_at < _LONGEST:
        publications.finish_again(session, row.id, _at(verdict, now))
        return
    publications.finish_again(session, row.id, None)
    _note(house, session, row, f"what was left to do was given up after a day: {verdict.text}")


def _at(verdict: Verdict, now: datetime) -> datetime:
    match verdict:
        case WaitUntil(at=at):
            return at
        case TryAgain(after_seconds=float() | int() as after):
            return now + timedelta(seconds=after)
        case Reconnect():
            return now + timedelta(seconds=_RECONNECT_SECONDS)
        case _:
            return now + timedelta(seconds=_AGAIN_SECONDS)


def _note(house: House, session: Session, row: Publication, note: str) -> None:
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=house.clock(),
        kind="publication.note",
        text=f"{house.platforms.manifest(row.platform).name}: {note}",
        post_id=row.post_id,
        publication_id=row.id,
        connection_id=row.connection_id,
    )
