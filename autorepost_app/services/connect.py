"""How does a tenant's account get connected?

`begin` sends the person to the platform with a state of which only the hash is kept; `finish` takes the state once,
exchanges the code and keeps the grant. The same account again renews its connection and keeps its history.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from autorepost_app.domain.connections import ConnectionStatus, missing_scopes, same_account
from autorepost_app.domain.errors import Operator, PlatformFault, Rejected, UserError, Verdict
from autorepost_app.domain.identity import TenantScope
from autorepost_app.persistence import connections, ledger, waking
from autorepost_app.persistence.models import Connection
from autorepost_app.persistence.models import Consent as ConsentRow
from autorepost_app.persistence.secrets import Place
from autorepost_app.platform_kit.protocol import Connectable, Platform
from autorepost_app.services.house import House
from autorepost_app.services.tokens import NOT_ACTIVE, open_tokens, seal_tokens

_LOG: Final = logging.getLogger(__name__)
_CONSENT_LASTS: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Began:
    """Send the person to `url`; what comes back is `finish`ed with this state."""

    url: str
    state: str


def begin(
    house: House,
    scope: TenantScope,
    platform: str,
    *,
    redirect_uri: str,
    login: str | None = None,
    connection_id: str | None = None,
) -> Began:
    """Starts a consent. `connection_id` makes it a reconnect. Raises UserError for an unknown platform or login."""
    manifest = house.platforms.manifest(platform)
    chosen = login or manifest.oauth.logins[0]
    if chosen not in manifest.oauth.logins:
        raise UserError(
            f"{manifest.name} has no login {chosen}.",
            remedy="Choose one of " + ", ".join(manifest.oauth.logins) + ".",
            field="login",
        )
    state = secrets.token_urlsafe(32)
    consent = house.platforms.parts(platform).authoriser.consent(login=chosen, redirect_uri=redirect_uri, state=state)
    place = Place(scope.tenant_id, _hash(state), "verifier")
    with house.db.tenant(scope) as session:
        if connection_id is not None and connections.get(session, connection_id).platform != platform:
            raise UserError(f"That connection is not one to {manifest.name}.", field="connection_id")
        connections.keep_consent(
            session,
            {
                "state_sha256": _hash(state),
                "tenant_id": scope.tenant_id,
                "user_id": scope.user_id,
                "connection_id": connection_id,
                "platform": platform,
                "login": chosen,
                "redirect_uri": redirect_uri,
                "verifier_sealed": house.vault.seal(consent.verifier, place) if consent.verifier else None,
                "expires_at": house.clock() + _CONSENT_LASTS,
            },
        )
    return Began(consent.url, state)


def finish(house: House, scope: TenantScope, reply: Mapping[str, str], *, choose: str | None = None) -> Connection:
    """Ends a consent with the query of the callback. `choose` names the account where a grant reaches several.

    Raises UserError: refused, too late, unknown state, missing permission, wrong or unchosen account.
    """
    with house.db.tenant(scope) as session:
        consent = connections.take_consent(session, _hash(reply.get("state", "")), house.clock())
    if consent is None:
        raise UserError(
            "This sign-in has run out or was used already.", remedy="Start connecting again.", field="state"
        )
    manifest = house.platforms.manifest(consent.platform)
    code = _code(manifest, reply)
    try:
        found = _exchange(house, consent, code)
    except PlatformFault as fault:
        text = f"{manifest.name} was not connected: {fault.verdict.text}"
        raise UserError(text, remedy=_remedy(manifest, fault.verdict), field="code") from fault
    chosen = _choose(manifest, found, choose)
    _check_scopes(manifest, consent.login, chosen)
    if consent.connection_id is not None:
        with house.db.tenant(scope) as session:
            old = connections.get(session, consent.connection_id)
        same_account(old.external_account_id, chosen.account.external_id, manifest.name, old.handle)
    return _keep(house, scope, consent, chosen)


def _remedy(manifest: Platform, verdict: Verdict) -> str:
    """For the person in front of us, who is often the operator as well: no publication will stop and tell them."""
    match verdict:
        case Operator(remedy=remedy):
            _LOG.error("%s connects nobody: %s (%s)", manifest.name, remedy, verdict.detail)
            return f"Only who runs this installation can mend it: {remedy}"
        case Rejected(remedy=remedy) if remedy:
            return remedy
        case _:
            return "Start connecting again."


def disconnect(house: House, scope: TenantScope, connection_id: str) -> None:
    """Ends the grant here and at the platform. History, rules and publications stay."""
    with house.db.tenant(scope) as session:
        # a refresh on its way would leave us, and the platform, with tokens that nobody ended
        row = connections.lock_refresh(session, connection_id)
        if row.status == ConnectionStatus.DISCONNECTED:
            return
        left = _revoked(house, row)
        row.status, row.status_reason = ConnectionStatus.DISCONNECTED, "disconnected by a person"
        row.access_token_sealed = row.refresh_token_sealed = None
        ledger.tell(
            session,
            tenant_id=scope.tenant_id,
            at=house.clock(),
            kind="connection.disconnected",
            text=f"@{row.handle} was disconnected.{left}",
            connection_id=connection_id,
        )


def _revoked(house: House, connection: Connection) -> str:
    """Tells the platform; a platform that cannot be told keeps nobody connected here. What is left to do, in words."""
    try:
        authoriser = house.platforms.parts(connection.platform).authoriser
        authoriser.revoke(login=connection.login, tokens=open_tokens(house, connection))
    except Exception as error:  # whatever it is (no registration any more, a lost key, a bug): who wants to leave may
        if not isinstance(error, (PlatformFault, UserError)):
            _LOG.exception("the grant of connection %s could not be ended at %s", connection.id, connection.platform)
        name = house.platforms.manifest(connection.platform).name
        return f" {name} could not be told: remove the permission there, too."
    return ""


def connections_of(house: House, scope: TenantScope) -> list[Connection]:
    with house.db.tenant(scope) as session:
        return connections.of_tenant(session)


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _code(manifest: Platform, reply: Mapping[str, str]) -> str:
    if reply.get("error"):
        raise UserError(
            f"{manifest.name} was not connected: the permission was not given.",
            remedy="Start again and allow what is asked for.",
            field="consent",
        )
    if not reply.get("code"):
        raise UserError(f"{manifest.name} sent no code back.", remedy="Start connecting again.", field="code")
    return reply["code"]


def _exchange(house: House, consent: ConsentRow, code: str) -> list[Connectable]:
    authoriser = house.platforms.parts(consent.platform).authoriser
    sealed = consent.verifier_sealed
    place = Place(consent.tenant_id, consent.state_sha256, "verifier")
    tokens = authoriser.exchange(
        login=consent.login,
        redirect_uri=consent.redirect_uri,
        code=code,
        verifier=house.vault.open(sealed, place) if sealed else None,
    )
    return authoriser.accounts(login=consent.login, tokens=tokens)


def _choose(manifest: Platform, found: list[Connectable], choose: str | None) -> Connectable:
    if not found:
        raise UserError(
            f"This sign-in reaches no {manifest.name} account that can be used.",
            remedy="Sign in with an account that may publish.",
            field="account",
        )
    wanted = [each for each in found if choose in (None, each.account.external_id, each.account.handle)]
    if len(wanted) != 1:
        handles = ", ".join(f"@{each.account.handle}" for each in found)
        raise UserError(
            f"This sign-in reaches several accounts: {handles}.", remedy="Choose one of them.", field="account"
        )
    return wanted[0]


def _check_scopes(manifest: Platform, login: str, chosen: Connectable) -> None:
    missing = missing_scopes(chosen.tokens.scopes, manifest.oauth.needed_scopes[login])
    if missing:
        raise UserError(
            f"{manifest.name} did not give every permission that is needed: {', '.join(sorted(missing))}.",
            remedy="Connect again and leave every box ticked.",
            field="scopes",
        )


def _keep(house: House, scope: TenantScope, consent: ConsentRow, chosen: Connectable) -> Connection:
    account, now = chosen.account, house.clock()
    with house.db.tenant(scope) as session:
        known = connections.id_of(session, scope.tenant_id, consent.platform, account.external_id)
        connection_id = known or str(uuid.uuid4())
        values = {
            "id": connection_id,
            "tenant_id": scope.tenant_id,
            "platform": consent.platform,
            "login": consent.login,
            "external_account_id": account.external_id,
            "handle": account.handle,
            "display_name": account.display_name,
            "avatar_url": account.avatar_url,
            "profile_url": account.url,
            "traits": dict(account.traits),
            "status": ConnectionStatus.ACTIVE,
            "status_reason": "",
            "connected_by": scope.user_id,
            "consented_at": now,
            "watermark_at": now.replace(microsecond=0),
            "poll_not_before_at": None,
            **seal_tokens(house, scope.tenant_id, connection_id, chosen.tokens),
        }
        asked = connections.get(session, known).status_reason if known else ""
        connection = connections.save(session, values)
        waking.reconnected(session, connection.id, now, cause=NOT_ACTIVE, text=asked)
        ledger.tell(
            session,
            tenant_id=scope.tenant_id,
            at=now,
            kind="connection.connected",
            text=f"{house.platforms.manifest(consent.platform).name} @{account.handle} is connected.",
            connection_id=connection.id,
        )
        return connection
