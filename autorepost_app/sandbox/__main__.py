"""`python -m autorepost_app.sandbox`: the four platforms on one local port until a signal comes."""

import argparse
import asyncio
import errno
import signal
import sys
import tempfile
from pathlib import Path

from autorepost_app.sandbox.app import make_world
from autorepost_app.sandbox.server import Service, listen


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m autorepost_app.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="SQLite file to remember in; without it everything is forgotten")
    parser.add_argument("--ready-file", type=Path, help="written with the base URL once requests are answered")
    parser.add_argument("--ffprobe", help="path of ffprobe; default: FFPROBE, the machine's, the wheel's")
    return parser.parse_args(argv)


async def _run(options: argparse.Namespace, folder: Path) -> None:
    listener = listen(options.host, options.port)
    world = make_world(folder, options.state, options.ffprobe)
    world.base_url = f"http://{options.host}:{listener.getsockname()[1]}"
    service = Service(world, listener)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, service.stop)
    serving = asyncio.create_task(service.serve())
    while not service.started and not serving.done():
        await asyncio.sleep(0.005)
    if service.started:
        _tell(world.base_url, options.ready_file)
    await serving


def _tell(base_url: str, ready_file: Path | None) -> None:
    sys.stdout.write(f"sandbox ready {base_url}\n")
    sys.stdout.flush()
    if ready_file:
        # Renamed into place, so that a reader never sees half a line.
        draft = ready_file.with_name(ready_file.name + ".part")
        draft.write_text(base_url + "\n")
        draft.replace(ready_file)


def main(argv: list[str] | None = None) -> int:
    options = _arguments(argv)
    try:
        _run_in_its_folder(options)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.stderr.write(f"Port {options.port} on {options.host} is already in use. Choose another with --port.\n")
        return 1
    return 0


def _run_in_its_folder(options: argparse.Namespace) -> None:
    if options.state:
        asyncio.run(_run(options, options.state.parent / f"{options.state.name}.files"))
        return
    with tempfile.TemporaryDirectory(prefix="autorepost-sandbox-") as folder:
        asyncio.run(_run(options, Path(folder)))


if __name__ == "__main__":
    raise SystemExit(main())
