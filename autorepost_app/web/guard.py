"""Who may talk to this process at all?

Until somebody can sign in, the answer is: browsers on this machine, from our own pages. A foreign `Host` (a rebound
name), a cross-site request that changes something and a websocket from another origin are refused. Dagster's web server
executes mutations that come in an address or in a plain form post; it is sent neither, whoever asks.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_NAVIGATION: Final = frozenset({"same-origin", "none", "same-site", "cross-site"})
_NOTHING: Final = urlsplit("")


class Guard:
    """Outermost but for the headers. `hosts` are the names this process answers to, without ports.

    `graphql_prefix` is where Dagster is; `probes` answer under any name, because a load balancer asks by address.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], graphql_prefix: str, probes: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._graphql_prefix = graphql_prefix
        self._probes = probes

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
        if scope["type"] == "http" and scope["path"] in self._probes and scope["method"] in _SAFE:
            return True
        host = headers.get("host", "")
        origin = headers.get("origin")
        if _parts(f"//{host}").hostname not in self._hosts:
            return False
        if origin is not None and _parts(origin).netloc != host:
            return False
        return origin is not None if scope["type"] == "websocket" else self._admits_request(scope, headers)

    def _admits_request(self, scope: Scope, headers: Headers) -> bool:
        """A link in a mail counts as `none`, so a query in an address is refused whoever follows it."""
        site = headers.get("sec-fetch-site", "none")
        changes = scope["method"] not in _SAFE
        if not (scope["path"].startswith(self._graphql_prefix) and scope["path"].rstrip("/").endswith("/graphql")):
            return site in (_OWN if changes else _NAVIGATION)
        in_address = "query" in QueryParams(scope["query_string"])
        plain = changes and not headers.get("content-type", "").startswith("application/json")
        return site in _OWN and not in_address and not plain


def _parts(url: str) -> SplitResult:
    """Of no address at all, nothing."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname else _NOTHING
    except ValueError:
        return _NOTHING
