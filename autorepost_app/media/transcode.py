"""How is a rendition made from its spec, and is the outcome what was planned?

`make_rendition` writes beside the target, measures what it wrote, and only then gives it its name. A crash, a full
disk or a wrong outcome leaves nothing under that name.
"""

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ffmpeg

from autorepost_app.domain.media_facts import MediaFacts
from autorepost_app.domain.media_rendition import (
    AUDIO_BITRATE,
    AUDIO_HZ,
    BUFFER_SECONDS,
    AudioTarget,
    Kind,
    RenditionSpec,
    VideoTarget,
    overshoot_seconds,
    predict,
)
from autorepost_app.media.binaries import Binaries
from autorepost_app.media.errors import MediaFault, MediaRejected, ResultWrong, ToolFailed
from autorepost_app.media.files import keep, space_is_left
from autorepost_app.media.probe import EXPORT_AGAIN, probe
from autorepost_app.media.run import (
    GUARDS,
    OnProgress,
    RunLimits,
    file_url,
    guard_options,
    raise_if_undecodable,
    run_tool,
)

LOUDNESS_TOLERANCE_LU = 2.0
LOUDEST_GAIN_DB = 15.0
SILENCE_LUFS = -50.0
DURATION_TOLERANCE_SECONDS = 0.2
THUMBNAIL_SIDE = 480

# Re-encoding decodes every frame anyway, so damage the packets do not show is found for nothing.
STRICT = {"err_detect": "explode"}
# Instagram's page forbids edit lists; negative offsets say the same without one and keep picture and sound together.
MP4 = {
    "f": "mp4",
    "movflags": "+faststart+negative_cts_offsets",
    "use_editlist": "0",
    "map_metadata": "-1",
    "map_chapters": "-1",
}
DAMAGE = ("Invalid data found", "Error while decoding", "Error submitting packet", "corrupt", "Decoding error")


def make_rendition(
    spec: RenditionSpec,
    facts: MediaFacts,
    source: Path,
    target: Path,
    tools: Binaries,
    *,
    limits: RunLimits | None = None,
    on_progress: OnProgress | None = None,
) -> MediaFacts:
    """Makes `target` from `source` and returns its measured facts.

    `source` and `facts` are those of `spec.base` where the spec has one, else those of the original.
    """
    step = replace(spec, base=None)
    if step.kind is Kind.PASSTHROUGH:
        raise ValueError("a passthrough is the original itself; there is nothing to make")
    if step.video is not None and step.video.tonemap and not tools.maps_hdr:
        raise MediaFault("HDR video needs FFmpeg 8.", remedy="Install FFmpeg 8 or newer, or use the wheel's.")
    gain = _gain_db(step.audio, source, tools) if step.audio is not None else 0.0
    with _part_of(target) as part:
        _run(_arguments(step, facts, source, part, gain), tools, facts, step, limits, on_progress)
        measured = probe(part, tools)
        _check(measured, predict(facts, step), step)
        keep(part, target)
    return measured


def make_thumbnail(source: Path, target: Path, tools: Binaries, *, at_seconds: float = 1.0) -> None:
    """A small JPEG of the frame shown at that time, or of the first one where the clip ends before."""
    with _part_of(target) as part:
        for moment in (at_seconds, 0.0):
            _call(_thumbnail(source, part, moment), tools, RunLimits(timeout_seconds=60, cpu_seconds=60))
            if part.exists() and part.stat().st_size > 0:
                keep(part, target)
                return
    raise ResultWrong("No picture could be taken from the video.")


def _thumbnail(source: Path, part: Path, at_seconds: float) -> list[str]:
    side, jpeg = THUMBNAIL_SIDE, {"f": "mjpeg", "c:v": "mjpeg", "q:v": 4, "frames:v": 1, "map_metadata": "-1"}
    picture = ffmpeg.input(file_url(source), ss=at_seconds, **GUARDS)["V:0"]
    picture = picture.filter("scale", w=side, h=side, force_original_aspect_ratio="decrease")
    arguments: list[str] = picture.filter("format", "yuvj420p").output(file_url(part), **jpeg).get_args()
    return arguments


