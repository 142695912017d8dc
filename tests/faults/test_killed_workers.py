"""A worker is killed (SIGKILL) while a platform has not yet answered; another one finishes: never two, never lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.domain.publications import State

STAGING = [
    ("instagram", "container.create"),
    ("instagram", "container.status"),
    ("x", "upload.initialize"),
    ("x", "upload.append"),
    ("x", "upload.finalize"),
    ("youtube", "session.start"),
]
COMMITS = [("instagram", "media_publish"), ("x", "tweets.create"), ("youtube", "insert.last")]


def kill_at(world: Any, sandbox: Any, platform: str, call: str, *, after_work: bool) -> Any:
    """A worker dies while its `call` is under way; the platform has done it (`after_work`) or does it soon."""
    sandbox.fault(platform, call, "slow", seconds=0.7, after_work=after_work)
    publication = world.publication(platform)
    with world.process("send", publication.id) as worker:
        sandbox.wait_for_call(platform, call)
        worker.kill()
        assert worker.wait() == -9
    return world.publication(platform)


@pytest.mark.parametrize(("platform", "call"), STAGING)
def test_a_worker_killed_while_it_stages_is_followed_by_one_that_publishes_once(
    platform: str, call: str, ready: Callable[[str], Any], sandbox: Any
) -> None:
    world = ready(platform)

    left = kill_at(world, sandbox, platform, call, after_work=True)

    assert left.state == State.STAGING
    assert world.publish(platform).lease_epoch == left.lease_epoch, "the dead one's lease is still respected"
    assert world.settle(platform).state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1


@pytest.mark.parametrize(("platform", "call"), COMMITS)
def test_a_worker_killed_after_the_platform_published_is_found_out_by_reading(
    platform: str, call: str, ready: Callable[[str], Any], sandbox: Any
) -> None:
    world = ready(platform)

    left = kill_at(world, sandbox, platform, call, after_work=True)

    assert left.state == State.COMMITTING
    assert world.publish(platform).state == State.COMMITTING, "nobody sends it again"
    assert world.settle(platform).state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1


@pytest.mark.parametrize(("platform", "call"), COMMITS)
def test_a_worker_killed_before_the_platform_acts_on_its_request_makes_no_second_post(
    platform: str, call: str, ready: Callable[[str], Any], sandbox: Any, eventually: Callable[..., Any]
) -> None:
    world = ready(platform)

    kill_at(world, sandbox, platform, call, after_work=False)
    eventually(lambda: sandbox.last_call(platform, call)["status"])

    # killed early enough, the platform never had the whole request, which nobody can ask X about
    undecidable = platform == "x" and not sandbox.live("x")
    assert world.settle(platform).state == (State.NEEDS_REVIEW if undecidable else State.PUBLISHED)
    assert len(sandbox.live(platform)) == (0 if undecidable else 1)
