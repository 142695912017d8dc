"""With which token does a call act for a connection, and what happens when it has run out?

Refreshing is itself a send that cannot be repeated where tokens rotate (exactly-once R9): one refresher a connection,
by an advisory lock; the row is read again under it; the answer is stored before anybody uses it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from autorepost_app.domain.connections import ConnectionStatus, refresh_due
from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import connections, ledger
from autorepost_app.persistence.engine import Session, wrote
from autorepost_app.persistence.models import Connection
from autorepost_app.persistence.secrets import Place
from autorepost_app.platform_kit.protocol import Account, Grant, TokenSet
from autorepost_app.services.house import House

NOT_ACTIVE: Final = "not_active"
"""The code of the verdict on a connection that is already known to need its owner."""


def grant_for(house: House, scope: SystemScope, connection_id: str) -> Grant:
    """A grant whose token is good for now. Raises PlatformFault(Reconnect) when the connection is not active."""
    with house.db.system(scope) as session:
        connection = connections.get(session, connection_id)
    _must_be_active(connection)
    if _due(house, connection):
        connection = _refreshed(house, scope, connection, old_serves=True)
    return _grant(house, connection)


def renew(house: House, scope: SystemScope, connection_id: str, stale: Grant) -> Grant:
    """After the platform refused `stale`: the token that replaced it, refreshing only if nobody has yet."""
    with house.db.system(scope) as session:
        connection = connections.get(session, connection_id)
    _must_be_active(connection)
    current = _grant(house, connection)
    if current.access_token != stale.access_token:
        return current
    return _grant(house, _refreshed(house, scope, connection, old_serves=False))


def needs_reconnect(
    house: House, scope: SystemScope, connection_id: str, verdict: Reconnect, *, began_at: datetime | None = None
) -> None:
    """Stops the connection's work and tells the tenant, once. A refusal of work that `began_at` a time before its
    person connected anew says nothing about the new grant."""
    with house.db.system(scope) as session:
        row = connections.lock(session, connection_id)
        if began_at is None or row.consented_at <= began_at:
            ask_again(house, session, row, verdict)


def ask_again(house: House, session: Session, connection: Connection, verdict: Reconnect) -> None:
    """The same for a connection that is locked already. What a person has disconnected stays so."""
    if connection.status != ConnectionStatus.ACTIVE:
        return
    connection.status, connection.status_reason = ConnectionStatus.NEEDS_RECONNECT, verdict.text
    platform = house.platforms.manifest(connection.platform).name
    ledger.tell(
        session,
        tenant_id=connection.tenant_id,
        at=house.clock(),
        kind="connection.needs_reconnect",
        text=f"Please connect {platform} @{connection.handle} again. {verdict.text}",
        detail=verdict.detail,
        connection_id=connection.id,
    )


def seal_tokens(house: House, tenant_id: str, connection_id: str, tokens: TokenSet) -> dict[str, object]:
    """The columns of a token set, sealed for that connection."""

    def sealed(name: str, value: str | None) -> bytes | None:
        return None if value is None else house.vault.seal(value, Place(tenant_id, connection_id, name))

    return {
        "access_token_sealed": sealed("access_token", tokens.access_token),
        "refresh_token_sealed": sealed("refresh_token", tokens.refresh_token),
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "token_issued_at": tokens.issued_at,
        "token_extra": dict(tokens.extra),
        "scopes": sorted(tokens.scopes),
    }


def open_tokens(house: House, connection: Connection) -> TokenSet:
    """Raises SealBroken when the key is gone or the row was tampered with."""
    refresh = connection.refresh_token_sealed
    return TokenSet(
        access_token=_opened(house, connection, "access_token", connection.access_token_sealed or b""),
        access_expires_at=connection.access_expires_at,
        refresh_token=_opened(house, connection, "refresh_token", refresh) if refresh else None,
        refresh_expires_at=connection.refresh_expires_at,
        scopes=frozenset(connection.scopes),
        issued_at=connection.token_issued_at,
        extra=connection.token_extra,
    )


def _opened(house: House, connection: Connection, name: str, sealed: bytes) -> str:
    return house.vault.open(sealed, Place(connection.tenant_id, connection.id, name))


def _grant(house: House, connection: Connection) -> Grant:
    account = Account(
        external_id=connection.external_account_id,
        handle=connection.handle,
        display_name=connection.display_name,
        avatar_url=connection.avatar_url,
        url=connection.profile_url,
        traits=connection.traits,
    )
    token = _opened(house, connection, "access_token", connection.access_token_sealed or b"")
    return Grant(account, token, frozenset(connection.scopes), connection.login)


def _must_be_active(connection: Connection) -> None:
    if connection.status != ConnectionStatus.ACTIVE:
        raise PlatformFault(
            Reconnect(f"@{connection.handle} has to be connected again.", connection.status_reason, NOT_ACTIVE)
        )


def _due(house: House, connection: Connection) -> bool:
    oauth = house.platforms.manifest(connection.platform).oauth
    return refresh_due(
        now=house.clock(),
        issued_at=connection.token_issued_at,
        expires_at=connection.access_expires_at,
        margin=oauth.refresh_margin,
        min_age_seconds=oauth.refresh_min_age_seconds,
    )


def _refreshed(house: House, scope: SystemScope, connection: Connection, *, old_serves: bool) -> Connection:
    """The connection with a newer token than the one in `connection`.

    `old_serves`: the old token is still good until its end, so that a passing fault ahead of that harms nobody.
    """
    with house.db.system(scope) as session:
        row = connections.lock_refresh(session, connection.id)
        _must_be_active(row)
        if row.token_version != connection.token_version:
            return row
        try:
            fresh = _fresh_tokens(house, row)
        except PlatformFault as fault:
            refused = fault
            if old_serves and _harms_nobody(house, row, fault):
                return row
            if isinstance(fault.verdict, Reconnect):  # nobody asks with this refresh token again
                ask_again(house, session, row, fault.verdict)
        else:
            for name, value in seal_tokens(house, row.tenant_id, row.id, fresh).items():
                setattr(row, name, value)
            row.token_version += 1
            row.last_refreshed_at = house.clock()
            wrote(session, "refresh tokens")
            return row
    raise refused


def _harms_nobody(house: House, row: Connection, fault: PlatformFault) -> bool:
    passing = not isinstance(fault.verdict, (Reconnect, Rejected, Operator))
    return passing and row.access_expires_at is not None and house.clock() < row.access_expires_at


def _fresh_tokens(house: House, row: Connection) -> TokenSet:
    """One refresh. Raises PlatformFault, also where the answer is about another account than the one we asked for."""
    before = open_tokens(house, row)
    fresh = house.platforms.parts(row.platform).authoriser.refresh(login=row.login, tokens=before)
    ours = {name for name, value in before.extra.items() if value == row.external_account_id}
    strange = sorted(name for name in ours if fresh.extra.get(name) != row.external_account_id)
    if strange:
        name = house.platforms.manifest(row.platform).name
        raise PlatformFault(
            Reconnect(f"{name} answered for another account.", f"the refresh changed {', '.join(strange)}", "stranger")
        )
    return fresh
