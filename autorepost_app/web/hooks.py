"""Where do platforms call us, and where does a person read what became of a request to delete everything?

    POST /webhooks/<platform>[/<path>]              a hook of the platform's manifest
    GET  /webhooks/<platform>/deletion/<code>       how such a request stands

Whoever calls has proven nothing yet: a body is read up to a size and for a while, and what is not genuine is told
nothing.
"""

from __future__ import annotations

import logging
from html import escape
from typing import Final

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.platform_kit.protocol import Hook, NotGenuine
from autorepost_app.services import notices
from autorepost_app.services.house import House
from autorepost_app.services.notices import Deletion, Received

PREFIX: Final = "/webhooks"
BODY_BYTES: Final = 64 * 1024
"""Far more than any of them sends: TikTok and Meta write a few hundred bytes."""
_BODY_SECONDS: Final = 10.0
_BARE: Final = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'"}
_SCOPE: Final = SystemScope("webhook")
_LOG: Final = logging.getLogger(__name__)


def hook_routes(house: House) -> list[Route]:
    async def call(request: Request) -> Response:
        platform, path = request.path_params["platform"], request.path_params.get("path", "")
        hook = notices.hook_at(house, platform, path)
        if hook is None:
            raise HTTPException(404)
        if request.method != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        body = await _body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await run_in_threadpool(_take, house, platform, hook, headers, body)

    async def deletion(request: Request) -> Response:
        platform, code = request.path_params["platform"], request.path_params["code"]
        found = await run_in_threadpool(notices.deletion, house, _SCOPE, platform, code)
        if found is None:
            return PlainTextResponse("There is no such request.\n", status_code=404)
        return HTMLResponse(_page(found), headers=_BARE)

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [
        Route(PREFIX + "/{platform}/deletion/{code}", deletion, methods=["GET"]),
        Route(PREFIX + "/{platform}", call, methods=methods),
        Route(PREFIX + "/{platform}/{path:path}", call, methods=methods),
    ]


async def _body(request: Request) -> bytes:
    """The whole body. Raises HTTPException where it is too long or too slow."""
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES:
                    raise HTTPException(413)
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408) from None
    return bytes(body)


def _take(house: House, platform: str, hook: Hook, headers: dict[str, str], body: bytes) -> Response:
    try:
        received = notices.receive(house, _SCOPE, platform, hook, headers, body)
    except NotGenuine as fault:
        _LOG.warning("refused a call to the webhook %s/%s: %s", platform, hook.path, fault)
        return Response(status_code=401)
    except UserError as error:
        _LOG.error("a call to the webhook %s/%s cannot be proven: %s", platform, hook.path, error)
        return Response(status_code=503)
    return _answer(house, platform, received)


def _answer(house: House, platform: str, received: Received) -> Response:
    if received.code is None:
        return Response(status_code=200)
    url = f"{house.links.base_url}{PREFIX}/{platform}/deletion/{received.code}"
    return JSONResponse({"url": url, "confirmation_code": received.code})


def _page(found: Deletion) -> str:
    name, when = escape(found.platform_name), found.received_at.strftime("%d %B %Y, %H:%M UTC")
    told = f"<p>{name} told us on {when} that you want everything about you deleted.</p>"
    if found.worked_at is None:
        rest = "<p>This has <strong>not been done yet</strong>. It is waiting its turn; look here again later.</p>"
    else:
        done = found.worked_at.strftime("%d %B %Y, %H:%M UTC")
        rest = f"<p>It was dealt with on {done}.</p><p>{escape(found.outcome)}</p>"
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="robots" content="noindex">'
    return f"{head}<title>Your request</title><h1>Your request</h1>{told}{rest}</html>\n"
