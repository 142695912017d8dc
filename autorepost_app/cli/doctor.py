"""What would stop a post here, and what helps? `autorepost doctor` looks at everything a new operator gets wrong.

It changes nothing: folders, keys and the database are made at the first start, not here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from rich.table import Table
from rich.text import Text

from autorepost_app.bootstrap import find_platforms, settings_from
from autorepost_app.cli.checks import Finding, Status, machine, ok, platforms, problem
from autorepost_app.cli.checks.database import database, key_file
from autorepost_app.cli.terminal import console
from autorepost_app.config import Settings
from autorepost_app.domain.errors import UserError

_COLOURS: Final = {Status.OK: "green", Status.WARNING: "yellow", Status.PROBLEM: "bold red"}


def examine(*, as_json: bool = False) -> int:
    """The exit code: 1 if something would stop a post."""
    found = list(findings(os.environ))
    if as_json:
        console.print_json(json.dumps([asdict(each) for each in found]))
    else:
        _show(found)
    return int(any(each.status is Status.PROBLEM for each in found))


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every check in turn; with unusable settings, those that need none."""
    yield machine.python()
    yield machine.time_zones()
    try:
        settings = settings_from(environ)
    except UserError as error:
        yield problem("settings", error.text, error.remedy)
        return
    yield ok("settings", f"all names known, home is {settings.home}")
    yield from _of_machine(settings)
    in_database, stored = database(settings)
    yield from in_database
    yield key_file(settings, stored)
    manifests = find_platforms()
    yield from platforms.credentials(settings, manifests, stored)
    yield from platforms.both_ends(settings, manifests)
    yield platforms.public_address(settings, manifests, stored)
    answers = platforms.ask_hosts(settings, manifests)
    yield from platforms.hosts(answers)
    yield platforms.clock(answers)


def _of_machine(settings: Settings) -> Iterator[Finding]:
    yield machine.home(settings)
    yield from machine.disk(settings)
    yield machine.store(settings)
    yield from machine.ffmpeg(settings)
    yield machine.port(settings)


def _show(found: list[Finding]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in found:
        words = Text(each.found)
        if each.remedy:
            words.append(f"\n{each.remedy}", style="bold")
        table.add_row(Text(each.status, style=_COLOURS[each.status]), each.name, words)
    console.print(table)
    console.print(f"\n{_in_all(found)}")


def _in_all(found: list[Finding]) -> str:
    stopping = sum(each.status is Status.PROBLEM for each in found)
    if stopping:
        return f"{stopping} of these would stop a post."
    doubtful = sum(each.status is Status.WARNING for each in found)
    if doubtful:
        return f"Nothing here would stop every post; {doubtful} may hold one up or stop one platform's."
    return "Nothing here would stop a post."
