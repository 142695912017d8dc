"""What may a person do about a publication? Cancel, repeat, have it looked for, and settle what we could not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from autorepost_app.domain.errors import PlatformFault, UserError
from autorepost_app.domain.identity import SystemScope, TenantScope
from autorepost_app.domain.publications import EvidenceKind, State
from autorepost_app.persistence import ledger, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Attempt, Publication
from autorepost_app.persistence.publications import MoveLost, Proof
from autorepost_app.platform_kit.protocol import Absent, Live, Undecided
from autorepost_app.services import deliveries, reads, reconcile, restores
from autorepost_app.services.deliveries import Loaded
from autorepost_app.services.house import House
from autorepost_app.services.restores import Doubt

_LOOKING: Final = SystemScope("settle")
"""Tokens are used on behalf of the house, also when a person asks."""

_CANCEL = {
    State.DETECTED: "cancel_detected",
    State.PREPARING: "cancel_preparing",
    State.READY: "cancel_ready",
    State.STAGING: "cancel_staging",
}


def cancel(house: House, scope: TenantScope, publication_id: str) -> Publication:
    """Before the send only. Raises UserError when it is too late."""
    with house.db.tenant(scope) as session:
        row = _visible(session, publication_id)
        name = _CANCEL.get(State(row.state))
        if name is None:
            raise _too_late(row)
        return _move(house, session, scope, name, row, "was cancelled.", reason="Cancelled by a person.")


def repeat(house: House, scope: TenantScope, publication_id: str, *, after_seconds: float = 0.0) -> Publication:
    """A failed publication once more: a new attempt of the same promise. Raises UserError when it has not failed."""
    with house.db.tenant(scope) as session:
        row = _visible(session, publication_id)
        if row.state != State.FAILED:
            raise UserError(
                "Only a failed publication can be tried again.", remedy="Nothing has to be done.", field="publication"
            )
        if publications.live_evidence(session, row.id) is not None:
            raise UserError("There is proof that it is live.", remedy="Reload the page.", field="publication")
        name = "repeat" if row.fingerprint else "repeat_prepare"
        changes: dict[str, Any] = {
            "due_at": house.clock() + timedelta(seconds=after_seconds),
            "faults": 0,
            "reason": "",
            "remedy": "",
            "waiting_for": "",
            "cause": "",
        }
        return _move(house, session, scope, name, row, "will be tried again.", **changes)


def settle_live(house: House, scope: TenantScope, publication_id: str, url: str) -> Publication:
    """A person has seen it live at `url`. Raises UserError."""
    if not url.startswith("https://") and not url.startswith("http://127.0.0.1"):
        raise UserError("This is not a web address.", remedy="Paste the link of the post.", field="url")
    with house.db.tenant(scope) as session:
        row = _in_review(session, publication_id)
        proof = _said(house, scope, EvidenceKind.LIVE, "a person has seen it live", url=url)
        now = house.clock()
        return _move(
            house, session, scope, "review_live", row, "is live.", proof=proof, url=url, published_at=now, reason=""
        )


def look_again(house: House, scope: TenantScope, publication_id: str) -> Publication:
    """Looks for an undecided publication once more, by reads only: found, it is PUBLISHED, else it waits as before.

    Raises UserError when it is not under review, and when the look fails.
    """
    with house.db.tenant(scope) as session:
        row = _in_review(session, publication_id)
        loaded = deliveries.load(session, row.id, str(row.attempt_id))
        before = reads.unclear_before(session, loaded)
    with house.db.system(_LOOKING) as session:
        doubt = restores.doubt_of(session, row)
    seen = _last_look(house, loaded, before, doubt)
    with house.db.tenant(scope) as session:
        row = _visible(session, publication_id)
        if seen.kind is EvidenceKind.LIVE or row.state == State.NEEDS_REVIEW:  # R4: live is kept whatever it is by now
            publications.record(session, row, seen)
    if seen.kind is EvidenceKind.LIVE:
        reconcile.heed_late_answers(house, _LOOKING)
    with house.db.tenant(scope) as session:
        return publications.get(session, publication_id)


def settle_absent(house: House, scope: TenantScope, publication_id: str) -> Publication:
    """A person has looked and it is not there: it is sent again.

    Raises UserError while a send may still arrive, and when a last look of our own fails or finds it.
    """
    with house.db.tenant(scope) as session:
        row = _in_review(session, publication_id)
        loaded = deliveries.load(session, row.id, str(row.attempt_id))
        before = reads.unclear_before(session, loaded)
    with house.db.system(_LOOKING) as session:
        doubt = restores.doubt_of(session, row)
    _must_be_quiet(house, row, doubt)
    seen = _last_look(house, loaded, before, doubt)
    if doubt is not None and seen.kind is not EvidenceKind.LIVE:
        with house.db.system(_LOOKING) as session:
            publications.looked(session, row.id, doubt.epoch)
    with house.db.tenant(scope) as session:
        row = _in_review(session, publication_id)
        if row.attempt_id != loaded.attempt.id:  # sent again meanwhile: what was seen says nothing about that send
            raise _moved_on()
        if seen.kind is EvidenceKind.LIVE:
            publications.record(session, row, seen)
        live = publications.live_evidence(session, row.id)
        if live is None:
            return _send_again(house, session, scope, row)
    reconcile.heed_late_answers(house, _LOOKING)
    raise UserError(
        "It is live: we have just found it.", remedy=f"See {live.url or 'the account'}.", field="publication"
    )


def drop(house: House, scope: TenantScope, publication_id: str) -> Publication:
    """Leaves an undecided publication as it is. Raises UserError when it is not under review."""
    with house.db.tenant(scope) as session:
        row = _in_review(session, publication_id)
        return _move(
            house, session, scope, "review_drop", row, "is left as it is.", reason="Left as it is by a person."
        )


def _visible(session: Session, publication_id: str) -> Publication:
    try:
        return publications.get(session, publication_id)
    except KeyError:
        raise UserError("There is no such publication.", field="publication") from None


def _in_review(session: Session, publication_id: str) -> Publication:
    row = _visible(session, publication_id)
    if row.state != State.NEEDS_REVIEW:
        raise UserError(
            "This publication does not wait for a decision.", remedy="Reload the page.", field="publication"
        )
    return row


def _must_be_quiet(house: House, row: Publication, doubt: Doubt | None) -> None:
    """Neither a send that we know of nor one that a restored database forgot may still be under way."""
    times = [at for at in (row.last_sent_at, doubt.restored_at if doubt else None) if at is not None]
    if not times:
        return
    spec = house.platforms.destination_spec(row.platform)
    quiet_at = house.times.quiet_at(max(times), spec.reconcile.request_lifetime_seconds)
    if house.clock() < quiet_at:
        minutes = int((quiet_at - house.clock()) / timedelta(minutes=1)) + 1
        raise UserError(
            "The last send may still arrive.", remedy=f"Look again in {minutes} minutes.", field="publication"
        )


def _last_look(house: House, loaded: Loaded, before: Sequence[Attempt], doubt: Doubt | None) -> Proof:
    """Proof that it is live after all, or that this look decides nothing. Whoever cannot look must not send."""
    try:
        found = reads.look(house, _LOOKING, loaded, before)
        if doubt is not None and not isinstance(found, Live):
            found = restores.search(house, _LOOKING, loaded, doubt)
    except PlatformFault as fault:
        raise UserError(
            f"We could not look once more ourselves: {fault.verdict.text}",
            remedy="Try again when that is over.",
            field="publication",
        ) from fault
    now = house.clock()
    match found:
        case Live(proof=proof):
            return Proof(EvidenceKind.LIVE, "late_answer", proof, now, external_id=found.external_id, url=found.url)
        case Absent(proof=seen) | Undecided(reason=seen):
            return Proof(EvidenceKind.UNDECIDED, "read", seen, now)


def _send_again(house: House, session: Session, scope: TenantScope, row: Publication) -> Publication:
    proof = _said(house, scope, EvidenceKind.ABSENT, "a person has looked and it is not there")
    changes: dict[str, Any] = {"due_at": house.clock(), "faults": 0, "reason": "", "waiting_for": "", "cause": ""}
    return _move(house, session, scope, "review_absent", row, "is sent again.", proof=proof, **changes)


def _too_late(row: Publication) -> UserError:
    return UserError(
        "It is too late to cancel: the video is out or on its way.",
        remedy="Delete it on the platform." if row.state == State.PUBLISHED else "Wait until its outcome is known.",
        field="publication",
    )


def _moved_on() -> UserError:
    return UserError("It has moved on in the meantime.", remedy="Reload the page and look again.", field="publication")


def _said(house: House, scope: TenantScope, kind: EvidenceKind, proof: str, url: str | None = None) -> Proof:
    return Proof(kind, "person", proof, house.clock(), url=url, detail=scope.actor)


def _move(
    house: House,
    session: Session,
    scope: TenantScope,
    name: str,
    row: Publication,
    text: str,
    *,
    proof: Proof | None = None,
    **changes: Any,
) -> Publication:
    try:
        moved = publications.move(
            session, name, row, now=house.clock(), proof=proof, lease_owner=None, lease_until=None, **changes
        )
    except MoveLost:
        raise _moved_on() from None
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=house.clock(),
        kind=f"publication.{name}",
        text=f"The publication on {house.platforms.manifest(row.platform).name} {text}",
        post_id=row.post_id,
        publication_id=row.id,
        detail=scope.actor,
    )
    return moved
