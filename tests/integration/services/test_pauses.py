"""What may somebody conclude who slept between a look and what they do about it? Each of these once made two posts.

Found by the model of one publication, `tests/faults/model`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import State
from autorepost_app.persistence.restores import Marks, marks
from autorepost_app.services import people, restores

HOUR = 3600


def test_a_reader_that_sleeps_until_all_is_quiet_does_not_take_its_early_look_for_proof(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("instagram")
    sandbox.fault("instagram", "media_publish", "reset_after_body")
    assert world.publish("instagram").state == State.UNKNOWN
    asked = sandbox.calls_now("instagram", "container.status")
    sandbox.fault("instagram", "container.status", "slow", seconds=1.0, after_work=True)
    reading = meanwhile(world.reconcile, "instagram")
    sandbox.wait_for_call("instagram", "container.status", times=asked + 1)

    world.clock.advance(HOUR)

    assert reading.result().state == State.RECONCILING
    assert world.settle("instagram").state == State.PUBLISHED
    assert len(sandbox.live("instagram")) == 1


def test_a_person_who_looked_before_another_one_sent_again_does_not_send_once_more(
    ready: Callable[..., Any], sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "reset_after_body", count=2)
    row = world.settle("x")
    assert row.state == State.NEEDS_REVIEW
    asked = sandbox.calls_now("x", "timeline")
    sandbox.fault("x", "timeline", "slow", seconds=4.0, after_work=True)
    slow = meanwhile(people.settle_absent, world.house, world.scope, row.id)
    sandbox.wait_for_call("x", "timeline", times=asked + 1)

    people.settle_absent(world.house, world.scope, row.id)
    assert world.settle("x").state == State.NEEDS_REVIEW, "the second send was lost too"

    with pytest.raises(UserError, match="moved on"):
        slow.result()
    assert world.publication("x").state == State.NEEDS_REVIEW


def test_a_worker_that_was_staging_during_a_restore_does_not_send(
    prepared: Any, sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    sandbox.fault("x", "upload.finalize", "slow", seconds=1.0)
    sending = meanwhile(prepared.publish, "x")
    sandbox.wait_for_call("x", "upload.finalize")
    with prepared.house.db.system(prepared.system) as session:
        here = marks(session)

    restores._remember(prepared.house, Marks(here.server, here.timeline, here.database, here.flushed + 10**9))

    assert sending.result().state == State.STAGING
    assert sandbox.live("x") == []
