"""What follows a publication: is it done once, told in words when it cannot be, and can it never undo the post?"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, WaitUntil
from autorepost_app.platform_kit.protocol import Live
from autorepost_app.platforms.youtube.limits import COVER_LIMIT_BYTES
from autorepost_app.platforms.youtube.rules import OF_CALL

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 50
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 50


@pytest.fixture
def published(playlist_channel: Any) -> Any:
    """A video that YouTube has processed; its id is in `video`."""
    channel = playlist_channel
    channel.video = channel.publish()
    channel.later(60)
    return channel


def has_cover(channel: Any) -> bool:
    return bool(channel.control.live()[0]["details"]["has_thumbnail"])


def calls(channel: Any, name: str) -> int:
    return int(channel.control.calls().count(name))


def test_with_nothing_chosen_there_is_nothing_to_do(published: Any) -> None:
    assert published.finish(published.video) == ()
    assert published.control.entries() == []
    assert not has_cover(published)


# ------------------------------------------------------------------------------------------------------- playlists


def test_a_video_is_added_to_its_playlist_once_however_often_it_is_finished(published: Any) -> None:
    published.choose(playlist=published.control.playlist("Bread"))
    for _ in range(3):
        assert published.finish(published.video) == ()
    assert published.control.entries() == [published.video]
    assert calls(published, "playlistItems.insert") == 1


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_500"])
def test_an_addition_whose_answer_was_lost_is_not_made_again(published: Any, fault: str) -> None:
    published.choose(playlist=published.control.playlist("Bread"))
    published.control.fault("playlistItems.insert", fault)
    with pytest.raises(PlatformFault) as caught:
        published.finish(published.video)
    assert isinstance(caught.value.verdict, TryAgain)
    assert published.finish(published.video) == ()
    assert published.control.entries() == [published.video]


def test_a_list_that_got_lost_adds_nothing(published: Any) -> None:
    published.choose(playlist=published.control.playlist("Bread"))
    published.control.fault("playlistItems.list", "error", status=200, body="<html>")
    with pytest.raises(PlatformFault):
        published.finish(published.video)
    assert published.control.entries() == []


def test_without_the_permission_nothing_is_asked_and_the_remedy_is_told(channel: Any) -> None:
    channel.video = channel.publish()
    channel.later(60)
    channel.choose(playlist=channel.control.playlist("Bread"))
    (note,) = channel.finish(channel.video)
    assert "without the permission to manage playlists" in note
    assert "Connect again" in note
    assert calls(channel, "playlistItems.list") == 0


def test_a_permission_taken_back_at_google_is_a_note_and_no_disconnection(channel: Any) -> None:
    channel.video = channel.publish()
    channel.later(60)
    channel.choose(playlist=channel.control.playlist("Bread"))
    wide = replace(channel.grant, scopes=channel.grant.scopes | {"https://www.googleapis.com/auth/youtube"})
    channel.delivery = replace(channel.delivery, grant=wide)
    (note,) = channel.finish(channel.video)
    assert "Connect again" in note
    assert calls(channel, "playlistItems.insert") == 1


def test_a_playlist_that_is_gone_or_somebody_elses_is_a_note(published: Any) -> None:
    published.choose(playlist="PLgoneforever")
    (note,) = published.finish(published.video)
    assert "no longer there" in note
    published.control.account("noa")
    theirs = published.control.playlist("Theirs", "noa")
    published.choose(playlist=theirs)
    (note,) = published.finish(published.video)
    assert "not one of this channel" in note


# ----------------------------------------------------------------------------------------------------------- covers


@pytest.mark.parametrize("picture", [JPEG, PNG])
def test_a_cover_is_set_when_the_video_is_processed(published: Any, picture: bytes) -> None:
    for _ in range(2):
        assert published.finish(published.video, picture) == ()
    assert has_cover(published)


def test_a_cover_waits_for_processing_and_everything_else_does_not(playlist_channel: Any) -> None:
    channel = playlist_channel
    channel.control.settings(processing_seconds=300)
    channel.video = channel.publish()
    channel.choose(playlist=channel.control.playlist("Bread"))
    waits = []
    for _ in range(3):
        with pytest.raises(PlatformFault) as caught:
            channel.finish(channel.video, JPEG)
        verdict = caught.value.verdict
        assert isinstance(verdict, TryAgain)
        assert verdict.code == "youtube.processing"
        waits.append(verdict.after_seconds)
        channel.later(90)
    assert waits == [10.0, pytest.approx(45, abs=5), 60.0]
    assert channel.control.entries() == [channel.video]
    assert calls(channel, "thumbnails.set") == 0
    channel.later(60)
    assert channel.finish(channel.video, JPEG) == ()
    assert has_cover(channel)


def test_after_an_hour_the_creator_is_told_instead(playlist_channel: Any) -> None:
    channel = playlist_channel
    channel.control.settings(processing_seconds=10**6)
    video = channel.publish()
    channel.control.advance(60)
    clock = channel.destination.clock
    channel.destination = replace(channel.destination, clock=lambda: clock() + timedelta(hours=1))
    (note,) = channel.finish(video, JPEG)
    assert "not finished processing" in note


def test_no_cover_is_set_where_it_was_not_wanted(published: Any) -> None:
    published.choose(cover=False)
    assert published.finish(published.video, JPEG) == ()
    assert not has_cover(published)


@pytest.mark.parametrize("picture", [b"GIF89a", b"", b"RIFF....WEBP", JPEG + bytes(COVER_LIMIT_BYTES)])
def test_a_picture_youtube_does_not_take_is_not_sent(published: Any, picture: bytes) -> None:
    (note,) = published.finish(published.video, picture)
    assert "JPEG or PNG" in note
    assert calls(published, "thumbnails.set") == 0


def test_a_channel_without_the_feature_learns_how_to_get_it(channel: Any, control: Any, connect: Any) -> None:
    control.account("plain", custom_thumbnails=False)
    plain = connect("plain")
    grant = replace(channel.grant, account=plain.account, access_token=plain.tokens.access_token)
    channel.delivery = replace(channel.delivery, grant=grant)
    video = channel.publish()
    channel.later(60)
    (note,) = channel.finish(video, JPEG)
    assert "youtube.com/verify" in note


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (call, reason)
        for call, said in OF_CALL.items()
        for _status, reason in said
        if reason != "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    ],
)
def test_every_refusal_of_what_follows_is_a_note_with_a_remedy(published: Any, call: str, reason: str) -> None:
    published.choose(playlist=published.control.playlist("Bread"))
    refusal = published.control.refusals()[reason]
    published.control.fault(call, "error", **refusal)
    (note,) = published.finish(published.video, JPEG)
    assert note.startswith("The cover was not set: " if call == "thumbnails.set" else "The video was not added")
    said = OF_CALL[call][refusal["status"], reason]
    assert said[0] in note
    assert said[1] in note
    assert isinstance(published.check(), Live)


@pytest.mark.parametrize(
    ("reason", "kind"), [("quotaExceeded", WaitUntil), ("backendError", TryAgain), ("authError", Reconnect)]
)
@pytest.mark.parametrize("call", ["videos.list", "playlistItems.list", "playlistItems.insert", "thumbnails.set"])
def test_what_may_pass_is_raised_so_that_it_is_tried_again(published: Any, call: str, reason: str, kind: type) -> None:
    published.choose(playlist=published.control.playlist("Bread"))
    published.control.fault(call, "error", **published.control.refusals()[reason])
    with pytest.raises(PlatformFault) as caught:
        published.finish(published.video, JPEG)
    assert isinstance(caught.value.verdict, kind)
    assert published.finish(published.video, JPEG) == ()
    assert published.control.entries() == [published.video]
    assert has_cover(published)


# -------------------------------------------------------------------------------------------- what became of the video


@pytest.mark.parametrize("reason", ["copyright", "duplicate", "claim", "codec"])
def test_a_video_taken_down_is_told_and_nothing_more_is_done_for_it(playlist_channel: Any, reason: str) -> None:
    channel = playlist_channel
    channel.stage()
    channel.control.fault("insert.last", "processing_failed", reason=reason)
    video = channel.commit().external_id
    channel.later(60)
    channel.choose(playlist=channel.control.playlist("Bread"))
    (note,) = channel.finish(video, JPEG)
    assert note.startswith("YouTube ")
    assert note.count(".") >= 2, "what happened, and what to do"
    assert calls(channel, "playlistItems.insert") == calls(channel, "thumbnails.set") == 0
    assert isinstance(channel.check(), Live)


def test_a_video_that_its_owner_deleted_is_left_alone(published: Any) -> None:
    published.control.client.delete(f"/_sandbox/posts/youtube/{published.video}")
    assert published.finish(published.video, JPEG) == ("The video is no longer on the channel.",)


def test_a_scheduled_video_says_until_when_it_is_hidden(published: Any) -> None:
    at = utc_now() + timedelta(days=2)
    published.choose(privacy="private", publish_at=at.isoformat())
    (note,) = published.finish(published.video)
    assert f"{at:%d %B %Y %H:%M} UTC" in note
    published.choose(publish_at=(utc_now() - timedelta(days=1)).isoformat())
    assert published.finish(published.video) == ()


def test_notes_hold_no_secret(published: Any) -> None:
    published.choose(playlist="PLgoneforever")
    published.control.fault("thumbnails.set", "error", **published.control.refusals()["forbidden"])
    for note in published.finish(published.video, JPEG):
        assert published.grant.access_token not in note
        assert published.handles["session_uri"] not in note
