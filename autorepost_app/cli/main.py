"""Which commands are there?"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click
from rich.markup import escape

from autorepost_app.cli.bytecode import bytecode_settings
from autorepost_app.cli.terminal import console, errors_in_words, program, step
from autorepost_app.domain.errors import UserError
from autorepost_app.processes import guard, under_guard


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=None, version="0.1.0", prog_name="autorepost")
def main() -> None:
    """Post on TikTok; it appears on Instagram, YouTube and X. Once."""


@main.command()
def up() -> None:
    """Run the product with settings from the environment."""
    _supervised(_up)


def _up() -> int:
    from autorepost_app.bootstrap import find_platforms
    from autorepost_app.cli.checks.platforms import amiss
    from autorepost_app.cli.product import Product, current_settings

    settings = current_settings()
    console.print(f"[bold]autorepost[/bold] in {settings.home}")

    def ready() -> None:
        console.print(f"\n  The app                  {settings.url}/")
        console.print(f"  Dagster, for operators   {settings.url}/dagster")
        for each in amiss(settings, find_platforms()):
            console.print(f"\n  [yellow]{each.name}[/yellow]: {escape(each.found)}\n  {escape(each.remedy)}")
        console.print("\nCtrl-C stops everything.")

    return Product(settings).run(ready)


@main.command()
@click.option("--once", is_flag=True, help="Exit 0 when the first post is live on every destination.")
@click.option("--timeout", type=click.FloatRange(min=1), default=180.0, show_default=True, help="Seconds for --once.")
def demo(once: bool, timeout: float) -> None:
    """Run the product with the sandbox platforms and a creator who posts."""

    def run() -> int:
        from autorepost_app.cli.demo import run as run_demo

        return run_demo(once=once, timeout_seconds=timeout)

    _supervised(run)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 takes a free one.")
@click.option("--state", type=click.Path(path_type=Path), help="File to remember in; without it all is forgotten.")
def sandbox(port: int, state: Path | None) -> None:
    """Run only the sandbox platforms."""
    from autorepost_app.sandbox.__main__ import main as run_sandbox

    raise SystemExit(run_sandbox(["--port", str(port), *(["--state", str(state)] if state else [])]))


@main.command()
@click.option("--check", is_flag=True, help="Then compare its tables with what this version expects.")
def migrate(check: bool) -> None:
    """Bring the database to this version, then stop."""
    with errors_in_words():
        from autorepost_app.cli.product import current_settings, migrate_only

        settings = current_settings()
        with step("comparing the database" if check else "database"):
            migrate_only(settings, check=check)
        if check:
            console.print("The database and the models agree.")


@main.command()
@click.option(
    "--lost-since",
    help="When the backup was made, such as 2026-11-23T12:00+00:00; without it, when the database was last in use.",
)
def restored(lost_since: str | None) -> None:
    """Say that a backup was restored: whatever is on the way is looked for before anything is sent again."""
    with errors_in_words():
        from autorepost_app.cli.product import current_settings, say_restored

        # what the product tells its log is said here in the command's own words
        logging.getLogger("autorepost_app").addHandler(logging.NullHandler())
        count = say_restored(current_settings(), _moment(lost_since) if lost_since else None)
        one_or_more = "publication is" if count == 1 else "publications are"
        console.print(f"Noted: {count or 'no'} {one_or_more} on the way, to be looked for before anything is sent.")


def _moment(said: str) -> datetime:
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UserError(
            f"{said!r} is no time with its zone.", remedy="Write it like 2026-11-23T12:00+00:00.", field="--lost-since"
        )
    return at


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings for a program.")
def doctor(as_json: bool) -> None:
    """Check what would stop a post, each with its remedy. Exit code 1 if something would."""
    with errors_in_words():
        from autorepost_app.cli.doctor import examine

        raise SystemExit(examine(as_json=as_json))


@main.group()
def scaffold() -> None:
    """Write the files of something new, to be filled in."""


@scaffold.command()
@click.argument("key")
@click.option("--name", required=True, help="The name that people know.")
@click.option("--role", required=True, type=click.Choice(["source", "destination"]))
def platform(key: str, name: str, role: str) -> None:
    """Add the platform KEY: a folder, a sandbox module and tests that say what to write next."""
    with errors_in_words():
        from autorepost_app.cli.scaffold import scaffold as write_files

        root = Path(__file__).parents[2]
        for path in write_files(root, key, name, role):
            console.print(f"  {path.relative_to(root)}")
        console.print(f"\nWhat to write next:  python3 dev.py test tests/platforms/{key}")


def _supervised(run: Callable[[], int]) -> None:
    """The process of the terminal only watches; its child, in a session of its own, does the work."""
    if not under_guard():
        os.environ.update(bytecode_settings())
        raise SystemExit(guard([*program(), *sys.argv[1:]]))
    with errors_in_words():
        raise SystemExit(run())
