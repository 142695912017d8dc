"""What does a visitor see first? The whole product against the sandbox platforms, with a creator who posts.

Everything is done as its users do it: accounts at the platforms, consent, a rule, a post. A second start finds all of
it again and only posts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from rich.table import Table

from autorepost_app.bootstrap import close_house, find_platforms, open_house
from autorepost_app.cli.product import Product, current_settings
from autorepost_app.cli.terminal import console, problems, step
from autorepost_app.config import LAST_PORT, PREFIX
from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import TenantId, TenantScope
from autorepost_app.domain.publications import FINAL, State
from autorepost_app.domain.rules import RuleDestination
from autorepost_app.services import connect, detect, rules, workspaces
from autorepost_app.services.house import House
from autorepost_app.services.record import Story, recent
from autorepost_app.services.rows import Connection

HANDLE: Final = "mia.makes"
_NAME: Final = "Mia Makes"
_CLIP: Final = Path(__file__).with_name("clip.mp4")
_LOOK_SECONDS: Final = 0.5
_VERBS: Final = ("detect", "fetch", "prepare", "publish")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox's control API."""

    base_url: str

    def control(self, method: str, path: str, **json: Any) -> Any:
        return self._ask(method, path, json=json or None).json()

    def settings(self) -> dict[str, str]:
        """The settings that point the product here."""
        found = {**self.control("GET", "/hosts"), **self.control("GET", "/apps")}
        return {f"{PREFIX}{name}": str(value) for name, value in found.items()}

    def sign_in(self, authorize_url: str, handle: str) -> dict[str, str]:
        """What a person's browser would bring back from the consent page."""
        answer = self.control("POST", "/consent", authorize_url=authorize_url, account=handle)
        return dict(httpx.URL(answer["redirect_to"]).params)

    def post_clip(self, platform: str, clip: Path, description: str) -> None:
        with clip.open("rb") as file:
            path = f"/{platform}/accounts/{HANDLE}/posts"
            self._ask("POST", path, files={"clip": file}, data={"description": description})

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = httpx.request(method, f"{self.base_url}/_sandbox{path}", timeout=60, trust_env=False, **more)
            return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise UserError(
                f"The sandbox at {self.base_url} did not do {method} {path}: {error}",
                remedy="Its log is sandbox.log in the folder `logs` of AUTOREPOST_HOME.",
            ) from error


def demo_settings() -> dict[str, str]:
    """A demo has a home of its own, unless the visitor chose one: its posts are not to mix with real ones."""
    home = os.environ.get(f"{PREFIX}HOME") or str(Path(".autorepost") / "demo")
    return {f"{PREFIX}HOME": home}


def run(*, once: bool, timeout_seconds: float) -> int:
    """The exit code: with `once`, 0 only when the post is live on every destination in time."""
    chosen = demo_settings()
    settings = current_settings(chosen)
    if settings.port == LAST_PORT:
        raise UserError(
            f"The sandbox takes the port after {PREFIX}PORT, and there is none after {LAST_PORT}.",
            remedy=f"Set {PREFIX}PORT to a smaller number.",
            field=f"{PREFIX}PORT",
        )
    sandbox = Sandbox(f"http://127.0.0.1:{settings.port + 1}")
    product = Product(settings, sandbox_port=settings.port + 1, on_sandbox=sandbox.settings)
    console.print(f"[bold]autorepost demo[/bold] in {settings.home}")

    def show() -> int | None:
        return _show(product, sandbox, once=once, timeout_seconds=timeout_seconds)

    return product.run(show)


def _show(product: Product, sandbox: Sandbox, *, once: bool, timeout_seconds: float) -> int | None:
    house = open_house(current_settings({**demo_settings(), **product.extra}))
    try:
        with step("demo workspace"):
            scope = _workspace(house)
            _connect_all(house, scope, sandbox)
            _make_rule(house, scope)
        known = {story.post.id for story in recent(house, scope)}
        for key in house.platforms.sources():
            sandbox.post_clip(key, _CLIP, f"A walk in the park, {datetime.now(UTC):%H:%M:%S} #nature #fyp")
        detect.ask_now(house, scope)  # a visitor need not sit out the minute that a source is left alone
        posted = time.monotonic()
        story = _wait_until_settled(house, scope, known, posted + timeout_seconds)
        _tell_outcome(house, story, time.monotonic() - posted, once=once)
        live = story is not None and all(row.state == State.PUBLISHED for row in story.publications)
        if once:
            return 0 if live else _explain(story, timeout_seconds)
        _where_to_look(product, sandbox)
        return None
    finally:
        close_house(house)


def _workspace(house: House) -> TenantScope:
    tenant = workspaces.open_workspace(house, name="Demo", slug="demo", owner_email="demo@example.org")
    return TenantScope(TenantId(tenant.id), None, "demo")


