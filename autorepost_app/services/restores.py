"""Did the database forget sends, and what do we look for before anything is sent again?

The store remembers, tick by tick, how far the database was. A database that is behind its own past has been restored:
a new epoch begins, and whatever is due is looked for among what its account published since the last moment that the
database is sure of (exactly-once R7). A backup that took the store along hides this; `declare` is for people who know.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.identity import SystemScope
from autorepost_app.media.errors import ObjectMissing
from autorepost_app.persistence import ledger, posts, publications, restores
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication, Restore
from autorepost_app.persistence.restores import Marks
from autorepost_app.platform_kit.protocol import Absent, Delivery, DestinationSpec, Finding, KeyKind, Live, Undecided
from autorepost_app.services import deliveries, tokens
from autorepost_app.services.deliveries import Loaded
from autorepost_app.services.house import House

READ_AFTER_SECONDS: Final = (60.0, 700.0, 1800.0, 3600.0)
GIVE_UP_AFTER_SECONDS: Final = 3600.0
"""Ages, since the restore, of the looks for what it may have forgotten; then a person decides."""

_LOG: Final = logging.getLogger(__name__)
_WITNESS: Final = "installation/witness.json"
_SEEN: Final = "database_seen"
_MARGIN: Final = timedelta(minutes=10)
"""How far a platform's clock may be behind ours when the times of its posts are compared with our own."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One publication may have been sent after `lost_since` by what was forgotten at `restored_at`."""

    epoch: int
    lost_since: datetime
    restored_at: datetime


# ------------------------------------------------------------------------------------------------ noticing a restore


def watch(house: House, scope: SystemScope) -> bool:
    """Notices a restore, then remembers outside of the database how far it is now. Whether a restore was noticed.

    Cheap enough for every tick: two reads and, where the database has moved, two small writes.
    """
    noticed = notice(house, scope)
    with house.db.system(scope) as session:
        now, before = house.clock(), _remembered(house)
        marks = restores.marks(session)
        if before is not None and before.flushed == marks.flushed:
            return noticed
        if before is None:  # whoever starts at the same time and sees the line below must see that it is remembered
            _remember(house, marks)
        ledger.save_setting(session, _SEEN, {"at": now.isoformat()}, now=now)
    _remember(house, marks)
    return noticed


def notice(house: House, scope: SystemScope) -> bool:
    """Opens an epoch if the database is not what the store remembers of it; to be asked before each send."""
    with house.db.system(scope) as session:
        if _is_itself(house, session):
            return False
        restores.alone(session)
        if _is_itself(house, session):  # somebody else has noticed meanwhile
            return False
        _begin(house, scope, "the database is behind what it was")
    return True


def declare(house: House, scope: SystemScope, *, lost_since: datetime | None = None) -> int:
    """An operator says that a backup was restored; how many publications are looked for before they are sent.

    `lost_since` is when the backup was made; without it, when the database last knew that it was in use.
    """
    with house.db.system(scope) as session:
        restores.alone(session)
        _begin(house, scope, "declared by an operator", lost_since)
        return sum(restores.unfinished(session).values())


def _begin(house: House, scope: SystemScope, reason: str, lost_since: datetime | None = None) -> None:
    """An epoch, on disk before the store forgets what it is for. Whoever calls is alone until both are done."""
    with house.db.system(scope) as session:
        _open(house, session, reason, lost_since)
        marks = restores.marks(session)
    _remember(house, marks)


def _is_itself(house: House, session: Session) -> bool:
    remembered = _remembered(house)
    if remembered is None:
        # a first start, or a store that was lost: then nobody can say what the database is missing
        return ledger.setting(session, _SEEN) is None
    return restores.marks(session).follows(remembered)


def _open(house: House, session: Session, reason: str, lost_since: datetime | None = None) -> Restore:
    seen, now = ledger.setting(session, _SEEN), house.clock()
    since = lost_since or (datetime.fromisoformat(seen.value["at"]) if seen else now)
    opened = restores.open_epoch(session, lost_since=since, restored_at=now, reason=reason)
    _LOG.error("The database was restored (%s): whatever is due is looked for before it is sent.", reason)
    for tenant_id, count in restores.unfinished(session).items():
        number = "One video that was" if count == 1 else f"{count} videos that were"
        ledger.tell(
            session,
            tenant_id=tenant_id,
            at=now,
            kind="database.restored",
            text=f"Our database was restored. {number} on the way will be looked for before anything is sent again.",
            detail=reason,
        )
    return opened


def _remembered(house: House) -> Marks | None:
    try:
        return Marks(**json.loads(b"".join(house.store.stream(_WITNESS))))
    except ObjectMissing:
        return None


def _remember(house: House, marks: Marks) -> None:
    house.store.put_stream([json.dumps(asdict(marks)).encode()], _WITNESS)


# ------------------------------------------------------------------------------------------- looking for one of them


def doubt_of(session: Session, row: Publication) -> Doubt | None:
    """What has to be cleared up before it is sent; None where nothing has."""
    found: Sequence[Restore] = restores.since(session, row.looked_epoch)
    if not found:
        return None
    return Doubt(found[-1].epoch, min(each.lost_since for each in found), found[-1].restored_at)


def search(house: House, scope: SystemScope, loaded: Loaded, doubt: Doubt) -> Finding:
    """Looks for it among what its account published in the time that was forgotten. Raises PlatformFault."""
    grant = tokens.grant_for(house, scope, loaded.row.connection_id)
    delivery = deliveries.delivery_of(house, loaded, grant, lambda _step, _fraction: None)
    return search_with(house, scope, loaded.row, delivery, doubt)


def search_with(house: House, scope: SystemScope, row: Publication, delivery: Delivery, doubt: Doubt) -> Finding:
    """The same for one that may have no file."""
    finding = house.platforms.destination(row.platform).search(delivery, doubt.lost_since - _MARGIN)
    if not isinstance(finding, Live) or finding.external_id is None:
        return finding
    with house.db.system(scope) as session:
        if publications.bound_ids(session, row.platform, row.external_account_id, [finding.external_id]):
            return Absent("the only post alike is another publication's", handle_usable=False)
        if not house.platforms.destination_spec(row.platform).marked and restores.has_twin(session, row):
            return Undecided(f"{finding.external_id} is alike, but so is another publication")
    return finding


def absence_counts(
    house: House, session: Session, spec: DestinationSpec, row: Publication, doubt: Doubt, looked_at: datetime
) -> bool:
    """Whether not finding it at `looked_at` allows a send: no forgotten request was alive any more, and where a list
    can hide a post for long, it was not due before the restore either."""
    quiet_at = house.times.quiet_at(doubt.restored_at, spec.reconcile.request_lifetime_seconds)
    due_before = _first_due_at(session, row, doubt) <= doubt.restored_at
    return looked_at >= quiet_at and not (spec.key_kind is KeyKind.EVIDENCE_ONLY and due_before)


def _first_due_at(session: Session, row: Publication, doubt: Doubt) -> datetime:
    """The first moment at which it may have been sent. A promise from after the restore may have been made before and
    been forgotten: then only the post's own time is known."""
    if row.created_at <= doubt.restored_at:
        return row.publish_at
    return posts.get(session, row.post_id).posted_at + (row.publish_at - row.created_at)
