"""How does an answer fail to arrive? Real resets and real hang-ups, on the socket under one request."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_KEY = "sandbox.transport"


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol with one addition: an application can reach the transport it is answering on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        served: Callable[..., Any] = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_KEY] = self.transport
            await served(scope, receive, send)

        self.app = app


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][_KEY]
    return transport


async def _until_gone(receive: Receive) -> None:
    # uvicorn would still answer 500 for us unless it has noticed that nobody is there any more.
    while (await receive())["type"] != "http.disconnect":
        pass


def abort(scope: Scope) -> None:
    """RST: the other side reads ECONNRESET, whatever was on the way is gone."""
    transport = _transport(scope)
    with contextlib.suppress(OSError):
        # Lingering for zero seconds is what turns a close into a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def reset(scope: Scope, receive: Receive) -> None:
    abort(scope)
    await _until_gone(receive)


async def hang_up(scope: Scope, receive: Receive) -> None:
    """FIN after what was written: the other side sees an answer that ends too early."""
    _transport(scope).close()
    await _until_gone(receive)


def cut_body(receive: Receive, after_bytes: int, cut: Callable[[], None]) -> Receive:
    """Hands on `after_bytes` of the request body, then cuts the connection as a lost network does."""
    left = after_bytes

    async def receive_some() -> Message:
        nonlocal left
        if left <= 0:
            cut()
            return {"type": "http.disconnect"}
        message = await receive()
        body = message.get("body", b"")
        if len(body) <= left:
            left -= len(body)
            return message
        message = {"type": "http.request", "body": body[:left], "more_body": True}
        left = 0
        return message

    return receive_some
