"""On whose behalf does a call act?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

TenantId = NewType("TenantId", str)
"""A UUID as text."""


@dataclass(frozen=True, slots=True)
class TenantScope:
    """A person or key acting inside one tenant. The database itself holds them to it (row-level security)."""

    tenant_id: TenantId
    user_id: str | None = None
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class SystemScope:
    """A worker's step: may read and write every tenant's rows under the system role, and names what it does."""

    step: str


Scope = TenantScope | SystemScope
