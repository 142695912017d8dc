"""A worker dies between a post's appearance and its first send: nothing is lost, and nothing is done that shows."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

import pytest

from autorepost_app.domain.crash_points import (
    AFTER_ANSWER,
    AFTER_COMMIT,
    AFTER_FILE,
    BEFORE_COMMIT,
    BEFORE_FILE,
    BEFORE_REQUEST,
)
from autorepost_app.domain.publications import State

FINDING: Final = (
    BEFORE_REQUEST + "video.list",
    AFTER_ANSWER + "video.list",
    BEFORE_COMMIT + "detect",
    AFTER_COMMIT + "detect",
)
MAKING_READY: Final = (
    BEFORE_COMMIT + "prepare",
    AFTER_COMMIT + "prepare",
    BEFORE_FILE + "originals",
    AFTER_FILE + "originals",
    BEFORE_COMMIT + "fetch",
    AFTER_COMMIT + "fetch",
    BEFORE_COMMIT + "render",
    AFTER_COMMIT + "render",
    BEFORE_COMMIT + "freeze",
    AFTER_COMMIT + "freeze",
)


@pytest.fixture
def posted(world: Any, sandbox: Any) -> Any:
    """A rule from a source to all destinations, and a post that nobody has found yet."""
    world.ready_made()
    sandbox.post(description="A walk #walk")
    return world


def test_a_post_is_found_whenever_the_one_who_was_finding_it_died(
    posted: Any, nursery: Callable[..., tuple[int, int]]
) -> None:
    for point in FINDING:
        with posted.house.db.system(posted.system) as session:
            session.connection().exec_driver_sql("update connections set poll_not_before_at = null")
        assert nursery(posted, "find", "", point) == (signal.SIGKILL, 1), point

    posted.detect()

    assert {row.platform for row in posted.story().publications} == {"instagram", "x", "youtube"}
    assert all(row.state == State.DETECTED for row in posted.story().publications)


def test_a_post_is_made_ready_however_many_died_over_it_and_is_then_published_once(
    posted: Any, sandbox: Any, nursery: Callable[..., tuple[int, int]]
) -> None:
    posted.detect()
    for point in MAKING_READY:
        status, _ = nursery(posted, "make ready", posted.story().post.id, point)
        assert status == signal.SIGKILL, point
        assert not [live for live in sandbox.live() if live["platform"] != "tiktok"]

    posted.settle_file()

    for platform in ("instagram", "x", "youtube"):
        assert posted.settle(platform).state == State.PUBLISHED
        assert len(sandbox.live(platform)) == 1


def test_what_a_dead_worker_left_half_written_is_not_taken_for_the_file(
    posted: Any, nursery: Callable[..., tuple[int, int]]
) -> None:
    posted.detect()
    post_id = posted.story().post.id
    assert nursery(posted, "make ready", post_id, BEFORE_COMMIT + "fetch")[0] == signal.SIGKILL
    stored = next(each for each in posted.house.store.list() if "/originals/" in each.key)
    posted.house.store.local_path(stored.key).write_bytes(b"half of it")

    posted.settle_file()

    assert posted.house.store.head(stored.key).size_bytes == stored.size_bytes
    assert all(row.state == State.READY for row in posted.story().publications)
