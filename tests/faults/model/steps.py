"""What may happen next? Each function below is one thing that may happen: its guard, its effect, a sentence.

No state is changed but along the table of moves in `rules.table`, which is the product's own unless a test doctors it:
everybody tries every move of theirs, and only the table holds them back. So a move that is added is made, and a move
that is gone is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model.surroundings import platform_acts, restores, time_passes
from model.world import (
    EARLY,
    IDLE,
    NAMES,
    At,
    Platform,
    Process,
    Restore,
    Row,
    Rules,
    Seen,
    Step,
    Steps,
    World,
    fresh_lease,
    quiet,
    with_process,
)

from autorepost_app.domain.publications import FINAL, ON_ITS_WAY, UNSENT, By, EvidenceKind, Move, State

LIVE, ABSENT, NOT_DONE = EvidenceKind.LIVE, EvidenceKind.ABSENT, EvidenceKind.NOT_DONE
UNCLEAR, UNDECIDED, NOT_SENT = EvidenceKind.UNCLEAR, EvidenceKind.UNDECIDED, EvidenceKind.NOT_SENT
_UNCLAIMED: Final = (State.DETECTED, State.PREPARING, State.READY)
_READABLE: Final = (State.UNKNOWN, State.RECONCILING)


def steps(rules: Rules, world: World) -> Steps:
    for index, process in enumerate(world.processes):
        match process.at:
            case At.IDLE:
                yield from claims(rules, world, index)
                yield from looks(rules, world, index)
            case At.STAGING:
                yield from stages(rules, world, index)
                yield from intends(rules, world, index)
            case At.INTENDED:
                yield from sends(rules, world, index)
            case At.WAITING:
                yield from hears(rules, world, index)
            case At.LOOKED:
                yield from concludes(rules, world, index)
        if process.at is not At.IDLE:
            yield crashes(world, index)
    yield from works_before_the_send(rules, world)
    yield from platform_acts(world, rules)
    yield from time_passes(world, rules)
    yield from sweeps(rules, world)
    yield from heeds_late_answers(rules, world)
    yield from persons_act(rules, world)
    if rules.restores:
        yield from restores(rules, world)


# ------------------------------------------------------------------------------------------------ the table of moves


def allowed(rules: Rules, row: Row, by: By, evidence: str, lease: int | None = None) -> Iterator[Move]:
    """The moves that the table lets this actor make now, with what it can prove and the lease it holds."""
    for move in rules.table:
        if move.source is not row.state or move.by is not by or (move.proof and move.proof != evidence):
            continue
        if move.fenced and rules.fencing and lease != row.lease:
            continue
        if row.sends >= rules.most_sends and move.target in UNSENT and row.state in {*ON_ITS_WAY, *FINAL}:
            continue  # the product too stops somewhere: MOST_SENDS, the end of its back-off
        yield move


def takes_lease(move: Move) -> bool:
    """Claims are the workers' moves into STAGING that ask for nothing: whoever makes one becomes the holder."""
    return move.by is By.WORKER and move.target is State.STAGING and not move.fenced and not move.proof


def _by_a_holder(move: Move) -> bool:
    """Whether it is made by who has claimed it before, and is not the intent."""
    return move.source not in _UNCLAIMED and not takes_lease(move) and move.target is not State.COMMITTING


def made(rules: Rules, world: World, move: Move, evidence: str) -> World:
    """The move and what comes with it: the lease is let go of, the attempt is over, the proof is counted."""
    row = world.row._replace(state=move.target, held=False)
    if move.source in ON_ITS_WAY and move.target in UNSENT:
        row = row._replace(spent=True, kept=rules.handle_reuse and move.target is State.STAGING)
    if evidence == LIVE:
        row = row._replace(live=True)
    credit = world.credit + (move.proof in (ABSENT, NOT_DONE))
    return world._replace(row=row, credit=min(credit, rules.most_sends + 1))


# ---------------------------------------------------------------------------------------------------- a process sends


