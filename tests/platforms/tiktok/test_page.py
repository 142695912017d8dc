"""What TikTok's page does on bad days, and a download process that may not hang, linger or be led astray."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autorepost_app.domain.errors import PlatformFault, Rejected, TryAgain
from autorepost_app.platforms.tiktok import fetch as fetching
from autorepost_app.platforms.tiktok.errors import UnreadAnswer
from autorepost_app.platforms.tiktok.fetch import FetchJob, fetch
from autorepost_app.platforms.tiktok.ytdlp_child import may_fetch

CHILD = Path(fetching.__file__).with_name("ytdlp_child.py")
FILE = b"\0\0\0\x18ftypmp42" + b"video" * 1000


def quietly(_done, _total): ...


def job(pages, tmp_path, **changes):
    return FetchJob(**{"www_url": pages.base_url, "handle": "anna", "video_id": "7", "timeout_seconds": 5.0,
                       "target": str(tmp_path / "original"), **changes})  # fmt: skip


def verdict_of(a_job, **how):
    with pytest.raises(PlatformFault) as caught:
        fetch(a_job, quietly, **how)
    assert list(Path(a_job.target).parent.iterdir()) == []
    return caught.value.verdict


def rendition(pages, name, key):
    pages.put(f"/media/{name}", f"{name} bytes")
    return {"PlayAddr": {"UrlList": [f"{pages.base_url}/media/{name}"], "UrlKey": key}}


def test_the_best_h264_without_a_watermark_is_taken(pages, tmp_path):
    renditions = [
        rendition(pages, "small.mp4", "v12_h264_540p_900000"),
        rendition(pages, "large.mp4", "v12_h264_1080p_2900000"),
        rendition(pages, "hevc.mp4", "v12_bytevc1_1080p_3900000"),
        rendition(pages, "vvc.mp4", "v12_bytevc2_1080p_4900000"),
    ]
    pages.put("/media/marked.mp4", "marked bytes")
    pages.video({"width": 1080, "height": 1920, "bitrateInfo": renditions,
                 "downloadAddr": f"{pages.base_url}/media/marked.mp4"}, desc="the caption")  # fmt: skip
    fetched = fetch(job(pages, tmp_path), quietly)
    assert (tmp_path / "original").read_bytes() == b"large.mp4 bytes"
    assert (fetched.format_id, fetched.full_caption) == ("h264_1080p_2900000", "the caption")


def test_a_smaller_rendition_is_taken_where_the_best_is_too_large(pages, tmp_path):
    small = rendition(pages, "small.mp4", "v12_h264_540p_900000")
    large = rendition(pages, "large.mp4", "v12_h264_1080p_2900000")
    small["PlayAddr"]["DataSize"], large["PlayAddr"]["DataSize"] = "15", "9000000"
    pages.video({"bitrateInfo": [large, small]})
    fetch(job(pages, tmp_path, file_bytes=1_000_000), quietly)
    assert (tmp_path / "original").read_bytes() == b"small.mp4 bytes"


def test_only_too_large_a_file_is_told_as_that(pages, tmp_path):
    large = rendition(pages, "large.mp4", "v12_h264_1080p_2900000")
    large["PlayAddr"]["DataSize"] = "9000000"
    pages.put("/media/large.mp4", b"x" * 9_000_000)
    pages.video({"bitrateInfo": [large]})
    assert verdict_of(job(pages, tmp_path, file_bytes=1_000_000)).code == "tiktok.too_large"


def test_h265_is_better_than_nothing(pages, tmp_path):
    pages.video({"bitrateInfo": [rendition(pages, "hevc.mp4", "v12_bytevc1_720p_900000")]})
    assert fetch(job(pages, tmp_path), quietly).format_id == "bytevc1_720p_900000"


def test_a_codec_that_only_tiktok_plays_is_no_video_for_us(pages, tmp_path):
    pages.video({"bitrateInfo": [rendition(pages, "vvc.mp4", "v12_bytevc2_1080p_4900000")]})
    verdict = verdict_of(job(pages, tmp_path))
    assert isinstance(verdict, Rejected)
    assert verdict.code == "tiktok.no_playable_video"


def test_the_music_of_a_slideshow_is_not_taken_for_its_video(pages, tmp_path):
    pages.put("/media/song.mp3", FILE)
    pages.video({"duration": 0}, music={"playUrl": f"{pages.base_url}/media/song.mp3"})
    assert verdict_of(job(pages, tmp_path)).code == "tiktok.no_playable_video"


def test_only_a_watermarked_file_is_said_in_words_a_creator_understands(pages, tmp_path):
    pages.put("/media/marked.mp4", FILE)
    pages.video({"downloadAddr": f"{pages.base_url}/media/marked.mp4"})
    verdict = verdict_of(job(pages, tmp_path))
    assert isinstance(verdict, Rejected)
    assert "watermark" in verdict.text


def test_a_login_wall_is_known_also_below_a_path(pages, tmp_path):
    pages.put("/tiktok-www/@anna/video/7", "", 302, Location=f"{pages.base_url}/tiktok-www/login?x=1")
    pages.put("/tiktok-www/login", "<html>Log in</html>")
    verdict = verdict_of(job(pages, tmp_path, www_url=f"{pages.base_url}/tiktok-www"))
    assert isinstance(verdict, Rejected)
    assert verdict.code == "tiktok.login_required"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (10216, "tiktok.private_post"),
        (10222, "tiktok.private_post"),
        (10204, "tiktok.ip_blocked"),
        (10231, "tiktok.video_not_available"),
    ],
)
def test_the_status_inside_the_page_decides(pages, tmp_path, status, code):
    pages.put("/@anna/video/7", pages.page({"statusCode": status}))
    assert verdict_of(job(pages, tmp_path)).code == code


def test_a_script_challenge_is_solved_and_its_cookie_shown(pages, tmp_path):
    solution = b"4711"
    puzzle = {
        "v": {
            "a": base64.b64encode(b"prefix").decode(),
            "c": base64.b64encode(hashlib.sha256(b"prefix" + solution).digest()).decode(),
        }
    }
    mark = base64.b64encode(json.dumps(puzzle).encode()).decode().rstrip("=")
    pages.put("/media/a.mp4", FILE)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    show_page = pages.answers["/@anna/video/7"]
    pages.put("/challenge", f'Please wait...<p id="cs" class="{mark}"></p><p id="wci" class="_wafchallengeid"></p>')

    def gate(request):
        [cookie] = [part for part in (request.headers["Cookie"] or "").split("; ") if part.startswith("_waf")] or [""]
        shown = cookie.partition("=")[2]
        passed = shown and json.loads(base64.b64decode(shown))["d"] == base64.b64encode(solution).decode()
        (show_page if passed else pages.answers["/challenge"])(request)

    pages.answers["/@anna/video/7"] = gate
    fetch(job(pages, tmp_path), quietly)
    assert (tmp_path / "original").read_bytes() == FILE


def endless(says_its_size):
    def answer(request):
        request.send_response(200)
        if says_its_size:
            request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 65536)
        except OSError:
            request.close_connection = True

    return answer


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_file_beyond_the_limit_is_given_up_early(pages, tmp_path, says_its_size):
    pages.answers["/media/a.mp4"] = endless(says_its_size)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    verdict = verdict_of(job(pages, tmp_path, file_bytes=1_000_000))
    assert isinstance(verdict, Rejected)
    assert verdict.code == "tiktok.too_large"


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_look_takes_only_the_start_of_a_file(pages, tmp_path, says_its_size):
    pages.answers["/media/a.mp4"] = endless(says_its_size)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    fetch(job(pages, tmp_path, only_start=True), quietly)
    assert (tmp_path / "original").stat().st_size < 20_000


def test_a_page_that_never_ends_costs_the_download_its_memory_and_nobody_else(pages, tmp_path):
    pages.answers["/@anna/video/7"] = endless(says_its_size=False)
    verdict = verdict_of(job(pages, tmp_path, memory_bytes=400 << 20), within_seconds=30)
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.page_too_large"


def test_a_file_larger_than_it_may_be_is_stopped_by_the_system_where_our_own_watch_fails(pages, tmp_path, monkeypatch):
    pages.put("/media/a.mp4", b"x" * 2_000_000)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    look = job(pages, tmp_path, only_start=True, file_bytes=5_000)  # a look is not watched
    assert verdict_of(look).code == "tiktok.too_large"


def drip(request):
    """A byte now and then: never silent long enough for a socket timeout, never done."""
    request.send_response(200)
    request.end_headers()
    try:
        request.wfile.write(b"x" * 4096)
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:
        request.close_connection = True


@pytest.mark.parametrize("path", ["/@anna/video/7", "/media/a.mp4"])
def test_an_answer_that_never_ends_is_ended_by_the_deadline(pages, tmp_path, path):
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    pages.answers[path] = drip
    verdict = verdict_of(job(pages, tmp_path), within_seconds=1.5)
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.fetch_timeout"


def test_a_listener_that_gives_up_ends_the_download_with_it(pages, tmp_path):
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    pages.answers["/media/a.mp4"] = drip

    def give_up(_done, _total):
        raise LookupError("the lease is lost")

    with pytest.raises(LookupError, match="lease"):
        fetch(job(pages, tmp_path), give_up)
    assert list(tmp_path.iterdir()) == []


def child(a_job, *flags):
    text = json.dumps({name: getattr(a_job, name) for name in a_job.__slots__})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-I", *flags, str(CHILD), text], **pipes)


def test_the_download_does_not_outlive_the_worker(pages, tmp_path):
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    pages.answers["/media/a.mp4"] = drip
    with child(job(pages, tmp_path)) as running:
        assert b"progress" in running.stdout.readline()
        running.stdin.close()  # as the kernel does when the worker is killed
        assert running.wait(timeout=10) == 1


def test_the_download_warns_of_nothing(pages, tmp_path):
    pages.put("/media/a.mp4", FILE)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    with child(job(pages, tmp_path), "-W", "error") as running:
        said, complaints = running.stdout.read(), running.stderr.read()
    assert b"fetched" in said
    assert complaints == b""


def test_a_failure_that_is_none_of_tiktoks_fails_loudly(pages, tmp_path):
    with pytest.raises(UnreadAnswer, match="no rule reads"):
        fetch(job(pages, tmp_path, video_id="not a number"), quietly)


def test_a_proxy_is_used_unless_the_address_is_excepted(pages, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    pages.put("/media/a.mp4", FILE)
    pages.video({"playAddr": f"{pages.base_url}/media/a.mp4"})
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert verdict_of(job(pages, tmp_path)).code == "tiktok.page_unreachable"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(job(pages, tmp_path), quietly)
    assert (tmp_path / "original").read_bytes() == FILE


def test_the_download_knows_none_of_our_settings(monkeypatch):
    monkeypatch.setenv("AUTOREPOST_TIKTOK_CLIENT_SECRET", "s3cr3t")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    assert "s3cr3t" not in fetching._environment(fetching.os.environ).values()


@pytest.mark.parametrize(
    ("file_url", "www_url", "allowed"),
    [
        ("https://v16-webapp-prime.tiktok.com/video/x", "https://www.tiktok.com", True),
        ("https://v19.tiktokcdn-us.com/x", "https://www.tiktok.com", True),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:8000/tiktok-www", True),
        ("http://v19.tiktokcdn-us.com/x", "https://www.tiktok.com", False),
        ("https://169.254.169.254/latest/meta-data", "https://www.tiktok.com", False),
        ("https://[::1]/x", "https://www.tiktok.com", False),
        ("https://localhost/x", "https://www.tiktok.com", False),
        ("https://postgres/x", "https://www.tiktok.com", False),
        ("https://db.internal/x", "https://www.tiktok.com", False),
        ("file:///etc/passwd", "https://www.tiktok.com", False),
    ],
)
def test_the_page_cannot_send_us_into_our_own_network(file_url, www_url, allowed):
    assert may_fetch(file_url, www_url) is allowed


def test_a_file_address_inside_our_network_is_not_asked(pages, tmp_path):
    pages.video({"playAddr": f"http://localhost:{pages.base_url.rpartition(':')[2]}/media/a.mp4"})
    asked = []
    pages.answers["/media/a.mp4"] = asked.append
    assert verdict_of(job(pages, tmp_path)).code == "tiktok.no_formats"
    assert asked == []
