"""Does one clip become exactly one post, whatever breaks on the way?"""

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from autorepost_app.domain.errors import HandleDead, Operator, PlatformFault, Reconnect, Rejected, TryAgain, WaitUntil
from autorepost_app.platform_kit.protocol import (
    Done,
    KeyKind,
    Live,
    NotDone,
    NotReady,
    PostText,
    Staged,
    Undecided,
    Unknown,
)
from autorepost_app.platforms.x import PLATFORM, destination, uploads

# ------------------------------------------------------------------------------------------------- the way it goes


def test_a_clip_becomes_one_post_with_its_address_and_its_proof(staged: Any, control: Any) -> None:
    assert control.live() == []
    done = staged.commit()
    assert isinstance(done, Done)
    (post,) = control.live()
    assert done.external_id == post["id"]
    assert done.url == post["permalink"]
    assert control.client.get(done.url).status_code == 200
    assert post["text"] == {"text": "Sunday bread, with 🥖 and love"}
    assert post["media"]["sha256"] == staged.delivery.media.sha256
    assert post["same_bytes_uploads"] == 1
    proof = staged.check()
    assert isinstance(proof, Live)
    assert (proof.external_id, proof.url) == (done.external_id, done.url)
    assert staged.find() == proof


def test_the_handles_of_the_upload_are_kept_before_the_call_that_uses_them(publication: Any, control: Any) -> None:
    control.fault("upload.append", "read_error", count=None)
    with pytest.raises(PlatformFault):
        publication.stage_once()
    assert publication.handles["media_key"].endswith(publication.handles["media_id"])
    assert publication.handles["total"] == "130399"
    left = datetime.fromisoformat(publication.handles["media_expires_at"]) - control.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)


def test_labels_of_the_rule_reach_the_post_and_unset_ones_do_not(publish: Callable[..., Any], control: Any) -> None:
    publication = publish(made_with_ai=True, paid_partnership=False, reply_settings="following", other="no")
    publication.stage()
    assert isinstance(publication.commit(), Done)
    (post,) = control.live()
    labels = {name: post["details"].get(name) for name in ("made_with_ai", "paid_partnership", "reply_settings")}
    assert labels == {"made_with_ai": True, "paid_partnership": None, "reply_settings": "following"}


def test_a_clip_without_words_can_be_posted(publish: Callable[..., Any], control: Any) -> None:
    publication = publish(text="")
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert len(control.live()) == 1


def test_a_clip_of_several_segments_arrives_byte_for_byte(
    publish: Callable[..., Any], longer_clip: Any, control: Any
) -> None:
    publication = publish(media=longer_clip)
    publication.stage()
    assert len(control.calls("upload.append")) == 2
    assert publication.handles["segments"] == "2"
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["media"]["sha256"] == longer_clip.sha256
    assert ("Uploading to X", 1.0) in publication.reports


@pytest.mark.parametrize("dialect", ["tweet", "post", "both"])
def test_both_dialects_of_x_lead_to_the_same_post(publication: Any, control: Any, dialect: str) -> None:
    control.settings(dialect=dialect)
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert isinstance(publication.check(), Live)


@pytest.mark.parametrize(
    "caption",
    [
        "👨‍👩‍👧‍👦" * 200,
        "日本語 " * 100,
        "see brand.com " * 40,
        "x" * 279 + "é…",
        "wonderful " * 40 + "https://a.co/" + "b" * 90,
    ],
)
def test_a_fitted_caption_is_short_enough_for_x_itself(publish: Callable[..., Any], caption: str) -> None:
    spec = PLATFORM.destination
    assert spec is not None
    fitted, notes = spec.text.fit(PostText(caption))
    assert notes
    publication = publish(text=fitted.body)
    publication.stage()
    assert isinstance(publication.commit(), Done)


# ------------------------------------------------------------------------------------------------------ processing


def test_processing_is_waited_for_outside(publication: Any, control: Any) -> None:
    control.settings(processing_seconds=40)
    step = publication.stage_once()
    assert isinstance(step, NotReady)
    assert 1 <= step.after_seconds <= 60
    assert isinstance(publication.stage_once(), NotReady)
    control.advance(41)
    assert isinstance(publication.stage_once(), Staged)
    reads = len(control.calls("upload.status"))
    assert isinstance(publication.stage_once(), Staged)
    assert len(control.calls("upload.status")) == reads


