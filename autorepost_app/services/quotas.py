"""How much of each platform's limits is left, until when, and when will what waits be through?

`SharedMeter` is what platforms' clients count their calls with: one statement on the database, no lock beyond it.
Measured on two busy cores: 1 ms for one caller, and 870 a second by eight processes that all want the same limit, while
the fastest limit there is (600 a minute) lets ten a second through (benchmarks/quotas.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.domain.identity import Scope, SystemScope, TenantScope
from autorepost_app.domain.quotas import Outlook, Span, done_at, span_at, turns_before
from autorepost_app.persistence import connections, quotas
from autorepost_app.persistence.engine import Database, Session
from autorepost_app.persistence.models import Allowance as AllowanceRow
from autorepost_app.persistence.models import Connection
from autorepost_app.persistence.quotas import Count, Full
from autorepost_app.platform_kit.protocol import Allowance, Platform, QuotaRule
from autorepost_app.services.house import House

_LOOKING: Final = SystemScope("quotas")
"""Counts are the installation's; what a tenant is told of them is picked out here."""
_MONTH: Final = timedelta(days=30)
_APP: Final = ""
_ENOUGH: Final = 3
"""From so many publications on, what they took says what the next ones will take."""


class SharedMeter:
    """The platform kit's Meter for one platform, over the database. Safe to share between threads and processes."""

    def __init__(self, db: Database, platform: Platform, clock: Clock) -> None:
        self._db = db
        self._platform = platform
        self._clock = clock

    def reserve(self, call: str, account: str = "") -> None:
        now = self._clock()
        rules = {rule.name: rule for rule in self._platform.quotas if call in rule.costs}
        counts = [_count(rule, account, rule.costs[call], now) for rule in rules.values()]
        if not counts:
            return
        full = quotas.reserve(self._db.statement, self._platform.key, now, counts)
        if full:
            last = max(full, key=lambda each: each.room_at)
            raise PlatformFault(self._wait(last, rules[last.quota]))

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        if told == Allowance():
            return
        rule = {rule.name: rule for rule in self._platform.quotas}[quota]
        now = self._clock()
        quotas.settle(
            self._db.statement,
            self._platform.key,
            now,
            _count(rule, account, 0, now),
            limit=told.limit,
            remaining=told.remaining,
            resets_at=told.resets_at,
        )

    def _wait(self, full: Full, rule: QuotaRule) -> WaitUntil:
        text = f"A limit of {self._platform.name} is used up: {rule.label}."
        return WaitUntil(text, f"{rule.name}, counted by us", f"limit.{rule.name}", at=full.room_at, limit=rule.label)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one limit stands. `account` is the handle it is about, "" where it is for the whole installation.

    `limit` None: only counted, as money is; `in_30_days` then says how much it came to. `frees_at` is when there is
    more room than now, `closed_until` what the platform itself said.
    """

    platform: str
    quota: str
    label: str
    unit: str
    account: str
    used: int
    limit: int | None
    left: int | None
    frees_at: datetime | None
    closed_until: datetime | None
    in_30_days: int | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the publications that wait for one account will be out, and which limit says so ("" where none does)."""

    platform: str
    account: str
    waiting: int
    done_at: datetime
    bound_by: str


def standing(house: House, scope: Scope) -> list[Standing]:
    """The limits of a tenant's own accounts and those of the installation, which all tenants share.

    A system scope gets those of every account.
    """
    handles = _handles(house, scope)
    now = house.clock()
    with house.db.system(_LOOKING) as session:
        told = quotas.allowances(session)
        return [
            line
            for _key, platform in sorted(house.platforms.manifests.items())
            for rule in platform.quotas
            for line in _lines(session, platform, rule, handles, told, now)
        ]


def forecast(house: House, scope: TenantScope) -> list[Forecast]:
    """For each account that something of this tenant waits for: an estimate, from what the last ones took."""
    handles = _handles(house, scope)
    now = house.clock()
    with house.db.system(_LOOKING) as session:
        queue = quotas.waiting(session, house.platforms.destinations())
        told = quotas.allowances(session)
        return [
            _forecast(house, session, scope, key, queue, handles, told, now)
            for key in sorted(queue)
            if key[0] == scope.tenant_id
        ]


