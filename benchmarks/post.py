"""What does a post cost, and how many go through a minute? Against the bound, in one run.

    .venv/bin/python benchmarks/post.py --posts 60                  the clip fits everywhere: nothing is encoded
    .venv/bin/python benchmarks/post.py --posts 6 --transcode       a clip that has to be encoded once

The whole product runs against the sandbox in a home of its own. The bound is the least that anybody could do for the
same result: the same bytes by bare ffmpeg with the same settings, and bare httpx uploads of the outcome, once for each
destination, as many at a time as the product's runs. CPU seconds and ratios are solid on a noisy machine, wall times
are upper bounds. The clock starts when the source is asked: how long it is left alone between polls is a setting.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.bootstrap import close_house, open_house  # noqa: E402
from autorepost_app.cli.demo import Sandbox, _connect_all, _make_rule, _workspace  # noqa: E402
from autorepost_app.cli.product import Product, current_settings  # noqa: E402
from autorepost_app.domain.identity import SystemScope, TenantScope  # noqa: E402
from autorepost_app.domain.publications import State  # noqa: E402
from autorepost_app.media.binaries import resolve_binaries  # noqa: E402
from autorepost_app.persistence import connections  # noqa: E402
from autorepost_app.processes import free_port  # noqa: E402
from autorepost_app.services.house import House  # noqa: E402
from autorepost_app.services.record import Story, recent  # noqa: E402

PASSTHROUGH = ROOT / "autorepost_app" / "cli" / "clip.mp4"
RUNS_AT_ONCE = 10
DESTINATIONS = 3
console = Console(width=120)


@dataclass
class Cost:
    """CPU seconds of one group of processes, those that have ended included."""

    before: float
    now: float = 0.0

    @property
    def spent(self) -> float:
        return self.now - self.before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=60)
    parser.add_argument("--transcode", action="store_true")
    parser.add_argument("--timeout", type=float, default=900.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autorepost-benchmark-") as folder:
        clip = _clip_to_encode(Path(folder)) if options.transcode else PASSTHROUGH
        port = free_port()
        os.environ.update(AUTOREPOST_HOME=str(Path(folder) / "home"), AUTOREPOST_PORT=str(port))
        sandbox = Sandbox(f"http://127.0.0.1:{port + 1}")
        product = Product(current_settings(), sandbox_port=port + 1, on_sandbox=sandbox.settings)
        result: list[int] = []

        def measure() -> int:
            result.append(_measure(product, sandbox, clip, options.posts, options.timeout, encode=options.transcode))
            return result[0]

        return product.run(measure)


def _measure(
    product: Product, sandbox: Sandbox, clip: Path, posts: int, timeout_seconds: float, *, encode: bool
) -> int:
    house = open_house(current_settings(product.extra))
    try:
        scope = _workspace(house)
        sandbox.control("PUT", "/settings", instagram={"posts_per_day": 10_000})  # what is measured is us, not a limit
        _connect_all(house, scope, sandbox)
        _make_rule(house, scope)
        warm = _through(house, scope, sandbox, clip, 1, timeout_seconds)
        costs = {name: Cost(_cpu_seconds(pids)) for name, pids in _groups().items()}
        started = time.monotonic()
        stories = _through(house, scope, sandbox, clip, posts, timeout_seconds, known=len(warm))
        wall = time.monotonic() - started
        largest = _largest_worker()
        for name, pids in _groups().items():
            costs[name].now = _cpu_seconds(pids)
        bound = _bound(clip, posts, house, encode=encode)
        _print(posts, wall, costs, bound, stories, largest, encode=encode)
        return 0 if len(stories) == posts else 1
    finally:
        close_house(house)


def _through(
    house: House, scope: TenantScope, sandbox: Sandbox, clip: Path, posts: int, timeout_seconds: float, known: int = 0
) -> list[Story]:
    """Posts, and waits until all of them are live everywhere; those that are."""
    for number in range(posts):
        sandbox.post_clip("tiktok", clip, f"benchmark {known + number} {time.time_ns()}")
    with house.db.system(SystemScope("benchmark")) as session:
        connections.ask_now(session)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        done = [story for story in recent(house, scope, limit=posts + known) if _is_live(story)]
        if len(done) >= posts + known:
            return done[:posts]
        time.sleep(0.5)
    return [story for story in recent(house, scope, limit=posts) if _is_live(story)]


def _is_live(story: Story) -> bool:
    return bool(story.publications) and all(row.state == State.PUBLISHED for row in story.publications)


# ------------------------------------------------------------------------------------------------------------ costs


def _groups() -> dict[str, list[psutil.Process]]:
    """Our children by what they are; a worker's time is in its fork server's once it has ended."""
    groups: dict[str, list[psutil.Process]] = {"product": [], "postgres": [], "sandbox": []}
    for process in psutil.Process().children(recursive=True):
        with_name = " ".join(_command_line(process))
        if "autorepost_app.sandbox" in with_name:
            groups["sandbox"].append(process)
        elif "postgres" in with_name.split(" ", 1)[0]:
            groups["postgres"].append(process)
        else:
            groups["product"].append(process)
    return groups


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or [process.name()]
    except psutil.Error:
        return []


def _cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _largest_worker() -> float:
    """The peak of the largest process that holds a run, in megabytes, as the kernel counted it."""
    peaks = [0.0]
    for process in psutil.Process().children(recursive=True):
        if any("forkserver" in word for word in _command_line(process)):
            status = Path(f"/proc/{process.pid}/status")
            lines = status.read_text().splitlines() if status.exists() else []
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)


# ------------------------------------------------------------------------------------------------------------ bound


class _Sink(BaseHTTPRequestHandler):
    """Takes whatever is sent and keeps none of it."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


