"""Clips of every awkward kind, made once per session and only when a test asks for one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autorepost_app.media.binaries import Binaries, resolve_binaries

SHIPPED = Path(__file__).parents[2] / "media"
TONE = "-f lavfi -i sine=frequency=440:duration={d}"
H264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
AAC = "-c:a aac -b:a 64k"


def pattern(size: str, rate: str = "30", seconds: str = "1", sound: bool = True) -> str:
    picture = f"-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}"
    return f"{picture} {TONE.format(d=seconds)}" if sound else picture


MADE = {
    "good.mp4": f"{pattern('270x480')} {H264} {AAC} -movflags +faststart",
    "long.mp4": "-f lavfi -i color=c=navy:size=64x112:rate=24:duration=200 "
    f"{TONE.format(d=200)} {H264} -bf 2 -g 48 -c:a aac -b:a 32k -movflags +faststart",
    "moov_at_end.mp4": f"{pattern('270x480')} {H264} {AAC}",
    "matroska.mkv": f"{pattern('270x480')} {H264} {AAC}",
    "quicktime.mov": f"{pattern('270x480')} {H264} {AAC}",
    "stream.ts": f"{pattern('270x480')} {H264} {AAC}",
    "old.avi": f"{pattern('270x480')} -c:v mpeg4 -c:a libmp3lame",
    "hevc.mp4": f"{pattern('270x480')} -c:v libx265 -preset ultrafast -x265-params log-level=none "
    f"-pix_fmt yuv420p {AAC}",
    "ten_bit.mp4": f"{pattern('270x480')} -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le {AAC}",
    "hdr.mp4": f"{pattern('270x480', seconds='0.2')} -vf setparams=color_primaries=bt2020:"
    "color_trc=smpte2084:colorspace=bt2020nc -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le "
    f"{AAC}",
    "old_colours.mp4": f"-f lavfi -i color=c=red:size=270x480:rate=30:duration=0.5 {TONE.format(d=0.5)} "
    f"-vf scale=out_color_matrix=bt601,setparams=colorspace=smpte170m {H264} {AAC}",
    "av1.mp4": f"{pattern('270x480')} -c:v libsvtav1 -preset 12 -svtav1-params lp=1 {AAC}",
    "vp9.webm": f"{pattern('270x480')} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "odd_444.mp4": f"-f lavfi -i testsrc=size=607x1081:rate=30:duration=0.5 {TONE.format(d=0.5)} "
    f"-c:v libx264 -preset ultrafast -pix_fmt yuv444p {AAC}",
    "silent.mp4": f"{pattern('270x480', sound=False)} {H264}",
    "four_k_60.mp4": f"{pattern('3840x2160', '60', '0.3')} {H264} -threads 2 {AAC}",
    "frames_120.mp4": f"{pattern('270x480', '120')} {H264} {AAC}",
    "variable.mp4": f"{pattern('270x480', seconds='2')} -vf select='lt(n\\,30)+not(mod(n\\,4))' "
    f"-fps_mode vfr {H264} {AAC}",
    "loud.mp4": f"{pattern('270x480', seconds='3')} -af volume=12dB {H264} -c:a libopus -ac 2",
    "open_gop.mp4": f"{pattern('270x480', seconds='2')} -c:v libx264 -preset ultrafast -bf 2 -g 15 "
    f"-x264-params open-gop=1:b-adapt=0 -pix_fmt yuv420p {AAC}",
    "wide_pixels.mp4": f"{pattern('240x480')} -vf setsar=4/3 {H264} {AAC}",
    "sound_only.mp4": f"{TONE.format(d=1)} {AAC}",
    "bomb.mp4": f"-f lavfi -i color=size=6400x6400:rate=1:duration=1 {H264} -threads 1",
}

MakeClip = Callable[[str], Path]


@pytest.fixture(scope="session")
def tools() -> Binaries:
    return resolve_binaries()


@pytest.fixture(scope="session")
def record(tools: Binaries) -> Callable[[str, Path], None]:
    """`record(recipe, path)` makes a clip as the recipe, words of a command line, says."""

    def record(recipe: str, path: Path) -> None:
        command = [str(tools.ffmpeg.path), "-v", "error", "-nostdin", *recipe.split(), str(path)]
        subprocess.run(command, check=True, timeout=60, stderr=subprocess.PIPE)

    return record


@pytest.fixture(scope="session")
def clip(record: Callable[[str, Path], None], tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """`clip(name)` is the path of a clip of that name, shipped or made by its recipe."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        if (SHIPPED / name).exists():
            return SHIPPED / name
        path = folder / name
        if not path.exists():
            record(_rotation(make) if name == "rotated.mp4" else MADE[name], path)
        return path

    return make


def _rotation(make: MakeClip) -> str:
    return f"-display_rotation:v:0 90 -i {make('moov_at_end.mp4')} -c copy"
