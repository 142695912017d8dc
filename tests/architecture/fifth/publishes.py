"""Becomes tests/platforms/loops/test_publishes.py of the copy: does a post reach the fifth platform, once?"""

from typing import Any

import pytest


@pytest.fixture
def prepared(world: Any, sandbox: Any) -> Any:
    world.ready_made()
    world.detect()
    sandbox.post()
    world.clock.advance(120)
    world.detect()
    world.prepare()
    return world


def test_a_post_goes_live_on_the_fifth_platform(prepared: Any, sandbox: Any) -> None:
    row = prepared.publish("loops")
    assert row.state == "published", row.reason
    (post,) = sandbox.live("loops")
    assert row.url == post["permalink"]


def test_an_answer_lost_on_the_way_leaves_one_post_and_its_proof(prepared: Any, sandbox: Any) -> None:
    sandbox.fault("loops", "posts.create", "commit_then_reset")
    prepared.publish("loops")
    for _ in range(5):
        if prepared.publication("loops").state == "published":
            break
        prepared.reconcile("loops")
    assert prepared.publication("loops").state == "published"
    assert len(sandbox.live("loops")) == 1
