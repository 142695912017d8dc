"""yt-dlp's own reader of whole profiles, at TikTok's real names, against the sandbox's profiles.

We list posts by the API and never ask it. It is here because the table of refusals has its texts, and because a client
that others wrote finds out whether the sandbox serves a profile as TikTok does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from yt_dlp.utils import DownloadError

MORNING = datetime(2026, 11, 1, 8, tzinfo=UTC)


def profile(handle: str) -> str:
    return f"https://www.tiktok.com/@{handle}"


def some_posts(tiktok, count, **fields):
    """Newest first, as profiles list them."""
    made = [
        tiktok.post(create_time=(MORNING + timedelta(minutes=n)).isoformat(), description=f"no {n}", **fields)
        for n in range(count)
    ]
    return [post["id"] for post in reversed(made)]


def sec_uid(tiktok) -> str:
    page = tiktok.http.get(f"{tiktok.www_url}/@{tiktok.handle}").text
    return page.partition('"secUid": "')[2].partition('"')[0]


def test_a_profile_is_read_page_by_page_newest_first(tiktok, read_profile):
    made = some_posts(tiktok, 17)
    found = read_profile(profile(tiktok.handle))
    assert [entry["id"] for entry in found] == made
    assert found[0]["description"] == "no 16"
    assert found[0]["url"] == f"{profile(tiktok.handle)}/video/{made[0]}"
    assert tiktok.asked()[-3:] == ["profile.page", "profile.list", "profile.list"]


def test_what_is_private_or_removed_is_on_no_profile(tiktok, read_profile):
    shown = some_posts(tiktok, 1)
    some_posts(tiktok, 1, private=True)
    gone = tiktok.post()
    tiktok.control("DELETE", f"/posts/tiktok/{gone['id']}")
    assert [entry["id"] for entry in read_profile(profile(tiktok.handle))] == shown


def test_a_profile_without_its_inside_is_found_by_the_posts_in_its_frame(tiktok, read_profile):
    """yt-dlp's way round, which asks the page of a post."""
    made = some_posts(tiktok, 2)
    tiktok.settings(profile_trouble="no_user_detail")
    assert [entry["id"] for entry in read_profile(profile(tiktok.handle))] == made
    assert tiktok.asked()[-4:] == ["profile.page", "profile.embed", "video.page", "profile.list"]


def test_a_creator_is_found_by_the_id_that_lists_use(tiktok, read_profile):
    made = some_posts(tiktok, 2)
    assert [entry["id"] for entry in read_profile(f"tiktokuser:{sec_uid(tiktok)}")] == made


def test_an_account_without_posts_says_so(tiktok, read_profile):
    with pytest.raises(DownloadError, match="does not have any videos posted"):
        read_profile(profile(tiktok.handle))


def test_a_person_sees_the_posts_and_nothing_of_a_private_account(tiktok):
    [made] = some_posts(tiktok, 1)
    private = tiktok.another(private=True)
    assert made in tiktok.http.get(f"{tiktok.www_url}/@{tiktok.handle}").text
    page = tiktok.http.get(f"{tiktok.www_url}/@{private}")
    assert page.status_code == 200
    assert "This account is private" in page.text
    assert tiktok.http.get(f"{tiktok.www_url}/embed/@{private}").status_code == 400


def test_a_private_account_hides_behind_its_id_as_well(tiktok, read_profile):
    """Its list is empty and promises more, at which yt-dlp gives up rather than go back week by week to 2016."""
    handle = tiktok.another(private=True)
    page = tiktok.http.get(f"{tiktok.www_url}/@{handle}").text
    with pytest.raises(DownloadError, match="likely either private or all of their videos are private"):
        read_profile("tiktokuser:" + page.partition('"secUid": "')[2].partition('"')[0])
