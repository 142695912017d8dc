"""What words go with a repost, whatever the creator wrote?"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autorepost_app.domain.captions import (
    DEFAULT_TEMPLATE,
    HASHTAGS,
    VARIABLES,
    CaptionSource,
    check_template,
    hashtags_of,
    render,
    title_of,
)
from autorepost_app.domain.errors import UserError

_PIECES = st.sampled_from(["#walk", "#Walk", "#läuft", "#", "##", "#1", "&#39;", "{", "}", "\n", " ", "día", "/", "犬"])
CAPTIONS = st.one_of(st.text(max_size=200), st.lists(_PIECES, max_size=12).map("".join))


def _source(caption: str) -> CaptionSource:
    return CaptionSource(caption, "mia", "https://www.tiktok.com/@mia/video/1")


@given(CAPTIONS)
def test_the_usual_template_gives_every_caption_back(caption: str) -> None:
    assert render(DEFAULT_TEMPLATE, _source(caption)) == caption.strip()


@given(CAPTIONS, st.lists(st.sampled_from(sorted(VARIABLES)), max_size=6))
def test_no_caption_upsets_a_template_of_known_variables(caption: str, names: list[str]) -> None:
    render(" ".join(f"{{{name}}}" for name in names), _source(caption))


@given(CAPTIONS)
def test_a_hashtag_found_stands_in_the_caption(caption: str) -> None:
    assert all(f"#{tag}" in caption for tag in hashtags_of(caption))


@given(CAPTIONS)
def test_a_hashtag_is_found_once_whatever_its_case(caption: str) -> None:
    folded = [tag.casefold() for tag in hashtags_of(caption)]
    assert len(folded) == len(set(folded))


@given(CAPTIONS)
@example("#walk#dog")
@example("Out #walk#dog today")
def test_a_title_has_no_hashtags_and_one_line(caption: str) -> None:
    title = title_of(caption)
    assert not HASHTAGS.search(title)
    assert len(title.splitlines()) <= 1


@given(CAPTIONS)
@example("#walk#dog")
def test_the_words_alone_have_no_hashtags(caption: str) -> None:
    assert not hashtags_of(render("{text}", _source(caption)))


@given(st.text(max_size=60))
def test_a_template_is_filled_in_or_refused_with_a_remedy(template: str) -> None:
    refusal: UserError | None = None
    try:
        render(template, _source("Hello"))
    except UserError as refused:
        refusal = refused
    assert refusal is None or (refusal.field == "template" and refusal.remedy)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A #walk in the #park", ("walk", "park")),
        ("#Walk and #walk again", ("Walk",)),
        ("#walk#dog#park", ("walk", "dog", "park")),
        ("one#two", ()),
        ("https://example.org/#part", ()),
        ("Tom &#38; Jerry", ()),
        ("#2026 is no hashtag, #y2026 is", ("y2026",)),
        ("#läuft #犬 #café", ("läuft", "犬", "café")),
        ("#हिन्दी #สวัสดี #cafe\u0301", ("हिन्दी", "สวัสดี", "cafe\u0301")),
        ("# alone", ()),
    ],
)
def test_hashtags_are_read_as_the_platforms_read_them(caption: str, expected: tuple[str, ...]) -> None:
    assert hashtags_of(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A walk\nin the park", "A walk"),
        ("#walk\n\nWith the dog #dog", "With the dog"),
        ("#walk #dog", "walk"),
        ("A #sunny walk", "A walk"),
        ("", ""),
    ],
)
def test_a_title_is_the_first_line_with_words(caption: str, expected: str) -> None:
    assert title_of(caption) == expected


def test_each_variable_says_its_part() -> None:
    source = CaptionSource("A walk #park\nin autumn", "@mia", "https://example.org/1")
    template = "{title}|{text}|{hashtags}|{handle}|{link}|{{kept}}"
    assert render(template, source) == "A walk|A walk\nin autumn|#park|@mia|https://example.org/1|{kept}"


def test_braces_in_a_caption_are_words_and_never_variables() -> None:
    assert render("{caption} {handle}", _source("look: {handle} {nothing}")) == "look: {handle} {nothing} @mia"


@pytest.mark.parametrize("template", ["{captoin}", "{}", "{caption!r}", "{caption:>9}", "{caption.__class__}", "{0}"])
def test_what_a_caption_cannot_hold_is_refused_naming_what_it_can(template: str) -> None:
    with pytest.raises(UserError, match=r"\{caption\}.*\{hashtags\}"):
        check_template(template)


@pytest.mark.parametrize("template", ["{", "}", "{caption", "{{caption}"])
def test_an_open_brace_is_refused_with_the_way_to_write_one(template: str) -> None:
    with pytest.raises(UserError, match=r"Write \{\{"):
        check_template(template)
