"""Does our text weigh what X says, and does a fitted text always fit?"""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import regex
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import PostText
from autorepost_app.platforms.x import PLATFORM
from autorepost_app.platforms.x.entities import EntityKind, entities_in, links_in
from autorepost_app.platforms.x.text import TEXT_LIMIT, fit, weighted_length, without_links
from autorepost_app.sandbox.x import text as sandbox

HERE = Path(__file__).parent / "twitter-text"
LIBRARY = sys.modules["twitter_text"]
SUITES = (
    "WeightedTweetsCounterTest",
    "WeightedTweetsWithDiscountedEmojiCounterTest",
    "UnicodeDirectionalMarkerCounterTest",
)
WRITTEN_FOR_CONFIG_2 = {
    "Count a mix of single byte single word, and double word unicode characters": 7,
    "Count unicode emoji chars outside the basic multilingual plane with skin tone modifiers": 4,
}
"""Two of X's own tests expect the weights of before emoji counted 2 as a whole; here is what config v3 gives."""

FAMILY = "👨‍👩‍👧‍👦"
PIECES = st.sampled_from(
    [
        *"abc é ñ日本語ท่ \n\t#@$.…“”",
        FAMILY,
        "🇺🇸",
        "1⃣",
        "👍🏽",
        "e\u0301",
        "\u1100\u1161\u11a8",
        "क्षि",
        "z" + "\u0300" * 12,
        "brand.com",
        "https://www.tiktok.com/@abc/video/7412345678901234567?utm=1",
        "http://xn--80ak6aa92e.com/" + "p" * 60,
        "#foryoupage ",
        " @maria_99 ",
        " $TSLA ",
        " and so on",
        "\ufeff",
        "\ud83d",
        "\u2066",
        "\u200d",
        "\x00",
        "\r\n",
    ]
)
CAPTIONS = (st.lists(PIECES, max_size=40) | st.lists(PIECES, min_size=60, max_size=400)).map("".join)


def counting_tests() -> list[Any]:
    tests = yaml.safe_load((HERE / "validate-counting.yml").read_text(encoding="utf-8"))["tests"]
    return [pytest.param(one, id=one["description"]) for suite in SUITES for one in tests[suite]]


@pytest.mark.parametrize("case", counting_tests())
def test_texts_weigh_what_the_conformance_suite_of_x_says(case: dict[str, Any]) -> None:
    expected = WRITTEN_FOR_CONFIG_2.get(case["description"], case["expected"]["weightedLength"])
    assert weighted_length(case["text"]) == expected


def test_the_two_tests_we_read_differently_pass_under_the_configuration_they_were_written_for() -> None:
    library = LIBRARY
    config = {**library.config.config["version2"], "emoji_parsing_enabled": False}
    tests = yaml.safe_load((HERE / "validate-counting.yml").read_text(encoding="utf-8"))["tests"]
    old = [one for one in tests["WeightedTweetsCounterTest"] if one["description"] in WRITTEN_FOR_CONFIG_2]
    assert len(old) == 2
    for one in old:
        assert library.parse_tweet(one["text"], config).asdict() == one["expected"]


def test_the_library_counts_by_the_third_configuration_as_x_published_it() -> None:
    published = json.loads((HERE / "config-v3.json").read_text())
    used = LIBRARY.config.config["version3"]
    assert used["max_weighted_tweet_length"] == published["maxWeightedTweetLength"] == TEXT_LIMIT
    assert used["transformed_url_length"] == published["transformedURLLength"]
    assert used["emoji_parsing_enabled"] is published["emojiParsingEnabled"] is True
    assert (used["ranges"], used["scale"], used["default_weight"]) == (published["ranges"], 100, 200)


@settings(max_examples=60, deadline=None)
@given(CAPTIONS)
@example("\u00e9brand.com")  # the first letter counts as what stands before the link
def test_a_second_implementation_finds_the_same_links_and_weight(caption: str) -> None:
    """Without joiners: which emoji may be joined is a list, and the library has it."""
    text = cleaned(caption.replace("\u200d", ""))
    assert [link.url for link in sandbox.links_in(text)] == links_in(text)
    assert sandbox.weighted_length(text) == weighted_length(text)


# ---------------------------------------------------------------------------------------------------------- entities

EXTRACTED = {
    "urls": EntityKind.LINK,
    "urls_with_indices": EntityKind.LINK,
    "urls_with_directional_markers": EntityKind.LINK,
    "tco_urls_with_params": EntityKind.LINK,
    "hashtags": EntityKind.HASHTAG,
    "hashtags_from_astral": EntityKind.HASHTAG,
    "hashtags_with_indices": EntityKind.HASHTAG,
    "mentions": EntityKind.NAME,
    "mentions_with_indices": EntityKind.NAME,
    "mentions_or_lists_with_indices": EntityKind.NAME,
    "cashtags": EntityKind.CASHTAG,
    "cashtags_with_indices": EntityKind.CASHTAG,
}


