"""Is what we say of a publication still what its platform shows?

Published ones are looked for in the account's own list, an hour later and then once a day while they are new. What was
sent and did not become published is asked about too; what a restored database may have ended wrongly is searched for,
once. Reads only, counted by the meter, and none where little is left of a limit. Nothing leaves PUBLISHED: what is
gone, or there twice, is an alarm.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.errors import PlatformFault, Reconnect, UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.domain.waking import share
from autorepost_app.domain.watchdogs import (
    ALARM_KEPT,
    CHECK_AGAIN,
    CHECK_EVERY,
    CHECKED_FOR,
    FIRST_CHECK_AFTER,
    SPARE_SHARE,
    Watch,
)
from autorepost_app.persistence import ledger, posts, publications, watchdogs
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.persistence.publications import MoveLost, Proof
from autorepost_app.platform_kit.protocol import Absent, Finding, Grant, Live, PostText, Undecided
from autorepost_app.services import deliveries, prepare, quotas, reads, reconcile, restores, ticks, tokens
from autorepost_app.services import watchdogs as watching
from autorepost_app.services.house import House
from autorepost_app.services.restores import Doubt

_LOG: Final = logging.getLogger(__name__)
_MARGIN: Final = timedelta(minutes=10)
"""How far a platform's clock may be behind ours when a list is read from a time of ours on."""
_MAY_BE_WRONG: Final = (State.FAILED, State.CANCELLED, State.SKIPPED)


def check_due(house: House, scope: SystemScope, *, limit: int, seconds: float = math.inf) -> int:
    """Looks for publications whose check is due, for so long; how many were taken up. One broken delays no other."""
    with house.db.system(scope) as session:
        rows = ticks.in_turn(watchdogs.to_check(session, house.clock(), limit, _not_set_up(house)))
    claimed, broken = len(rows), []
    for row in ticks.while_it_lasts(rows, seconds):
        try:
            at = _check(house, scope, row)
        except (PlatformFault, UserError) as error:
            _LOG.info("publication %s could not be checked: %s", row.id, error)
            at = _not_before(house, scope, row, house.clock() + CHECK_AGAIN)
        except Exception as error:
            broken.append(error)
            continue
        with house.db.system(scope) as session:
            watchdogs.check_again(session, row, at)
    with house.db.system(scope) as session:
        for left in rows:  # behind all that is due by now: one platform's row stands in no other's way
            watchdogs.check_again(session, left, house.clock())
    if broken:
        raise ExceptionGroup("checks that broke", broken)
    return claimed - len(rows)


def _not_set_up(house: House) -> list[str]:
    """Platforms without credentials: nobody can be asked there."""
    missing = []
    for platform in house.platforms.destinations():
        try:
            house.platforms.apps(platform)
        except UserError:
            missing.append(platform)
    return missing


def _check(house: House, scope: SystemScope, row: Publication) -> datetime | None:
    """One look, if it is worth one; when to look again."""
    now = house.clock()
    with house.db.system(scope) as session:
        doubt = _doubt(session, row)
    first_at = _first_at(house, row, doubt)
    if first_at is None or now < first_at:
        return first_at
    if doubt is None and _not_before(house, scope, row, now) is None:
        return None
    if quotas.least_share(house, scope, row.platform, row.external_account_id) < SPARE_SHARE:
        return _not_before(house, scope, row, now + CHECK_AGAIN)
    if doubt is not None:
        _look_after_restore(house, scope, row, doubt)
        return None
    return _looked_at(house, scope, row)


def _doubt(session: Session, row: Publication) -> Doubt | None:
    return restores.doubt_of(session, row) if row.state in _MAY_BE_WRONG else None


def _first_at(house: House, row: Publication, doubt: Doubt | None) -> datetime | None:
    """From when on a look means something; None where there is nothing to look for."""
    if doubt is not None:
        return _quiet_at(house, row, doubt)
    if row.state == State.PUBLISHED or row.last_sent_at is not None:
        return row.state_at + FIRST_CHECK_AFTER * (1 + share(row.id))
    return None


def _quiet_at(house: House, row: Publication, doubt: Doubt) -> datetime:
    """No request from before the restore is alive any more."""
    lifetime = house.platforms.destination_spec(row.platform).reconcile.request_lifetime_seconds
    return house.times.quiet_at(doubt.restored_at, lifetime)


def _looked_at(house: House, scope: SystemScope, row: Publication) -> datetime | None:
    if row.state == State.PUBLISHED:
        _look_at_published(house, scope, row)
    elif _ask_about_sent(house, scope, row):
        return None
    return _next(house, scope, row)


def _next(house: House, scope: SystemScope, row: Publication) -> datetime | None:
    """A day later, where reading costs nothing or something is wrong."""
    with house.db.system(scope) as session:
        lasting = watchdogs.alarms(session, row.id)
    if house.platforms.destination_spec(row.platform).reads_cost and not lasting:
        return None
    return _not_before(house, scope, row, house.clock() + CHECK_EVERY)


def _not_before(house: House, scope: SystemScope, row: Publication, at: datetime) -> datetime | None:
    """That moment, or None where it would be too late to matter; then its alarms are over too."""
    with house.db.system(scope) as session:
        lasting = [alarm for alarm in watchdogs.alarms(session, row.id) if alarm.watch in (Watch.GONE, Watch.TWICE)]
        last_at = max([row.state_at + CHECKED_FOR, *(alarm.began_at + ALARM_KEPT for alarm in lasting)])
        if at <= last_at or _doubt(session, row) is not None:
            return at
        for alarm in lasting:
            watching.lower_for(session, Watch(alarm.watch), row)
    return None


