"""Is the original here? Downloads a post's file once, looks at it, and keeps it under its content hash.

Or its creator hands the file over: then nobody has to fetch it.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from autorepost_app.domain.errors import PlatformFault, Reconnect, Rejected, TryAgain, UserError, Verdict, WaitUntil
from autorepost_app.domain.identity import SystemScope, TenantScope
from autorepost_app.domain.media import MediaFacts
from autorepost_app.domain.publications import EvidenceKind, State, back_off_seconds
from autorepost_app.domain.waking import apart_seconds
from autorepost_app.media.errors import MediaFault, MediaRejected
from autorepost_app.media.files import hash_file
from autorepost_app.media.inspect import inspect
from autorepost_app.media.keys import original_key, thumbnail_key
from autorepost_app.media.pictures import save_jpeg
from autorepost_app.media.transcode import make_thumbnail
from autorepost_app.persistence import ledger, posts, publications, waking
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Original, Post, Publication
from autorepost_app.persistence.publications import Proof
from autorepost_app.platform_kit.protocol import Downloaded, Grant
from autorepost_app.services import chains, tokens
from autorepost_app.services.house import House
from autorepost_app.services.promises import source_post

_HANDING_OVER: Final = SystemScope("hand over")
_AFTER_A_LOOK: Final = timedelta(minutes=1)
Progress = Callable[[str, float], None]
"""Called with the step's name and the fraction done, 0 to 1."""


def fetch(house: House, scope: SystemScope, post_id: str, progress: Progress) -> Original | None:
    """The original of a post. None when nobody waits for it any more, or it cannot be had (the publications say why).

    Raises what is a bug or a fault of this machine; the publications are unharmed then.
    """
    with house.db.system(scope) as session:
        post = posts.get(session, post_id)
        original = posts.original_of(session, post_id)
        waiting = _begin(house, session, post_id)
        if original is not None or not waiting or _is_closed(house, session, post, waiting):
            return original
    started, began_at = time.monotonic(), house.clock()
    with house.workbench("fetch") as bench:
        try:
            file, downloaded, facts = _download(house, scope, post, bench, progress)
        except PlatformFault as fault:
            _stop(house, scope, post, fault.verdict, began_at)
            return None
        except MediaRejected as rejected:
            _stop(
                house, scope, post, Rejected(rejected.text, rejected.detail, "media", remedy=rejected.remedy), began_at
            )
            return None
        with house.db.system(scope) as session:
            chains.came(house, session, post.platform)
        return _keep(house, scope, post, file, downloaded, facts, time.monotonic() - started)


def hand_over(house: House, scope: TenantScope, post_id: str, file: Path) -> Original:
    """A creator gives us the file of a post, at `file`, which is left there.

    Raises UserError for a post that is not theirs, one whose file is here already, and a file that is no good.
    """
    with house.db.tenant(scope) as session:
        post = _theirs(session, post_id)
    with house.workbench("hand-over") as bench:
        copy = bench / "original"
        shutil.copyfile(file, copy)
        facts = inspect(copy, house.tools)
        downloaded = Downloaded(copy.stat().st_size, hash_file(copy))
        original = _keep(house, _HANDING_OVER, post, copy, downloaded, facts, 0.0)
    with house.db.system(_HANDING_OVER) as session:
        waking.has_file(session, post.id, house.clock())
        text = "The file of this video was handed over by hand."
        ledger.tell(
            session, tenant_id=post.tenant_id, at=house.clock(), kind="original.handed_over", text=text, post_id=post.id
        )
    return original


def _theirs(session: Session, post_id: str) -> Post:
    try:
        post = posts.get(session, post_id)
    except KeyError:
        raise UserError("There is no such post.", field="post") from None
    if posts.original_of(session, post_id) is not None:
        raise UserError("The file of this post is here already.", remedy="Nothing has to be done.", field="post")
    return post


def _is_closed(house: House, session: Session, post: Post, waiting: list[Publication]) -> bool:
    """While no file comes for anybody, nobody asks and no attempt is spent."""
    until = chains.closed_until(house, session, post.platform)
    if until is None:
        return False
    name = house.platforms.manifest(post.platform).name
    for row in waiting:
        row.due_at = max(until, house.clock()) + _AFTER_A_LOOK
        row.waiting_for = f"No videos can be fetched from {name} at the moment. Nothing is lost."
        row.cause = chains.CAUSE
    return True


def _begin(house: House, session: Session, post_id: str) -> list[Publication]:
    """The publications that need the file, moved to PREPARING."""
    now = house.clock()
    rows = publications.of_post(session, post_id)
    for row in rows:
        if row.state == State.DETECTED and row.due_at <= now:
            publications.move(session, "prepare", row, now=now)
    return [row for row in rows if row.state == State.PREPARING and row.due_at <= now]