def room(house: House, scope: SystemScope, platform: str, call: str) -> int | None:
    """How many such calls the limits of the installation let through now; None where none names it."""
    now, manifest = house.clock(), house.platforms.manifest(platform)
    rules = [rule for rule in manifest.quotas if rule.scope == "app" and call in rule.costs]
    with house.db.system(scope) as session:
        told = quotas.allowances(session)
        lines = [
            (_standing(manifest, rule, _APP, "", _seen(session, manifest, rule, now), told, now), rule.costs[call])
            for rule in rules
        ]
    return min((line.left // cost for line, cost in lines if line.left is not None), default=None)


def least_share(house: House, scope: SystemScope, platform: str, account: str) -> float:
    """What is left of the limit of which the least is left, for calls on behalf of that account: 0 to 1."""
    now, manifest = house.clock(), house.platforms.manifest(platform)
    with house.db.system(scope) as session:
        told = quotas.allowances(session)
        lines = [
            _standing(manifest, rule, _subject(rule, account), "", _seen(session, manifest, rule, now), told, now)
            for rule in manifest.quotas
        ]
    return min((line.left / line.limit for line in lines if line.limit and line.left is not None), default=1.0)


def _subject(rule: QuotaRule, account: str) -> str:
    return account if rule.scope == "account" else _APP


def forget(house: House, scope: SystemScope) -> int:
    """Housekeeping: deletes counts that no longer count, and that no bill is made from."""
    with house.db.system(scope) as session:
        return quotas.forget(session, house.clock())


def _count(rule: QuotaRule, account: str, cost: int, now: datetime) -> Count:
    if rule.scope == "account" and not account:
        raise ValueError(f"{rule.name} is counted by account, and the call names none")
    return Count(rule.name, _subject(rule, account), _span(rule, now), cost, rule.limit)


def _span(rule: QuotaRule, now: datetime) -> Span:
    return span_at(now, window_seconds=rule.window_seconds, zone=rule.zone)


# ------------------------------------------------------------------------------------------------------- how it stands

_Handles = dict[tuple[str, str], str]
_Told = dict[tuple[str, str, str], AllowanceRow]


def _handles(house: House, scope: Scope) -> _Handles:
    """The scope's accounts, by platform and external id."""
    with house.db.session(scope) as session:
        rows: Iterable[Connection] = connections.of_tenant(session)
    return {(row.platform, row.external_account_id): row.handle for row in rows}


def _subjects(platform: Platform, rule: QuotaRule, handles: _Handles) -> Iterator[tuple[str, str]]:
    """What one rule is counted for, each with its handle."""
    mine = [(account, handle) for (key, account), handle in sorted(handles.items()) if key == platform.key]
    if rule.scope == "account":
        yield from mine
    else:
        yield (_APP, "")


def _lines(
    session: Session, platform: Platform, rule: QuotaRule, handles: _Handles, told: _Told, now: datetime
) -> Iterator[Standing]:
    """How one rule stands for each whom it is counted for: the database is asked once, however many they are."""
    seen = _seen(session, platform, rule, now)
    month = quotas.spent(session, platform.key, rule.name, now - _MONTH) if rule.limit is None else {}
    for subject, handle in _subjects(platform, rule, handles):
        line = _standing(platform, rule, subject, handle, seen, told, now)
        yield replace(line, in_30_days=month.get(subject, 0)) if line.limit is None else line


def _seen(session: Session, platform: Platform, rule: QuotaRule, now: datetime) -> dict[str, quotas.Used]:
    return quotas.used(session, platform.key, rule.name, now, _span(rule, now).since)


def _standing(
    platform: Platform,
    rule: QuotaRule,
    subject: str,
    handle: str,
    seen: dict[str, quotas.Used],
    told: _Told,
    now: datetime,
) -> Standing:
    count, word = seen.get(subject, quotas.NOTHING), told.get((platform.key, rule.name, subject))
    limit = word.granted if word and word.granted is not None else rule.limit
    closed_until = word.closed_until if word and word.closed_until and word.closed_until > now else None
    left = None if limit is None else max(limit - count.used, 0)
    first_room_at = count.frees_at if not closed_until or left == 0 else None
    return Standing(
        platform=platform.key,
        quota=rule.name,
        label=rule.label,
        unit=rule.unit,
        account=handle,
        used=count.used,
        limit=limit,
        left=0 if closed_until else left,
        frees_at=max(filter(None, (closed_until, first_room_at)), default=None),
        closed_until=closed_until,
    )


# -------------------------------------------------------------------------------------------------------------- ahead


def _forecast(
    house: House,
    session: Session,
    scope: TenantScope,
    key: tuple[str, str, str],
    queue: dict[tuple[str, str, str], tuple[int, datetime]],
    handles: _Handles,
    told: _Told,
    now: datetime,
) -> Forecast:
    _tenant, platform_key, account = key
    waiting, wanted_at = queue[key]
    platform = house.platforms.manifest(platform_key)
    ends = [(max(wanted_at, now), "")]
    for rule in platform.quotas:
        subject = account if rule.scope == "account" else _APP
        line = _standing(platform, rule, subject, "", _seen(session, platform, rule, now), told, now)
        if line.limit is not None:
            ahead = waiting if rule.scope == "account" else _ahead(scope, platform_key, queue)
            wanted = ahead * _taken_by_one(session, platform, rule, subject, line.used, now)
            ends.append((done_at(now, wanted, _outlook(rule, line, now)), rule.label))
        elif line.closed_until is not None:
            ends.append((line.closed_until, rule.label))
    last, bound_by = max(ends, key=lambda each: each[0])
    return Forecast(platform_key, handles.get((platform_key, account), account), waiting, last, bound_by)


def _ahead(scope: TenantScope, platform: str, queue: dict[tuple[str, str, str], tuple[int, datetime]]) -> int:
    """This tenant's and, in turns, everybody else's."""
    by_tenant: dict[str, int] = {}
    for (tenant, key, _account), (count, _last) in queue.items():
        if key == platform:
            by_tenant[tenant] = by_tenant.get(tenant, 0) + count
    mine = by_tenant.pop(scope.tenant_id)
    return turns_before(mine, list(by_tenant.values()))


def _taken_by_one(
    session: Session, platform: Platform, rule: QuotaRule, subject: str, used: int, now: datetime
) -> float:
    """What one publication took of that limit lately; what its cheapest call takes where there is too little to say."""
    out = quotas.published(session, platform.key, _span(rule, now).since)
    count = out.get(subject, 0) if rule.scope == "account" else sum(out.values())
    cheapest = min(rule.costs.values())
    return max(used / count, cheapest) if count >= _ENOUGH else cheapest


def _outlook(rule: QuotaRule, line: Standing, now: datetime) -> Outlook:
    span = _span(rule, now)
    window = span.ends_at - (now if rule.window_seconds is not None else span.starts_at)
    return Outlook(float(line.left or 0), float(line.limit or 0), line.frees_at or span.ends_at, window)
