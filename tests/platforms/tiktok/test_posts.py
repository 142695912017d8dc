"""What a creator posted, as the Display API lists it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, WaitUntil
from autorepost_app.platforms.tiktok import limits
from autorepost_app.platforms.tiktok.errors import UnreadAnswer
from autorepost_app.platforms.tiktok.source import _next_cursor

MORNING = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def every_page(source, grant):
    page = source.list_posts(grant)
    pages = [page]
    while page.next_cursor is not None:
        page = source.list_posts(grant, page.next_cursor)
        pages.append(page)
    return pages


def refused(source, grant, cursor=None):
    with pytest.raises(PlatformFault) as caught:
        source.list_posts(grant, cursor)
    assert grant.access_token not in f"{caught.value}{caught.value.verdict!r}"
    return caught.value.verdict


def listed(tiktok, grant, video, **page):
    """The page TikTok would send with this one video on it."""
    body = {"data": {"videos": [video], "has_more": False, "cursor": 1, **page}, "error": {"code": "ok"}}
    tiktok.fault("video.list", "error", status=200, body=body)
    return tiktok.parts.source.list_posts(grant)


def test_a_new_post_is_listed_with_everything_tiktok_tells(tiktok):
    made = tiktok.post(description="Hello #world 🎬", create_time=MORNING.isoformat())
    page = tiktok.parts.source.list_posts(tiktok.grant())
    [post] = page.posts
    assert page.next_cursor is None
    assert (post.external_post_id, post.caption, post.kind) == (made["id"], "Hello #world 🎬", "video")
    assert post.posted_at == MORNING
    assert (post.width, post.height) == (made["media"]["width"], made["media"]["height"])
    assert post.duration_seconds == pytest.approx(made["media"]["duration_seconds"], abs=0.6)
    assert post.counts == {"views": 0, "likes": 0, "comments": 0, "shares": 0}
    assert post.cover_url is not None


def test_the_address_of_a_post_does_not_carry_our_client_key(tiktok):
    made = tiktok.post()
    [post] = tiktok.parts.source.list_posts(tiktok.grant()).posts
    assert post.url == f"{tiktok.www_url}/@{tiktok.handle}/video/{made['id']}"


def test_a_long_caption_comes_cut(tiktok):
    tiktok.post(description="word " * 100)
    [post] = tiktok.parts.source.list_posts(tiktok.grant()).posts
    assert len(post.caption) == limits.CAPTION_CHARACTERS


def test_every_public_post_is_found_once_though_private_ones_make_pages_short(tiktok):
    wanted = []
    for number in range(limits.PAGE_SIZE + 4):
        private = 3 <= number < 9
        moment = MORNING + timedelta(minutes=number)
        made = tiktok.post(description=str(number), private=private, create_time=moment.isoformat())
        wanted += [] if private else [made["id"]]
    pages = every_page(tiktok.parts.source, tiktok.grant())
    found = [post.external_post_id for page in pages for post in page.posts]
    assert found == wanted[::-1]
    assert len(pages) == 2
    assert len(pages[0].posts) < limits.PAGE_SIZE
    assert pages[0].next_cursor == str(round((MORNING + timedelta(minutes=4)).timestamp() * 1000))


def test_an_empty_page_with_more_to_come_is_not_the_end(tiktok):
    grant = tiktok.grant()
    body = {"data": {"videos": [], "has_more": True, "cursor": 1700000000000}, "error": {"code": "ok"}}
    tiktok.fault("video.list", "error", status=200, body=body)
    page = tiktok.parts.source.list_posts(grant)
    assert (page.posts, page.next_cursor) == ((), "1700000000000")


def test_a_list_that_points_at_itself_does_not_spin(tiktok):
    grant = tiktok.grant()
    body = {"data": {"videos": [], "has_more": True, "cursor": 1700000000000}, "error": {"code": "ok"}}
    tiktok.fault("video.list", "error", status=200, body=body)
    verdict = refused(tiktok.parts.source, grant, "1700000000000")
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.stuck_list"


@pytest.mark.parametrize(
    ("traces", "kind"),
    [
        ({"duration": 12, "share_url": "https://www.tiktok.com/@a/video/5"}, "video"),
        ({"duration": 0, "share_url": "https://www.tiktok.com/@a/video/5"}, "photo"),
        ({"duration": 12, "share_url": "https://www.tiktok.com/@a/photo/5?utm_source=k"}, "photo"),
        ({}, "video"),
    ],
)
def test_photo_posts_are_told_apart_by_their_traces(tiktok, traces, kind):
    [post] = listed(tiktok, tiktok.grant(), {"id": "5", "create_time": 1700000000, **traces}).posts
    assert post.kind == kind
    assert post.posted_at == datetime.fromtimestamp(1700000000, UTC)


def test_only_numbers_that_tiktok_gave_are_counted(tiktok):
    video = {"id": "5", "create_time": 1700000000, "title": "only a title", "view_count": 9, "like_count": None}
    [post] = listed(tiktok, tiktok.grant(), video).posts
    assert post.counts == {"views": 9}
    assert post.caption == "only a title"
    assert post.url == f"{tiktok.www_url}/@{tiktok.handle}/video/5"


def test_a_used_up_minute_is_waited_out(tiktok):
    grant, before = tiktok.grant(), utc_now()
    tiktok.fault("video.list", "rate_limited", seconds=60)
    verdict = refused(tiktok.parts.source, grant)
    assert isinstance(verdict, WaitUntil)
    assert timedelta(seconds=60) <= verdict.at - before < timedelta(seconds=70)
    assert "600" in verdict.limit


def test_a_dead_token_asks_for_one_refresh_and_then_a_person(tiktok):
    grant = tiktok.grant()
    tiktok.control("DELETE", f"/accounts/tiktok/{tiktok.handle}/grants")
    verdict = refused(tiktok.parts.source, grant)
    assert isinstance(verdict, Reconnect)
    assert verdict.refresh_first


def test_a_missing_permission_to_list_asks_to_connect_again(tiktok):
    tokens = tiktok.exchange(tiktok.come_back(deny_scopes=["video.list"])["code"])
    verdict = refused(tiktok.parts.source, replace(tiktok.grant(), access_token=tokens.access_token))
    assert isinstance(verdict, Reconnect)
    assert "to see your public videos (video.list)" in verdict.text
    assert (verdict.code, verdict.refresh_first) == ("tiktok.scope_not_authorized", False)


@pytest.mark.parametrize("fault", ["refuse", "reset_before_body", "read_error"])
def test_a_passing_fault_of_the_list_is_tried_again(tiktok, fault):
    grant = tiktok.grant()
    tiktok.fault("video.list", fault)
    assert isinstance(refused(tiktok.parts.source, grant), TryAgain)


def test_an_answer_nobody_knows_fails_loudly(tiktok):
    grant = tiktok.grant()
    tiktok.fault("video.list", "error", status=200, body={"unheard": "of"})
    with pytest.raises(UnreadAnswer, match="no rule reads it"):
        tiktok.parts.source.list_posts(grant)


def test_a_post_made_public_later_appears_with_its_old_time(tiktok):
    made = tiktok.post(private=True, create_time=MORNING.isoformat())
    grant = tiktok.grant()
    assert tiktok.parts.source.list_posts(grant).posts == ()
    tiktok.control("PATCH", f"/tiktok/accounts/{tiktok.handle}/posts/{made['id']}", {"private": False})
    [post] = tiktok.parts.source.list_posts(grant).posts
    assert post.posted_at == MORNING


def test_a_pinned_post_is_neither_the_newest_nor_there_twice(tiktok):
    made = [
        tiktok.post(create_time=(MORNING + timedelta(minutes=number)).isoformat(), pinned=number == 0)["id"]
        for number in range(4)
    ]
    grant = tiktok.grant()
    raw = tiktok.http.post(
        f"{tiktok.server.hosts['TIKTOK_API_URL']}/v2/video/list/?fields=id",
        json={"max_count": 20},
        headers={"Authorization": f"Bearer {grant.access_token}"},
    ).json()["data"]["videos"]
    assert [video["id"] for video in raw] == [made[0], *made[::-1]], "the sandbox shows it first, and in its place"
    page = tiktok.parts.source.list_posts(grant)
    assert [post.external_post_id for post in page.posts] == made[::-1]


def test_pinned_posts_lose_no_other_post_between_pages(tiktok):
    moments = [MORNING + timedelta(minutes=number) for number in range(limits.PAGE_SIZE + 2)]
    made = [
        tiktok.post(create_time=moment.isoformat(), pinned=number < 3)["id"] for number, moment in enumerate(moments)
    ]
    pages = every_page(tiktok.parts.source, tiktok.grant())
    assert {post.external_post_id for page in pages for post in page.posts} == set(made)


def test_a_photo_post_is_listed_as_what_it_is(tiktok):
    made = tiktok.post(photo=True)
    [post] = tiktok.parts.source.list_posts(tiktok.grant()).posts
    assert (post.external_post_id, post.kind) == (made["id"], "photo")
    assert "/photo/" in post.url


def test_a_video_made_to_please_no_field_is_still_listed(tiktok):
    video = {"id": "5", "create_time": 1700000000, "duration": None, "width": 0, "cover_image_url": ""}
    [post] = listed(tiktok, tiktok.grant(), video).posts
    assert (post.duration_seconds, post.width, post.cover_url, post.kind) == (None, None, None, "video")


@given(st.integers(1, 2**40), st.integers(0, 2**50))
def test_cursors_go_back_as_they_came(asked, given_back):
    page = {"has_more": True, "cursor": given_back}
    if given_back == asked:
        with pytest.raises(PlatformFault):
            _next_cursor(page, str(asked))
    else:
        assert _next_cursor(page, str(asked)) == str(given_back)
    assert _next_cursor({**page, "has_more": False}, str(asked)) is None
