"""What does X take: how long a text, what kind of video, how many calls?

Evidence letters: P primary source, C code or its issues, T tried by us. Sources are X's documentation repository and
OpenAPI 2.167 (August 2026) unless said otherwise.

    text    280 weighted characters, URL 23, twitter-text config v3                                      P
    video   H.264 and AAC in MP4 or MOV, 4:2:0, closed GOP, mono or stereo, <= 60 fps,                   P
            0.5-140 s, <= 512 MB, 1:3 to 3:1, >= 32x32                                                   P
            <= 1280x1024 on paper, but 1080x1920 is accepted in practice                                 C
    upload  1 MiB a segment (5 MB got 413 or 431 in 2026), at most 1000 segments                         P, C
    rates   posts 100 / 15 min a user and 10 000 / 24 h an app; upload calls 1875 / 15 min a user        P
            and 180 000 / 24 h an app; timeline reads 900 / 15 min a user                                P
    price   a post $0.015, with a link in its text $0.200; reading one post $0.005, one user $0.010      P
"""

from __future__ import annotations

import pkgutil
import sys
import unicodedata
from dataclasses import replace
from types import ModuleType
from typing import Any, Final

import regex

from autorepost_app.domain.media import MediaLimits
from autorepost_app.platform_kit.protocol import PostText, QuotaRule, TextField, TextSpec


def _twitter_text() -> Any:
    """twitter-text-parser asks `pkg_resources` for its list of emoji, and setuptools ships that module no more. The
    one function it calls reads a file that lies beside a module, which is what `pkgutil.get_data` does."""
    absent = object()
    before: Any = sys.modules.get("pkg_resources", absent)
    stand_in = ModuleType("pkg_resources")
    stand_in.__dict__["resource_string"] = pkgutil.get_data
    sys.modules["pkg_resources"] = stand_in
    try:
        import twitter_text
    finally:
        if before is absent:
            del sys.modules["pkg_resources"]
        else:
            sys.modules["pkg_resources"] = before
    return twitter_text


_TWITTER_TEXT: Final = _twitter_text()
_V3: Final[dict[str, Any]] = _TWITTER_TEXT.config.config["version3"]

# ------------------------------------------------------------------------------------------------------------- words

TEXT_LIMIT: Final = 280
_ELLIPSIS: Final = "…"
_GRAPHEME: Final = regex.compile(r"\X")
_REFUSED: Final = regex.compile(r"[\p{Cs}\uFFFE\uFEFF\uFFFF\x00-\x08\x0B-\x1F\x7F]")
_LONGEST_WORD: Final = 40


def weighted_length(text: str) -> int:
    """As X counts: most scripts 1, emoji and CJK 2, a link 23, after NFC."""
    encodable = text.encode("utf-8", "ignore").decode()
    return int(_TWITTER_TEXT.parse_tweet(encodable, _V3).weightedLength)


def links_in(text: str) -> list[str]:
    """Every part of the text that X takes for a link, bare domains included."""
    return [found["url"] for found in _TWITTER_TEXT.extract_urls_with_indices(text)]


def fit(text: PostText) -> tuple[PostText, tuple[str, ...]]:
    """A body that X takes, and what was changed (shortening) or will surprise (a dear link)."""
    notes: list[str] = []
    body = _clean(text.body)
    if weighted_length(body) > TEXT_LIMIT:
        body = _shortened(body)
        notes.append(f"Shortened to the {TEXT_LIMIT} characters X allows.")
    links = links_in(body)
    if links:
        notes.append(f"“{links[0]}” counts as a link: X charges $0.20 for this post instead of $0.015.")
    return replace(text, body=body), tuple(notes)


def _clean(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _REFUSED.sub("", lines)).strip()


def _shortened(text: str) -> str:
    """The longest beginning that fits with an ellipsis, ending at a grapheme border and, where one is near, a word.

    The library says where the weight runs out; what is left is measured again, because a cut can make a link or an
    emoji sequence weigh differently.
    """
    room = {**_V3, "max_weighted_tweet_length": TEXT_LIMIT - weighted_length(_ELLIPSIS)}
    last_unit = _TWITTER_TEXT.parse_tweet(text, room).validRangeEnd
    fitting = text.encode("utf-16-le")[: 2 * (last_unit + 1)].decode("utf-16-le", "ignore")
    graphemes = _GRAPHEME.findall(_before_a_split_word(text, len(fitting)))
    while weighted_length(kept := "".join(graphemes).rstrip() + _ELLIPSIS) > TEXT_LIMIT:
        graphemes.pop()
    return kept


def _before_a_split_word(text: str, end: int) -> str:
    """The text up to `end`, moved back to a border of graphemes and (if it is not far) words. No link is split here:
    it weighs as a whole, so the weight never runs out inside one."""
    end = max((found.end() for found in _GRAPHEME.finditer(text) if found.end() <= end), default=0)
    if text[end : end + 1].isspace():
        return text[:end]
    words = text[:end].rsplit(maxsplit=1)
    return words[0] if len(words) == 2 and len(words[1]) <= _LONGEST_WORD else text[:end]


TEXT: Final = TextSpec(
    fields=(
        TextField(name="body", label="Post", limit=TEXT_LIMIT, measure=weighted_length, unit="characters as X counts"),
    ),
    fit=fit,
)

# ------------------------------------------------------------------------------------------------------------- video

SEGMENT_BYTES: Final = 1 << 20
SMALLEST_SEGMENT_BYTES: Final = 1 << 16
SEGMENTS_MAX: Final = 1000

MEDIA: Final = MediaLimits(
    containers=frozenset({"mp4", "mov"}),
    vcodecs=frozenset({"h264"}),
    pix_fmts=frozenset({"yuv420p"}),
    acodecs=frozenset({"aac"}),
    audio_profiles=frozenset({"LC"}),
    audio_channels_max=2,
    fps_max=60.0,
    width_min=32,
    width_max=1920,
    height_min=32,
    height_max=1920,
    aspect_min=1 / 3,
    aspect_max=3.0,
    duration_min_seconds=0.5,
    duration_max_seconds=140.0,
    size_max_bytes=512 * 1024 * 1024,
    closed_gop=True,
    hdr=False,
    trim_allowed=True,
    box=(1080, 1920),
)

# ------------------------------------------------------------------------------------------------------------- calls

_UPLOAD: Final = ("initialize", "append", "finalize")
_QUARTER: Final = 900.0
_DAY: Final = 86_400.0

QUOTAS: Final = (
    QuotaRule("posts", "posts in 15 minutes", "account", {"post": 1}, 100, _QUARTER),
    QuotaRule("app_posts", "posts of all accounts in 24 hours", "app", {"post": 1}, 10_000, _DAY),
    *(QuotaRule(call, f"{call} calls in 15 minutes", "account", {call: 1}, 1_875, _QUARTER) for call in _UPLOAD),
    *(QuotaRule(f"app_{call}", f"{call} calls in 24 hours", "app", {call: 1}, 180_000, _DAY) for call in _UPLOAD),
    QuotaRule("status", "upload status reads in 15 minutes", "account", {"status": 1}, 1_000, _QUARTER),
    QuotaRule("timeline", "timeline reads in 15 minutes", "account", {"timeline": 1}, 900, _QUARTER),
)
