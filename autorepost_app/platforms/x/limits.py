"""What does X take: what kind of video, how many calls, and for how much money? (Words: see `text`.)

Evidence letters: P primary source, C code or its issues, T tried by us. Sources are X's documentation repository and
OpenAPI 2.167 (August 2026) unless said otherwise.

    video   H.264 and AAC in MP4 or MOV, 4:2:0, closed GOP, mono or stereo, <= 60 fps,                   P
            0.5-140 s, <= 512 MB, 1:3 to 3:1, >= 32x32                                                   P
            <= 1280x1024 on paper, but 1080x1920 is accepted in practice                                 C
    upload  1 MiB a segment (5 MB got 413 or 431 in 2026), at most 1000 segments                         P, C
    rates   posts 100 / 15 min a user and 10 000 / 24 h an app; upload calls 1875 / 15 min a user        P
            and 180 000 / 24 h an app; timeline reads 900 / 15 min a user                                P
    price   a post $0.015, with a link in its text $0.200; reading one post $0.005, one user $0.010      P
"""

from __future__ import annotations

from typing import Final

from autorepost_app.domain.media import MediaLimits
from autorepost_app.platform_kit.protocol import QuotaRule

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
