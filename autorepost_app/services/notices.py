"""What do we make of what platforms tell us on their own?

`receive` proves that a call is the platform's and puts it on disk, once however often it is delivered; the answer goes
out at once. `work` does later what it asks for. A notice speaks of the grant that there was when it was written: one
that was given since is left alone.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import Reconnect
from autorepost_app.domain.identity import SystemScope
from autorepost_app.persistence import ledger, notices
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Connection
from autorepost_app.persistence.models import Notice as Row
from autorepost_app.platform_kit.protocol import AppCredentials, Hook, NotGenuine, Notice, NoticeKind
from autorepost_app.services import tokens
from autorepost_app.services.house import House

_LOG: Final = logging.getLogger(__name__)
NOTHING_HERE: Final = "No connection of this account was here."


@dataclass(frozen=True, slots=True)
class Received:
    """The notice is on disk. `code` is for asking about it later, where the platform wants one."""

    code: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """How a person's request to delete everything stands. `outcome` is empty until `worked_at`."""

    platform_name: str
    received_at: datetime
    worked_at: datetime | None
    outcome: str


def hook_at(house: House, platform: str, path: str) -> Hook | None:
    """The hook that the manifest has there, None where it has none."""
    manifest = house.platforms.manifests.get(platform)
    return next((hook for hook in manifest.hooks if hook.path == path), None) if manifest else None


def receive(
    house: House, scope: SystemScope, platform: str, hook: Hook, headers: Mapping[str, str], body: bytes
) -> Received:
    """Keeps what the platform told. Raises NotGenuine, and UserError where the platform is not set up."""
    now = house.clock()
    notice = _read(hook, headers, body, list(house.platforms.apps(platform).values()), now)
    values = {
        "platform": platform,
        "key": notice.key,
        "kind": notice.kind,
        "account": notice.account,
        "at": notice.at,
        "detail": notice.detail,
        "code": secrets.token_urlsafe(16),
        "received_at": now,
    }
    with house.db.system(scope) as session:
        kept = notices.keep(session, values)
    return Received(kept.code if hook.confirms else None)


def _read(hook: Hook, headers: Mapping[str, str], body: bytes, apps: Sequence[AppCredentials], now: datetime) -> Notice:
    """Whichever of our registrations it was signed for. Raises NotGenuine where it was none."""
    for app in apps[:-1]:
        try:
            return hook.read(headers, body, app, now)
        except NotGenuine:
            continue
    return hook.read(headers, body, apps[-1], now)


def deletion(house: House, scope: SystemScope, platform: str, code: str) -> Deletion | None:
    """What became of the request that was answered with that code; None where there was none."""
    with house.db.system(scope) as session:
        row = notices.by_code(session, platform, code)
    if row is None or row.kind != NoticeKind.DELETE_EVERYTHING:
        return None
    name = house.platforms.manifest(platform).name
    return Deletion(name, row.received_at, row.worked_at, row.outcome)


def work(house: House, scope: SystemScope) -> int:
    """Does what the waiting notices ask for, each in a transaction of its own; how many there were."""
    return sum(1 for _ in _worked(house, scope))


def _worked(house: House, scope: SystemScope) -> Iterator[int]:
    last = 0
    while True:
        with house.db.system(scope) as session:
            row = notices.next_waiting(session, last)
            if row is None:
                return
            last = row.id
            try:
                with session.begin_nested():
                    row.outcome = _carry_out(house, session, row)
                    row.worked_at = house.clock()
            except Exception:  # it waits for the next time; those behind it do not
                _LOG.exception("notice %s of %s could not be worked on", row.id, row.platform)
                continue
        yield last


def _carry_out(house: House, session: Session, row: Row) -> str:
    """What was done, in words for the person it is about."""
    if row.kind not in (NoticeKind.DISCONNECTED, NoticeKind.DELETE_EVERYTHING):
        return "Noted; there is nothing to do."
    found = notices.connections_about(session, row.platform, row.account)
    meant = [connection for connection in found if not _given_since(connection, row)]
    if not meant:
        return "It was connected again since, which was left alone." if found else NOTHING_HERE
    for connection in meant:
        if row.kind == NoticeKind.DELETE_EVERYTHING:
            _forget(house, session, connection, row.account)
        else:
            name = house.platforms.manifest(row.platform).name
            removed = Reconnect(f"The permission was removed on {name}.", row.detail, "notice")
            tokens.ask_again(house, session, connection, removed)
    return _outcome(row, len(meant))


def _given_since(connection: Connection, row: Row) -> bool:
    """A grant that could be refreshed since was not removed before; a wish to delete is outlived by consent alone.

    Platforms write whole seconds: a grant of the same second may be the one that is meant.
    """
    at = connection.consented_at
    if row.kind == NoticeKind.DISCONNECTED:
        at = max(at, connection.token_issued_at or at)
    return at.replace(microsecond=0) > row.at


def _forget(house: House, session: Session, connection: Connection, account: str) -> None:
    """Destroys what lets us in and what we know of the person, but not what keeps a video from going out twice."""
    name = house.platforms.manifest(connection.platform).name
    connection.status = ConnectionStatus.DISCONNECTED
    connection.status_reason = f"deleted at the wish of its person, told by {name}"
    connection.access_token_sealed = connection.refresh_token_sealed = None
    connection.access_expires_at = connection.refresh_expires_at = connection.token_issued_at = None
    connection.token_extra, connection.scopes, connection.token_version = {}, [], connection.token_version + 1
    connection.display_name, connection.avatar_url = "", None
    # `account` stays: it is by that id that the platform would ask a second time
    connection.traits = {name: value for name, value in connection.traits.items() if value == account}
    ledger.tell(
        session,
        tenant_id=connection.tenant_id,
        at=house.clock(),
        kind="connection.deleted",
        text=f"{name} @{connection.handle} was disconnected: its person asked {name} to have everything deleted.",
        connection_id=connection.id,
    )


def _outcome(row: Row, count: int) -> str:
    many = "connection was" if count == 1 else "connections were"
    if row.kind == NoticeKind.DISCONNECTED:
        return f"{count} {many} stopped until its person connects again."
    return (
        f"{count} {many} ended: the access tokens are destroyed, the name and the picture deleted. Kept are the id and"
        " the handle of the account and the list of what was published to it, so that nothing is published twice."
    )
