"""Which addresses does the web process answer itself?"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from autorepost_app.services.house import House
from autorepost_app.services.links import PATH, TRIAL, LinkRefused, SignedLinks
from autorepost_app.web import hooks, metrics
from autorepost_app.web.throttle import Throttle

PROBES: Final = frozenset({"/healthz", "/readyz"})
PREFIXES: Final = (*sorted(PROBES), PATH, hooks.PREFIX, metrics.PATH)
START_HEADER: Final = "Autorepost-Start"
_VIDEO: Final = "video/mp4"
_PATIENCE_SECONDS: Final = 5.0
PER_LINK: Final = 600
PER_ADDRESS: Final = 1200
"""A minute. A platform that fetches the largest file in pieces of a megabyte asks 300 times."""
_PRIVATE: Final = {"Cache-Control": "private, no-store"}
"""A shared cache would hand the file out after the link has run out."""


def own_app(house: House, links: SignedLinks, start_mark: str = "") -> Starlette:
    """Health, metrics, signed media and webhooks, below `PREFIXES`. It grows with the API and can be served alone.

    `start_mark` is what whoever started this process knows it by.
    """
    # a dependency that hangs may hold these threads, and no others
    threads = anyio.CapacityLimiter(2)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        parts = {
            "database": await _works(house.db.ping, threads),
            "store": await _works(lambda: house.store.head("ready"), threads),
        }
        status = 200 if all(word == "ready" for word in parts.values()) else 503
        return JSONResponse(parts, status, headers=_given_back(request, start_mark))

    by_address, by_link = (Throttle(most, lambda: house.clock().timestamp()) for most in (PER_ADDRESS, PER_LINK))

    async def media(request: Request) -> Response:
        signed, address = request.path_params["signed"], request.client.host if request.client else ""
        if wait := by_address.wait_seconds(address):
            return _too_often(wait)
        try:
            key = links.key_of(signed)
        except LinkRefused as refused:
            return PlainTextResponse(f"This link has {refused}.\n", status_code=403)
        if wait := by_link.wait_seconds(signed):
            return _too_often(wait)
        if key == TRIAL:
            return PlainTextResponse(links.trial_answer(), headers=_PRIVATE)
        return await run_in_threadpool(_file, house, key, request.method == "HEAD")

    house_metrics = metrics.Metrics(house)

    async def measured(_request: Request) -> Response:
        return Response(await run_in_threadpool(house_metrics.page), media_type=metrics.MEDIA_TYPE)

    routes = [
        Route("/healthz", healthz),
        Route(metrics.PATH, measured),
        Route("/readyz", readyz),
        Route(PATH + "{signed}", media, methods=["GET", "HEAD"]),
        *hooks.hook_routes(house),
    ]
    return Starlette(routes=routes)


def _given_back(request: Request, start_mark: str) -> dict[str, str]:
    """Who asks with the mark of this start is told that it is right; who does not know it learns nothing."""
    asked = request.headers.get(START_HEADER, "")
    known = bool(start_mark) and hmac.compare_digest(asked.encode(), start_mark.encode())
    return {START_HEADER: asked} if known else {}


async def _works(check: Callable[[], object], threads: anyio.CapacityLimiter) -> str:
    """`ready`, or the kind of error: its text may hold an address."""
    try:
        with anyio.fail_after(_PATIENCE_SECONDS):
            await run_sync(check, abandon_on_cancel=True, limiter=threads)
    except Exception as error:  # any failure of a dependency is an answer here, not a fault of ours
        return type(error).__name__
    return "ready"


def _too_often(wait_seconds: float) -> Response:
    after = {"Retry-After": str(math.ceil(wait_seconds))}
    return PlainTextResponse("This was asked for too often; come back a little later.\n", 429, headers=after)


def _file(house: House, key: str, head_only: bool) -> Response:
    """The stored file; byte ranges only where it lies in a folder, which is all that a platform's fetcher asks for."""
    try:
        found = house.store.head(key)
    except ValueError:  # a key that nothing is ever kept under: upward, absolute, hidden
        found = None
    if found is None:
        return PlainTextResponse("There is no such file.\n", status_code=404)
    path = house.store.local_path(key)
    if path is not None:
        return FileResponse(path, media_type=_VIDEO, headers=_PRIVATE)
    modified_at = format_datetime(found.modified_at or datetime.now(UTC))
    headers = {**_PRIVATE, "Content-Length": str(found.size_bytes), "Last-Modified": modified_at}
    if head_only:
        return Response(media_type=_VIDEO, headers=headers)
    return StreamingResponse(house.store.stream(key), media_type=_VIDEO, headers=headers)