def _download(
    house: House, scope: SystemScope, post: Post, bench: Path, progress: Progress
) -> tuple[Path, Downloaded, MediaFacts]:
    grant = tokens.grant_for(house, scope, post.connection_id)
    file = bench / "original"
    try:
        downloaded = _attempt(house, grant, post, file, progress)
    except PlatformFault as fault:
        if not (isinstance(fault.verdict, Reconnect) and fault.verdict.refresh_first):
            raise
        grant = tokens.renew(house, scope, post.connection_id, grant)
        downloaded = _attempt(house, grant, post, file, progress)
    return file, downloaded, inspect(file, house.tools)


def _attempt(house: House, grant: Grant, post: Post, file: Path, progress: Progress) -> Downloaded:
    def report(done: int, of: int | None) -> None:
        progress("download", done / of if of else 0.0)

    return house.platforms.source(post.platform).download(grant, source_post(post), file, report)


def _keep(
    house: House, scope: SystemScope, post: Post, file: Path, downloaded: Downloaded, facts: MediaFacts, seconds: float
) -> Original:
    tenant = UUID(post.tenant_id)
    cover = _cover(house, tenant, downloaded)
    thumbnail = cover or _thumbnail(house, tenant, file, downloaded.sha256, facts)
    stored = house.store.put_file(file, original_key(tenant, downloaded.sha256), consume=True)
    with house.db.system(scope) as session:
        if downloaded.full_caption:
            posts.set_full_caption(session, post.id, downloaded.full_caption)
        return posts.save_original(
            session,
            {
                "id": str(uuid.uuid4()),
                "tenant_id": post.tenant_id,
                "post_id": post.id,
                "store_key": stored.key,
                "sha256": downloaded.sha256,
                "size_bytes": stored.size_bytes,
                "facts": asdict(facts),
                "thumbnail_key": thumbnail,
                "fetched_at": house.clock(),
                "fetch_seconds": seconds,
            },
        )


def _cover(house: House, tenant: UUID, downloaded: Downloaded) -> str | None:
    """The picture that the post had at its source, as a JPEG; None where there is none that can be read."""
    if downloaded.cover is None:
        return None
    picture = downloaded.cover.with_name("cover.jpg")
    try:
        save_jpeg(downloaded.cover, picture)
    except MediaFault:
        return None
    key = thumbnail_key(tenant, downloaded.sha256)
    house.store.put_file(picture, key, consume=True)
    return key


def _thumbnail(house: House, tenant: UUID, file: Path, sha256: str, facts: MediaFacts) -> str | None:
    """A picture is a comfort: a file without one is reposted all the same."""
    picture = file.with_name("thumbnail.jpg")
    try:
        make_thumbnail(file, picture, house.tools, at_seconds=min(1.0, facts.duration_seconds / 2))
    except (MediaFault, UserError):
        return None
    key = thumbnail_key(tenant, sha256)
    house.store.put_file(picture, key, consume=True)
    return key


def _stop(house: House, scope: SystemScope, post: Post, verdict: Verdict, began_at: datetime) -> None:
    """What a refusal means for the publications that wait for this file."""
    if isinstance(verdict, Reconnect):
        tokens.needs_reconnect(house, scope, post.connection_id, verdict, began_at=began_at)
    spec = house.platforms.manifest(post.platform).source
    with house.db.system(scope) as session:
        if spec is not None and verdict.code in spec.chain_codes:
            chains.suspect(house, session, post.platform, verdict)
        for row in publications.of_post(session, post.id):
            if row.state == State.PREPARING:
                _stop_one(house, session, row, verdict)


def _stop_one(house: House, session: Session, row: Publication, verdict: Verdict) -> None:
    now = house.clock()
    wait = _wait_seconds(house, row, verdict)
    if wait is None:
        remedy = verdict.remedy if isinstance(verdict, Rejected) else ""
        proof = Proof(EvidenceKind.NOT_SENT, "worker", "its file could not be fetched", now, detail=verdict.detail)
        why = {"reason": verdict.text, "remedy": remedy, "waiting_for": "", "cause": verdict.code}
        publications.move(session, "refuse", row, now=now, proof=proof, **why)
        ledger.tell(
            session,
            tenant_id=row.tenant_id,
            at=now,
            kind="publication.failed",
            text=f"{house.platforms.manifest(row.platform).name}: {verdict.text}",
            detail=verdict.detail,
            post_id=row.post_id,
            publication_id=row.id,
        )
        return
    row.faults += int(isinstance(verdict, TryAgain))
    row.due_at = now + timedelta(seconds=wait)
    row.waiting_for = verdict.text
    row.cause = tokens.NOT_ACTIVE if isinstance(verdict, Reconnect) else verdict.code


def _wait_seconds(house: House, row: Publication, verdict: Verdict) -> float | None:
    """How long the file may wait, or None when it never comes."""
    match verdict:
        case Rejected():
            return None
        case TryAgain(after_seconds=after):
            planned = back_off_seconds(row.faults + 1)
            return None if planned is None else max(planned, after or 0.0)
        case WaitUntil(at=at):
            return max((at - house.clock()).total_seconds(), 1.0) + apart_seconds(row.post_id)
        case _:
            return 3600.0
