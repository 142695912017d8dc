"""What TikTok's folder promises to the rest of the house."""

from __future__ import annotations

import pytest

from autorepost_app.platforms.tiktok import PLATFORM, limits
from autorepost_app.platforms.tiktok.ytdlp_child import extractor_at


def test_the_hosts_are_those_that_settings_can_move():
    assert {host.name: host.default_url for host in PLATFORM.hosts} == {
        "WWW": "https://www.tiktok.com",
        "API": "https://open.tiktokapis.com",
    }


def test_tiktok_is_a_source_only(tiktok):
    assert PLATFORM.destination is None
    assert tiktok.parts.destination is None
    assert tiktok.parts.source is not None


def test_polling_stays_below_what_tiktok_allows():
    [quota] = [rule for rule in PLATFORM.quotas if "video.list" in rule.costs]
    assert (quota.limit, quota.window_seconds, quota.scope) == (600, 60.0, "app")
    assert PLATFORM.source.polls_per_minute < quota.limit
    assert PLATFORM.source.page_size == limits.PAGE_SIZE == 20


@pytest.mark.parametrize("www_url", ["https://www.tiktok.com", "http://127.0.0.1:8000/tiktok-www"])
def test_the_same_extractor_takes_posts_of_its_own_host_and_no_other(www_url):
    extractor = extractor_at(www_url)
    assert extractor.suitable(f"{www_url}/@anna.b-c_d/video/7123456789012345678")
    assert extractor.suitable(f"{www_url}/@_/video/7")
    assert not extractor.suitable(f"{www_url}/@anna/photo/7")
    assert not extractor.suitable("https://www.example.org/@anna/video/7")
    assert extractor.ie_key() == "TikTok"
    assert extractor._create_url("anna", "7") == f"{www_url}/@anna/video/7"
    assert extractor._create_url(None, "7") == f"{www_url}/@_/video/7"


def test_at_the_real_host_our_extractor_and_yt_dlps_ask_for_the_same_page():
    [original] = [each for each in extractor_at("https://www.tiktok.com").__mro__ if each.__name__ == "TikTokIE"]
    ours = extractor_at("https://www.tiktok.com")
    url = "https://www.tiktok.com/@anna/video/7"
    assert ours._create_url("anna", "7") == original._create_url("anna", "7") == url
    assert ours._match_valid_url(url).groupdict() == original._match_valid_url(url).groupdict()
    assert (ours._WEBPAGE_HOST, ours._UPLOADER_URL_FORMAT) == (original._WEBPAGE_HOST, original._UPLOADER_URL_FORMAT)
