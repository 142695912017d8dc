"""How does a tenant say what goes where, and stop saying so?"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from autorepost_app.domain.captions import check_template
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope, TenantScope
from autorepost_app.domain.rules import Filter, Rule, RuleDestination, Take, decide
from autorepost_app.persistence import connections, ledger, posts, publications
from autorepost_app.persistence import rules as kept
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Connection, Publication
from autorepost_app.persistence.models import Rule as RuleRow
from autorepost_app.persistence.models import RuleDestination as DestinationRow
from autorepost_app.platform_kit.options import checked_options
from autorepost_app.services import promises
from autorepost_app.services.house import House


def make_rule(
    house: House,
    scope: TenantScope,
    *,
    name: str,
    source_connection_id: str,
    destinations: Iterable[RuleDestination],
    conditions: Filter | None = None,
    delay_seconds: float = 0.0,
    since_at: datetime | None = None,
) -> RuleRow:
    """A rule that begins now, or at `since_at` to take earlier posts along, known ones too. Raises UserError."""
    wanted = list(destinations)
    if not wanted:
        raise UserError("A rule needs a destination.", remedy="Choose at least one.", field="destinations")
    if delay_seconds < 0:
        raise UserError("A delay cannot be negative.", remedy="Use 0 for at once.", field="delay_seconds")
    with house.db.tenant(scope) as session:
        source = kept.hold_source(session, source_connection_id)
        house.platforms.source(source.platform)
        checked = [_checked(house, connections.get(session, each.connection_id), each) for each in wanted]
        rule = kept.add(
            session,
            {
                "id": str(uuid.uuid4()),
                "tenant_id": scope.tenant_id,
                "name": name.strip() or f"@{source.handle}",
                "source_connection_id": source.id,
                "filter": filter_to_json(conditions or Filter()),
                "delay_seconds": delay_seconds,
                "watermark_at": since_at or _this_second(house),
            },
            checked,
        )
        _tell(house, session, scope, rule, "made", "was made.")
    _look_back(house, rule)
    return rule


def pause(house: House, scope: TenantScope, rule_id: str) -> RuleRow:
    """From now on its posts are remembered and not promised; what is promised already goes on. Raises UserError."""
    with _held(house, scope, rule_id) as (session, rule):
        if rule.paused_at is None:
            rule.paused_at = house.clock()
            _tell(house, session, scope, rule, "paused", "was paused. What it has promised already goes on.")
        return rule


def resume(house: House, scope: TenantScope, rule_id: str, *, since_at: datetime | None = None) -> RuleRow:
    """Takes posts again: those from now on, or everything since `since_at` that has not gone out yet.

    What was posted during the pause is left alone unless `since_at` asks for it. Raises UserError.
    """
    with _held(house, scope, rule_id) as (session, rule):
        if rule.paused_at is None:
            raise UserError("This rule is not paused.", remedy="Nothing has to be done.", field="rule")
        rule.paused_at = None
        rule.watermark_at = since_at or _this_second(house)
        said = f"takes posts since {since_at:%d %B %Y, %H:%M %Z}." if since_at else "takes new posts again."
        _tell(house, session, scope, rule, "resumed", said)
    _look_back(house, rule)
    return rule


def delete(house: House, scope: TenantScope, rule_id: str, *, keep_promises: bool = False) -> RuleRow:
    """Ends a rule. What it has promised and nobody has begun to send is cancelled, or goes on with `keep_promises`;
    a post that another rule takes to the same place goes on as that rule's. What happened stays readable.

    Raises UserError.
    """
    with _held(house, scope, rule_id) as (session, rule):
        rule.deleted_at = house.clock()
        session.flush()
        cancelled = 0 if keep_promises else _withdraw(house, session, scope, rule)
        words = {0: "was deleted.", 1: "was deleted; one publication that it had promised was cancelled."}
        many = f"was deleted; {cancelled} publications that it had promised were cancelled."
        _tell(house, session, scope, rule, "deleted", words.get(cancelled, many))
        return rule


@contextmanager
def _held(house: House, scope: TenantScope, rule_id: str) -> Iterator[tuple[Session, RuleRow]]:
    """The rule, while no post of its source is being found. Raises UserError where the scope has no such rule."""
    with house.db.tenant(scope) as session:
        try:
            kept.hold_source(session, kept.get(session, rule_id).source_connection_id)
            rule = kept.get(session, rule_id)
        except KeyError:
            raise UserError("There is no such rule.", remedy="Reload the page.", field="rule") from None
        yield session, rule


def _look_back(house: House, rule: RuleRow) -> None:
    """Promises what was known before the rule. Only the house may promise, so this is a transaction of its own; if it
    never comes, the source's next deep read does the same."""
    with house.db.system(SystemScope("rules")) as session:
        source = kept.hold_source(session, rule.source_connection_id)
        rules = [rule_from_rows(*pair) for pair in kept.of_source(session, source.id)]
        now = house.clock()
        promised = promises.promise_known(session, source, rules, now)
        if promised:
            text = f"{promised} publications" if promised > 1 else "One publication"
            text += f" of earlier posts of @{source.handle} {'were' if promised > 1 else 'was'} promised."
            ledger.tell(session, tenant_id=rule.tenant_id, at=now, kind="rule.looked_back", text=text, rule_id=rule.id)
        _tell_taken(house, session, source, rule, [each for each in rules if each.id == rule.id])


