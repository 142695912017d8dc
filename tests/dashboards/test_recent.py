"""What a viewer reads about the newest posts."""

from __future__ import annotations

import re

import pytest

from autorepost_app.domain.publications import State
from dashboards.words import STATES

HOSTILE = (
    "[click](javascript:alert(1)) ![x](https://evil.example/track.png) <img src=x onerror=alert(1)> "
    "**bold** :red[red] :material/delete: $x^2$ www.evil.example # title\n\n---\n`code` \u202etxet"
)


def texts(app) -> list[str]:
    return [each.value for each in app.text]


def markup(app) -> str:
    """Everything that Streamlit reads as markup."""
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.header, *app.title))


def links(app) -> list[str]:
    return re.findall(r"\]\(([^)]*)\)", markup(app))


def badges(app) -> list[str]:
    return re.findall(r":(\w+)-badge\[([^\]]+)\]", markup(app))


def test_nothing_posted_yet_says_what_to_wait_for(look):
    app = look()
    assert not app.exception
    assert "**No post yet**" in markup(app)
    assert "A video appears here" in markup(app)


def test_a_post_that_is_live_everywhere_has_its_picture_words_and_links(look, world):
    world.ready_made()
    world.sandbox.post(description="Hello #walk")
    world.detect()
    world.prepare()
    for key in world.house.platforms.destinations():
        world.publish(key)
    app = look()
    assert not app.exception
    assert texts(app)[:2] == ["Hello #walk", f"@{world.sandbox.handle}"]
    assert badges(app) == [("green", "live")] * 3
    story = world.story()
    assert set(links(app)) == {story.post.url, *(row.url for row in story.publications)}
    assert len(app.image) == 1


def test_a_post_on_its_way_says_how_far_it_is(look, world):
    world.ready_made()
    world.sandbox.post()
    world.detect()
    assert badges(look()) == [("blue", "found")] * 3
    world.prepare()
    app = look()
    assert badges(app) == [("blue", "waiting")] * 3
    assert links(app) == [world.story().post.url]


def test_a_refusal_is_shown_with_its_reason_and_what_helps(look, world, owner_connection):
    world.ready_made()
    world.sandbox.post()
    world.detect()
    world.prepare()
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute(
        "update publications set state = 'failed', reason = 'X: the [video](http://x) is too long.',"
        " remedy = 'Post a shorter one.' where platform = 'x'"
    )
    owner_connection.execute("set session_replication_role = origin")
    app = look()
    assert ("red", "not published") in badges(app)
    assert "X: the [video](http://x) is too long." in texts(app)
    assert "Post a shorter one." in texts(app)
    assert "http://x" not in markup(app)


def test_a_post_planned_for_later_says_when_in_the_viewers_time(look, world, owner_connection):
    made = world.connect_all()
    world.rule(made["tiktok"], made["x"])
    world.sandbox.post()
    world.detect()
    owner_connection.execute("update publications set publish_at = '2031-07-01 12:00+00'")
    assert "Goes out 1 Jul 2031, 12:00." in texts(look())
    assert "Goes out 1 Jul 2031, 14:00." in texts(look("Europe/Berlin"))
    assert "Goes out 1 Jul 2031, 12:00." in texts(look("Mars/Olympus"))


def test_a_hostile_caption_is_words_and_nothing_else(look, world, owner_connection):
    world.ready_made()
    world.sandbox.post(description=HOSTILE)
    world.detect()
    owner_connection.execute("update connections set handle = '**www.evil.example**' where platform = 'tiktok'")
    app = look()
    assert not app.exception
    assert texts(app)[0].startswith("[click](javascript:alert(1)) ![x](https://evil.example/track.png) <img src=x")
    assert texts(app)[1] == "@**www.evil.example**"
    assert not any(sign in markup(app) for sign in ("evil", "javascript", "<", "![", "onerror"))
    assert not app.get("html")


def test_a_link_that_is_no_web_page_is_not_offered(look, world, owner_connection):
    world.ready_made()
    world.sandbox.post()
    world.detect()
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute("update publications set state = 'published', url = 'javascript:alert(1)'")
    owner_connection.execute("set session_replication_role = origin")
    assert links(look()) == [world.story().post.url]


def test_a_picture_that_is_lost_takes_nothing_else_from_the_page(look, world):
    world.ready_made()
    world.sandbox.post(description="still here")
    world.detect()
    story = world.prepare()
    world.house.store.delete(story.original.thumbnail_key)
    app = look()
    assert not app.exception
    assert "still here" in texts(app)
    assert not app.image


def test_a_post_that_no_rule_wants_says_so(look, world, owner_connection):
    """Its rule was deleted between the look at the source and the making of its publications."""
    world.ready_made()
    world.sandbox.post(description="just looking")
    world.detect()
    owner_connection.execute("set session_replication_role = replica")
    owner_connection.execute("delete from publications")
    owner_connection.execute("set session_replication_role = origin")
    assert "No rule sends it anywhere." in markup(look())


@pytest.mark.parametrize("state", State)
def test_every_state_has_words_of_its_own(state):
    words, colour = STATES[state]
    assert words
    assert colour in {"green", "red", "orange", "blue", "gray"}
