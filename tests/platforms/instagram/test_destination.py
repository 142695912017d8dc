"""One Reel through the sandbox Instagram: staged, interrupted, committed under every fault, found again, live once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autorepost_app.domain.errors import (
    HandleDead,
    Operator,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    UserError,
    WaitUntil,
)
from autorepost_app.platform_kit.protocol import (
    Absent,
    Done,
    Live,
    NotDone,
    NotReady,
    PostText,
    Staged,
    Undecided,
    Unknown,
)

CREATE, STATUS, PUBLISH = "container.create", "container.status", "media_publish"
LIST, UPLOAD = "media.list", "rupload"
HOUR = 3600.0


# --------------------------------------------------------------------------------------------------------- the main way


def test_a_clip_becomes_one_live_reel(publication: Any, control: Any, clip: Any) -> None:
    publication.stage()
    outcome = publication.commit()

    [reel] = control.live()
    assert outcome == Done(reel["id"])
    assert reel["media"]["sha256"] == clip.sha256
    assert publication.check() == Live(
        f"container {publication.handles['container_id']} is PUBLISHED", url=publication.delivery.grant.account.url
    )
    found = publication.find()
    assert isinstance(found, Live)
    assert (found.external_id, found.url) == (reel["id"], reel["permalink"])


def test_the_creators_choices_and_words_arrive(publish_as: Callable[..., Any], control: Any) -> None:
    publication = publish_as("instagram", body="First line\n\n日本語 🥖 & more = fun")
    publication.delivery = replace(
        publication.delivery, options={"share_to_feed": False, "is_ai_generated": True, "thumb_offset_ms": 500}
    )
    publication.stage()
    publication.commit()
    [reel] = control.live()
    assert reel["text"]["caption"] == "First line\n\n日本語 🥖 & more = fun"


def test_the_container_is_on_disk_before_anything_uses_it(
    publication: Any, control: Any, crash: type[Exception]
) -> None:
    publication.crash_after_keeping = "container_id"
    with pytest.raises(crash):
        publication.stage_once()
    assert STATUS not in control.calls()
    assert UPLOAD not in control.calls()


# -------------------------------------------------------------------------------------------------------- interruptions


def test_staging_goes_on_from_the_kept_container_after_a_crash(
    publication: Any, control: Any, crash: type[Exception]
) -> None:
    publication.crash_after_keeping = "container_id"
    with pytest.raises(crash):
        publication.stage_once()
    publication.stage()
    publication.commit()
    assert control.calls().count(CREATE) == 1
    assert len(control.live()) == 1


def test_a_crash_after_the_upload_does_not_upload_again(
    publish_as: Callable[..., Any], control: Any, crash: type[Exception]
) -> None:
    publication = publish_as("facebook")
    publication.crash_after_keeping = "uploaded_at"
    with pytest.raises(crash):
        publication.stage()
    publication.stage()
    assert control.calls().count(UPLOAD) == 1


def test_a_crash_between_the_upload_and_its_note_asks_how_much_arrived(
    publish_as: Callable[..., Any], control: Any, clip: Any, crash: type[Exception]
) -> None:
    publication = publish_as("facebook")
    publication.crash_after_keeping = "uploaded_at"
    with pytest.raises(crash):
        publication.stage()
    del publication.handles["uploaded_at"]
    publication.stage()
    publication.commit()
    assert clip.reads == [0]
    assert len(control.live()) == 1


def test_an_upload_cut_in_the_middle_goes_on_where_it_stopped(
    publish_as: Callable[..., Any], control: Any, clip: Any
) -> None:
    publication = publish_as("facebook")
    control.fault(UPLOAD, "reset_mid_body", bytes=50_000)
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    publication.stage()
    publication.commit()
    assert clip.reads[0] == 0
    assert 0 < clip.reads[1] <= 50_000
    [reel] = control.live()
    assert reel["media"]["sha256"] == clip.sha256


def test_the_bar_of_an_upload_ends_full(publish_as: Callable[..., Any]) -> None:
    publication, told = publish_as("facebook"), []
    publication.delivery = replace(publication.delivery, report=lambda step, part: told.append((step, part)))
    publication.stage()
    assert told[-1] == ("upload", 1.0)
    assert told == sorted(told)


@pytest.mark.parametrize("call", [CREATE, STATUS])
@pytest.mark.parametrize("fault", ["refuse", "reset_before_body", "reset_after_body", "read_error"])
def test_a_passing_fault_while_staging_costs_only_a_repeat(
    publication: Any, control: Any, call: str, fault: str
) -> None:
    control.fault(call, fault)
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    publication.stage()
    publication.commit()
    assert len(control.live()) == 1


def test_a_lost_container_id_leaves_nothing_behind_that_anyone_sees(publication: Any, control: Any) -> None:
    control.fault(CREATE, "commit_then_reset")
    with pytest.raises(PlatformFault):
        publication.stage()
    publication.stage()
    publication.commit()
    assert control.calls().count(CREATE) == 2
    assert len(control.live()) == 1


# ------------------------------------------------------------------------------------------------- containers that fail


def test_a_container_that_failed_for_its_format_is_dead_and_says_why(
    publish_as: Callable[..., Any], control: Any
) -> None:
    publication = publish_as("instagram")
    control.fault(CREATE, "processing_failed", reason="2207026")
    with pytest.raises(HandleDead) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Rejected)
    assert "format" in caught.value.verdict.text


def test_a_container_not_published_within_a_day_is_dead_and_a_new_one_works(publication: Any, control: Any) -> None:
    publication.stage()
    control.advance(25 * HOUR)
    with pytest.raises(HandleDead) as caught:
        publication.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)
    publication.handles.clear()
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert len(control.live()) == 1


def test_staging_a_container_that_is_already_live_says_so_and_makes_no_other(staged: Any, control: Any) -> None:
    staged.commit()
    assert isinstance(staged.stage_once(), Live)
    assert isinstance(staged.check(), Live)
    assert len(control.live()) == 1


GONE = {
    "error": {"message": "Unsupported get request.", "type": "GraphMethodException", "code": 100, "error_subcode": 33}
}


def test_an_unreadable_container_is_asked_again_and_given_up_after_two_minutes(staged: Any, control: Any) -> None:
    control.fault(STATUS, "error", status=400, body=GONE, count=None)
    with pytest.raises(PlatformFault) as caught:
        staged.stage_once()
    assert not isinstance(caught.value, HandleDead)
    control.advance(150)
    with pytest.raises(HandleDead):
        staged.stage_once()


def test_after_a_send_an_unreadable_container_is_never_given_up_before_it_expires(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "reset_after_body")
    staged.commit()
    control.fault(STATUS, "error", status=400, body=GONE, count=None)
    control.advance(24 * HOUR)
    with pytest.raises(PlatformFault) as caught:
        staged.stage_once()
    assert not isinstance(caught.value, HandleDead)
    control.advance(2 * HOUR)
    with pytest.raises(HandleDead):
        staged.stage_once()


def test_a_container_that_never_gets_ready_is_replaced(publish_as: Callable[..., Any], control: Any) -> None:
    publication = publish_as("instagram")
    working = {"id": "1", "status_code": "IN_PROGRESS", "status": "In Progress"}
    control.fault(STATUS, "error", status=200, body=working, count=None)
    assert publication.stage_once() == NotReady("Instagram is working on the video.", 1.0)
    control.advance(31 * 60)
    with pytest.raises(HandleDead) as caught:
        publication.stage_once()
    assert caught.value.verdict.code == "instagram.stuck"


def test_an_address_that_instagram_cannot_fetch_is_tried_again(publish_as: Callable[..., Any], control: Any) -> None:
    publication = publish_as("instagram")
    publication.delivery = replace(
        publication.delivery, media=replace(publication.delivery.media, base_url="http://127.0.0.1:9")
    )
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    assert "signature=abc" not in str(caught.value)


def test_no_public_address_is_for_the_operator_to_set_right(publish_as: Callable[..., Any]) -> None:
    publication = publish_as("instagram")

    class Private(type(publication.delivery.media)):  # type: ignore[misc]
        def public_url(self, ttl_seconds: float) -> str:
            raise UserError("PUBLIC_URL is not public.", remedy="Set PUBLIC_URL to an https address.")

    media = publication.delivery.media
    publication.delivery = replace(publication.delivery, media=Private(media.path, media.base_url, media.facts))
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Operator)
    assert caught.value.verdict.remedy == "Set PUBLIC_URL to an https address."


def test_bytes_and_token_go_only_to_the_upload_host_we_were_set_up_with(
    publish_as: Callable[..., Any], control: Any, crash: type[Exception]
) -> None:
    publication = publish_as("facebook")
    publication.crash_after_keeping = "container_id"
    with pytest.raises(crash):
        publication.stage()
    publication.handles["rupload_uri"] = "http://169.254.169.254/ig-api-upload/1"
    publication.stage()
    assert control.calls().count(UPLOAD) == 1


# ---------------------------------------------------------------------------------------------- the commit under faults


@pytest.mark.parametrize(
    ("fault", "lives"),
    [
        ("refuse", False),
        ("reset_before_body", False),
        ("reset_after_body", False),
        ("commit_then_reset", True),
        ("commit_then_500", True),
        ("ok_without_id", True),
        ("client_error_although_done", True),
        ("rate_limited", False),
    ],
)
def test_every_unclear_answer_to_the_commit_is_settled_by_the_container(
    publication: Any, control: Any, fault: str, lives: bool
) -> None:
    publication.stage()
    control.fault(PUBLISH, fault)
    assert isinstance(publication.commit(), Unknown)

    assert len(control.live()) == int(lives)
    finding, found = publication.check(), publication.find()
    if lives:
        [reel] = control.live()
        assert isinstance(finding, Live)
        assert isinstance(found, Live)
        assert found.external_id == reel["id"]
    else:
        assert isinstance(finding, Absent)
        assert finding.handle_usable
        assert isinstance(found, Undecided)
        assert isinstance(publication.stage_once(), Staged)
        assert isinstance(publication.commit(), Done)
    assert len(control.live()) == 1


def test_a_platform_that_is_not_there_took_nothing(staged: Any, control: Any) -> None:
    graph = staged.destination.graphs["instagram"]
    nowhere = replace(graph, api=replace(graph.api, base_url="http://127.0.0.1:9"))
    staged.destination = replace(staged.destination, graphs={"instagram": nowhere})
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert outcome.handle_usable
    assert control.live() == []


def test_an_answer_slower_than_the_window_leaves_it_open(staged: Any, control: Any, window: Any) -> None:
    control.fault(PUBLISH, "slow", seconds=1.0, after_work=True)
    assert isinstance(staged.commit(window(timeout_seconds=0.3)), Unknown)
    assert isinstance(staged.check(), Live)


def test_a_commit_that_arrives_late_is_seen_by_a_later_read(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "commit_late", seconds=300)
    assert isinstance(staged.commit(), Unknown)
    assert isinstance(staged.check(), Absent), "which is why the caller waits out the quiet time before believing it"
    control.advance(301)
    wait_for(control.live)
    assert isinstance(staged.check(), Live)
    assert len(control.live()) == 1


def wait_for(condition: Callable[[], Any]) -> None:
    for _ in range(2000):
        if condition():
            return
    raise AssertionError("never happened")


def test_a_closed_window_sends_nothing(staged: Any, control: Any, window: Any) -> None:
    outcome = staged.commit(window(closed=True))
    assert isinstance(outcome, NotDone)
    assert PUBLISH not in control.calls()


def test_a_commit_without_a_container_sends_nothing(staged: Any, control: Any) -> None:
    staged.handles.clear()
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert not outcome.handle_usable
    assert PUBLISH not in control.calls()


def test_the_daily_number_used_up_waits_and_keeps_the_container(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "quota_used_up")
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, WaitUntil)
    assert outcome.handle_usable
    assert isinstance(staged.commit(), Done)
    assert len(control.live()) == 1


def test_a_revoked_grant_published_nothing_and_asks_to_reconnect(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "token_revoked")
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, Reconnect)
    assert staged.delivery.grant.access_token not in repr(outcome)
    with pytest.raises(PlatformFault) as caught:
        staged.check()
    assert isinstance(caught.value.verdict, Reconnect)
    assert control.live() == []


def test_a_restricted_account_published_nothing_and_the_creator_must_act(staged: Any, control: Any) -> None:
    restricted = {"error": {"message": "restricted", "code": 25, "error_subcode": 2207050}}
    control.fault(PUBLISH, "error", status=400, body=restricted)
    outcome = staged.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, Rejected)
    assert control.live() == []


def test_a_grant_revoked_during_the_upload_asks_to_reconnect(publish_as: Callable[..., Any], control: Any) -> None:
    publication = publish_as("facebook")
    control.fault(UPLOAD, "token_revoked")
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Reconnect)
    assert publication.delivery.grant.access_token not in str(caught.value)


def test_a_trial_reel_that_is_not_allowed_names_the_switch(publish_as: Callable[..., Any]) -> None:
    publication = publish_as("instagram", trial_reels=False)
    publication.delivery = replace(publication.delivery, options={"trial_reel": "MANUAL"})
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Rejected)
    assert "Trial Reel" in caught.value.verdict.remedy


# ----------------------------------------------------------------------------------------------------- finding it again


def test_an_unknown_container_proves_nothing(staged: Any) -> None:
    staged.handles.clear()
    assert isinstance(staged.check(), Undecided)
    assert isinstance(staged.find(), Undecided)


def test_an_unreadable_container_proves_nothing(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "commit_then_reset")
    staged.commit()
    control.fault(STATUS, "error", status=400, body=GONE, count=2)
    assert isinstance(staged.check(), Undecided)
    assert isinstance(staged.find(), Undecided), "the list alone could show a sibling with the same words"
    assert isinstance(staged.check(), Live)


def test_a_container_that_expired_unpublished_is_proof_of_absence(staged: Any, control: Any) -> None:
    control.fault(PUBLISH, "reset_after_body")
    assert isinstance(staged.commit(), Unknown)
    control.advance(24.5 * HOUR)
    assert staged.check() == Absent(f"container {staged.handles['container_id']} is EXPIRED", handle_usable=False)


def test_two_posts_with_the_same_words_leave_the_id_open(staged: Any, control: Any) -> None:
    first_handles = dict(staged.handles)
    staged.handles.clear()
    staged.stage()
    assert isinstance(staged.commit(), Done)
    staged.handles = first_handles
    assert isinstance(staged.commit(), Done)
    found = staged.find()
    assert isinstance(found, Live)
    assert found.external_id is None
    assert found.url == staged.delivery.grant.account.url


def test_other_words_and_older_posts_are_not_ours(staged: Any, control: Any) -> None:
    other = replace(staged, handles={}, kept=[], delivery=replace(staged.delivery, text=PostText(body="Monday bread")))
    other.stage()
    other.commit()
    older = replace(staged, handles={}, kept=[])
    older.stage()
    older.commit()
    control.advance(HOUR)
    staged.commit()
    ids = {reel["id"] for reel in control.live()}
    assert len(ids) == 3
    found = staged.find()
    assert isinstance(found, Live)
    assert found.external_id in ids - {other.find().external_id, older.find().external_id}


def test_a_list_that_lags_leaves_the_id_open_but_not_the_proof(staged: Any, control: Any) -> None:
    staged.commit()
    control.fault(LIST, "read_lag", seconds=600)
    found = staged.find()
    assert isinstance(found, Live)
    assert found.external_id is None


def test_a_list_that_fails_cannot_make_a_live_post_look_doubtful(staged: Any, control: Any) -> None:
    staged.commit()
    control.fault(LIST, "read_error")
    assert isinstance(staged.find(), Live)


def test_the_posts_left_today_are_asked_of_instagram(staged: Any, control: Any) -> None:
    before = staged.destination.allowance(staged.delivery.grant)
    staged.commit()
    after = staged.destination.allowance(staged.delivery.grant)
    assert (before.limit, before.remaining) == (50, 50)
    assert (after.limit, after.remaining) == (50, 49)
