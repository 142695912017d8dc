"""Can files be fetched from a source at all, or is the whole way closed?

A source that breaks upstream breaks for every post alike. The first sign makes it *suspect*: then a canary, a public
post that has been there for years, says whether it is the way or only that post. While the way is closed nobody tries,
no attempt is spent and nothing is lost; the canary is asked again until it comes, and everything goes on by itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from autorepost_app.domain.errors import PlatformFault, UserError, Verdict
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import connections, ledger, publications, waking
from autorepost_app.persistence.engine import Session
from autorepost_app.services.house import House

_LOG: Final = logging.getLogger(__name__)
_LOOK_AFTER: Final = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30))
"""Waits between looks at a way that is closed; the last one repeats."""
_LOOK_ANYWAY: Final = timedelta(hours=6)
CAUSE: Final = "chain"
"""Of what waits while the way is closed."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the way to one source's files stands. `waiting` posts go on by themselves once it is open."""

    platform: str
    open: bool
    text: str
    detail: str
    since_at: datetime | None
    next_look_at: datetime | None
    waiting: int


def closed_until(house: House, session: Session, platform: str) -> datetime | None:
    """When the way is looked at next, or None where it is open as far as anybody knows."""
    state = _state(session, platform)
    return _time(state, "look_at") if state.get("closed_at") else None


def suspect(house: House, session: Session, platform: str, verdict: Verdict) -> None:
    """A file did not come for a reason that may be everybody's: the next look is now."""
    state, now = _state(session, platform), house.clock()
    if not state.get("closed_at"):
        told = {"text": verdict.text, "detail": verdict.detail, "look_at": now.isoformat()}
        _save(house, session, platform, {**state, **told})


def came(house: House, session: Session, platform: str) -> None:
    """A file came: whatever was the matter is over."""
    state = _state(session, platform)
    if state.get("closed_at"):
        _open_again(house, session, platform)
    elif state.get("text"):
        _save(house, session, platform, {"looked_at": house.clock().isoformat()})


def look(house: House, scope: SystemScope) -> list[Health]:
    """Asks the canary of each source where it is time; those that were asked, as they stand then."""
    asked = [platform for platform in house.platforms.sources() if _is_due(house, scope, platform)]
    for platform in asked:
        try:
            house.platforms.source(platform).probe()
        except UserError:
            continue  # not set up: the doctor says so, and there is nobody to look for
        except PlatformFault as fault:
            with house.db.system(scope) as session:
                _close(house, session, platform, fault.verdict)
        else:
            with house.db.system(scope) as session:
                _open_again(house, session, platform)
    return [each for each in health(house, scope) if each.platform in asked]


def health(house: House, scope: SystemScope) -> list[Health]:
    """Every source's, for doctors and screens."""
    with house.db.system(scope) as session:
        return [_health(session, platform) for platform in house.platforms.sources()]


def _health(session: Session, platform: str) -> Health:
    state = _state(session, platform)
    shut = bool(state.get("closed_at"))
    return Health(
        platform,
        not shut,
        state.get("text", "") if shut else "",
        state.get("detail", "") if shut else "",
        _time(state, "closed_at"),
        _time(state, "look_at"),
        publications.waiting_for_files(session, platform),
    )


def _is_due(house: House, scope: SystemScope, platform: str) -> bool:
    """A suspect at once, a closed way when its time has come, and now and then a way that nobody complains of, if
    there is anybody whose posts would come along it."""
    with house.db.system(scope) as session:
        state = _state(session, platform)
        if look_at := _time(state, "look_at"):
            return look_at <= house.clock()
        looked_at = _time(state, "looked_at")
        if looked_at is None:
            _save(house, session, platform, {"looked_at": house.clock().isoformat()})
            return False
        return looked_at + _LOOK_ANYWAY <= house.clock() and bool(connections.tenants_on(session, platform))


def _close(house: House, session: Session, platform: str, verdict: Verdict) -> None:
    state, now = _state(session, platform), house.clock()
    looks = int(state.get("looks", 0))
    name = house.platforms.manifest(platform).name
    if not state.get("closed_at"):
        _LOG.error("No files come from %s, for anybody: %s", name, verdict.detail or verdict.text)
        text = f"No videos can be fetched from {name} at the moment, for anybody. Nothing is lost: they wait."
        _tell_everybody(session, platform, now, "chain.closed", text, verdict.detail)
    wait = _LOOK_AFTER[min(looks, len(_LOOK_AFTER) - 1)]
    _save(
        house,
        session,
        platform,
        {
            "closed_at": state.get("closed_at") or now.isoformat(),
            "look_at": (now + wait).isoformat(),
            "looks": looks + 1,
            "text": verdict.text,
            "detail": verdict.detail,
        },
    )


def _open_again(house: House, session: Session, platform: str) -> None:
    state, now = _state(session, platform), house.clock()
    _save(house, session, platform, {"looked_at": now.isoformat()})
    if not state.get("closed_at"):
        return
    causes = {CAUSE, *house.platforms.source_spec(platform).chain_codes}
    woken = waking.files_come(session, platform, now, causes=causes)
    name = house.platforms.manifest(platform).name
    _LOG.warning("Files come from %s again; %d publications go on.", name, woken)
    _tell_everybody(session, platform, now, "chain.open", f"Videos can be fetched from {name} again.", "")


def _tell_everybody(session: Session, platform: str, now: datetime, kind: str, text: str, detail: str) -> None:
    for tenant_id in connections.tenants_on(session, platform):
        ledger.tell(session, tenant_id=tenant_id, at=now, kind=kind, text=text, detail=detail)


def _state(session: Session, platform: str) -> dict[str, Any]:
    found = ledger.setting(session, f"chain:{platform}")
    return dict(found.value) if found else {}


def _save(house: House, session: Session, platform: str, state: dict[str, Any]) -> None:
    ledger.save_setting(session, f"chain:{platform}", state, now=house.clock())


def _time(state: dict[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(state[name]) if state.get(name) else None
