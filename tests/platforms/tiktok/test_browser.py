"""The second way to a file: where the page cannot be read, a browser plays it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autorepost_app.domain.errors import PlatformFault, Rejected, TryAgain
from autorepost_app.platforms.tiktok import PLATFORM, errors
from autorepost_app.platforms.tiktok import fetch as fetching
from autorepost_app.platforms.tiktok.fetch import FetchJob, fetch

CLIP = (Path(__file__).parents[2] / "media" / "gradio_a_1080p30.mp4").read_bytes()


def quietly(_done, _total): ...


def job(tiktok, made, tmp_path, **changes):
    return replace(FetchJob(tiktok.www_url, tiktok.handle, made["id"], str(tmp_path / "o")), see_seconds=1.0, **changes)


def refused(a_job, **how):
    with pytest.raises(PlatformFault) as caught:
        fetch(a_job, quietly, **how)
    assert list(Path(a_job.target).parent.iterdir()) == []
    return caught.value.verdict


def test_a_page_that_only_a_browser_understands_gives_its_file(tiktok, browser, tmp_path):
    tiktok.settings(file_guard=True)
    made, steps = tiktok.post(trouble="other_layout"), []
    fetched = fetch(job(tiktok, made, tmp_path), lambda done, total: steps.append((done, total)))
    assert (tmp_path / "o").read_bytes() == CLIP
    assert [path.name for path in tmp_path.iterdir()] == ["o"]
    assert (fetched.full_caption, fetched.format_id) == (None, "played")
    assert steps[-1] == (len(CLIP), len(CLIP))


def test_a_download_takes_the_second_way_by_itself(tiktok, browser, tmp_path):
    tiktok.post(trouble="other_layout")
    grant = tiktok.grant()
    [post] = tiktok.parts.source.list_posts(grant).posts
    downloaded = tiktok.parts.source.download(grant, post, tmp_path / "o", quietly)
    assert downloaded.size_bytes == len(CLIP)
    assert tiktok.asked()[-4:] == ["video.page", "video.page", "video.download", "video.cover"]


def test_a_browser_that_solves_the_puzzle_reads_the_caption_too(tiktok, browser, tmp_path):
    made = tiktok.post(trouble="challenge", description="The whole caption. " * 20)
    tiktok.fault("video.page", "error", status=200, body="<html>nothing</html>")
    fetched = fetch(job(tiktok, made, tmp_path), quietly)
    assert fetched.format_id == "played"
    assert fetched.full_caption == made["description"]


def test_a_page_that_is_read_needs_no_browser(tiktok, browser, tmp_path):
    assert fetch(job(tiktok, tiktok.post(), tmp_path), quietly).format_id != "played"


@pytest.mark.parametrize(
    ("trouble", "code"),
    [("login_wall", "login_required"), ("sensitive", "age_restricted"), ("ip_blocked", "ip_blocked")],
)
def test_what_the_browser_finds_out_about_the_post_decides(tiktok, browser, tmp_path, trouble, code):
    made = tiktok.post(trouble=trouble)
    tiktok.fault("video.page", "error", status=200, body="<html>nothing</html>")
    verdict = refused(job(tiktok, made, tmp_path))
    if trouble == "ip_blocked":
        assert verdict.code == "tiktok.page_unexpected"
        assert "tiktok.ip_blocked" in verdict.detail
    else:
        assert (type(verdict), verdict.code) == (Rejected, f"tiktok.{code}")


def test_a_private_post_seen_by_the_browser_is_rejected(tiktok, browser, tmp_path):
    made = tiktok.post(private=True)
    tiktok.fault("video.page", "error", status=200, body="<html>nothing</html>")
    assert refused(job(tiktok, made, tmp_path)).code == "tiktok.private_post"


def test_where_both_ways_fail_both_are_told(tiktok, browser, tmp_path):
    verdict = refused(job(tiktok, tiktok.post(trouble="strange_page"), tmp_path))
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.page_unexpected"
    assert verdict.code in PLATFORM.source.chain_codes
    assert "a browser: The browser plays nothing (tiktok.browser_saw_nothing)" in verdict.detail


@pytest.mark.parametrize("trouble", ["ip_blocked", "watermarked_only", "login_wall"])
def test_a_browser_is_not_started_for_what_it_cannot_help(tiktok, browser, tmp_path, trouble):
    made, asked = tiktok.post(trouble=trouble), len(tiktok.asked())
    refused(job(tiktok, made, tmp_path))
    assert tiktok.asked()[asked:].count("video.page") == 1


def test_a_file_that_is_cut_or_too_large_is_no_file(tiktok, browser, tmp_path):
    made = tiktok.post(trouble="other_layout")
    assert refused(job(tiktok, made, tmp_path, file_bytes=1000)).code == "tiktok.too_large"
    tiktok.fault("video.download", "truncated", bytes=50_000, count=None)
    assert refused(job(tiktok, made, tmp_path)).code == "tiktok.file_cut_short"


def test_a_look_through_the_browser_takes_only_the_start(tiktok, browser, tmp_path):
    fetch(job(tiktok, tiktok.post(trouble="other_layout"), tmp_path, only_start=True, file_bytes=1), quietly)


def test_a_machine_without_a_browser_says_so_in_words(tiktok, tmp_path):
    verdict = refused(job(tiktok, tiktok.post(trouble="other_layout"), tmp_path))
    assert verdict.code == "tiktok.page_unexpected"
    assert "no Chromium is installed" in verdict.detail


def test_a_browser_that_does_not_start_is_no_bug(tiktok, tmp_path, monkeypatch):
    dud = tmp_path / "bin" / "chromium"
    dud.parent.mkdir()
    dud.write_text("#!/bin/sh\nexit 1\n")
    dud.chmod(0o755)
    monkeypatch.setenv("PATH", str(dud.parent))
    (tmp_path / "out").mkdir()
    verdict = refused(job(tiktok, tiktok.post(trouble="other_layout"), tmp_path / "out"))
    assert verdict.code == "tiktok.page_unexpected"
    assert "tiktok.browser_failed" in verdict.detail


def family(pid):
    """Everybody in the group of a process but itself."""
    return [each for each in psutil.process_iter() if each.pid != pid and group(each.pid) == pid]


def group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_a_browser_never_outlives_the_worker(tiktok, browser, tmp_path):
    made, asked = tiktok.post(trouble="strange_page"), len(tiktok.asked())
    wanted = {
        "page_url": f"{tiktok.www_url}/@{tiktok.handle}/video/{made['id']}",
        "target": str(tmp_path / "o"),
        "file_bytes": 1 << 30,
        "see_seconds": 60.0,
        "only_start": False,
        "browser": browser,
        "profile": str(tmp_path / "profile"),
    }
    script = Path(fetching.__file__).with_name("browser_child.py")
    arguments = [sys.executable, "-I", str(script), json.dumps(wanted)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as running:
        try:
            eventually(lambda: "video.page" in tiktok.asked()[asked:])
            assert family(running.pid)
            running.stdin.close()  # as the kernel does when the worker is killed
            assert running.wait(timeout=10) == 1
            eventually(lambda: not family(running.pid))
        finally:
            if family(running.pid):
                os.killpg(running.pid, signal.SIGKILL)


def eventually(holds):
    give_up_at = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_a_browser_that_hangs_is_ended_with_everything_it_started(tiktok, browser, tmp_path):
    made = tiktok.post(trouble="strange_page")
    with pytest.raises(PlatformFault) as caught:
        fetching._by_playing(replace(job(tiktok, made, tmp_path), see_seconds=60.0), browser, quietly, 1.0)
    assert caught.value.verdict.code == "tiktok.fetch_timeout"
    assert list(tmp_path.iterdir()) == []
    eventually(lambda: not [each for each in psutil.process_iter(["cmdline"]) if led_in(each, tmp_path)])


def led_in(process, folder):
    return any(str(folder) in argument for argument in process.info["cmdline"] or ())


def played_from(pages, tmp_path, source):
    """A page that nobody can read, which plays this."""
    page = f'<video src="{source}" autoplay muted></video>'
    pages.put("/@anna/video/7", page, **{"Content-Type": "text/html"})
    return FetchJob(pages.base_url, "anna", "7", str(tmp_path / "o"), see_seconds=1.0)


def test_a_page_sees_a_browser_like_any_other(pages, browser, tmp_path):
    agents = []
    wanted = played_from(pages, tmp_path, "/media/a.mp4")
    show = pages.answers["/@anna/video/7"]
    pages.put("/media/a.mp4", CLIP, **{"Content-Type": "video/mp4"})

    def look(request):
        agents.append(request.headers["User-Agent"])
        show(request)

    pages.answers["/@anna/video/7"] = look
    fetch(wanted, quietly)
    assert (tmp_path / "o").read_bytes() == CLIP
    assert "Chrome/" in agents[-1]
    assert not [agent for agent in agents if "Headless" in agent]


def test_a_part_of_a_file_is_not_taken_for_the_file(pages, browser, tmp_path):
    part = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-999/{len(CLIP)}"}
    pages.put("/media/a.mp4", CLIP[:1000], 206, **part)
    verdict = refused(played_from(pages, tmp_path, "/media/a.mp4"))
    assert "tiktok.browser_saw_nothing" in verdict.detail


def test_a_whole_file_in_answer_to_a_question_for_a_part_is_taken(pages, browser, tmp_path):
    whole = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"}
    pages.put("/media/a.mp4", CLIP, 206, **whole)
    fetch(played_from(pages, tmp_path, "/media/a.mp4"), quietly)
    assert (tmp_path / "o").read_bytes() == CLIP


def test_what_a_page_plays_from_another_host_without_tls_is_not_kept(pages, browser, tmp_path):
    pages.put("/media/a.mp4", CLIP, **{"Content-Type": "video/mp4"})
    elsewhere = pages.base_url.replace("127.0.0.1", "localhost")
    verdict = refused(played_from(pages, tmp_path, f"{elsewhere}/media/a.mp4"))
    assert "tiktok.browser_saw_nothing" in verdict.detail


def test_only_what_a_browser_can_help_is_of_the_whole_chain():
    assert errors.BROWSER_MAY_HELP <= errors.CHAIN_CODES