def test_a_video_x_cannot_read_is_refused_in_words_a_creator_understands(publication: Any, control: Any) -> None:
    control.settings(processing_seconds=0)
    control.fault("upload.finalize", "processing_failed")
    with pytest.raises(HandleDead) as caught:
        publication.stage()
    verdict = caught.value.verdict
    assert isinstance(verdict, Rejected)
    assert verdict.text == "X could not read this video."
    assert "InvalidMedia" in verdict.detail


def test_processing_that_hangs_with_an_error_is_over(publication: Any, control: Any) -> None:
    control.fault("upload.finalize", "processing_failed", reason="hang")
    with pytest.raises(HandleDead):
        publication.stage()


def test_processing_that_never_ends_is_given_up_after_a_quarter_of_an_hour(publication: Any, control: Any) -> None:
    control.settings(processing_seconds=3600)
    publication.stage_once()
    control.advance(14 * 60)
    assert isinstance(publication.stage_once(), NotReady)
    control.advance(2 * 60)
    with pytest.raises(HandleDead) as caught:
        publication.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)


# -------------------------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize("clip_name", ["clip", "longer_clip"])
def test_a_worker_that_dies_after_any_kept_handle_is_taken_over_from_there(
    publish: Callable[..., Any], control: Any, request: pytest.FixtureRequest, clip_name: str
) -> None:
    """One publication for each place to die; each is finished by a successor that knows the kept handles only."""
    media, deaths = request.getfixturevalue(clip_name), 0
    while (publication := publish(media=media, handle=f"ada{deaths}")).stage_as_if_killed_after(deaths + 1):
        publication.stage()
        assert isinstance(publication.commit(), Done)
        deaths += 1
    assert deaths >= 4
    posts = control.live()
    assert len(posts) == deaths
    assert {post["media"]["sha256"] for post in posts} == {media.sha256}
    assert {post["same_bytes_uploads"] for post in posts} == {1}


def test_a_finalisation_whose_answer_was_lost_is_asked_for_again(publication: Any, control: Any) -> None:
    control.fault("upload.finalize", "commit_then_reset")
    with pytest.raises(PlatformFault):
        publication.stage()
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["same_bytes_uploads"] == 1


def test_an_upload_whose_first_answer_was_lost_starts_anew_and_shows_nothing(publication: Any, control: Any) -> None:
    control.fault("upload.initialize", "commit_then_reset")
    with pytest.raises(PlatformFault):
        publication.stage()
    assert publication.handles == {}
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert len(control.live()) == 1


def test_segments_lost_on_the_way_are_sent_again_from_the_last_proof(
    publish: Callable[..., Any], longer_clip: Any, control: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "KEEP_EVERY_SEGMENTS", 4)
    publication = publish(media=longer_clip)
    control.fault("upload.append", "error", status=413, count=4)
    control.fault("upload.append", "reset_mid_body", after=7)
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    assert 0 < int(publication.handles["segments"]) < 17
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["media"]["sha256"] == longer_clip.sha256


def test_a_doorkeeper_that_wants_small_pieces_gets_smaller_ones(
    publish: Callable[..., Any], longer_clip: Any, control: Any
) -> None:
    publication = publish(media=longer_clip)
    control.fault("upload.append", "error", status=431, body="", count=2)
    publication.stage()
    assert (publication.handles["segment_bytes"], publication.handles["segments"]) == ("262144", "5")
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["media"]["sha256"] == longer_clip.sha256


def test_a_doorkeeper_that_takes_no_piece_at_all_is_tried_later(publication: Any, control: Any) -> None:
    control.fault("upload.append", "error", status=413, count=None)
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    assert caught.value.verdict.code == "x.segment-too-large"


def test_media_that_expired_before_the_post_is_a_dead_handle(staged: Any, control: Any) -> None:
    control.advance(24 * 3600)
    with pytest.raises(HandleDead):
        staged.stage_once()


def test_media_that_ends_within_a_quarter_of_an_hour_is_not_posted_with_any_more(staged: Any, control: Any) -> None:
    left = datetime.fromisoformat(staged.handles["media_expires_at"]) - control.now()
    control.advance(left.total_seconds() - 16 * 60)
    assert isinstance(staged.stage_once(), Staged)
    control.advance(2 * 60)
    with pytest.raises(HandleDead) as caught:
        staged.stage_once()
    assert caught.value.verdict.code == "x.media-expired"


def test_media_made_for_another_file_is_a_dead_handle(publication: Any, longer_clip: Any, control: Any) -> None:
    control.fault("upload.append", "read_error")
    with pytest.raises(PlatformFault):
        publication.stage_once()
    publication.delivery = replace(publication.delivery, media=longer_clip)
    with pytest.raises(HandleDead):
        publication.stage_once()


