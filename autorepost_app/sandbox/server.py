"""How does the sandbox run inside another process? A thread with its own event loop and port."""

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from autorepost_app.sandbox import control
from autorepost_app.sandbox.app import make_app, make_world
from autorepost_app.sandbox.wire import CuttableProtocol
from autorepost_app.sandbox.world import World


class _Server(uvicorn.Server):
    """Signals belong to whoever started us; `stop` is the only way down."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def refuse_for(self, seconds: float, host: str, port: int) -> None:
        """Nobody listens for a while: a connect is refused, which is the one failure that proves nothing was sent."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        kept = listen(host, port)  # bound and deaf: the port is refused, and nobody else can be given it meanwhile
        await asyncio.sleep(seconds)
        self.servers = [await asyncio.get_running_loop().create_server(self._protocol, sock=kept)]

    def _protocol(self) -> CuttableProtocol:
        return CuttableProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def listen(host: str, port: int) -> socket.socket:
    """A socket on that address, which answers nobody until a server takes it over."""
    # asyncio turns off Nagle's algorithm for sockets that say they are TCP: else every answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


class Service:
    """The sandbox on one socket, for an event loop that somebody else runs."""

    def __init__(self, world: World, listener: socket.socket) -> None:
        self.world = world
        self._listener = listener
        config = uvicorn.Config(
            make_app(world),
            http=CuttableProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=60,
        )
        self._server = _Server(config)
        host, port = listener.getsockname()
        world.go_dark = lambda seconds: self._server.refuse_for(seconds, host, port)

    async def serve(self) -> None:
        for platform in self.world.platforms.values():
            await platform.resume()
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            await self.world.close()
            self._listener.close()

    @property
    def started(self) -> bool:
        return self._server.started

    def stop(self) -> None:
        self._server.should_exit = True


class SandboxServer:
    """A running sandbox: `with SandboxServer() as sandbox: httpx.get(sandbox.base_url)`.

    `state_file` makes it remember over restarts; without it everything is gone at `stop`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state_file: Path | None = None,
        folder: Path | None = None,
        ffprobe: str | None = None,
    ) -> None:
        self._temporary = None if folder or state_file else tempfile.TemporaryDirectory(prefix="autorepost-sandbox-")
        place = folder or (state_file.parent / f"{state_file.name}.files" if state_file else None)
        self._place = place or Path(self._temporary.name if self._temporary else ".")
        self._host, self._port = host, port
        self._state_file, self._ffprobe = state_file, ffprobe
        self._service: Service | None = None
        self._thread: threading.Thread | None = None
        self.base_url = ""
        self.hosts: dict[str, str] = {}
        self.apps: dict[str, str] = {}

    def start(self) -> Self:
        listener = listen(self._host, self._port)
        ready = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(listener, ready))
            except BaseException as error:
                failed.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name="sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if failed:
            raise failed[0]
        return self

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        world = make_world(self._place, self._state_file, self._ffprobe)
        world.base_url = f"http://{self._host}:{listener.getsockname()[1]}"
        self._service = Service(world, listener)
        self.base_url, self.hosts, self.apps = world.base_url, control.hosts(world), control.apps(world)
        serving = asyncio.create_task(self._service.serve())
        while not self._service.started and not serving.done():
            await asyncio.sleep(0.005)
        ready.set()
        await serving

    def stop(self) -> None:
        if self._service:
            self._service.stop()
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
