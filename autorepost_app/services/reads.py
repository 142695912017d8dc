"""What does a platform say about a publication that may have gone out? Reads, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from autorepost_app.domain.errors import PlatformFault, Reconnect
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Attempt
from autorepost_app.platform_kit.protocol import Absent, Delivery, Destination, Finding, Grant, KeyKind, Live
from autorepost_app.services import deliveries, tokens
from autorepost_app.services.deliveries import Loaded
from autorepost_app.services.house import House


def unclear_before(session: Session, loaded: Loaded) -> Sequence[Attempt]:
    """Earlier attempts that sent and of which nobody has proved that nothing came: each may still turn out live."""
    return [
        each
        for each in publications.attempts_of(session, loaded.row.id)
        if each.id != loaded.attempt.id and each.intended_at is not None and each.outcome in (None, "unknown")
    ]


def look(house: House, scope: SystemScope, loaded: Loaded, before: Sequence[Attempt]) -> Finding:
    """One look with the handles of this attempt and of those `before` it. Raises PlatformFault when a read fails."""
    grant = tokens.grant_for(house, scope, loaded.row.connection_id)
    try:
        return _ask(house, scope, grant, loaded, before)
    except PlatformFault as fault:
        if not (isinstance(fault.verdict, Reconnect) and fault.verdict.refresh_first):
            raise
        fresh = tokens.renew(house, scope, loaded.row.connection_id, grant)
        return _ask(house, scope, fresh, loaded, before)


def _ask(house: House, scope: SystemScope, grant: Grant, loaded: Loaded, before: Sequence[Attempt]) -> Finding:
    destination = house.platforms.destination(loaded.row.platform)
    delivery = deliveries.delivery_of(house, loaded, grant, lambda _step, _fraction: None)
    finding = _ask_about(house, scope, destination, delivery, loaded, loaded.attempt)
    for attempt in before:
        if isinstance(finding, Live):
            break
        earlier = _ask_about(house, scope, destination, delivery, loaded, attempt)
        finding = earlier if isinstance(earlier, Live) else finding
    return finding


def _ask_about(
    house: House, scope: SystemScope, destination: Destination, delivery: Delivery, loaded: Loaded, attempt: Attempt
) -> Finding:
    handles = deliveries.open_handles(house, attempt)
    finding = destination.check(delivery, handles)
    if isinstance(finding, Absent) or (isinstance(finding, Live) and finding.external_id is not None):
        return finding
    if house.platforms.destination_spec(loaded.row.platform).key_kind is KeyKind.EVIDENCE_ONLY:
        return finding  # it has nothing but its list to ask, and has just been asked: some bill each read
    found = destination.find(delivery, handles)
    if isinstance(found, Live) and _is_free(house, scope, loaded, found.external_id):
        return found
    return finding


def _is_free(house: House, scope: SystemScope, loaded: Loaded, external_id: str | None) -> bool:
    """An id that another publication has is not ours: binding is on unique evidence only."""
    if external_id is None:
        return True
    row = loaded.row
    with house.db.system(scope) as session:
        return not publications.bound_ids(session, row.platform, row.external_account_id, [external_id])
