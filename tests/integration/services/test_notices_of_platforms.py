"""The sandbox platforms call us as their documents say, and what they say is done: real signatures, real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from autorepost_app.services import connect, notices, record


@pytest.fixture(autouse=True)
def _told_here(world: Any, sandbox: Any) -> Iterator[None]:
    """What an operator enters at each platform."""
    base = f"{world.house.links.base_url}/webhooks"
    where = {
        "tiktok": {"webhook_url": f"{base}/tiktok"},
        "instagram": {
            "deauthorize_url": f"{base}/instagram/deauthorize",
            "data_deletion_url": f"{base}/instagram/data-deletion",
        },
    }
    sandbox.control("PUT", "/settings", where)
    yield
    sandbox.control("PUT", "/settings", {key: dict.fromkeys(names) for key, names in where.items()})


def status_of(world: Any, connection: Any) -> str:
    rows = connect.connections_of(world.house, world.scope)
    return str(next(row.status for row in rows if row.id == connection.id))


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
def test_who_removes_the_app_at_the_platform_is_asked_to_connect_again(
    platform: str, world: Any, sandbox: Any, eventually: Callable[..., Any]
) -> None:
    made, other = world.connect(platform), world.connect(platform, f"{sandbox.handle}-two")
    world.clock.advance(3600)
    sandbox.control("DELETE", f"/accounts/{platform}/{sandbox.handle}/grants")

    assert eventually(lambda: notices.work(world.house, world.system)) == 1
    assert (status_of(world, made), status_of(world, other)) == ("needs_reconnect", "active")
    said = [line.text for line in record.recent_activity(world.house, world.scope)]
    name = world.house.platforms.manifest(platform).name
    assert f"Please connect {name} @{sandbox.handle} again. The permission was removed on {name}." in said
    world.clock.advance(5)
    world.connect_again(platform)
    assert status_of(world, made) == "active"


def test_who_asks_the_platform_to_be_forgotten_reads_here_what_became_of_it(world: Any, sandbox: Any) -> None:
    made = world.connect("instagram")
    world.clock.advance(3600)

    told = sandbox.control("POST", f"/instagram/accounts/{sandbox.handle}/data-deletion")

    assert "not been done yet" in httpx.get(told["url"]).text
    assert notices.work(world.house, world.system) == 1
    assert "1 connection was ended" in httpx.get(told["url"]).text
    assert status_of(world, made) == "disconnected"


def test_a_removal_that_we_asked_for_ourselves_asks_nobody(world: Any, eventually: Callable[..., Any]) -> None:
    made = world.connect("tiktok")
    connect.disconnect(world.house, world.scope, made.id)

    assert eventually(lambda: notices.work(world.house, world.system)) == 1
    assert status_of(world, made) == "disconnected"
    newest = record.recent_activity(world.house, world.scope)[0]
    assert newest.kind == "connection.disconnected"
