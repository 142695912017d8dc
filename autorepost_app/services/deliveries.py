"""What does a destination get to see of a publication?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from autorepost_app.domain.crash_points import WITHIN_REQUEST, reached
from autorepost_app.domain.media import MediaFacts
from autorepost_app.domain.publications import marker_of, payload_fingerprint
from autorepost_app.media.store import Store
from autorepost_app.persistence import posts, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Attempt, Publication, Rendition
from autorepost_app.persistence.publications import Lease
from autorepost_app.persistence.secrets import Place
from autorepost_app.platform_kit.protocol import Delivery, Grant, Handles, PostText, SendTooLate
from autorepost_app.services.house import House, Links
from autorepost_app.services.prepare import frozen_text


class PayloadChanged(Exception):
    """Media, words or options are not those that were frozen: nothing is sent, and somebody has to look."""


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A rendition in the store, as the platform kit's MediaFile."""

    key: str
    size_bytes: int
    sha256: str
    facts: MediaFacts
    store: Store = field(repr=False)
    links: Links = field(repr=False)

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        end = None if length is None else offset + length
        for chunk in self.store.stream(self.key, chunk_bytes=chunk_bytes, start=offset, end=end):
            yield chunk
            reached(WITHIN_REQUEST, "a piece of the file")

    def public_url(self, ttl_seconds: float) -> str:
        return self.store.presign_get(self.key, ttl_seconds) or self.links.address(self.key, ttl_seconds)


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A cover in the store, as the platform kit's Picture."""

    key: str
    store: Store = field(repr=False)
    links: Links = field(repr=False)

    def read(self) -> bytes:
        return b"".join(self.store.stream(self.key))

    def public_url(self, ttl_seconds: float) -> str:
        return self.store.presign_get(self.key, ttl_seconds) or self.links.address(self.key, ttl_seconds)


@dataclass(frozen=True, slots=True)
class Window:
    """The deadline of one intent by this process's own monotonic clock (exactly-once R2)."""

    closes_at: float
    timeout_seconds: float

    @classmethod
    def opens_now(cls, window_seconds: float, exchange_seconds: float) -> Window:
        return cls(time.monotonic() + window_seconds, exchange_seconds)

    def check(self) -> None:
        if time.monotonic() >= self.closes_at:
            raise SendTooLate


@dataclass(frozen=True, slots=True)
class Loaded:
    """One publication with what belongs to it, read in one transaction."""

    row: Publication
    attempt: Attempt
    rendition: Rendition
    cover_key: str | None


def load(session: Session, publication_id: str, attempt_id: str) -> Loaded:
    row = publications.get(session, publication_id)
    rendition = posts.rendition(session, str(row.rendition_id))
    original = posts.original_of(session, row.post_id)
    cover_key = original.thumbnail_key if original is not None else None
    return Loaded(row, publications.attempt(session, attempt_id), rendition, cover_key)


def check_frozen(loaded: Loaded) -> None:
    """Before a send. Raises PayloadChanged when what would be sent is not what was frozen."""
    row, media = loaded.row, loaded.rendition.sha256
    words = {name: row.text[name] for name in ("body", "title", "tags")}
    if payload_fingerprint(media_sha256=media, text=words, options=row.options) != row.fingerprint:
        raise PayloadChanged(f"publication {row.id} no longer matches its fingerprint")


def delivery_of(house: House, loaded: Loaded, grant: Grant, report: Callable[[str, float], None]) -> Delivery:
    rendition, row = loaded.rendition, loaded.row
    media = StoredMedia(
        rendition.store_key,
        rendition.size_bytes,
        rendition.sha256,
        MediaFacts(**rendition.facts),
        house.store,
        house.links,
    )
    spec = house.platforms.destination_spec(row.platform)
    options = {option.name: option.default for option in spec.options} | row.options
    return Delivery(
        publication_id=row.id,
        marker=_marker(row),
        grant=grant,
        text=frozen_text(row),
        media=media,
        options=options,
        first_sent_at=row.first_sent_at,
        cover=StoredPicture(loaded.cover_key, house.store, house.links) if loaded.cover_key else None,
        report=report,
    )


@dataclass(frozen=True, slots=True)
class NoFile:
    """In place of a file where there is none and nothing is sent, as the platform kit's MediaFile."""

    size_bytes: int = 0
    sha256: str = ""

    @property
    def facts(self) -> MediaFacts:
        raise LookupError("there is no file: this is only for looking")

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        raise LookupError("there is no file: this is only for looking")

    def public_url(self, ttl_seconds: float) -> str:
        raise LookupError("there is no file: this is only for looking")


def delivery_to_look_for(house: House, row: Publication, text: PostText, grant: Grant) -> Delivery:
    """Enough for reads, whether there is a file or not."""
    spec = house.platforms.destination_spec(row.platform)
    return Delivery(
        publication_id=row.id,
        marker=_marker(row),
        grant=grant,
        text=text,
        media=NoFile(),
        options={option.name: option.default for option in spec.options} | row.options,
        first_sent_at=row.first_sent_at,
    )


def _marker(row: Publication) -> str:
    return marker_of(row.platform, row.external_account_id, row.source_platform, row.source_post_id)


def open_handles(house: House, attempt: Attempt) -> dict[str, str]:
    """The handles of an attempt, the sealed ones opened."""
    sealed = attempt.secret_handles_sealed
    if sealed is None:
        return dict(attempt.handles)
    secret: Mapping[str, str] = json.loads(house.vault.open(sealed, _place(attempt.tenant_id, attempt.publication_id)))
    return {**attempt.handles, **secret}


def has_handles(attempt: Attempt) -> bool:
    return bool(attempt.handles or attempt.secret_handles_sealed)


def keep_handles(house: House, session: Session, lease: Lease, handles: Handles, secret_names: frozenset[str]) -> None:
    """Stores the handles, those that are secrets sealed for this publication."""
    secret = {name: value for name, value in handles.items() if name in secret_names}
    plain = {name: value for name, value in handles.items() if name not in secret_names}
    sealed = None
    if secret:
        sealed = house.vault.seal(json.dumps(secret), _place(lease.tenant_id, lease.publication_id))
    publications.keep_handles(session, lease, handles=plain, secret_sealed=sealed)


def _place(tenant_id: str, publication_id: str) -> Place:
    return Place(tenant_id, publication_id, "handles")
