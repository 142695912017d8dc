"""How does a request leave the house, and what did its exchange prove?

Two ways out. `Api.call` is for everything that may be repeated: a broken connection becomes TryAgain. `Api.commit` is
for the one call that may publish: it is sent once, and a broken connection says whether the platform can have seen it
(exactly-once section 3). Neither retries; the caller's verdict decides.
"""

from __future__ import annotations

import functools
import logging
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from autorepost_app.domain.crash_points import AFTER_ANSWER, BEFORE_REQUEST, SEND, reached
from autorepost_app.domain.errors import OutcomeUnknown, PlatformFault, TryAgain
from autorepost_app.platform_kit import clocks, proxies
from autorepost_app.platform_kit.protocol import Meter, NotDone, SendTooLate, SendWindow, Unknown, Unmetered
from autorepost_app.platform_kit.punctual import PunctualTransport, exchange

# httpx logs whole addresses, and several platforms put tokens into theirs
logging.getLogger("httpx").setLevel(logging.WARNING)

_NOTHING_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
"""No byte of the request was accepted. Every other transport error leaves the outcome open."""

_REMOVED: Final = (
    r"access_token|refresh_token|id_token|client_secret|code_verifier|code|input_token|fb_exchange_token|token"
    r"|appsecret_proof|upload_id|X-Amz-Signature|sig|signature"
)
_IN_QUERY: Final = re.compile(rf"\b({_REMOVED})=[^&\s\"']+", re.IGNORECASE)
_IN_JSON: Final = re.compile(rf'(\\*"(?:{_REMOVED})\\*"\s*:\s*)\\*"(?:[^"\\]|\\+[^"\\])*(?:\\*"|\\*$)', re.IGNORECASE)
"""Also where it is a text within another JSON text, its quotes escaped."""
_IN_HEADER: Final = re.compile(r"\b(Bearer|OAuth|Basic)\s+[^\s\"',]+", re.IGNORECASE)
_DETAIL_CHARACTERS: Final = 2000


def without_secrets(text: str) -> str:
    """The text with the values of tokens, codes and signatures removed, cut to a readable length."""
    text = _IN_JSON.sub(r'\1"[removed]"', text)
    text = _IN_QUERY.sub(r"\1=[removed]", text)
    return _IN_HEADER.sub(r"\1 [removed]", text)[:_DETAIL_CHARACTERS]


def describe(response: httpx.Response) -> str:
    """One exchange for operators: method, path, status and what the body says, secrets removed."""
    request = response.request
    path = urlsplit(str(request.url)).path
    return without_secrets(f"{request.method} {path} -> {response.status_code} {response.text.strip()}")


def describe_lost(response: httpx.Response) -> str:
    """The same for an answer that is none. A page says who is in between; anything else may be half of an answer with a
    token in it."""
    if response.text.lstrip().startswith("<"):
        return describe(response)
    request, size = response.request, len(response.content)
    return f"{request.method} {request.url.path} -> {response.status_code}, {size} bytes that are no answer"


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body as a JSON object, or an empty one: edges of platforms answer with HTML or nothing."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@functools.cache
def tls() -> ssl.SSLContext:
    """One for all clients of a process: loading the authorities takes longer than most calls."""
    return httpx.create_ssl_context()


def new_client(timeout_seconds: float) -> httpx.Client:
    """One client a platform: no retries, no redirects (a redirect would carry a token elsewhere)."""
    limits, proxy_for = httpx.Limits(max_connections=64, max_keepalive_connections=16), proxies.chosen()
    ways = {
        f"{scheme}://": PunctualTransport(tls(), limits, functools.partial(proxy_for, scheme))
        for scheme in ("https", "http")
    }
    return httpx.Client(
        timeout=httpx.Timeout(timeout_seconds, connect=10.0),
        transport=ways["https://"],
        mounts={"http://": ways["http://"]},
        follow_redirects=False,
        headers={"User-Agent": "autorepost", "Accept": "application/json"},
    )


@dataclass(frozen=True, slots=True)
class Api:
    """One host of one platform. Paths are joined to its base address, which may have a path of its own."""

    client: httpx.Client
    base_url: str
    platform_name: str
    meter: Meter = field(default_factory=Unmetered)

    def url(self, path: str) -> str:
        return self.base_url.rstrip("/") + path

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        files: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
        timeout_seconds: float | None = None,
        counts: str = "",
        account: str = "",
    ) -> httpx.Response:
        """A repeatable call. `path` may also be a complete address that the platform gave us; `counts` is the name
        under which the platform's quotas know it, for `account`.

        Raises PlatformFault(TryAgain) when no complete answer came, PlatformFault(WaitUntil) when a limit is used up.
        """
        if counts:
            self.meter.reserve(counts, account)
        request = self.client.build_request(
            method,
            path if "://" in path else self.url(path),
            params=params,
            headers=headers,
            json=json,
            data=form,
            content=content,
            files=files,
            timeout=self.client.timeout if timeout_seconds is None else httpx.Timeout(timeout_seconds, connect=10.0),
        )
        name = counts or method
        reached(BEFORE_REQUEST, name)
        try:
            response = self.client.send(request, auth=auth)
            clocks.heard(self.platform_name, response.headers.get("Date"))
            reached(AFTER_ANSWER, name)
            return response
        except httpx.TransportError as error:
            raise PlatformFault(self._unreachable(error)) from error

    def commit(self, request: httpx.Request, window: SendWindow) -> httpx.Response | NotDone | Unknown:
        """Sends `request` once, inside its window. A response is not yet an outcome: the platform reads it.

        Connecting, sending and reading the whole answer end together when the window's time is up.
        """
        seconds = window.timeout_seconds
        request.extensions["timeout"] = httpx.Timeout(seconds, connect=5.0, pool=1.0).as_dict()
        try:
            window.check()
            reached(BEFORE_REQUEST, SEND)
            with exchange(seconds, window.check):
                response = self.client.send(request)
            reached(AFTER_ANSWER, SEND)
            return response
        except SendTooLate:
            return NotDone(TryAgain("We will try again in a moment.", "the send window had closed; nothing was sent"))
        except _NOTHING_SENT as error:
            return NotDone(self._unreachable(error))
        except httpx.TransportError as error:
            return Unknown(f"{self.platform_name} took the request and no answer came", type(error).__name__)

    def _unreachable(self, error: httpx.TransportError) -> TryAgain:
        return TryAgain(
            f"{self.platform_name} cannot be reached at the moment.",
            without_secrets(f"{type(error).__name__}: {error}"),
            "transport",
        )


def unclear(response: httpx.Response, platform_name: str) -> Unknown:
    """The default reading of any unlisted answer to a commit."""
    return Unknown(f"{platform_name} gave an answer that does not say whether the post is live", describe(response))


def unknown_verdict(unknown: Unknown, platform_name: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"Checking with {platform_name}", f"{unknown.reason}: {unknown.detail}", "unknown")
