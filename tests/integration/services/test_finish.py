"""What is left to do once a video is live is done later, by itself, and can never make it less live."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from autorepost_app.domain.publications import State
from autorepost_app.domain.rules import RuleDestination
from autorepost_app.services import finish, record, rules


@pytest.fixture
def live(world: Any, sandbox: Any) -> Any:
    """One video, live on YouTube, whose rule wants the post's cover kept."""
    made = world.connect_all()
    rules.make_rule(
        world.house,
        world.scope,
        name="covers",
        source_connection_id=made["tiktok"].id,
        destinations=[RuleDestination(made["youtube"].id, options={"cover": True})],
    )
    sandbox.post()
    world.detect()
    world.prepare()
    assert world.settle("youtube").state == State.PUBLISHED
    return world


def notes(world: Any) -> list[str]:
    found = record.recent_activity(world.house, world.scope)
    return [each.text for each in found if each.kind == "publication.note"]


def go_on(world: Any) -> int:
    return finish.finish_due(world.house, world.system, limit=10)


def test_the_posts_own_cover_is_set_once_youtube_has_processed_the_video(live: Any, sandbox: Any) -> None:
    for _ in range(5):
        go_on(live)
        live.clock.advance(60)

    assert sandbox.calls_now("youtube", "thumbnails.set") == 1
    assert live.publication("youtube").finish_at is None
    assert notes(live) == []
    assert go_on(live) == 0


def test_a_step_that_fails_now_is_done_later_and_the_video_stays_published(live: Any, sandbox: Any) -> None:
    sandbox.fault("youtube", "thumbnails.set", "read_error", count=2)
    for _ in range(12):
        go_on(live)
        assert live.publication("youtube").state == State.PUBLISHED
        live.clock.advance(400)

    assert sandbox.calls_now("youtube", "thumbnails.set") == 3
    assert live.publication("youtube").finish_at is None


def test_what_cannot_be_done_for_a_day_becomes_a_note_to_the_creator(live: Any, sandbox: Any) -> None:
    sandbox.fault("youtube", "thumbnails.set", "read_error", count=None)
    for _ in range(30):
        go_on(live)
        live.clock.advance(timedelta(hours=1).total_seconds())

    [note] = notes(live)
    assert note.startswith("YouTube: what was left to do was given up after a day")
    row = live.publication("youtube")
    assert (row.state, row.finish_at) == (State.PUBLISHED, None)


def test_a_channel_to_be_connected_again_is_tried_by_the_hour_and_gets_its_cover_afterwards(
    live: Any, sandbox: Any
) -> None:
    sandbox.control("DELETE", f"/accounts/youtube/{sandbox.handle}/grants")
    go_on(live)
    wait = live.publication("youtube").finish_at - live.clock()
    assert timedelta(minutes=55) < wait <= timedelta(hours=1)

    live.connect_again("youtube")
    for _ in range(5):
        live.clock.advance(3600)
        go_on(live)
    assert sandbox.calls_now("youtube", "thumbnails.set") == 1
    assert notes(live) == []


def test_a_step_for_which_the_day_has_no_room_waits_for_the_next_day(live: Any, sandbox: Any) -> None:
    sandbox.fault("youtube", "videos.list", "quota_used_up")
    go_on(live)
    row = live.publication("youtube")
    assert (row.finish_at.astimezone(ZoneInfo("America/Los_Angeles")).time(), row.state) == (time(), State.PUBLISHED)


def test_a_step_that_breaks_is_told_loudly_and_comes_again(live: Any, sandbox: Any) -> None:
    nonsense = {"error": {"errors": [{"reason": "never heard of"}]}}
    sandbox.fault("youtube", "videos.list", "error", status=418, body=nonsense)
    with pytest.raises(ExceptionGroup, match="steps that broke"):
        go_on(live)
    row = live.publication("youtube")
    assert (row.state, row.finish_at > live.clock()) == (State.PUBLISHED, True)

    for _ in range(5):
        live.clock.advance(301)
        go_on(live)
    assert sandbox.calls_now("youtube", "thumbnails.set") == 1


def test_two_ticks_at_once_take_a_step_once(live: Any) -> None:
    with live.house.db.system(live.system) as session:
        session.connection().exec_driver_sql("update publications set finish_at = now() - interval '1 minute'")
    assert go_on(live) == 1
    assert go_on(live) == 0, "it is held until the first has had its time"


def test_platforms_without_such_steps_are_never_asked(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    world.prepare()
    assert world.settle("x").state == State.PUBLISHED

    assert go_on(world) == 0


# ------------------------------------------------------------------------------------------------- the cover itself


def test_the_cover_of_the_source_is_kept_as_a_plain_picture(live: Any) -> None:
    with live.house.db.system(live.system) as session:
        key = session.connection().exec_driver_sql("select thumbnail_key from originals").scalar_one()
    picture = Image.open(io.BytesIO(b"".join(live.house.store.stream(key))))
    assert picture.format == "JPEG"
    assert max(picture.size) <= 1920


@pytest.mark.parametrize("address", ["https://[bad/x", "https://127.0.0.1:9/a.jpeg", "https://\x07/x", ""])
def test_a_cover_that_is_nowhere_to_be_had_costs_nothing(world: Any, sandbox: Any, address: str) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    with world.house.db.system(world.system) as session:
        session.connection().exec_driver_sql("update posts set cover_url = %s", (address,))

    assert world.prepare().original is not None


@pytest.mark.parametrize("wanted", [True, False])
def test_a_reel_keeps_the_posts_cover_where_its_rule_says_so(world: Any, sandbox: Any, wanted: bool) -> None:
    made = {key: world.connect(key) for key in ("tiktok", "instagram")}
    rules.make_rule(
        world.house,
        world.scope,
        name="reels",
        source_connection_id=made["tiktok"].id,
        destinations=[RuleDestination(made["instagram"].id, options={"keep_cover": wanted})],
    )
    sandbox.post()
    world.detect()
    world.prepare()
    assert world.settle("instagram").state == State.PUBLISHED

    [post] = sandbox.live("instagram")
    assert ("cover_url" in post["details"]) is wanted


def test_a_reel_whose_cover_nobody_could_fetch_from_here_goes_out_without_it(world: Any, sandbox: Any) -> None:
    """A login that is handed the bytes needs no public address for the video; for a cover there is no such way."""
    made = {"tiktok": world.connect("tiktok"), "instagram": world.connect("instagram", login="facebook")}
    rules.make_rule(
        world.house,
        world.scope,
        name="reels",
        source_connection_id=made["tiktok"].id,
        destinations=[RuleDestination(made["instagram"].id, options={"keep_cover": True})],
    )
    sandbox.post()
    world.detect()
    world.prepare()
    unreachable = replace(world.house.links, reachable=False)
    alone = replace(world, house=replace(world.house, links=unreachable))

    assert alone.settle("instagram").state == State.PUBLISHED

    [post] = sandbox.live("instagram")
    assert "cover_url" not in post["details"]
