"""Every awkward source ends as a file its destinations accept, and what was promised is what was made."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from autorepost_app.domain.media import Kind, MediaFacts, MediaLimits, RenditionSpec, plan, violations
from autorepost_app.domain.media_rendition import AudioTarget, VideoTarget, rendition_spec
from autorepost_app.media.errors import MediaRejected, NoSpaceLeft, ResultWrong, ToolFailed, ToolsMissing
from autorepost_app.media.inspect import inspect
from autorepost_app.media.probe import probe
from autorepost_app.media.run import RunLimits, run_tool
from autorepost_app.media.transcode import loudness_lufs, make_rendition, make_thumbnail

MP4 = frozenset({"mp4"})
AAC = frozenset({"aac"})
STRICT = MediaLimits(
    containers=MP4,
    vcodecs=frozenset({"h264"}),
    pix_fmts=frozenset({"yuv420p"}),
    acodecs=AAC,
    audio_profiles=frozenset({"LC"}),
    audio_hz_max=48_000,
    audio_channels_max=2,
    audio_required=True,
    fps_min=23,
    fps_max=60,
    constant_fps=True,
    width_max=1920,
    bitrate_max=25_000_000,
    faststart=True,
    edit_lists=False,
    closed_gop=True,
    square_pixels=True,
    hdr=False,
)
SHORT = replace(STRICT, duration_max_seconds=140, trim_allowed=True)


@pytest.fixture
def make(clip, tools, tmp_path):
    """`make(name, wishes)` plans for the wishes, makes all of it and returns {destination: measured facts}."""

    def make_all(name: str, wishes: dict[str, MediaLimits]) -> dict[str, MediaFacts]:
        source = clip(name)
        original = inspect(source, tools)
        made, facts_for = {}, {}
        planned = plan(original, wishes)
        assert planned.refusals == ()
        for rendition in planned.renditions:
            path, facts = source, original
            if rendition.kind is not Kind.PASSTHROUGH:
                base, base_facts = made.get(rendition.spec.base, (source, original))
                path = tmp_path / f"{rendition.fingerprint}.mp4"
                facts = make_rendition(rendition.spec, base_facts, base, path, tools)
            made[rendition.spec] = (path, facts)
            facts_for |= dict.fromkeys(rendition.serves, facts)
        return facts_for

    return make_all


@pytest.mark.parametrize(
    "name",
    [
        "good.mp4",
        "moov_at_end.mp4",
        "matroska.mkv",
        "quicktime.mov",
        "stream.ts",
        "old.avi",
        "hevc.mp4",
        "ten_bit.mp4",
        "vp9.webm",
        "odd_444.mp4",
        "silent.mp4",
        "rotated.mp4",
        "variable.mp4",
        "frames_120.mp4",
        "four_k_60.mp4",
        "open_gop.mp4",
        "wide_pixels.mp4",
        "hdr.mp4",
        "bigbuckbunny_720p25_5.1ch.mp4",
        "gradio_a_1080p30.mp4",
        "obama_speech_320x240_24k_mono.mp4",
    ],
)
def test_every_source_ends_as_a_file_the_strictest_destination_accepts(make, tools, clip, name):
    facts = make(name, {"strict": STRICT})["strict"]
    assert violations(facts, STRICT) == []
    assert abs(facts.duration_seconds - probe(clip(name), tools).duration_seconds) <= 0.2


def test_a_long_clip_in_a_foreign_codec_is_encoded_once_and_copied_shorter(make):
    four_seconds = replace(SHORT, duration_max_seconds=4)
    facts = make("bigbuckbunny_720p25_5.1ch.mp4", {"whole": STRICT, "short": four_seconds})
    assert facts["whole"].duration_seconds == pytest.approx(5.33, abs=0.1)
    assert 3.7 < facts["short"].duration_seconds <= 4


def test_a_stream_copy_ends_just_below_the_longest_a_destination_takes(clip, tools, tmp_path):
    source = clip("long.mp4")
    facts = inspect(source, tools)
    (rendition,) = plan(facts, {"bird": MediaLimits(duration_max_seconds=140, trim_allowed=True)}).renditions
    assert rendition.kind is Kind.TRIM
    measured = make_rendition(rendition.spec, facts, source, tmp_path / "cut.mp4", tools)
    assert 139.5 < measured.duration_seconds <= 140


@pytest.mark.parametrize("rate", ["12", "24000/1001", "30", "60"])
@pytest.mark.parametrize("between", [0, 3, 8])
def test_wherever_a_copy_is_cut_it_stays_below_the_limit(record, tools, tmp_path, rate, between):
    """Frames decoded early and shown late come on top of the cut; how many depends on the encoder."""
    source = tmp_path / "source.mkv"
    picture = f"-f lavfi -i testsrc2=size=128x128:rate={rate}:duration=3 -c:v libx264 -preset ultrafast"
    record(f"{picture} -bf {between} -x264-params b-adapt=0:b-pyramid=normal -g 100", source)
    facts = inspect(source, tools)
    (trim,) = plan(facts, {"short": MediaLimits(duration_max_seconds=2, trim_allowed=True)}).renditions
    measured = make_rendition(trim.spec, facts, source, tmp_path / "cut.mp4", tools)
    assert 1.5 < measured.duration_seconds <= 2


def test_a_codec_this_build_cannot_decode_is_not_the_creators_fault(clip, tools, tmp_path):
    source = clip("av1.mp4")
    facts = inspect(source, tools)
    (rendition,) = plan(facts, {"strict": STRICT}).renditions
    able = b"dav1d" in run_tool([str(tools.ffmpeg.path), "-hide_banner", "-decoders"]).stdout
    refusal = pytest.raises(ToolsMissing, match="This build of ffmpeg cannot decode av1 video")
    with nullcontext() if able else refusal:
        make_rendition(rendition.spec, facts, source, tmp_path / "out.mp4", tools)
    assert (tmp_path / "out.mp4").exists() is able


def test_a_rotated_clip_comes_out_upright(make):
    facts = make("rotated.mp4", {"other": replace(STRICT, vcodecs=frozenset({"h264"}), width_max=240)})["other"]
    assert (facts.rotation, facts.width, facts.height) == (0, 240, 134)


def test_copying_keeps_the_rotation_and_the_very_pictures(clip, tools, tmp_path):
    source = clip("rotated.mp4")
    facts = probe(source, tools)
    measured = make_rendition(RenditionSpec(Kind.REMUX), facts, source, tmp_path / "copy.mp4", tools)
    assert (measured.rotation, measured.width, measured.height) == (90, 480, 270)
    assert measured.video_bitrate == facts.video_bitrate
    assert measured.faststart
    assert not measured.edit_list


def test_hdr_is_turned_into_the_colours_everyone_shows(make):
    assert make("hdr.mp4", {"strict": STRICT})["strict"].color_transfer == "bt709"


def test_old_television_colours_are_converted_and_not_just_relabelled(clip, make, tools, tmp_path):
    """Pure red has luma 82 in the old colour matrix and 63 in the new one."""

    def luma(path: Path) -> int:
        argv = [str(tools.ffmpeg.path), "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo"]
        return run_tool([*argv, "-pix_fmt", "yuv420p", "-"]).stdout[0]

    assert luma(clip("old_colours.mp4")) == pytest.approx(82, abs=2)
    facts = make("old_colours.mp4", {"slow": replace(STRICT, fps_max=25)})["slow"]
    assert facts.color_space == "bt709"
    (made,) = tmp_path.glob("*.mp4")
    assert luma(made) == pytest.approx(63, abs=2)


def test_quiet_sound_is_raised_only_when_it_is_encoded_anyway(clip, tools, tmp_path):
    source, target = clip("obama_speech_320x240_24k_mono.mp4"), tmp_path / "out.mp4"
    facts = probe(source, tools)
    before = loudness_lufs(source, tools)
    make_rendition(RenditionSpec(Kind.REMUX), facts, source, target, tools)
    assert loudness_lufs(target, tools) == pytest.approx(before, abs=0.3)
    make_rendition(RenditionSpec(Kind.AUDIO_ONLY, audio=AudioTarget()), facts, source, target, tools)
    assert loudness_lufs(target, tools) > before + 10


def test_loud_sound_is_brought_to_the_common_level(clip, tools, tmp_path):
    source, target = clip("loud.mp4"), tmp_path / "out.mp4"
    assert loudness_lufs(source, tools) > -11
    spec = RenditionSpec(Kind.AUDIO_ONLY, audio=AudioTarget())
    make_rendition(spec, probe(source, tools), source, target, tools)
    assert loudness_lufs(target, tools) == pytest.approx(-14, abs=2)


def test_silence_has_no_loudness_and_is_left_alone(make):
    assert make("silent.mp4", {"strict": STRICT})["strict"].audio_channels == 2


def test_damage_hidden_inside_frames_is_found_while_encoding(clip, tools, tmp_path):
    content = bytearray(clip("good.mp4").read_bytes())
    for at in range(len(content) // 3, len(content) // 3 + 8_000, 400):
        content[at] ^= 0x10
    source = tmp_path / "flipped.mp4"
    source.write_bytes(content)
    facts = inspect(source, tools)
    spec = rendition_spec(Kind.TRANSCODE, facts, MediaLimits(), None)
    with pytest.raises(MediaRejected, match="damaged"):
        make_rendition(spec, facts, source, tmp_path / "out.mp4", tools)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flipped.mp4"]


def test_when_space_runs_out_nothing_half_written_stays(clip, tools, tmp_path):
    source = clip("good.mp4")
    spec = RenditionSpec(Kind.REMUX)
    facts, small = probe(source, tools), RunLimits(file_bytes=50_000)
    with pytest.raises(NoSpaceLeft) as caught:
        make_rendition(spec, facts, source, tmp_path / "out.mp4", tools, limits=small)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_encoding_leaves_the_earlier_file_in_place(clip, tools, tmp_path):
    class LeaseLost(Exception):
        pass

    def stop(progress):
        raise LeaseLost

    source, target = clip("good.mp4"), tmp_path / "out.mp4"
    facts = probe(source, tools)
    target.write_bytes(b"earlier")
    spec = rendition_spec(Kind.TRANSCODE, facts, MediaLimits(), None)
    with pytest.raises(LeaseLost):
        make_rendition(spec, facts, source, target, tools, on_progress=stop)
    assert target.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_an_outcome_that_is_not_the_planned_one_is_not_kept(clip, tools, tmp_path):
    source = clip("good.mp4")
    lying = replace(probe(source, tools), duration_seconds=30.0)
    with pytest.raises(ResultWrong, match=r"duration is 1\.\d+, planned 30\.0"):
        make_rendition(RenditionSpec(Kind.REMUX), lying, source, tmp_path / "out.mp4", tools)
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_fails_says_why(clip, tools, tmp_path):
    source = clip("good.mp4")
    facts = probe(source, tools)
    impossible = RenditionSpec(Kind.TRANSCODE, VideoTarget(271, 480, None, 1_000_000))
    with pytest.raises(ToolFailed, match="ffmpeg ended with") as caught:
        make_rendition(impossible, facts, source, tmp_path / "out.mp4", tools)
    assert "not divisible by 2" in caught.value.stderr


def test_there_is_nothing_to_make_for_a_passthrough(clip, tools, tmp_path):
    source = clip("good.mp4")
    with pytest.raises(ValueError, match="nothing to make"):
        make_rendition(RenditionSpec(Kind.PASSTHROUGH), probe(source, tools), source, tmp_path / "o.mp4", tools)


def test_a_clip_shorter_than_the_moment_asked_for_shows_its_first_frame(clip, tools, tmp_path):
    make_thumbnail(clip("good.mp4"), tmp_path / "small.jpg", tools, at_seconds=60)
    assert (tmp_path / "small.jpg").read_bytes().startswith(b"\xff\xd8")


def test_a_thumbnail_is_a_small_upright_jpeg(clip, tools, tmp_path):
    from PIL import Image

    target = tmp_path / "small.jpg"
    make_thumbnail(clip("rotated.mp4"), target, tools, at_seconds=0.5)
    with Image.open(target) as picture:
        assert (picture.format, picture.size) == ("JPEG", (480, 270))
    assert target.stat().st_mode & 0o777 == 0o600


def test_progress_ends_at_the_whole(clip, tools, tmp_path):
    seen = []
    source = clip("good.mp4")
    facts = probe(source, tools)
    spec = rendition_spec(Kind.TRANSCODE, facts, MediaLimits(), None)
    make_rendition(spec, facts, source, tmp_path / "out.mp4", tools, on_progress=seen.append)
    assert [each.fraction for each in seen] == sorted(each.fraction for each in seen)
    assert seen[-1].fraction > 0.9
