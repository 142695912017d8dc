"""What can the sandbox be steered with? The list of all controls, at `/_sandbox/`."""

from collections.abc import Iterable
from html import escape
from inspect import getdoc
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from autorepost_app.sandbox import pages

ROOT = "/_sandbox"


def contents(routes: Iterable[BaseRoute]) -> list[Route]:
    """Drawn from the routes themselves, so that a platform's own controls are in it."""
    offers = sorted(
        (_offer(method, route) for route in routes if isinstance(route, Route) for method in _methods(route)),
        key=lambda offer: (offer["path"].count("/"), offer["path"]),
    )

    async def answer(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_page(offers))
        return JSONResponse({"controls": offers})

    return [Route(ROOT + end, answer) for end in ("", "/")]


def _methods(route: Route) -> set[str]:
    return (route.methods or set()) - {"HEAD"}


def _offer(method: str, route: Route) -> dict[str, Any]:
    said = (getdoc(route.endpoint) or route.endpoint.__name__.strip("_").replace("_", " ")).partition("\n")[0]
    return {"method": method, "path": route.path, "what": said}


def _page(offers: list[dict[str, Any]]) -> str:
    rows = "".join(f"<li>{_linked(offer)}<br><small>{escape(offer['what'])}</small></li>" for offer in offers)
    return pages.frame("Controls", f"<h1>What the sandbox can be steered with</h1><ul>{rows}</ul>")


def _linked(offer: dict[str, Any]) -> str:
    """What can be looked at by itself is a link."""
    path = escape(offer["path"])
    if offer["method"] == "GET" and "{" not in path:
        path = f'<a href="{path}">{path}</a>'
    return f"{offer['method']} {path}"
