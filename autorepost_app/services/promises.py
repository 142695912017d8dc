"""Which publications follow from a post and the rules of its source?

Posts come before rules or rules before posts; either way each destination is promised once. Whoever calls holds the
source (`rules.hold_source`), so that a post that is being found and a rule that is being made see each other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.posts import SourcePost
from autorepost_app.domain.publications import State
from autorepost_app.domain.rules import Leave, Rule, decide
from autorepost_app.persistence import connections, ledger, publications
from autorepost_app.persistence import rules as kept
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Connection, Post, Publication
from autorepost_app.services.house import House


@dataclass(frozen=True, slots=True)
class _Promise:
    """A publication to be, and why it will be skipped, if it will."""

    values: dict[str, Any] = field(repr=False)
    leave: str | None


def source_post(post: Post) -> SourcePost:
    """The row as the source listed it."""
    return SourcePost(
        external_post_id=post.external_post_id,
        posted_at=post.posted_at,
        caption=post.caption,
        url=post.url,
        duration_seconds=post.duration_seconds,
        width=post.width,
        height=post.height,
        cover_url=post.cover_url,
        kind=post.kind,
        counts=post.counts,
    )


def promise_found(house: House, session: Session, post: Post, rules: list[Rule], now: datetime) -> int:
    """How many publications the rules promise for a post that was just found, with a line for each decision."""
    wanted = _wanted(session, post, rules, now)
    made = _make(session, wanted, now)
    _tell_found(house, session, post, rules, bool(wanted), now)
    _tell_there_already(house, session, post, wanted, made, now)
    return _count(made)


def promise_known(session: Session, source: Connection, rules: list[Rule], now: datetime) -> int:
    """The same for posts that were known before the rules that reach back to them. Again, it finds nothing more."""
    active = [rule for rule in rules if not rule.paused]
    destinations = {each.connection_id for rule in active for each in rule.destinations}
    if not destinations:
        return 0
    since = min(rule.watermark_at for rule in active)
    known = kept.unpromised(session, source, destinations, since=since)
    return sum(_count(_make(session, _wanted(session, post, active, now), now)) for post in known)


def _count(made: list[Publication]) -> int:
    return sum(row.state == State.DETECTED for row in made)


def _wanted(session: Session, post: Post, rules: list[Rule], now: datetime) -> dict[str, _Promise]:
    """By connection. The first rule to name a destination has it, but one that takes the post before one that does
    not."""
    wanted: dict[str, _Promise] = {}
    for rule in rules:
        decision = decide(rule, source_post(post), now)
        if isinstance(decision, Leave) and decision.ahead:
            continue
        for destination in rule.destinations:
            connection = connections.get(session, destination.connection_id)
            leave = decision.reason if isinstance(decision, Leave) else _gone(connection)
            values = {
                **_publication_row(post, connection, rule.id, now),
                "publish_at": now if isinstance(decision, Leave) else decision.due_at,
                "template": destination.template,
                "options": dict(destination.options),
            }
            if connection.id not in wanted or wanted[connection.id].leave is not None:
                wanted[connection.id] = _Promise(values, leave)
    return wanted


def _gone(connection: Connection) -> str | None:
    """What a person has disconnected gathers no backlog, to be let loose by connecting again months later."""
    disconnected = connection.status == ConnectionStatus.DISCONNECTED
    return f"@{connection.handle} was disconnected when it was found" if disconnected else None


def _publication_row(post: Post, connection: Connection, rule_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "tenant_id": post.tenant_id,
        "post_id": post.id,
        "rule_id": rule_id,
        "connection_id": connection.id,
        "platform": connection.platform,
        "external_account_id": connection.external_account_id,
        "source_platform": post.platform,
        "source_post_id": post.external_post_id,
        "created_at": now,
        "state_at": now,
        "due_at": now,
    }


def _make(session: Session, wanted: dict[str, _Promise], now: datetime) -> list[Publication]:
    """Those that nobody had promised yet."""
    made = publications.promise(session, [promise.values for promise in wanted.values()])
    for row in made:
        reason = wanted[row.connection_id].leave
        if reason is not None:
            publications.move(session, "skip", row, now=now, reason=f"Left out because {reason}.")
    return made


def _tell_found(house: House, session: Session, post: Post, rules: list[Rule], is_wanted: bool, now: datetime) -> None:
    paused = [f"“{rule.name}”" for rule in rules if rule.paused and post.posted_at >= rule.watermark_at]
    if not is_wanted and not paused:
        return
    text = f"A new post was found on {house.platforms.manifest(post.platform).name}."
    if paused:
        text += f" It is left alone by what is paused: {', '.join(paused)}."
    ledger.tell(
        session,
        tenant_id=post.tenant_id,
        at=now,
        kind="post.detected",
        text=text,
        post_id=post.id,
        connection_id=post.connection_id,
    )


def _tell_there_already(
    house: House,
    session: Session,
    post: Post,
    wanted: dict[str, _Promise],
    made: list[Publication],
    now: datetime,
) -> None:
    promised = {row.connection_id for row in made}
    for connection_id, promise in wanted.items():
        if connection_id not in promised:
            ledger.tell(
                session,
                tenant_id=post.tenant_id,
                at=now,
                kind="publication.already_promised",
                text=f"{house.platforms.manifest(promise.values['platform']).name} has or gets this video already.",
                post_id=post.id,
                connection_id=connection_id,
            )
