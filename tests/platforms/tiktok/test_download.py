"""A post's file comes off the web page by real yt-dlp, whole or not at all."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autorepost_app.domain.errors import PlatformFault, Reconnect, Rejected, TryAgain
from autorepost_app.domain.posts import SourcePost
from autorepost_app.platforms.tiktok import limits

CLIP = Path(__file__).parents[2] / "media" / "gradio_a_1080p30.mp4"


def quietly(_done: int, _total: int | None) -> None: ...


def fetch(tiktok, made, target, progress=quietly, grant=None):
    grant = grant or tiktok.grant()
    posts = tiktok.parts.source.list_posts(grant).posts
    [post] = [each for each in posts if each.external_post_id == made["id"]]
    return tiktok.parts.source.download(grant, post, target, progress)


def refused(tiktok, made, target, grant=None):
    with pytest.raises(PlatformFault) as caught:
        fetch(tiktok, made, target, grant=grant)
    assert list(target.parent.iterdir()) == []
    return caught.value.verdict


def test_the_file_arrives_whole_with_the_caption_uncut(tiktok, tmp_path):
    caption = "A long caption. " * 30 + "#end"
    made = tiktok.post(description=caption)
    steps = []
    downloaded = fetch(tiktok, made, tmp_path / "original", lambda done, total: steps.append((done, total)))
    content = CLIP.read_bytes()
    assert (tmp_path / "original").read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["original", "original.cover"]
    assert downloaded.cover == tmp_path / "original.cover"
    assert downloaded.cover.read_bytes().startswith(b"\xff\xd8")
    assert downloaded.size_bytes == len(content)
    assert downloaded.sha256 == hashlib.sha256(content).hexdigest()
    assert downloaded.full_caption == caption
    assert steps[-1] == (len(content), len(content))
    assert steps == sorted(steps)


@pytest.mark.parametrize("fault", ["read_error", "refuse"])
def test_a_cover_that_does_not_come_holds_nothing_up(tiktok, tmp_path, fault):
    made = tiktok.post()
    tiktok.fault("video.cover", fault)
    downloaded = fetch(tiktok, made, tmp_path / "original")
    assert downloaded.cover is None
    assert (tmp_path / "original").read_bytes() == CLIP.read_bytes()


@pytest.mark.parametrize(("more_bytes", "kept"), [(0, True), (1, False)], ids=["the largest", "one byte more"])
def test_what_is_too_large_for_a_cover_is_none(tiktok, tmp_path, more_bytes, kept):
    made = tiktok.post()
    picture = "x" * (limits.COVER_BYTES + more_bytes)
    tiktok.fault("video.cover", "error", status=200, body=picture, headers={"content-type": "image/jpeg"})
    downloaded = fetch(tiktok, made, tmp_path / "original")
    assert (downloaded.cover is not None) is kept
    assert (tmp_path / "original.cover").exists() is kept


def test_an_empty_cover_is_none(tiktok, tmp_path):
    made = tiktok.post()
    tiktok.fault("video.cover", "error", status=200, body="")
    assert fetch(tiktok, made, tmp_path / "original").cover is None


@pytest.mark.parametrize("address", [None, "", "http://127.0.0.1:9/cover.jpeg", "file:///etc/passwd", "gopher://x/"])
def test_a_cover_at_an_address_that_is_not_tiktoks_is_left_alone(tiktok, tmp_path, address):
    grant = tiktok.grant()
    tiktok.post()
    [post] = tiktok.parts.source.list_posts(grant).posts
    downloaded = tiktok.parts.source.download(grant, replace(post, cover_url=address), tmp_path / "original", quietly)
    assert downloaded.cover is None


def test_a_cover_that_would_come_unencrypted_from_elsewhere_is_not_asked_for(tiktok, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/cover.jpeg"
        grant = tiktok.grant()
        tiktok.post()
        [post] = tiktok.parts.source.list_posts(grant).posts
        downloaded = tiktok.parts.source.download(grant, replace(post, cover_url=address), tmp_path / "o", quietly)
        assert downloaded.cover is None
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_a_target_with_template_characters_in_its_name_is_taken_literally(tiktok, tmp_path):
    target = tmp_path / "50% %(id)s $HOME ~ ä.bin"
    fetch(tiktok, tiktok.post(), target)
    assert target.read_bytes() == CLIP.read_bytes()


def test_what_an_earlier_run_left_behind_is_not_taken_for_the_file(tiktok, tmp_path):
    target = tmp_path / "original"
    target.write_bytes(b"old")
    Path(f"{target}.part").write_bytes(b"half of something else")
    fetch(tiktok, tiktok.post(), target)
    assert target.read_bytes() == CLIP.read_bytes()


def test_a_handle_that_fits_no_address_does_not_stop_the_fetch(tiktok, tmp_path):
    made = tiktok.post()
    grant = tiktok.grant()
    renamed = replace(grant, account=replace(grant.account, handle="not a handle/"))
    fetch(tiktok, made, tmp_path / "original", grant=renamed)
    assert (tmp_path / "original").exists()


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("sensitive", "tiktok.age_restricted"),
        ("watermarked_only", "tiktok.only_watermarked"),
    ],
)
def test_what_tiktok_keeps_back_is_rejected_with_the_way_out(tiktok, tmp_path, trouble, code):
    verdict = refused(tiktok, tiktok.post(trouble=trouble), tmp_path / "original")
    assert isinstance(verdict, Rejected)
    assert verdict.code == code
    assert "Upload the original" in verdict.remedy


@pytest.mark.parametrize(
    ("trouble", "code"), [("ip_blocked", "tiktok.ip_blocked"), ("broken_page", "tiktok.challenge_unreadable")]
)
def test_what_passes_is_tried_again_after_a_pause(tiktok, tmp_path, trouble, code):
    verdict = refused(tiktok, tiktok.post(trouble=trouble), tmp_path / "original")
    assert isinstance(verdict, TryAgain)
    assert verdict.code == code
    assert verdict.after_seconds >= 900


def listed_then(tiktok, change):
    """A post as the list showed it, changed before it is fetched."""
    made = tiktok.post()
    grant = tiktok.grant()
    [post] = tiktok.parts.source.list_posts(grant).posts
    change(made["id"])
    return grant, post


def test_a_post_made_private_before_the_fetch_is_rejected(tiktok, tmp_path):
    hide = f"/tiktok/accounts/{tiktok.handle}/posts/"
    grant, post = listed_then(tiktok, lambda post_id: tiktok.control("PATCH", hide + post_id, {"private": True}))
    with pytest.raises(PlatformFault) as caught:
        tiktok.parts.source.download(grant, post, tmp_path / "original", quietly)
    assert isinstance(caught.value.verdict, Rejected)
    assert caught.value.verdict.code == "tiktok.private_post"


def test_a_deleted_post_is_rejected_once_the_api_has_lost_it_too(tiktok, tmp_path):
    grant, post = listed_then(tiktok, lambda post_id: tiktok.control("DELETE", f"/posts/tiktok/{post_id}"))
    with pytest.raises(PlatformFault) as caught:
        tiktok.parts.source.download(grant, post, tmp_path / "original", quietly)
    assert isinstance(caught.value.verdict, Rejected)
    assert caught.value.verdict.code == "tiktok.video_not_available"
    assert tiktok.asked()[-2:] == ["video.page", "video.query"]


def test_a_page_that_denies_a_post_the_api_still_lists_is_not_believed(tiktok, tmp_path):
    made = tiktok.post()
    tiktok.fault("video.page", "error", status=404, body="<html>gone</html>")
    verdict = refused(tiktok, made, tmp_path / "original")
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.video_not_shown_here"


def test_a_second_opinion_that_needs_a_new_token_asks_for_it(tiktok, tmp_path):
    grant, post = listed_then(tiktok, lambda post_id: tiktok.control("DELETE", f"/posts/tiktok/{post_id}"))
    with pytest.raises(PlatformFault) as caught:
        tiktok.parts.source.download(replace(grant, access_token="act.old"), post, tmp_path / "original", quietly)
    assert isinstance(caught.value.verdict, Reconnect)


def test_a_photo_post_is_rejected_without_asking_tiktok(tiktok, tmp_path):
    post = SourcePost("5", datetime(2026, 1, 1, tzinfo=UTC), "", "https://www.tiktok.com/@a/photo/5", kind="photo")
    grant = tiktok.grant()
    before = len(tiktok.asked())
    with pytest.raises(PlatformFault) as caught:
        tiktok.parts.source.download(grant, post, tmp_path / "original", quietly)
    assert caught.value.verdict.code == "tiktok.photo_post"
    assert len(tiktok.asked()) == before


def test_a_line_that_breaks_midway_is_taken_up_where_it_broke(tiktok, tmp_path):
    made = tiktok.post()
    tiktok.fault("video.download", "truncated", bytes=50_000)
    fetch(tiktok, made, tmp_path / "original")
    assert (tmp_path / "original").read_bytes() == CLIP.read_bytes()


def test_a_file_that_never_comes_whole_is_no_file(tiktok, tmp_path):
    made = tiktok.post()
    tiktok.fault("video.download", "truncated", bytes=1000, count=None)
    assert isinstance(refused(tiktok, made, tmp_path / "original"), TryAgain)


@pytest.mark.parametrize("call", ["video.page", "video.download"])
@pytest.mark.parametrize("fault", ["refuse", "read_error"])
def test_a_page_or_file_server_in_trouble_is_tried_again(tiktok, tmp_path, call, fault):
    made = tiktok.post()
    tiktok.fault(call, fault, count=None)
    assert isinstance(refused(tiktok, made, tmp_path / "original"), TryAgain)


def test_an_expired_link_of_the_file_is_tried_again(tiktok, tmp_path):
    made = tiktok.post()
    tiktok.fault("video.download", "error", status=403)
    verdict = refused(tiktok, made, tmp_path / "original")
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.file_refused"


def test_the_platform_is_loaded_without_yt_dlp():
    look = "import sys, autorepost_app.platforms.tiktok; sys.exit('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