def _tell_taken(house: House, session: Session, source: Connection, rule: RuleRow, said: list[Rule]) -> None:
    """Why an earlier post does not go out for this rule: the account has it by another tenant."""
    wanted = {each.connection_id for row in said if not row.paused for each in row.destinations}
    for post_id, connection in kept.taken_elsewhere(session, source, wanted, since=rule.watermark_at):
        ledger.tell(
            session,
            tenant_id=rule.tenant_id,
            at=house.clock(),
            kind="publication.already_promised",
            text=f"{house.platforms.manifest(connection.platform).name} has or gets this video already.",
            post_id=post_id,
            connection_id=connection.id,
            rule_id=rule.id,
        )


def _withdraw(house: House, session: Session, scope: TenantScope, rule: RuleRow) -> int:
    """How many of its promises nobody else wanted to keep."""
    others = [rule_from_rows(*pair) for pair in kept.of_source(session, rule.source_connection_id)]
    cancelled = 0
    for row in kept.unstaged_of(session, rule.id):
        heir = _heir(session, row, others)
        if heir is not None:
            row.rule_id = heir.id
        else:
            _cancel(house, session, scope, rule, row)
            cancelled += 1
    return cancelled


def _cancel(house: House, session: Session, scope: TenantScope, rule: RuleRow, row: Publication) -> None:
    now, name = house.clock(), f"cancel_{row.state}"
    reason = f"Cancelled because the rule “{rule.name}” was deleted."
    publications.move(session, name, row, now=now, reason=reason, lease_owner=None, lease_until=None)
    ledger.tell(
        session,
        tenant_id=row.tenant_id,
        at=now,
        kind=f"publication.{name}",
        text=f"The publication on {house.platforms.manifest(row.platform).name} was cancelled with its rule.",
        rule_id=rule.id,
        post_id=row.post_id,
        publication_id=row.id,
        detail=scope.actor,
    )


def _heir(session: Session, row: Publication, rules: list[Rule]) -> Rule | None:
    """The first other rule that takes the same post to the same place. Words and options stay as they were promised."""
    post = promises.source_post(posts.get(session, row.post_id))
    return next(
        (
            rule
            for rule in rules
            if any(each.connection_id == row.connection_id for each in rule.destinations)
            and isinstance(decide(rule, post, row.created_at), Take)
        ),
        None,
    )


def _this_second(house: House) -> datetime:
    """Sources tell whole seconds: a post of this very second is not from before the rule."""
    return house.clock().replace(microsecond=0)


def _tell(house: House, session: Session, scope: TenantScope, rule: RuleRow, what: str, said: str) -> None:
    ledger.tell(
        session,
        tenant_id=rule.tenant_id,
        at=house.clock(),
        kind=f"rule.{what}",
        text=f"The rule “{rule.name}” {said}",
        rule_id=rule.id,
        detail=scope.actor,
    )


def _checked(house: House, connection: Connection, wanted: RuleDestination) -> dict[str, Any]:
    """A rule's destination as it is kept. Raises UserError that names the field."""
    check_template(wanted.template)
    spec = house.platforms.destination_spec(connection.platform)
    name = house.platforms.manifest(connection.platform).name
    options = checked_options(spec.options, wanted.options, name)
    spec.check_options(options, connection.login)
    return {"connection_id": wanted.connection_id, "template": wanted.template, "options": options}


def rule_from_rows(row: RuleRow, destinations: Iterable[DestinationRow]) -> Rule:
    return Rule(
        id=row.id,
        name=row.name,
        source_connection_id=row.source_connection_id,
        destinations=tuple(RuleDestination(d.connection_id, d.template, d.options) for d in destinations),
        watermark_at=row.watermark_at,
        filter=filter_from_json(row.filter),
        delay_seconds=row.delay_seconds,
        paused=row.paused_at is not None,
    )


def filter_to_json(conditions: Filter) -> dict[str, Any]:
    """Only what is set."""
    plain = {name: sorted(v) if isinstance(v, frozenset) else v for name, v in asdict(conditions).items()}
    return {name: value for name, value in plain.items() if value not in (None, [])}


def filter_from_json(stored: Mapping[str, Any]) -> Filter:
    sets: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return replace(Filter(), **sets)
