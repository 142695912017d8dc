"""`python3 dev.py chaos`: the whole product under destruction, and an honest account at the end."""

from __future__ import annotations

import argparse
import secrets
import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2])]

from chaos.report import show  # noqa: E402
from chaos.run import Run  # noqa: E402
from chaos.stage import ChaosError, Stage, set_up  # noqa: E402
from rich.console import Console  # noqa: E402


def main() -> int:
    options = _options()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    console.print(f"chaos --minutes {options.minutes:g} --seed {seed} --publications {options.publications}")
    try:
        with set_up(seed) as stage:
            return _run(stage, options, console)
    except ChaosError as error:
        console.print(f"chaos: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted before there was anything to tell.")
        return 130


def _run(stage: Stage, options: argparse.Namespace, console: Console) -> int:
    run = Run(stage, options.publications, options.minutes * 60, lambda line: console.print(line, markup=False))
    interrupted = False
    try:
        try:
            run.destroy()
            run.drain(options.patience * 60)
        except KeyboardInterrupt:
            interrupted = True
            console.print("\nInterrupted. Healing, and looking at what there is ...")
            with suppress(KeyboardInterrupt):
                run.ruin.heal()
        outcome = run.outcome(interrupted=interrupted)
    finally:
        run.close()
    stage.log.tell("outcome", **{**vars(outcome), "audit": vars(outcome.audit)})
    show(outcome, console)
    stage.keep = options.keep or not outcome.is_clean
    if stage.keep:
        console.print(f"\nEverything is kept in {stage.folder}; what was done when is in {stage.log.path.name}.")
    return 130 if interrupted else 0 if outcome.is_clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long everything is destroyed")
    parser.add_argument("--seed", type=int, help="the plan, the platforms' faults and the creators follow from it")
    parser.add_argument("--publications", type=int, default=300, help="how many are promised")
    parser.add_argument("--patience", type=float, default=30.0, help="minutes to wait until all is at rest")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run even if all is well")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
