"""The main way of a post through the verbs: one post, live once on each destination."""

from __future__ import annotations

from typing import Any

from autorepost_app.domain.publications import State


def test_a_post_ends_live_exactly_once_on_every_destination(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post(description="A walk #walk")

    assert sum(found.promised for found in world.detect()) == 3
    world.prepare()
    for platform in world.house.platforms.destinations():
        assert world.publish(platform).state == State.PUBLISHED

    live = [post for post in sandbox.live() if post["platform"] != "tiktok"]
    assert sorted(post["platform"] for post in live) == world.house.platforms.destinations()
    assert {post["same_bytes_uploads"] for post in live} == {1}
