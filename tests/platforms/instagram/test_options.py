"""What a rule may choose for a Reel: offered as data, refused where Instagram would, and arriving as chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import HandleDead, PlatformFault, Rejected, UserError
from autorepost_app.platform_kit.options import OptionKind, checked_options
from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.auth import FACEBOOK, INSTAGRAM
from autorepost_app.platforms.instagram.options import OPTIONS, check_options, form_fields

EVERYTHING = {
    "share_to_feed": False,
    "thumb_offset_ms": 1500,
    "collaborators": ["@bea", " cyd "],
    "user_tags": ["@eve"],
    "location_id": "7640348500",
    "audio_name": "Kitchen",
    "is_ai_generated": True,
    "is_paid_partnership": True,
    "sponsor_ids": ["17841400000000001"],
}
AS_FORM = {
    "share_to_feed": "false",
    "thumb_offset": "1500",
    "collaborators": '["bea", "cyd"]',
    "user_tags": '[{"username": "eve"}]',
    "location_id": "7640348500",
    "audio_name": "Kitchen",
    "is_ai_generated": "true",
    "is_paid_partnership": "true",
    "branded_content_sponsor_ids": "[17841400000000001]",
}


# ------------------------------------------------------------------------------------------------------ offered as data


def test_the_defaults_ask_for_nothing_special() -> None:
    defaults = {option.name: option.default for option in OPTIONS}
    assert form_fields(defaults, 9.0) == form_fields({}, 9.0) == {"share_to_feed": "true"}
    check_options(defaults, FACEBOOK)


def test_every_default_is_a_value_that_its_option_takes() -> None:
    defaults = {option.name: option.default for option in OPTIONS}
    assert checked_options(OPTIONS, defaults, "Instagram") == defaults


def test_every_choice_says_what_it_does() -> None:
    for option in OPTIONS:
        assert option.label
        assert option.description.endswith(".")
        assert option.most or option.kind not in (OptionKind.TEXT, OptionKind.NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("thumb_offset_ms", -1),
        ("thumb_offset_ms", 900_001),
        ("thumb_offset_ms", "1500"),
        ("collaborators", ["a", "b", "c", "d"]),
        ("sponsor_ids", ["1", "2", "3"]),
        ("trial_reel", "PERFORMANCE"),
        ("share_to_feed", "yes"),
        ("audio_name", "x" * 256),
        ("cover", "https://example.com/a.jpg"),
    ],
)
def test_a_value_that_is_none_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(UserError) as caught:
        checked_options(OPTIONS, {name: value}, "Instagram")
    assert caught.value.field == name
    assert caught.value.remedy


# --------------------------------------------------------------------------------------------------- choices that clash


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"trial_reel": "MANUAL", "collaborators": ["bea"]}, "collaborators"),
        ({"sponsor_ids": ["178"]}, "sponsor_ids"),
        ({"is_paid_partnership": True, "sponsor_ids": ["bea"]}, "sponsor_ids"),
        ({"collaborators": ["bea baker"]}, "collaborators"),
        ({"user_tags": ["https://www.instagram.com/bea"]}, "user_tags"),
        ({"location_id": "Berlin"}, "location_id"),
        ({"cover_url": "http://example.com/a.jpg"}, "cover_url"),
        ({"cover_url": "/home/ada/a.jpg"}, "cover_url"),
        ({"cover_url": "https://"}, "cover_url"),
    ],
)
def test_what_instagram_would_refuse_is_refused_when_it_is_chosen(chosen: dict[str, object], field: str) -> None:
    with pytest.raises(UserError) as caught:
        check_options(chosen, FACEBOOK)
    assert caught.value.field == field
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize(
    "chosen",
    [
        EVERYTHING,
        {"trial_reel": "SS_PERFORMANCE"},
        {"is_paid_partnership": True},
        {"cover_url": "https://example.com/a.jpg", "thumb_offset_ms": 5},
        {"collaborators": "bea, cyd"},
    ],
)
def test_what_goes_together_is_accepted(chosen: dict[str, object]) -> None:
    check_options(
        {**chosen, "collaborators": [] if chosen.get("trial_reel") else chosen.get("collaborators", [])}, FACEBOOK
    )


def test_the_manifest_offers_and_checks_these_options() -> None:
    assert PLATFORM.destination is not None
    assert PLATFORM.destination.options is OPTIONS
    assert PLATFORM.destination.check_options is check_options


# ------------------------------------------------------------------------------------------------------- as form fields


def test_every_choice_becomes_the_field_instagram_documents() -> None:
    assert form_fields(EVERYTHING, duration_seconds=9.0) == AS_FORM


def test_a_trial_reel_says_nothing_of_the_feed_it_is_not_shown_in() -> None:
    fields = form_fields({"trial_reel": "MANUAL", "share_to_feed": True}, 9.0)
    assert json.loads(fields.pop("trial_params")) == {"graduation_strategy": "MANUAL"}
    assert fields == {}


def test_a_cover_picture_is_sent_instead_of_a_moment() -> None:
    fields = form_fields({"cover_url": "https://example.com/a.jpg", "thumb_offset_ms": 500}, 9.0)
    assert fields == {"share_to_feed": "true", "cover_url": "https://example.com/a.jpg"}


@pytest.mark.parametrize(("offset", "sent"), [(0, None), (3999, "3999"), (4000, None), (5000, None)])
def test_a_moment_after_the_end_of_a_short_clip_is_left_out(offset: int, sent: str | None) -> None:
    assert form_fields({"thumb_offset_ms": offset}, duration_seconds=4.0).get("thumb_offset") == sent


def test_collaborators_kept_as_one_text_still_arrive() -> None:
    fields = form_fields({"collaborators": "@bea, cyd,,dan,eve"}, 9.0)
    assert json.loads(fields["collaborators"]) == ["bea", "cyd", "dan"]


def test_sponsors_are_named_only_in_a_label() -> None:
    assert "branded_content_sponsor_ids" not in form_fields({"sponsor_ids": ["178"]}, 9.0)


def values(kind: OptionKind) -> st.SearchStrategy[object]:
    names = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), max_size=3)
    return {
        OptionKind.YES_NO: st.booleans(),
        OptionKind.NUMBER: st.integers(0, 900_000),
        OptionKind.TEXT: st.text(st.characters(categories=["L", "N"]), max_size=20),
        OptionKind.NAMES: names,
    }.get(kind, st.sampled_from(["", "MANUAL", "SS_PERFORMANCE"]))


@given(
    st.fixed_dictionaries(
        {}, optional={each.name: values(each.kind) for each in OPTIONS if each.name != "sponsor_ids"}
    ),
    st.floats(3, 900),
)
def test_any_choices_become_texts_that_a_form_can_carry(chosen: dict[str, object], seconds: float) -> None:
    fields = form_fields(chosen, seconds)
    assert all(isinstance(value, str) and value for value in fields.values())
    assert not {"cover_url", "thumb_offset"} <= set(fields)
    assert ("trial_params" in fields) != ("share_to_feed" in fields)


# ------------------------------------------------------------------------------------------------------------- arriving


def test_everything_chosen_is_on_the_live_reel(publish_as: Callable[..., Any], control: Any) -> None:
    publication = publish_as("facebook")
    publication.delivery = replace(publication.delivery, options=EVERYTHING)
    publication.stage()
    publication.commit()
    [reel] = control.live()
    assert {name: reel["details"][name] for name in AS_FORM} == AS_FORM


def test_a_paid_partnership_without_a_page_is_refused_before_anything_is_made(
    publish_as: Callable[..., Any], control: Any
) -> None:
    publication = publish_as("instagram")
    publication.delivery = replace(publication.delivery, options={"is_paid_partnership": True})
    with pytest.raises(PlatformFault) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Rejected)
    assert "Facebook" in caught.value.verdict.remedy
    assert "container.create" not in control.calls(), "a label left out in silence would be against the law"


@pytest.fixture
def picture(rendition: Path, files_url: str) -> Callable[[bytes], str]:
    """Puts a picture where Instagram can fetch it."""

    def picture(content: bytes) -> str:
        (rendition.parent / "cover.jpg").write_bytes(content)
        return f"{files_url}/cover.jpg"

    return picture


def test_a_cover_picture_is_fetched_and_used(publication: Any, control: Any, picture: Callable[[bytes], str]) -> None:
    url = picture(b"\xff\xd8\xff\xe0 a jpeg")
    publication.delivery = replace(publication.delivery, options={"cover_url": url})
    publication.stage()
    publication.commit()
    assert control.live()[0]["details"]["cover_url"] == url


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"\x89PNG", "instagram.cover_format"), (b"\xff\xd8\xff" + bytes(8 * 1024 * 1024), "instagram.cover_size")],
    ids=["png", "too large"],
)
def test_a_cover_that_instagram_does_not_take_says_what_would_be_taken(
    publication: Any, picture: Callable[[bytes], str], content: bytes, code: str
) -> None:
    publication.delivery = replace(publication.delivery, options={"cover_url": picture(content)})
    with pytest.raises(HandleDead) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, Rejected)
    assert caught.value.verdict.code == code
    assert "JPEG" in caught.value.verdict.remedy


def test_a_paid_partnership_is_refused_for_a_login_that_cannot_label_it() -> None:
    chosen = {"is_paid_partnership": True}
    with pytest.raises(UserError, match="through Facebook") as refused:
        check_options(chosen, INSTAGRAM)
    assert refused.value.field == "is_paid_partnership"
    check_options(chosen, FACEBOOK)
