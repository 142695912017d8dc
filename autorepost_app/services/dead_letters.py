"""What waits for a person, for what, and what is done when that person decides about all of it at once?

A dead letter is a publication that does not go on by itself, or not before somebody has mended something. They are
grouped by what keeps them. Whatever is done to a group is done to each member by `people`, in a transaction of its own,
so that nothing is allowed here that is not allowed there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from autorepost_app.domain.dead_letters import ACTIONS, KEPT, Action, Kind, key_of
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import Scope, SystemScope, TenantScope
from autorepost_app.domain.publications import State
from autorepost_app.domain.waking import after_seconds
from autorepost_app.persistence import dead_letters
from autorepost_app.persistence.dead_letters import Found, Heap, Standstill
from autorepost_app.persistence.engine import Session
from autorepost_app.persistence.models import Publication
from autorepost_app.services import chains, people, receipts, stops
from autorepost_app.services.chains import Health
from autorepost_app.services.house import House
from autorepost_app.services.receipts import Line
from autorepost_app.services.stops import Stop

_LOOKING: Final = SystemScope("dead letters")
"""What stands still for everybody is the installation's; a tenant is told what it means for theirs."""
_MOST_AT_ONCE: Final = 100
_MOST_READS_AT_ONCE: Final = 20
"""Each look is a call or two to a platform, and some bill them."""


