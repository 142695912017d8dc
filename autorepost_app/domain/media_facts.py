"""What is true of a media file, what does a destination accept, and where do the two disagree?"""

from collections.abc import Iterator
from dataclasses import dataclass

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """One file as measured. Width and height are as displayed, after rotation."""

    container: str
    size_bytes: int
    duration_seconds: float
    width: int
    height: int
    fps: float
    vcodec: str
    faststart: bool = False
    edit_list: bool = False
    sample_aspect: float = 1.0
    rotation: int = 0
    variable_fps: bool = False
    vprofile: str = ""
    pix_fmt: str = "yuv420p"
    level: int = 0
    video_bitrate: int | None = None
    reorder_frames: int = 2
    keyframe_gap_seconds: float | None = None
    closed_gop: bool | None = None
    color_transfer: str = ""
    color_space: str = ""
    acodec: str | None = None
    audio_profile: str = ""
    audio_hz: int | None = None
    audio_channels: int | None = None
    audio_bitrate: int | None = None

    @property
    def aspect(self) -> float:
        return self.width / self.height

    @property
    def hdr(self) -> bool:
        return self.color_transfer in HDR_TRANSFERS

    @property
    def landscape(self) -> bool:
        return self.width > self.height


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What one destination accepts. Every default means "no limit"."""

    containers: frozenset[str] | None = None
    vcodecs: frozenset[str] | None = None
    pix_fmts: frozenset[str] | None = None
    acodecs: frozenset[str] | None = None
    audio_profiles: frozenset[str] | None = None
    audio_hz_max: int | None = None
    audio_channels_max: int | None = None
    audio_required: bool = False
    fps_min: float | None = None
    fps_max: float | None = None
    constant_fps: bool = False
    width_min: int | None = None
    width_max: int | None = None
    height_min: int | None = None
    height_max: int | None = None
    aspect_min: float | None = None
    aspect_max: float | None = None
    duration_min_seconds: float | None = None
    duration_max_seconds: float | None = None
    size_max_bytes: int | None = None
    bitrate_max: int | None = None
    faststart: bool = False
    edit_lists: bool = True
    closed_gop: bool = False
    square_pixels: bool = False
    hdr: bool = True
    trim_allowed: bool = False
    box: tuple[int, int] | None = None
    """The upright frame this destination shows best, (1080, 1920) say; used only when re-encoding anyway."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One disagreement; `text` is for the creator, the rest for programs."""

    field: str
    found: object
    allowed: object
    text: str


def violations(facts: MediaFacts, limits: MediaLimits) -> list[Violation]:
    """Everything about the file that the destination would not take, in a fixed order."""
    return [
        *_container(facts, limits),
        *_video(facts, limits),
        *_frame(facts, limits),
        *_length(facts, limits),
        *_audio(facts, limits),
    ]


def say_duration(seconds: float) -> str:
    """140.0 -> "2 min 20 s"; below a minute one decimal is kept when it says something."""
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _container(facts: MediaFacts, limits: MediaLimits) -> Iterator[Violation]:
    yield from _one_of("container", facts.container, limits.containers, "a {} file")
    if limits.faststart and not facts.faststart:
        yield Violation("faststart", False, True, "its index is at the end of the file, not at the start")
    if not limits.edit_lists and facts.edit_list:
        yield Violation("edit_list", True, False, "it has an edit list")


def _video(facts: MediaFacts, limits: MediaLimits) -> Iterator[Violation]:
    yield from _one_of("vcodec", facts.vcodec, limits.vcodecs, "{} video")
    yield from _one_of("pix_fmt", facts.pix_fmt, limits.pix_fmts, "pixel format {}")
    if limits.closed_gop and facts.closed_gop is False:
        yield Violation("closed_gop", False, True, "its picture groups are open")
    if limits.square_pixels and abs(facts.sample_aspect - 1) > 0.001:
        yield Violation("sample_aspect", facts.sample_aspect, 1.0, "its pixels are not square")
    if facts.hdr and not limits.hdr:
        yield Violation("hdr", facts.color_transfer, "SDR", "it is an HDR video")
    if facts.video_bitrate is not None and limits.bitrate_max is not None:
        megabits = f"it has {facts.video_bitrate / 1e6:.1f} Mbit/s"
        yield from _at_most("bitrate", facts.video_bitrate, limits.bitrate_max, megabits)


