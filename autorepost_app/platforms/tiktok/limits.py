"""How much does TikTok give, how often, and where does each number come from?

Evidence: [P] TikTok's own pages, [C] working clients or their issues, [U] our own choice or unverified.
"""

from __future__ import annotations

from typing import Final

from autorepost_app.platform_kit.protocol import QuotaRule, SourceSpec

PAGE_SIZE: Final = 20
"""`max_count` of video/list: 1 to 20, 10 where left out [P: Display API, List Videos]."""

QUERY_IDS: Final = 20
"""Most ids in one video/query [P: Display API, Query Videos]."""

CALLS_PER_MINUTE: Final = 600
"""Sliding minute, for the whole app, counted apart for each endpoint [P: API v2 rate limits]."""

CALLS_KEPT: Final = 30
"""Five in a hundred of the calls are kept for back-fill and repeats [U]."""

RATE_LIMIT_SECONDS: Final = 60.0
"""How long a used-up minute lasts: no reset header is documented [P], so the whole window is waited out."""

RATE_LIMIT_MOST_SECONDS: Final = 900.0
"""An `x-ratelimit-reset` (read by Nango [C], documented nowhere) further away than this is not believed [U]."""

CAPTION_CHARACTERS: Final = 150
"""`video_description` and `title` are cut here [P]; the whole caption comes with the file."""

TOKEN_CALLS: Final = ("token.code", "token.refresh", "token.revoke")

STATS_SCOPE: Final = "user.info.stats"
"""Gives `video_count`, the number of public posts [P: Get User Info]."""

CANARIES: Final = (
    ("patroxofficial", "6742501081818877190"),
    ("barudakhb_", "6984138651336838402"),
    ("pokemonlife22", "7059698374567611694"),
)
"""Public posts that yt-dlp's own tests expect to be there, the oldest since 2019 [C]."""

FILE_BYTES: Final = 2 << 30
"""The largest file fetched [U]: an hour at TikTok's usual 2.5 Mbit/s is 1.1 GB, so twice that is no creator's video."""

FETCH_MEMORY_BYTES: Final = 1 << 30
"""Address space of the downloader [U]: it takes 0.3 GB, of which 53 MB are ever used."""

FETCH_SECONDS: Final = 1800.0
"""The longest one fetch may take [U]: the largest file at 10 Mbit/s."""

SEE_SECONDS: Final = 20.0
"""A page that has played nothing by then will play nothing [U]: pages are there within five."""

PROBE_SECONDS: Final = 60.0
"""The longest one look at a canary may take [U]: a page and the first 10 kB of a file."""

COVER_BYTES: Final = 10 << 20
"""A cover picture larger than this is none [U]."""

PINNED_MOST: Final = 3
"""Posts that a creator may pin to the top of their profile [C]; whether lists begin with them is undocumented."""

SOFT_BLOCK_SECONDS: Final = 1800.0
"""The pause after TikTok's pages stop being readable [U]: asking again at once makes a soft block last."""

OTHER_EGRESS_SECONDS: Final = 900.0
"""The pause after a refusal of our network address [U]."""


def _per_minute(call: str, label: str) -> QuotaRule:
    return QuotaRule(call, label, "app", {call: 1}, CALLS_PER_MINUTE, window_seconds=60.0)


QUOTAS: Final = (
    _per_minute("user.info", "TikTok profile look-ups a minute"),
    _per_minute("video.list", "TikTok looks for new posts a minute"),
    _per_minute("video.query", "TikTok looks at single posts a minute"),
    # No limit of these is documented; a sudden many of them is the first sign of a fault of ours, or of a soft block.
    QuotaRule("tokens", "TikTok sign-ins and renewals", "app", dict.fromkeys(TOKEN_CALLS, 1), None),
    QuotaRule("pages", "TikTok pages asked for their file", "app", {"video.page": 1}, None, unit="pages"),
    QuotaRule("covers", "TikTok cover pictures", "app", {"video.cover": 1}, None, unit="pictures"),
)

SOURCE: Final = SourceSpec(
    polls_per_minute=CALLS_PER_MINUTE - CALLS_KEPT,
    page_size=PAGE_SIZE,
    poll_call="video.list",
    pulse_call="user.info",
    calls_kept=CALLS_KEPT,
    pinned_most=PINNED_MOST,
)
