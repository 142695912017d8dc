"""How does one Reel get onto Instagram exactly once?

Container, bytes, wait, `media_publish`. The container is the key that Instagram itself keeps single: it is stored
before anything uses it, the commit names it, and its state tells afterwards what the commit did.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import HandleDead, PlatformFault, UserError
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import (
    Delivery,
    Finding,
    Grant,
    Handles,
    KeepHandles,
    Live,
    NotReady,
    Outcome,
    SendWindow,
    Staged,
    Undecided,
)
from autorepost_app.platforms.instagram import errors, limits
from autorepost_app.platforms.instagram.auth import FACEBOOK, GRAPH_VERSION, Graph, next_cursor, profile_url

CONTAINER_ID: Final = "container_id"
CONTAINER_CREATED_AT: Final = "container_created_at"
UPLOAD_URI: Final = "rupload_uri"
UPLOADED_AT: Final = "uploaded_at"

_MEDIA_FIELDS: Final = "id,caption,timestamp,permalink,media_product_type"
_PAGES_AT_MOST: Final = 5
_BEFORE_SEND: Final = timedelta(minutes=2)
"""How far Instagram's clock may be behind ours when a post's time is compared with our send."""
_LOST_PATIENCE: Final = timedelta(minutes=2)
_EXPIRY_MARGIN: Final = timedelta(hours=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


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
            return self._advance(delivery, known, remember)
        except HandleDead:
            raise
        except PlatformFault as fault:
            if self._replaceable(fault, delivery, known):
                raise HandleDead(fault.verdict) from fault
            raise

    def _create(self, delivery: Delivery) -> dict[str, str]:
        chosen = option_fields(delivery.options, delivery.media.facts.duration_seconds)
        form = {"media_type": "REELS", "caption": delivery.text.body, **chosen}
        if delivery.grant.login == FACEBOOK:
            form["upload_type"] = "resumable"
        else:
            form["video_url"] = _public_url(delivery)
        grant = delivery.grant
        response = self._graph(grant).post(f"/{grant.account.external_id}/media", grant.access_token, form)
        now = self.clock()
        container_id, uri = errors.created(response, now)
        handles = {CONTAINER_ID: container_id, CONTAINER_CREATED_AT: now.isoformat()}
        return {**handles, UPLOAD_URI: uri} if uri else handles

    def _advance(self, delivery: Delivery, known: Handles, remember: KeepHandles) -> Staged | NotReady | Live:
        container = self._container(delivery.grant, known[CONTAINER_ID])
        if errors.is_live(container):
            return Live(f"container {container.id} is {container.state}", url=self._profile(delivery.grant))
        errors.refuse_unusable(container, self.clock())
        if container.finished:
            return Staged()
        if delivery.grant.login == FACEBOOK and UPLOADED_AT not in known:
            self._upload(delivery, container, known.get(UPLOAD_URI))
            remember({UPLOADED_AT: self.clock().isoformat()})
        return self._wait(delivery, container, known)

    def _wait(self, delivery: Delivery, container: errors.Container, known: Handles) -> NotReady:
        waited_seconds = (self.clock() - _processing_since(known, self.clock())).total_seconds()
        # After an unclear send only the container's own end allows another one, however long it takes.
        if waited_seconds > limits.PROCESSING_PATIENCE_SECONDS and delivery.first_sent_at is None:
            raise errors.stuck(container, self.clock())
        return NotReady("Instagram is working on the video.", limits.poll_after_seconds(waited_seconds))

    def _replaceable(self, fault: PlatformFault, delivery: Delivery, known: Handles) -> bool:
        """Whether this fault allows another container. Once something was sent, only the end of a container's life
        does: until then the first one may still turn out to be the post."""
        if CONTAINER_ID not in known or not (errors.is_lost(fault) or errors.is_dead(fault)):
            return False
        age = self.clock() - _time(known.get(CONTAINER_CREATED_AT), self.clock())
        if delivery.first_sent_at is not None:
            return age > timedelta(seconds=limits.CONTAINER_LIFE_SECONDS) + _EXPIRY_MARGIN
        return errors.is_dead(fault) or age > _LOST_PATIENCE

    def _upload(self, delivery: Delivery, container: errors.Container, uri: str | None) -> None:
        size, offset = delivery.media.size_bytes, container.bytes_transferred
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
            self._upload_address(container.id, uri),
            headers=headers,
            content=_reported(delivery, offset),
            timeout_seconds=limits.UPLOAD_TIMEOUT_SECONDS,
        )
        errors.upload_answer(response, self.clock())

    def _upload_address(self, container_id: str, uri: str | None) -> str:
        """The address Instagram gave, if it leads to the host we were set up with: it will carry a token."""
        if uri and uri.startswith(self.rupload.url("/")):
            return uri
        return self.rupload.url(f"/ig-api-upload/{GRAPH_VERSION}/{container_id}")

    # ------------------------------------------------------------------------------------------ the commit and after

    def commit(self, delivery: Delivery, handles: Handles, window: SendWindow) -> Outcome:
        if CONTAINER_ID not in handles:
            return errors.nothing_to_commit()
        grant, graph = delivery.grant, self._graph(delivery.grant)
        path, form = f"/{grant.account.external_id}/media_publish", {"creation_id": handles[CONTAINER_ID]}
        answer = graph.api.commit(graph.post_request(path, grant.access_token, form), window)
        if isinstance(answer, httpx.Response):
            return errors.commit_outcome(answer, self.clock())
        return answer

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
            ours = list(self._candidates(delivery, handles))
        except PlatformFault:
            # It is live either way; an id that cannot be read now must not make that look doubtful.
            return proven
        if len(ours) != 1:
            return proven
        media = ours[0]
        return Live(f"{proven.proof}; media {media['id']}", str(media["id"]), media.get("permalink") or proven.url)

    def remaining(self, grant: Grant) -> int | None:
        """Posts left in this account's rolling 24 hours as Instagram itself counts; None where it does not say."""
        path = f"/{grant.account.external_id}/content_publishing_limit"
        response = self._graph(grant).get(path, grant.access_token, fields="quota_usage,config")
        return errors.posts_left(response, self.clock())

    def _candidates(self, delivery: Delivery, handles: Handles) -> Iterator[Mapping[str, Any]]:
        sent_at = delivery.first_sent_at or _time(handles.get(CONTAINER_CREATED_AT), self.clock())
        since, words = sent_at - _BEFORE_SEND, folded(delivery.text.body)
        for media in self._recent(delivery.grant, since):
            # Meta's pages disagree on whether Instagram's own login is told the product type: it may be missing.
            is_reel = media.get("media_product_type") in (None, "REELS")
            same_words = folded(str(media.get("caption") or "")) == words
            if is_reel and same_words and media.get("id") and since <= _time(media.get("timestamp"), otherwise=_NEVER):
                yield media

    def _recent(self, grant: Grant, since: datetime) -> Iterator[Mapping[str, Any]]:
        params = {"fields": _MEDIA_FIELDS, "since": str(int(since.timestamp())), "limit": "50"}
        for _ in range(_PAGES_AT_MOST):
            response = self._graph(grant).get(f"/{grant.account.external_id}/media", grant.access_token, **params)
            body = errors.answer(response, self.clock())
            yield from body.get("data") or ()
            after = next_cursor(body)
            if after is None:
                return
            params["after"] = after

    def _container(self, grant: Grant, container_id: str) -> errors.Container:
        fields = "status_code,status" + (",video_status" if grant.login == FACEBOOK else "")
        response = self._graph(grant).get(f"/{container_id}", grant.access_token, fields=fields)
        return errors.container_answer(response, container_id, self.clock())

    def _graph(self, grant: Grant) -> Graph:
        return self.graphs[grant.login]

    def _profile(self, grant: Grant) -> str:
        return profile_url(self.www_url, grant.account.handle)