def test_an_upload_x_forgot_is_a_dead_handle(publication: Any, control: Any) -> None:
    control.fault("upload.append", "read_error")
    with pytest.raises(PlatformFault):
        publication.stage_once()
    publication.handles["media_id"] = "1"
    with pytest.raises(HandleDead) as caught:
        publication.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)


# ------------------------------------------------------------------------------------------------------ the commit

NOTHING_HAPPENED = [
    ("refuse", {}, Unknown, type(None)),
    ("reset_before_body", {}, Unknown, type(None)),
    ("reset_after_body", {}, Unknown, type(None)),
    ("read_error", {"status": 503}, Unknown, type(None)),
    ("rate_limited", {"seconds": 300}, NotDone, WaitUntil),
    ("quota_used_up", {}, NotDone, Operator),
    ("token_revoked", {}, NotDone, Reconnect),
    ("error", {"status": 402, "body": {"title": "CreditsDepleted"}}, NotDone, Operator),
]
DONE_WITHOUT_A_WORD = [
    ("commit_then_reset", {}),
    ("commit_then_500", {}),
    ("ok_without_id", {}),
    ("client_error_although_done", {}),
    ("client_error_although_done", {"status": 409, "body": {"title": "Conflict"}}),
    ("client_error_although_done", {"status": 403, "body": {"title": "Forbidden", "detail": "Something new"}}),
]


@pytest.mark.parametrize(("fault", "more", "outcome", "verdict"), NOTHING_HAPPENED)
def test_a_post_that_did_not_happen_is_never_called_done_nor_found(
    staged: Any, control: Any, fault: str, more: dict[str, Any], outcome: type, verdict: type
) -> None:
    control.fault("tweets.create", fault, **more)
    got = staged.commit()
    assert type(got) is outcome
    assert type(getattr(got, "verdict", None)) is verdict
    assert control.live() == []
    assert staged.delivery.grant.access_token not in repr(got)
    control.heal()
    if fault != "token_revoked":
        assert isinstance(staged.find(), Undecided)


@pytest.mark.parametrize(("fault", "more"), DONE_WITHOUT_A_WORD)
def test_a_post_that_happened_without_a_word_is_unknown_and_then_found(
    staged: Any, control: Any, fault: str, more: dict[str, Any]
) -> None:
    control.fault("tweets.create", fault, **more)
    assert isinstance(staged.commit(), Unknown)
    (post,) = control.live()
    for finding in (staged.check(), staged.find()):
        assert isinstance(finding, Live)
        assert (finding.external_id, finding.url) == (post["id"], post["permalink"])


def test_a_post_slower_than_its_window_is_unknown_and_found_when_it_lands(staged: Any, control: Any) -> None:
    control.fault("tweets.create", "slow", seconds=1.0)
    assert isinstance(staged.commit(timeout_seconds=0.3), Unknown)
    assert isinstance(staged.find(), Undecided)
    assert isinstance(eventually_live(staged), Live)
    assert len(control.live()) == 1


def test_a_post_that_lands_late_is_found_by_a_later_read(staged: Any, control: Any) -> None:
    control.fault("tweets.create", "commit_late", seconds=90)
    assert isinstance(staged.commit(), Unknown)
    assert isinstance(staged.find(), Undecided)
    control.advance(91)
    assert isinstance(eventually_live(staged), Live)


def test_a_platform_that_is_not_there_proves_that_nothing_was_sent(staged: Any, control: Any) -> None:
    api = replace(staged.destination.api, base_url="http://127.0.0.1:1/x-api")
    staged.destination = replace(staged.destination, api=api)
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, TryAgain)
    assert outcome.handle_usable
    assert control.calls("tweets.create") == []


def test_a_window_that_closed_lets_no_byte_out(staged: Any, control: Any) -> None:
    outcome = staged.commit(closed=True)
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, TryAgain)
    assert control.calls("tweets.create") == []


def test_a_rate_limit_waits_for_the_reset_that_x_named(staged: Any, control: Any) -> None:
    control.fault("tweets.create", "rate_limited", seconds=300)
    outcome = staged.commit()
    assert abs(outcome.verdict.at - control.now() - timedelta(seconds=300)) < timedelta(seconds=30)
    assert outcome.handle_usable