def claims(rules: Rules, world: World, index: int) -> Steps:
    row, name = world.row, NAMES[index]
    if row.held or (world.restore is Restore.UNNOTICED and rules.looks_after_restore) or not row.looked:
        return
    for move in filter(takes_lease, allowed(rules, row, By.WORKER, "")):
        lease, handles, handle = fresh_lease(world), world.handles, row.handle
        reused = row.kept or (move.source in ON_ITS_WAY and rules.handle_reuse)
        if row.spent and not reused:
            handles += 1
            handle = handles
        claimed = row._replace(handle=handle, state=move.target, lease=lease, held=True, spent=False, kept=False)
        process = Process(At.STAGING, lease, claimed.handle)
        to = with_process(world, index, process, claimed)._replace(handles=handles)
        yield Step(f"worker {name} claims it ({move.name}), with handle {claimed.handle}", to, move.name)


def stages(rules: Rules, world: World, index: int) -> Steps:
    """Whatever staging may end with but the intent: wait, give back, refuse, or find it live by its handle."""
    process, row, name = world.processes[index], world.row, NAMES[index]
    seen_live = (row.live and rules.live_wins) or process.handle in world.used
    for move in allowed(rules, row, By.WORKER, LIVE if seen_live else NOT_SENT, process.lease):
        if not _by_a_holder(move):
            continue
        to = with_process(made(rules, world, move, LIVE if seen_live else ""), index, IDLE)
        if process.handle in world.dead:
            to = to._replace(row=to.row._replace(spent=True))
        yield Step(f"worker {name}, still staging, writes {move.target} ({move.name})", to, move.name, process.lease)
    if process.lease != row.lease or row.state is not State.STAGING:
        yield Step(f"worker {name} finds that its lease has passed on, and stops", with_process(world, index, IDLE))


def intends(rules: Rules, world: World, index: int) -> Steps:
    process, row, name = world.processes[index], world.row, NAMES[index]
    forgetful = rules.restores and rules.looks_after_restore
    unsafe_restore = forgetful and (
        not row.looked or (rules.intent_checks_restore and world.restore is Restore.UNNOTICED)
    )
    if process.handle in world.dead or (row.live and rules.live_wins) or unsafe_restore:
        return
    armed = process._replace(at=At.INTENDED, window=True)
    if not rules.durable_intent:
        if row.sends < rules.most_sends:
            yield Step(f"worker {name} goes on to send at once", with_process(world, index, armed, _sent_once(row)))
        return
    for move in allowed(rules, row, By.WORKER, "", process.lease):
        if move.target is State.COMMITTING:
            intended = _sent_once(row)._replace(state=move.target, held=True)
            yield Step(
                f"worker {name} writes its intent",
                with_process(world, index, armed, intended),
                move.name,
                process.lease,
            )
            lost = with_process(world, index, IDLE, intended)
            yield Step(f"worker {name} writes its intent but loses the COMMIT's answer, and stops", lost, fault=True)


def _sent_once(row: Row) -> Row:
    return row._replace(sends=row.sends + 1, spent=True)


def sends(rules: Rules, world: World, index: int) -> Steps:
    process, name = world.processes[index], NAMES[index]
    if process.window or not rules.deadline:
        flying = process._replace(at=At.WAITING, window=False, request="flying")
        sent = with_process(world, index, flying)._replace(credit=world.credit - 1)
        yield Step(f"worker {name} sends, with handle {process.handle}", sent)
    else:
        yield from answered(rules, world, index, NOT_DONE, "finds its deadline passed and sends nothing")


def hears(rules: Rules, world: World, index: int) -> Steps:
    process = world.processes[index]
    if process.request == "taken":
        yield from answered(rules, world, index, LIVE, "hears that it is live")
    if process.request == "refused":
        yield from answered(rules, world, index, NOT_DONE, "hears that nothing was done")
    lost = world
    if process.request == "flying":
        lost = world._replace(zombies=tuple(sorted((*world.zombies, process.handle))))
    unclear = UNCLEAR if rules.unclear_is_unclear else NOT_DONE
    yield from answered(rules, lost, index, unclear, "hears nothing that is clear", fault=True)


