"""What became of a send that nobody heard back from? Only reads; a send follows only from proof of absence.

`sweep` turns silent senders into UNKNOWN; `reconcile` asks the platform, on the platform's own plan of reads. Absence
counts only once no request of that send can still be alive (quiescence), and only where the platform itself keeps the
handle single; everything else ends in NEEDS_REVIEW with its evidence.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.errors import PlatformFault, Reconnect
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import EvidenceKind, State, next_read_at
from autorepost_app.persistence import ledger, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Evidence, Publication
from autorepost_app.persistence.publications import Lease, MoveLost, Proof
from autorepost_app.platform_kit.protocol import Absent, Finding, KeyKind, Live, Undecided
from autorepost_app.services import deliveries, reads, restores, ticks, tokens
from autorepost_app.services.house import House
from autorepost_app.services.outcomes import UNCLEAR

MOST_SENDS: Final = 4
UNREAD_GIVE_UP_SECONDS: Final = 24 * 3600.0
"""A day after the send a person decides, also where no read came through in all that time."""
_READING: Final = (State.UNKNOWN, State.RECONCILING)
_LIVE_AFTER_ALL: Final = {
    State.NEEDS_REVIEW: "review_found",
    State.FAILED: "failed_but_live",
    State.CANCELLED: "cancelled_but_live",
    State.DROPPED: "dropped_but_live",
}
"""States that nobody works on any more, and their way out when live evidence turns up."""


def sweep(house: House, scope: SystemScope, *, limit: int = 500) -> int:
    """Senders whose lease ran out after their intent: UNKNOWN, never a resend. How many there were."""
    with house.db.system(scope) as session:
        swept = publications.sweep(session, house.clock(), limit)
        for row in swept:
            name = house.platforms.name(row.platform)
            _tell(house, session, row, "publication.unclear", f"{name}: the sender stopped half-way; checking.")
        return len(swept)


def reconcile_due(house: House, scope: SystemScope, *, limit: int, seconds: float = math.inf) -> list[Publication]:
    """Heeds late answers, then makes one read for each publication whose read is due; what became of each.

    After so many seconds no read begins any more; what is left stays due. A read that fails delays no other: what is
    not a platform's refusal is raised at the end.
    """
    with house.db.system(scope) as session:
        publications.doubt(session, house.clock(), limit)
        due = publications.due(session, _READING, house.clock(), limit)
    read: list[Publication] = []
    broken: list[Exception] = []
    try:
        read += heed_late_answers(house, scope)
    except Exception as error:
        broken.append(error)
    for row in ticks.while_it_lasts(due, seconds):
        try:
            read.append(reconcile(house, scope, row.id))
        except Exception as error:
            broken.append(error)
    if broken:
        raise ExceptionGroup("reads that broke", broken)
    return read


def heed_late_answers(house: House, scope: SystemScope) -> list[Publication]:
    """Live evidence wins over whatever was concluded before it came (R4); the publications it made PUBLISHED."""
    now = house.clock()
    with house.db.system(scope) as session:
        return [
            _heed(house, session, row, proof, now)
            for row, proof in publications.live_after_all(session, list(_LIVE_AFTER_ALL))
        ]


def _heed(house: House, session: Session, row: Publication, seen: Evidence, now: datetime) -> Publication:
    proof = Proof(EvidenceKind.LIVE, "late_answer", seen.proof, now, external_id=seen.external_id, url=seen.url)
    return live_after_all(house, session, row, proof)


def live_after_all(house: House, session: Session, row: Publication, proof: Proof) -> Publication:
    """What nobody works on any more becomes PUBLISHED by this evidence. Raises MoveLost where somebody does again."""
    name, now = house.platforms.name(row.platform), house.clock()
    _tell(house, session, row, "publication.published", f"{name}: the video is live after all.", proof.proof)
    return publications.move(
        session,
        _LIVE_AFTER_ALL[State(row.state)],
        row,
        now=now,
        proof=proof,
        external_id=proof.external_id,
        url=proof.url,
        published_at=now,
        reason="",
        remedy="",
        waiting_for="",
        cause="",
    )


def reconcile(house: House, scope: SystemScope, publication_id: str) -> Publication:
    """One read of one publication, if it is due and nobody else reads it; returns it as it stands then."""
    with house.db.system(scope) as session:
        lease = publications.claim_reading(
            session,
            publication_id,
            owner=house.worker,
            now=house.clock(),
            lease_seconds=house.times.lease_seconds,
        )
    if lease is not None:
        _Reading(house, scope, lease).run()
    with house.db.system(scope) as session:
        return publications.get(session, publication_id)


class _Reading:
    """One reader's hold on one publication."""

    def __init__(self, house: House, scope: SystemScope, lease: Lease) -> None:
        self.house = house
        self.scope = scope
        self.lease = lease
        self.began_at = house.clock()
        with house.db.system(scope) as session:
            self.loaded = deliveries.load(session, lease.publication_id, lease.attempt_id)
            self.before = reads.unclear_before(session, self.loaded)
            self.seen_live = publications.live_evidence(session, lease.publication_id)
            self.doubt = restores.doubt_of(session, self.loaded.row)
        self.row = self.loaded.row
        self.read_failed = False
        self.sent_at: datetime = self.row.last_sent_at or self.row.state_at
        if self.doubt is not None:  # what was forgotten may have been sent until then
            self.sent_at = self.doubt.restored_at
        self.manifest = house.platforms.manifest(self.row.platform)
        self.spec = house.platforms.destination_spec(self.row.platform)

    def run(self) -> None:
        finding = self._what_is_known() or self._look()
        try:
            with self.house.db.system(self.scope) as session:
                self._conclude(session, finding)
        except MoveLost:
            if isinstance(finding, Live):  # R4: live evidence is kept whoever moves the publication
                with self.house.db.system(self.scope) as session:
                    publications.record(session, self.lease, self._live_proof(finding, source="late_answer"))

    def _what_is_known(self) -> Live | None:
        """Live evidence from a fenced-off sender needs no further read (R4)."""
        if self.seen_live is None:
            return None
        return Live(self.seen_live.proof, self.seen_live.external_id, self.seen_live.url)

    def _look(self) -> Finding:
        try:
            return self._ask_and_search()
        except PlatformFault as fault:
            self.read_failed = True
            if isinstance(fault.verdict, Reconnect):
                began_at = self.began_at
                tokens.needs_reconnect(self.house, self.scope, self.row.connection_id, fault.verdict, began_at=began_at)
            return Undecided(f"the read failed: {fault.verdict.text} {fault.verdict.detail}".strip())

    def _ask_and_search(self) -> Finding:
        """Handles are asked where there are any; what a restored database may have forgotten is looked for without.

        Absent only if both say so.
        """
        known: Finding = Absent("nothing is known to have been sent", handle_usable=False)
        if self.doubt is None or self.row.last_sent_at is not None or deliveries.has_handles(self.loaded.attempt):
            known = reads.look(self.house, self.scope, self.loaded, self.before)
        unclear = isinstance(known, Undecided) and self.row.last_sent_at is not None
        if self.doubt is None or isinstance(known, Live) or unclear:
            return known
        return restores.search(self.house, self.scope, self.loaded, self.doubt)

    def _conclude(self, session: Session, finding: Finding) -> None:
        match finding:
            case Live():
                self._found(session, finding)
            case Absent(proof=proof) if self._absence_counts(session) and self._sent_too_often(session):
                self._give_up(session, f"{proof}; sent {MOST_SENDS} times and never there")
            case Absent() if self._absence_counts(session):
                self._absent(session, finding)
            case Absent(proof=proof):
                self._undecided(session, f"{proof}; too early to count")
            case Undecided(reason=reason):
                self._undecided(session, reason)

    def _absence_counts(self, session: Session) -> bool:
        """Judged by when the look began: what landed while this reader slept after it was not seen."""
        if self.doubt is not None:
            return restores.absence_counts(self.house, session, self.spec, self.row, self.doubt, self.began_at)
        quiet_at = self.house.times.quiet_at(self.sent_at, self.spec.reconcile.request_lifetime_seconds)
        return self.spec.key_kind is not KeyKind.EVIDENCE_ONLY and self.began_at >= quiet_at

    def _sent_too_often(self, session: Session) -> bool:
        """A platform that swallows every send and never shows it is not to be fed for ever."""
        sent = [each for each in publications.attempts_of(session, self.row.id) if each.intended_at is not None]
        return len(sent) >= MOST_SENDS

    def _live_proof(self, finding: Live, *, source: str = "read") -> Proof:
        return Proof(
            EvidenceKind.LIVE,
            source,
            finding.proof,
            self.house.clock(),
            external_id=finding.external_id,
            url=finding.url,
        )

    def _found(self, session: Session, finding: Live) -> None:
        now = self.house.clock()
        publications.settle_attempt(session, self.lease.attempt_id, outcome="done", now=now)
        publications.move(
            session,
            "found",
            self.row,
            now=now,
            proof=self._live_proof(finding),
            external_id=finding.external_id,
            url=finding.url,
            published_at=now,
            due_at=now,
            waiting_for="",
            reason="",
            cause="",
            lease_owner=None,
            lease_until=None,
        )
        _tell(self.house, session, self.row, "publication.published", f"{self.manifest.name}: the video is live.")

    def _absent(self, session: Session, finding: Absent) -> None:
        now = self.house.clock()
        proof = Proof(EvidenceKind.ABSENT, "read", finding.proof, now)
        outcome = "absent_same_handle" if finding.handle_usable else "absent"
        publications.settle_attempt(session, self.lease.attempt_id, outcome=outcome, now=now)
        name = "absent_same" if finding.handle_usable else "absent_new"
        publications.release(
            session, name, self.lease, now=now, due_at=now, proof=proof, waiting_for="", reason="", cause=""
        )
        if self.doubt is not None:
            publications.looked(session, self.row.id, self.doubt.epoch)
        text = f"{self.manifest.name} has nothing of it; sending again."
        _tell(self.house, session, self.row, "publication.absent", text, finding.proof)

    def _undecided(self, session: Session, reason: str) -> None:
        now = self.house.clock()
        ages, end = self.spec.reconcile.read_after_seconds, self.spec.reconcile.give_up_after_seconds
        if self.doubt is not None and self.row.last_sent_at is None:
            ages, end = restores.READ_AFTER_SECONDS, restores.GIVE_UP_AFTER_SECONDS
        if self.read_failed:  # a platform that is down says nothing yet: a person could not see more
            end = max(end, UNREAD_GIVE_UP_SECONDS)
        if now < self.sent_at + timedelta(seconds=end):
            publications.record(session, self.lease, Proof(EvidenceKind.UNDECIDED, "read", reason, now))
            due_at = next_read_at(self.sent_at, now, ages, end)
            text = f"Checking with {self.manifest.name}"
            publications.read_again(session, self.lease, due_at=due_at, waiting_for=text)
            return
        self._give_up(session, reason)

    def _give_up(self, session: Session, reason: str) -> None:
        now = self.house.clock()
        proof = Proof(EvidenceKind.UNDECIDED, "read", reason, now)
        text = f"{self.manifest.name} cannot tell us whether the video is live. Please look."
        publications.release(
            session, "give_up", self.lease, now=now, due_at=now, proof=proof, reason=text, waiting_for="", cause=UNCLEAR
        )
        _tell(self.house, session, self.row, "publication.needs_review", text, reason)


def _tell(house: House, session: Session, row: Publication, kind: str, text: str, detail: str = "") -> None:
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=house.clock(),
        kind=kind,
        text=text,
        detail=detail,
        post_id=row.post_id,
        publication_id=row.id,
        connection_id=row.connection_id,
    )
