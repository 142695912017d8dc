"""Do words always fit YouTube, are they cut where people would cut them, and is the creator told?"""

import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.captions import hashtags_of
from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.platforms.youtube.limits import (
    MARKER_ROOM,
    TAGS_LIMIT,
    TEXT,
    fit,
    tags_units,
    utf8_bytes,
    utf16_units,
    with_marker,
)

FAMILY = "👨‍👩‍👧‍👦"
ANY_TEXT = st.text(st.characters(), max_size=300) | st.text(alphabet="é👩‍🇩🇪́<># \n\ud83da", max_size=3000)
WORD = st.text(st.sampled_from("aeiou日本語éß👩‍🍳💙"), min_size=1, max_size=12)
TAG = st.text(st.sampled_from("abcdefgéü日本"), min_size=2, max_size=14)
ANY_POST = st.builds(PostText, body=ANY_TEXT, title=ANY_TEXT, tags=st.lists(ANY_TEXT, max_size=12).map(tuple))


@given(ANY_POST)
def test_whatever_is_written_fits_afterwards(text: PostText) -> None:
    fitted, _ = fit(text)
    assert 1 <= utf16_units(fitted.title) <= 100
    assert len(fitted.body.encode()) <= 5000
    assert tags_units(fitted.tags) <= TAGS_LIMIT - MARKER_ROOM
    words = "".join([fitted.title, fitted.body, *fitted.tags])
    assert not set(words) & set("<>")
    assert not any(unicodedata.category(mark) in ("Cs", "Cc") for mark in words if mark not in "\n\t")
    for field in TEXT.fields:
        written = ",".join(fitted.tags) if field.name == "tags" else getattr(fitted, field.name)
        assert field.measure(written) <= field.limit


@given(ANY_POST)
def test_fitting_twice_changes_nothing_more(text: PostText) -> None:
    once, _ = fit(text)
    assert fit(once) == (once, ())


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=400))
def test_a_cut_never_falls_inside_a_grapheme(body: str) -> None:
    title = fit(PostText(body="", title=body))[0].title
    source = " ".join(body.replace("<", "‹").replace(">", "›").split())
    if title.endswith("…") and title not in (source, "…"):
        start = title[:-1]
        assert source.startswith(start)
        borders = {0, *(match.end() for match in regex.finditer(r"\X", source))}
        assert len(start) in borders or source[len(start)].isspace()


@pytest.mark.parametrize(("written", "kept"), [("😀" * 50, 50), ("😀" * 51, 49), ("é" * 100, 100), ("é" * 101, 99)])
def test_a_title_is_counted_in_utf_16(written: str, kept: int) -> None:
    title = fit(PostText(body="", title=written))[0].title
    assert title == written[:kept] + ("…" if kept < len(written) else "")


def test_a_family_is_kept_whole_or_left_out() -> None:
    fitted, notes = fit(PostText(body="", title="x" * 95 + FAMILY))
    assert fitted.title == "x" * 95 + "…"
    assert notes == ("The title was shortened to 100 characters.",)


def test_the_title_is_the_first_line_that_says_something() -> None:
    fitted, notes = fit(PostText(body=" \u200b\n  Sunday   bread \nwith a long description #bread"))
    assert fitted.title == "Sunday bread"
    assert fitted.body.endswith("#bread")
    assert notes == ()


def test_a_long_caption_is_cut_between_words() -> None:
    sentence = "How to bake bread that stays fresh for a week "
    fitted, notes = fit(PostText(body=sentence * 4))
    assert fitted.title.endswith("…")
    assert fitted.title[:-1].split()[-1] in sentence.split()
    assert len(fitted.body) > 100
    assert notes == ("The title was shortened to 100 characters.",)


def test_a_caption_without_words_gets_a_title_and_says_so() -> None:
    fitted, notes = fit(PostText(body=""))
    assert fitted.title == "Short video"
    assert "needs a title" in notes[0]


def test_brackets_are_replaced_and_said() -> None:
    fitted, notes = fit(PostText(body="I <3 you -> always", title="a<b"))
    assert (fitted.title, fitted.body) == ("a‹b", "I ‹3 you -› always")
    assert "replaced" in notes[0]


def test_a_description_is_counted_in_bytes() -> None:
    fitted, notes = fit(PostText(body="日" * 1700, title="t"))
    assert utf8_bytes(fitted.body) <= 5000
    assert fitted.body == "日" * 1665 + "…"
    assert notes == ("The description was shortened to 5000 bytes.",)