def answered(rules: Rules, world: World, index: int, evidence: str, what: str, *, fault: bool = False) -> Steps:
    """The answer is recorded by the lease's holder as a move, by whoever lost the lease as evidence only (R3)."""
    process, name = world.processes[index], NAMES[index]
    possible = [move for move in allowed(rules, world.row, By.WORKER, evidence, process.lease) if _by_a_holder(move)]
    for move in possible:
        to = with_process(made(rules, world, move, evidence), index, IDLE)
        if move.target is State.READY and rules.handle_reuse and process.handle not in world.dead:
            to = to._replace(row=to.row._replace(kept=True))
        yield Step(f"worker {name} {what}: {move.target} ({move.name})", to, move.name, process.lease, fault)
    if not possible:
        to = with_process(_late(rules, world, evidence), index, IDLE)
        yield Step(f"worker {name}, fenced off, {what}", to, fault=fault)


def _late(rules: Rules, world: World, evidence: str) -> World:
    row = world.row
    if not rules.late_answer_is_evidence and evidence == NOT_DONE and row.state in ON_ITS_WAY:
        return world._replace(row=row._replace(state=State.READY, held=False, spent=True, kept=False))
    return world._replace(row=row._replace(live=True)) if evidence == LIVE else world


def crashes(world: World, index: int) -> Step:
    process = world.processes[index]
    zombies = tuple(sorted((*world.zombies, process.handle))) if process.request == "flying" else world.zombies
    to = with_process(world, index, IDLE)._replace(zombies=zombies)
    return Step(f"worker {NAMES[index]} is killed", to, fault=True)


# ---------------------------------------------------------------------------------------------------- a process reads


def looks(rules: Rules, world: World, index: int) -> Steps:
    """The claim of a reading and its one look. A pause between the two changes nothing; one after them does."""
    row = world.row
    if row.held or row.state not in _READABLE:
        return
    asked = ""
    if row.state is State.UNKNOWN:
        moves = [move for move in allowed(rules, row, By.RECONCILER, "") if move.target is State.RECONCILING]
        if not moves:
            return
        asked = moves[0].name
    lease = fresh_lease(world)
    doubt = world.restore is Restore.NOTICED and not row.looked
    reading = row._replace(state=State.RECONCILING, lease=lease, held=True)
    for finding in findings(rules, world, doubt=doubt):
        process = Process(At.LOOKED, lease, finding=finding, doubt=doubt)
        text = f"worker {NAMES[index]} looks for it: {_SAID[finding]}"
        yield Step(text, with_process(world, index, process, reading), asked, fault=finding == UNDECIDED)


_SAID: Final = {
    LIVE: "it is live",
    ABSENT: "it is not there",
    EARLY: "it is not there yet",
    UNDECIDED: "that proves nothing",
}


def findings(rules: Rules, world: World, *, doubt: bool) -> Iterator[str]:
    """What one look may find. Before everything is quiet it may miss what is live: reads lag behind."""
    row = world.row
    there = world.live > 0 if doubt or rules.platform is Platform.LIST else row.handle in world.used
    by_the_book = quiet(rules, world) or world.restore is Restore.UNNOTICED  # what it knows of its sends is old
    if row.live and rules.live_wins:
        yield LIVE
        return
    if there:
        yield LIVE
    yield UNDECIDED
    if there and quiet(rules, world) and not (rules.reads_contradict and row.live):
        return
    if by_the_book or not rules.quiescence:
        yield ABSENT
    elif not rules.quiet_before_the_look:
        yield EARLY


def concludes(rules: Rules, world: World, index: int) -> Steps:
    process, row, name = world.processes[index], world.row, NAMES[index]
    finding = process.finding
    if finding == EARLY:
        finding = ABSENT if quiet(rules, world) else UNDECIDED
    if finding == ABSENT and rules.platform is Platform.LIST and not rules.absence_resends:
        finding = UNDECIDED
    possible = [
        move
        for move in allowed(rules, row, By.RECONCILER, finding, process.lease)
        if _handle_allows(rules, world, process, move)
    ]
    for move in possible:
        to = with_process(made(rules, world, move, finding), index, IDLE)
        if process.doubt and move.target in UNSENT:
            to = to._replace(row=to.row._replace(looked=True, kept=False))
        lease = process.lease if move.fenced else None
        yield Step(f"worker {name} concludes: {move.target} ({move.name})", to, move.name, lease)
    if finding == UNDECIDED and process.lease == row.lease and row.state is State.RECONCILING:
        again = with_process(world, index, IDLE, row._replace(held=False))
        yield Step(f"worker {name} will look again", again)
    if not possible:
        seen = row._replace(live=row.live or finding == LIVE)
        yield Step(f"worker {name}, fenced off, keeps what it saw as evidence", with_process(world, index, IDLE, seen))


