"""What does Instagram take as a Reel, and how long does it work on one?

Evidence letters as in the platform reference: P Meta's own pages or SDK, C working code or its issues, U unverified.
Read on 23 November 2026.

    MP4 or MOV, index first, no edit lists, closed groups of pictures, 4:2:0    P  Reels media specification
    H.264 or HEVC, at most 25 Mbit/s, 23-60 frames a second                     P
    AAC, at most 48 kHz, one or two channels                                    P
    width at most 1920, shape 0.01:1 to 10:1, upright 9:16 advised              P
    3 s to 15 min                                                               P
    300 MB (older copies of the page say 1 GB; the smaller one is safe)         P
    10-bit and HDR: not named, so re-encoded to 8-bit SDR                       U
    a container lives 24 h                                                      P
    look at a container every 5-30 s, after minutes once a minute               C, P
    the first look after a second: short clips are done within a few            U
    give up on one still in progress after 10-15 min; long videos get 30        C, U
"""

from __future__ import annotations

from typing import Final

from autorepost_app.domain.media import MediaLimits
from autorepost_app.platform_kit.protocol import ReconcilePlan

CONTAINER_LIFE_SECONDS: Final = 86_400.0
PROCESSING_PATIENCE_SECONDS: Final = 1800.0
PUBLIC_URL_SECONDS: Final = 2 * 3600.0
"""How long Meta may fetch our file: longer than its processing is ever waited for."""
UPLOAD_TIMEOUT_SECONDS: Final = 300.0


def poll_after_seconds(waited_seconds: float) -> float:
    """As long again as it took so far, from one second: a short clip is seen at once, five minutes cost fifteen looks.
    After those Meta asks for once a minute."""
    return min(max(1.0, waited_seconds), 30.0) if waited_seconds < 300 else 60.0


MEDIA: Final = MediaLimits(
    containers=frozenset({"mp4", "mov"}),
    vcodecs=frozenset({"h264", "hevc"}),
    pix_fmts=frozenset({"yuv420p", "yuvj420p"}),
    acodecs=frozenset({"aac"}),
    audio_hz_max=48_000,
    audio_channels_max=2,
    fps_min=23,
    fps_max=60,
    width_max=1920,
    aspect_min=0.01,
    aspect_max=10.0,
    duration_min_seconds=3.0,
    duration_max_seconds=900.0,
    size_max_bytes=300_000_000,
    bitrate_max=25_000_000,
    faststart=True,
    edit_lists=False,
    closed_gop=True,
    hdr=False,
    box=(1080, 1920),
)

RECONCILE: Final = ReconcilePlan(
    # 11 min is the first read after the quiet time; 24.5 h the first after a container must have expired.
    read_after_seconds=(30, 60, 120, 300, 600, 660, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24.5 * 3600),
    give_up_after_seconds=26 * 3600,
    request_lifetime_seconds=600,
)
