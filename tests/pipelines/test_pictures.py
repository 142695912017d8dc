"""Does an operator read in Dagster what was done for a post and what waits for a person, and nothing else's markup?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autorepost_app.domain.dead_letters import ACTIONS, Kind
from autorepost_app.domain.errors import Reconnect
from autorepost_app.services import connect, dead_letters, tokens
from autorepost_app.services.dead_letters import Group
from autorepost_app.services.receipts import Line, Receipt
from autorepost_pipelines import pictures

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def group(title: str, **more: Any) -> Group:
    given = {"kind": Kind.REJECTED, "count": 2, "remedy": "Do something.", "goes_on_at": None, **more}
    return Group(
        key="rejected.x.there",
        platform="x",
        account=None,
        title=title,
        oldest_at=NOON,
        actions=ACTIONS[given["kind"]],
        connection_id=None,
        **given,
    )


def test_what_waits_is_listed_with_its_remedy_since_when_and_until_when() -> None:
    shown = pictures.of_dead_letters([group("X: 2 refused", goes_on_at=NOON + timedelta(hours=1)), group("X: more")])

    assert shown["waiting"] == 4
    assert shown["waits_for_a_person"].value.splitlines() == [
        "* **X: 2 refused** since `2026-11-23 12:00:00 UTC`. Do something."
        " Tried again by itself `2026-11-23 13:00:00 UTC`. `rejected.x.there`",
        "* **X: more** since `2026-11-23 12:00:00 UTC`. Do something. `rejected.x.there`",
    ]


def test_where_nothing_waits_it_says_so() -> None:
    shown = pictures.of_dead_letters([])
    assert (shown["waits_for_a_person"].value, shown["waiting"]) == ("nothing", 0)


def test_a_long_list_is_cut_and_says_how_much_more_there_is() -> None:
    lines = pictures.of_dead_letters([group("X")] * 23)["waits_for_a_person"].value.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "* and 3 more kinds"


@pytest.mark.parametrize("words", ["[here](https://evil)", "<img src=x>", "`code`", "**loud**", "a\n# title", "a|b"])
def test_other_peoples_words_are_words_and_no_markup(world: Any, words: str) -> None:
    told = Receipt("1", "2", "x", "mia", "failed", words, None, None, (Line(NOON, "end", words, words),))

    page = pictures.of_receipts(world.house, [told])["receipts"].value

    heading, _, proof, _, line, detail = page.splitlines()
    assert heading == "#### X @mia"
    assert words not in f"{proof} {line}"
    assert proof.startswith("**")
    assert line.startswith("* `2026-11-23 12:00:00 UTC` ")
    assert detail.count("`") == 2, "what was said by wire is code as it is"


def test_a_run_shows_who_has_to_reconnect_and_each_publications_proof_without_a_token(
    line: Any, world: Any, other_tenant: Any, sandbox: Any
) -> None:
    world.ready_made()
    keep_waiting(other_tenant)
    held = [tokens.open_tokens(world.house, each) for each in connect.connections_of(world.house, world.scope)]
    sandbox.post(description="A walk #walk")
    world.detect()
    sandbox.control("DELETE", f"/accounts/x/{sandbox.handle}/grants")
    partition = line.partitions()[-1]

    shown = line.metadata(line.run(partition))

    receipts = shown["publications"]["receipts"].value
    waits = shown["activity"]["waits_for_a_person"].value
    assert receipts.count("**Published: ") == 2
    assert "**On its way: nothing was ever sent.**" in receipts
    assert f"* **X: reconnect @{sandbox.handle}, 1 waiting**" in waits
    assert shown["activity"]["waiting"].value == 1, "one of its own tenant"
    assert len(dead_letters.waiting(world.house, world.system)) == 2
    secrets = [secret for each in held for secret in (each.access_token, each.refresh_token) if secret]
    assert secrets
    assert [secret for secret in secrets if secret in f"{receipts}{waits}"] == []


def keep_waiting(world: Any) -> None:
    """A post of that tenant is ready, then its destination's permission is gone."""
    handle = f"{world.sandbox.handle}-noa"
    destination = world.connect("x", handle)
    world.rule(world.connect("tiktok", handle), destination)
    world.sandbox.post(handle=handle)
    world.detect()
    world.prepare()
    tokens.needs_reconnect(world.house, world.system, destination.id, Reconnect("It was taken back."))