def _handle_allows(rules: Rules, world: World, process: Process, move: Move) -> bool:
    """Another handle only once this one is dead; the same one only while it lives."""
    if move.target not in UNSENT or rules.platform is Platform.LIST or not rules.handle_reuse:
        return True
    wants_another = move.target is State.READY
    return wants_another if process.doubt else wants_another == (world.row.handle in world.dead)


# --------------------------------------------------------------------------------- before the send, sweeper, late news


def works_before_the_send(rules: Rules, world: World) -> Steps:
    """Fetching and freezing hold no lease: each is one transaction, and a crash in it changes nothing."""
    for move in allowed(rules, world.row, By.WORKER, NOT_SENT):
        if move.source in _UNCLAIMED and not takes_lease(move) and not move.fenced:
            yield Step(f"a worker writes {move.target} ({move.name})", made(rules, world, move, ""), move.name)


def sweeps(rules: Rules, world: World) -> Steps:
    if world.row.held:
        return
    for move in allowed(rules, world.row, By.SWEEPER, UNCLEAR):
        if move.target is State.RECONCILING and world.row.looked:
            continue
        yield Step(f"the sweeper writes {move.target} ({move.name})", made(rules, world, move, UNCLEAR), move.name)
    for move in allowed(rules, world.row, By.RECONCILER, ""):
        if not move.proof and not move.fenced and move.target is not State.RECONCILING:
            to = made(rules, world, move, "")
            yield Step(f"the reconciler writes {move.target} ({move.name})", to, move.name)


def heeds_late_answers(rules: Rules, world: World) -> Steps:
    """Live evidence wins over whatever was concluded before it came (R4)."""
    if world.row.live and rules.live_wins and world.row.state in {*FINAL, State.NEEDS_REVIEW}:
        for move in allowed(rules, world.row, By.RECONCILER, LIVE):
            to = made(rules, world, move, LIVE)
            yield Step(f"late evidence is heeded: {move.target} ({move.name})", to, move.name)


# ------------------------------------------------------------------------------------------------------------- persons


def persons_act(rules: Rules, world: World) -> Steps:
    """They cancel, repeat and drop as they like; what they say they have seen is so."""
    row = world.row
    for move in allowed(rules, row, By.PERSON, LIVE if world.live else ""):
        sends_again = move.target in UNSENT
        if not sends_again or (rules.persons_send_again and not (row.live and rules.live_wins)):
            to = made(rules, world, move, LIVE if move.proof else "")
            yield Step(f"a person decides: {move.target} ({move.name})", to, move.name, by_person=True)
    if row.state is not State.NEEDS_REVIEW or not rules.persons_send_again:
        return
    doubt = world.restore is Restore.NOTICED and not row.looked
    looked = quiet(rules, world) and not world.live
    if looked or not rules.person_looks:
        yield from _said_absent(rules, world, Seen(row.sends, doubt), "looks, and decides")
    if looked:
        yield Step("a person looks: it is not there", world._replace(person=Seen(row.sends, doubt)), by_person=True)
    seen = world.person
    if seen and (seen.sends == row.sends or not rules.person_decides_what_was_looked_at):
        yield from _said_absent(rules, world._replace(person=None), seen, "who looked before decides now")


def _said_absent(rules: Rules, world: World, seen: Seen, what: str) -> Steps:
    for move in allowed(rules, world.row, By.PERSON, ABSENT):
        if move.proof:
            to = made(rules, world, move, ABSENT)
            to = to._replace(row=to.row._replace(looked=to.row.looked or seen.doubt))
            yield Step(f"a person {what}: {move.target} ({move.name})", to, move.name, by_person=True)
