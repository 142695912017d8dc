"""What is new at the sources, and which promises follow from it?

One poll ends in one transaction: the posts, the publications that the rules promise, the activity and the connection's
poll marks. The newest page is read whole every time and decided by id (exactly-once R10), so a daemon that is killed
anywhere leaves either all of it or nothing, and the next poll finds the rest.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, UserError, WaitUntil
from autorepost_app.domain.identity import Scope, SystemScope
from autorepost_app.domain.posts import PostIdentity, SourcePost
from autorepost_app.persistence import connections, posts
from autorepost_app.persistence import rules as kept
from autorepost_app.persistence.models import Connection
from autorepost_app.platform_kit.protocol import Grant
from autorepost_app.services import promises, tokens, turns
from autorepost_app.services.house import House
from autorepost_app.services.rules import rule_from_rows

_LOG: Final = logging.getLogger(__name__)
_DEEP_EVERY: Final = timedelta(hours=24)
_DEEP_PAGES: Final = 3
"""Once a day more is read than needed: a private post made public turns up with its old date, behind known ones."""
_LONGEST_BACK_OFF: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Detected:
    """What one poll found: posts new to us, and how many publications they promise."""

    connection_id: str
    posts: tuple[PostIdentity, ...] = ()
    promised: int = 0
    fault: str = ""


def poll_due(house: House, scope: SystemScope, *, limit: int, workers: int = 16) -> list[Detected]:
    """Polls the sources whose turn it is, several at a time. A source that fails delays no other."""
    chosen = [each for key in house.platforms.sources() for each in turns.claim_polls(house, scope, key, limit)]
    if not chosen:
        return []
    with ThreadPoolExecutor(max_workers=min(workers, len(chosen)), thread_name_prefix="poll") as pool:
        return list(pool.map(lambda connection: detect(house, scope, connection), chosen))


def feel_pulses(house: House, scope: SystemScope, *, limit: int, workers: int = 16) -> int:
    """Asks sources that wait for their next poll for a sign of life, on its own budget; how many are to be polled for
    it now. It hints and decides nothing: a pulse that fails or lies delays a post to the next poll."""
    chosen = [each for key in house.platforms.sources() for each in turns.claim_pulses(house, scope, key, limit)]
    if not chosen:
        return 0
    with ThreadPoolExecutor(max_workers=min(workers, len(chosen)), thread_name_prefix="pulse") as pool:
        return sum(pool.map(lambda connection: _pulse_changed(house, scope, connection), chosen))


def _pulse_changed(house: House, scope: SystemScope, connection: Connection) -> bool:
    try:
        pulse = house.platforms.source(connection.platform).pulse(tokens.grant_for(house, scope, connection.id))
    except Exception:
        _LOG.debug("the pulse of connection %s could not be felt", connection.id, exc_info=True)
        return False
    changed = pulse is not None and connection.pulse is not None and pulse != connection.pulse
    with house.db.system(scope) as session:
        connections.keep_pulse(session, connection.id, pulse, poll_now=changed)
    return changed


def ask_now(house: House, scope: Scope) -> None:
    """The scope's sources are due, whenever they were asked last: somebody says that there is something new."""
    with house.db.session(scope) as session:
        connections.ask_now(session)


