"""What is written down once it is known, or known to be unknown, how an attempt went?

Every end of an attempt is one transaction under its lease: the move, the evidence that the move asks for, the attempt's
own end, and a line for its tenant. What a verdict means for the publication (wait, wait for a person, end) is said here
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from autorepost_app.domain.circuits import CAUSE
from autorepost_app.domain.errors import Operator, OutcomeUnknown, Reconnect, Rejected, TryAgain, Verdict, WaitUntil
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import EvidenceKind, back_off_seconds
from autorepost_app.domain.waking import apart_seconds
from autorepost_app.persistence import ledger, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.persistence.publications import Lease, Proof
from autorepost_app.platform_kit.protocol import Done, NotDone, NotReady, Outcome, Platform, Unknown
from autorepost_app.services import circuits, stops, tokens
from autorepost_app.services.house import House

_RECONNECT_LOOK_SECONDS: Final = 3600.0
_FIRST_READ_SECONDS: Final = 5.0
UNCLEAR: Final = "unclear"
"""The cause of what is being looked for, and of what a person has to look for."""


@dataclass(slots=True)
class Outcomes:
    """The pen of whoever holds the lease. `profile_url` is where to point when the post's own link is not known."""

    house: House
    scope: SystemScope
    lease: Lease
    row: Publication
    began_at: datetime
    profile_url: str | None = None

    @property
    def platform(self) -> Platform:
        return self.house.platforms.manifest(self.row.platform)

    def heard(self, outcome: Outcome) -> None:
        """What an answer that is on disk says about the platform."""
        verdict: Verdict | None = None
        if isinstance(outcome, NotDone):
            verdict = outcome.verdict
        elif isinstance(outcome, Unknown):
            verdict = OutcomeUnknown(outcome.reason, outcome.detail, UNCLEAR)
        circuits.heard(self.house, self.scope, self.row, verdict)

    def record(self, session: Session, outcome: Outcome) -> None:
        match outcome:
            case Done():
                proof = "the platform confirmed the post"
                self.published(session, "confirm", outcome.external_id, outcome.url, proof, source="answer")
            case NotDone(verdict=OutcomeUnknown() as verdict):
                self.lost_sight(session, Unknown(verdict.text, verdict.detail))
            case NotDone():
                self.not_done(session, outcome)
            case Unknown():
                self.lost_sight(session, outcome)

    def published(
        self, session: Session, name: str, external_id: str | None, url: str | None, proof: str, *, source: str
    ) -> None:
        now = self.house.clock()
        evidence = Proof(EvidenceKind.LIVE, source, proof, now, external_id=external_id, url=url)
        publications.release(
            session,
            name,
            self.lease,
            now=now,
            due_at=now,
            proof=evidence,
            external_id=external_id,
            url=url or self.profile_url,
            published_at=now,
            waiting_for="",
            reason="",
            cause="",
        )
        self._close(session, "done", {"external_id": external_id})
        self._tell(session, "publication.published", f"{self.platform.name}: the video is live.")

    def hold(self, result: NotReady) -> None:
        """The platform is still at work on it."""
        now = self.house.clock()
        with self.house.db.system(self.scope) as session:
            due_at = now + timedelta(seconds=result.after_seconds)
            publications.release(session, "hold", self.lease, now=now, due_at=due_at, waiting_for=result.text, cause="")

    def not_done(self, session: Session, outcome: NotDone) -> None:
        """The platform proved that nothing happened: the same handle may go again, or the verdict says what else."""
        verdict, now = outcome.verdict, self.house.clock()
        evidence = Proof(EvidenceKind.NOT_DONE, "answer", verdict.text, now, detail=verdict.detail)
        self._close(session, "not_done_same_handle" if outcome.handle_usable else "not_done", _plain(verdict))
        verdict = self._for_everyone(session, verdict)
        wait = self._wait_seconds(verdict)
        if wait is None:
            self._fail(session, "not_done_reject", verdict, evidence)
            return
        name = "not_done" if outcome.handle_usable and isinstance(verdict, TryAgain) else "not_done_wait"
        self._release_to_wait(session, name, verdict, wait, evidence)

    def lost_sight(self, session: Session, outcome: Unknown) -> None:
        now = self.house.clock()
        evidence = Proof(EvidenceKind.UNCLEAR, "answer", outcome.reason, now, detail=outcome.detail)
        first = self.house.platforms.destination_spec(self.row.platform).reconcile.read_after_seconds[:1] or (
            _FIRST_READ_SECONDS,
        )
        publications.release(
            session,
            "lose_sight",
            self.lease,
            now=now,
            due_at=now + timedelta(seconds=first[0]),
            proof=evidence,
            reason=outcome.reason,
            waiting_for=f"Checking with {self.platform.name}",
            cause=UNCLEAR,
        )
        self._close(session, "unknown", {"reason": outcome.reason})
        self._tell(
            session, "publication.unclear", f"{self.platform.name} gave no clear answer; checking.", outcome.detail
        )

    def tell_late(self, outcome: Outcome) -> None:
        """R3: fenced off, this worker may still say what it saw, as evidence and never as a state."""
        kinds = {Done: EvidenceKind.LIVE, NotDone: EvidenceKind.UNDECIDED, Unknown: EvidenceKind.UNCLEAR}
        now = self.house.clock()
        evidence = Proof(
            kinds[type(outcome)],
            "late_answer",
            "the sender heard this after its lease had passed on",
            now,
            external_id=outcome.external_id if isinstance(outcome, Done) else None,
            url=outcome.url if isinstance(outcome, Done) else None,
            detail=str(outcome),
        )
        with self.house.db.system(self.scope) as session:
            publications.record(session, self.lease, evidence)

    # ----------------------------------------------------------------------------------------------------- verdicts

    def start_anew(self, verdict: Verdict) -> None:
        """The handle is proven dead: the attempt is spent and the next one stages from the beginning."""
        with self.house.db.system(self.scope) as session:
            self._close(session, "handle_dead", _plain(verdict))
        self.step_back(verdict)

    def step_back(self, verdict: Verdict) -> None:
        """Nothing was sent: wait, or end with the reason."""
        if isinstance(verdict, Reconnect):
            tokens.needs_reconnect(self.house, self.scope, self.row.connection_id, verdict, began_at=self.began_at)
        now, said = self.house.clock(), verdict
        with self.house.db.system(self.scope) as session:
            verdict = self._for_everyone(session, verdict)
            wait = self._wait_seconds(verdict)
            if wait is None:
                proof = Proof(EvidenceKind.NOT_SENT, "worker", "refused before the send", now, detail=verdict.detail)
                self._close(session, "rejected", _plain(verdict))
                self._fail(session, "reject", verdict, proof)
            else:
                self._release_to_wait(session, "postpone", verdict, wait, None)
        circuits.heard(self.house, self.scope, self.row, said)

    def _for_everyone(self, session: Session, verdict: Verdict) -> Verdict:
        """What is the operator's to mend stops the platform for all; this publication waits like the others."""
        if isinstance(verdict, Operator):
            return stops.stop(self.house, session, self.row.platform, verdict)
        return verdict

    def _wait_seconds(self, verdict: Verdict) -> float | None:
        """How long to wait after this verdict, or None when it is the end."""
        match verdict:
            case Rejected():
                return None
            case WaitUntil(at=at):
                return max((at - self.house.clock()).total_seconds(), 1.0) + self._apart_seconds(verdict)
            case Reconnect():
                return _RECONNECT_LOOK_SECONDS
            case TryAgain(after_seconds=after):
                planned = back_off_seconds(self.row.faults + 1)
                return None if planned is None else max(planned, after or 0.0)
            case _:
                return back_off_seconds(self.row.faults + 1)

    def _apart_seconds(self, verdict: Verdict) -> float:
        """A limit opens for everybody at the same moment. Circuits tell each publication a time of its own."""
        return 0.0 if verdict.code == CAUSE else apart_seconds(self.row.id)

    def _release_to_wait(self, session: Session, name: str, verdict: Verdict, wait: float, proof: Proof | None) -> None:
        now = self.house.clock()
        counts = isinstance(verdict, (TryAgain, OutcomeUnknown))
        publications.release(
            session,
            name,
            self.lease,
            now=now,
            due_at=now + timedelta(seconds=wait),
            proof=proof,
            waiting_for=verdict.text,
            cause=verdict.code,
            faults=self.row.faults + 1 if counts else self.row.faults,
        )
        # a connection has said so itself, once; and of a platform that does not answer each is told once
        if verdict.code != tokens.NOT_ACTIVE and not verdict.code == self.row.cause == CAUSE:
            self._tell(session, "publication.waiting", f"{self.platform.name}: {verdict.text}", verdict.detail)

    def _fail(self, session: Session, name: str, verdict: Verdict, proof: Proof) -> None:
        now = self.house.clock()
        remedy = verdict.remedy if isinstance(verdict, Rejected) else ""
        publications.release(
            session,
            name,
            self.lease,
            now=now,
            due_at=now,
            proof=proof,
            reason=verdict.text,
            remedy=remedy,
            waiting_for="",
            cause=verdict.code,
        )
        self._tell(
            session, "publication.failed", f"{self.platform.name}: {verdict.text} {remedy}".strip(), verdict.detail
        )

    def _close(self, session: Session, outcome: str, verdict: Mapping[str, Any]) -> None:
        publications.close_attempt(
            session, self.lease.attempt_id, outcome=outcome, now=self.house.clock(), verdict=verdict
        )

    def _tell(self, session: Session, kind: str, text: str, detail: str = "") -> None:
        ledger.tell(
            session,
            tenant_id=self.row.tenant_id,
            at=self.house.clock(),
            kind=kind,
            text=text,
            detail=detail,
            post_id=self.row.post_id,
            publication_id=self.row.id,
            connection_id=self.row.connection_id,
        )


def _plain(verdict: Verdict) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(verdict).items() if value not in (None, "")}
    return {"verdict": type(verdict).__name__, **{name: str(value) for name, value in plain.items()}}
