"""From a post to files that each destination takes, made once, and refusals that a creator understands."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image

from autorepost_app.domain.publications import State
from autorepost_app.media.errors import StoreUnavailable
from autorepost_app.services import fetch, prepare
from autorepost_app.services.prepare import UnfitFile

MakeClip = Callable[[str, str], Path]
SHORT = "-f lavfi -i testsrc2=size={size}:rate=30:duration={seconds} -f lavfi -i sine=duration={seconds}"
AAC = "-c:a aac -b:a 32k -movflags +faststart"
HEVC = f"{SHORT.format(size='270x480', seconds=4)} -c:v libx265 -preset ultrafast -x265-params log-level=none {AAC}"
ODD = f"{SHORT.format(size='402x722', seconds=4)} -c:v libx264 -preset ultrafast -pix_fmt yuv444p {AAC}"
LONG = (
    "-f lavfi -i color=c=navy:size=360x640:rate=24:duration=150 -f lavfi -i sine=duration=150"
    f" -c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 0 -g 48 {AAC}"
)


@pytest.fixture
def clip(world: Any, tmp_path: Path) -> MakeClip:
    def make(name: str, recipe: str) -> Path:
        path = tmp_path / name
        ffmpeg = str(world.house.tools.ffmpeg.path)
        subprocess.run([ffmpeg, "-v", "error", "-nostdin", *recipe.split(), str(path)], check=True, timeout=60)
        return path

    return make


@pytest.fixture
def posted(world: Any, sandbox: Any) -> Callable[..., Any]:
    """`posted(...)` is a post that every destination waits for."""

    def make(*clip: Path, **fields: Any) -> Any:
        world.ready_made()
        post = sandbox.post(*clip, **fields)
        world.detect()
        return post

    return make


def states(world: Any) -> set[str]:
    return {row.state for row in world.story().publications}


def reasons(world: Any) -> set[str]:
    return {row.reason for row in world.story().publications}


def stored(world: Any, tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------------------------------- the file


def test_the_same_work_twice_makes_nothing_new(world: Any, posted: Any, tmp_path: Path) -> None:
    posted()
    first = world.prepare()
    files = stored(world, tmp_path)

    again = world.prepare()

    assert stored(world, tmp_path) == files
    assert again.original.fetched_at == first.original.fetched_at
    assert [row.id for row in again.renditions] == [row.id for row in first.renditions]
    assert [row.fingerprint for row in again.publications] == [row.fingerprint for row in first.publications]


def test_a_file_that_is_no_video_ends_in_words(world: Any, posted: Any, sandbox: Any) -> None:
    posted()
    sandbox.fault("tiktok", "video.download", "error", status=200, body="<html>not a video</html>", count=None)

    world.settle_file()

    assert State.PREPARING not in states(world)
    assert states(world) == {State.FAILED}
    assert all(reasons(world))
    assert not any("/" in text for text in reasons(world)), "no path of ours in a creator's words"


def test_a_transfer_cut_short_is_fetched_again(world: Any, posted: Any, sandbox: Any) -> None:
    posted()
    sandbox.fault("tiktok", "video.download", "truncated", bytes=1000, count=4)

    world.prepare()
    assert states(world) <= {State.PREPARING, State.READY}
    world.settle_file()

    assert states(world) == {State.READY}


@pytest.mark.parametrize(
    "change", [{"private": True}, {"trouble": "watermarked_only"}, {"trouble": "sensitive"}], ids=str
)
def test_a_file_that_cannot_be_had_fails_all_with_a_reason(
    change: dict[str, Any], world: Any, posted: Any, sandbox: Any
) -> None:
    sandbox.change(posted(), **change)

    world.settle_file()

    assert states(world) == {State.FAILED}
    assert len(reasons(world)) == 1
    assert all(reasons(world))
    world.assert_invariants()


def test_a_post_deleted_before_its_file_was_fetched_fails_with_a_reason(world: Any, posted: Any, sandbox: Any) -> None:
    sandbox.control("DELETE", f"/posts/tiktok/{posted()['id']}")

    world.settle_file()

    assert states(world) == {State.FAILED}
    assert all(reasons(world))


def test_a_store_that_cannot_be_written_leaves_the_publications_unharmed(
    world: Any, posted: Any, tmp_path: Path
) -> None:
    posted()
    store = tmp_path / "store"
    shutil.rmtree(store)
    store.write_text("in the way")

    with pytest.raises(StoreUnavailable):
        world.prepare()

    assert states(world) == {State.PREPARING}
    store.unlink()
    store.mkdir()
    world.prepare()
    assert states(world) == {State.READY}


def test_a_cancellation_during_the_download_stands(
    world: Any, posted: Any, sandbox: Any, meanwhile: Callable[..., Any]
) -> None:
    posted()
    sandbox.fault("tiktok", "video.download", "slow", seconds=1)
    working = meanwhile(world.prepare)
    sandbox.wait_for_call("tiktok", "video.download")

    world.cancel("x")
    working.result()

    ended = {row.platform: row.state for row in world.story().publications}
    assert ended == {"instagram": State.READY, "x": State.CANCELLED, "youtube": State.READY}


def test_a_cover_that_is_no_picture_gives_way_to_one_of_the_video(world: Any, posted: Any, sandbox: Any) -> None:
    posted()
    sandbox.fault("tiktok", "video.cover", "error", status=200, body="<html>not a picture</html>")

    original = world.prepare().original

    assert sandbox.calls_now("tiktok", "video.cover") == 1
    assert states(world) == {State.READY}
    picture = Image.open(io.BytesIO(b"".join(world.house.store.stream(original.thumbnail_key))))
    assert picture.format == "JPEG"


# -------------------------------------------------------------------------------------------------------- renditions


def test_a_clip_that_everybody_takes_is_passed_on_as_it_is(world: Any, posted: Any) -> None:
    posted()
    story = world.prepare()

    assert [row.kind for row in story.renditions] == ["passthrough"]
    assert {row.rendition_id for row in story.publications} == {story.renditions[0].id}


@pytest.mark.parametrize(("recipe", "unfit"), [(HEVC, {"x"}), (ODD, {"instagram", "x"})], ids=["hevc", "odd"])
def test_one_transcode_serves_all_that_cannot_take_the_clip(
    recipe: str, unfit: set[str], world: Any, posted: Any, clip: MakeClip
) -> None:
    posted(clip("clip.mp4", recipe))
    story = world.prepare()

    (made,) = [row for row in story.renditions if row.kind == "transcode"]
    assert {row.state for row in story.publications} == {State.READY}
    assert {row.platform for row in story.publications if row.rendition_id == made.id} == unfit


def test_a_clip_too_long_for_one_destination_is_trimmed_for_it_alone(world: Any, posted: Any, clip: MakeClip) -> None:
    posted(clip("long.mp4", LONG))
    story = world.prepare()

    lengths = {row.id: row.facts["duration_seconds"] for row in story.renditions}
    ends = {row.platform: lengths.get(row.rendition_id) for row in story.publications}
    assert {row.state for row in story.publications} == {State.READY}
    assert ends["x"] == pytest.approx(140, abs=1)
    assert ends["youtube"] == pytest.approx(150, abs=1)


# ------------------------------------------------------------------------------------------------------------- words


def test_a_caption_too_long_for_one_destination_is_cut_there_and_said_so(world: Any, posted: Any) -> None:
    caption = "A long walk along the river. " * 20
    posted(description=caption)
    rows = {row.platform: row for row in world.prepare().publications}

    assert len(rows["x"].text["body"]) <= 280
    assert rows["x"].text["changes"]
    assert rows["instagram"].text["body"] == caption.strip()
    assert rows["instagram"].text["changes"] == []


def test_frozen_words_stay_when_the_creator_edits_the_post(world: Any, posted: Any, sandbox: Any) -> None:
    post = posted(description="first words")
    world.prepare()
    sandbox.change(post, description="second words")
    world.detect()
    world.prepare()

    world.settle("x")

    assert sandbox.live("x")[0]["text"]["text"] == "first words"


def test_preparing_without_a_file_or_without_anybody_waiting_is_nothing(world: Any, posted: Any) -> None:
    posted()
    post_id = world.story().post.id
    assert prepare.prepare(world.house, world.system, post_id, lambda _step, _at: None) is None
    for platform in ("instagram", "x", "youtube"):
        world.cancel(platform)
    assert fetch.fetch(world.house, world.system, post_id, lambda _step, _at: None) is None


def test_a_file_that_measures_other_than_planned_is_not_sent(
    ready: Callable[..., Any], owner_connection: psycopg.Connection[Any]
) -> None:
    world = ready("x", "instagram")
    owner_connection.execute("update renditions set facts = facts || '{\"fps\": 240}'::jsonb")
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute("update publications set state = 'preparing' where platform = 'x'")
    owner_connection.execute("set session_replication_role = origin")
    with pytest.raises(UnfitFile, match="not for x"):
        world.prepare()
    assert world.publication("x").state == State.PREPARING
    assert world.publication("instagram").state == State.READY
