"""What stands between the product and its database, and now and then lets go of both?

A relay of bytes from one unix socket to another, in a thread of its own. `cut` closes connections at once. `swallow`
closes them only when the server has answered once more, and keeps that answer: a COMMIT is done and nobody hears of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

_BLOCK: Final = 1 << 16
_SOCKET: Final = ".s.PGSQL.5432"
_T = TypeVar("_T")


class _Pair:
    """One connection of the product's and ours to the server for it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.swallows = False

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(RuntimeError, OSError):
                end.transport.abort()


class Relay:
    """Listens in `folder` as PostgreSQL would; the server's own folder is what the file `upstream` says."""

    def __init__(self, folder: Path, upstream: Path) -> None:
        self.folder = folder
        self._upstream = upstream
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._ask(asyncio.start_unix_server(self._serve, self.folder / _SOCKET))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self, share: float, rng: Random) -> int:
        """Closes that share of the connections; how many."""
        return self._ask(self._each(share, rng, swallow=False))

    def swallow(self, share: float, rng: Random) -> int:
        """The next answer on that share of the connections is their last, and is not passed on."""
        return self._ask(self._each(share, rng, swallow=True))

    def forgive(self) -> None:
        """What was to be swallowed and has not come yet is passed on."""
        self._ask(self._forgive())

    def _ask(self, what: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        for pair in list(self._pairs):
            pair.close()
        await asyncio.sleep(0)

    async def _each(self, share: float, rng: Random, *, swallow: bool) -> int:
        chosen = [pair for pair in self._pairs if rng.random() < share]
        for pair in chosen:
            if swallow:
                pair.swallows = True
            else:
                pair.close()
        return len(chosen)

    async def _forgive(self) -> None:
        for pair in self._pairs:
            pair.swallows = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up = Path(self._upstream.read_text()) / _SOCKET
            server_reader, server_writer = await asyncio.open_unix_connection(up)
        except OSError:  # the server is away, as for whoever asks it directly
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, server_writer), self._answer(server_reader, pair))
        finally:
            pair.close()
            self._pairs.discard(pair)

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await reader.read(_BLOCK):
                writer.write(block)
                await writer.drain()
        writer.transport.abort()

    @staticmethod
    async def _answer(reader: asyncio.StreamReader, pair: _Pair) -> None:
        with suppress(OSError):
            while block := await reader.read(_BLOCK):
                if pair.swallows:
                    break
                pair.client.write(block)
                await pair.client.drain()
        pair.close()
