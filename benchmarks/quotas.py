"""What does it cost to count a call before it is sent, and how many fit through one limit a second?

    .venv/bin/python benchmarks/quotas.py

A PostgreSQL of its own, durable as in production. `alone` is one caller; `racing` are processes that all want the same
limit, so that each waits for the others; `apart` are as many that want one each. A call is counted under two limits, as
most are. CPU-bound on small machines: the callers and the server share the cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.domain.clock import utc_now  # noqa: E402
from autorepost_app.persistence.access import AccessFile, prepare  # noqa: E402
from autorepost_app.persistence.engine import Database  # noqa: E402
from autorepost_app.persistence.schema import create_database  # noqa: E402
from autorepost_app.persistence.server import EmbeddedPostgres  # noqa: E402
from autorepost_app.platform_kit.protocol import OAuthSpec, Platform, QuotaRule, Reach  # noqa: E402
from autorepost_app.services.quotas import SharedMeter  # noqa: E402

console = Console(width=100)


def platform() -> Platform:
    rules = (
        QuotaRule("minute", "calls a minute", "account", {"call": 1}, 10**9, window_seconds=60.0),
        QuotaRule("day", "calls a day", "account", {"call": 1}, 10**9),
    )
    oauth = OAuthSpec(("default",), {"default": ()}, {"default": frozenset()})
    return Platform("tube", "Tube", (), oauth, _no_parts, quotas=rules)


def _no_parts(_reach: Reach) -> object:
    raise AssertionError("nothing is built here")


def calls(home: str, account: str, seconds: float) -> list[float]:
    """How long each took, for so many seconds."""
    access = AccessFile.of(Path(home))
    db = Database(access.url("app"), access.url("system"))
    meter, taken = SharedMeter(db, platform(), utc_now), []
    meter.reserve("call", account)
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        meter.reserve("call", account)
        taken.append(time.perf_counter() - before)
    db.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    table = Table("callers", "calls a second", "median ms", "99th of 100 ms")
    ways: dict[str, tuple[int, Callable[[int], str]]] = {
        "alone": (1, lambda _n: "mia"),
        f"{options.processes} racing": (options.processes, lambda _n: "mia"),
        f"{options.processes} apart": (options.processes, lambda n: f"mia{n}"),
    }
    with (
        tempfile.TemporaryDirectory(prefix="autorepost-quotas-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        create_database(server.admin_url(), "quotas")
        prepare(Path(folder), server.admin_url("quotas"))
        for name, (count, account) in ways.items():
            with ProcessPoolExecutor(count) as pool:
                running = [pool.submit(calls, folder, account(n), options.seconds) for n in range(count)]
                taken = sorted(each for future in running for each in future.result())
            late = taken[int(len(taken) * 0.99)]
            rate = f"{len(taken) / options.seconds:.0f}"
            table.add_row(name, rate, f"{statistics.median(taken) * 1000:.2f}", f"{late * 1000:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
