"""What is a browser told with every answer? Not to guess types, not to frame us, and what a page may load.

Dagster sends a policy of its own with its pages; where two policies meet, a browser holds to both.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NO_FRAMES: Final = "frame-ancestors 'none'"
_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Outermost middleware. `own_policy` are the prefixes below which pages bring a content policy of their own."""

    def __init__(self, app: ASGIApp, *, page_policy: str, own_policy: tuple[str, ...]) -> None:
        self._app = app
        self._page_policy = page_policy
        self._own_policy = own_policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(scope["path"], MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    def _add(self, path: str, headers: MutableHeaders) -> None:
        for name, value in _ALWAYS.items():
            headers.setdefault(name, value)
        policy = _NO_FRAMES if path.startswith(self._own_policy) else self._page_policy
        headers.append("Content-Security-Policy", policy)


def page_policy(index: Path) -> str:
    """For pages built on that HTML file: only our own origin, and only the scripts the file itself holds.

    Streamlit styles its elements with inline styles and shows pictures it holds as `data:` and `blob:`.
    """
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(["script-src 'self'", *_hashes(index)]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            _NO_FRAMES,
        )
    )


def _hashes(index: Path) -> list[str]:
    scripts = _INLINE_SCRIPT.findall(index.read_bytes())
    return [f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in scripts]
