"""Who may talk to this process at all?

Until somebody can sign in, the answer is: browsers on this machine, from our own pages. A foreign `Host` (a rebound
name), a cross-site request that changes something and a websocket from another origin are refused. Dagster's web server
executes mutations by GET and by plain form posts, so under its prefix every cross-site request is refused.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_NAVIGATION: Final = frozenset({"same-origin", "none", "same-site", "cross-site"})


class Guard:
    """Outermost middleware. `hosts` are the names this process answers to, without ports."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], strict_prefix: str) -> None:
        self._app = app
        self._hosts = hosts
        self._strict_prefix = strict_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._admits(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403})
        else:
            response = PlainTextResponse("This request came from another site and was refused.\n", status_code=403)
            await response(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self._hosts:
            return False
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        if scope["type"] == "websocket":
            return origin is not None
        site = headers.get("sec-fetch-site", "none")
        strict = scope["path"].startswith(self._strict_prefix) and scope["path"].endswith("/graphql")
        return site in (_OWN if strict or scope["method"] not in _SAFE else _NAVIGATION)
