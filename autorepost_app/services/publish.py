"""How does one publication get out, at most once?

claim -> stage (repeatable, resumes from kept handles) -> intend (on disk before the first byte) -> commit (one write)
-> record what the answer proved. Whoever runs this again, at any point, meets the state it left and goes on from there;
after an unclear answer nothing here sends, the reconciler reads. The rules R1-R8 of the exactly-once specification are
named where they hold.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from autorepost_app.domain.errors import (
    HandleDead,
    Operator,
    OutcomeUnknown,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    Verdict,
    WaitUntil,
)
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import EvidenceKind, State, back_off_seconds
from autorepost_app.persistence import ledger, posts, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.persistence.publications import Lease, MoveLost, Proof
from autorepost_app.platform_kit.protocol import (
    Delivery,
    Destination,
    Done,
    Grant,
    Live,
    NotDone,
    NotReady,
    Outcome,
    Staged,
    Unknown,
)
from autorepost_app.services import deliveries, reads, restores, stops, tokens
from autorepost_app.services.fetch import Progress
from autorepost_app.services.house import House

_RECONNECT_LOOK_SECONDS: Final = 3600.0
_FIRST_READ_SECONDS: Final = 5.0


def publish(
    house: House, scope: SystemScope, publication_id: str, *, patience_seconds: float, progress: Progress
) -> Publication:
    """Takes one due publication as far as it goes now, and returns it as it stands then.

    `patience_seconds` is how long to stay with a platform that is still processing before coming back later.
    """
    restores.notice(house, scope)
    with house.db.system(scope) as session:
        lease = publications.claim(
            session,
            publication_id,
            owner=house.worker,
            now=house.clock(),
            lease_seconds=house.times.lease_seconds,
        )
    if lease is not None:
        # who loses the lease has nothing left to say: the state that the other one left says what to do
        with contextlib.suppress(MoveLost):
            _Sending(house, scope, lease, progress).run(patience_seconds)
    with house.db.system(scope) as session:
        return publications.get(session, publication_id)


def see_through(
    house: House, scope: SystemScope, identity: PostIdentity, *, patience_seconds: float, progress: Progress
) -> None:
    """Comes back to the platforms that were still working on this post, each when it asked to be asked again.

    Several of them process side by side, so waiting for all of them takes as long as the slowest. What is not ready
    in time is offered again later.
    """
    until = time.monotonic() + patience_seconds
    while True:
        row = _next_held(house, scope, identity)
        wait = (row.due_at - house.clock()).total_seconds() if row is not None else 0.0
        if row is None or time.monotonic() + wait > until:
            return
        time.sleep(max(wait, 0.0))
        publish(house, scope, row.id, patience_seconds=0.0, progress=progress)


def _next_held(house: House, scope: SystemScope, identity: PostIdentity) -> Publication | None:
    """Of this post's publications that wait for their platform, the one that is due first."""
    with house.db.system(scope) as session:
        rows = [
            row for post in posts.with_identity(session, identity) for row in publications.of_post(session, post.id)
        ]
    held = [row for row in rows if row.state == State.STAGING and row.lease_until is None]
    return min(held, key=lambda row: row.due_at, default=None)


