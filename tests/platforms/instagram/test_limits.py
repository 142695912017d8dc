"""What fits Instagram, counted and cut as it counts."""

from itertools import pairwise

import regex
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.platforms.instagram import PLATFORM
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


def test_a_container_is_looked_at_soon_and_then_less_and_less_often() -> None:
    looks, waited = [], 0.0
    while waited < 300:
        waited += poll_after_seconds(waited)
        looks.append(waited)
    assert looks[:6] == [1, 2, 4, 8, 16, 32]
    assert len(looks) == 15, "what five minutes of processing cost"
    assert max(after - before for before, after in pairwise(looks)) == 30
    assert poll_after_seconds(301) == poll_after_seconds(9999) == 60


def test_only_instagrams_own_login_needs_a_public_address() -> None:
    assert PLATFORM.destination is not None
    assert PLATFORM.destination.needs_public_url("instagram")
    assert not PLATFORM.destination.needs_public_url("facebook")
