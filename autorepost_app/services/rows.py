"""Which rows may a face hold in its hands? These, as services give them: to be read, never changed or saved."""

from autorepost_app.persistence.models import (
    Activity,
    Attempt,
    Connection,
    Evidence,
    Original,
    Post,
    Publication,
    Rendition,
    Rule,
    RuleDestination,
    Tenant,
    User,
)

__all__ = [
    "Activity",
    "Attempt",
    "Connection",
    "Evidence",
    "Original",
    "Post",
    "Publication",
    "Rendition",
    "Rule",
    "RuleDestination",
    "Tenant",
    "User",
]
