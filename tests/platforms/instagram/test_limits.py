"""What fits Instagram, counted and cut as it counts."""

import json

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.destination import folded, option_fields
from autorepost_app.platforms.instagram.limits import (
    CAPTION_LIMIT,
    HASHTAG_LIMIT,
    MENTION_LIMIT,
    fit,
    hashtags_in,
    mentions_in,
    poll_after_seconds,
    utf16_units,
)

FAMILY = "👨‍👩‍👧‍👦"
marks_and_letters = st.text(st.sampled_from("#＃@＠. \nab_1é日👩\u200d👧\u0301\ud83d"), max_size=400)
long_words = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=40), st.integers(1, 120))


@given(marks_and_letters | long_words)
def test_any_words_fit_after_fitting_and_fitting_again_changes_nothing(body: str) -> None:
    fitted, _ = fit(PostText(body=body))
    assert utf16_units(fitted.body) <= CAPTION_LIMIT
    assert hashtags_in(fitted.body) <= HASHTAG_LIMIT
    assert mentions_in(fitted.body) <= MENTION_LIMIT
    fitted.body.encode()
    assert fit(fitted) == (fitted, ())


@given(st.lists(st.sampled_from([FAMILY, "e\u0301", "日", "a", "🇺🇸", " "]), min_size=1, max_size=30))
def test_a_cut_never_splits_what_a_person_sees_as_one_sign(signs: list[str]) -> None:
    body = "x" + "".join(signs) * (CAPTION_LIMIT // len(signs) + 1) + "x"
    fitted, notes = fit(PostText(body=body))
    kept = regex.findall(r"\X", fitted.body.removesuffix("…"))
    assert regex.findall(r"\X", body)[: len(kept)] == kept
    assert notes == ("The caption was shortened to 2200 characters.",)


def test_short_words_are_left_alone() -> None:
    text = PostText(body="Sunday bread 🍞 #sourdough @ada\n\nRecipe in bio")
    assert fit(text) == (text, ())


def test_a_long_caption_ends_at_a_word_and_says_so() -> None:
    fitted, notes = fit(PostText(body="word " * 600))
    assert fitted.body.endswith("word…")
    assert notes == ("The caption was shortened to 2200 characters.",)


def test_hashtags_beyond_thirty_become_plain_words() -> None:
    fitted, notes = fit(PostText(body=" ".join(f"#tag{n}" for n in range(33))))
    assert fitted.body.endswith("#tag29 tag30 tag31 tag32")
    assert len(notes) == 1


def test_mentions_beyond_twenty_become_plain_names() -> None:
    fitted, notes = fit(PostText(body=" ".join(f"@friend{n}" for n in range(21))))
    assert fitted.body.endswith("@friend19 friend20")
    assert len(notes) == 1


def test_titles_and_tags_go_nowhere_because_a_reel_has_only_a_caption() -> None:
    fitted, _ = fit(PostText(body="b", title="t", tags=("x",)))
    assert fitted == PostText(body="b")


def test_captions_are_compared_as_instagram_may_have_rewritten_them() -> None:
    assert folded(" cafe\u0301  au\n lait ") == folded("café au lait")
    assert folded("café au lait") != folded("cafe au lait")


def test_choices_become_the_form_fields_instagram_documents() -> None:
    chosen = {
        "share_to_feed": False,
        "is_ai_generated": True,
        "trial_reel": "MANUAL",
        "thumb_offset_ms": 1500,
        "audio_name": "Kitchen",
        "collaborators": "@bea, cyd,,dan,eve",
    }
    fields = option_fields(chosen, duration_seconds=9.0)
    assert json.loads(fields.pop("trial_params")) == {"graduation_strategy": "MANUAL"}
    assert json.loads(fields.pop("collaborators")) == ["bea", "cyd", "dan"]
    assert fields == {
        "share_to_feed": "false",
        "is_ai_generated": "true",
        "thumb_offset": "1500",
        "audio_name": "Kitchen",
    }


def test_the_defaults_of_the_manifest_ask_for_nothing_special() -> None:
    assert PLATFORM.destination is not None
    defaults = {option.name: option.default for option in PLATFORM.destination.options}
    assert option_fields(defaults, 9.0) == option_fields({}, 9.0) == {"share_to_feed": "true"}


def test_a_cover_moment_after_the_end_of_a_short_clip_is_left_out() -> None:
    assert "thumb_offset" not in option_fields({"thumb_offset_ms": 5000}, duration_seconds=4.0)


@pytest.mark.parametrize(("waited", "after"), [(0, 5), (59, 5), (60, 15), (299, 15), (300, 60), (9999, 60)])
def test_a_container_is_looked_at_less_often_the_longer_it_takes(waited: float, after: float) -> None:
    assert poll_after_seconds(waited) == after


def test_only_instagrams_own_login_needs_a_public_address() -> None:
    assert PLATFORM.destination is not None
    assert PLATFORM.destination.needs_public_url("instagram")
    assert not PLATFORM.destination.needs_public_url("facebook")
