"""How long until the product is ready, the first time and the next, and what is the least that it could take?

    .venv/bin/python benchmarks/start.py
    .venv/bin/python benchmarks/start.py --no-bytecode      as after an installation, with nothing compiled yet

`dev.py demo` runs in a home of its own, twice. Beside it stand the parts that nothing can avoid: a bare start of the
database, and bare imports of what the two slowest processes are made of. Processor seconds carry over between
machines; wall times are upper bounds, and the load that is printed says how far to trust them.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.persistence.server import EmbeddedPostgres  # noqa: E402
from autorepost_app.processes import free_port  # noqa: E402

WORDS = {"database": " database ", "app": " web ", "workspace": " demo workspace ", "first post live": "From the post"}
"""What the command says when it has come so far."""
IMPORTS = {
    "code server": "import dagster, autorepost_pipelines.definitions",
    "web": "import dagster_webserver.app, streamlit, autorepost_app.web.app",
}
console = Console(width=110)


@dataclass
class Start:
    """Seconds from the command until each word was said, and the processor seconds of everything until its end."""

    said: dict[str, float]
    cpu_seconds: float
    stop_seconds: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--no-bytecode", action="store_true", help="compile everything anew in each process")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTOREPOST_")}
        environment |= {"AUTOREPOST_HOME": f"{folder}/home", "AUTOREPOST_PORT": str(free_port())}
        if chosen.no_bytecode:
            environment |= {"PYTHONPYCACHEPREFIX": f"{folder}/empty", "PYTHONDONTWRITEBYTECODE": "1"}
        load = os.getloadavg()[0]
        starts = [start(environment), start(environment)]
        databases = [database(Path(folder) / "database"), database(Path(folder) / "database")]
    bound = {name: imports(statement, environment) for name, statement in IMPORTS.items()}
    show(starts, databases, bound, load)


def start(environment: dict[str, str]) -> Start:
    before, began = cpu_of_children(), time.monotonic()
    said: dict[str, float] = {}
    argv = [sys.executable, str(ROOT / "dev.py"), "demo"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as product:
        assert product.stdout is not None
        for line in product.stdout:
            for name, words in WORDS.items():
                if words in f" {line}" and ("ready" in line or "done" in line or name not in ("database", "app")):
                    said.setdefault(name, time.monotonic() - began)
            if "Ctrl-C stops" in line:
                break
        stopping = time.monotonic()
        product.send_signal(signal.SIGINT)
        product.stdout.read()
    # 130 where the signal came before the demo had finished saying where to look
    assert product.returncode in (0, 130), f"the demo ended with {product.returncode}"
    return Start(said, cpu_of_children() - before, time.monotonic() - stopping)


def database(folder: Path) -> float:
    began = time.monotonic()
    with EmbeddedPostgres(folder):
        return time.monotonic() - began


def imports(statement: str, environment: dict[str, str]) -> float:
    """Processor seconds of a bare interpreter that imports this, the second time."""
    argv = [sys.executable, "-c", statement]
    subprocess.run(argv, env=environment, cwd=ROOT, check=True)
    before = cpu_of_children()
    subprocess.run(argv, env=environment, cwd=ROOT, check=True)
    return cpu_of_children() - before


def cpu_of_children() -> float:
    """Of those that have ended and been waited for, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(starts: list[Start], databases: list[float], bound: dict[str, float], load: float) -> None:
    table = Table(title=f"Start, load {load:.1f} on {os.cpu_count()} cores before it", title_justify="left")
    for name in ("", "first", "second", "second / first"):
        table.add_column(name, justify="left" if not name else "right")
    first, second = starts
    for name in WORDS:
        row(table, f"seconds to {name}", first.said[name], second.said[name])
    row(table, "seconds to stop", first.stop_seconds, second.stop_seconds)
    row(table, "processor seconds, start to end", first.cpu_seconds, second.cpu_seconds)
    row(table, "bare database, seconds", *databases)
    console.print(table)
    for name, seconds in bound.items():
        console.print(f"bare imports of the {name}: {seconds:.1f} processor seconds")
    whole = sum(bound.values())
    console.print(f"second start against both imports: {second.cpu_seconds / whole:.1f} times the processor seconds")


def row(table: Table, name: str, first: float, second: float) -> None:
    table.add_row(name, f"{first:.1f}", f"{second:.1f}", f"{second / first:.2f}")


if __name__ == "__main__":
    main()
