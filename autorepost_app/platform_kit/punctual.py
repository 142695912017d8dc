"""How does an exchange end when its time is up, however slowly the other side takes it or answers?

httpx bounds each read and each write on its own, so an answer that comes byte by byte never ends. Within an `Exchange`
every operation of this thread on a connection of `PunctualTransport` gets only the time that is left of the whole.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from autorepost_app.platform_kit.proxies import Proxy, ProxyFailure, open_tunnel


class Exchange:
    """One request with its answer. `check` is called once, right before its first byte goes out, and may refuse it."""

    def __init__(self, seconds: float, check: Callable[[], None]) -> None:
        self._ends = time.monotonic() + seconds
        self._check = check
        self._has_begun = False

    def left(self, wanted: float | None, late: type[httpcore.TimeoutException]) -> float:
        """`wanted`, or what is left where that is less. Raises `late` when nothing is."""
        seconds = self._ends - time.monotonic()
        if seconds <= 0:
            raise late("the time for the whole exchange is over")
        return seconds if wanted is None else min(wanted, seconds)

    def begin(self) -> None:
        """Before every write. What is refused here has sent nothing, though connecting took all the time there was."""
        if not self._has_begun:
            self.left(None, httpcore.ConnectTimeout)
            self._check()
            self._has_begun = True


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange(seconds: float, check: Callable[[], None]) -> Iterator[None]:
    """What this thread sends within the block ends after `seconds`, all in all."""
    token = _current.set(Exchange(seconds, check))
    try:
        yield
    finally:
        _current.reset(token)


def _left(wanted: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    running = _current.get()
    return running.left(wanted, late) if running else wanted


class PunctualTransport(httpx.HTTPTransport):
    """httpx's own, over connections that keep to the running exchange. No retries: they would be out of our sight.

    `proxy_for` says by which proxy a host is reached.
    """

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, proxy_for: Callable[[str], Proxy | None] = lambda _: None
    ) -> None:
        super().__init__(verify=verify)
        # httpcore offers a backend of one's own, httpx passes none on: its pool is replaced before it is used
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            retries=0,
            network_backend=_Backend(proxy_for),
        )


class _Backend(httpcore.SyncBackend):
    def __init__(self, proxy_for: Callable[[str], Proxy | None]) -> None:
        self._proxy_for = proxy_for

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        proxy = self._proxy_for(host)
        if proxy is not None:
            return _Stream(self._through(proxy, host, port, timeout))
        seconds = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, seconds, local_address, socket_options))

    def _through(self, proxy: Proxy, host: str, port: int, timeout: float | None) -> httpcore.NetworkStream:
        """Not yet within a `_Stream`: what the proxy is told is not the exchange's first byte."""
        try:
            stream = super().connect_tcp(proxy.host, proxy.port, _left(timeout, httpcore.ConnectTimeout))
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise ProxyFailure(f"the proxy {proxy.name} cannot be reached: {error}") from error
        try:
            open_tunnel(stream, proxy, host, port, lambda late: _left(timeout, late))
        except BaseException:
            stream.close()
            raise
        return stream


class _Stream(httpcore.NetworkStream):
    """A connection whose operations end with the exchange. After it has ended, none begins."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        running = _current.get()
        if running is None:
            self._stream.write(buffer, timeout)
        else:
            self._write_in_time(running, memoryview(buffer), timeout)

    def _write_in_time(self, running: Exchange, rest: memoryview, timeout: float | None) -> None:
        running.begin()
        socket = self._stream.get_extra_info("socket")
        while rest:
            try:
                socket.settimeout(running.left(timeout, httpcore.WriteTimeout))
                rest = rest[socket.send(rest) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
