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
from autorepost_app.platform_kit.options import checked_options
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
        kept = [_checked(house, connections.get(session, each.connection_id).platform, each) for each in wanted]
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
            kept,
        )
        text = f"The rule “{rule.name}” was made."
        ledger.tell(session, tenant_id=scope.tenant_id, at=now, kind="rule.made", text=text, rule_id=rule.id)
        return rule


def _checked(house: House, platform: str, wanted: RuleDestination) -> dict[str, Any]:
    """A rule's destination as it is kept. Raises UserError that names the field."""
    check_template(wanted.template)
    spec, name = house.platforms.destination_spec(platform), house.platforms.manifest(platform).name
    options = checked_options(spec.options, wanted.options, name)
    spec.check_options(options)
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
