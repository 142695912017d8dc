"""What exactly is done to an original, under which fingerprint, and what will the outcome measure?

A spec says everything that decides the bytes of a rendition, so `<sha of the original>-<fingerprint>` names the
outcome before it exists and two tenants' workers never make the same file twice.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import ceil, floor, inf

from autorepost_app.domain.media_facts import MediaFacts, MediaLimits, violations

RECIPE = 1
"""Goes up when the encoder settings change, so that renditions of the old recipe are not taken for new ones."""

UPRIGHT_BOX = (1080, 1920)
FPS_KEPT = (23.0, 60.0)
FPS_OTHERWISE = 30.0
MAXRATE = 10_000_000
MAXRATE_WORTH_WATCHING = 400_000
BUFFER_SECONDS = 2.0
SHORTEST_CUT_SECONDS = 0.5
AUDIO_BITRATE = 128_000
AUDIO_HZ = 48_000
LOUDNESS_LUFS = -14.0
AUDIO_FIELDS = frozenset({"audio", "acodec", "audio_profile", "audio_hz", "audio_channels"})

MP4_VIDEO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})


class Kind(StrEnum):
    """From nothing to do to everything to do; the order is the order of cost."""

    PASSTHROUGH = "passthrough"
    REMUX = "remux"
    TRIM = "trim"
    AUDIO_ONLY = "audio_only"
    TRANSCODE = "transcode"


@dataclass(frozen=True, slots=True)
class VideoTarget:
    """H.264 High, 4:2:0, BT.709, closed groups of pictures; `fps` None keeps the source's."""

    width: int
    height: int
    fps: float | None
    maxrate: int
    tonemap: bool = False
    recolor: bool = False


@dataclass(frozen=True, slots=True)
class AudioTarget:
    """AAC-LC, 48 kHz, stereo; silence where the source has no sound."""

    silence: bool = False
    loudness_lufs: float = LOUDNESS_LUFS


