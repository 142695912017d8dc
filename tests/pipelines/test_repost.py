"""Does one run take a post all the way, show operators what it did, and do nothing when it is run again?"""

from __future__ import annotations

from typing import Any

import pytest
from dagster import DagsterRunStatus

SUCCESS, FAILURE = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE
SHOWN = {
    "posts": {"caption", "source", "posted_at", "detected_at", "delay_seconds", "kind", "tenants"},
    "originals": {"thumbnail", "facts", "bytes", "sha256", "fetch_seconds", "store_key"},
    "renditions": {"plan", "facts", "bytes", "make_seconds", "cpu_seconds"},
    "publications": {"publications", "receipts", "instagram_link", "x_link", "youtube_link", "slowest_delay_seconds"},
    "activity": {"story", "lines", "waits_for_a_person", "waiting"},
}


def _reposts(sandbox: Any) -> dict[str, int]:
    """How many live posts each destination has, each of other bytes or text than the rest."""
    live = [post["platform"] for post in sandbox.live() if post["platform"] != "tiktok"]
    return {platform: live.count(platform) for platform in sorted(set(live))}


ONE_EACH = {"instagram": 1, "x": 1, "youtube": 1}


@pytest.fixture
def detected(line: Any, world: Any, sandbox: Any) -> str:
    """The partition of a post that has been found and nothing more."""
    world.ready_made()
    sandbox.post(description="A walk #walk")
    world.detect()
    [partition] = line.partitions()
    return str(partition)


def test_a_run_publishes_the_post_and_shows_what_it_did(line: Any, sandbox: Any, detected: str) -> None:
    run = line.run(detected)

    assert run.status == SUCCESS
    assert _reposts(sandbox) == ONE_EACH
    shown = line.metadata(run)
    assert [names - shown[asset].keys() for asset, names in SHOWN.items()] == [set()] * len(SHOWN)
    assert shown["originals"]["thumbnail"].value.startswith("![thumbnail](data:image/jpeg;base64,/9j/")
    assert {record["state"] for record in _rows(shown["publications"]["publications"])} == {"published"}
    assert {record["vcodec"] for record in _rows(shown["renditions"]["facts"])} == {"h264"}
    assert shown["renditions"]["bytes"].value > 0
    assert "live" in shown["activity"]["story"].value
    assert shown["publications"]["receipts"].value.count("**Published: ") == 3
    assert (shown["activity"]["waits_for_a_person"].value, shown["activity"]["waiting"].value) == ("nothing", 0)
    assert line.checks(run) == {"fits_every_destination": True, "nothing_stuck": True}


def _rows(table: Any) -> list[dict[str, Any]]:
    return [dict(record.data) for record in table.records]


def test_whatever_is_run_again_nothing_is_posted_twice(line: Any, sandbox: Any, detected: str) -> None:
    run = line.run(detected)
    links = line.metadata(run)["publications"]["publications"]

    assert line.again(run).status == SUCCESS
    steps = [event.step_key for event in line.instance.all_logs(run.run_id) if event.step_key]
    for step in dict.fromkeys(steps):
        assert line.again(run, step).status == SUCCESS, step
    repeated = line.run(detected, "publish_again")
    assert repeated.status == SUCCESS
    assert _reposts(sandbox) == ONE_EACH
    assert line.metadata(repeated)["publications"]["publications"] == links


def test_each_partition_of_a_backfill_posts_once_however_often_it_is_filled(
    line: Any, world: Any, sandbox: Any
) -> None:
    world.ready_made()
    for number in range(3):
        sandbox.post(description=f"Part {number}")
    world.detect()
    for _ in range(2):
        assert [line.run(partition).status for partition in line.partitions()] == [SUCCESS] * 3
    assert _reposts(sandbox) == dict.fromkeys(ONE_EACH, 3)


def test_a_partition_that_names_no_post_fails_with_words(line: Any, world: Any) -> None:
    run = line.run("tiktok:nobody:1")
    assert run.status == FAILURE
    assert "No tenant has the post tiktok:nobody:1." in line.failure(run)


def test_what_one_platform_refuses_reaches_the_others_and_is_tried_again(
    line: Any, world: Any, sandbox: Any, detected: str
) -> None:
    sandbox.fault("x", "tweets.create", "rate_limited", seconds=60, count=1)
    first = line.run(detected)
    assert first.status == SUCCESS
    assert _reposts(sandbox) == {"instagram": 1, "youtube": 1}
    states = {row["platform"]: row["state"] for row in _rows(line.metadata(first)["publications"]["publications"])}
    assert states["x"] not in ("published", "failed")
    assert line.checks(first)["nothing_stuck"]


def test_a_post_of_two_tenants_is_one_run_and_one_live_post_each(
    line: Any, world: Any, other_tenant: Any, sandbox: Any
) -> None:
    world.ready_made()
    theirs = other_tenant.connect("instagram", f"{sandbox.handle}.noa")
    other_tenant.rule(other_tenant.connect_again("tiktok"), theirs)
    sandbox.post()
    world.detect()
    [partition] = dict.fromkeys(line.partitions())
    run = line.run(partition)
    assert run.status == SUCCESS
    assert line.metadata(run)["posts"]["tenants"].value == 2
    assert _reposts(sandbox) == ONE_EACH
    assert len(sandbox.live("instagram", f"{sandbox.handle}.noa")) == 1
