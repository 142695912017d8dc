"""Does a platform answer at the moment, and if not: who waits for how long, and who goes first again?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from autorepost_app.domain.circuits import (
    ACCOUNT_FAULTS,
    CAUSE,
    PLATFORM_ACCOUNTS,
    PROBE_SECONDS,
    rest_seconds,
)
from autorepost_app.domain.errors import OutcomeUnknown, TryAgain, Verdict, WaitUntil
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.waking import share
from autorepost_app.persistence import circuits
from autorepost_app.persistence.circuits import WHOLE
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Circuit, Publication
from autorepost_app.services import stops, tokens
from autorepost_app.services.house import House

_LOG: Final = logging.getLogger(__name__)
_OUR_OWN_WORDS: Final = frozenset({CAUSE, stops.CAUSE, tokens.NOT_ACTIVE})


def held_off(house: House, session: Session, row: Publication) -> WaitUntil | None:
    """What the publication waits for while its platform or account does not answer.

    None when nothing is open, and for the one that goes first when a rest is over: the others wait for what it meets.
    """
    now = house.clock()
    found = [each for each in circuits.of(session, row.platform, row.external_account_id) if each.opened_at is not None]
    resting = [each for each in found if each.probe_at is not None and each.probe_at > now]
    if resting:
        return _wait(house, max(resting, key=lambda each: each.probe_at or now), row)
    for each in found:
        each.probe_at = now + timedelta(seconds=PROBE_SECONDS)
    return None


def heard(house: House, session: Session, row: Publication, verdict: Verdict) -> None:
    """What the verdict on an attempt says about the platform: a fault counts, any other word of it is an answer.

    A refusal counts as an answer too: whoever goes first and meets a limit has met somebody. What we ourselves said
    before anybody was asked counts as neither.
    """
    if not verdict.code or verdict.code in _OUR_OWN_WORDS:
        return
    if isinstance(verdict, (TryAgain, OutcomeUnknown)):
        _count(house, session, row, verdict)
    else:
        answered(house, session, row)


def _count(house: House, session: Session, row: Publication, verdict: Verdict) -> None:
    """One fault more; what has had too many in a row is opened."""
    account = row.external_account_id
    for which, faults in ((WHOLE, PLATFORM_ACCOUNTS), (account, ACCOUNT_FAULTS)):
        counted = circuits.count_fault(
            session, row.platform, which, by=account, text=verdict.text, detail=verdict.detail
        )
        was_open = counted.opened_at is not None
        if was_open or counted.faults >= faults:
            _open(house, counted)
            if not was_open:
                _LOG.error("%s %s does not answer: %s", row.platform, which or "as a whole", verdict.detail)


def answered(house: House, session: Session, row: Publication) -> None:
    """The platform is back for this account: what was held off goes on, one after the other."""
    if circuits.close(session, row.platform, row.external_account_id):
        woken = circuits.wake(session, row.platform, house.clock())
        _LOG.warning("%s answers again; %d publications go on", row.platform, woken)


def open_now(house: House, scope: SystemScope) -> Sequence[Circuit]:
    """Every platform and account that is left alone, the longest first."""
    with house.db.system(scope) as session:
        return circuits.all_open(session)


def _open(house: House, circuit: Circuit) -> None:
    """For the first time, or for longer because whoever went first has failed."""
    now = house.clock()
    circuit.opened_at = circuit.opened_at or now
    circuit.openings += 1
    circuit.probe_at = now + timedelta(seconds=rest_seconds(circuit.openings))


def _wait(house: House, circuit: Circuit, row: Publication) -> WaitUntil:
    name = house.platforms.manifest(row.platform).name
    whose = " for this account" if circuit.account != WHOLE else ""
    text = f"{name} does not answer{whose}; it waits until that is over."
    apart = rest_seconds(max(circuit.openings, 1)) * share(row.id)
    at = (circuit.probe_at or house.clock()) + timedelta(seconds=apart)
    return WaitUntil(text, circuit.detail, CAUSE, at=at, limit=name)