@dataclass(frozen=True, slots=True)
class RenditionSpec:
    """No video or audio target means that stream is copied bit by bit. `base` None means the original."""

    kind: Kind
    video: VideoTarget | None = None
    audio: AudioTarget | None = None
    cut_seconds: float | None = None
    base: "RenditionSpec | None" = None

    @property
    def fingerprint(self) -> str:
        text = json.dumps({"recipe": RECIPE, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def cut_for(facts: MediaFacts, limits: MediaLimits) -> float | None:
    """Where to cut so that the copy, which ends a few frames later, stays inside the limit (140 -> 139.9)."""
    longest = limits.duration_max_seconds
    if longest is None or facts.duration_seconds <= longest or not limits.trim_allowed:
        return None
    cut = floor((longest - overshoot_seconds(facts)) * 10 + 1e-6) / 10
    return cut if cut >= SHORTEST_CUT_SECONDS else None


def overshoot_seconds(facts: MediaFacts) -> float:
    """A copied stream ends at a decode time; frames shown later than they are decoded come on top."""
    rate = min(facts.fps, FPS_OTHERWISE) if facts.variable_fps else facts.fps
    return max(0.1, ceil((max(facts.reorder_frames, 2) + 1) / rate * 10 - 1e-6) / 10)


def rendition_spec(
    kind: Kind, facts: MediaFacts, limits: MediaLimits, cut_seconds: float | None
) -> RenditionSpec | None:
    """The spec of this kind for these limits; None where the kind cannot be had from this source."""
    if kind is Kind.TRANSCODE:
        return transcode_spec(facts, limits, cut_seconds)
    if kind is Kind.PASSTHROUGH:
        return RenditionSpec(kind) if cut_seconds is None else None
    if not _copies_into_mp4(facts, with_audio=kind is not Kind.AUDIO_ONLY):
        return None
    if kind is Kind.AUDIO_ONLY:
        return RenditionSpec(kind, audio=AudioTarget(facts.acodec is None), cut_seconds=cut_seconds)
    wanted = Kind.REMUX if cut_seconds is None else Kind.TRIM
    return RenditionSpec(kind, cut_seconds=cut_seconds) if kind is wanted else None


def transcode_spec(facts: MediaFacts, limits: MediaLimits, cut_seconds: float | None) -> RenditionSpec:
    """Anything that could be measured can be re-encoded; whether that is enough is for `predict` to say."""
    video, audio = _video_target(facts, limits, cut_seconds), _audio_target(facts, limits)
    return RenditionSpec(Kind.TRANSCODE, video, audio, cut_seconds)


def predict(facts: MediaFacts, spec: RenditionSpec) -> MediaFacts:
    """What the rendition will measure: exact where we choose, an upper bound for size, bit rate and length."""
    if spec.kind is Kind.PASSTHROUGH:
        return facts
    if spec.base is not None:
        facts = predict(facts, spec.base)
    facts = _cut(replace(facts, container="mp4", faststart=True, edit_list=False), spec.cut_seconds)
    if spec.audio is not None:
        facts = _with_our_audio(facts)
    if spec.video is not None:
        return _with_our_video(facts, spec.video)
    return replace(facts, size_bytes=ceil(facts.size_bytes * 1.01) + 65_536)


def _cut(facts: MediaFacts, cut_seconds: float | None) -> MediaFacts:
    if cut_seconds is None:
        return facts
    ends = cut_seconds + overshoot_seconds(facts)
    return replace(facts, duration_seconds=min(facts.duration_seconds, round(ends, 3)))


def _with_our_audio(facts: MediaFacts) -> MediaFacts:
    more = ceil(AUDIO_BITRATE / 8 * facts.duration_seconds)
    return replace(
        facts,
        size_bytes=facts.size_bytes + more,
        acodec="aac",
        audio_profile="LC",
        audio_hz=AUDIO_HZ,
        audio_channels=2,
        audio_bitrate=AUDIO_BITRATE,
    )


def _with_our_video(facts: MediaFacts, video: VideoTarget) -> MediaFacts:
    fps = video.fps or facts.fps
    return replace(
        facts,
        vcodec="h264",
        vprofile="High",
        level=42,
        pix_fmt="yuv420p",
        width=video.width,
        height=video.height,
        rotation=0,
        sample_aspect=1.0,
        fps=fps,
        variable_fps=False,
        reorder_frames=2,
        keyframe_gap_seconds=60 / fps,
        closed_gop=True,
        color_transfer="bt709",
        color_space="bt709",
        video_bitrate=ceil(video.maxrate * (1 + BUFFER_SECONDS / facts.duration_seconds)),
        size_bytes=_size_bound(facts, facts.duration_seconds, video.maxrate),
    )


def _size_bound(facts: MediaFacts, seconds: float, maxrate: int) -> int:
    sound = max(facts.audio_bitrate or 0, AUDIO_BITRATE) * 1.1
    bits = maxrate * (seconds + BUFFER_SECONDS) + sound * seconds
    return ceil(bits / 8 * 1.02) + 65_536


def _copies_into_mp4(facts: MediaFacts, *, with_audio: bool) -> bool:
    # AVI carries no presentation times, so its frames cannot be copied into MP4 in a reliable order.
    video = facts.vcodec in MP4_VIDEO and facts.container != "avi"
    return video and (not with_audio or facts.acodec is None or facts.acodec in MP4_AUDIO)


def _audio_target(facts: MediaFacts, limits: MediaLimits) -> AudioTarget | None:
    """Re-encoding makes sound worse, so sound that is fine is copied even next to new video."""
    if facts.acodec is None:
        return AudioTarget(silence=True)
    wrong = any(v.field in AUDIO_FIELDS for v in violations(facts, limits))
    return AudioTarget() if wrong or facts.acodec not in MP4_AUDIO else None


def _video_target(facts: MediaFacts, limits: MediaLimits, cut_seconds: float | None) -> VideoTarget:
    width, height = _frame_size(facts, limits)
    seconds = _cut(facts, cut_seconds).duration_seconds
    rate = _maxrate(facts, limits, seconds)
    recolor = facts.color_space not in ("", "unknown", "bt709")
    return VideoTarget(width, height, _fps(facts, limits), rate, facts.hdr, recolor)


def _frame_size(facts: MediaFacts, limits: MediaLimits) -> tuple[int, int]:
    box = limits.box or UPRIGHT_BOX
    across, down = (min(box[0], UPRIGHT_BOX[0]), min(box[1], UPRIGHT_BOX[1]))
    if facts.landscape:
        across, down = down, across
    across, down = min(across, limits.width_max or across), min(down, limits.height_max or down)
    scale = min(1.0, across / facts.width, down / facts.height)
    scale = max(scale, (limits.width_min or 0) / facts.width, (limits.height_min or 0) / facts.height)
    return _even(facts.width * scale, limits.width_min), _even(facts.height * scale, limits.height_min)


def _even(length: float, at_least: int | None) -> int:
    even = max(2, floor(length / 2 + 1e-6) * 2)
    return even + 2 if at_least is not None and even < at_least else even


def _fps(facts: MediaFacts, limits: MediaLimits) -> float | None:
    lowest = max(FPS_KEPT[0], limits.fps_min or 0.0)
    highest = min(FPS_KEPT[1], limits.fps_max or inf)
    if not facts.variable_fps and lowest <= facts.fps <= highest:
        return None
    return min(max(FPS_OTHERWISE, limits.fps_min or 0.0), limits.fps_max or inf)


def _maxrate(facts: MediaFacts, limits: MediaLimits, seconds: float) -> int:
    rate = float(MAXRATE)
    if limits.bitrate_max is not None:
        rate = min(rate, limits.bitrate_max / (1 + BUFFER_SECONDS / seconds))
    if limits.size_max_bytes is not None:
        room = limits.size_max_bytes - _size_bound(facts, seconds, 0)
        rate = min(rate, room * 8 / 1.02 / (seconds + BUFFER_SECONDS) - 1_000)
    return max(MAXRATE_WORTH_WATCHING, floor(rate))
