"""After a restore nobody remembers a send: is a video of ours found, and is its absence only claimed when proven?"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.protocol import Absent, Account, Done, Live, Undecided


def an_hour_ago() -> datetime:
    return utc_now() - timedelta(hours=1)


def publish(channel: Any, **changes: Any) -> str:
    """Another publication of the same channel, with handles of its own."""
    one = replace(channel, handles={}, kept=[], delivery=replace(channel.delivery, **changes))
    one.stage()
    outcome = one.commit()
    assert isinstance(outcome, Done)
    return outcome.external_id


def search(channel: Any, since: datetime | None = None) -> Any:
    return channel.destination.search(channel.delivery, since or an_hour_ago())


def test_a_video_with_our_marker_is_found_without_any_handle(channel: Any) -> None:
    channel.control.upload("Something else", tags=["ar-another-one"])
    ours = publish(channel)
    found = search(channel)
    assert isinstance(found, Live)
    assert (found.external_id, found.url) == (ours, f"{channel.destination.www_url}/shorts/{ours}")


def test_an_empty_channel_proves_that_nothing_was_sent(channel: Any) -> None:
    assert isinstance(search(channel), Absent)


def test_other_videos_alone_prove_that_nothing_was_sent(channel: Any) -> None:
    for number in range(3):
        channel.control.upload(f"Day {number}", tags=[f"ar-other-{number}"])
    found = search(channel)
    assert isinstance(found, Absent)
    assert "none of 3 uploads" in found.proof
    assert not found.handle_usable


def test_two_videos_with_our_marker_are_live_without_a_choice(channel: Any) -> None:
    publish(channel)
    publish(channel)
    found = search(channel)
    assert isinstance(found, Live)
    assert found.external_id is None
    assert found.url == channel.grant.account.url


def test_the_same_words_without_our_marker_are_somebody_elses_doing(channel: Any) -> None:
    """Whatever we send carries it, so what does not is the creator's own upload."""
    text = channel.delivery.text
    channel.control.upload(text.title, description=text.body, duration_seconds=7, tags=["ar-tist", "bread"])
    assert isinstance(search(channel), Absent)


def test_a_list_of_several_pages_is_read_to_its_end(channel: Any) -> None:
    first = publish(channel)
    channel.control.upload("Another day", copies=51)
    before = channel.control.calls()
    found = search(channel)
    assert isinstance(found, Live)
    assert found.external_id == first
    assert channel.control.calls()[len(before) :].count("playlistItems.list") == 2


def test_what_is_older_than_asked_for_is_not_read(channel: Any) -> None:
    channel.control.upload("Long ago", tags=[channel.delivery.marker])
    assert isinstance(search(channel, utc_now() + timedelta(days=3)), Absent)
    assert channel.control.calls()[-1] == "playlistItems.list"
    assert isinstance(search(channel, utc_now() + timedelta(hours=20)), Live)


@pytest.mark.parametrize("call", ["playlistItems.list", "videos.list"])
@pytest.mark.parametrize("body", ["", "<html>Sign in to the guest network</html>", '{"kind": "youtube#', "[]", {}])
def test_an_answer_that_is_none_proves_nothing(channel: Any, call: str, body: object) -> None:
    channel.control.upload("Something else")
    channel.control.fault(call, "error", status=200, body=body)
    with pytest.raises(PlatformFault) as caught:
        search(channel)
    assert isinstance(caught.value.verdict, TryAgain)
    assert caught.value.verdict.code == "youtube.unreadable"


def test_a_video_listed_but_not_shown_leaves_the_question_open(channel: Any) -> None:
    channel.control.upload("Something else")
    channel.control.fault("videos.list", "error", status=200, body={"kind": "youtube#videoListResponse", "items": []})
    assert isinstance(search(channel), Undecided)


def test_a_channel_known_by_its_id_alone_is_asked_for_its_list(channel: Any) -> None:
    ours = publish(channel)
    bare = Account(channel.grant.account.external_id, "ada")
    channel.delivery = replace(channel.delivery, grant=replace(channel.grant, account=bare))
    found = search(channel)
    assert isinstance(found, Live)
    assert found.external_id == ours