def extracting_tests() -> list[Any]:
    tests = yaml.safe_load((HERE / "extract.yml").read_text(encoding="utf-8"))["tests"]
    cases = [(kind, suite, one) for suite, kind in EXTRACTED.items() for one in tests[suite]]
    return [pytest.param(kind, one, id=f"{suite}: {one['description']}") for kind, suite, one in cases]


@pytest.mark.parametrize(("kind", "case"), extracting_tests())
def test_entities_are_what_the_conformance_suite_of_x_says(kind: EntityKind, case: dict[str, Any]) -> None:
    found = [entity for entity in entities_in(case["text"]) if entity.kind is kind]
    for entity, expected in zip(found, case["expected"], strict=True):
        assert case["text"][entity.start : entity.end] == entity.text
        if isinstance(expected, dict):
            assert expected["indices"] == [entity.start, entity.end]
        else:
            assert expected == (entity.text if kind is EntityKind.LINK else entity.text[1:])


def test_every_top_level_domain_makes_a_link_and_no_other_word_does() -> None:
    tests = yaml.load((HERE / "tlds.yml").read_text(encoding="utf-8"), yaml.CSafeLoader)["tests"]
    cases = [one for suite in tests.values() for one in suite]
    assert len(cases) > 1500
    assert [one["text"] for one in cases if links_in(one["text"]) != one["expected"]] == []


def test_a_hashtag_inside_a_link_or_of_an_html_letter_is_none() -> None:
    assert meanings("https://brand.com/#top #walk") == ["https://brand.com/#top", "#walk"]
    assert meanings("&#xe4; and &#walk") == []


# ------------------------------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("hello", 5),
        ("日本語", 6),
        (FAMILY, 2),
        ("see https://www.tiktok.com/@abc/video/7412345678901234567?utm=1 ok", 30),
        ("example.com", 23),
        ("foo@bar.com", 11),
        ("x.co/abc 🇺🇸 ①", 29),
        ("https://a.b", 11),
        ("…", 2),
        ("“q”", 3),
        ("é", 1),
        ("\u2060", 2),
        ("half an emoji \ud83d", 14),
    ],
)
def test_texts_weigh_what_was_measured_against_the_reference_library(text: str, weight: int) -> None:
    assert weighted_length(text) == weight


def test_the_missing_setuptools_module_is_lent_to_the_counting_library_only() -> None:
    assert "resource_string" not in vars(sys.modules.get("pkg_resources", object))


@settings(max_examples=60, deadline=None)
@given(CAPTIONS)
@example(FAMILY * 141)
@example("a" * 279 + FAMILY)
@example("日本語" * 60)
@example("x" * 270 + " https://www.tiktok.com/@abc/video/7412345678901234567")
@example("z" + "\u0300" * 400)
@example("brand.com " * 40)
@example("\ufeff" * 300 + "end")
@example("#" + "y" * 300)
@example("@" + "n" * 15 + " $ABC $DEF " + "long " * 60 + "#a #b")
@example("x" * 240 + "brand.community" + "y" * 60)
def test_a_fitted_text_fits_ends_between_graphemes_and_stays_as_it_is(caption: str) -> None:
    fitted, notes = fit(PostText(caption))
    assert weighted_length(fitted.body) <= TEXT_LIMIT
    assert not fitted.body or LIBRARY.parse_tweet(fitted.body, LIBRARY.config.config["version3"]).valid
    assert unicodedata.is_normalized("NFC", fitted.body)
    assert fit(fitted)[0] == fitted
    whole = cleaned(caption)
    assert set(meanings(fitted.body)) <= set(meanings(whole))
    if any("Shortened" in note for note in notes):
        kept, _, tags = fitted.body.rpartition("…")
        assert ends_between_graphemes(kept or tags, whole)
        assert not regex.sub(r"[#＃]\w+|\s", "", tags) or not kept
    else:
        assert fitted.body == whole


def meanings(text: str) -> list[str]:
    """What a text links to, tags and names, in the words of the text."""
    return [entity.text for entity in entities_in(text)]


def ends_between_graphemes(kept: str, whole: str) -> bool:
    borders = {0} | {found.end() for found in regex.finditer(r"\X", whole)}
    return whole.startswith(kept) and len(kept) in borders


def cleaned(caption: str) -> str:
    """What the caption would be if X took any length: refused characters out, NFC, no space at the ends, a cashtag."""
    kept = regex.sub(r"[\p{Cs}\ufffe\ufeff\uffff\x00-\x08\x0b-\x1f\x7f]", "", regex.sub(r"\r\n?", "\n", caption))
    text = unicodedata.normalize("NFC", kept).strip()
    cashtags = [entity for entity in entities_in(text) if entity.kind is EntityKind.CASHTAG]
    for cashtag in reversed(cashtags[1:]):
        text = text[: cashtag.start] + text[cashtag.end - len(cashtag.text) + 1 :]
    return text


