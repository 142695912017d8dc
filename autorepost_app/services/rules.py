"""How does a tenant say what goes where?"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from autorepost_app.domain.captions import check_template
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import TenantScope
from autorepost_app.domain.rules import Filter, Rule, RuleDestination
from autorepost_app.persistence import connections, ledger, posts
from autorepost_app.persistence.models import Rule as RuleRow
from autorepost_app.persistence.models import RuleDestination as DestinationRow
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
    """A rule that begins now, or at `since_at` to take earlier posts along. Raises UserError."""
    wanted = list(destinations)
    if not wanted:
        raise UserError("A rule needs a destination.", remedy="Choose at least one.", field="destinations")
    if delay_seconds < 0:
        raise UserError("A delay cannot be negative.", remedy="Use 0 for at once.", field="delay_seconds")
    with house.db.tenant(scope) as session:
        source = connections.get(session, source_connection_id)
        house.platforms.source(source.platform)
        for each in wanted:
            _check_destination(house, connections.get(session, each.connection_id).platform, each)
        now = house.clock()
        rule = posts.add_rule(
            session,
            {
                "id": str(uuid.uuid4()),
                "tenant_id": scope.tenant_id,
                "name": name.strip() or f"@{source.handle}",
                "source_connection_id": source.id,
                "filter": filter_to_json(conditions or Filter()),
                "delay_seconds": delay_seconds,
                # sources tell whole seconds: a post of this very second is not from before the rule
                "watermark_at": since_at or now.replace(microsecond=0),
            },
            [{"connection_id": d.connection_id, "template": d.template, "options": dict(d.options)} for d in wanted],
        )
        text = f"The rule “{rule.name}” was made."
        ledger.tell(session, tenant_id=scope.tenant_id, at=now, kind="rule.made", text=text, rule_id=rule.id)
        return rule


def _check_destination(house: House, platform: str, destination: RuleDestination) -> None:
    check_template(destination.template)
    spec = house.platforms.destination_spec(platform)
    options = {option.name: option for option in spec.options}
    for name, value in destination.options.items():
        option = options.get(name)
        if option is None:
            known = ", ".join(options) or "none"
            raise UserError(f"There is no option {name} here.", remedy=f"There are: {known}.", field=name)
        allowed = [choice for choice, _ in option.choices]
        if allowed and value not in allowed:
            raise UserError(
                f"{value} is not a choice for {option.label}.",
                remedy="Choose one of " + ", ".join(allowed) + ".",
                field=name,
            )
        if isinstance(option.default, bool) and not isinstance(value, bool):
            raise UserError(f"{option.label} is either on or off.", remedy="Use true or false.", field=name)


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
