"""What do our guards, our checks and our runner cost on top of ffmpeg itself?

    python benchmarks/media.py [clip] [--rounds N]

Prints processor seconds (user and system, of this process and its children), the best of N rounds each, because
wall time depends on who else uses the machine.
"""

import argparse
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from autorepost_app.domain.media import Kind, MediaFacts, MediaLimits, RenditionSpec, plan
from autorepost_app.domain.media_rendition import rendition_spec
from autorepost_app.media.binaries import Binaries, resolve_binaries
from autorepost_app.media.inspect import inspect
from autorepost_app.media.probe import probe
from autorepost_app.media.transcode import make_rendition

CLIP = Path(__file__).parents[1] / "tests" / "media" / "bigbuckbunny_720p25_5.1ch.mp4"
H264 = "-c:v libx264 -preset superfast -crf 21 -maxrate 10M -bufsize 20M -profile:v high -level:v 4.2 -g 60 -bf 2"
BARE_TRANSCODE = f"-vf scale={{size}},setsar=1,format=yuv420p {H264} -c:a copy -movflags +faststart"
BARE_REMUX = "-c copy -movflags +faststart"


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        before = _spent()
        work()
        best = min(best, _spent() - before)
    return best


def _spent() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def bare(tools: Binaries, source: Path, target: Path, options: str) -> None:
    command = [str(tools.ffmpeg.path), "-v", "error", "-y", "-i", str(source), *options.split(), str(target)]
    subprocess.run(command, check=True)


def whole_passthrough(tools: Binaries, source: Path) -> None:
    """Everything a clip nobody minds goes through before it is uploaded."""
    facts = inspect(source, tools)
    (only,) = plan(facts, {"anyone": MediaLimits()}).renditions
    if only.kind is not Kind.PASSTHROUGH:
        raise SystemExit("the clip is not one that passes through")


def report(name: str, ours: float, theirs: float) -> None:
    print(f"{name:<42} {ours:8.3f} {theirs:8.3f} {ours / theirs:7.2f}x")


def compare(tools: Binaries, source: Path, folder: Path, rounds: int) -> None:
    facts: MediaFacts = probe(source, tools)
    full = rendition_spec(Kind.TRANSCODE, facts, MediaLimits(box=(1080, 1920)), None)
    if full is None or full.video is None:
        raise SystemExit("this clip cannot be transcoded")
    target = folder / "out.mp4"

    def ours(spec: RenditionSpec) -> float:
        return cpu_seconds(lambda: make_rendition(spec, facts, source, target, tools), rounds)

    def theirs(options: str) -> float:
        return cpu_seconds(lambda: bare(tools, source, target, options), rounds)

    print(f"{source.name}, ffmpeg {tools.ffmpeg.version}, CPU seconds, best of {rounds}")
    print(f"{'':<42} {'ours':>8} {'bare':>8} {'ratio':>8}")
    size = f"{full.video.width}:{full.video.height}"
    encode, remux = theirs(BARE_TRANSCODE.format(size=size)), theirs(BARE_REMUX)
    report("transcode, checked  /  ffmpeg", ours(full), encode)
    report("remux, checked  /  ffmpeg", ours(RenditionSpec(Kind.REMUX)), remux)
    passed = cpu_seconds(lambda: whole_passthrough(tools, source), rounds)
    report("passthrough, inspected  /  a transcode", passed, encode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(resolve_binaries(), chosen.clip, Path(folder), chosen.rounds)


if __name__ == "__main__":
    main()
