"""May a rule choose only what YouTube takes, and is what it chose what YouTube is told?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, Rejected, UserError
from autorepost_app.platform_kit.options import OptionKind, checked_options
from autorepost_app.platform_kit.protocol import Done
from autorepost_app.platforms.youtube import PLATFORM
from autorepost_app.platforms.youtube.destination import video_resource
from autorepost_app.platforms.youtube.options import OPTIONS, check_options, chosen, status_part

TOMORROW = "2026-12-24T18:00:00+01:00"


def checked(**given: object) -> dict[str, object]:
    """As a rule is checked when it is saved."""
    options = checked_options(OPTIONS, given, "YouTube")
    assert PLATFORM.destination is not None
    PLATFORM.destination.check_options(options, "default")
    return options


def test_every_option_starts_from_a_choice_that_goes_together_with_all_others() -> None:
    defaults = {option.name: option.default for option in OPTIONS}
    assert checked(**defaults) == defaults
    assert checked() == {}
    assert all(option.label and (option.description or option.kind is not OptionKind.TEXT) for option in OPTIONS)


@pytest.mark.parametrize(
    "options",
    [
        {"privacy": "private", "publish_at": TOMORROW},
        {"publish_at": ""},
        {"language": "en"},
        {"language": "pt-BR"},
        {"language": "zh-Hant-TW"},
        {"language": "es-419"},
        {"playlist": "PLbpi6ZahtOH6Ar_3GPy3workJ9bAOmI0M"},
        {"tags": ["slow food", "bread"]},
        {"tags": "slow food, bread"},
        {"tags": ["x" * 460]},
        {"license": "creativeCommon", "privacy": "unlisted"},
    ],
)
def test_what_youtube_takes_is_taken(options: dict[str, object]) -> None:
    assert checked(**options)


@pytest.mark.parametrize(
    ("options", "field", "remedy"),
    [
        ({"publish_at": TOMORROW}, "publish_at", "Only me"),
        ({"publish_at": TOMORROW, "privacy": "public"}, "publish_at", "Only me"),
        ({"publish_at": TOMORROW, "privacy": "unlisted"}, "publish_at", "Only me"),
        ({"publish_at": "2026-12-24T18:00:00", "privacy": "private"}, "publish_at", "zone"),
        ({"publish_at": "soon", "privacy": "private"}, "publish_at", "date and time"),
        ({"privacy": "friends"}, "privacy", "Everyone"),
        ({"privacy": ""}, "privacy", "Everyone"),
        ({"language": "English"}, "language", "pt-BR"),
        ({"language": "en_GB"}, "language", "pt-BR"),
        ({"language": "x" * 17}, "language", "at most 16"),
        ({"playlist": "https://www.youtube.com/playlist?list=PLabc"}, "playlist", "list="),
        ({"playlist": "UUabcdefghijklmnopqrstuv"}, "playlist", "list="),
        ({"playlist": "WL"}, "playlist", "list="),
        ({"playlist": "PL" + "x" * 63}, "playlist", "at most 64"),
        ({"tags": ["<b>"]}, "tags", "Leave out"),
        ({"tags": ["#bread"]}, "tags", "Leave out"),
        ({"tags": ["a"] * 61}, "tags", "at most 60"),
        ({"tags": ["x" * 461]}, "tags", "460"),
        ({"tags": ["a b" * 20] * 8}, "tags", "460"),
        ({"category": "3"}, "category", "Music"),
        ({"license": "mit"}, "license", "Standard"),
        ({"made_for_kids": "yes"}, "made_for_kids", "yes or no"),
        ({"colour": "red"}, "colour", "Its options are"),
    ],
)
def test_what_youtube_does_not_take_is_said_with_a_remedy(options: dict[str, object], field: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(**options)
    assert caught.value.field == field
    assert remedy in caught.value.remedy


def test_a_time_is_sent_as_google_writes_times() -> None:
    status = status_part({"privacy": "private", "publish_at": TOMORROW})
    assert status["publishAt"] == "2026-12-24T17:00:00Z"
    assert "publishAt" not in status_part({"privacy": "private"})


def test_visibility_is_said_whatever_else_is_chosen(channel: Any) -> None:
    for options in ({}, {"tags": ["x"]}, {"privacy": "unlisted"}):
        channel.delivery = replace(channel.delivery, options=options)
        assert video_resource(channel.delivery)["status"]["privacyStatus"] == options.get("privacy", "public")


@pytest.mark.parametrize("name", [option.name for option in OPTIONS])
def test_an_option_that_cannot_be_read_is_never_replaced_by_a_guess(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        chosen({name: object()}, name)


def test_tags_of_the_rule_come_before_those_of_the_caption_and_none_twice(channel: Any) -> None:
    channel.choose(tags=["Bread", "sourdough"])
    tags = video_resource(channel.delivery)["snippet"]["tags"]
    assert tags == [channel.delivery.marker, "Bread", "sourdough", "slow food"]


def test_a_scheduled_video_stays_private_until_its_time(channel: Any) -> None:
    at = datetime.now(UTC) + timedelta(hours=2)
    channel.choose(privacy="private", publish_at=at.isoformat())
    channel.stage()
    outcome = channel.commit()
    assert isinstance(outcome, Done)
    assert "privacyStatus private" in outcome.detail
    assert "publishAt" in outcome.detail
    assert channel.control.live()[0]["visibility"] == "private"
    channel.control.advance(7300)
    assert channel.control.live()[0]["visibility"] == "public"


def test_a_time_that_has_passed_publishes_nothing_behind_the_creators_back(channel: Any) -> None:
    channel.choose(privacy="private", publish_at=(utc_now() - timedelta(seconds=1)).isoformat())
    with pytest.raises(PlatformFault) as caught:
        channel.stage()
    verdict = caught.value.verdict
    assert isinstance(verdict, Rejected)
    assert "later time" in verdict.remedy
    assert channel.kept == []
    assert "session.start" not in channel.control.calls()


def test_the_checks_look_at_defaults_too() -> None:
    with pytest.raises(UserError):
        check_options({"publish_at": TOMORROW})
