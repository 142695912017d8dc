"""What happens to a publication without anybody of ours: the platform acts, time passes, the database is restored."""

from __future__ import annotations

from typing import Final

from model.world import NAMES, At, Platform, Restore, Rules, Step, Steps, World, with_process

from autorepost_app.domain.publications import State

RESTORED: Final = "the database is restored to that backup"


def platform_acts(world: World, rules: Rules) -> Steps:
    for index, process in enumerate(world.processes):
        if process.request == "flying":
            taken = with_process(world, index, process._replace(request="taken"))
            refused = with_process(world, index, process._replace(request="refused"))
            if process.handle not in world.dead:
                yield Step(f"the platform takes {NAMES[index]}'s request", taken_in(rules, taken, process.handle))
            yield Step(f"the platform refuses {NAMES[index]}'s request", refused)
    for handle in sorted(set(world.zombies)):
        left = list(world.zombies)
        left.remove(handle)
        gone = world._replace(zombies=tuple(left))
        if handle not in world.dead:
            yield Step(f"the platform takes a late request with handle {handle}", taken_in(rules, gone, handle))
        yield Step(f"a late request with handle {handle} comes to nothing", gone)


def taken_in(rules: Rules, world: World, handle: int) -> World:
    again = rules.platform is Platform.SINGLE and handle in world.used
    return world._replace(live=world.live + (not again), used=world.used | {handle})


def time_passes(world: World, rules: Rules) -> Steps:
    row = world.row
    if row.held:
        yield Step("the lease runs out", world._replace(row=row._replace(held=False)))
    if rules.deadline:
        for index, process in enumerate(world.processes):
            if process.at is At.INTENDED and process.window:
                yield Step(
                    f"the deadline of {NAMES[index]}'s intent passes",
                    with_process(world, index, process._replace(window=False)),
                )
    if rules.platform is not Platform.LIST and row.handle and row.handle not in world.used | world.dead:
        yield Step(f"handle {row.handle} expires", world._replace(dead=world.dead | {row.handle}))


def restores(rules: Rules, world: World) -> Steps:
    """Once, the database may come back as it was at an earlier moment. Noticing it opens an epoch."""
    row = world.row
    if world.restore is Restore.NONE and row.state not in (State.DETECTED, State.PREPARING):
        yield Step("a backup is made", world._replace(restore=Restore.BACKED_UP, backup=row), fault=True)
    if world.restore is Restore.BACKED_UP and world.backup is not None:
        # attempts begun since have ids of their own: who looked at one of them finds it gone
        seen = world.person if world.person and world.person.sends <= world.backup.sends else None
        back = world._replace(row=world.backup, backup=None, restore=Restore.UNNOTICED, person=seen)
        yield Step(RESTORED, back, fault=True)
    if world.restore is Restore.UNNOTICED:
        looked = row._replace(looked=not rules.looks_after_restore)
        yield Step("the restore is noticed", world._replace(restore=Restore.NOTICED, row=looked))
