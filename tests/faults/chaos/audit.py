"""Was anything lost or doubled? The platforms' ledger against the database, post by post.

Nothing here asks anybody: what was promised, what the rows say and what is live are handed in, and every fault comes
out as a sentence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autorepost_app.domain.publications import FINAL, EvidenceKind, State

REFUSED = frozenset({State.FAILED, State.CANCELLED, State.SKIPPED})


@dataclass(frozen=True, slots=True)
class Promise:
    """That one post, known by a word in its caption, goes to one account."""

    source_post_id: str
    word: str
    platform: str
    account_id: str

    def __str__(self) -> str:
        return f"{self.word} on {self.platform} {self.account_id}"


@dataclass(frozen=True, slots=True)
class Row:
    """What the database says of one publication. `sends` counts intents, `evidence` is in the order it came."""

    id: str
    source_post_id: str
    platform: str
    account_id: str
    state: State
    external_id: str | None = None
    reason: str = ""
    sends: int = 0
    evidence: tuple[tuple[EvidenceKind, str], ...] = ()

    @property
    def absences(self) -> int:
        return sum(kind in (EvidenceKind.ABSENT, EvidenceKind.NOT_DONE) for kind, _ in self.evidence)

    @property
    def last_word(self) -> str:
        return self.evidence[-1][1] if self.evidence else ""


@dataclass(frozen=True, slots=True)
class LivePost:
    """What is out there."""

    id: str
    platform: str
    account_id: str
    text: str


@dataclass
class Audit:
    """What came of everything that was promised. The lists of faults hold a sentence each."""

    promised: int = 0
    states: Counter[State] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    needless_reviews: list[str] = field(default_factory=list)
    reviews: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    proven_absent: int = 0
    most_sends: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.unfinished or self.doubled or self.wrong or self.needless_reviews)


def compare(promises: Sequence[Promise], rows: Iterable[Row], live: Iterable[LivePost]) -> Audit:
    """Everything that was promised, and what is out there without a promise."""
    by_identity = {(row.source_post_id, row.platform, row.account_id): row for row in rows}
    of_account: dict[tuple[str, str], list[LivePost]] = defaultdict(list)
    for post in live:
        of_account[post.platform, post.account_id].append(post)
    audit = Audit(promised=len(promises))
    known: set[str] = set()
    for promise in promises:
        row = by_identity.get((promise.source_post_id, promise.platform, promise.account_id))
        out = [post for post in of_account[promise.platform, promise.account_id] if promise.word in post.text]
        known |= {post.id for post in out}
        _judge(audit, promise, row, out)
    audit.wrong += [
        f"nobody promised the live {post.platform} post {post.id} of {post.account_id}"
        for posts in of_account.values()
        for post in posts
        if post.id not in known
    ]
    return audit


def _judge(audit: Audit, promise: Promise, row: Row | None, out: Sequence[LivePost]) -> None:
    if len(out) > 1:
        audit.doubled.append(f"{promise}: {len(out)} are live ({', '.join(post.id for post in out)})")
    if row is None:
        audit.lost.append(f"{promise}: no row")
        return
    audit.states[row.state] += 1
    audit.proven_absent += row.absences
    audit.most_sends = max(audit.most_sends, row.sends)
    if row.sends > 1 + row.absences:
        audit.wrong.append(f"{promise}: {row.sends} sends with {row.absences} proofs that nothing came [{row.id}]")
    if row.state is State.PUBLISHED:
        _judge_published(audit, promise, row, out)
    elif row.state is State.NEEDS_REVIEW:
        _judge_review(audit, promise, row, out)
    elif row.state in REFUSED:
        _judge_refused(audit, promise, row, out)
    elif row.state not in FINAL:
        audit.unfinished.append(f"{promise}: {row.state}: {row.reason or row.last_word} [{row.id}]")


def _judge_published(audit: Audit, promise: Promise, row: Row, out: Sequence[LivePost]) -> None:
    if not out:
        audit.lost.append(f"{promise}: published, and nothing is live [{row.id}]")
    elif row.external_id is not None and row.external_id not in {post.id for post in out}:
        audit.wrong.append(f"{promise}: bound to {row.external_id}, but {out[0].id} is live [{row.id}]")


def _judge_refused(audit: Audit, promise: Promise, row: Row, out: Sequence[LivePost]) -> None:
    if out:
        audit.wrong.append(f"{promise}: {row.state}, and {out[0].id} is live [{row.id}]")
    audit.failures.append(f"{promise}: {row.state}: {row.reason}")


def _judge_review(audit: Audit, promise: Promise, row: Row, out: Sequence[LivePost]) -> None:
    """A person is rightly asked where nobody can know: a platform that never proves absence, or reads that failed."""
    why = undecidable(row, is_live=bool(out))
    if why is None:
        audit.needless_reviews.append(f"{promise}: {'live' if out else 'not live'}, {row.last_word} [{row.id}]")
    else:
        audit.reviews.append(f"{promise}: {why}")


def undecidable(row: Row, *, is_live: bool) -> str | None:
    """Why nobody could have known, or None where the platform would have said it."""
    if row.last_word.startswith("the read failed"):
        return row.last_word
    if row.platform == "x" and not is_live:
        return "it is not live, and X cannot prove that"
    return None
