"""What does the world of one publication consist of, and which rules hold in it?

A `World` is one moment: the row in the database, what each process is in the middle of, and the platform, which alone
knows the truth. Nothing has a clock: whatever time would bring about (a lease runs out, a window closes) is a step that
may come at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from autorepost_app.domain.publications import FIRST, MOVES, EvidenceKind, Move, State


class Platform(StrEnum):
    LIST = "list"
    """X: each request makes a post; its list shows what is there, never that something is not."""
    STATUS = "status"
    """Instagram, as far as it is documented: the container tells its fate, a second publish is not proven harmless."""
    SINGLE = "single"
    """YouTube, and Instagram once certified: a handle becomes one post at most, however often it is sent."""


@dataclass(frozen=True)
class Rules:
    """The design; a variant takes one of its rules away."""

    platform: Platform = Platform.LIST
    table: tuple[Move, ...] = MOVES
    processes: int = 2
    most_sends: int = 3
    restores: bool = False
    reads_contradict: bool = False
    """A fault: a read may say that nothing is there of what was proven live before."""

    absence_resends: bool = False
    """Whether a read that finds nothing leads to another send; the list's never does in the product."""

    durable_intent: bool = True
    unclear_is_unclear: bool = True
    quiescence: bool = True
    quiet_before_the_look: bool = True
    deadline: bool = True
    fencing: bool = True
    handle_reuse: bool = True
    live_wins: bool = True
    late_answer_is_evidence: bool = True
    looks_after_restore: bool = True
    intent_checks_restore: bool = True
    persons_send_again: bool = True
    """Whether there are persons who find that it is not there and have it sent again."""

    person_looks: bool = True
    person_decides_what_was_looked_at: bool = True


class Row(NamedTuple):
    """The publication in the database."""

    state: State = FIRST
    lease: int = 0
    held: bool = False
    sends: int = 0
    spent: bool = True
    """The current attempt has had its intent, or there is none: the next claim begins another."""
    kept: bool = False
    """The next attempt takes this one's handle over."""
    handle: int = 0
    live: bool = False
    """LIVE evidence is written down."""
    looked: bool = True
    """It was looked for since the database was restored."""


class At(StrEnum):
    IDLE = "idle"
    STAGING = "staging"
    INTENDED = "intended"
    WAITING = "waiting"
    LOOKED = "looked"


class Process(NamedTuple):
    """One worker: it sends, or reads as the reconciler does. It may stop between any two steps, for ever or not."""

    at: At = At.IDLE
    lease: int = 0
    handle: int = 0
    window: bool = False
    """The deadline of its intent has not passed."""
    request: str = ""
    """"flying", "taken" or "refused"."""
    finding: str = ""
    """What its look proved: a kind of evidence, or EARLY."""
    doubt: bool = False
    """It looked for what a restored database may have forgotten."""


class Restore(StrEnum):
    NONE = "none"
    BACKED_UP = "backed up"
    UNNOTICED = "unnoticed"
    NOTICED = "noticed"


class Seen(NamedTuple):
    """A person has looked and found nothing."""

    sends: int
    doubt: bool


class World(NamedTuple):
    row: Row
    processes: tuple[Process, ...]
    zombies: tuple[int, ...] = ()
    """Handles of requests in flight that nobody waits for."""
    live: int = 0
    """How many posts of ours the public sees."""
    handles: int = 0
    used: frozenset[int] = frozenset()
    dead: frozenset[int] = frozenset()
    credit: int = 1
    """How many sends are licensed: one, and one for each proof of absence."""
    person: Seen | None = None
    restore: Restore = Restore.NONE
    backup: Row | None = None


class Step(NamedTuple):
    text: str
    to: World
    move: str = ""
    lease: int | None = None
    """The lease by which it is made, where it is made by one."""
    fault: bool = False
    """Something that may fail to happen for ever: once faults have stopped, nobody waits for it."""
    by_person: bool = False


Steps = Iterator[Step]
IDLE: Final = Process()
EARLY: Final = "early"
"""Nothing was seen, by a look at a time when a request could still be on its way."""
UNSEEN: Final = (EvidenceKind.ABSENT, EARLY)
NAMES: Final = "ABC"


def first(rules: Rules) -> World:
    return World(Row(), (IDLE,) * rules.processes)


def with_process(world: World, index: int, process: Process, row: Row | None = None) -> World:
    processes = (*world.processes[:index], process, *world.processes[index + 1 :])
    return world._replace(processes=processes, row=world.row if row is None else row)


def fresh_lease(world: World) -> int:
    known = [each.lease for each in world.processes]
    return max(world.row.lease, world.backup.lease if world.backup else 0, *known) + 1


def in_flight(world: World) -> list[int]:
    """The handles of all requests that the platform may still act on."""
    return [*world.zombies, *(each.handle for each in world.processes if each.request == "flying")]


def still_possible(world: World) -> bool:
    """Whether a request in flight can still make a post."""
    return any(handle not in world.dead for handle in in_flight(world))


def about_to_send(rules: Rules, world: World) -> list[int]:
    """The handles of processes that hold an intent and may still send."""
    armed = (each for each in world.processes if each.at is At.INTENDED)
    return [each.handle for each in armed if each.window or not rules.deadline]


def quiet(rules: Rules, world: World) -> bool:
    """Whether so much time has passed since the last send that no request of it can be alive.

    Without a deadline time says nothing about a sender that sleeps.
    """
    return not in_flight(world) and not (rules.deadline and about_to_send(rules, world))


def canonical(world: World) -> World:
    """The same world with leases numbered by what they are good for: only equality with the current one counts."""
    backup = world.backup
    spare = backup.lease if backup else world.row.lease

    def renumbered(lease: int) -> int:
        return 2 if lease == world.row.lease else 1 if lease == spare else 0

    processes = tuple(
        each if each.at is At.IDLE else each._replace(lease=renumbered(each.lease)) for each in world.processes
    )
    row = world.row._replace(lease=2)
    kept = backup._replace(lease=renumbered(spare)) if backup else None
    return world._replace(row=row, processes=processes, backup=kept)


def key(world: World) -> World:
    """What it is known by: worlds that differ in which process is which, or in past handles' numbers, are one."""
    row, backup = world.row, world.backup
    named = {row.handle, *world.zombies, *(each.handle for each in world.processes), backup.handle if backup else 0}
    if len(named | {0}) > world.handles:  # no number has fallen out of use
        return world._replace(processes=tuple(sorted(world.processes)), handles=0)
    number = {handle: place for place, handle in enumerate(sorted(named | {0}))}
    processes = sorted(each._replace(handle=number[each.handle]) for each in world.processes)
    return world._replace(
        row=row._replace(handle=number[row.handle]),
        processes=tuple(processes),
        zombies=tuple(number[handle] for handle in world.zombies),
        handles=0,
        used=frozenset(number[handle] for handle in world.used & named),
        dead=frozenset(number[handle] for handle in world.dead & named),
        backup=backup._replace(handle=number[backup.handle]) if backup else None,
    )
