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
from dataclasses import replace
from datetime import timedelta

from autorepost_app.domain.errors import (
    HandleDead,
    PlatformFault,
    Reconnect,
    TryAgain,
    Verdict,
)
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import State
from autorepost_app.persistence import posts, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.persistence.publications import Lease, MoveLost
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
)
from autorepost_app.services import circuits, deliveries, reads, restores, stops, tokens
from autorepost_app.services.fetch import Progress
from autorepost_app.services.house import House
from autorepost_app.services.outcomes import Outcomes


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
        if row is None:
            return
        wait = max((row.due_at - house.clock()).total_seconds(), 0.0)
        if time.monotonic() + wait > until:
            return
        time.sleep(wait)
        after = publish(house, scope, row.id, patience_seconds=0.0, progress=progress)
        if after.lease_epoch == row.lease_epoch:  # nobody may claim it now, as after a restore: it is offered again
            return


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
        with house.db.system(scope) as session:
            self.loaded = deliveries.load(session, lease.publication_id, lease.attempt_id)
            self.row = self.loaded.row
            self.before = reads.unclear_before(session, self.loaded)
            self.seen_live = publications.live_evidence(session, self.row.id)
            self.wait = stops.stopped(house, session, self.row.platform) or circuits.held_off(house, session, self.row)
        deliveries.check_frozen(self.loaded)
        self.platform = house.platforms.manifest(self.row.platform)
        self.spec = house.platforms.destination_spec(self.row.platform)
        self.handles = deliveries.open_handles(house, self.loaded.attempt)
        self._outcomes = Outcomes(house, scope, lease, self.row, self.began_at)

    def run(self, patience_seconds: float) -> None:
        if self.seen_live is not None:
            with self.house.db.system(self.scope) as session:
                self._live_already(session)
            return
        if self.wait is not None:
            self._outcomes.step_back(self.wait)
            return
        try:
            destination = self.house.platforms.destination(self.row.platform)
            grant = tokens.grant_for(self.house, self.scope, self.row.connection_id)
            self._outcomes.profile_url = grant.account.url
            staged = self._stage(destination, grant, patience_seconds)
            if staged is not None and self._came_out_before():
                return
        except HandleDead as dead:
            self._outcomes.start_anew(dead.verdict)
            return
        except PlatformFault as fault:
            self._outcomes.step_back(fault.verdict)
            return
        if staged is not None:
            self._commit(destination, staged)

    def _live_already(self, session: Session) -> bool:
        """Live evidence that came late ends everything, whatever was concluded before it (R4)."""
        seen = publications.live_evidence(session, self.row.id)
        if seen is not None:
            self._outcomes.published(
                session, "staged_but_live", seen.external_id, seen.url, seen.proof, source="late_answer"
            )
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
                    self._outcomes.hold(result)
                    return None

    def _report(self, step: str, fraction: float) -> None:
        """A long upload keeps its lease by reporting."""
        self.progress(f"{self.platform.name}: {step}", fraction)
        self._stay()

    def _keep(self, handles: Mapping[str, str]) -> None:
        """Handles are on disk before the call that uses them (R6)."""
        self.handles = {**self.handles, **handles}
        with self.house.db.system(self.scope) as session:
            deliveries.keep_handles(self.house, session, self.lease, self.handles, self.spec.secret_handles)

    def _stay(self) -> None:
        """Keeps the lease, of which a quarter may be used up before that costs a transaction."""
        if time.monotonic() - self.stayed_at < self.house.times.lease_seconds / 4:
            return
        self.stayed_at = time.monotonic()
        with self.house.db.system(self.scope) as session:
            publications.extend(
                session, self.lease, now=self.house.clock(), lease_seconds=self.house.times.lease_seconds
            )

    def _already_live(self, found: Live) -> None:
        with self.house.db.system(self.scope) as session:
            self._outcomes.published(
                session, "staged_but_live", found.external_id, found.url, found.proof, source="read"
            )

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
                self._outcomes.record(session, outcome)
        except Exception:  # whatever it is that keeps the move from being made, what was heard is kept (R3)
            self._outcomes.tell_late(outcome)
            raise
        self._outcomes.heard(outcome)
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
                verdict = TryAgain(verdict.text, verdict.detail)  # no code: it says nothing of the platform
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
