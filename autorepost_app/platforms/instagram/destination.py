"""How does one Reel get onto Instagram exactly once?

Container, bytes, wait, `media_publish`. The container is the key that Instagram itself keeps single: it is stored
before anything uses it, the commit names it, and its state tells afterwards what the commit did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import HandleDead, PlatformFault, UserError
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import (
    Absent,
    Allowance,
    Delivery,
    Finding,
    Grant,
    Handles,
    KeepHandles,
    Live,
    NotDone,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
    Undecided,
)
from autorepost_app.platforms.instagram import errors, limits, listing, options, quotas, refusals
from autorepost_app.platforms.instagram.auth import FACEBOOK, profile_url
from autorepost_app.platforms.instagram.graph import VERSION, Graph, edge
from autorepost_app.platforms.instagram.listing import folded

CONTAINER_ID: Final = "container_id"
CONTAINER_CREATED_AT: Final = "container_created_at"
UPLOAD_URI: Final = "rupload_uri"
UPLOADED_AT: Final = "uploaded_at"

_PAGES_NEAR_A_SEND: Final = 5
_BEFORE_SEND: Final = timedelta(minutes=2)
"""How far Instagram's clock may be behind ours when a post's time is compared with our send."""
_LOST_PATIENCE: Final = timedelta(minutes=2)
_EXPIRY_MARGIN: Final = timedelta(hours=1)
_DAY: Final = timedelta(seconds=quotas.DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class InstagramDestination:
    graphs: Mapping[str, Graph]
    rupload: Api
    www_url: str
    clock: Clock

    # ------------------------------------------------------------------------------------------------------ staging

    def stage(self, delivery: Delivery, handles: Handles, keep: KeepHandles) -> Staged | NotReady | Live:
        known = dict(handles)

        def remember(more: Handles) -> None:
            keep(more)
            known.update(more)

        try:
            if CONTAINER_ID not in known:
                remember(self._create(delivery))
                return self._hand_in(delivery, known, remember)
            return self._advance(delivery, known, remember)
        except HandleDead:
            raise
        except PlatformFault as fault:
            if self._replaceable(fault, delivery, known):
                raise HandleDead(fault.verdict) from fault
            raise

    def _create(self, delivery: Delivery) -> dict[str, str]:
        grant, chosen = delivery.grant, delivery.options
        if options.is_paid_partnership(chosen) and grant.login != FACEBOOK:
            raise refusals.paid_partnership_needs_page()
        where = {"upload_type": "resumable"} if grant.login == FACEBOOK else {"video_url": _public_url(delivery)}
        fields = {**options.form_fields(chosen, delivery.media.facts.duration_seconds), **_kept_cover(delivery)}
        form = {"media_type": "REELS", "caption": delivery.text.body, **fields, **where}
        account = grant.account.external_id
        path = edge(grant, "media")
        response = self._graph(grant).post(path, grant.access_token, form, counts=quotas.MAKE, account=account)
        now = self.clock()
        container_id, uri = errors.created(response, now)
        handles = {CONTAINER_ID: container_id, CONTAINER_CREATED_AT: now.isoformat()}
        return {**handles, UPLOAD_URI: uri} if uri else handles

    def _hand_in(self, delivery: Delivery, known: Handles, remember: KeepHandles) -> NotReady:
        """A fresh container has nothing to tell yet: its bytes go there at once, and the first look comes later."""
        if delivery.grant.login == FACEBOOK:
            self._upload(delivery, known, 0)
            remember({UPLOADED_AT: self.clock().isoformat()})
        return _working(0.0)

    def _advance(self, delivery: Delivery, known: Handles, remember: KeepHandles) -> Staged | NotReady | Live:
        container = self._container(delivery.grant, known[CONTAINER_ID])
        if errors.is_live(container):
            return Live(f"container {container.id} is {container.state}", url=self._profile(delivery.grant))
        errors.refuse_unusable(container, self.clock())
        if container.finished:
            self._heed_allowance(delivery.grant)
            return Staged()
        if delivery.grant.login == FACEBOOK and UPLOADED_AT not in known:
            self._upload(delivery, known, container.bytes_transferred)
            remember({UPLOADED_AT: self.clock().isoformat()})
        return self._wait(delivery, container, known)

    def _wait(self, delivery: Delivery, container: errors.Container, known: Handles) -> NotReady:
        waited_seconds = (self.clock() - _processing_since(known, self.clock())).total_seconds()
        # After an unclear send only the container's own end allows another one, however long it takes.
        if waited_seconds > limits.PROCESSING_PATIENCE_SECONDS and delivery.first_sent_at is None:
            raise errors.stuck(container, self.clock())
        return _working(waited_seconds)

    def _replaceable(self, fault: PlatformFault, delivery: Delivery, known: Handles) -> bool:
        """Whether this fault allows another container. Once something was sent, only the end of a container's life
        does: until then the first one may still turn out to be the post."""
        if CONTAINER_ID not in known or not (errors.is_lost(fault) or errors.is_dead(fault)):
            return False
        age = self.clock() - _time(known.get(CONTAINER_CREATED_AT), self.clock())
        if delivery.first_sent_at is not None:
            return age > timedelta(seconds=limits.CONTAINER_LIFE_SECONDS) + _EXPIRY_MARGIN
        return errors.is_dead(fault) or age > _LOST_PATIENCE

    def _upload(self, delivery: Delivery, known: Handles, offset: int) -> None:
        size = delivery.media.size_bytes
        if offset >= size:
            return
        headers = {
            "Authorization": f"OAuth {delivery.grant.access_token}",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size - offset),
            "offset": str(offset),
            "file_size": str(size),
        }
        response = self.rupload.call(
            "POST",
            self._upload_address(known[CONTAINER_ID], known.get(UPLOAD_URI)),
            headers=headers,
            content=_reported(delivery, offset),
            timeout_seconds=limits.UPLOAD_TIMEOUT_SECONDS,
            counts=quotas.UPLOAD,
        )
        errors.upload_answer(response, self.clock())

    def _upload_address(self, container_id: str, uri: str | None) -> str:
        """The address Instagram gave, if it leads to the host we were set up with: it will carry a token."""
        if uri and uri.startswith(self.rupload.url("/")):
            return uri
        return self.rupload.url(f"/ig-api-upload/{VERSION}/{container_id}")

    # ------------------------------------------------------------------------------------------------------- limits

    def allowance(self, grant: Grant) -> Allowance:
        """How many posts this account has left as Instagram itself counts, which knows what other tools published."""
        response = self._graph(grant).get(
            edge(grant, "content_publishing_limit"),
            grant.access_token,
            counts=quotas.LIMIT,
            account=grant.account.external_id,
            fields="quota_usage,config",
        )
        now = self.clock()
        usage = errors.row(response, now)
        told = quotas.posts_allowed(usage, now)
        if told.remaining != 0:
            return told
        latest = listing.published_since(self._graph(grant), grant, now - _DAY, _PAGES_NEAR_A_SEND)
        return quotas.posts_allowed(usage, now, tuple(reel.at for reel in latest.reels if reel.at is not None))

    def _heed_allowance(self, grant: Grant) -> None:
        """Spares a send that Instagram would refuse, and tells the ledger what is left."""
        try:
            told = self.allowance(grant)
        except PlatformFault:
            # The answer to the commit says it too, and a read that fails must hold nothing back.
            return
        self._graph(grant).api.meter.settle(quotas.POSTS, grant.account.external_id, told)
        if told.remaining == 0:
            raise refusals.no_posts_left(told, self.clock())

    # ------------------------------------------------------------------------------------------ the commit and after

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        if CONTAINER_ID not in handles:
            return refusals.nothing_to_commit()
        grant, graph = delivery.grant, self._graph(delivery.grant)
        try:
            graph.api.meter.reserve(quotas.PUBLISH, grant.account.external_id)
        except PlatformFault as fault:
            return NotDone(fault.verdict)
        form = {"creation_id": handles[CONTAINER_ID]}
        request = graph.post_request(edge(grant, "media_publish"), grant.access_token, form)
        answer = graph.api.commit(request, window)
        if not isinstance(answer, httpx.Response):
            return answer
        quotas.heed(graph.api.meter, answer, grant.account.external_id, self.clock())
        return errors.commit_outcome(answer, self.clock())

    def check(self, delivery: Delivery, handles: Handles) -> Finding:
        if CONTAINER_ID not in handles:
            return Undecided("no container of this publication is known")
        try:
            container = self._container(delivery.grant, handles[CONTAINER_ID])
        except PlatformFault as fault:
            if errors.is_lost(fault):
                return Undecided(f"the container cannot be read: {fault.verdict.detail}")
            raise
        return errors.finding(container, self._profile(delivery.grant))

    def find(self, delivery: Delivery, handles: Handles) -> Finding:
        """Binds the media id to a container that says PUBLISHED.

        The list alone proves nothing: two posts of one creator may carry the same words within minutes, and which ids
        are bound to other publications is not known here. So a miss, or two candidates, leaves the id open.
        """
        proven = self.check(delivery, handles)
        if not isinstance(proven, Live):
            return proven if isinstance(proven, Undecided) else Undecided(f"the list adds nothing: {proven.proof}")
        try:
            ours = self._near_the_send(delivery, handles)
        except PlatformFault:
            # It is live either way; an id that cannot be read now must not make that look doubtful.
            return proven
        if len(ours) != 1:
            return proven
        return Live(f"{proven.proof}; media {ours[0].id}", ours[0].id, ours[0].url or proven.url)

    def _near_the_send(self, delivery: Delivery, handles: Handles) -> list[listing.Reel]:
        sent_at = delivery.first_sent_at or _time(handles.get(CONTAINER_CREATED_AT), self.clock())
        since = sent_at - _BEFORE_SEND
        listed = listing.published_since(self._graph(delivery.grant), delivery.grant, since, _PAGES_NEAR_A_SEND)
        return [reel for reel in listed.saying(folded(delivery.text.body)) if reel.at is not None and reel.id]

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        """By our words alone, which is why nothing short of a whole list without them proves that it is not there."""
        grant, words = delivery.grant, folded(delivery.text.body)
        listed = listing.published_since(self._graph(grant), grant, since - _BEFORE_SEND, listing.EVERYTHING)
        alike = listed.saying(words)
        if not listed.whole:
            return Undecided("the account's list goes on further than it could be read")
        if listed.reels and not (listed.shows_words or grant.login == FACEBOOK):
            return Undecided(f"the list shows no words of its {len(listed.reels)} posts")
        if len(alike) == 1 and words and alike[0].id:
            return Live(f"media {alike[0].id} carries all of our words", alike[0].id, alike[0].url)
        if alike:
            ours = tuple(reel.id for reel in alike if reel.id and words)
            return Undecided(f"{len(alike)} posts look like it, and nothing tells them apart", ours)
        if options.is_trial(delivery.options):
            return Undecided("whether the list shows trial Reels is not documented")
        return Absent(f"none of {len(listed.reels)} posts since {since.isoformat()} carries our words", False)

    def _container(self, grant: Grant, container_id: str) -> errors.Container:
        fields = "status_code,status" + (",video_status" if grant.login == FACEBOOK else "")
        account = grant.account.external_id
        response = self._graph(grant).get(
            f"/{container_id}", grant.access_token, counts=quotas.CONTAINER, account=account, fields=fields
        )
        return errors.container_answer(response, container_id, self.clock())

    def _graph(self, grant: Grant) -> Graph:
        return self.graphs[grant.login]

    def _profile(self, grant: Grant) -> str:
        return profile_url(self.www_url, grant.account.handle)


def _working(waited_seconds: float) -> NotReady:
    return NotReady("Instagram is working on the video.", limits.poll_after_seconds(waited_seconds))


def _kept_cover(delivery: Delivery) -> dict[str, str]:
    """The source's cover where it is wanted and can be fetched from here: a Reel without it is still a Reel."""
    if delivery.cover is None or not delivery.options.get("keep_cover") or delivery.options.get("cover_url"):
        return {}
    try:
        return {"cover_url": delivery.cover.public_url(limits.PUBLIC_URL_SECONDS)}
    except UserError:
        return {}


def _public_url(delivery: Delivery) -> str:
    try:
        return delivery.media.public_url(limits.PUBLIC_URL_SECONDS)
    except UserError as error:
        raise refusals.no_public_address(error) from error


def _reported(delivery: Delivery, offset: int) -> Iterator[bytes]:
    """The bytes from `offset`, each chunk told to the creator's progress bar."""
    sent, report, size = offset, delivery.report, delivery.media.size_bytes
    for chunk in delivery.media.chunks(offset):
        yield chunk
        sent += len(chunk)
        report("upload", sent / size)


def _processing_since(known: Handles, now: datetime) -> datetime:
    return _time(known.get(UPLOADED_AT) or known.get(CONTAINER_CREATED_AT), now)


def _time(text: str | None, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else otherwise