def test_a_used_up_day_waits_for_the_day(publish: Callable[..., Any], control: Any) -> None:
    control.settings(posts_per_day=1)
    first, second = publish(handle="ada"), publish(handle="bob")
    for publication in (first, second):
        publication.stage()
    assert isinstance(first.commit(), Done)
    verdict = second.commit().verdict
    assert isinstance(verdict, WaitUntil)
    assert verdict.at > control.now() + timedelta(hours=23)
    assert "daily" in verdict.limit


def test_an_expired_access_token_can_be_cured_by_a_refresh(staged: Any, control: Any) -> None:
    control.advance(7300)
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, Reconnect)
    assert outcome.verdict.refresh_first
    assert outcome.handle_usable


def test_media_that_died_before_the_post_must_be_staged_again(staged: Any, control: Any) -> None:
    staged.handles["media_id"] = "1"
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert not outcome.handle_usable
    assert control.live() == []


def test_the_same_words_twice_are_refused_and_the_other_post_is_not_taken_for_ours(
    publish: Callable[..., Any], longer_clip: Any, control: Any
) -> None:
    first, second = publish(), publish(handle="bob")
    second.delivery = replace(second.delivery, grant=first.delivery.grant, media=longer_clip)
    for publication in (first, second):
        publication.stage()
    assert isinstance(first.commit(), Done)
    assert isinstance(second.commit().verdict, Rejected)
    assert isinstance(second.find(), Undecided)
    assert len(control.live()) == 1


def test_sending_the_same_post_again_is_caught_by_x_and_still_found(staged: Any, control: Any) -> None:
    control.fault("tweets.create", "commit_then_reset")
    assert isinstance(staged.commit(), Unknown)
    assert isinstance(staged.commit(), Unknown)
    assert isinstance(staged.find(), Live)
    assert len(control.live()) == 1


# --------------------------------------------------------------------------------------------------------- the reads


def test_nothing_is_read_before_anything_was_sent(staged: Any, control: Any) -> None:
    assert isinstance(staged.check(), Undecided)
    assert control.calls("timeline") == []


def test_a_read_that_lags_proves_nothing(staged: Any, control: Any) -> None:
    control.fault("tweets.create", "commit_then_reset")
    assert isinstance(staged.commit(), Unknown)
    control.fault("timeline", "read_lag", seconds=3600)
    assert isinstance(staged.find(), Undecided)
    assert isinstance(staged.find(), Live)


def test_a_read_that_fails_says_so(staged: Any, control: Any) -> None:
    staged.commit()
    control.fault("timeline", "read_error", status=503)
    with pytest.raises(PlatformFault) as caught:
        staged.find()
    assert isinstance(caught.value.verdict, TryAgain)


def test_a_key_of_another_kind_with_our_number_is_our_video(staged: Any) -> None:
    staged.commit()
    staged.handles["media_key"] = "7_" + staged.handles["media_id"]
    assert isinstance(staged.find(), Live)


def test_a_miss_costs_nothing_and_a_hit_half_a_cent(publish: Callable[..., Any], control: Any) -> None:
    def bill() -> float:
        return float(control.client.get("/_sandbox/x/bill").json()["total_usd"])

    older = publish(text="an older post")
    older.stage()
    older.commit()
    control.advance(600)
    ours = publish(handle="bob")
    ours.delivery = replace(ours.delivery, grant=older.delivery.grant)
    ours.stage()
    control.fault("tweets.create", "reset_after_body")
    ours.commit()
    before = bill()
    assert isinstance(ours.find(), Undecided)
    assert bill() == before
    ours.commit()
    posted = bill()
    assert isinstance(ours.find(), Live)
    assert bill() - posted == pytest.approx(0.005)


# ------------------------------------------------------------------------------------------------------ the manifest


def test_the_manifest_says_that_only_evidence_can_settle_a_doubt() -> None:
    spec = PLATFORM.destination
    assert spec is not None
    assert spec.key_kind is KeyKind.EVIDENCE_ONLY
    assert spec.reconcile.read_after_seconds == (5, 30, 120, 600, 3600)
    assert spec.reconcile.give_up_after_seconds > 3600
    assert {host.name: host.default_url for host in PLATFORM.hosts} == {
        "WWW": "https://x.com",
        "API": "https://api.x.com",
    }


def test_the_publishing_call_is_written_once_and_nothing_sleeps() -> None:
    source = inspect.getsource(destination)
    assert source.count('"/2/tweets"') == 1
    assert "sleep" not in source


def eventually_live(publication: Any) -> Any:
    deadline = time.monotonic() + 10
    while not isinstance(finding := publication.find(), Live) and time.monotonic() < deadline:
        pass
    return finding