class _Sending:
    """One worker's hold on one publication."""

    def __init__(self, house: House, scope: SystemScope, lease: Lease, progress: Progress) -> None:
        self.house = house
        self.scope = scope
        self.lease = lease
        self.progress = progress
        self.began_at = house.clock()
        self.stayed_at = time.monotonic()
        self.profile_url: str | None = None
        with house.db.system(scope) as session:
            self.loaded = deliveries.load(session, lease.publication_id, lease.attempt_id)
            self.before = reads.unclear_before(session, self.loaded)
        deliveries.check_frozen(self.loaded)
        self.row = self.loaded.row
        self.platform = house.platforms.manifest(self.row.platform)
        self.spec = house.platforms.destination_spec(self.row.platform)
        self.handles = deliveries.open_handles(house, self.loaded.attempt)

    def run(self, patience_seconds: float) -> None:
        with self.house.db.system(self.scope) as session:
            if self._live_already(session):
                return
            stopped = stops.stopped(self.house, session, self.row.platform)
        if stopped is not None:
            self._step_back(stopped)
            return
        try:
            destination = self.house.platforms.destination(self.row.platform)
            grant = tokens.grant_for(self.house, self.scope, self.row.connection_id)
            self.profile_url = grant.account.url
            staged = self._stage(destination, grant, patience_seconds)
            if staged is not None and self._came_out_before():
                return
        except HandleDead as dead:
            self._start_anew(dead.verdict)
            return
        except PlatformFault as fault:
            self._step_back(fault.verdict)
            return
        if staged is not None:
            self._commit(destination, staged)

    def _live_already(self, session: Session) -> bool:
        """Live evidence that came late ends everything, whatever was concluded before it (R4)."""
        seen = publications.live_evidence(session, self.row.id)
        if seen is not None:
            self._published(session, "staged_but_live", seen.external_id, seen.url, seen.proof, source="late_answer")
        return seen is not None

    # ------------------------------------------------------------------------------------------------------ staging

    def _stage(self, destination: Destination, grant: Grant, patience_seconds: float) -> Delivery | None:
        """The delivery when everything is in place for the commit; None when there is nothing to send now."""
        until = time.monotonic() + patience_seconds
        renewed = False
        while True:
            delivery = deliveries.delivery_of(self.house, self.loaded, grant, self._report)
            self._stay()
            try:
                result = destination.stage(delivery, self.handles, self._keep)
            except HandleDead:
                raise
            except PlatformFault as fault:
                if renewed or not (isinstance(fault.verdict, Reconnect) and fault.verdict.refresh_first):
                    raise
                grant, renewed = tokens.renew(self.house, self.scope, self.row.connection_id, grant), True
                continue
            match result:
                case Staged():
                    return delivery
                case Live():
                    self._already_live(result)
                    return None
                case NotReady(after_seconds=after) if time.monotonic() + after <= until:
                    time.sleep(after)
                case NotReady():
                    self._hold(result)
                    return None

    def _report(self, step: str, fraction: float) -> None:
        """A long upload keeps its lease by reporting."""
        self.progress(f"{self.platform.name}: {step}", fraction)
        if time.monotonic() - self.stayed_at > self.house.times.lease_seconds / 4:
            self._stay()

    def _keep(self, handles: Mapping[str, str]) -> None:
        """Handles are on disk before the call that uses them (R6)."""
        self.handles = {**self.handles, **handles}
        with self.house.db.system(self.scope) as session:
            deliveries.keep_handles(self.house, session, self.lease, self.handles, self.spec.secret_handles)

    def _stay(self) -> None:
        self.stayed_at = time.monotonic()
        with self.house.db.system(self.scope) as session:
            publications.extend(
                session, self.lease, now=self.house.clock(), lease_seconds=self.house.times.lease_seconds
            )

    def _hold(self, result: NotReady) -> None:
        now = self.house.clock()
        with self.house.db.system(self.scope) as session:
            due_at = now + timedelta(seconds=result.after_seconds)
            publications.release(session, "hold", self.lease, now=now, due_at=due_at, waiting_for=result.text)

    def _already_live(self, found: Live) -> None:
        with self.house.db.system(self.scope) as session:
            self._published(session, "staged_but_live", found.external_id, found.url, found.proof, source="read")

    # ------------------------------------------------------------------------------------------------------- commit

    def _commit(self, destination: Destination, delivery: Delivery) -> None:
        restores.notice(self.house, self.scope)  # staging takes long: the lease may be one of before a restore (R7)
        times, now = self.house.times, self.house.clock()
        window = deliveries.Window.opens_now(times.window_seconds, times.exchange_seconds)
        with self.house.db.system(self.scope) as session:
            if self._live_already(session):
                return
            publications.intend(
                session,
                self.lease,
                now=now,
                send_before=now + timedelta(seconds=times.window_seconds),
                lease_until=now + timedelta(seconds=times.lease_seconds),
            )
        # R1: the commit of that transaction was acknowledged, or its exception has ended this worker's part
        outcome = self._renewed(destination.commit(delivery, self.handles, window), delivery.grant)
        try:
            with self.house.db.system(self.scope) as session:
                self._record(session, outcome)
        except MoveLost:
            self._tell_late(outcome)
            raise
        if isinstance(outcome, Done) and outcome.url is None:
            self._bind_link(destination, delivery, outcome)

    def _came_out_before(self) -> bool:
        """A last look for what an earlier, unclear send became, after a person said that it is not there."""
        if not self.before:
            return False
        found = reads.look(self.house, self.scope, self.loaded, self.before)
        if isinstance(found, Live):
            self._already_live(found)
        return isinstance(found, Live)

    def _renewed(self, outcome: Outcome, used: Grant) -> Outcome:
        """A token that was refused at the send is dealt with now: renewed for the next try, or its owner is asked."""
        if not isinstance(outcome, NotDone) or not isinstance(outcome.verdict, Reconnect):
            return outcome
        verdict: Verdict = outcome.verdict
        if outcome.verdict.refresh_first:
            try:
                tokens.renew(self.house, self.scope, self.row.connection_id, used)
                verdict = TryAgain(verdict.text, verdict.detail, verdict.code)
            except PlatformFault as fault:
                verdict = fault.verdict
        if isinstance(verdict, Reconnect):
            tokens.needs_reconnect(self.house, self.scope, self.row.connection_id, verdict, began_at=self.began_at)
        return replace(outcome, verdict=verdict)

    def _bind_link(self, destination: Destination, delivery: Delivery, outcome: Done) -> None:
        """Asks for the link that the answer left out. Nothing read after the commit can change what is known."""
        try:
            found = destination.find(delivery, self.handles)
        except PlatformFault:
            return
        if isinstance(found, Live) and found.external_id == outcome.external_id and found.url is not None:
            with self.house.db.system(self.scope) as session:
                publications.set_url(session, self.row.id, found.url)

    def _record(self, session: Session, outcome: Outcome) -> None:
        match outcome:
            case Done():
                proof = "the platform confirmed the post"
                self._published(session, "confirm", outcome.external_id, outcome.url, proof, source="answer")
            case NotDone(verdict=OutcomeUnknown() as verdict):
                self._lost_sight(session, Unknown(verdict.text, verdict.detail))
            case NotDone():
                self._not_done(session, outcome)
            case Unknown():
                self._lost_sight(session, outcome)

    def _published(
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
        )
        self._close(session, "done", {"external_id": external_id})
        self._tell(session, "publication.published", f"{self.platform.name}: the video is live.")

    def _not_done(self, session: Session, outcome: NotDone) -> None:
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

    def _lost_sight(self, session: Session, outcome: Unknown) -> None:
        now = self.house.clock()
        evidence = Proof(EvidenceKind.UNCLEAR, "answer", outcome.reason, now, detail=outcome.detail)
        first = self.spec.reconcile.read_after_seconds[:1] or (_FIRST_READ_SECONDS,)
        publications.release(
            session,
            "lose_sight",
            self.lease,
            now=now,
            due_at=now + timedelta(seconds=first[0]),
            proof=evidence,
            reason=outcome.reason,
            waiting_for=f"Checking with {self.platform.name}",
        )
        self._close(session, "unknown", {"reason": outcome.reason})
        self._tell(
            session, "publication.unclear", f"{self.platform.name} gave no clear answer; checking.", outcome.detail
        )

    def _tell_late(self, outcome: Outcome) -> None:
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

    def _start_anew(self, verdict: Verdict) -> None:
        """The handle is proven dead: the attempt is spent and the next one stages from the beginning."""
        with self.house.db.system(self.scope) as session:
            self._close(session, "handle_dead", _plain(verdict))
        self._step_back(verdict)

    def _step_back(self, verdict: Verdict) -> None:
        """Nothing was sent: wait, or end with the reason."""
        if isinstance(verdict, Reconnect):
            tokens.needs_reconnect(self.house, self.scope, self.row.connection_id, verdict, began_at=self.began_at)
        now = self.house.clock()
        with self.house.db.system(self.scope) as session:
            verdict = self._for_everyone(session, verdict)
            wait = self._wait_seconds(verdict)
            if wait is None:
                proof = Proof(EvidenceKind.NOT_SENT, "worker", "refused before the send", now, detail=verdict.detail)
                self._close(session, "rejected", _plain(verdict))
                self._fail(session, "reject", verdict, proof)
            else:
                self._release_to_wait(session, "postpone", verdict, wait, None)

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
                return max((at - self.house.clock()).total_seconds(), 1.0)
            case Reconnect():
                return _RECONNECT_LOOK_SECONDS
            case TryAgain(after_seconds=after):
                planned = back_off_seconds(self.row.faults + 1)
                return None if planned is None else max(planned, after or 0.0)
            case _:
                return back_off_seconds(self.row.faults + 1)

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
            faults=self.row.faults + 1 if counts else self.row.faults,
        )
        if verdict.code != tokens.NOT_ACTIVE:  # the connection itself has said so, once
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
