"""The media plan: least work, shared work, and nothing planned that a destination would not take."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorepost_app.domain.media import Kind, MediaFacts, MediaLimits, plan, predict, violations

PHONE_CLIP = MediaFacts(
    container="mp4",
    size_bytes=15_000_000,
    duration_seconds=30.0,
    width=1080,
    height=1920,
    fps=30.0,
    vcodec="h264",
    vprofile="High",
    faststart=True,
    video_bitrate=4_000_000,
    closed_gop=True,
    acodec="aac",
    audio_profile="LC",
    audio_hz=44_100,
    audio_channels=2,
    audio_bitrate=128_000,
)
REELS = MediaLimits(
    containers=frozenset({"mp4", "mov"}),
    vcodecs=frozenset({"h264", "hevc"}),
    acodecs=frozenset({"aac"}),
    audio_hz_max=48_000,
    audio_channels_max=2,
    fps_min=23,
    fps_max=60,
    width_max=1920,
    duration_min_seconds=3,
    duration_max_seconds=900,
    size_max_bytes=300_000_000,
    bitrate_max=25_000_000,
    faststart=True,
)
BIRD = MediaLimits(
    containers=frozenset({"mp4", "mov"}),
    vcodecs=frozenset({"h264"}),
    pix_fmts=frozenset({"yuv420p"}),
    acodecs=frozenset({"aac"}),
    fps_max=60,
    duration_max_seconds=140,
    aspect_min=1 / 3,
    aspect_max=3,
    trim_allowed=True,
)
SHORTS = MediaLimits(duration_max_seconds=180, aspect_max=1.0, trim_allowed=True)
ALL = {"bird": BIRD, "reels": REELS, "shorts": SHORTS}


def test_a_clip_everyone_accepts_is_used_as_it_is():
    made = plan(PHONE_CLIP, ALL)
    assert [(r.kind, r.serves, r.reason) for r in made.renditions] == [
        (Kind.PASSTHROUGH, ("bird", "reels", "shorts"), "accepted as it is")
    ]
    assert made.refusals == ()


def test_an_index_at_the_end_costs_a_copy_and_only_for_those_who_mind():
    made = plan(replace(PHONE_CLIP, faststart=False), ALL)
    assert [(r.kind, r.serves) for r in made.renditions] == [
        (Kind.PASSTHROUGH, ("bird", "shorts")),
        (Kind.REMUX, ("reels",)),
    ]


def test_surround_sound_is_downmixed_without_touching_the_picture():
    made = plan(replace(PHONE_CLIP, audio_channels=6), {"reels": REELS})
    (rendition,) = made.renditions
    assert rendition.kind is Kind.AUDIO_ONLY
    assert rendition.spec.video is None
    assert rendition.predicted.audio_channels == 2
    assert "6 sound channels" in rendition.reason


def test_a_silent_clip_gets_silence_where_sound_is_required():
    silent = replace(PHONE_CLIP, acodec=None)
    (rendition,) = plan(silent, {"strict": MediaLimits(audio_required=True)}).renditions
    assert rendition.kind is Kind.AUDIO_ONLY
    assert rendition.spec.audio is not None
    assert rendition.spec.audio.silence


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"container": "matroska"}, Kind.REMUX),
        ({"container": "avi"}, Kind.TRANSCODE),
        ({"container": "matroska", "acodec": "vorbis"}, Kind.AUDIO_ONLY),
        ({"container": "webm", "vcodec": "vp8"}, Kind.TRANSCODE),
    ],
)
def test_only_what_an_mp4_can_hold_is_copied_into_one(change, kind):
    (rendition,) = plan(replace(PHONE_CLIP, **change), {"a": MediaLimits(containers=frozenset({"mp4"}))}).renditions
    assert rendition.kind is kind


def test_sound_that_is_fine_is_copied_next_to_new_picture():
    (rendition,) = plan(replace(PHONE_CLIP, fps=120.0), {"reels": REELS}).renditions
    assert rendition.spec.audio is None
    assert rendition.predicted.audio_hz == 44_100


def test_a_long_clip_is_cut_by_copying_and_ends_below_the_limit():
    made = plan(replace(PHONE_CLIP, duration_seconds=170.0), ALL)
    assert [(r.kind, r.serves, r.spec.cut_seconds) for r in made.renditions] == [
        (Kind.PASSTHROUGH, ("reels", "shorts"), None),
        (Kind.TRIM, ("bird",), 139.9),
    ]
    assert made.renditions[1].reason == "it lasts 2 min 50 s; at most 2 min 20 s is accepted"


def test_one_encoding_serves_all_and_shorter_destinations_are_copied_out_of_it():
    av1 = replace(PHONE_CLIP, vcodec="av1", duration_seconds=200.0)
    picky = {key: replace(limits, vcodecs=frozenset({"h264"})) for key, limits in ALL.items()}
    whole, *trims = plan(av1, picky).renditions
    assert (whole.kind, whole.serves, whole.spec.cut_seconds) == (Kind.TRANSCODE, ("reels",), None)
    assert {(r.kind, r.serves, r.spec.cut_seconds) for r in trims} == {
        (Kind.TRIM, ("bird",), 139.9),
        (Kind.TRIM, ("shorts",), 179.9),
    }
    assert all(r.spec.base == whole.spec for r in trims)


def test_a_destination_with_incompatible_wishes_gets_its_own_encoding():
    wishes = {"slow": MediaLimits(fps_max=25), "fast": MediaLimits(fps_min=50)}
    made = plan(PHONE_CLIP, wishes)
    assert [(r.kind, r.serves, r.predicted.fps) for r in made.renditions] == [
        (Kind.TRANSCODE, ("fast",), 50.0),
        (Kind.TRANSCODE, ("slow",), 25.0),
    ]


def test_a_clip_too_short_is_refused_in_words_with_a_remedy():
    made = plan(replace(PHONE_CLIP, duration_seconds=2.0), ALL)
    (refusal,) = made.refusals
    assert refusal.destination == "reels"
    assert "it lasts 2 s; at least 3 s is accepted" in refusal.reason
    assert refusal.remedy == "Post a longer version."


def test_without_leave_to_shorten_a_long_clip_is_refused():
    made = plan(replace(PHONE_CLIP, duration_seconds=200.0), {"bird": replace(BIRD, trim_allowed=False)})
    assert made.renditions == ()
    assert "allow shortening" in made.refusals[0].remedy


def test_a_landscape_clip_is_refused_where_only_upright_ones_are_shown():
    made = plan(replace(PHONE_CLIP, width=1920, height=1080), {"shorts": SHORTS})
    assert "its shape is 1.78:1" in made.refusals[0].reason
    assert "9:16" in made.refusals[0].remedy


def test_a_long_video_is_squeezed_under_a_size_limit_or_refused():
    limits = MediaLimits(size_max_bytes=300_000_000)
    big = replace(PHONE_CLIP, size_bytes=2_000_000_000, duration_seconds=900.0)
    (rendition,) = plan(big, {"reels": limits}).renditions
    assert rendition.spec.video is not None
    assert 2_000_000 < rendition.spec.video.maxrate < 2_700_000
    assert plan(big, {"reels": replace(limits, size_max_bytes=20_000_000)}).refusals


def test_landscape_4k_at_120_frames_becomes_1080p_at_30():
    big = replace(PHONE_CLIP, width=3840, height=2160, fps=120.0)
    (rendition,) = plan(big, {"reels": REELS}).renditions
    found = rendition.predicted
    assert (found.width, found.height, found.fps) == (1920, 1080, 30.0)


def test_the_fingerprint_names_the_outcome_and_nothing_else():
    again = plan(replace(PHONE_CLIP, faststart=False), {"other": REELS}).renditions[0]
    first = plan(replace(PHONE_CLIP, faststart=False), {"reels": REELS}).renditions[0]
    cut = plan(replace(PHONE_CLIP, duration_seconds=950.0), {"r": replace(REELS, trim_allowed=True)})
    assert first.fingerprint == again.fingerprint
    assert len(first.fingerprint) == 16
    assert cut.renditions[0].fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"container": "matroska"}, "container"),
        ({"vcodec": "vp9"}, "vcodec"),
        ({"fps": 12.0}, "fps"),
        ({"acodec": "opus"}, "acodec"),
        ({"audio_hz": 96_000}, "audio_hz"),
        ({"width": 2000}, "width"),
        ({"size_bytes": 400_000_000}, "size"),
        ({"video_bitrate": 30_000_000}, "bitrate"),
        ({"faststart": False}, "faststart"),
    ],
)
def test_each_limit_is_noticed_once_and_said_in_words(change, field):
    (found,) = violations(replace(PHONE_CLIP, **change), REELS)
    assert found.field == field
    assert "accepted" in found.text or field == "faststart"


def test_no_limits_means_anything_goes():
    assert violations(replace(PHONE_CLIP, vcodec="theora", fps=3.0, width=9), MediaLimits()) == []


some = st.sampled_from
lengths = st.floats(0.5, 1200).map(lambda seconds: round(seconds, 2))
facts_found = st.builds(
    MediaFacts,
    container=some(["mp4", "mov", "matroska", "webm", "mpegts", "avi"]),
    size_bytes=st.integers(10_000, 4_000_000_000),
    duration_seconds=lengths,
    width=st.integers(32, 4096),
    height=st.integers(32, 4096),
    fps=some([5.0, 11.9, 23.976, 25.0, 29.97, 30.0, 60.0, 120.0]),
    vcodec=some(["h264", "hevc", "vp9", "av1", "vp8", "mjpeg"]),
    faststart=st.booleans(),
    edit_list=st.booleans(),
    variable_fps=st.booleans(),
    pix_fmt=some(["yuv420p", "yuv420p10le", "yuv444p"]),
    video_bitrate=st.none() | st.integers(50_000, 80_000_000),
    reorder_frames=st.integers(0, 8),
    closed_gop=some([None, True, False]),
    color_transfer=some(["", "bt709", "smpte2084"]),
    acodec=some([None, "aac", "opus", "vorbis", "mp3"]),
    audio_profile=some(["", "LC", "HE-AAC"]),
    audio_hz=some([24_000, 48_000, 96_000]),
    audio_channels=some([1, 2, 6]),
    audio_bitrate=some([None, 64_000, 320_000]),
)
limits_stated = st.builds(
    MediaLimits,
    containers=some([None, frozenset({"mp4"}), frozenset({"mp4", "mov"})]),
    vcodecs=some([None, frozenset({"h264"}), frozenset({"h264", "hevc"}), frozenset({"vp9"})]),
    pix_fmts=some([None, frozenset({"yuv420p"})]),
    acodecs=some([None, frozenset({"aac"})]),
    audio_profiles=some([None, frozenset({"LC"})]),
    audio_hz_max=some([None, 48_000]),
    audio_channels_max=some([None, 1, 2]),
    audio_required=st.booleans(),
    fps_min=some([None, 23.0, 50.0]),
    fps_max=some([None, 30.0, 60.0]),
    constant_fps=st.booleans(),
    width_min=some([None, 320]),
    width_max=some([None, 720, 1920]),
    height_max=some([None, 1024, 1920]),
    aspect_min=some([None, 0.33]),
    aspect_max=some([None, 1.0, 3.0]),
    duration_min_seconds=some([None, 3.0]),
    duration_max_seconds=some([None, 0.3, 140.0, 900.0]),
    size_max_bytes=some([None, 1_000_000, 300_000_000]),
    bitrate_max=some([None, 2_000_000, 25_000_000]),
    faststart=st.booleans(),
    edit_lists=st.booleans(),
    closed_gop=st.booleans(),
    hdr=st.booleans(),
    trim_allowed=st.booleans(),
    box=some([None, (720, 1280), (1080, 1920)]),
)
wishes_of_several = st.dictionaries(some(["a", "b", "c", "d"]), limits_stated, max_size=4)


@given(facts_found, wishes_of_several)
@settings(max_examples=400, deadline=None)
def test_every_destination_gets_one_rendition_it_accepts_or_one_refusal(facts, wishes):
    made = plan(facts, wishes)
    for rendition in made.renditions:
        for key in rendition.serves:
            assert violations(predict(facts, rendition.spec), wishes[key]) == []
    placed = [key for r in made.renditions for key in r.serves] + [r.destination for r in made.refusals]
    assert sorted(placed) == sorted(wishes)


@given(facts_found, wishes_of_several)
@settings(max_examples=200, deadline=None)
def test_no_work_is_planned_for_a_file_that_is_accepted_and_none_twice(facts, wishes):
    made = plan(facts, wishes)
    for key, limits in wishes.items():
        if not violations(facts, limits):
            assert made.rendition_for(key).kind is Kind.PASSTHROUGH
    prints = [r.fingerprint for r in made.renditions]
    assert len(prints) == len(set(prints))


@given(facts_found, wishes_of_several)
@settings(max_examples=200, deadline=None)
def test_a_trim_comes_after_the_rendition_it_is_cut_from(facts, wishes):
    seen = set()
    for rendition in plan(facts, wishes).renditions:
        assert rendition.spec.base is None or rendition.spec.base in seen
        seen.add(rendition.spec)


@given(facts_found, wishes_of_several)
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_destinations_are_named_changes_nothing(facts, wishes):
    assert plan(facts, wishes) == plan(facts, dict(reversed(wishes.items())))


@given(facts_found, limits_stated)
@settings(max_examples=200, deadline=None)
def test_a_refusal_says_why_and_what_would_help(facts, limits):
    for refusal in plan(facts, {"a": limits}).refusals:
        assert violations(facts, limits)
        assert refusal.reason.startswith("This video cannot be made to fit: ")
        assert len(refusal.reason) > len("This video cannot be made to fit: .")
        assert refusal.remedy
