"""What does it cost to send a long file, in processor time and memory? Against bare httpx in the same run.

    .venv/bin/python benchmarks/upload.py                 # 300 MB to each destination that takes bytes
    .venv/bin/python benchmarks/upload.py --megabytes 500

Every size goes up in a process of its own, by the platform's real client, to the sandbox in another process. The bound
then sends the very same requests, of the same sizes, with nothing but httpx, to the same kind of server: one that takes
what comes and answers in a word. Processor seconds and ratios are solid on a noisy machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.bootstrap import find_platforms  # noqa: E402
from autorepost_app.domain.clock import utc_now  # noqa: E402
from autorepost_app.domain.media import MediaFacts  # noqa: E402
from autorepost_app.media.binaries import resolve_binaries  # noqa: E402
from autorepost_app.media.probe import probe  # noqa: E402
from autorepost_app.platform_kit.protocol import (  # noqa: E402
    AppCredentials,
    Delivery,
    DestinationSpec,
    Grant,
    Handles,
    NotReady,
    Parts,
    Platform,
    PostText,
    Reach,
    Staged,
)
from autorepost_app.processes import free_port  # noqa: E402

CLIP = ROOT / "autorepost_app" / "cli" / "clip.mp4"
SMALL_MEGABYTES = 3
CALLBACK = "http://127.0.0.1:8080/callback"
PIECE_BYTES = 1 << 16
console = Console(width=110)


@dataclass(frozen=True)
class File:
    """A file as a rendition. What is read is what is sent."""

    path: Path
    facts: MediaFacts
    size_bytes: int
    sha256: str = "0" * 64

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        left = self.size_bytes - offset if length is None else length
        with self.path.open("rb") as file:
            file.seek(offset)
            while left > 0 and (block := file.read(min(chunk_bytes, left))):
                left -= len(block)
                yield block

    def public_url(self, ttl_seconds: float) -> str:
        raise NotImplementedError("only ways that take bytes are measured")


@dataclass(frozen=True)
class Spent:
    """Of one process that sent one file: processor seconds, its largest size, and the sizes of its requests."""

    cpu_seconds: float
    peak_megabytes: float
    sizes: list[int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--platform", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sandbox", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        return _serve_sink()
    if options.sizes is not None:
        return _report(_send_bare(options.file, options.sizes, options.sandbox))
    if options.platform:
        return _report(_send_ours(find_platforms()[options.platform], options.file, options.sandbox))
    return _compare(options.megabytes)


def _compare(megabytes: int) -> int:
    table = Table("platform", "requests", "CPU-s", "bare httpx", "ratio (wanted 1.3)", "more memory (wanted < 60 MB)")
    with tempfile.TemporaryDirectory(prefix="autorepost-benchmark-") as folder:
        files = {size: _file_of(Path(folder), size) for size in (SMALL_MEGABYTES, megabytes)}
        sandbox, address = _start_sandbox(Path(folder))
        sink, sink_port = _start_sink()
        try:
            for key, manifest in sorted(find_platforms().items()):
                if manifest.destination is not None and _takes(manifest.destination, megabytes):
                    table.add_row(manifest.name, *_measured(key, files, address, sink_port, megabytes))
        finally:
            for process in (sandbox, sink):
                process.kill()
                process.wait()
    console.print(f"{megabytes} MB each")
    console.print(table)
    return 0


def _takes(spec: DestinationSpec, megabytes: int) -> bool:
    return (spec.media.size_max_bytes or megabytes * 1_000_000) >= megabytes * 1_000_000


def _measured(key: str, files: dict[int, Path], sandbox: str, sink_port: int, megabytes: int) -> list[str]:
    small = _child("--platform", key, "--file", str(files[SMALL_MEGABYTES]), "--sandbox", sandbox)
    large = _child("--platform", key, "--file", str(files[megabytes]), "--sandbox", sandbox)
    bare_small = _child("--sizes", "[]", "--file", str(files[megabytes]), "--sandbox", f"http://127.0.0.1:{sink_port}")
    bare = _child(
        "--sizes",
        json.dumps(large.sizes),
        "--file",
        str(files[megabytes]),
        "--sandbox",
        f"http://127.0.0.1:{sink_port}",
    )
    ours, bound = large.cpu_seconds - small.cpu_seconds, bare.cpu_seconds - bare_small.cpu_seconds
    return [
        f"{len(large.sizes)}",
        f"{ours:.2f}",
        f"{bound:.2f}",
        f"{ours / bound:.2f}",
        f"{large.peak_megabytes - small.peak_megabytes:.1f} MB",
    ]


def _child(*arguments: str) -> Spent:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return Spent(**json.loads(done.stdout.splitlines()[-1]))


def _report(spent: Spent) -> int:
    print(json.dumps(spent.__dict__))
    return 0


# ------------------------------------------------------------------------------------------------------------ senders


def _send_ours(manifest: Platform, path: Path, sandbox: str) -> Spent:
    sizes: list[int] = []
    parts, grant = _connected(manifest, sandbox)
    send = httpx.Client.send

    def noted(client: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        sizes.append(int(request.headers.get("Content-Length", 0)))
        return send(client, request, **more)

    httpx.Client.send = noted  # type: ignore[method-assign]
    began = time.process_time()
    _stage(parts, _delivery(manifest, grant, path))
    spent = time.process_time() - began
    parts.close()
    return Spent(spent, _peak_megabytes(), [size for size in sizes if size > PIECE_BYTES])


def _stage(parts: Parts, delivery: Delivery) -> None:
    """Until every byte is there; what the platform then still makes of it costs us nothing."""
    if parts.destination is None:
        raise ValueError("no destination")
    kept: dict[str, str] = {}

    def keep(handles: Handles) -> None:
        kept.update(handles)

    while True:
        match parts.destination.stage(delivery, dict(kept), keep):
            case NotReady(after_seconds=0.0):
                continue
            case NotReady() | Staged():
                return


def _send_bare(path: Path, sizes: list[int], address: str) -> Spent:
    began = time.process_time()
    with httpx.Client(timeout=60) as client, path.open("rb") as file:
        for size in sizes:
            client.put(address, content=_pieces(file, size), headers={"Content-Length": str(size)}).raise_for_status()
    return Spent(time.process_time() - began, _peak_megabytes(), [])


def _pieces(file: Any, size: int) -> Iterator[bytes]:
    while size > 0:
        block = file.read(min(size, PIECE_BYTES)) or bytes(min(size, PIECE_BYTES))
        size -= len(block)
        yield block


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------------------------------------------- what they need


def _connected(manifest: Platform, sandbox: str) -> tuple[Parts, Grant]:
    """A fresh account, connected by the login that takes bytes."""
    handle = f"b{time.time_ns()}"
    spec, login = manifest.destination, manifest.oauth.logins[0]
    if spec is not None:
        login = next(each for each in manifest.oauth.logins if not spec.needs_public_url(each))
    _ask(sandbox, "POST", "/accounts", {"platform": manifest.key, "handle": handle, "name": "Benchmark"})
    hosts, apps = _ask(sandbox, "GET", "/hosts"), _ask(sandbox, "GET", "/apps")
    key = manifest.key.upper()
    urls = {host.name: hosts[f"{key}_{host.name}_URL"] for host in manifest.hosts}
    app = AppCredentials(apps[f"{key}_CLIENT_ID"], apps[f"{key}_CLIENT_SECRET"])
    parts = manifest.build(Reach(urls, app, utc_now))
    consent = parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="s")
    back = _ask(sandbox, "POST", "/consent", {"authorize_url": consent.url, "account": handle})
    code = dict(httpx.QueryParams(urlsplit(back["redirect_to"]).query))["code"]
    tokens = parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=code, verifier=consent.verifier)
    found = parts.authoriser.accounts(login=login, tokens=tokens)[0]
    return parts, Grant(found.account, found.tokens.access_token, found.tokens.scopes, login)


def _delivery(manifest: Platform, grant: Grant, path: Path) -> Delivery:
    facts = probe(CLIP, resolve_binaries())
    file = File(path, replace(facts, size_bytes=path.stat().st_size), path.stat().st_size)
    options = {option.name: option.default for option in manifest.destination.options} if manifest.destination else {}
    return Delivery("benchmark", "ar-benchmark", grant, PostText("A walk", "A walk"), file, options)


def _file_of(folder: Path, megabytes: int) -> Path:
    """The clip, made longer by a box that every player skips."""
    path, clip = folder / f"{megabytes}.mp4", CLIP.read_bytes()
    free = megabytes * 1_000_000 - len(clip)
    with path.open("wb") as file:
        file.write(clip)
        file.write(free.to_bytes(4, "big") + b"free")
        for size in [PIECE_BYTES] * (free // PIECE_BYTES) + [free % PIECE_BYTES - 8]:
            file.write(bytes(size))  # no hole: the first to read one would pay for it
    return path


def _ask(sandbox: str, method: str, path: str, body: Any = None) -> Any:
    return httpx.request(method, f"{sandbox}/_sandbox{path}", json=body, timeout=60).raise_for_status().json()


def _start_sandbox(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    log = (folder / "sandbox.log").open("wb")
    argv = [sys.executable, "-m", "autorepost_app.sandbox", "--port", str(port)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    _wait_for(f"http://127.0.0.1:{port}/_sandbox/hosts")
    return process, f"http://127.0.0.1:{port}"


def _wait_for(address: str) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            httpx.get(address)
            return
        except httpx.TransportError:
            time.sleep(0.1)


async def _take(scope: Any, receive: Any, send: Any) -> None:
    """Takes whatever is sent and keeps none of it, on the same server as the sandbox's."""
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def _start_sink() -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, __file__, "--sink"], stdout=subprocess.PIPE, text=True)
    port = int((process.stdout or sys.stdin).readline())
    _wait_for(f"http://127.0.0.1:{port}/")
    return process, port


def _serve_sink() -> int:
    port = free_port()
    print(port, flush=True)
    uvicorn.run(_take, port=port, log_level="error", lifespan="off", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
