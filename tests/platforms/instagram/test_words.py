"""Captions counted and cut as Instagram counts: any words fit, hashtags stay, no sign is broken."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.captions import hashtags_of, utf16_units
from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.platforms.instagram.words import (
    CAPTION_LIMIT,
    HASHTAG_LIMIT,
    MENTION_LIMIT,
    TEXT,
    fit,
    hashtags_in,
    mentions_in,
)

FAMILY = "👨‍👩‍👧‍👦"
SHORTENED = "The caption was shortened to 2200 characters."
marks_and_letters = st.text(st.sampled_from("#＃@＠. \nab_1é日👩\u200d👧\u0301\ud83d"), max_size=400)
long_words = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=40), st.integers(1, 120))
long_stories = st.lists(
    st.sampled_from(
        ["bread ", "#sourdough ", "#日本 ", "@ada ", f"{FAMILY} ", "#Bread", "\n", "#a#b ", "#" + "x" * 300]
    ),
    min_size=20,
    max_size=60,
).map(lambda parts: "".join(parts) * 10)


@given(marks_and_letters | long_words | long_stories)
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
    assert notes == (SHORTENED,)


@given(
    st.text(st.sampled_from("ab c日👩"), min_size=23, max_size=40).map(lambda words: words * 100),
    st.lists(
        st.text(st.sampled_from("abcdé日"), min_size=1, max_size=20), max_size=HASHTAG_LIMIT, unique_by=str.casefold
    ),
    st.integers(0, 4000),
)
def test_no_hashtag_is_lost_when_the_words_are_cut(words: str, tags: list[str], at: int) -> None:
    body = f"{words[:at]} {' '.join(f'#{tag}' for tag in tags)} {words[at:]}"
    fitted, notes = fit(PostText(body=body))
    assert notes[0] == SHORTENED
    assert {tag.casefold() for tag in hashtags_of(fitted.body)} == {tag.casefold() for tag in hashtags_of(body)}


def test_short_words_are_left_alone() -> None:
    text = PostText(body="Sunday bread 🍞 #sourdough @ada\n\nRecipe in bio")
    assert fit(text) == (text, ())


def test_exactly_as_many_characters_as_instagram_takes_are_left_alone() -> None:
    text = PostText(body="x" * (CAPTION_LIMIT - 2) + "🍞")
    assert fit(text) == (text, ())
    assert fit(PostText(body=text.body + "x"))[1] == (SHORTENED,)


def test_a_long_caption_ends_at_a_word_and_says_so() -> None:
    fitted, notes = fit(PostText(body="word " * 600))
    assert fitted.body.endswith("word…")
    assert notes == (SHORTENED,)


def test_the_hashtags_of_a_long_caption_stand_behind_what_is_left_of_it() -> None:
    fitted, _ = fit(PostText(body="#First " + "word " * 600 + "#last #Last #très_long"))
    assert fitted.body.startswith("#First word")
    assert fitted.body.endswith("word…\n\n#last #très_long")
    assert utf16_units(fitted.body) > CAPTION_LIMIT - 10


def test_hashtags_alone_never_crowd_out_the_words() -> None:
    tags = " ".join(f"#{letter * 90}" for letter in "abcdefghijklmnopqrstuvwxyz")
    fitted, _ = fit(PostText(body="word " * 300 + tags))
    assert fitted.body.startswith("word " * 200)
    assert 10 <= hashtags_in(fitted.body) <= HASHTAG_LIMIT


def test_hashtags_beyond_thirty_become_plain_words() -> None:
    fitted, notes = fit(PostText(body=" ".join(f"#tag{n}" for n in range(33))))
    assert fitted.body.endswith("#tag29 tag30 tag31 tag32")
    assert len(notes) == 1


def test_a_mark_alone_does_not_become_a_tag_too_many_by_the_cut() -> None:
    tags = " ".join(f"#tag{n}" for n in range(HASHTAG_LIMIT))
    fitted, notes = fit(PostText(body=f"{tags} {'# ' * CAPTION_LIMIT}"))
    assert hashtags_in(fitted.body) == HASHTAG_LIMIT
    assert notes == (SHORTENED,)


def test_mentions_beyond_twenty_become_plain_names() -> None:
    fitted, notes = fit(PostText(body=" ".join(f"@friend{n}" for n in range(21))))
    assert fitted.body.endswith("@friend19 friend20")
    assert len(notes) == 1


def test_titles_and_tags_go_nowhere_because_a_reel_has_only_a_caption() -> None:
    fitted, _ = fit(PostText(body="b", title="t", tags=("x",)))
    assert fitted == PostText(body="b")


@pytest.mark.parametrize(("text", "length"), [("é", 1), ("e\u0301", 2), ("🍞", 2), (FAMILY, 11), ("日本", 2)])
def test_a_screen_counts_as_the_largest_of_the_counts_in_use(text: str, length: int) -> None:
    [field] = TEXT.fields
    assert field.measure(text) == length
    assert field.limit == CAPTION_LIMIT
