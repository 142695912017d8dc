"""What TikTok's pages and tokens do on other days than the usual ones, without any client of ours."""

import base64
import hashlib
import json
import re

import pytest


def page(tiktoker, clip, **fields):
    return tiktoker.http.get(tiktoker.post(clip, **fields)["share_url"])


def answers(puzzle_page):
    """The puzzle's number, found as a browser would find it, and the cookie that shows it."""
    mark = re.search(r'id="cs" class="([^"]+)"', puzzle_page)[1]
    puzzle = json.loads(base64.b64decode(mark + "==="))
    prefix, wanted = base64.b64decode(puzzle["v"]["a"]), base64.b64decode(puzzle["v"]["c"])
    found = next(n for n in range(10_000) if hashlib.sha256(prefix + str(n).encode()).digest() == wanted)
    puzzle["d"] = base64.b64encode(str(found).encode()).decode()
    name = re.search(r'id="wci" class="([^"]+)"', puzzle_page)[1]
    return {name: base64.b64encode(json.dumps(puzzle).encode()).decode()}


def test_a_puzzle_solved_once_shows_the_page(tiktoker, clip):
    shown = page(tiktoker, clip, trouble="challenge")
    assert "Please wait" in shown.text
    tiktoker.http.cookies.update(answers(shown.text))
    assert "__UNIVERSAL_DATA_FOR_REHYDRATION__" in tiktoker.http.get(str(shown.url)).text


@pytest.mark.parametrize("cookie", ["", "e30=", "not base64", base64.b64encode(b'{"d": "MQ=="}').decode()])
def test_a_puzzle_that_is_not_solved_stays(tiktoker, clip, cookie):
    shown = page(tiktoker, clip, trouble="challenge")
    again = tiktoker.http.get(str(shown.url), headers={"Cookie": f"_wafchallengeid={cookie}"})
    assert "Please wait" in again.text


def test_a_hard_puzzle_has_no_answer_among_the_numbers(tiktoker, clip):
    with pytest.raises(StopIteration):
        answers(page(tiktoker, clip, trouble="hard_challenge").text)


def test_behind_an_empty_puzzle_there_is_nothing_to_read(tiktoker, clip):
    shown = page(tiktoker, clip, trouble="empty_after_challenge")
    tiktoker.http.cookies.update(answers(shown.text))
    behind = tiktoker.http.get(str(shown.url)).text
    assert "Please wait" not in behind
    assert "__UNIVERSAL_DATA_FOR_REHYDRATION__" not in behind


def test_a_rebuilt_page_plays_its_video_and_says_nothing_of_it(tiktoker, clip):
    shown = page(tiktoker, clip, trouble="other_layout")
    source = re.search(r'<video src="([^"]+)"', shown.text)[1]
    assert tiktoker.http.get(str(shown.url.join(source))).content == clip.read_bytes()
    assert "__UNIVERSAL" not in shown.text


def test_a_trouble_of_the_whole_site_befalls_every_page_and_can_be_ended(control, tiktoker, clip):
    url = tiktoker.post(clip)["share_url"]
    control.settings("tiktok", page_trouble="strange_page")
    assert "__UNIVERSAL" not in tiktoker.http.get(url).text
    control.settings("tiktok", page_trouble=None)
    assert "__UNIVERSAL" in tiktoker.http.get(url).text


def test_guarded_files_are_for_who_comes_from_their_page(control, tiktoker, clip):
    control.settings("tiktok", file_guard=True)
    first, second = (tiktoker.post(clip)["share_url"] for _ in range(2))
    file = f"{first}/download.mp4"
    assert tiktoker.http.get(file, headers={"Referer": first}).status_code == 403, "no cookie"
    tiktoker.http.get(first)
    assert tiktoker.http.get(file).status_code == 403, "from nowhere"
    assert tiktoker.http.get(file, headers={"Referer": second}).status_code == 403, "from another page"
    assert tiktoker.http.get(file, headers={"Referer": first}).status_code == 200


def test_h265_is_offered_beside_h264_and_never_with_a_watermark(tiktoker, clip):
    text = page(tiktoker, clip).text
    data = json.loads(re.search(r'REHYDRATION__" type="application/json">(.*?)</script>', text)[1])
    video = data["__DEFAULT_SCOPE__"]["webapp.video-detail"]["itemInfo"]["itemStruct"]["video"]
    assert [rate["CodecType"] for rate in video["bitrateInfo"]] == ["h264", "bytevc1"]
    assert not any("watermarked" in rate["PlayAddr"]["UrlList"][0] for rate in video["bitrateInfo"])


def test_old_public_posts_are_there_before_anybody_came(control, tiktoker):
    url = tiktoker.host("WWW") + "/@patroxofficial/video/6742501081818877190"
    assert '"statusCode": 0' in tiktoker.http.get(url).text
    start = tiktoker.http.get(f"{url}/download.mp4", headers={"Range": "bytes=0-99"})
    assert (start.status_code, len(start.content)) == (206, 100)
    assert start.headers["Content-Range"].startswith("bytes 0-99/")
    control.settings("tiktok", page_trouble="broken_page")
    assert "Please wait" in tiktoker.http.get(url).text


def test_an_older_tiktok_lets_the_refresh_token_live_on(control, tiktoker):
    control.settings("tiktok", token_profile="classic")
    first = tiktoker.sign_in().token
    for _ in range(2):
        reply = tiktoker.exchange("refresh_token", refresh_token=first["refresh_token"]).json()
        assert reply["refresh_token"] == first["refresh_token"]
    control.advance(31_535_000)
    assert tiktoker.exchange("refresh_token", refresh_token=first["refresh_token"]).status_code == 200
    control.advance(31_537_000)
    assert tiktoker.exchange("refresh_token", refresh_token=first["refresh_token"]).json()["error"] == "invalid_grant"


def test_pinned_videos_come_first_on_the_first_page_and_again_in_their_place(tiktoker, clip):
    tiktoker.sign_in()
    ids = [tiktoker.post(clip, create_time=1_790_000_000 + n, pinned=n == 0)["id"] for n in range(3)]
    first = tiktoker.list("id", max_count=2).json()["data"]
    assert [video["id"] for video in first["videos"]] == [ids[0], ids[2]]
    rest = tiktoker.list("id", max_count=20, cursor=first["cursor"]).json()["data"]
    assert [video["id"] for video in rest["videos"]] == [ids[1], ids[0]]


def test_photo_posts_are_listed_without_a_duration_at_an_address_of_their_own(tiktoker, clip):
    tiktoker.sign_in()
    tiktoker.post(clip, photo=True)
    [video] = tiktoker.list("duration,share_url").json()["data"]["videos"]
    assert video["duration"] == 0
    assert "/photo/" in video["share_url"]
