"""How are rules read and changed, and what have they promised or left unpromised?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session

from autorepost_app.domain.publications import State
from autorepost_app.persistence.models import Connection, Post, Publication, Rule, RuleDestination

UNSTAGED: Final = (State.DETECTED, State.PREPARING, State.READY)
"""Promised, and nothing of it has gone to the platform in its present attempt."""


def hold_source(session: Session, connection_id: str) -> Connection:
    """Until the transaction ends, nobody else finds posts of that source or changes what its rules say.

    Without it a post that is being found and a rule that is being made would not see each other. Raises KeyError.
    """
    found = session.scalars(
        select(Connection)
        .where(Connection.id == connection_id)
        # foreign keys may go on pointing at it
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise KeyError(connection_id)
    return found


def add(session: Session, values: Mapping[str, Any], destinations: Iterable[Mapping[str, Any]]) -> Rule:
    rule = Rule(**values)
    session.add(rule)
    session.flush()
    session.add_all(
        RuleDestination(tenant_id=rule.tenant_id, rule_id=rule.id, **destination) for destination in destinations
    )
    session.flush()
    return rule


def get(session: Session, rule_id: str) -> Rule:
    """Raises KeyError for a rule that is not visible here, or deleted."""
    found = session.get(Rule, rule_id, populate_existing=True)
    if found is None or found.deleted_at is not None:
        raise KeyError(rule_id)
    return found


def name_of(session: Session, rule_id: str) -> str | None:
    """Also of a rule that was deleted; None where it is not visible here."""
    found = session.get(Rule, rule_id)
    return found.name if found is not None else None


def of_source(session: Session, connection_id: str) -> list[tuple[Rule, list[RuleDestination]]]:
    """The rules that are not deleted, in the order in which they were made, each with its destinations."""
    rules = session.scalars(
        select(Rule)
        .where(Rule.source_connection_id == connection_id, Rule.deleted_at.is_(None))
        .order_by(Rule.created_at, Rule.id)
    ).all()
    destinations = session.scalars(
        select(RuleDestination)
        .where(RuleDestination.rule_id.in_([rule.id for rule in rules]))
        .order_by(RuleDestination.id)
    ).all()
    return [(rule, [row for row in destinations if row.rule_id == rule.id]) for rule in rules]


def of_tenant(session: Session) -> list[Rule]:
    return list(session.scalars(select(Rule).where(Rule.deleted_at.is_(None)).order_by(Rule.created_at, Rule.id)))


def unpromised(
    session: Session, source: Connection, destination_ids: Collection[str], *, since: datetime
) -> list[Post]:
    """Posts of that account, from `since` on and oldest first, of which one of these destinations has no publication.

    Whose publication it is plays no part: an account takes a post once, whichever tenant sends it.
    """
    lacking = exists().where(
        Connection.id.in_(destination_ids),
        ~exists().where(
            Publication.platform == Connection.platform,
            Publication.external_account_id == Connection.external_account_id,
            Publication.source_platform == Post.platform,
            Publication.source_post_id == Post.external_post_id,
        ),
    )
    found = select(Post).where(*_posts_of(source), Post.posted_at >= since, lacking)
    return list(session.scalars(found.order_by(Post.posted_at)))


def _posts_of(source: Connection) -> tuple[ColumnElement[bool], ...]:
    return (
        Post.tenant_id == source.tenant_id,
        Post.platform == source.platform,
        Post.external_account_id == source.external_account_id,
    )


def taken_elsewhere(
    session: Session, source: Connection, destination_ids: Collection[str], *, since: datetime
) -> list[tuple[str, Connection]]:
    """Post and destination, for posts of that account from `since` on that another tenant takes to that destination."""
    statement = (
        select(Post.id, Connection)
        .join(
            Publication,
            and_(Publication.source_platform == Post.platform, Publication.source_post_id == Post.external_post_id),
        )
        .join(
            Connection,
            and_(
                Publication.platform == Connection.platform,
                Publication.external_account_id == Connection.external_account_id,
            ),
        )
        .where(Connection.id.in_(destination_ids), Publication.tenant_id != source.tenant_id)
        .where(*_posts_of(source), Post.posted_at >= since)
    )
    return [(post_id, connection) for post_id, connection in session.execute(statement.order_by(Post.posted_at))]


def unstaged_of(session: Session, rule_id: str) -> list[Publication]:
    """What the rule has promised and nobody has begun to send, locked."""
    statement = select(Publication).where(Publication.rule_id == rule_id, Publication.state.in_(UNSTAGED))
    return list(session.scalars(statement.order_by(Publication.created_at).with_for_update()))
