"""Do the checks that operators look at fail when they should? A check that cannot fail says nothing by passing."""

from __future__ import annotations

from typing import Any

import pytest

from autorepost_app.domain.publications import State


@pytest.fixture
def partition(line: Any, world: Any, sandbox: Any) -> str:
    """The partition of a post that has been found and nothing more."""
    world.ready_made()
    sandbox.post(description="A walk #walk")
    world.detect()
    [only] = line.partitions()
    return str(only)


def _write(world: Any, statement: str) -> None:
    with world.house.db.system(world.system) as session:
        session.connection().exec_driver_sql(statement)


def test_a_file_that_breaks_a_limit_of_where_it_goes_fails_its_check(line: Any, world: Any, partition: str) -> None:
    run = line.run(partition)
    assert line.checks(run)["fits_every_destination"]

    _write(world, "update renditions set facts = jsonb_set(facts, '{duration_seconds}', '9999')")

    assert not line.checks(line.run(partition))["fits_every_destination"]


def test_a_publication_that_nobody_comes_back_to_fails_its_check(
    line: Any, world: Any, sandbox: Any, partition: str
) -> None:
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    assert line.checks(line.run(partition))["nothing_stuck"], "a read is due soon"
    assert world.publication("x").state == State.UNKNOWN

    _write(world, "update publications set due_at = now() - interval '61 minutes' where platform = 'x'")

    assert not line.checks(line.run(partition, "publish_again"))["nothing_stuck"]