def _connect_all(house: House, scope: TenantScope, sandbox: Sandbox) -> None:
    connected = {row.platform for row in connect.connections_of(house, scope) if row.status == ConnectionStatus.ACTIVE}
    accounts = {(row["platform"], row["handle"]) for row in sandbox.control("GET", "/accounts")}
    for key in sorted(find_platforms()):
        if (key, HANDLE) not in accounts:
            sandbox.control("POST", "/accounts", platform=key, handle=HANDLE, name=_NAME)
        if key not in connected:
            began = connect.begin(house, scope, key, redirect_uri=f"{house.links.base_url}/oauth/{key}/callback")
            connect.finish(house, scope, sandbox.sign_in(began.url, HANDLE))


def _make_rule(house: House, scope: TenantScope) -> None:
    """Once: from every source to every destination."""
    if workspaces.rules_of(house, scope):
        return
    rows = connect.connections_of(house, scope)
    targets = [RuleDestination(row.id) for row in _of(rows, house.platforms.destinations())]
    for source in _of(rows, house.platforms.sources()):
        rules.make_rule(
            house, scope, name="Everything, everywhere", source_connection_id=source.id, destinations=targets
        )


def _of(rows: list[Connection], platforms: list[str]) -> list[Connection]:
    return [row for row in rows if row.platform in platforms]


def _wait_until_settled(house: House, scope: TenantScope, known: set[str], deadline: float) -> Story | None:
    """The new post once its run is over and nothing of it is on its way, or as it stands at the deadline."""
    found: Story | None = None
    said = ""
    with console.status("waiting for the video to be found") as status:
        while time.monotonic() < deadline:
            found = next((story for story in recent(house, scope) if story.post.id not in known), None)
            if found is not None and found.publications:
                states = ", ".join(f"{row.platform} {row.state}" for row in found.publications)
                status.update(states)
                if states != said and not console.is_terminal:
                    console.print(f"  {states}", style="dim")
                said = states
                if all(State(row.state) in FINAL for row in found.publications) and found.post.offered_until is None:
                    return found
            time.sleep(_LOOK_SECONDS)
    return found


def _tell_outcome(house: House, story: Story | None, seconds: float, *, once: bool) -> None:
    """What each verb took, and one whole address a line, so that it can be clicked and copied."""
    if story is None:
        return
    console.print(_table(house, story))
    console.print(f"\nFrom the post to the last link: {seconds:.1f} s" + (" (they end with the demo)" if once else ""))
    console.print(f"  {house.platforms.manifest(story.post.platform).name:<12} {story.post.url}", markup=False)
    for row in story.publications:
        console.print(f"  {house.platforms.manifest(row.platform).name:<12} {row.url or row.reason}", markup=False)


def _table(house: House, story: Story) -> Table:
    table = Table(title="Seconds each step took", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("", *_VERBS, "outcome"):
        table.add_column(name)
    name = house.platforms.manifest(story.post.platform).name
    table.add_row(name, _since(story.post.posted_at, story.post.detected_at), "", "", "", "found")
    for row in story.publications:
        times = _times(story, row.rendition_id, row.published_at)
        table.add_row(house.platforms.manifest(row.platform).name, *times, row.state)
    return table


def _times(story: Story, rendition_id: str | None, published_at: datetime | None) -> tuple[str, str, str, str]:
    rendition = next((each for each in story.renditions if each.id == rendition_id), None)
    return (
        "",
        f"{story.original.fetch_seconds:.1f}" if story.original else "",
        f"{rendition.make_seconds:.1f}" if rendition else "",
        _since(rendition.made_at, published_at) if rendition and published_at else "",
    )


def _since(earlier: datetime, later: datetime) -> str:
    return f"{(later - earlier).total_seconds():.1f}"


def _explain(story: Story | None, timeout_seconds: float) -> int:
    if story is None:
        problems.print(f"[bold red]The video was not found within {timeout_seconds:.0f} s.[/bold red]")
        return 1
    for row in story.publications:
        if row.state != State.PUBLISHED:
            reason = row.reason or row.waiting_for or "still on its way"
            problems.print(f"[bold red]{row.platform} is {row.state}:[/bold red] {reason} {row.remedy}")
    return 1


def _where_to_look(product: Product, sandbox: Sandbox) -> None:
    url = product.settings.url
    rows: Mapping[str, str] = {
        "The app": f"{url}/",
        "Dagster, for operators": f"{url}/dagster",
        "The sandbox platforms": f"{sandbox.base_url}/",
        "Logs": str(product.settings.home / "logs"),
    }
    console.print()
    for name, where in rows.items():
        console.print(f"  {name:<24} {where}")
    console.print("\nCtrl-C stops everything.")
