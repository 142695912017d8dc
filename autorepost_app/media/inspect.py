"""May this file be worked on at all?

Cheapest question first: what do the first bytes look like, are all boxes there, can it be probed, do all packets
read well? A file that fails is rejected in words its creator understands.
"""

from pathlib import Path

from autorepost_app.domain.media_facts import MediaFacts, say_duration
from autorepost_app.media.binaries import Binaries
from autorepost_app.media.boxes import Boxes, scan_boxes
from autorepost_app.media.errors import MediaRejected
from autorepost_app.media.probe import EXPORT_AGAIN, probe
from autorepost_app.media.run import RunLimits, file_url, guard_options, raise_if_undecodable, run_tool

LONGEST_SECONDS = 3_600.0
SNIFFED_BYTES = 1_024
AGAIN = "Fetch or export it again."
# Odd but harmless: two frames with one time stamp, as screen recorders write them.
HARMLESS = "non monotonically increasing dts"
READ_LIMITS = RunLimits(timeout_seconds=300, file_bytes=1, cpu_seconds=300)
DECODE_LIMITS = RunLimits(timeout_seconds=1_800, file_bytes=1)


def inspect(
    path: Path, tools: Binaries, *, longest_seconds: float = LONGEST_SECONDS, decode: bool = False
) -> MediaFacts:
    """The facts of a sound file, or MediaRejected.

    `decode` also decodes every frame, which finds flipped bits inside them at sixty times the cost; a re-encoding
    finds the same for nothing.
    """
    _reject_what_is_no_video(path)
    boxes = scan_boxes(path)
    if boxes is not None:
        _reject_incomplete(boxes)
    facts = probe(path, tools, boxes)
    _reject_length(facts, longest_seconds)
    _reject_damaged(path, tools, facts, decode=decode)
    return facts


def _reject_what_is_no_video(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    if not head:
        raise MediaRejected("The file is empty.", "0 bytes", AGAIN)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        raise MediaRejected("This is a web page, not a video.", "HTML", AGAIN)
    if _is_text(head):
        raise MediaRejected("This is a text file, not a video.", "text", AGAIN)


def _is_text(head: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in head) and b"\x7f" not in head


def _reject_incomplete(boxes: Boxes) -> None:
    if boxes.complete:
        return
    if boxes.truncated_at is not None:
        detail = f"the boxes end at byte {boxes.truncated_at}, after the end of the file"
    else:
        detail = "no moov box" if not boxes.has_moov else "no mdat box"
    raise MediaRejected("The video is cut off: a part of the file is missing.", detail, AGAIN)


def _reject_length(facts: MediaFacts, longest_seconds: float) -> None:
    if facts.duration_seconds <= 0:
        raise MediaRejected("The video has no length.", "duration 0", EXPORT_AGAIN)
    if facts.duration_seconds > longest_seconds:
        lasts, most = say_duration(facts.duration_seconds), say_duration(longest_seconds)
        text = f"The video is too long: it lasts {lasts}, at most {most} can be reposted."
        raise MediaRejected(text, f"{facts.duration_seconds} s", "Post a shorter version.")


def _reject_damaged(path: Path, tools: Binaries, facts: MediaFacts, *, decode: bool) -> None:
    """The exit code alone is not to be trusted: half of a Matroska file reads with success and one line."""
    strict = ["-xerror", *(["-err_detect", "explode"] if decode else [])]
    reading = [] if decode else ["-c", "copy"]
    argv = [str(tools.ffmpeg.path), "-hide_banner", "-nostdin", "-v", "error", *strict, "-nostats"]
    argv += ["-progress", "pipe:1", *guard_options(), "-i", file_url(path)]
    argv += ["-map", "0:V:0", "-map", "0:a:0?", *reading, "-f", "null", "-"]
    limits = DECODE_LIMITS if decode else READ_LIMITS
    ended = run_tool(argv, limits=limits, reports=True)
    lines = [line for line in ended.stderr.splitlines() if line.strip() and HARMLESS not in line]
    if ended.returncode != 0 or lines:
        raise_if_undecodable(facts.vcodec, ended.stderr)
        detail = "; ".join(lines[:3]).replace(str(path.absolute()), path.name)
        raise MediaRejected("The video is damaged and does not play to its end.", detail, AGAIN)
    _reject_false_length(facts, ended.progress.seconds if ended.progress else 0.0)


def _reject_false_length(facts: MediaFacts, held_seconds: float) -> None:
    if facts.duration_seconds - held_seconds > max(1.0, 0.03 * facts.duration_seconds):
        says, holds = say_duration(facts.duration_seconds), say_duration(held_seconds)
        text = f"The video is cut off: it says it lasts {says} but holds only {holds}."
        raise MediaRejected(text, f"{facts.duration_seconds} s stated, {held_seconds} s read", AGAIN)
