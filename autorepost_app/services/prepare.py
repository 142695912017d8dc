"""Which file does each destination get, and what exactly goes with it?

Plans for all destinations of a post together, makes the fewest files, then freezes each publication: media, words and
options, under one fingerprint.
"""

from __future__ import annotations

import resource
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from autorepost_app.domain.captions import CaptionSource, hashtags_of, render, title_of
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.media import Kind, MediaFacts, Plan, Refusal, RenditionPlan, RenditionSpec, plan, violations
from autorepost_app.domain.publications import EvidenceKind, State, payload_fingerprint
from autorepost_app.media.errors import MediaRejected
from autorepost_app.media.keys import rendition_key
from autorepost_app.media.transcode import make_rendition
from autorepost_app.persistence import connections, ledger, posts, publications
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Original, Post, Publication, Rendition
from autorepost_app.persistence.publications import Proof
from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.services.fetch import Progress
from autorepost_app.services.house import House

UNFIT: Final = "media.unfit"
"""The cause of a refusal because of the file itself."""


class UnfitFile(Exception):
    """A file as measured breaks a limit that it was planned to keep: a fault of ours, and nothing is sent."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one preparation decided and made."""

    plan: Plan
    renditions: tuple[Rendition, ...]
    ready: int
    refused: int


def needs_encoding(house: House, scope: SystemScope, post_id: str) -> bool:
    """Whether preparing would re-encode pictures: the one step that is dear, and of which few may run at once."""
    looked = _look(house, scope, post_id)
    if looked is None:
        return False
    with house.db.system(scope) as session:
        made = {row.spec for row in posts.renditions_of(session, [looked.original.id])}
    return any(_encodes(each.spec) for each in looked.chosen.renditions if each.fingerprint not in made)


def prepare(house: House, scope: SystemScope, post_id: str, progress: Progress) -> Prepared | None:
    """Brings the publications of a post that wait for their file to READY, or to FAILED with the reason.

    None when none waits, or the original is not here.
    """
    looked = _look(house, scope, post_id)
    if looked is None:
        return None
    chosen, waiting = looked.chosen, looked.waiting
    try:
        made = _make_all(house, scope, looked.original, looked.facts, chosen, progress)
    except MediaRejected as rejected:
        refused = sorted({row.platform for row in waiting})
        chosen = Plan((), tuple(Refusal(key, rejected.text, rejected.remedy) for key in refused))
        made = {}
    ready = sum(_settle(house, scope, row.id, chosen, made) for row in waiting)
    return Prepared(chosen, tuple(made.values()), ready, len(waiting) - ready)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be prepared, and how."""

    original: Original
    facts: MediaFacts
    waiting: list[Publication]
    chosen: Plan


def _look(house: House, scope: SystemScope, post_id: str) -> _Look | None:
    with house.db.system(scope) as session:
        original = posts.original_of(session, post_id)
        waiting = [row for row in publications.of_post(session, post_id) if row.state == State.PREPARING]
    if original is None or not waiting:
        return None
    facts = MediaFacts(**original.facts)
    limits = {row.platform: house.platforms.destination_spec(row.platform).media for row in waiting}
    return _Look(original, facts, waiting, plan(facts, limits))


def _encodes(spec: RenditionSpec | None) -> bool:
    return spec is not None and (spec.kind is Kind.TRANSCODE or _encodes(spec.base))


def _make_all(
    house: House, scope: SystemScope, original: Original, facts: MediaFacts, chosen: Plan, progress: Progress
) -> dict[str, Rendition]:
    """A rendition for each fingerprint of the plan, made once whoever asks."""
    with house.db.system(scope) as session:
        made = {row.spec: row for row in posts.renditions_of(session, [original.id])}
    wanted = {each.fingerprint: each for each in chosen.renditions}
    missing = [each for key, each in wanted.items() if key not in made]
    if missing:
        with ExitStack() as stack:
            bench = _Bench(house, original, facts, stack)
            for each in missing:
                made[each.fingerprint] = _make(house, scope, original, each, bench, progress)
    return {key: made[key] for key in wanted}


class _Bench:
    """The files at hand while renditions of one original are made: a base is made once and cut often."""

    def __init__(self, house: House, original: Original, facts: MediaFacts, stack: ExitStack) -> None:
        self._house = house
        self._original = original
        self._facts = facts
        self._stack = stack
        self._folder: Path | None = None
        self._made: dict[str, tuple[Path, MediaFacts]] = {}

    def file(self, spec: RenditionSpec | None, progress: Progress) -> tuple[Path, MediaFacts]:
        """The file of `spec`, made now if need be; the original for None."""
        if spec is None or spec.kind is Kind.PASSTHROUGH:
            return self._original_file(), self._facts
        key = spec.fingerprint
        if key not in self._made:
            source, facts = self.file(spec.base, progress)
            target = self._own_folder() / f"{key}.mp4"
            measured = make_rendition(
                spec,
                facts,
                source,
                target,
                self._house.tools,
                on_progress=lambda at: progress("transcode", at.fraction or 0.0),
            )
            self._made[key] = target, measured
        return self._made[key]

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = self._stack.enter_context(self._house.workbench("prepare"))
        return self._folder

    def _original_file(self) -> Path:
        in_place = self._house.store.local_path(self._original.store_key)
        if in_place is not None:
            return in_place
        target = self._own_folder() / "original"
        if not target.exists():
            self._house.store.fetch_to(self._original.store_key, target, sha256=self._original.sha256)
        return target


def _make(
    house: House, scope: SystemScope, original: Original, wanted: RenditionPlan, bench: _Bench, progress: Progress
) -> Rendition:
    started, cpu = time.monotonic(), _cpu_seconds()
    if wanted.kind is Kind.PASSTHROUGH:
        key, sha256, size = original.store_key, original.sha256, original.size_bytes
        facts = original.facts
    else:
        file, measured = bench.file(wanted.spec, progress)
        key = rendition_key(UUID(original.tenant_id), original.sha256, wanted.fingerprint)
        stored = house.store.put_file(file, key)
        sha256, size, facts = str(stored.sha256), stored.size_bytes, asdict(measured)
    with house.db.system(scope) as session:
        return posts.save_rendition(
            session,
            {
                "id": str(uuid.uuid4()),
                "tenant_id": original.tenant_id,
                "original_id": original.id,
                "spec": wanted.fingerprint,
                "kind": wanted.kind,
                "reason": wanted.reason,
                "store_key": key,
                "sha256": sha256,
                "size_bytes": size,
                "facts": facts,
                "made_at": house.clock(),
                "make_seconds": time.monotonic() - started,
                "cpu_seconds": _cpu_seconds() - cpu,
            },
        )


def _cpu_seconds() -> float:
    """Of this process and of the tools it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _settle(house: House, scope: SystemScope, publication_id: str, chosen: Plan, made: Mapping[str, Rendition]) -> bool:
    """READY with everything frozen, or FAILED; True for READY. Somebody's cancellation in between stands."""
    with house.db.system(scope) as session:
        row = publications.get(session, publication_id)
        if row.state != State.PREPARING:
            return False
        refusal = chosen.refusal_for(row.platform)
        if refusal is not None:
            _refuse(house, session, row, refusal)
            return False
        wanted = chosen.rendition_for(row.platform)
        if wanted is None:
            raise LookupError(f"the plan says nothing about {row.platform}")
        _freeze(house, session, row, made[wanted.fingerprint])
        return True