def detect(house: House, scope: SystemScope, connection: Connection) -> Detected:
    """Polls one source. A platform's refusal becomes the connection's state; anything else is a bug and is raised."""
    began_at = house.clock()
    deep = connection.deep_polled_at is None or began_at - connection.deep_polled_at >= _DEEP_EVERY
    try:
        found = list(_unknown_posts(house, scope, connection, pages_at_least=_DEEP_PAGES if deep else 1))
    except PlatformFault as fault:
        _poll_failed(house, scope, connection, fault, began_at)
        return Detected(connection.id, fault=fault.verdict.text)
    except UserError as error:  # its platform is not set up any more, which is no reason to leave the others alone
        _poll_failed(house, scope, connection, PlatformFault(TryAgain(error.text, error.remedy, "set_up")), began_at)
        return Detected(connection.id, fault=str(error))
    now = house.clock()
    with house.db.system(scope) as session:
        kept.hold_source(session, connection.id)
        rules = [rule_from_rows(*pair) for pair in kept.of_source(session, connection.id)]
        added = posts.add(session, [_post_row(connection, each, now) for each in found])
        promised = sum(promises.promise_found(house, session, post, rules, now) for post in added)
        if deep:  # a rule whose maker died before it had looked back does so now
            promised += promises.promise_known(session, connection, rules, now)
        if added or deep:
            turns.learn(house, session, connection)
        connections.polled_well(
            session,
            connection.id,
            now=now,
            not_before_at=now + timedelta(seconds=_gap_seconds(house, connection)),
            deep=deep,
        )
    return Detected(connection.id, tuple(post.identity for post in added), promised)


def _unknown_posts(
    house: House, scope: SystemScope, connection: Connection, *, pages_at_least: int
) -> Iterator[SourcePost]:
    """The posts we do not have, newest first: page by page until one we know, or one from before the connection."""
    source = house.platforms.source(connection.platform)
    pinned_most = house.platforms.source_spec(connection.platform).pinned_most
    grant = tokens.grant_for(house, scope, connection.id)
    cursor, pages_left = None, pages_at_least
    while True:
        try:
            page = source.list_posts(grant, cursor)
        except PlatformFault as fault:
            grant = _renewed(house, scope, connection, grant, fault)
            page = source.list_posts(grant, cursor)
        with house.db.system(scope) as session:
            known = posts.known_ids(session, connection, [post.external_post_id for post in page.posts])
        yield from (post for post in page.posts if post.external_post_id not in known)
        cursor, pages_left = page.next_cursor, pages_left - 1
        old = [p for p in page.posts if p.external_post_id in known or p.posted_at < connection.watermark_at]
        # pinned posts stand before newer ones, so that a few old ones do not mean that the rest is old
        caught_up = len(old) > pinned_most or len(old) == len(page.posts) > 0
        if cursor is None or (caught_up and pages_left <= 0):
            return


def _renewed(house: House, scope: SystemScope, connection: Connection, grant: Grant, fault: PlatformFault) -> Grant:
    if isinstance(fault.verdict, Reconnect) and fault.verdict.refresh_first:
        return tokens.renew(house, scope, connection.id, grant)
    raise fault


def _poll_failed(
    house: House, scope: SystemScope, connection: Connection, fault: PlatformFault, began_at: datetime
) -> None:
    verdict = fault.verdict
    if isinstance(verdict, WaitUntil):  # a limit says nothing of the source, which keeps its place and its good name
        with house.db.system(scope) as session:
            connections.postpone_poll(session, connection.id, verdict.at)
        return
    if isinstance(verdict, Reconnect):
        tokens.needs_reconnect(house, scope, connection.id, verdict, began_at=began_at)
    wait_seconds = min(60.0 * 2 ** min(connection.poll_faults, 10), _LONGEST_BACK_OFF)
    with house.db.system(scope) as session:
        connections.poll_failed(session, connection.id, house.clock() + timedelta(seconds=wait_seconds))


def _gap_seconds(house: House, connection: Connection) -> float:
    """How long to leave a source alone after a poll that went well."""
    return house.platforms.source_spec(connection.platform).poll_gap_seconds


def _post_row(connection: Connection, post: SourcePost, now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "tenant_id": connection.tenant_id,
        "connection_id": connection.id,
        "platform": connection.platform,
        "external_account_id": connection.external_account_id,
        "external_post_id": post.external_post_id,
        "kind": post.kind,
        "caption": post.caption,
        "url": post.url,
        "cover_url": post.cover_url,
        "duration_seconds": post.duration_seconds,
        "width": post.width,
        "height": post.height,
        "counts": dict(post.counts),
        "posted_at": post.posted_at,
        "detected_at": now,
    }
