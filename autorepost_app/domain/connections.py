"""How does a tenant's grant for an account stand?"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from autorepost_app.domain.errors import UserError


class ConnectionStatus(StrEnum):
    """`NEEDS_RECONNECT` stops work on the connection and keeps its publications waiting."""

    ACTIVE = "active"
    NEEDS_RECONNECT = "needs_reconnect"
    DISCONNECTED = "disconnected"


def refresh_due(
    *, now: datetime, issued_at: datetime | None, expires_at: datetime | None, margin: float, min_age_seconds: float
) -> bool:
    """Whether the access token has less than `margin` of its life left and is old enough to be refreshed."""
    if expires_at is None:
        return False
    if issued_at is not None and now - issued_at < timedelta(seconds=min_age_seconds) and now < expires_at:
        return False
    life = (expires_at - issued_at) if issued_at is not None else timedelta(hours=1)
    return now >= expires_at - life * margin


def missing_scopes(granted: frozenset[str], needed: frozenset[str]) -> frozenset[str]:
    return needed - granted


def same_account(expected_external_id: str, got_external_id: str, platform_name: str, handle: str) -> None:
    """A reconnect must be of the same account. Raises UserError."""
    if expected_external_id != got_external_id:
        raise UserError(
            f"You signed in to {platform_name} with another account than @{handle}.",
            remedy=f"Sign in as @{handle}, or add the other account as a new connection.",
            field="account",
        )
