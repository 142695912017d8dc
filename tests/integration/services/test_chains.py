"""What if no file can be fetched for anybody? Then nobody tries in vain, nothing is lost, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import State
from autorepost_app.services import chains, fetch, offers, record

CLIP = Path(__file__).parents[3] / "autorepost_app" / "cli" / "clip.mp4"


@pytest.fixture
def waiting(world: Any, sandbox: Any) -> Any:
    """One post found; from here on TikTok's pages are of no use, for anybody."""
    world.ready_made()
    sandbox.post()
    world.detect()
    chains.look(world.house, world.system)
    sandbox.fault("tiktok", "video.page", "read_error", count=None)
    return world


def get(world: Any) -> Any:
    return fetch.fetch(world.house, world.system, world.story().post.id, lambda *_: None)


def look(world: Any) -> chains.Health:
    """What the daemon's tick finds out about the one source there is."""
    chains.look(world.house, world.system)
    [health] = chains.health(world.house, world.system)
    return health


def later(world: Any) -> None:
    """To the moment at which the way is looked at next."""
    [health] = chains.health(world.house, world.system)
    world.clock.advance((health.next_look_at - world.clock()).total_seconds() + 1)


def told(world: Any) -> list[str]:
    return [each.kind for each in record.recent_activity(world.house, world.scope) if each.kind.startswith("chain.")]


def test_a_first_sign_has_the_way_looked_at_and_closed(waiting: Any) -> None:
    assert get(waiting) is None

    health = look(waiting)

    assert (health.open, health.waiting) == (False, 1)
    assert health.since_at == pytest.approx(waiting.clock(), abs=timedelta(seconds=5))
    assert health.text
    assert told(waiting) == ["chain.closed"]


def test_while_the_way_is_closed_nobody_tries_and_no_attempt_is_spent(waiting: Any, sandbox: Any) -> None:
    get(waiting)
    look(waiting)
    asked = sandbox.calls_now("tiktok", "video.page")
    faults = {row.faults for row in waiting.story().publications}

    for _ in range(40):  # two days of half hours
        waiting.clock.advance(75 * 60)
        get(waiting)

    rows = waiting.story().publications
    assert {row.state for row in rows} == {State.PREPARING}
    assert {row.faults for row in rows} == faults
    assert sandbox.calls_now("tiktok", "video.page") == asked
    assert {row.waiting_for for row in rows} == {"No videos can be fetched from TikTok at the moment. Nothing is lost."}


def test_it_goes_on_by_itself_when_files_come_again(waiting: Any, sandbox: Any) -> None:
    get(waiting)
    look(waiting)
    sandbox.control("DELETE", "/faults")
    later(waiting)

    health = look(waiting)

    assert (health.open, health.text) == (True, "")
    assert all(row.due_at <= waiting.clock() for row in waiting.story().publications)
    assert get(waiting) is not None
    assert sorted(told(waiting)) == ["chain.closed", "chain.open"]


def test_one_posts_own_trouble_closes_nothing(waiting: Any, sandbox: Any) -> None:
    get(waiting)
    sandbox.control("DELETE", "/faults")  # the canary is fine

    health = look(waiting)

    assert health.open
    assert told(waiting) == []


def test_a_closed_way_is_looked_at_less_and_less_often(waiting: Any) -> None:
    get(waiting)
    look(waiting)
    waits = []
    for _ in range(4):
        [health] = chains.health(waiting.house, waiting.system)
        waits.append(round((health.next_look_at - waiting.clock()).total_seconds() / 60))
        later(waiting)
        look(waiting)

    assert waits == [5, 15, 30, 30]
    assert told(waiting) == ["chain.closed"], "told once, however long it lasts"


def test_the_canary_finds_a_closed_way_before_any_creator_does(world: Any, sandbox: Any) -> None:
    world.connect("tiktok")
    assert look(world).open
    sandbox.fault("tiktok", "video.page", "read_error", count=None)
    assert look(world).open, "it was looked at just now"

    world.clock.advance(6 * 3600 + 1)

    assert not look(world).open