def _refuse(house: House, session: Session, row: Publication, refusal: Refusal) -> None:
    now = house.clock()
    proof = Proof(EvidenceKind.NOT_SENT, "worker", "the file cannot be made to fit", now)
    why = {"reason": refusal.reason, "remedy": refusal.remedy, "waiting_for": "", "cause": UNFIT}
    publications.move(session, "refuse", row, now=now, proof=proof, **why)
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=now,
        kind="publication.failed",
        text=f"{house.platforms.manifest(row.platform).name}: {refusal.reason} {refusal.remedy}".strip(),
        post_id=row.post_id,
        publication_id=row.id,
    )


def _freeze(house: House, session: Session, row: Publication, rendition: Rendition) -> None:
    broken = violations(MediaFacts(**rendition.facts), house.platforms.destination_spec(row.platform).media)
    if broken:
        told = "; ".join(each.text for each in broken)
        raise UnfitFile(f"rendition {rendition.id} is not for {row.platform}: {told}")
    post = posts.get(session, row.post_id)
    text, changes = house.platforms.destination_spec(row.platform).text.fit(words_of(session, post, row))
    now = house.clock()
    publications.move(
        session,
        "freeze",
        row,
        now=now,
        rendition_id=rendition.id,
        text={"body": text.body, "title": text.title, "tags": list(text.tags), "changes": list(changes)},
        fingerprint=payload_fingerprint(
            media_sha256=rendition.sha256,
            text={"body": text.body, "title": text.title, "tags": list(text.tags)},
            options=row.options,
        ),
        due_at=max(row.publish_at, now),
        waiting_for="",
        cause="",
        faults=0,
    )


def words_of(session: Session, post: Post, row: Publication) -> PostText:
    """The words of a publication before they are made to fit and frozen."""
    caption = post.full_caption or post.caption
    handle = connections.get(session, post.connection_id).handle
    body = render(row.template, CaptionSource(caption, handle, post.url))
    return PostText(body=body, title=title_of(caption), tags=hashtags_of(caption))


def frozen_text(row: Publication) -> PostText:
    """The words as they were frozen."""
    words = row.text
    return replace(PostText(body=words["body"]), title=words.get("title", ""), tags=tuple(words.get("tags", ())))