def loudness_lufs(source: Path, tools: Binaries) -> float | None:
    """Integrated loudness by EBU R 128; None where there is next to nothing to hear."""
    argv = [str(tools.ffmpeg.path), "-hide_banner", "-nostdin", "-nostats", "-v", "info", *guard_options()]
    argv += ["-i", file_url(source), "-map", "0:a:0", "-vn", "-af", "ebur128=framelog=quiet", "-f", "null", "-"]
    ended = run_tool(argv, limits=RunLimits(timeout_seconds=300, file_bytes=1))
    found = re.findall(r"^\s+I:\s+(-?[\d.]+) LUFS", ended.stderr, re.MULTILINE)
    measured = float(found[-1]) if ended.returncode == 0 and found else None
    return measured if measured is not None and measured > SILENCE_LUFS else None


def _gain_db(target: AudioTarget, source: Path, tools: Binaries) -> float:
    """Two cheap passes, measure and shift, cost a quarter of `loudnorm` and leave the dynamics alone."""
    measured = None if target.silence else loudness_lufs(source, tools)
    if measured is None or abs(target.loudness_lufs - measured) <= LOUDNESS_TOLERANCE_LU:
        return 0.0
    return round(min(target.loudness_lufs - measured, LOUDEST_GAIN_DB), 1)


def _arguments(spec: RenditionSpec, facts: MediaFacts, source: Path, part: Path, gain_db: float) -> list[str]:
    strict = STRICT if spec.video is not None else {}
    original = ffmpeg.input(file_url(source), **GUARDS, **strict)
    picture = original["V:0"]
    options: dict[str, Any] = dict(MP4)
    if spec.video is None:
        options |= {"c:v": "copy"} | ({"tag:v": "hvc1"} if facts.vcodec == "hevc" else {})
    else:
        picture = _filtered(picture, spec.video)
        options |= _h264(spec.video)
    tracks = [picture]
    if spec.audio is not None:
        tracks.append(_sound(original, spec.audio, facts, gain_db))
        options |= {"c:a": "aac", "b:a": AUDIO_BITRATE, "ar": AUDIO_HZ, "ac": 2}
    elif facts.acodec is not None:
        tracks.append(original["a:0"])
        options |= {"c:a": "copy"}
    if spec.cut_seconds is not None:
        options["t"] = spec.cut_seconds
    arguments: list[str] = ffmpeg.output(*tracks, file_url(part), **options).get_args()
    return arguments


