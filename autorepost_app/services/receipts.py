"""What was done when for one publication, and how is it known?

Everything is taken from rows that say when they happened: a receipt can be asked for at any time, and what it said once
it says for ever. It is for people: no token, no signed address, no secret handle is in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from autorepost_app.domain.publications import MOVE, ON_ITS_WAY, By, EvidenceKind, State
from autorepost_app.persistence.models import (
    Activity,
    Attempt,
    Connection,
    Evidence,
    Original,
    Post,
    Publication,
    Rendition,
)
from autorepost_app.platform_kit.http import without_secrets

_NAMES = Callable[[str], str]
_WHO: Final = {
    "answer": "its own answer",
    "read": "a read of ours",
    "late_answer": "what was heard or read late",
    "worker": "our worker",
    "sweeper": "our sweeper",
}
_SAID: Final[Mapping[str, str]] = {
    EvidenceKind.LIVE: "It is live",
    EvidenceKind.ABSENT: "It is not there",
    EvidenceKind.NOT_DONE: "Nothing was done",
    EvidenceKind.UNCLEAR: "Unclear whether it happened",
    EvidenceKind.UNDECIDED: "Undecided",
    EvidenceKind.NOT_SENT: "Nothing was sent",
}
_ENDED: Final = {
    "done": "it is live",
    "unknown": "the outcome was unclear",
    "not_done": "the platform did nothing",
    "not_done_same_handle": "the platform did nothing, and what was staged can still be used",
    "rejected": "refused before anything was sent",
    "handle_dead": "what was staged could no longer be used",
    "absent": "it turned out not to be there",
    "absent_same_handle": "it turned out not to be there, and what was staged can still be used",
}
_OF_ONE_MOMENT: Final = (
    *("found", "promise", "file", "rendition", "attempt", "intent", "answer", "evidence"),
    *("wait", "decision", "live", "finish", "end"),
)
_ONE_MOMENT: Final = timedelta(seconds=1)
_BY_A_PERSON: Final = frozenset(f"publication.{name}" for name, move in MOVE.items() if move.by is By.PERSON)
_TOLD: Final = {**dict.fromkeys(_BY_A_PERSON, "decision"), "publication.waiting": "wait", "publication.note": "finish"}


@dataclass(frozen=True, slots=True)
class Trail:
    """The rows behind a receipt. `rule` is the name of the rule that promised it, also of one that was deleted."""

    publication: Publication
    connection: Connection
    post: Post
    rule: str | None
    original: Original | None
    rendition: Rendition | None
    attempts: Sequence[Attempt]
    evidence: Sequence[Evidence]
    activity: Sequence[Activity]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was done or seen. `detail` is the raw exchange behind it, secrets removed."""

    at: datetime
    what: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One publication's page: `proof` in one sentence, then everything in the order in which it happened."""

    publication_id: str
    post_id: str
    platform: str
    account: str
    state: str
    proof: str
    external_id: str | None
    url: str | None
    lines: tuple[Line, ...] = field(repr=False)


def page(trail: Trail, name_of: _NAMES) -> Receipt:
    """`name_of` gives a platform's name by its key."""
    row = trail.publication
    name = name_of(row.platform)
    lines = [*_until_ready(trail, name_of), *of_sending(trail.attempts, trail.evidence)]
    lines += [*_told(trail), *_end(trail, name)]
    return Receipt(
        publication_id=row.id,
        post_id=row.post_id,
        platform=row.platform,
        account=trail.connection.handle,
        state=row.state,
        proof=without_secrets(_proof(trail, name)),
        external_id=row.external_id,
        url=row.url,
        lines=in_order(lines),
    )


def _until_ready(trail: Trail, name_of: _NAMES) -> Iterator[Line]:
    row, post = trail.publication, trail.post
    yield Line(
        post.detected_at, "found", f"Found on {name_of(post.platform)}, where it was posted {stamp(post.posted_at)}."
    )
    by = f"by the rule “{trail.rule}”" if trail.rule else "by no rule that is known any more"
    yield Line(row.created_at, "promise", f"Promised for {name_of(row.platform)} @{trail.connection.handle} {by}.")
    if trail.original is not None:
        size, sha256 = trail.original.size_bytes, trail.original.sha256
        yield Line(trail.original.fetched_at, "file", f"The file was kept: {size:,} bytes, SHA-256 {sha256}.")
    if trail.rendition is not None:
        made = trail.rendition
        text = (
            f"Chosen for it: {made.kind}, {made.reason.rstrip('.')}; {made.size_bytes:,} bytes, SHA-256 {made.sha256}."
        )
        yield Line(max(made.made_at, row.created_at), "rendition", text)


def of_sending(attempts: Sequence[Attempt], evidence: Sequence[Evidence]) -> Iterator[Line]:
    """What was tried, and what is known of it."""
    yield from _attempts(attempts, evidence)
    yield from _evidence(evidence)


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """As it happened; of one moment, what was done before what it proved."""
    return tuple(sorted(lines, key=lambda line: (line.at, _OF_ONE_MOMENT.index(line.what))))


