"""What is in this file? ffprobe's answer, turned into `MediaFacts`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from autorepost_app.domain.media_facts import MediaFacts
from autorepost_app.media.binaries import Binaries
from autorepost_app.media.boxes import Boxes, scan_boxes
from autorepost_app.media.errors import MediaRejected
from autorepost_app.media.run import MAX_PIXELS, RunLimits, file_url, guard_options, run_tool

PROBE_LIMITS = RunLimits(timeout_seconds=60, file_bytes=1, cpu_seconds=60)
UNREADABLE = "This is not a video file we can read."
EXPORT_AGAIN = "Export it again as MP4 with H.264 picture and AAC sound, and post that."
UNEVEN_BY = 0.2
UNEVEN_SHARE = 0.05
# A copy cut between key frames lacks a few of the last frames; that does not make its rate vary.
UNEVEN_ALLOWED = 4

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Packet:
    shown_at: float
    size: int
    key: bool


@dataclass(frozen=True, slots=True)
class _Pace:
    """What only the packets tell: headers are written before the frames are known."""

    fps: float
    variable: bool
    keyframe_gap_seconds: float | None
    closed_gop: bool | None
    bitrate: int | None


def probe(path: Path, tools: Binaries, boxes: Boxes | None = None) -> MediaFacts:
    """The facts of a readable video; MediaRejected for anything that has no picture to show."""
    boxes = boxes or scan_boxes(path)
    told = _ask(path, tools, "-show_format", "-show_streams", "-of", "json")
    answer: Json = json.loads(told or "{}")
    streams: list[Json] = answer.get("streams", [])
    video = next((s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)), None)
    audio = next((s for s in streams if s.get("codec_type") == "audio"), None)
    if video is None:
        sound = "There is only sound in this file, no picture."
        text = sound if audio is not None else UNREADABLE
        raise MediaRejected(text, "no video stream", EXPORT_AGAIN)
    _reject_odd_picture(int(video.get("width", 0)), int(video.get("height", 0)))
    return _facts(path, answer.get("format", {}), video, audio, boxes, _pace(path, tools, video))


def _ask(path: Path, tools: Binaries, *questions: str) -> str:
    argv = [str(tools.ffprobe.path), "-v", "error", *guard_options(), *questions, "-i", file_url(path)]
    ended = run_tool(argv, limits=PROBE_LIMITS)
    huge = re.search(r"Picture size (\d+x\d+) exceeds specified max pixel count", ended.stderr)
    if huge:
        _reject_huge_picture(huge[1])
    if ended.returncode != 0:
        # The path is ours and tells the reader nothing.
        detail = ended.stderr.replace(str(path.absolute()), path.name)
        raise MediaRejected(UNREADABLE, detail, EXPORT_AGAIN)
    return ended.stdout.decode(errors="replace")


def _facts(
    path: Path, container: Json, video: Json, audio: Json | None, boxes: Boxes | None, pace: _Pace
) -> MediaFacts:
    width, height, rotation, sample_aspect = _displayed(video)
    duration = _number(container.get("duration")) or _number(video.get("duration")) or 0.0
    return MediaFacts(
        container=_container(path, container, boxes),
        size_bytes=path.stat().st_size,
        duration_seconds=round(duration, 3),
        width=width,
        height=height,
        rotation=rotation,
        sample_aspect=sample_aspect,
        fps=pace.fps,
        variable_fps=pace.variable,
        vcodec=str(video.get("codec_name", "unknown")),
        vprofile=str(video.get("profile", "")),
        pix_fmt=str(video.get("pix_fmt", "unknown")),
        level=int(video.get("level", 0)),
        video_bitrate=_whole(video.get("bit_rate")) or pace.bitrate,
        reorder_frames=int(video.get("has_b_frames", 0)),
        keyframe_gap_seconds=pace.keyframe_gap_seconds,
        closed_gop=pace.closed_gop,
        color_transfer=str(video.get("color_transfer", "")),
        color_space=str(video.get("color_space", "")),
        faststart=boxes is None or boxes.faststart,
        edit_list=boxes is not None and boxes.edit_list,
        **_sound(audio),
    )


def _sound(audio: Json | None) -> Json:
    if audio is None:
        return {}
    return {
        "acodec": str(audio.get("codec_name", "unknown")),
        "audio_profile": str(audio.get("profile", "")),
        "audio_hz": _whole(audio.get("sample_rate")),
        "audio_channels": _whole(audio.get("channels")),
        "audio_bitrate": _whole(audio.get("bit_rate")),
    }


def _displayed(video: Json) -> tuple[int, int, int, float]:
    width, height = int(video["width"]), int(video["height"])
    aspect = _fraction(str(video.get("sample_aspect_ratio", "1:1")).replace(":", "/")) or Fraction(1)
    width = max(1, round(width * aspect))
    turned = next((s["rotation"] for s in video.get("side_data_list", []) if "rotation" in s), 0)
    rotation = round(turned) % 360
    if rotation in (90, 270):
        width, height = height, width
    return width, height, rotation, float(aspect)


def _container(path: Path, container: Json, boxes: Boxes | None) -> str:
    name = str(container.get("format_name", "unknown"))
    if boxes is not None:
        return "mov" if boxes.brand == "qt  " else "mp4"
    if name.startswith("matroska"):
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska"
    return name.split(",", maxsplit=1)[0]


def _pace(path: Path, tools: Binaries, video: Json) -> _Pace:
    questions = ("-select_streams", str(video["index"]), "-show_entries", "packet=pts_time,size,flags")
    packets = _packets(_ask(path, tools, *questions, "-of", "csv=p=0"))
    shown = sorted(packet.shown_at for packet in packets)
    steps = [later - earlier for earlier, later in pairwise(shown)]
    if not steps or shown[-1] <= shown[0]:
        stated = _fraction(video.get("avg_frame_rate", "0/1")) or Fraction(25)
        return _Pace(float(stated), False, None, None, None)
    span = (shown[-1] - shown[0]) * len(shown) / len(steps)
    even = _even(steps)
    variable = len(steps) - len(even) > max(UNEVEN_ALLOWED, len(steps) * UNEVEN_SHARE)
    return _Pace(
        fps=_rate(len(shown) / span if variable else len(even) / sum(even)),
        variable=variable,
        keyframe_gap_seconds=_largest_gap(packets, shown[-1]),
        closed_gop=_closed(packets),
        bitrate=round(sum(packet.size for packet in packets) * 8 / span),
    )


def _packets(lines: str) -> list[_Packet]:
    found = re.findall(r"^(-?[\d.]+),(\d+),(\w+)", lines, re.MULTILINE)
    return [_Packet(float(at), int(size), "K" in flags) for at, size, flags in found if "D" not in flags]


def _rate(fps: float) -> float:
    """Matroska rounds times to milliseconds; 60.0003 frames per second are 60."""
    return float(round(fps)) if abs(fps - round(fps)) < 0.02 else round(fps, 3)


def _even(steps: Sequence[float]) -> list[float]:
    usual = median(steps)
    return [step for step in steps if abs(step - usual) <= usual * UNEVEN_BY + 0.001]


def _largest_gap(packets: Sequence[_Packet], end: float) -> float | None:
    keys = [packet.shown_at for packet in packets if packet.key]
    return round(max(b - a for a, b in pairwise([*keys, end])), 3) if keys else None


def _closed(packets: Sequence[_Packet]) -> bool:
    """Open: frames decoded after a key frame but shown before it, so they lean on the group before."""
    key = float("-inf")
    for packet in packets:
        if packet.key:
            key = packet.shown_at
        elif packet.shown_at < key:
            return False
    return True


def _is_cover(stream: Json) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _reject_odd_picture(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        _reject_huge_picture(f"{width}x{height}")
    if width * height == 0:
        raise MediaRejected("The picture cannot be read.", "ffprobe tells no frame size", EXPORT_AGAIN)


def _reject_huge_picture(size: str) -> NoReturn:
    text = f"The picture is far too large ({size})."
    raise MediaRejected(text, f"more than {MAX_PIXELS} pixels", EXPORT_AGAIN)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number else None


def _fraction(value: str) -> Fraction | None:
    try:
        return Fraction(value) or None
    except (ValueError, ZeroDivisionError):
        return None
