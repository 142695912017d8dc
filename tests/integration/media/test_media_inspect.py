"""What is let in and what is turned away, and in which words."""

import shutil
import struct

import pytest

from autorepost_app.media.errors import MediaRejected
from autorepost_app.media.inspect import inspect


def rejection(path, tools, **options):
    with pytest.raises(MediaRejected) as caught:
        inspect(path, tools, **options)
    assert str(path.parent) not in f"{caught.value} {caught.value.detail}", "our paths are nobody's business"
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def damaged(clip, tmp_path):
    """`damaged(name, change)` is a copy of a clip with its bytes changed."""

    def make(name, change):
        target = tmp_path / f"damaged_{name}"
        content = bytearray(clip(name).read_bytes())
        target.write_bytes(change(content))
        return target

    return make


def zero(content, at, length):
    content[at : at + length] = bytes(length)
    return content


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("name", ["good.mp4", "moov_at_end.mp4", "quicktime.mov"])
def test_a_truncated_clip_is_rejected_with_words_a_creator_understands(damaged, tools, name, share):
    path = damaged(name, lambda content: content[: int(len(content) * share)])
    assert rejection(path, tools).text == "The video is cut off: a part of the file is missing."


def test_half_of_a_matroska_file_is_noticed_although_ffprobe_is_content(damaged, tools):
    path = damaged("matroska.mkv", lambda content: content[: len(content) // 2])
    assert rejection(path, tools).text.startswith(("The video is damaged", "The video is cut off"))


@pytest.mark.parametrize(("length", "decode"), [(65_536, False), (4_096, True)])
def test_a_zeroed_block_is_noticed(damaged, tools, length, decode):
    """A block over whole frames shows when packets are read; one inside a frame only when it is decoded."""
    path = damaged("good.mp4", lambda content: zero(content, len(content) // 2, length))
    assert rejection(path, tools, decode=decode).text == "The video is damaged and does not play to its end."


def test_flipped_bits_inside_frames_are_found_by_decoding(damaged, tools):
    def flip(content):
        for at in range(len(content) // 3, len(content) // 3 + 8_000, 400):
            content[at] ^= 0x10
        return content

    path = damaged("good.mp4", flip)
    assert rejection(path, tools, decode=True).text == "The video is damaged and does not play to its end."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "The file is empty."),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "This is a web page, not a video."),
        (b"\xef\xbb\xbf\n <HTML lang=en>", "This is a web page, not a video."),
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "This is a text file, not a video."),
        (b"#EXTM3U\n#EXTINF:10,\nother.ts\n", "This is a text file, not a video."),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "This is not a video file we can read."),
    ],
)
def test_what_is_no_video_is_called_by_its_name(tmp_path, tools, content, text):
    path = tmp_path / "download.mp4"
    path.write_bytes(content)
    assert rejection(path, tools).text == text


def test_a_playlist_hidden_behind_zeroes_reaches_no_other_file(tmp_path, clip, tools):
    shutil.copy(clip("good.mp4"), tmp_path / "other.mp4")
    path = tmp_path / "-list.mp4"
    path.write_bytes(b"ffconcat version 1.0\nfile 'other.mp4'\n#\x00\x01\x02\n")
    assert rejection(path, tools).text == "This is not a video file we can read."


def test_sound_without_picture_is_rejected(clip, tools):
    found = rejection(clip("sound_only.mp4"), tools)
    assert found.text == "There is only sound in this file, no picture."


def test_a_picture_of_too_many_pixels_is_rejected_before_it_is_decoded(clip, tools):
    assert rejection(clip("bomb.mp4"), tools).text == "The picture is far too large (6400x6400)."


def test_a_video_without_frames_is_rejected(damaged, tools):
    def only_index(content):
        # What is left when a recorder was switched off: an index, and an empty box where frames should be.
        end_of_index = content.index(b"mdat") - 4
        return content[:end_of_index] + b"\x00\x00\x00\x08mdat"

    assert rejection(damaged("good.mp4", only_index), tools).text.startswith("The video is")


def test_a_video_too_long_is_rejected_with_both_lengths(clip, tools):
    found = rejection(clip("long.mp4"), tools, longest_seconds=180)
    assert found.text == "The video is too long: it lasts 3 min 20 s, at most 3 min can be reposted."


def test_a_header_that_lies_about_the_length_is_caught(damaged, tools):
    def stretch(content):
        at = content.index(b"\x44\x89\x88") + 3
        content[at : at + 8] = struct.pack(">d", 600_000.0)
        return content

    found = rejection(damaged("matroska.mkv", stretch), tools)
    assert found.text.startswith("The video is cut off: it says it lasts 10 min but holds only ")


@pytest.mark.parametrize(
    "name",
    ["gradio_a_1080p30.mp4", "bigbuckbunny_720p25_5.1ch.mp4", "obama_speech_320x240_24k_mono.mp4"],
)
def test_real_clips_are_let_in_even_when_every_frame_is_decoded(clip, tools, name):
    facts = inspect(clip(name), tools, decode=True)
    assert (facts.vcodec, facts.acodec) == ("h264", "aac")
