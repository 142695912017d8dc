"""Facts as measured, on files of which we know how they were made."""

import pytest

from autorepost_app.media.probe import probe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("good.mp4", {"container": "mp4", "faststart": True, "fps": 30.0, "variable_fps": False}),
        ("moov_at_end.mp4", {"container": "mp4", "faststart": False}),
        ("quicktime.mov", {"container": "mov"}),
        ("matroska.mkv", {"container": "matroska", "fps": 30.0, "variable_fps": False}),
        ("vp9.webm", {"container": "webm", "vcodec": "vp9", "acodec": "opus", "fps": 30.0}),
        ("stream.ts", {"container": "mpegts", "vcodec": "h264", "acodec": "aac"}),
        ("old.avi", {"container": "avi", "vcodec": "mpeg4", "acodec": "mp3"}),
        ("hevc.mp4", {"vcodec": "hevc", "vprofile": "Main"}),
        ("ten_bit.mp4", {"pix_fmt": "yuv420p10le", "vprofile": "High 10"}),
        ("hdr.mp4", {"color_transfer": "smpte2084", "hdr": True}),
        ("odd_444.mp4", {"width": 607, "height": 1081, "pix_fmt": "yuv444p"}),
        ("silent.mp4", {"acodec": None, "audio_hz": None}),
        ("rotated.mp4", {"width": 480, "height": 270, "rotation": 90, "landscape": True}),
        ("wide_pixels.mp4", {"width": 320, "height": 480}),
        ("four_k_60.mp4", {"width": 3840, "height": 2160, "fps": 60.0}),
        ("variable.mp4", {"variable_fps": True}),
        ("frames_120.mp4", {"fps": 120.0, "variable_fps": False}),
        ("open_gop.mp4", {"closed_gop": False}),
        ("long.mp4", {"duration_seconds": 200.0, "closed_gop": True, "keyframe_gap_seconds": 2.0}),
        ("bigbuckbunny_720p25_5.1ch.mp4", {"audio_channels": 6, "fps": 25.0, "edit_list": False}),
        ("gradio_a_1080p30.mp4", {"width": 1920, "audio_hz": 44_100, "edit_list": True}),
        ("obama_speech_320x240_24k_mono.mp4", {"fps": 12.0, "audio_channels": 1, "color_space": "smpte170m"}),
    ],
)
def test_the_facts_are_those_the_file_was_made_with(clip, tools, name, expected):
    facts = probe(clip(name), tools)
    assert {field: getattr(facts, field) for field in expected} == expected
    assert facts.size_bytes == clip(name).stat().st_size
    assert facts.video_bitrate
