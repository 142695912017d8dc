"""States, times and other people's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboards.words import in_one_line, linked, when, zone_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=20), "11:59 (just now)"),
        (timedelta(minutes=5), "11:55 (5 min ago)"),
        (timedelta(hours=3), "09:00 (3 h ago)"),
        (timedelta(hours=20), "22 Nov, 16:00 (20 h ago)"),
        (timedelta(days=3), "20 Nov, 12:00"),
        (timedelta(days=400), "19 Oct 2025, 12:00"),
        (-timedelta(hours=1), "13:00"),
        (-timedelta(days=1), "24 Nov, 12:00"),
    ],
)
def test_a_time_is_told_as_people_tell_it(ago, said):
    assert when(NOW - ago, NOW, UTC) == said


def test_a_time_is_the_viewers_own():
    assert when(NOW, NOW, ZoneInfo("Asia/Tokyo")) == "21:00 (just now)"
    assert when(NOW - timedelta(hours=10), NOW, ZoneInfo("America/Los_Angeles")).startswith("22 Nov, 18:00") is True


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../../etc/passwd", "x" * 5000])
def test_a_zone_nobody_knows_is_utc(name):
    assert zone_of(name) == ZoneInfo("UTC")


def test_words_are_cut_to_fit_and_do_not_turn_the_line_around():
    assert in_one_line("a\n\n b\t c") == "a b c"
    assert in_one_line("\u202eabc\u2066") == "abc"
    assert in_one_line("x" * 200) == "x" * 139 + "…"


@pytest.mark.parametrize("url", [None, "", "javascript:alert(1)", "data:text/html,x", "//evil.example", "/x"])
def test_only_web_pages_are_linked(url):
    assert linked("X", url) == "X"


@pytest.mark.parametrize("end", [") ![x](https://evil.example", "> <img>", " 'title'", "\n\n# x", "](y", "\\)"])
def test_an_address_cannot_end_its_link(end):
    text = linked("X", f"https://x.com/a?b=c&d=%20{end}")
    assert text.startswith("[X](https://x.com/a?b=c&d=%20")
    assert not set("()[]<>\\ \n") & set(text[len("[X](") : -1])