def option_fields(options: Mapping[str, object], duration_seconds: float) -> dict[str, str]:
    """A rule's choices as Instagram's form fields; what was not chosen is left out."""
    fields = {"share_to_feed": "true" if options.get("share_to_feed", True) else "false"}
    if options.get("is_ai_generated"):
        fields["is_ai_generated"] = "true"
    if options.get("trial_reel"):
        fields["trial_params"] = json.dumps({"graduation_strategy": options["trial_reel"]})
    offset_ms = int(str(options.get("thumb_offset_ms") or 0))
    # A rule serves clips of all lengths; Instagram would refuse a moment after the end.
    if 0 < offset_ms < duration_seconds * 1000:
        fields["thumb_offset"] = str(offset_ms)
    if options.get("audio_name"):
        fields["audio_name"] = str(options["audio_name"])
    if invited := _usernames(options.get("collaborators")):
        fields["collaborators"] = json.dumps(invited)
    return fields


def folded(caption: str) -> str:
    """A caption for comparing: Instagram may compose letters and trim spaces differently from us."""
    return " ".join(unicodedata.normalize("NFC", caption).split())


def _usernames(value: object) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    tidy = [str(name).strip().removeprefix("@") for name in names]
    return [name for name in tidy if name][: limits.COLLABORATOR_LIMIT]


def _public_url(delivery: Delivery) -> str:
    try:
        return delivery.media.public_url(limits.PUBLIC_URL_SECONDS)
    except UserError as error:
        raise errors.no_public_address(error) from error


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
