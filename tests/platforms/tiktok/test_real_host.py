"""The real extractor at TikTok's real names: nothing is moved for it, only the network answers for TikTok."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autorepost_app.domain.errors import PlatformFault, Rejected, TryAgain
from autorepost_app.platforms.tiktok import PLATFORM
from autorepost_app.platforms.tiktok.ytdlp_child import GuardedIE, extractor_at

CLIP = Path(__file__).parents[2] / "media" / "gradio_a_1080p30.mp4"
WWW, CDN = "www.tiktok.com", "v16-webapp-prime.tiktok.com"


def quietly(_done, _total): ...


@pytest.fixture
def source(reach, real_host):
    parts = PLATFORM.build(replace(reach, urls={**reach.urls, "WWW": f"https://{WWW}"}))
    yield parts.source
    parts.close()


def newest(tiktok, source):
    grant = tiktok.grant()
    return grant, source.list_posts(grant).posts[0]


def refused(tiktok, source, tmp_path):
    grant, post = newest(tiktok, source)
    with pytest.raises(PlatformFault) as caught:
        source.download(grant, post, tmp_path / "original", quietly)
    assert list(tmp_path.iterdir()) == []
    return caught.value.verdict


def test_at_its_own_address_the_extractor_is_yt_dlps_but_for_the_guard():
    extractor = extractor_at(f"https://{WWW}")
    assert extractor is GuardedIE
    own = {name for name in vars(extractor) if not name.startswith("__") and name != "_VALID_URL_RE"}  # a cache
    assert own == {"IE_NAME", "www_url", "ie_key", "_extract_web_formats"}


def test_a_file_and_its_whole_caption_come_from_tiktoks_own_hosts(tiktok, source, real_host, tmp_path):
    tiktok.settings(file_guard=True)
    made = tiktok.post(description="A long caption. " * 30 + "#end")
    grant, post = newest(tiktok, source)
    downloaded = source.download(grant, post, tmp_path / "original", quietly)
    assert (tmp_path / "original").read_bytes() == CLIP.read_bytes()
    assert downloaded.full_caption == made["description"] != post.caption
    assert real_host.asked == [WWW, CDN]
    [file] = [each["path"] for each in tiktok.requests() if each["call"] == "video.download"][-1:]
    assert file.endswith("/download.mp4"), "not the H.264 file"


def test_a_puzzle_is_solved_and_the_page_then_read(tiktok, source, real_host, tmp_path):
    tiktok.post(trouble="challenge")
    grant, post = newest(tiktok, source)
    source.download(grant, post, tmp_path / "original", quietly)
    assert (tmp_path / "original").read_bytes() == CLIP.read_bytes()
    assert real_host.asked == [WWW, WWW, CDN]


@pytest.mark.parametrize(
    ("trouble", "kind", "code"),
    [
        ("login_wall", Rejected, "login_required"),
        ("sensitive", Rejected, "age_restricted"),
        ("watermarked_only", Rejected, "only_watermarked"),
        ("ip_blocked", TryAgain, "ip_blocked"),
        ("broken_page", TryAgain, "challenge_unreadable"),
        ("strange_page", TryAgain, "page_unexpected"),
        ("hard_challenge", TryAgain, "challenge_unsolved"),
        ("empty_after_challenge", TryAgain, "page_unreadable"),
        ("no_formats", TryAgain, "no_formats"),
        ("not_shown_here", TryAgain, "video_not_shown_here"),
        ("expired_file", TryAgain, "file_refused"),
    ],
)
def test_each_trouble_of_a_page_ends_in_its_verdict(tiktok, source, tmp_path, trouble, kind, code):
    tiktok.post(trouble=trouble)
    verdict = refused(tiktok, source, tmp_path)
    assert (type(verdict), verdict.code) == (kind, f"tiktok.{code}")
    if kind is Rejected:
        assert "Upload the original" in verdict.remedy


def test_a_file_server_that_wants_the_cookie_of_the_page_gets_it_from_nobody_else(tiktok, source, tmp_path):
    tiktok.settings(file_guard=True)
    url = tiktok.post()["share_url"]
    assert tiktok.http.get(f"{url}/download.mp4").status_code == 403
    assert tiktok.http.get(f"{url}/download.mp4", headers={"Referer": url}).status_code == 403
    tiktok.http.get(url)
    assert tiktok.http.get(f"{url}/download.mp4", headers={"Referer": url}).status_code == 200


def test_a_tiktok_that_cannot_prove_its_name_is_not_believed(tiktok, source, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    tiktok.post()
    verdict = refused(tiktok, source, tmp_path)
    assert verdict.code == "tiktok.page_unreachable"
    assert "certificate" in verdict.detail.lower()


def test_a_probe_at_the_real_names(source, tiktok, real_host):
    source.probe()
    assert real_host.asked == [WWW, CDN]
    tiktok.settings(page_trouble="empty_after_challenge")
    with pytest.raises(PlatformFault) as caught:
        source.probe()
    assert caught.value.verdict.code == "tiktok.page_unreadable"