@given(
    st.lists(WORD, min_size=1, max_size=400), st.lists(TAG, max_size=12, unique_by=str.casefold), st.integers(0, 400)
)
def test_a_long_description_keeps_its_hashtags_and_is_cut_between_words(
    words: list[str], tags: list[str], at: int
) -> None:
    written = [*words[:at], *(f"#{tag}" for tag in tags), *words[at:]]
    body = " ".join(written * (1 + 8000 // len(" ".join(written))))
    fitted = fit(PostText(body=body, title="t"))[0].body
    assert len(fitted.encode()) <= 5000
    assert {tag.casefold() for tag in hashtags_of(fitted)} == {tag.casefold() for tag in hashtags_of(body)}
    head = fitted.split("…")[0]
    assert body.startswith(head)
    assert body[len(head)] == " ", "it ends with a whole word"


def test_hashtags_at_the_end_of_a_long_caption_survive_the_cut() -> None:
    fitted, notes = fit(PostText(body="word " * 1200 + "#bread #slowfood", title="t"))
    assert fitted.body.endswith("word…\n\n#bread #slowfood")
    assert notes == ("The description was shortened to 5000 bytes.",)


def test_hashtags_before_the_cut_are_not_said_twice() -> None:
    fitted, _ = fit(PostText(body="#bread " + "word " * 1200 + "#Bread #slowfood", title="t"))
    assert fitted.body.endswith("…\n\n#slowfood")


def test_more_hashtags_than_words_leave_room_for_words() -> None:
    tags = " ".join(f"#tag{n:04}" for n in range(800))
    fitted, _ = fit(PostText(body="word " * 1200 + tags, title="t"))
    assert len(fitted.body.encode()) <= 5000
    assert fitted.body.count("word") > 600
    assert 100 < fitted.body.count("#tag") < 200


def test_half_a_surrogate_at_the_end_of_a_cut_caption_disappears() -> None:
    assert fit(PostText(body="nice \ud83d"))[0].title == "nice"


@pytest.mark.parametrize(
    ("tags", "units"), [((), 0), (("a",), 1), (("a", "b"), 3), (("a b",), 5), (("a b", "c"), 7), (("😀",), 2)]
)
def test_tags_are_counted_with_commas_and_quotes(tags: tuple[str, ...], units: int) -> None:
    assert tags_units(tags) == units


def test_tags_are_cleaned_and_counted_once() -> None:
    fitted, notes = fit(PostText(body="b", tags=("#Bread", "bread", "a,b", '"q"', "", "#")))
    assert fitted.tags == ("Bread", "a b", "q")
    assert notes == ()


def test_tags_beyond_the_limit_are_left_out_and_counted() -> None:
    fitted, notes = fit(PostText(body="b", tags=tuple(f"{n:02}" + "x" * 48 for n in range(12))))
    assert len(fitted.tags) == 9
    assert notes == ("3 of the tags did not fit.",)


@given(ANY_POST, st.text(alphabet="0123456789abcdef-", min_size=1, max_size=MARKER_ROOM - 1))
def test_our_marker_always_finds_room_beside_fitted_tags(text: PostText, marker: str) -> None:
    fitted = fit(text)[0]
    sent = with_marker(fitted.tags, marker)
    assert sent[0] == marker
    assert tags_units(sent) <= TAGS_LIMIT
    assert sent[1:] == [tag for tag in fitted.tags if tag != marker]


def test_a_marker_longer_than_its_room_pushes_out_tags_never_itself() -> None:
    sent = with_marker(["x" * 400, "y"], "m" * 200)
    assert sent == ["m" * 200, "y"]


@pytest.mark.parametrize(("letters", "kept"), [(489, True), (490, False)])
def test_the_tags_with_our_marker_fill_youtubes_500_characters_and_no_more(letters: int, kept: bool) -> None:
    tags = with_marker(["t" * letters], "marker-ten")
    assert tags == ["marker-ten", *(["t" * letters] if kept else [])]


def test_a_full_caption_of_tags_loses_none_of_them_to_our_marker() -> None:
    fitted = fit(PostText("words", tags=tuple(f"tag{number}" for number in range(200))))[0]
    assert with_marker(fitted.tags, "m" * 39) == ["m" * 39, *fitted.tags]


def test_a_tag_stays_as_its_creator_spelt_it_first() -> None:
    assert fit(PostText("words", tags=("Walk", "WALK", "walk")))[0].tags == ("Walk",)