def _filtered(picture: Any, video: VideoTarget) -> Any:
    scale: dict[str, Any] = {"w": video.width, "h": video.height, "out_range": "tv"}
    if video.recolor or video.tonemap:
        scale["out_color_matrix"] = "bt709"
    if video.tonemap:
        scale |= {"out_primaries": "bt709", "out_transfer": "bt709", "intent": "perceptual"}
    picture = picture.filter("scale", **scale).filter("setsar", 1)
    if video.fps is not None:
        picture = picture.filter("fps", fps=f"{video.fps:g}")
    # Since FFmpeg 7 the frames' own tags win over the encoder's options, so the frames are tagged.
    tags = {"range": "tv", "color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}
    return picture.filter("format", "yuv420p").filter("setparams", **tags)


def _h264(video: VideoTarget) -> dict[str, Any]:
    return {
        "c:v": "libx264",
        "preset": "superfast",
        "crf": 21,
        "maxrate": video.maxrate,
        "bufsize": round(video.maxrate * BUFFER_SECONDS),
        "profile:v": "high",
        "level:v": "4.2",
        "g": 60,
        "bf": 2,
        "x264-params": "open-gop=0",
    }


def _sound(original: Any, target: AudioTarget, facts: MediaFacts, gain_db: float) -> Any:
    if target.silence:
        silent = f"anullsrc=r={AUDIO_HZ}:cl=stereo"
        return ffmpeg.input(silent, f="lavfi", t=facts.duration_seconds)["a:0"]
    sound = original["a:0"]
    if gain_db:
        # Left to itself the limiter lifts its result to full scale and undoes the headroom it made.
        sound = sound.filter("volume", f"{gain_db}dB").filter("alimiter", limit=0.84, level="disabled")
    return sound


def _run(
    arguments: list[str],
    tools: Binaries,
    facts: MediaFacts,
    spec: RenditionSpec,
    limits: RunLimits | None,
    on_progress: OnProgress | None,
) -> None:
    expected = min(facts.duration_seconds, spec.cut_seconds or facts.duration_seconds)
    try:
        _call(arguments, tools, limits, expected, on_progress)
    except ToolFailed as failed:
        raise_if_undecodable(facts.vcodec, failed.stderr)
        if spec.video is not None and _is_damage(failed.stderr):
            text = "The video is damaged and does not play to its end."
            raise MediaRejected(text, failed.stderr, EXPORT_AGAIN) from failed
        raise


def _call(
    arguments: list[str],
    tools: Binaries,
    limits: RunLimits | None,
    expected_seconds: float | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    argv = [str(tools.ffmpeg.path), "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-nostats"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-y", *arguments]
    ended = run_tool(argv, limits=limits, reports=True, expected_seconds=expected_seconds, on_progress=on_progress)
    if ended.returncode != 0:
        last = ended.stderr.splitlines()[-1] if ended.stderr else "it said nothing"
        text = f"ffmpeg ended with {ended.returncode}: {last}"
        raise ToolFailed(text, returncode=ended.returncode, stderr=ended.stderr)


def _is_damage(stderr: str) -> bool:
    return any(sign in stderr for sign in DAMAGE)


@dataclass(frozen=True, slots=True)
class _Expectation:
    what: str
    found: object
    planned: object
    met: bool


def _check(measured: MediaFacts, planned: MediaFacts, spec: RenditionSpec) -> None:
    wrong = [each for each in _expectations(measured, planned, spec) if not each.met]
    if wrong:
        told = "; ".join(f"{each.what} is {each.found}, planned {each.planned}" for each in wrong)
        raise ResultWrong(f"The rendition is not what was planned: {told}.")


def _expectations(measured: MediaFacts, planned: MediaFacts, spec: RenditionSpec) -> Iterator[_Expectation]:
    for name in ("container", "width", "height", "vcodec", "pix_fmt", "faststart", "edit_list"):
        found, wanted = getattr(measured, name), getattr(planned, name)
        yield _Expectation(name, found, wanted, found == wanted)
    heard = measured.acodec == planned.acodec
    yield _Expectation("acodec", measured.acodec, planned.acodec, heard)
    for name in ("size_bytes", "audio_channels", "audio_hz"):
        found, most = getattr(measured, name) or 0, getattr(planned, name) or 0
        yield _Expectation(name, found, f"at most {most}", found <= most)
    steady = abs(measured.fps - planned.fps) <= max(0.05, planned.fps * 0.01)
    yield _Expectation("fps", measured.fps, planned.fps, steady or planned.variable_fps)
    yield _length(measured.duration_seconds, planned, spec)


def _length(found: float, planned: MediaFacts, spec: RenditionSpec) -> _Expectation:
    latest = planned.duration_seconds + (DURATION_TOLERANCE_SECONDS if spec.cut_seconds is None else 0.0)
    slack = DURATION_TOLERANCE_SECONDS
    if spec.cut_seconds is not None:
        slack += overshoot_seconds(planned)
    earliest = planned.duration_seconds - slack
    return _Expectation("duration", found, planned.duration_seconds, earliest <= found <= latest)


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with space_is_left():
            yield part
    finally:
        part.unlink(missing_ok=True)
