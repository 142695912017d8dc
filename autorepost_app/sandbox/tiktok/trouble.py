"""What does a video's page look like on a bad day? Each trouble by its name."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.platform import Ask

COOKIE = "_wafchallengeid"
_SOLUTION = b"4711"
_PREFIX = b"sandbox"


def broken_page(ask: Ask) -> Response:
    """The waiting page of a soft block, without the puzzle that it should carry."""
    return HTMLResponse(pages.plain_page("TikTok", "Please wait...", ""))


def strange_page(ask: Ask) -> Response:
    """A page of which nobody knows what it wants."""
    return HTMLResponse(pages.plain_page("TikTok", "Make your day", ""))


def other_layout(ask: Ask) -> Response:
    """The page after TikTok rebuilt it: it plays its video, and what programs read in it is gone."""
    file = f"{ask.url.path.rstrip('/')}/download.mp4"
    page = HTMLResponse(f'<title>TikTok</title><video src="{file}" autoplay muted playsinline></video>')
    page.set_cookie("tt_chain_token", "sandbox", httponly=True)
    return page


def login_wall(ask: Ask) -> Response:
    host = ask.url.path.partition("/@")[0]
    return RedirectResponse(f"{host}/login?redirect_url=%2F", 302)


def challenge(ask: Ask) -> Response | None:
    """The puzzle, until it comes back solved; then the page."""
    return None if _solved(ask) else _puzzle(_SOLUTION)


def hard_challenge(ask: Ask) -> Response:
    """A puzzle whose answer is none of the numbers that are tried."""
    return _puzzle(b"no number")


def empty_after_challenge(ask: Ask) -> Response:
    """The puzzle; and behind it, a page without what it should carry."""
    return strange_page(ask) if _solved(ask) else _puzzle(_SOLUTION)


def not_shown_here(ask: Ask) -> Response:
    """The page denies a post that is there, as it does to some regions."""
    return Response("<html>Not Found</html>", 404, media_type="text/html")


PAGES: dict[str, Callable[[Ask], Response | None]] = {
    answer.__name__: answer
    for answer in (
        broken_page,
        strange_page,
        other_layout,
        login_wall,
        challenge,
        hard_challenge,
        empty_after_challenge,
        not_shown_here,
    )
}
"""The troubles that take the place of the page. None: it is shown after all."""


def _puzzle(solution: bytes) -> Response:
    wanted = hashlib.sha256(_PREFIX + solution).digest()
    puzzle = {"v": {"a": base64.b64encode(_PREFIX).decode(), "c": base64.b64encode(wanted).decode()}}
    mark = base64.b64encode(json.dumps(puzzle).encode()).decode().rstrip("=")
    body = f'Please wait...<p id="cs" class="{mark}"></p><p id="wci" class="{COOKIE}"></p><script>{_SOLVER}</script>'
    return HTMLResponse(body)


def _solved(ask: Ask) -> bool:
    try:
        shown: dict[str, Any] = json.loads(base64.b64decode(ask.cookies.get(COOKIE, "")))
        return base64.b64decode(shown["d"]) == _SOLUTION
    except (ValueError, KeyError, TypeError):
        return False


_SOLVER = f"""
(async () => {{
  const puzzle = JSON.parse(atob(document.getElementById("cs").className));
  const text = new TextEncoder();
  for (let number = 0; number < 1e5; number++) {{
    const tried = new Uint8Array(await crypto.subtle.digest("SHA-256", text.encode(atob(puzzle.v.a) + number)));
    if (btoa(String.fromCharCode(...tried)) !== puzzle.v.c) continue;
    document.cookie = "{COOKIE}=" + btoa(JSON.stringify({{...puzzle, d: btoa(String(number))}})) + "; path=/";
    return location.reload();
  }}
}})();
"""
"""What the real page does in a browser: tries numbers, shows the cookie, loads itself again."""
