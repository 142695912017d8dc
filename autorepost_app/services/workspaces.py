"""Who is there, and what do they have?"""

from __future__ import annotations

from autorepost_app.domain.identity import SystemScope, TenantScope
from autorepost_app.persistence import ledger, rules
from autorepost_app.persistence.models import Rule, Tenant
from autorepost_app.services.house import House


def open_workspace(house: House, *, name: str, slug: str, owner_email: str) -> Tenant:
    """The tenant of that slug with its owner, made if they are not there."""
    with house.db.system(SystemScope("workspaces")) as session:
        tenant = ledger.add_tenant(session, name=name, slug=slug)
        user = ledger.add_user(session, email=owner_email)
        ledger.add_membership(session, tenant_id=tenant.id, user_id=user.id, role="owner")
        return tenant


def rules_of(house: House, scope: TenantScope) -> list[Rule]:
    with house.db.tenant(scope) as session:
        return rules.of_tenant(session)