def test_what_is_wrong_with_one_post_alone_has_nobody_look(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.change(sandbox.post(), trouble="sensitive")
    world.detect()
    chains.look(world.house, world.system)
    get(world)
    assert {row.state for row in world.story().publications} == {State.FAILED}

    assert chains.look(world.house, world.system) == [], "the canary was asked in vain"


def test_at_the_moment_of_a_look_nobody_is_due_who_waits_for_its_answer(waiting: Any) -> None:
    get(waiting)
    look(waiting)
    waiting.clock.advance(75 * 60)
    get(waiting)
    later(waiting)

    assert offers.offer(waiting.house, waiting.system, limit=10) == []
    health = look(waiting)
    assert {row.due_at > waiting.clock() for row in waiting.story().publications} == {True}
    assert not health.open


def test_after_a_long_night_the_look_still_comes_first(waiting: Any) -> None:
    """The daemon was down: the next look is hours overdue when somebody asks for the file."""
    get(waiting)
    look(waiting)
    waiting.clock.advance(8 * 3600)

    assert get(waiting) is None
    for row in waiting.story().publications:
        assert row.due_at - waiting.clock() == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=5))


def test_a_file_that_comes_after_all_opens_the_way_for_everybody(
    world: Any, sandbox: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    """It was on its way already when another one's page, and then the canary, failed."""
    world.ready_made()
    posts = [sandbox.post(description=words)["id"] for words in ("first", "second")]
    world.detect()
    chains.look(world.house, world.system)
    first, second = sorted(record.recent(world.house, world.scope), key=lambda story: story.post.caption)
    assert {first.post.external_post_id, second.post.external_post_id} == set(posts)
    sandbox.fault("tiktok", "video.download", "slow", seconds=1.5)
    coming = meanwhile(fetch.fetch, world.house, world.system, first.post.id, lambda *_: None)
    sandbox.wait_for_call("tiktok", "video.download")
    sandbox.fault("tiktok", "video.page", "read_error", count=None)
    assert fetch.fetch(world.house, world.system, second.post.id, lambda *_: None) is None
    assert not look(world).open

    assert coming.result() is not None

    [health] = chains.health(world.house, world.system)
    assert (health.open, health.next_look_at) == (True, None)
    assert told(world) == ["chain.open", "chain.closed"]
    assert all(row.due_at <= world.clock() for row in world.story(second.post.id).publications)


# ------------------------------------------------------------------------------------------- handed over by the creator


def test_a_creator_hands_the_file_over_and_the_post_goes_on(waiting: Any, sandbox: Any) -> None:
    get(waiting)
    look(waiting)
    post = waiting.story().post

    original = fetch.hand_over(waiting.house, waiting.scope, post.id, CLIP)
    assert original.size_bytes == CLIP.stat().st_size
    assert CLIP.exists()
    assert all(row.due_at <= waiting.clock() for row in waiting.story().publications)
    waiting.prepare()
    assert waiting.settle("x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_file_that_is_no_video_is_refused_in_words_and_nothing_changes(waiting: Any, tmp_path: Path) -> None:
    get(waiting)
    text = tmp_path / "notes.mp4"
    text.write_text("dear diary")

    with pytest.raises(UserError, match=r"text|video"):
        fetch.hand_over(waiting.house, waiting.scope, waiting.story().post.id, text)
    assert waiting.story().original is None


def test_nobody_hands_over_a_file_for_another_tenants_post_or_twice(waiting: Any, other_tenant: Any) -> None:
    post_id = waiting.story().post.id

    with pytest.raises(UserError, match="no such post"):
        fetch.hand_over(waiting.house, other_tenant.scope, post_id, CLIP)
    fetch.hand_over(waiting.house, waiting.scope, post_id, CLIP)
    with pytest.raises(UserError, match="here already"):
        fetch.hand_over(waiting.house, waiting.scope, post_id, CLIP)
