"""Is every promise being kept at this moment, and who has been told where one is not?

`look` compares what is broken with the alarms that last: a new one is a line in the log and one in the activity of its
tenant, once, with what can be done; its end is a line in the log. `standing` asks the rows themselves, so that metrics
are right also where nobody looks any more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from autorepost_app.domain.clock import Clock, utc_now
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.polling import longest_wait_seconds
from autorepost_app.domain.watchdogs import (
    CATCH_UP,
    CLOCKS_APART_SECONDS,
    PAUSE,
    SOURCE_STILL_SPARE,
    SOURCE_STILL_TURNS,
    Watch,
    told,
)
from autorepost_app.persistence import connections, ledger, restores, watchdogs
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Alarm, Publication
from autorepost_app.persistence.watchdogs import Look, Standing
from autorepost_app.platform_kit import clocks
from autorepost_app.services.house import House

_LOG: Final = logging.getLogger(__name__)
_STATE: Final = "watch"
_MOST: Final = 200
"""So many alarms of one kind begin in one look; the rest follow in the next ones, the oldest first."""
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look changed of one kind of alarm: the subjects, and since when the oldest."""

    watch: Watch
    began: tuple[str, ...]
    over: tuple[str, ...]
    since_at: datetime | None = None


def look(house: House, scope: SystemScope, *, real: Clock = utc_now) -> list[Turn]:
    """One look at everything; what has changed since the last one. `real` is this machine's own clock.

    A watch that breaks keeps no other from looking: it is raised at the end, and the look does not count as made.
    """
    is_awake, now = _wake_up(house, scope), _look_of(house, scope)
    looks = [partial(_watch, house, scope, watch, now, may_begin=is_awake) for watch in watchdogs.WATCHED]
    changed: list[Turn] = []
    broken: list[Exception] = []
    for each in (*looks, partial(_compare_clocks, house, scope, real)):
        try:
            turn = each()
        except Exception as error:
            broken.append(error)
            continue
        if turn.began or turn.over:
            _log(turn)
            changed.append(turn)
    if broken:
        raise ExceptionGroup("watches that broke", broken)
    _done(house, scope, now.now)
    return changed


def standing(house: House, scope: SystemScope) -> list[Standing]:
    """Every watch as it is now, whether anybody has looked lately or not."""
    now = _look_of(house, scope)
    with house.db.system(scope) as session:
        seen = {watch: watchdogs.standing(session, watch, now) for watch in watchdogs.WATCHED}
        raised = {watch: each for watch, each in watchdogs.raised(session).items() if watch not in seen}
    nothing = {watch: Standing(watch, 0, None) for watch in Watch}
    return list({**nothing, **raised, **seen}.values())


def looked_at(house: House, scope: SystemScope) -> datetime | None:
    """When the last look was that came to its end: who watches the watch asks for its age."""
    with house.db.system(scope) as session:
        found = ledger.setting(session, _STATE)
    return datetime.fromisoformat(found.value["looked_at"]) if found else None


def alarms(house: House, scope: SystemScope) -> list[Alarm]:
    """Those that last, the oldest first."""
    with house.db.system(scope) as session:
        return watchdogs.alarms(session)


def raise_for(
    house: House, session: Session, watch: Watch, row: Publication, about: Mapping[str, Any] | None = None
) -> bool:
    """An alarm about one publication that somebody else has found out; whether it is new."""
    subjects = {"tenant_id": row.tenant_id, "post_id": row.post_id, "publication_id": row.id}
    whole = {**subjects, "connection_id": row.connection_id, "platform": row.platform, **(about or {})}
    now = house.clock()
    is_new = watchdogs.raise_alarm(session, watch, row.id, since_at=now, now=now, about=whole)
    if is_new:
        _tell(house, session, watch, whole, now)
        _log(Turn(watch, (row.id,), (), now))
    return is_new


def lower_for(session: Session, watch: Watch, row: Publication) -> None:
    if watchdogs.lower_alarm(session, watch, row.id):
        _log(Turn(watch, (), (row.id,)))


# -------------------------------------------------------------------------------------------------------- one look


