"""What may a request do on its way out, and what does a connection that breaks prove? (exactly-once section 3, R2)"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.http import Api, describe, new_client, without_secrets
from autorepost_app.platform_kit.protocol import NotDone, SendTooLate, Unknown

SECRET = "s3cr3t-t0ken"


@dataclass(frozen=True)
class Window:
    """A send window that is open, or closed."""

    closed: bool = False
    timeout_seconds: float = 7.0

    def check(self) -> None:
        if self.closed:
            raise SendTooLate


@dataclass
class Wire:
    """A transport that breaks with `error`, and counts what it was given."""

    error: type[httpx.TransportError] | None = None
    sent: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self.error is not None:
            raise self.error(f"broken at ?access_token={SECRET}", request=request)
        return httpx.Response(200, json={"id": "1"})

    @property
    def api(self) -> Api:
        return Api(httpx.Client(transport=httpx.MockTransport(self)), "https://api.example", "There")


def commit(wire: Wire, window: Window = Window()) -> Any:
    api = wire.api
    return api.commit(api.client.build_request("POST", api.url("/posts")), window)


NOTHING_SENT = {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol}


def _kinds(error: type[httpx.TransportError]) -> Iterator[type[httpx.TransportError]]:
    yield error
    for each in error.__subclasses__():
        yield from _kinds(each)


ALL = sorted(set(_kinds(httpx.TransportError)), key=lambda each: each.__name__)


@pytest.mark.parametrize("error", ALL, ids=lambda each: each.__name__)
def test_only_a_connection_that_never_came_about_proves_that_nothing_was_sent(
    error: type[httpx.TransportError],
) -> None:
    wire = Wire(error)
    outcome = commit(wire)
    assert type(outcome) is (NotDone if error in NOTHING_SENT else Unknown)
    assert len(wire.sent) == 1, "one socket write, no retry"
    assert SECRET not in str(outcome)


@pytest.mark.parametrize("error", ALL, ids=lambda each: each.__name__)
def test_a_repeatable_call_is_not_repeated_by_itself_and_says_no_secret(error: type[httpx.TransportError]) -> None:
    wire = Wire(error)
    with pytest.raises(PlatformFault) as caught:
        wire.api.call("GET", "/me")
    assert isinstance(caught.value.verdict, TryAgain)
    assert len(wire.sent) == 1
    assert SECRET not in caught.value.verdict.detail


def test_behind_a_closed_window_nothing_reaches_the_wire() -> None:
    wire = Wire()
    outcome = commit(wire, Window(closed=True))
    assert isinstance(outcome, NotDone)
    assert wire.sent == []


def test_an_exchange_gets_no_more_time_than_its_window_has() -> None:
    wire = Wire()
    commit(wire, Window(timeout_seconds=7.0))
    assert wire.sent[0].extensions["timeout"] == {"connect": 5.0, "pool": 1.0, "read": 7.0, "write": 7.0}


# ----------------------------------------------------------------------------------------------- the real client, live


@pytest.fixture
def server() -> Iterator[Callable[[], tuple[str, list[str]]]]:
    """A server that answers everything with a redirect to itself, and the paths that it was asked for."""
    asked: list[str] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield lambda: (f"http://127.0.0.1:{running.server_port}", asked)
        running.shutdown()


def test_a_token_follows_no_redirect_and_no_log_names_the_address(
    server: Callable[[], tuple[str, list[str]]], caplog: pytest.LogCaptureFixture
) -> None:
    base_url, asked = server()
    with caplog.at_level(logging.DEBUG), new_client(5.0) as client:
        api = Api(client, base_url, "There")
        answer = api.commit(client.build_request("POST", api.url(f"/posts?access_token={SECRET}")), Window())
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 307
    assert asked == [f"/posts?access_token={SECRET}"]
    assert SECRET not in caplog.text
    assert SECRET not in describe(answer)


def test_the_client_connects_once() -> None:
    """httpcore would try a refused connection again, `retries` times, out of our sight."""
    with new_client(5.0) as client:
        assert client._transport._pool._retries == 0  # type: ignore[attr-defined]
        assert not client.follow_redirects


@pytest.mark.parametrize(
    "text",
    [
        f"https://there/x?access_token={SECRET}&a=1",
        f"https://there/x?a=1&CODE={SECRET}",
        f'{{"refresh_token": "{SECRET}", "ok": true}}',
        f'{{"client_secret":"{SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"OAuth {SECRET}",
        f"https://bucket/clip.mp4?X-Amz-Signature={SECRET}",
        f"https://there/upload?upload_id={SECRET}",
    ],
)
def test_what_is_told_to_operators_holds_no_secret(text: str) -> None:
    told = without_secrets(text)
    assert SECRET not in told
    assert "[removed]" in told
