"""How does the command talk to a person? One line a step; errors in words, without a traceback."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from autorepost_app.domain.errors import PlatformFault, UserError
from autorepost_app.media.errors import MediaFault
from autorepost_app.persistence.server import EmbeddedPostgresError
from autorepost_app.processes import ProcessError, State

_WIDE = None if sys.stdout.isatty() else 160
console = Console(highlight=False, soft_wrap=True, width=_WIDE)
problems = Console(stderr=True, highlight=False, soft_wrap=True, width=_WIDE)

_SAID = {
    State.READY: "[green]ready[/green]",
    State.CRASHED: "[red]has stopped unexpectedly[/red]",
    State.RESTARTING: "starts again",
    State.STARTING: "is starting",
    State.KILLED: "[yellow]had to be killed[/yellow]",
}


def tell_process(name: str, state: State, seconds: float, why: str) -> None:
    """A line for what somebody waiting wants to know."""
    said = _SAID.get(state)
    if said is None or (state is State.STARTING and not _worth_saying(seconds)):
        return
    joined = {State.CRASHED: "after ", State.RESTARTING: "in "}.get(state, "")
    reason = f"\n    {escape(why)}" if why else ""
    console.print(f"  {name:<22} {said} [dim]{joined}{seconds:.1f} s[/dim]{reason}")


def _worth_saying(seconds: float) -> bool:
    """That something starts is said after a second, and again every five: it is called about once a second."""
    return int(seconds) == 1 or (int(seconds) > 1 and int(seconds) % 5 == 0)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announces a step that may take a while, with its time when it is over."""
    started = time.monotonic()
    if console.is_terminal:
        with console.status(f"{name} ..."):
            yield
    else:
        yield
    console.print(f"  {name:<22} [green]done[/green]  [dim]{time.monotonic() - started:.1f} s[/dim]")


@contextmanager
def errors_in_words() -> Iterator[None]:
    """What a person can put right ends the command with a message and exit code 1, not with a traceback."""
    try:
        yield
    except UserError as error:
        _fail(error.text, error.remedy)
    except MediaFault as error:
        _fail(error.text, error.remedy)
    except PlatformFault as fault:
        _fail(fault.verdict.text, getattr(fault.verdict, "remedy", "") or fault.verdict.detail)
    except (EmbeddedPostgresError, ProcessError) as error:
        _fail(str(error), "")


def _fail(text: str, remedy: str) -> None:
    # brackets in a path or in a server's words are not ours to read as markup
    problems.print(f"[bold red]autorepost:[/bold red] {escape(text)}")
    if remedy:
        problems.print(f"  [bold]{escape(remedy)}[/bold]")
    sys.stdout.flush()
    raise SystemExit(1)


def program() -> list[str]:
    """How to run this very command again."""
    return [sys.executable, "-m", "autorepost_app.cli"]


def without_proxies(environ: dict[str, str]) -> dict[str, str]:
    """Our processes talk to each other directly, whatever proxy leads outside."""
    loopback = "127.0.0.1,localhost,::1"
    present = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    joined = ",".join(filter(None, (present, loopback)))
    return {**environ, "NO_PROXY": joined, "no_proxy": joined}


def environment() -> dict[str, str]:
    return without_proxies(dict(os.environ))
