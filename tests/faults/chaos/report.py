"""What does a person read at the end of a run?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from chaos.run import Outcome
from rich.console import Console
from rich.table import Table

from autorepost_app.domain.publications import State

_SHOWN: Final = 12


def show(outcome: Outcome, console: Console) -> None:
    """The table, and a sentence for each fault."""
    audit = outcome.audit
    console.print()
    table = Table(title=_title(outcome), title_justify="left", show_header=False)
    for name, value in _lines(outcome):
        table.add_row(name, value)
    console.print(table)
    _list(console, "LOST", audit.lost)
    still = "Still on its way when it was interrupted" if outcome.interrupted else "LOST: on its way, and does not move"
    _list(console, still, audit.unfinished)
    _list(console, "DOUBLED", audit.doubled)
    _list(console, "WRONG", audit.wrong)
    _list(console, "A person was asked although the platform would have told", audit.needless_reviews)
    _list(console, "Rightly in front of a person", audit.reviews)
    _list(console, "Failed, with proof that nothing is live", audit.failures)
    _list(console, "The product ended by itself and was started again", outcome.gave_up)


def _title(outcome: Outcome) -> str:
    word = (
        "interrupted, as far as it came" if outcome.interrupted else "all is well" if outcome.is_clean else "NOT well"
    )
    return f"Chaos with seed {outcome.seed}: {word}"


def _lines(outcome: Outcome) -> list[tuple[str, str]]:
    audit = outcome.audit
    states = ", ".join(f"{count} {state}" for state, count in sorted(audit.states.items()))
    lines = [
        ("promised", f"{audit.promised} publications of {outcome.posts} posts"),
        ("published, and live once", str(audit.states[State.PUBLISHED] - len(audit.doubled))),
        ("states", states or "none"),
        ("lost", str(len(audit.lost))),
        ("on its way", str(len(audit.unfinished))),
        ("doubled", str(len(audit.doubled))),
        ("otherwise wrong", str(len(audit.wrong) + len(audit.needless_reviews))),
        ("rightly needs review", str(len(audit.reviews))),
        ("failed with proof", str(len(audit.failures))),
        ("proofs that nothing came", f"{audit.proven_absent}; most sends of one publication {audit.most_sends}"),
        ("destroyed for", f"{outcome.destroyed_seconds:.0f} s: {_counted(outcome.acts)}"),
        ("platforms' faults", f"{sum(outcome.faults.values())} of {outcome.calls} calls: {_counted(outcome.faults)}"),
        ("the product started", f"{outcome.starts} times, {len(outcome.gave_up)} of them after it had ended by itself"),
        ("drained in", _drain(outcome)),
    ]
    if outcome.no_full_disk:
        lines.append(("left out", f"the full disk: {outcome.no_full_disk}"))
    return lines


def _drain(outcome: Outcome) -> str:
    waits = f"{outcome.skipped_seconds / 3600:.1f} h of waits were skipped"
    if not outcome.at_rest:
        return f"NOT drained after {outcome.drained_seconds:.0f} s; {waits}"
    return f"{outcome.drained_seconds:.0f} s; {waits}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(counts).most_common()) or "none"


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print(f"\n{title}:")
    for line in lines[:_SHOWN]:
        console.print(f"  {line}", markup=False)
    if len(lines) > _SHOWN:
        console.print(f"  and {len(lines) - _SHOWN} more, all of them in the folder of the run")