# --------------------------------------------------------------------------------------------------------- published


def _look_at_published(house: House, scope: SystemScope, row: Publication) -> None:
    since = min(at for at in (row.first_sent_at, row.published_at, row.state_at) if at is not None) - _MARGIN
    finding = _searched(house, scope, row, since)
    with house.db.system(scope) as session:
        _judge(house, session, row, finding)


def _searched(house: House, scope: SystemScope, row: Publication, since: datetime) -> Finding:
    grant = tokens.grant_for(house, scope, row.connection_id)
    try:
        return _search(house, row, grant, since)
    except PlatformFault as fault:
        if not (isinstance(fault.verdict, Reconnect) and fault.verdict.refresh_first):
            raise
        return _search(house, row, tokens.renew(house, scope, row.connection_id, grant), since)


def _search(house: House, row: Publication, grant: Grant, since: datetime) -> Finding:
    delivery = deliveries.delivery_to_look_for(house, row, prepare.frozen_text(row), grant)
    return house.platforms.destination(row.platform).search(delivery, since)


def _judge(house: House, session: Session, row: Publication, finding: Finding) -> None:
    alike = _alike(finding)
    others = publications.bound_ids(session, row.platform, row.external_account_id, alike) - {row.external_id}
    free = [each for each in alike if each not in others]
    ours = row.external_id if row.external_id is not None else (free[0] if free else None)
    strangers = [each for each in free if each != ours]
    if ours in free:
        watching.lower_for(session, Watch.GONE, row)
        if strangers:
            watching.raise_for(house, session, Watch.TWICE, row, {"others": strangers})
        else:
            watching.lower_for(session, Watch.TWICE, row)
    elif isinstance(finding, Absent) or (isinstance(finding, Live) and finding.external_id is not None):
        watching.raise_for(house, session, Watch.GONE, row, {"others": strangers})


def _alike(finding: Finding) -> tuple[str, ...]:
    """The ids of the posts that look like it."""
    match finding:
        case Live(external_id=str() as external_id):
            return (external_id,)
        case Live(alike=alike) | Undecided(alike=alike):
            return alike
        case _:
            return ()


# ---------------------------------------------------------------------------------------------- not published, or is it


def _ask_about_sent(house: House, scope: SystemScope, row: Publication) -> bool:
    """Whether what was sent and given up has turned up: its handles are asked, as the reconciler does."""
    if row.attempt_id is None or row.rendition_id is None:
        return False
    with house.db.system(scope) as session:
        loaded = deliveries.load(session, row.id, row.attempt_id)
        before = reads.unclear_before(session, loaded)
    finding = reads.look(house, scope, loaded, before)
    return isinstance(finding, Live) and _found_live(house, scope, row, finding)


def _look_after_restore(house: House, scope: SystemScope, row: Publication, doubt: Doubt) -> None:
    """Once: what was forgotten may have sent it before, or instead of, what ended it."""
    grant = tokens.grant_for(house, scope, row.connection_id)
    with house.db.system(scope) as session:
        words = _words(house, session, row)
    delivery = deliveries.delivery_to_look_for(house, row, words, grant)
    finding = restores.search_with(house, scope, row, delivery, doubt)
    if isinstance(finding, Live):
        _found_live(house, scope, row, finding)
    with house.db.system(scope) as session:
        if isinstance(finding, Undecided) and row.state != State.SKIPPED:
            _tell_undecided(house, session, row, finding)
        publications.looked(session, row.id, doubt.epoch)


def _words(house: House, session: Session, row: Publication) -> PostText:
    """As they were frozen, or as they would have been."""
    if row.text:
        return prepare.frozen_text(row)
    post = posts.get(session, row.post_id)
    return house.platforms.destination_spec(row.platform).text.fit(prepare.words_of(session, post, row))[0]


def _found_live(house: House, scope: SystemScope, row: Publication, finding: Live) -> bool:
    """It is PUBLISHED by that proof; of what its rule left out people are told, since nothing leads there."""
    if row.state == State.SKIPPED:
        with house.db.system(scope) as session:
            watching.raise_for(house, session, Watch.LIVE_UNSAID, row, {"others": list(_alike(finding))})
        return True
    at = house.clock()
    proof = Proof(EvidenceKind.LIVE, "check", finding.proof, at, external_id=finding.external_id, url=finding.url)
    try:
        with house.db.system(scope) as session:
            reconcile.live_after_all(house, session, row, proof)
    except MoveLost:  # R4: live evidence is kept whoever moved it meanwhile, and stops a send that was asked for
        with house.db.system(scope) as session:
            publications.record(session, row, replace(proof, source="late_answer"))
        return False
    _LOG.error("publication %s was %s and is live: %s", row.id, row.state, finding.proof)
    return True


def _tell_undecided(house: House, session: Session, row: Publication, finding: Undecided) -> None:
    name = house.platforms.manifest(row.platform).name
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=house.clock(),
        kind="publication.note",
        text=f"{name}: our database was restored, and whether this video went out before cannot be told. Please look.",
        detail=finding.reason,
        post_id=row.post_id,
        publication_id=row.id,
        connection_id=row.connection_id,
    )