def _wake_up(house: House, scope: SystemScope) -> bool:
    """Notes that somebody looks; whether the house has been at work for long enough to be judged.

    The first look after a restore has what may have ended wrongly looked for.
    """
    now = house.clock()
    with house.db.system(scope) as session:
        found = ledger.setting(session, _STATE)
        before = found.value if found else {}
        last = datetime.fromisoformat(before.get("began_at", before["looked_at"])) if before else None
        slept = last is None or not timedelta(0) <= now - last <= PAUSE
        awake_since = now if slept else datetime.fromisoformat(before["awake_since"])
        epoch = int(before.get("epoch", 0))
        for restore in restores.since(session, epoch):
            count = watchdogs.check_after(session, restore, now)
            _LOG.warning("%d publications that ended around a restore are looked for", count)
            epoch = restore.epoch
        began = {"began_at": now.isoformat(), "awake_since": awake_since.isoformat(), "epoch": epoch}
        ledger.save_setting(session, _STATE, {"looked_at": now.isoformat(), **before, **began}, now=now)
    return now - awake_since >= CATCH_UP


def _done(house: House, scope: SystemScope, at: datetime) -> None:
    """Only a look that came to its end counts: the age of the last one is what tells that none does."""
    with house.db.system(scope) as session:
        found = ledger.setting(session, _STATE)
        if found is not None:
            ledger.save_setting(session, _STATE, {**found.value, "looked_at": at.isoformat()}, now=at)


def _look_of(house: House, scope: SystemScope) -> Look:
    now, sources = house.clock(), {}
    with house.db.system(scope) as session:
        for platform in house.platforms.sources():
            a_minute = house.platforms.source_spec(platform).polls_per_minute
            seconds = longest_wait_seconds(connections.count_sources(session, platform), a_minute)
            sources[platform] = now - timedelta(seconds=seconds * SOURCE_STILL_TURNS) - SOURCE_STILL_SPARE
    return Look(now, sources)


def _watch(house: House, scope: SystemScope, watch: Watch, now: Look, *, may_begin: bool) -> Turn:
    with house.db.system(scope) as session:
        over = watchdogs.ended(session, watch, now)
        began = watchdogs.began(session, watch, now, most=_MOST) if may_begin else []
        for alarm in began:
            _tell(house, session, watch, alarm.about, now.now)
    oldest = min((alarm.since_at for alarm in began), default=None)
    return Turn(watch, tuple(alarm.subject for alarm in began), tuple(alarm.subject for alarm in over), oldest)


def _compare_clocks(house: House, scope: SystemScope, real: Clock) -> Turn:
    """Real clocks only: `house.clock` may be moved, and says nothing about this machine."""
    ahead, now = dict(clocks.ahead_seconds()), house.clock()
    with house.db.system(scope) as session:
        before = real()
        ahead["database"] = ((before + (real() - before) / 2) - watchdogs.database_time(session)).total_seconds()
        apart = {name: round(seconds, 1) for name, seconds in ahead.items() if abs(seconds) > CLOCKS_APART_SECONDS}
        watch = Watch.CLOCKS_APART
        lasting = {alarm.subject for alarm in watchdogs.alarms(session) if alarm.watch == watch}
        over = [name for name in sorted(lasting - set(apart)) if watchdogs.lower_alarm(session, watch, name)]
        began = [
            f"{name} ({seconds:+.1f} s)"
            for name, seconds in sorted(apart.items())
            if watchdogs.raise_alarm(session, watch, name, since_at=now, now=now, about={"ahead_seconds": seconds})
        ]
    return Turn(watch, tuple(began), tuple(over), now if began else None)


def _tell(house: House, session: Session, watch: Watch, about: Mapping[str, Any], now: datetime) -> None:
    text = told(watch, str(about.get("waits") or ""))
    if not text or "tenant_id" not in about:
        return
    name = house.platforms.name(about["platform"])
    subjects = {key: about[key] for key in ("post_id", "publication_id", "connection_id") if about.get(key)}
    ledger.tell(
        session, tenant_id=about["tenant_id"], at=now, kind=f"alarm.{watch}", text=f"{name}: {text}", **subjects
    )


def _log(turn: Turn) -> None:
    if turn.began:
        _LOG.error("%s: %s, the oldest since %s", turn.watch, _listed(turn.began), turn.since_at)
    if turn.over:
        _LOG.warning("%s is over: %s", turn.watch, _listed(turn.over))


def _listed(subjects: Sequence[str]) -> str:
    more = f" and {len(subjects) - _SHOWN} more" if len(subjects) > _SHOWN else ""
    return ", ".join(subjects[:_SHOWN]) + more
