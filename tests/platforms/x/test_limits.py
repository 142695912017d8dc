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
from autorepost_app.platforms.x.limits import TEXT_LIMIT, fit, weighted_length

HERE = Path(__file__).parent / "twitter-text"
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
        "\ufeff",
        "\ud83d",
        "\u2066",
        "\u200d",
        "\x00",
        "\r\n",
    ]
)
CAPTIONS = st.lists(PIECES, max_size=400).map("".join)


def counting_tests() -> list[Any]:
    tests = yaml.safe_load((HERE / "validate-counting.yml").read_text(encoding="utf-8"))["tests"]
    return [pytest.param(one, id=one["description"]) for suite in SUITES for one in tests[suite]]


@pytest.mark.parametrize("case", counting_tests())
def test_texts_weigh_what_the_conformance_suite_of_x_says(case: dict[str, Any]) -> None:
    expected = WRITTEN_FOR_CONFIG_2.get(case["description"], case["expected"]["weightedLength"])
    assert weighted_length(case["text"]) == expected


def test_the_two_tests_we_read_differently_pass_under_the_configuration_they_were_written_for() -> None:
    library = sys.modules["twitter_text"]
    config = {**library.config.config["version2"], "emoji_parsing_enabled": False}
    tests = yaml.safe_load((HERE / "validate-counting.yml").read_text(encoding="utf-8"))["tests"]
    old = [one for one in tests["WeightedTweetsCounterTest"] if one["description"] in WRITTEN_FOR_CONFIG_2]
    assert len(old) == 2
    for one in old:
        assert library.parse_tweet(one["text"], config).asdict() == one["expected"]


def test_the_library_counts_by_the_third_configuration_as_x_published_it() -> None:
    published = json.loads((HERE / "config-v3.json").read_text())
    used = sys.modules["twitter_text"].config.config["version3"]
    assert used["max_weighted_tweet_length"] == published["maxWeightedTweetLength"] == TEXT_LIMIT
    assert used["transformed_url_length"] == published["transformedURLLength"]
    assert used["emoji_parsing_enabled"] is published["emojiParsingEnabled"] is True
    assert (used["ranges"], used["scale"], used["default_weight"]) == (published["ranges"], 100, 200)


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


@settings(max_examples=150, deadline=None)
@given(CAPTIONS)
@example(FAMILY * 141)
@example("a" * 279 + FAMILY)
@example("日本語" * 60)
@example("x" * 270 + " https://www.tiktok.com/@abc/video/7412345678901234567")
@example("z" + "\u0300" * 400)
@example("brand.com " * 40)
@example("\ufeff" * 300 + "end")
def test_a_fitted_text_fits_ends_between_graphemes_and_stays_as_it_is(caption: str) -> None:
    fitted, notes = fit(PostText(caption))
    assert weighted_length(fitted.body) <= TEXT_LIMIT
    assert unicodedata.is_normalized("NFC", fitted.body)
    assert fit(fitted)[0] == fitted
    if any("Shortened" in note for note in notes):
        assert fitted.body.endswith("…")
        assert begins_at_a_grapheme_border(fitted.body[:-1], caption)
    else:
        assert not fitted.body.endswith("…") or "…" in caption


def begins_at_a_grapheme_border(kept: str, caption: str) -> bool:
    whole = cleaned(caption)
    borders = {0} | {found.end() for found in regex.finditer(r"\X", whole)}
    return whole.startswith(kept) and len(kept) in borders


def cleaned(caption: str) -> str:
    """What the caption would be if X took any length: refused characters out, NFC, no space at the ends."""
    kept = regex.sub(r"[\p{Cs}\ufffe\ufeff\uffff\x00-\x08\x0b-\x1f\x7f]", "", regex.sub(r"\r\n?", "\n", caption))
    return unicodedata.normalize("NFC", kept).strip()


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


def test_a_bare_domain_warns_about_the_price() -> None:
    _, notes = fit(PostText("new drop at brand.com"))
    assert notes == ("“brand.com” counts as a link: X charges $0.20 for this post instead of $0.015.",)


def test_the_manifest_counts_with_the_same_measure() -> None:
    spec = PLATFORM.destination
    assert spec is not None
    (body,) = spec.text.fields
    assert (body.name, body.limit, body.measure("example.com")) == ("body", 280, 23)
