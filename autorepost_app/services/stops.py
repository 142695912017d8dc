"""Is a platform stopped for everyone, until when, and why?

When the fault is ours as the operator (the bill, the registration, the set-up), every further call would fail alike.
The first verdict stops the platform for all tenants and is told once; when it runs out, the next publication tries.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.errors import Operator, WaitUntil
from autorepost_app.persistence import ledger
from autorepost_app.persistence.engine import Session
from autorepost_app.services.house import House

_LOG: Final = logging.getLogger(__name__)
_LASTS: Final = timedelta(minutes=15)
CAUSE: Final = "stopped"


@dataclass(frozen=True, slots=True)
class Stop:
    """A platform on which nothing is tried before `until`. `detail` and `remedy` are for the operator only."""

    platform: str
    until: datetime
    text: str
    detail: str
    remedy: str


def stop(house: House, session: Session, platform: str, verdict: Operator) -> WaitUntil:
    """Stops the platform and returns what its publications wait for."""
    if stopped(house, session, platform) is None:
        name = house.platforms.manifest(platform).name
        _LOG.error("%s is stopped for everyone: %s %s", name, verdict.detail or verdict.text, verdict.remedy)
    until = house.clock() + _LASTS
    value = {"until": until.isoformat(), "text": verdict.text, "detail": verdict.detail, "remedy": verdict.remedy}
    ledger.save_setting(session, _name(platform), value, now=house.clock())
    return _wait(until, verdict.text)


def stopped(house: House, session: Session, platform: str) -> WaitUntil | None:
    """What publications on the platform wait for, or None when it is not stopped."""
    found = stop_of(house, session, platform)
    return _wait(found.until, found.text) if found is not None else None


def stop_of(house: House, session: Session, platform: str) -> Stop | None:
    """The same for whoever wants to know what is to be done about it."""
    found = ledger.setting(session, _name(platform))
    if found is None or datetime.fromisoformat(found.value["until"]) <= house.clock():
        return None
    return Stop(platform, **{**found.value, "until": datetime.fromisoformat(found.value["until"])})


def _name(platform: str) -> str:
    return f"stopped:{platform}"


def _wait(until: datetime, text: str) -> WaitUntil:
    # without the detail: what waits may be another tenant's than what met the fault
    return WaitUntil(text, "", CAUSE, at=until, limit="an operator")
