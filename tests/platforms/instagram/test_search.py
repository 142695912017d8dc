"""A restored house has forgotten its containers: is the Reel out already? Asked by its words alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain
from autorepost_app.platform_kit.protocol import Absent, Live, PostText, Undecided
from autorepost_app.platforms.instagram import listing
from autorepost_app.platforms.instagram.listing import folded

HOUR = 3600.0
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def before(control: Any) -> datetime:
    """The time of the backup."""
    return control.now() - timedelta(seconds=5)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_ROWS_A_PAGE", "1")


def test_the_one_reel_with_our_words_is_ours(publication: Any, control: Any, before: datetime) -> None:
    publication.another("Monday bread")
    publication.stage()
    publication.commit()
    ours = next(reel for reel in control.live() if reel["text"]["caption"] == publication.delivery.text.body)
    assert publication.search(before) == Live(
        f"media {ours['id']} carries all of our words", ours["id"], ours["permalink"]
    )


def test_a_whole_list_without_our_words_proves_that_it_is_not_there(publication: Any, before: datetime) -> None:
    publication.another("Monday bread")
    found = publication.search(before)
    assert isinstance(found, Absent)
    assert not found.handle_usable, "no handle is known, so none may be sent again"


def test_an_account_without_any_post_is_a_whole_list_too(publication: Any, before: datetime) -> None:
    assert isinstance(publication.search(before), Absent)


def test_words_are_compared_as_instagram_may_have_rewritten_them(publication: Any, before: datetime) -> None:
    publication.another("cafe\u0301  au\n lait")
    publication.delivery = replace(publication.delivery, text=PostText(body="café au lait "))
    assert isinstance(publication.search(before), Live)
    publication.delivery = replace(publication.delivery, text=PostText(body="cafe au lait"))
    assert isinstance(publication.search(before), Absent)


def test_two_reels_with_the_same_words_are_for_a_person_to_tell_apart(publication: Any, before: datetime) -> None:
    publication.another("Sunday bread")
    publication.another("Sunday bread")
    publication.delivery = replace(publication.delivery, text=PostText(body="Sunday bread"))
    assert isinstance(publication.search(before), Undecided)


def test_a_reel_from_before_the_backup_is_another_one(publication: Any, control: Any) -> None:
    publication.another(publication.delivery.text.body)
    control.advance(HOUR)
    assert isinstance(publication.search(control.now()), Absent)


def test_a_clock_of_instagrams_that_is_a_minute_behind_hides_nothing(publication: Any, control: Any) -> None:
    publication.another(publication.delivery.text.body)
    assert isinstance(publication.search(control.now() + timedelta(minutes=1)), Live)


def test_every_page_is_read_before_anything_is_called_absent(
    publication: Any, control: Any, before: datetime, short_pages: None
) -> None:
    publication.stage()
    publication.commit()
    publication.another("Monday bread")
    publication.another("Tuesday bread")
    asked = control.calls().count("media.list")
    assert isinstance(publication.search(before), Live), "ours is the oldest, on the last page"
    assert control.calls().count("media.list") - asked == 3


def test_a_list_longer_than_can_be_read_proves_nothing(
    publication: Any, before: datetime, short_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "EVERYTHING", 1)
    publication.another("Monday bread")
    publication.another("Tuesday bread")
    assert isinstance(publication.search(before), Undecided)


def test_a_list_that_shows_no_words_proves_nothing(
    publish_as: Callable[..., Any], control: Any, before: datetime
) -> None:
    publication = publish_as("instagram")
    publication.another("Monday bread")
    control.settings(own_login_sees_words=False)
    assert isinstance(publication.search(before), Undecided)


def test_posts_without_words_are_no_evidence_for_a_post_without_words(
    publish_as: Callable[..., Any], before: datetime
) -> None:
    publication = publish_as("facebook", body="")
    publication.another("Monday bread")
    assert isinstance(publication.search(before), Absent)
    publication.another("")
    assert isinstance(publication.search(before), Undecided)


def row(number: int, at: datetime | None, **more: Any) -> dict[str, Any]:
    stamp = {"timestamp": f"{at:%Y-%m-%dT%H:%M:%S+0000}"} if at else {}
    return {"id": str(number), "caption": "Sunday bread", "media_product_type": "REELS", **stamp, **more}


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        ([row(1, LONG_AGO)], Absent),
        ([row(1, LONG_AGO), row(2, None)], Live),
        ([row(1, None), row(2, None)], Undecided),
        ([row(1, None, media_product_type="FEED")], Absent),
        ([row(1, None, media_product_type=None)], Live),
        ([{"caption": "Sunday bread"}], Undecided),
    ],
    ids=["asked for later", "time not told", "two without a time", "a photo", "kind not told", "without an id"],
)
def test_rows_are_judged_by_what_they_tell(
    publication: Any, control: Any, before: datetime, rows: list[dict[str, Any]], finding: type
) -> None:
    publication.delivery = replace(publication.delivery, text=PostText(body="Sunday bread"))
    control.fault("media.list", "error", status=200, body={"data": rows})
    assert isinstance(publication.search(before), finding)


def test_a_trial_reel_may_be_missing_from_the_list(publication: Any, before: datetime) -> None:
    publication.delivery = replace(publication.delivery, options={"trial_reel": "MANUAL"})
    assert isinstance(publication.search(before), Undecided)


def test_a_list_that_fails_half_way_is_no_list(
    publication: Any, control: Any, before: datetime, short_pages: None
) -> None:
    publication.another("Monday bread")
    publication.another("Tuesday bread")
    control.fault("media.list", "read_error", after=1)
    with pytest.raises(PlatformFault) as caught:
        publication.search(before)
    assert isinstance(caught.value.verdict, TryAgain)


def test_a_grant_that_ended_is_not_mistaken_for_an_empty_list(publication: Any, control: Any, before: datetime) -> None:
    control.fault("media.list", "token_revoked")
    with pytest.raises(PlatformFault) as caught:
        publication.search(before)
    assert isinstance(caught.value.verdict, Reconnect)


def test_searching_only_reads(publication: Any, control: Any, before: datetime) -> None:
    publication.stage()
    known = len(control.calls())
    publication.search(before)
    assert control.calls()[known:] == ["media.list"]
    assert control.live() == []


def test_captions_are_folded_without_losing_what_tells_them_apart() -> None:
    assert folded(" cafe\u0301  au\n lait ") == folded("café au lait")
    assert folded("café au lait") != folded("cafe au lait")