def _attempts(attempts: Iterable[Attempt], evidence: Sequence[Evidence]) -> Iterator[Line]:
    for each in attempts:
        yield Line(each.started_at, "attempt", f"Attempt {each.number} began.")
        if each.intended_at is not None:
            staged = ", ".join(f"{name} {value}" for name, value in sorted(each.handles.items()))
            text = f"Staged{f': {staged}' if staged else ''}. The intent to send was on disk before the first byte."
            yield Line(each.intended_at, "intent", without_secrets(text))
        if each.ended_at is not None:
            text = f"Attempt {each.number} ended: {_ENDED.get(each.outcome or '', each.outcome or 'unknown')}."
            yield Line(_ended_at(each, each.ended_at, evidence), "answer", text, _raw(each.verdict))


def _ended_at(attempt: Attempt, ended_at: datetime, evidence: Sequence[Evidence]) -> datetime:
    """An attempt's end and its proof are one transaction, whose clock was read more than once."""
    proofs = [each.at for each in evidence if each.attempt_id == attempt.id]
    return min((at for at in proofs if timedelta(0) <= ended_at - at < _ONE_MOMENT), default=ended_at)


def _evidence(evidence: Iterable[Evidence]) -> Iterator[Line]:
    for each in evidence:
        post = f" Post {each.external_id}." if each.external_id else ""
        text = f"{_SAID[each.kind]}, by {_who(each)}: {each.proof.rstrip('.')}.{post}"
        yield Line(each.at, "evidence", without_secrets(text), without_secrets("" if _by_person(each) else each.detail))


def _raw(verdict: Mapping[str, object]) -> str:
    said = {name: value for name, value in verdict.items() if value is not None}
    return without_secrets(json.dumps(said, ensure_ascii=False)) if said else ""


def _told(trail: Trail) -> Iterator[Line]:
    for each in trail.activity:
        what = _TOLD.get(each.kind)
        if what is None or each.publication_id != trail.publication.id:
            continue
        by = f" By {each.detail}." if what == "decision" and each.detail else ""
        yield Line(each.at, what, without_secrets(f"{each.text}{by}"), "" if by else without_secrets(each.detail))


def _end(trail: Trail, name: str) -> Iterator[Line]:
    row = trail.publication
    if row.published_at is not None:
        seen = [each.at for each in trail.evidence if each.kind == EvidenceKind.LIVE]
        at = max([row.published_at, *seen[:1]])
        yield Line(at, "live", f"Live on {name}{f': {row.url}' if row.url else ''}.")
    elif row.state in (State.FAILED, State.SKIPPED, State.CANCELLED, State.DROPPED, State.NEEDS_REVIEW):
        yield Line(row.state_at, "end", without_secrets(f"{row.reason} {row.remedy}".strip()))


# ------------------------------------------------------------------------------------------------------ in one sentence


def _proof(trail: Trail, name: str) -> str:
    row = trail.publication
    because = _because(trail) if row.last_sent_at else "nothing was ever sent"
    match State(row.state):
        case State.PUBLISHED:
            return _published(trail, name)
        case State.FAILED:
            return f"Failed: nothing is live on {name}, because {_because(trail)}."
        case State.CANCELLED:
            return f"Cancelled {stamp(row.state_at)}: {because}."
        case State.SKIPPED:
            return f"Left out: {row.reason}"
        case state:
            return _not_known(row, state, name) or f"On its way: {because}."


def _not_known(row: Publication, state: State, name: str) -> str | None:
    """While, or because, nobody knows whether it is live; None where it is known that it is not."""
    sent = stamp(row.last_sent_at) if row.last_sent_at is not None else "at a time that was forgotten, if at all"
    match state:
        case State.NEEDS_REVIEW:
            return f"Undecided: {name} cannot tell whether it is live; sent {sent}. A person has to look."
        case State.DROPPED:
            return f"Left undecided {stamp(row.state_at)}, by a person; sent {sent}."
        case state if state in ON_ITS_WAY:
            return f"On its way: sent {sent}, and looked for by reads only."
        case _:
            return None


def _published(trail: Trail, name: str) -> str:
    live = [each for each in trail.evidence if each.kind == EvidenceKind.LIVE]
    first = live[0]
    post = f"post {first.external_id}" if first.external_id else "the post"
    if first.source == "answer":
        said = f"{name} confirmed {post} {stamp(first.at)}"
    elif _by_person(first):
        said = f"a person saw {first.url or post} {stamp(first.at)}"
    else:
        said = f"{name} showed {post} {stamp(first.at)}, seen by {_who(first)}"
    later = [f"seen by {_who(each)} {stamp(each.at)}" for each in live[1:] if each.source != first.source]
    return f"Published: {'; '.join([said, *later])}."


def _because(trail: Trail) -> str:
    """The last proof that nothing is there."""
    against = (EvidenceKind.ABSENT, EvidenceKind.NOT_DONE, EvidenceKind.NOT_SENT)
    said = [each for each in trail.evidence if each.kind in against]
    if not said:
        return trail.publication.reason.rstrip(".") or "nothing was sent"
    last = said[-1]
    why = trail.publication.reason.rstrip(".") or last.proof.rstrip(".")
    return f"{_SAID[last.kind].casefold()} ({_who(last)}, {stamp(last.at)}): {why}"


def _by_person(evidence: Evidence) -> bool:
    return evidence.source == "person"


def _who(evidence: Evidence) -> str:
    if _by_person(evidence):
        return f"a person ({evidence.detail})" if evidence.detail else "a person"
    return _WHO.get(evidence.source, evidence.source)


def stamp(at: datetime) -> str:
    """A time as it stands in a receipt: in UTC, which is the same for every reader."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
