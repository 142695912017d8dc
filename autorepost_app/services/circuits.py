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

    None when nothing is open, and for the one that goes first when a rest is over, until it is known what it has met.
    """
    now = house.clock()
    found = [each for each in circuits.of(session, row.platform, row.external_account_id) if each.opened_at is not None]
    resting = [each for each in found if each.probe_at and each.probe_at > now and each.probe_by != row.id]
    if resting:
        return _wait(house, max(resting, key=lambda each: each.probe_at or now), row)
    for each in found:
        each.probe_at = now + timedelta(seconds=PROBE_SECONDS)
        each.probe_by = row.id
    return None


def heard(house: House, scope: SystemScope, row: Publication, verdict: Verdict | None) -> None:
    """What the end of an attempt says about the platform; None for a post that is live.

    A fault counts. Any other word of the platform's is an answer, a refusal too: whoever goes first and meets a limit
    has met somebody. What we ourselves said before anybody was asked is neither. In a transaction of its own, and
    whatever breaks in it is only logged: nothing here may undo what is known about a publication.
    """
    if verdict is not None and _is_our_own(verdict):
        return
    try:
        with house.db.system(scope) as session:
            if isinstance(verdict, (TryAgain, OutcomeUnknown)):
                _count(house, session, row, verdict)
            else:
                _answered(house, session, row)
    except Exception:
        _LOG.exception("what an answer says about %s could not be kept", row.platform)


def _is_our_own(verdict: Verdict) -> bool:
    return not verdict.code or verdict.code in _OUR_OWN_WORDS or verdict.code.startswith("limit.")


def _count(house: House, session: Session, row: Publication, verdict: Verdict) -> None:
    """One fault more; what has had too many in a row is opened."""
    account = row.external_account_id
    for each in circuits.ready_to_count(session, row.platform, account):
        each.faults += 1
        each.accounts = sorted({*each.accounts, account})
        each.text, each.detail = verdict.text, verdict.detail
        if each.opened_at is not None:
            if each.probe_by == row.id:  # whoever was under way when it opened says nothing new
                _open(house, each)
        elif len(each.accounts) >= PLATFORM_ACCOUNTS if each.account == WHOLE else each.faults >= ACCOUNT_FAULTS:
            _open(house, each)
            _LOG.error("%s %s does not answer: %s", row.platform, each.account or "as a whole", verdict.detail)


def _answered(house: House, session: Session, row: Publication) -> None:
    """The platform is back for this account: what was held off goes on, one after the other."""
    if not circuits.any_fault(session, row.platform):
        return
    found = circuits.of(session, row.platform, row.external_account_id)
    was_open = any(each.opened_at is not None for each in found)
    for each in found:
        session.delete(each)
    if was_open:
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
    circuit.probe_by = ""
    circuit.probe_at = now + timedelta(seconds=rest_seconds(circuit.openings))


def _wait(house: House, circuit: Circuit, row: Publication) -> WaitUntil:
    name = house.platforms.manifest(row.platform).name
    whose = " for this account" if circuit.account != WHOLE else ""
    text = f"{name} does not answer{whose}; it waits until that is over."  # not why: that may be another tenant's
    apart = rest_seconds(max(circuit.openings, 1)) * share(row.id)
    at = (circuit.probe_at or house.clock()) + timedelta(seconds=apart)
    return WaitUntil(text, "", CAUSE, at=at, limit=name)