@dataclass(frozen=True, slots=True)
class Group:
    """Publications that wait for the same. `key` names the group for as long as it is there.

    `goes_on_at` is when it is tried again by itself, where it is; `connection_id` is what has to be reconnected.
    """

    key: str
    kind: Kind
    platform: str
    account: str | None
    title: str
    remedy: str
    count: int
    oldest_at: datetime
    actions: tuple[Action, ...]
    goes_on_at: datetime | None
    connection_id: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """One publication of a group: what became of it so far, how that is known, and what may be done about it."""

    publication_id: str
    post_id: str
    caption: str
    platform: str
    account: str
    state: str
    story: str
    lines: tuple[Line, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    publication_id: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a decision about a group. `left` had no turn yet: there were too many for once.

    `found` are those that a look found to be live.
    """

    done: int
    refused: tuple[Refused, ...]
    left: int
    found: int = 0


# -------------------------------------------------------------------------------------------------------------- reading


def waiting(house: House, scope: Scope, *, tenants: Collection[str] | None = None) -> list[Group]:
    """The groups that the scope can see, the longest waiting first; of these tenants only, where they are named."""
    around = _around(house)
    with house.db.session(scope) as session:
        found = dead_letters.heaps(session, around.still, tenants=tenants)
        return [_group(house, scope, heap, around) for heap in found]


def letters(house: House, scope: Scope, key: str, *, limit: int = 50) -> list[Letter]:
    """The members of a group, the longest waiting first. Raises UserError for a group that is not there (any more)."""
    around = _around(house)
    with house.db.session(scope) as session:
        heap = _heap(session, around, key)
        ids = dead_letters.ids_of(session, around.still, heap, limit)
        return [_letter(house, heap, each) for each in dead_letters.found(session, ids)]


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands still for everybody, and the same for the query."""

    still: Standstill
    stops: dict[str, Stop]
    chains: dict[str, Health]


def _around(house: House) -> _Around:
    closed = {each.platform: each for each in chains.health(house, _LOOKING) if not each.open}
    with house.db.system(_LOOKING) as session:
        found = [stops.stop_of(house, session, platform) for platform in house.platforms.destinations()]
    stopped = {each.platform: each for each in found if each is not None}
    return _Around(Standstill(list(stopped), stops.CAUSE, list(closed), house.clock() - KEPT), stopped, closed)


def _heap(session: Session, around: _Around, key: str) -> Heap:
    for heap in dead_letters.heaps(session, around.still):
        if key_of(heap.kind, heap.platform, heap.about) == key:
            return heap
    raise UserError("Nothing waits there any more.", remedy="Reload the page.", field="key")


def _group(house: House, scope: Scope, heap: Heap, around: _Around) -> Group:
    stop, chain = around.stops.get(heap.platform), around.chains.get(heap.platform)
    goes_on_at = None
    if heap.kind is Kind.STOPPED and stop is not None:
        goes_on_at = stop.until
    elif heap.kind is Kind.NO_FILES and chain is not None:
        goes_on_at = chain.next_look_at
    return Group(
        key=key_of(heap.kind, heap.platform, heap.about),
        kind=heap.kind,
        platform=heap.platform,
        account=heap.handle,
        title=_title(house.platforms.name(heap.platform), heap),
        remedy=_remedy(scope, heap, stop),
        count=heap.count,
        oldest_at=heap.oldest_at,
        actions=ACTIONS[heap.kind],
        goes_on_at=goes_on_at,
        connection_id=heap.about if heap.kind is Kind.RECONNECT else None,
    )


def _title(name: str, heap: Heap) -> str:
    match heap.kind:
        case Kind.RECONNECT:
            return f"{name}: reconnect @{heap.handle}, {heap.count} waiting"
        case Kind.REVIEW:
            return f"{name}: look at @{heap.handle}, {heap.count} undecided"
        case Kind.REJECTED:
            return f"{name}: {heap.count} refused: {heap.reason}"
        case Kind.GAVE_UP:
            return f"{name}: {heap.count} given up after a day of faults: {heap.reason}"
        case Kind.STOPPED:
            return f"{name}: stopped for everybody, {heap.count} waiting"
        case Kind.NO_FILES:
            return f"{name}: no video can be fetched, {heap.count} waiting"


_REMEDIES: Final = {
    Kind.REVIEW: "If it is there, attach its link. If it is not, have it sent again. Or leave it as it is.",
    Kind.REJECTED: "Change what it objects to, then repeat them.",
    Kind.GAVE_UP: "Repeat them once it works again.",
    Kind.STOPPED: "Nothing: whoever runs this installation has to act, then they go on by themselves.",
    Kind.NO_FILES: "Nothing is lost, they go on by themselves. Who cannot wait may hand a file over.",
}


def _remedy(scope: Scope, heap: Heap, stop: Stop | None) -> str:
    if heap.kind is Kind.RECONNECT:
        return f"Connect @{heap.handle} again: all of them go on by themselves."
    if heap.kind is Kind.STOPPED and stop is not None and isinstance(scope, SystemScope):
        return stop.remedy or _REMEDIES[heap.kind]
    return heap.remedy or _REMEDIES[heap.kind]


def _letter(house: House, heap: Heap, found: Found) -> Letter:
    row = found.publication
    return Letter(
        publication_id=row.id,
        post_id=row.post_id,
        caption=found.post.caption,
        platform=row.platform,
        account=found.handle,
        state=row.state,
        story=_story(house, row),
        lines=receipts.in_order(receipts.of_sending(found.attempts, found.evidence)),
        actions=_allowed(house, heap.kind, row),
    )


def _story(house: House, row: Publication) -> str:
    """Promised, sent, and where it stands: one line."""
    told = [f"Promised {receipts.stamp(row.created_at)}"]
    told.append(f"sent {receipts.stamp(row.last_sent_at)}" if row.last_sent_at else "never sent")
    why = row.reason if row.state in (State.FAILED, State.NEEDS_REVIEW) else row.waiting_for
    return f"{', '.join(told)}. {why}".strip()


def _allowed(house: House, kind: Kind, row: Publication) -> tuple[Action, ...]:
    """What its group allows, less what would be refused for this one now."""
    if kind is not Kind.REVIEW or row.last_sent_at is None:
        return ACTIONS[kind]
    spec = house.platforms.destination_spec(row.platform)
    quiet_at = house.times.quiet_at(row.last_sent_at, spec.reconcile.request_lifetime_seconds)
    too_early = {Action.SEND_AGAIN} if house.clock() < quiet_at else set()
    return tuple(action for action in ACTIONS[kind] if action not in too_early)


# ------------------------------------------------------------------------------------------------------------- deciding


def repeat_all(house: House, scope: TenantScope, key: str, *, limit: int = _MOST_AT_ONCE) -> Answer:
    """Every failed publication of the group once more, one after the other. Raises UserError for another group."""
    ids, left = _members(house, scope, key, Action.REPEAT, limit)
    turns = {publication_id: turn for turn, publication_id in enumerate(ids)}
    return _each(ids, left, lambda each: people.repeat(house, scope, each, after_seconds=after_seconds(turns[each])))


def look_again_all(house: House, scope: TenantScope, key: str, *, limit: int = _MOST_READS_AT_ONCE) -> Answer:
    """Looks once more for each undecided one of the group, by reads only. Raises UserError for another group."""
    ids, left = _members(house, scope, key, Action.LOOK_AGAIN, limit)
    states: list[str] = []
    answer = _each(ids, left, lambda each: states.append(people.look_again(house, scope, each).state))
    return replace(answer, found=states.count(State.PUBLISHED))


def drop_all(house: House, scope: TenantScope, key: str, *, count: int, limit: int = _MOST_AT_ONCE) -> Answer:
    """Leaves the undecided ones of the group as they are. `count` is how many the person was shown: UserError where
    there are others meanwhile."""
    ids, left = _members(house, scope, key, Action.DROP, limit)
    if len(ids) + left != count:
        raise UserError(
            f"There are {len(ids) + left} by now, not {count}.", remedy="Look at them, then decide.", field="count"
        )
    return _each(ids, left, lambda each: people.drop(house, scope, each))


def _members(house: House, scope: TenantScope, key: str, action: Action, limit: int) -> tuple[list[str], int]:
    """At most `limit` of the group, and how many more there are. Raises UserError where that cannot be done to it."""
    around = _around(house)
    with house.db.tenant(scope) as session:
        heap = _heap(session, around, key)
        if action not in ACTIONS[heap.kind]:
            allowed = ", ".join(each.replace("_", " ") for each in ACTIONS[heap.kind])
            raise UserError(
                f"That cannot be done here: {_title(house.platforms.name(heap.platform), heap)}.",
                remedy=f"What can be done: {allowed}.",
                field="action",
            )
        ids = dead_letters.ids_of(session, around.still, heap, limit)
        return ids, heap.count - len(ids)


def _each(ids: Iterable[str], left: int, act: Callable[[str], object]) -> Answer:
    done, refused = 0, []
    for publication_id in ids:
        try:
            act(publication_id)
        except UserError as error:
            refused.append(Refused(publication_id, error.text, error.remedy))
        else:
            done += 1
    return Answer(done, tuple(refused), left)