def _bound(clip: Path, posts: int, house: House, *, encode: bool) -> float:
    """CPU seconds of bare ffmpeg and bare httpx for the same outcome; the sink runs in a process of its own."""
    sink = subprocess.Popen([sys.executable, __file__, "--sink"], stdout=subprocess.PIPE, text=True)
    port = int((sink.stdout or sys.stdin).readline())
    before = _own_seconds()
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool, httpx.Client(timeout=60) as client:
        list(pool.map(lambda _: _one_bare(clip, client, port, house, encode=encode), range(posts)))
    spent = _own_seconds() - before
    sink.kill()
    sink.wait()
    return spent


def _one_bare(clip: Path, client: httpx.Client, port: int, house: House, *, encode: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = clip
        if encode:
            outcome = Path(folder) / "out.mp4"
            subprocess.run(_bare_command(str(house.tools.ffmpeg.path), clip, outcome), check=True)
        for _ in range(DESTINATIONS):
            with outcome.open("rb") as file:
                headers = {"Content-Length": str(outcome.stat().st_size)}
                client.put(f"http://127.0.0.1:{port}/", content=file, headers=headers).raise_for_status()


def _bare_command(ffmpeg: str, clip: Path, outcome: Path) -> list[str]:
    """The measured settings, nothing around them."""
    scale = (
        "scale=w='min(1080,iw)':h='min(1920,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2,"
        "setsar=1,format=yuv420p"
    )
    video = "-c:v libx264 -preset superfast -crf 21 -maxrate 10M -bufsize 20M -profile:v high -g 60 -bf 2"
    audio = "-c:a aac -b:a 128k -ar 48000 -ac 2"
    return [
        ffmpeg, "-v", "error", "-nostdin", "-y", "-i", str(clip), "-vf", scale, *video.split(),
        "-x264-params", "open-gop=0", *audio.split(), "-movflags", "+faststart", str(outcome),
    ]  # fmt: skip


def _own_seconds() -> float:
    """This process and the children it has waited for; the supervised ones are waited for only at the end."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _clip_to_encode(folder: Path) -> Path:
    """Ten seconds of upright HEVC, as phones make them: no destination takes the codec."""
    target = folder / "phone.mp4"
    source = "testsrc2=size=1080x1920:rate=30:duration=10"
    sound = "sine=frequency=440:duration=10"
    argv = [
        str(resolve_binaries().ffmpeg.path), "-v", "error", "-y",
        "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", sound,
        "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1",
        "-c:a", "aac", "-ac", "2", "-ar", "48000", "-movflags", "+faststart", str(target),
    ]  # fmt: skip
    subprocess.run(argv, check=True)
    return target


# ------------------------------------------------------------------------------------------------------------ report


def _print(
    posts: int,
    wall: float,
    costs: dict[str, Cost],
    bound: float,
    stories: list[Story],
    largest: float,
    *,
    encode: bool,
) -> None:
    ours = costs["product"].spent
    delays = sorted((row.published_at - story.post.detected_at).total_seconds()
                    for story in stories for row in story.publications if row.published_at)  # fmt: skip
    table = Table(title=f"{posts} posts, {'encoded once' if encode else 'passed through'}", title_justify="left")
    for name in ("figure", "measured", "wanted"):
        table.add_column(name)
    table.add_row("posts live on all destinations", f"{len(stories)} of {posts}", "all")
    table.add_row("posts a minute (wall)", f"{posts / wall * 60:.0f}", "" if encode else "60 or more")
    table.add_row("CPU-s a post, ours with the tools we start", f"{ours / posts:.2f}", "")
    table.add_row("CPU-s a post, the bound", f"{bound / posts:.2f}", "")
    table.add_row("ratio", f"{ours / bound:.2f}", "1.25 or less" if encode else "")
    table.add_row("CPU-s a post above the bound", f"{(ours - bound) / posts:.2f}", "" if encode else "0.6 or less")
    table.add_row("CPU-s a post, PostgreSQL beside it", f"{costs['postgres'].spent / posts:.2f}", "")
    table.add_row("CPU-s a post, the sandbox beside it", f"{costs['sandbox'].spent / posts:.2f}", "")
    table.add_row("peak memory of a run worker", f"{largest:.0f} MB", "under 220 MB")
    if delays:
        table.add_row("detected to live, median", f"{delays[len(delays) // 2]:.1f} s", "")
    console.print(table)


def _serve_sink() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["--sink"]:
        _serve_sink()
    raise SystemExit(main())
