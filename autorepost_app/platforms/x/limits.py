"""What kind of video does X take? (How long a text: see `text`; how many calls: see `quotas`.)

Evidence letters: P primary source, C code or its issues, T tried by us. Sources are X's documentation repository and
OpenAPI 2.167 (August 2026) unless said otherwise.

    video   H.264 and AAC in MP4 or MOV, 4:2:0, closed GOP, mono or stereo, <= 60 fps,                   P
            0.5-140 s, <= 512 MB, 1:3 to 3:1, >= 32x32                                                   P
            <= 1280x1024 on paper, but 1080x1920 is accepted in practice                                 C
    upload  1 MiB a segment (5 MB got 413 or 431 in 2026), at most 1000 segments                         P, C
"""

from __future__ import annotations

from typing import Final

from autorepost_app.domain.media import MediaLimits

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
