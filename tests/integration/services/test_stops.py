"""A fault that is the operator's stops the platform for everyone, is told once, and ends by itself."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from autorepost_app.domain.publications import State

NO_CREDITS = {
    "status": 402,
    "body": {"account_id": 1, "title": "CreditsDepleted", "detail": "no credits", "type": "about:blank"},
}


def _calls(world: Any, path: str) -> int:
    return sum(path in each["path"] for each in world.sandbox.control("GET", "/requests?platform=x"))


def test_an_unpaid_bill_stops_the_platform_for_every_tenant_until_it_is_tried_again(
    world: Any, other_tenant: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mine = world.ready_made()
    noa = replace(other_tenant, sandbox=replace(world.sandbox, handle=f"{world.sandbox.handle}noa"))
    theirs = {key: noa.connect(key) for key in ("tiktok", "x")}
    noa.rule(theirs["tiktok"], theirs["x"])
    world.sandbox.post()
    noa.sandbox.post(description="another walk")
    world.detect()
    world.prepare()
    noa.prepare()
    world.sandbox.fault("x", "upload.initialize", "error", count=None, **NO_CREDITS)

    with caplog.at_level(logging.ERROR):
        first = world.publish("x")
    assert first.state == State.READY
    asked = _calls(world, "initialize")
    second = noa.publish("x")
    assert (second.state, second.waiting_for) == (State.READY, first.waiting_for)
    assert _calls(world, "initialize") == asked, "the second tenant's publication asks nobody"
    assert [record for record in caplog.records if "stopped for everyone" in record.getMessage()] != []
    assert world.publish("youtube").state == State.PUBLISHED, "other platforms go on"
    assert mine["x"].status == "active"

    world.sandbox.control("DELETE", "/faults")
    world.clock.advance((second.due_at - world.clock()).total_seconds() + 1)
    assert noa.publish("x").state == State.PUBLISHED
    world.wait_for(world.publication("x"))  # what waited for one moment goes on apart
    assert world.publish("x").state == State.PUBLISHED