def test_a_short_caption_is_left_alone_without_a_note() -> None:
    text = PostText(f"My day {FAMILY} #fyp", title="kept", tags=("fyp",))
    assert fit(text) == (text, ())


def test_a_long_caption_is_cut_before_a_word_and_says_so() -> None:
    fitted, notes = fit(PostText("wonderful " * 40))
    assert fitted.body == ("wonderful " * 27).strip() + "…"
    assert notes == ("Shortened to the 280 characters X allows.",)


def test_a_family_is_never_torn_apart() -> None:
    fitted, _ = fit(PostText(FAMILY * 200))
    assert fitted.body == FAMILY * 139 + "…"
    assert weighted_length(fitted.body) == TEXT_LIMIT


def test_half_a_link_is_never_left_behind() -> None:
    link = "https://www.tiktok.com/@abc/video/7412345678901234567"
    fitted, notes = fit(PostText("x" * 200 + "日" * 30 + " " + link))
    assert "tiktok" not in fitted.body
    assert notes == ("Shortened to the 280 characters X allows.",)


def test_hashtags_that_would_be_lost_with_the_end_are_kept() -> None:
    fitted, _ = fit(PostText("wonderful " * 40 + "\n\n#fyp #walk #日本語 #FYP"))
    assert fitted.body == ("wonderful " * 26).strip() + "… #fyp #walk #日本語"
    assert weighted_length(fitted.body) <= TEXT_LIMIT


def test_hashtags_never_take_the_place_of_the_words() -> None:
    fitted, _ = fit(PostText("wonderful " * 40 + " ".join(f"#hashtag{n}" for n in range(40))))
    words, _, tags = fitted.body.partition("…")
    assert weighted_length(words) >= 180
    assert tags.split() == [f"#hashtag{n}" for n in range(8)]


def test_too_many_hashtags_are_dropped_from_the_end_without_an_ellipsis() -> None:
    fitted, _ = fit(PostText("my walk " + " ".join(f"#hashtag{n}" for n in range(40))))
    assert fitted.body == "my walk " + " ".join(f"#hashtag{n}" for n in range(8))


def test_a_hashtag_or_a_name_is_never_cut_into_another() -> None:
    for sign in "#@":
        word = sign + ("friends" * (12 if sign == "#" else 2))
        for words in range(190, 281, 3):
            fitted, _ = fit(PostText("w" * words + " " + word + " and so on and on" * 10))
            assert set(meanings(fitted.body)) <= {word}, fitted.body
            assert f"{sign}…" not in fitted.body


def test_a_cut_never_makes_a_link_of_a_word() -> None:
    for words in range(215, 235):  # `.com` lies where the room ends
        text = "w" * words + " " + "b" * 50 + ".community" + "a" * 100
        assert not links_in(text)
        fitted, notes = fit(PostText(text))
        assert not links_in(fitted.body), fitted.body
        assert len(notes) == 1


def test_a_second_cashtag_loses_its_sign() -> None:
    fitted, notes = fit(PostText("$ABC up, $DEF down, $5 and #tag"))
    assert fitted.body == "$ABC up, DEF down, $5 and #tag"
    assert notes == ("X takes one cashtag in a post: the others stand without their $.",)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("see https://a.example.com/x?y=1 now", "see now"),
        ("new drop at brand.com", "new drop at"),
        ("brand.com", ""),
        ("first\nbrand.com second", "first\n second"),
        ("exa brand.com mple.com", "exa"),
        ("v1.2 has no link, e.g. this", "v1.2 has no link, e.g. this"),
    ],
)
def test_links_can_be_left_out(body: str, left: str) -> None:
    assert without_links(body) == left


@settings(max_examples=40, deadline=None)
@given(CAPTIONS)
def test_without_links_there_is_none_and_no_new_weight(caption: str) -> None:
    body = fit(PostText(caption))[0].body
    assert links_in(without_links(body)) == []
    assert weighted_length(without_links(body)) <= weighted_length(body)


def test_a_bare_domain_warns_about_the_price() -> None:
    _, notes = fit(PostText("new drop at brand.com"))
    assert notes == ("“brand.com” counts as a link: X charges $0.20 for this post instead of $0.015.",)


def test_the_manifest_counts_with_the_same_measure() -> None:
    spec = PLATFORM.destination
    assert spec is not None
    (body,) = spec.text.fields
    assert (body.name, body.limit, body.measure("example.com")) == ("body", 280, 23)