def _frame(facts: MediaFacts, limits: MediaLimits) -> Iterator[Violation]:
    rate = f"it has {facts.fps:g} frames per second"
    yield from _at_least("fps", facts.fps, limits.fps_min, rate)
    yield from _at_most("fps", facts.fps, limits.fps_max, rate)
    if limits.constant_fps and facts.variable_fps:
        yield Violation("variable_fps", True, False, "its frame rate varies")
    size = f"its picture is {facts.width}x{facts.height}"
    yield from _at_least("width", facts.width, limits.width_min, size)
    yield from _at_most("width", facts.width, limits.width_max, size)
    yield from _at_least("height", facts.height, limits.height_min, size)
    yield from _at_most("height", facts.height, limits.height_max, size)
    shape = f"its shape is {facts.aspect:.2f}:1 (width to height)"
    yield from _at_least("aspect", facts.aspect, limits.aspect_min, shape)
    yield from _at_most("aspect", facts.aspect, limits.aspect_max, shape)


def _length(facts: MediaFacts, limits: MediaLimits) -> Iterator[Violation]:
    length = f"it lasts {say_duration(facts.duration_seconds)}"
    shortest, longest = limits.duration_min_seconds, limits.duration_max_seconds
    if shortest is not None and facts.duration_seconds < shortest:
        text = f"{length}; at least {say_duration(shortest)} is accepted"
        yield Violation("duration_min", facts.duration_seconds, shortest, text)
    if longest is not None and facts.duration_seconds > longest:
        text = f"{length}; at most {say_duration(longest)} is accepted"
        yield Violation("duration_max", facts.duration_seconds, longest, text)
    if limits.size_max_bytes is not None and facts.size_bytes > limits.size_max_bytes:
        allowed = f"{limits.size_max_bytes / 1e6:,.0f} MB"
        text = f"it is {facts.size_bytes / 1e6:,.0f} MB; at most {allowed} is accepted"
        yield Violation("size", facts.size_bytes, limits.size_max_bytes, text)


def _audio(facts: MediaFacts, limits: MediaLimits) -> Iterator[Violation]:
    if facts.acodec is None:
        if limits.audio_required:
            yield Violation("audio", None, "some", "it has no sound track")
        return
    yield from _one_of("acodec", facts.acodec, limits.acodecs, "{} sound")
    if facts.acodec == "aac" and facts.audio_profile:
        yield from _one_of("audio_profile", facts.audio_profile, limits.audio_profiles, "AAC profile {}")
    if facts.audio_hz is not None:
        yield from _at_most("audio_hz", facts.audio_hz, limits.audio_hz_max, f"{facts.audio_hz} Hz sound")
    if facts.audio_channels is not None:
        channels = f"it has {facts.audio_channels} sound channels"
        yield from _at_most("audio_channels", facts.audio_channels, limits.audio_channels_max, channels)


def _one_of(field: str, found: str, allowed: frozenset[str] | None, phrase: str) -> Iterator[Violation]:
    if allowed is not None and found not in allowed:
        choices = ", ".join(sorted(allowed))
        yield Violation(field, found, choices, f"it is {phrase.format(found)}; {choices} is accepted")


def _at_most(field: str, found: float, limit: float | None, phrase: str) -> Iterator[Violation]:
    if limit is not None and found > limit:
        yield Violation(field, found, limit, f"{phrase}; at most {limit:.10g} is accepted")


def _at_least(field: str, found: float, limit: float | None, phrase: str) -> Iterator[Violation]:
    if limit is not None and found < limit:
        yield Violation(field, found, limit, f"{phrase}; at least {limit:.10g} is accepted")
