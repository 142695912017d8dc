"""What is asked of the model: the design on each kind of platform, and the design with one rule taken away.

A variant names what has to break without its rule. One that names nothing has to hold: it shows that where absence
only ever leads to a person, the platform's timing does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from model.checker import INVARIANTS, MEANING, Exploration, Verdict
from model.world import Platform, Rules

from autorepost_app.domain.publications import MOVES, By, Move, State


@dataclass(frozen=True)
class Variant:
    name: str
    rules: Rules
    breaks: tuple[str, ...] = ()
    """Each of these is broken; with none, all that is `asked` holds."""
    asked: tuple[str, ...] = tuple(MEANING)

    def verdicts(self) -> Iterable[Verdict]:
        """One for each invariant that has to break, or one for all of them together."""
        for asked in [(name,) for name in self.breaks] or [self.asked]:
            yield Exploration(self.rules, asked).run()


X: Final = Rules(Platform.LIST)
X_RESENDS: Final = replace(X, absence_resends=True)
INSTAGRAM: Final = Rules(Platform.STATUS, absence_resends=True)
YOUTUBE: Final = Rules(Platform.SINGLE, absence_resends=True)
ALONE: Final = replace(X, persons_send_again=False)
YOUTUBE_ALONE: Final = replace(YOUTUBE, persons_send_again=False)
_SAFETY: Final = tuple(INVARIANTS)


def resending(rules: Rules) -> Rules:
    """What every queue does with a job whose worker has died."""
    again = Move("run_again", State.COMMITTING, State.STAGING, By.WORKER, "the queue offers the job to the next worker")
    return replace(rules, table=(*MOVES, again))


def restored(rules: Rules) -> Rules:
    """With a database that comes back from a backup. One send in each of its lives is enough to go wrong."""
    return replace(rules, restores=True, most_sends=1)


DESIGN: Final = (
    Variant("X: absence leads to review", X),
    Variant("X, if absence led to another send", X_RESENDS),
    Variant("Instagram: the container tells its fate", INSTAGRAM),
    Variant("YouTube: a session becomes one video", replace(YOUTUBE, most_sends=2)),
    Variant("reads that contradict what was proven live", replace(X_RESENDS, reads_contradict=True)),
    Variant("X, and the database is restored", restored(X)),
    Variant("Instagram, and the database is restored", restored(replace(INSTAGRAM, persons_send_again=False))),
)

WITHOUT: Final = (
    Variant("R1 no durable intent", replace(X_RESENDS, durable_intent=False), ("I1", "I3")),
    Variant("R8 a crash sends again", resending(X_RESENDS), ("I1", "I3")),
    Variant("R8 a crash sends again, single-use handle", resending(YOUTUBE_ALONE), ("I3",)),
    Variant("R5 a time-out means that nothing was done", replace(X_RESENDS, unclear_is_unclear=False), ("I1", "I3")),
    Variant("another send before all is quiet", replace(X_RESENDS, quiescence=False), ("I1", "I3")),
    Variant("quiet is judged after the look", replace(INSTAGRAM, quiet_before_the_look=False), ("I1", "I3")),
    Variant("R2 no deadline of a send", replace(X_RESENDS, deadline=False), ("I1", "I3")),
    Variant("no fencing epoch", replace(X_RESENDS, fencing=False), ("I1", "I3")),
    Variant("R3 a late answer is written as a state", replace(X_RESENDS, late_answer_is_evidence=False), ("I1", "I3")),
    Variant(
        "R4 a later read outranks live evidence",
        replace(X_RESENDS, reads_contradict=True, live_wins=False),
        ("I1", "I3"),
    ),
    Variant(
        "R6 another handle for another send, and no deadline",
        replace(YOUTUBE_ALONE, deadline=False, handle_reuse=False),
        ("I1",),
    ),
    Variant("R7 no look after a restore", replace(restored(X), looks_after_restore=False), ("I1",)),
    Variant(
        "an intent under a lease from before a restore", replace(restored(X), intent_checks_restore=False), ("I1",)
    ),
    Variant("a person says absent without a look", replace(X, person_looks=False), ("I1", "I3")),
    Variant(
        "a person's look speaks for a later send too", replace(X, person_decides_what_was_looked_at=False), ("I1", "I3")
    ),
)

HARMLESS: Final = (
    Variant("X alone, before all is quiet", replace(ALONE, quiescence=False), asked=_SAFETY),
    Variant("X alone, no deadline of a send", replace(ALONE, deadline=False), asked=_SAFETY),
    Variant("X alone, no fencing epoch", replace(ALONE, fencing=False), asked=_SAFETY),
    Variant(
        "R8 a crash sends again, single-use handle: never twice",
        replace(resending(YOUTUBE_ALONE), most_sends=2),
        asked=("I1",),
    ),
    Variant("R2 no deadline, single-use handle: never twice", replace(YOUTUBE_ALONE, deadline=False), asked=("I1",)),
)
