"""Does a video land on the channel once, whatever breaks on the way, and do we always know?"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import (
    HandleDead,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    WaitUntil,
)
from autorepost_app.platform_kit.protocol import (
    Absent,
    Account,
    Delivery,
    Done,
    Grant,
    Live,
    NotDone,
    NotReady,
    PostText,
    Staged,
    Undecided,
    Unknown,
)
from autorepost_app.platforms.youtube import PLATFORM
from autorepost_app.platforms.youtube.destination import last_part_start, video_resource
from autorepost_app.platforms.youtube.errors import UnreadAnswer

START, PART, LAST, ASK = "session.start", "session.put", "insert.last", "session.query"
KIB_256 = 262_144


def resume(channel: Any) -> Any:
    """Goes on from the kept handles as a new worker would; returns what the last step said."""
    staged = channel.stage()
    return channel.commit() if isinstance(staged, Staged) else staged


def live_once(channel: Any, video_id: str | None = None) -> dict[str, Any]:
    posts = channel.control.live()
    assert len(posts) == 1
    assert video_id in (None, posts[0]["id"])
    assert posts[0]["media"]["sha256"] == channel.delivery.media.sha256
    return dict(posts[0])


# ---------------------------------------------------------------------------------------------------- the main way


def test_a_clip_lands_on_the_channel_as_written(channel: Any) -> None:
    steps: list[tuple[str, float]] = []
    channel.delivery = replace(channel.delivery, report=lambda step, done: steps.append((step, done)))
    channel.stage()
    assert channel.control.live() == []
    outcome = channel.commit()
    assert isinstance(outcome, Done)
    post = live_once(channel, outcome.external_id)
    assert post["visibility"] == "public"
    assert post["text"]["title"] == "Sunday bread"
    assert post["text"]["description"] == "Sunday bread, with 🥖 and love"
    assert set(post["text"]["tags"]) == {channel.delivery.marker, "bread", "slow food"}
    assert post["same_bytes_uploads"] == 1
    assert channel.control.client.get(str(outcome.url), follow_redirects=True).status_code == 200
    assert isinstance(channel.check(), Live)


def test_a_big_file_goes_up_in_portions_and_is_public_only_with_the_last_part(big_channel: Any) -> None:
    fractions: list[float] = []
    big_channel.delivery = replace(big_channel.delivery, report=lambda _step, done: fractions.append(done))
    answers = [big_channel.stage_once()]
    while not isinstance(answers[-1], Staged):
        answers.append(big_channel.stage_once())
    assert len(answers) == 4
    assert all(isinstance(answer, NotReady) and answer.after_seconds == 0 for answer in answers[:-1])
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] < 1
    assert big_channel.control.live() == []
    assert isinstance(big_channel.commit(), Done)
    live_once(big_channel)


def test_with_time_enough_one_call_sends_all_portions(big_channel: Any) -> None:
    big_channel.destination = replace(big_channel.destination, portion_seconds=60.0)
    assert isinstance(big_channel.stage_once(), Staged)
    assert isinstance(big_channel.commit(), Done)


def test_the_chosen_visibility_and_labels_are_sent(channel: Any) -> None:
    options = {"privacy": "unlisted", "made_for_kids": True, "synthetic_media": True, "category": "26"}
    channel.delivery = replace(channel.delivery, options=options)
    assert isinstance(resume(channel), Done)
    post = live_once(channel)
    assert post["visibility"] == "unlisted"
    sent = video_resource(channel.delivery)
    assert sent["status"] == {
        "privacyStatus": "unlisted",
        "selfDeclaredMadeForKids": True,
        "containsSyntheticMedia": True,
        "license": "youtube",
        "embeddable": True,
    }
    assert sent["snippet"]["categoryId"] == "26"


def test_visibility_is_said_even_when_nobody_chose_one(channel: Any) -> None:
    assert video_resource(channel.delivery)["status"]["privacyStatus"] == "public"
    assert video_resource(channel.delivery)["status"]["selfDeclaredMadeForKids"] is False


@pytest.mark.parametrize("options", [{"privacy": "Private"}, {"privacy": None}, {"made_for_kids": "no"}])
def test_an_option_we_cannot_read_is_never_taken_for_public(channel: Any, options: dict[str, object]) -> None:
    channel.delivery = replace(channel.delivery, options=options)
    with pytest.raises(ValueError, match=next(iter(options))):
        channel.stage()
    assert channel.kept == []


@pytest.mark.parametrize(
    ("total", "start"),
    [(1, 0), (KIB_256, 0), (KIB_256 + 1, KIB_256), (2 * KIB_256, KIB_256), (3_555_744, 13 * KIB_256)],
)
def test_the_last_part_is_small_and_never_empty(total: int, start: int) -> None:
    assert last_part_start(total) == start
    assert 0 < total - start <= KIB_256


# ------------------------------------------------------------------------------------------------ breaking off early


def test_the_session_is_kept_before_its_first_byte(big_channel: Any) -> None:
    big_channel.control.fault(PART, "reset_before_body")
    with pytest.raises(PlatformFault) as caught:
        big_channel.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)
    assert set(big_channel.handles) == {"session_uri", "total", "sha256"}
    assert isinstance(resume(big_channel), Done)
    live_once(big_channel)
    assert big_channel.control.calls().count(START) == 1


@pytest.mark.parametrize("fault", ["reset_mid_body", "reset_after_body", "commit_then_reset", "commit_then_500"])
def test_a_portion_that_breaks_is_resumed_where_youtube_says(big_channel: Any, fault: str) -> None:
    big_channel.control.fault(PART, fault, after=1, bytes=300_000)
    assert isinstance(big_channel.stage_once(), NotReady)
    with pytest.raises(PlatformFault) as caught:
        big_channel.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)
    assert isinstance(resume(big_channel), Done)
    live_once(big_channel)


def test_a_worker_that_dies_when_all_is_staged_leaves_nothing_to_repeat(big_channel: Any) -> None:
    big_channel.stage()
    sent = len(big_channel.delivery.media.reads)
    assert isinstance(big_channel.stage_once(), Staged)
    assert len(big_channel.delivery.media.reads) == sent
    assert isinstance(big_channel.commit(), Done)
    live_once(big_channel)


def test_a_lost_start_leaves_nothing_behind(channel: Any) -> None:
    channel.control.fault(START, "commit_then_reset")
    with pytest.raises(PlatformFault):
        channel.stage_once()
    assert channel.kept == []
    assert isinstance(resume(channel), Done)
    live_once(channel)


def test_an_expired_session_is_started_anew_while_no_last_part_was_sent(big_channel: Any) -> None:
    big_channel.stage()
    big_channel.control.fault(ASK, "error", status=404, body="")
    with pytest.raises(HandleDead) as caught:
        big_channel.stage_once()
    assert "upload_id" not in str(caught.value)
    big_channel.handles.clear()
    assert isinstance(resume(big_channel), Done)
    live_once(big_channel)
    assert big_channel.control.calls().count(START) == 2


def test_a_session_lost_between_two_portions_is_asked_about(big_channel: Any) -> None:
    big_channel.stage_once()
    big_channel.control.fault(PART, "error", status=410, body="", after=1)
    with pytest.raises(PlatformFault) as caught:
        big_channel.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)
    assert isinstance(resume(big_channel), Done)
    live_once(big_channel)


def test_another_file_never_continues_an_old_session(big_channel: Any, small_file: Any) -> None:
    big_channel.stage_once()
    big_channel.delivery = replace(big_channel.delivery, media=small_file)
    with pytest.raises(ValueError, match="another file"):
        big_channel.stage_once()


def test_a_portion_that_gets_nowhere_is_not_repeated_for_ever(big_channel: Any) -> None:
    big_channel.control.fault(PART, "error", status=308, body="")
    with pytest.raises(PlatformFault) as caught:
        big_channel.stage_once()
    assert caught.value.verdict.code == "youtube.stuck"


def test_a_session_that_holds_every_byte_is_waited_for(channel: Any) -> None:
    channel.stage()
    full = {"Range": f"bytes=0-{channel.delivery.media.size_bytes - 1}"}
    channel.control.fault(ASK, "error", status=308, body="", headers=full, count=2)
    answer = channel.stage_once()
    assert isinstance(answer, NotReady)
    assert answer.after_seconds > 0
    assert isinstance(channel.check(), Undecided)


def test_an_upload_address_elsewhere_gets_no_token(channel: Any) -> None:
    channel.control.fault(START, "error", status=200, body={}, headers={"Location": "http://127.0.0.1:9/steal?id=S"})
    with pytest.raises(UnreadAnswer, match="not YouTube's") as caught:
        channel.stage_once()
    assert "id=S" not in str(caught.value)
    assert channel.kept == []


@pytest.mark.parametrize(
    ("base", "address", "trusted"),
    [
        ("https://www.googleapis.com", "https://www.googleapis.com/upload?upload_id=1", True),
        ("https://www.googleapis.com", "https://youtube.googleapis.com/upload?upload_id=1", True),
        ("https://www.googleapis.com", "http://www.googleapis.com/upload", False),
        ("https://www.googleapis.com", "https://www.googleapis.com.evil.example/upload", False),
        ("https://www.googleapis.com", "https://www.googleapis.com@evil.example/upload", False),
        ("https://www.googleapis.com", "/upload", False),
        ("https://www.googleapis.com", "", False),
        ("http://127.0.0.1:9/youtube-api", "http://127.0.0.1:9/elsewhere", True),
        ("http://127.0.0.1:9/youtube-api", "https://www.googleapis.com/upload", False),
    ],
)
def test_only_youtubes_own_hosts_are_trusted_with_the_token(
    channel: Any, base: str, address: str, trusted: bool
) -> None:
    destination = replace(channel.destination, api=replace(channel.destination.api, base_url=base))
    if trusted:
        assert destination._trusted(address) == address
    else:
        with pytest.raises(UnreadAnswer):
            destination._trusted(address)


# --------------------------------------------------------------------------------------------- refusals at the start


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "invalidTitle", Rejected),
        (403, "quotaExceeded", WaitUntil),
        (400, "uploadLimitExceeded", WaitUntil),
        (403, "insufficientPermissions", Reconnect),
        (503, "backendError", TryAgain),
    ],
)
def test_a_refusal_at_the_start_says_what_comes_next(channel: Any, status: int, reason: str, kind: type) -> None:
    body = {"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}}
    channel.control.fault(START, "error", status=status, body=body)
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    assert isinstance(caught.value.verdict, kind)
    assert channel.grant.access_token not in str(caught.value)
    assert channel.kept == []


def test_the_hundred_uploads_of_a_day_are_waited_out_until_midnight_pacific(channel: Any) -> None:
    channel.control.fault(START, "quota_used_up")
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert timedelta(0) < verdict.at - utc_now() <= timedelta(hours=25)


def test_youtube_itself_finds_nothing_wrong_with_the_longest_words(channel: Any) -> None:
    spec = PLATFORM.destination
    assert spec is not None
    words = PostText(body="<日本語> 🥖 " * 900, title="🥖<" * 90, tags=tuple(f"slow food {n}" for n in range(90)))
    channel.delivery = replace(channel.delivery, text=spec.text.fit(words)[0])
    assert isinstance(resume(channel), Done)


# ---------------------------------------------------------------------------------------- what the commit may suffer


@pytest.mark.parametrize(
    ("fault", "outcome", "finding"),
    [
        ("refuse", Unknown, Absent),
        ("reset_before_body", Unknown, Absent),
        ("reset_mid_body", Unknown, Absent),
        ("reset_after_body", Unknown, Absent),
        ("commit_then_reset", Unknown, Live),
        ("commit_then_500", Unknown, Live),
        ("ok_without_id", Unknown, Live),
        ("client_error_although_done", Unknown, Live),
        ("rate_limited", NotDone, Absent),
        ("quota_used_up", NotDone, Absent),
        ("read_error", Unknown, Absent),
    ],
)
def test_after_any_fault_of_the_commit_the_session_tells_the_truth(
    big_channel: Any, fault: str, outcome: type, finding: type
) -> None:
    big_channel.stage()
    big_channel.control.fault(LAST, fault)
    assert type(big_channel.commit()) is outcome
    found = big_channel.check()
    assert type(found) is finding
    assert (len(big_channel.control.live()) == 1) == (finding is Live)
    if isinstance(found, Live):
        assert found.external_id == live_once(big_channel)["id"]
        assert big_channel.find() == replace(found, proof="this upload carries our marker")
    else:
        assert found.handle_usable
        assert isinstance(big_channel.find(), Undecided)
    assert isinstance(resume(big_channel), Live if finding is Live else Done)
    live_once(big_channel)


def test_a_slow_commit_is_unknown_and_found_out_afterwards(channel: Any, window: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "slow", seconds=1.0, after_work=True)
    assert isinstance(channel.commit(window(timeout_seconds=0.2)), Unknown)
    found = channel.check()
    assert isinstance(found, Live)
    live_once(channel, found.external_id)


def test_a_commit_that_takes_effect_late_never_makes_a_second_video(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "commit_late", seconds=300)
    assert isinstance(channel.commit(), Unknown)
    assert isinstance(channel.check(), Absent)
    channel.control.advance(301)
    video = channel.control.until_live()
    found = channel.stage_once()
    assert isinstance(found, Live)
    assert found.external_id == video["id"]
    assert channel.check() == found
    live_once(channel)


def test_sending_the_last_part_twice_makes_one_video(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "commit_then_reset")
    assert isinstance(channel.commit(), Unknown)
    assert isinstance(channel.commit(), Done)
    live_once(channel)


def test_missing_bytes_are_told_and_sent(big_channel: Any) -> None:
    big_channel.stage()
    big_channel.control.fault(LAST, "error", status=308, body="", headers={"Range": "bytes=0-262143"})
    outcome = big_channel.commit()
    assert isinstance(outcome, NotDone)
    assert outcome.handle_usable
    assert isinstance(resume(big_channel), Done)
    live_once(big_channel)


def test_a_closed_window_sends_nothing(channel: Any, window: Any) -> None:
    channel.stage()
    calls = len(channel.control.calls())
    outcome = channel.commit(window(closed=True))
    assert isinstance(outcome, NotDone)
    assert len(channel.control.calls()) == calls


def test_an_unreachable_youtube_was_told_nothing(channel: Any, free_port: int) -> None:
    channel.stage()
    gone = f"http://127.0.0.1:{free_port}"
    channel.destination = replace(channel.destination, api=replace(channel.destination.api, base_url=gone))
    channel.handles["session_uri"] = f"{gone}/upload?upload_id=SECRET"
    outcome = channel.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, TryAgain)
    assert "SECRET" not in repr(outcome)


def test_a_dead_token_at_the_commit_publishes_nothing_and_can_be_renewed(channel: Any) -> None:
    channel.stage()
    body = {"error": {"code": 401, "errors": [{"reason": "authError"}], "status": "UNAUTHENTICATED"}}
    channel.control.fault(LAST, "error", status=401, body=body)
    outcome = channel.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, Reconnect)
    assert outcome.verdict.refresh_first
    assert isinstance(resume(channel), Done)
    live_once(channel)


def test_a_grant_taken_back_is_told_when_we_look(channel: Any) -> None:
    channel.control.disconnect("ada")
    for look in (channel.find, channel.check, channel.stage_once):
        with pytest.raises(PlatformFault) as caught:
            look()
        assert isinstance(caught.value.verdict, Reconnect)
        assert channel.grant.access_token not in str(caught.value)


def test_a_file_cut_short_on_disk_is_never_sent_as_the_last_part(channel: Any) -> None:
    channel.stage()
    channel.delivery.media.size_bytes += 10
    calls = len(channel.control.calls())
    with pytest.raises(ValueError, match="10 bytes early"):
        channel.commit()
    assert len(channel.control.calls()) == calls


# -------------------------------------------------------------------------------------------- a session forgotten


def forget_session(channel: Any) -> None:
    channel.control.fault(ASK, "error", status=404, body="", count=None)


def test_a_session_forgotten_at_the_commit_is_not_taken_for_failure(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "error", status=404, body="")
    outcome = channel.commit()
    assert isinstance(outcome, Unknown)
    assert channel.handles["session_uri"] not in repr(outcome)


def test_a_forgotten_session_is_settled_by_the_marker(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "commit_then_reset")
    assert isinstance(channel.commit(), Unknown)
    forget_session(channel)
    found = channel.check()
    assert isinstance(found, Live)
    live_once(channel, found.external_id)
    assert channel.stage_once() == found


def test_a_forgotten_session_without_a_trace_is_left_to_people(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "reset_after_body")
    assert isinstance(channel.commit(), Unknown)
    forget_session(channel)
    assert isinstance(channel.check(), Undecided)


def test_a_session_forgotten_after_a_refusal_is_replaced_once_nothing_can_be_hidden(channel: Any) -> None:
    channel.stage()
    channel.control.fault(LAST, "rate_limited")
    assert isinstance(channel.commit(), NotDone)
    forget_session(channel)
    answer = channel.stage_once()
    assert isinstance(answer, NotReady)
    assert answer.after_seconds > 7000
    later = utc_now() + timedelta(hours=3)
    channel.destination = replace(channel.destination, clock=lambda: later)
    with pytest.raises(HandleDead):
        channel.stage_once()
    channel.handles.clear()
    assert isinstance(resume(channel), Done)
    live_once(channel)


def test_a_refusal_that_was_wrong_never_leads_to_a_second_session(channel: Any) -> None:
    channel.stage()
    body = {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}]}}
    channel.control.fault(LAST, "client_error_although_done", status=403, body=body)
    assert isinstance(channel.commit(), NotDone)
    forget_session(channel)
    later = utc_now() + timedelta(hours=3)
    channel.destination = replace(channel.destination, clock=lambda: later)
    found = channel.stage_once()
    assert isinstance(found, Live)
    live_once(channel, found.external_id)


def test_a_list_that_lags_proves_nothing(channel: Any) -> None:
    assert isinstance(resume(channel), Done)
    channel.control.fault("playlistItems.list", "read_lag", seconds=3600)
    assert isinstance(channel.find(), Undecided)
    assert isinstance(channel.find(), Live)


def test_lost_handles_are_made_up_for_by_the_marker(channel: Any) -> None:
    assert isinstance(resume(channel), Done)
    channel.handles.clear()
    assert isinstance(channel.check(), Live)


def test_a_creators_own_videos_are_never_mistaken_for_ours(channel: Any) -> None:
    for number in range(3):
        other = replace(channel, handles={}, kept=[])
        other.delivery = replace(channel.delivery, marker=f"ar-other-{number}", text=channel.delivery.text)
        assert isinstance(resume(other), Done)
    assert isinstance(channel.find(), Undecided)
    assert isinstance(resume(channel), Done)
    found = channel.find()
    assert isinstance(found, Live)
    assert found.external_id == channel.control.live()[0]["id"]


def test_details_reused_by_the_creator_still_prove_we_are_live(channel: Any) -> None:
    for _ in range(2):
        copy = replace(channel, handles={}, kept=[])
        assert isinstance(resume(copy), Done)
    found = channel.find()
    assert isinstance(found, Live)
    assert found.external_id is None
    assert found.url == channel.grant.account.url


def test_a_channel_connected_without_its_playlist_is_asked_for_it(channel: Any) -> None:
    assert isinstance(resume(channel), Done)
    bare = Account(channel.grant.account.external_id, "ada")
    channel.delivery = replace(channel.delivery, grant=replace(channel.grant, account=bare))
    assert isinstance(channel.find(), Live)


# --------------------------------------------------------------------------------------------------- afterwards


def test_no_secret_shows_in_what_is_printed(channel: Any) -> None:
    channel.stage()
    shown = [repr(channel.grant), repr(channel.delivery), repr(channel.commit()), repr(channel.check())]
    for secret in (channel.grant.access_token, channel.handles["session_uri"]):
        assert all(secret not in text for text in shown)
    spec = PLATFORM.destination
    assert spec is not None
    assert "session_uri" in spec.secret_handles
    assert isinstance(channel.delivery, Delivery)
    assert isinstance(channel.grant, Grant)
