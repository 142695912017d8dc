"""What may a request do on its way out, and what does a connection that breaks prove? (exactly-once section 3, R2)"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.http import Api, describe, new_client, without_secrets
from autorepost_app.platform_kit.protocol import NotDone, SendTooLate, Unknown
from autorepost_app.platform_kit.punctual import PunctualTransport, exchange

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


def test_a_call_that_takes_its_time_is_given_its_own() -> None:
    wire = Wire()
    wire.api.call("PUT", "/file", timeout_seconds=300.0)
    wire.api.call("GET", "/me")
    given, usual = (request.extensions["timeout"] for request in wire.sent)
    assert given == {"connect": 10.0, "pool": 300.0, "read": 300.0, "write": 300.0}
    assert usual["read"] == wire.api.client.timeout.read != 300.0


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


# ------------------------------------------------------------------------------------- an exchange ends when it must

DROP_SECONDS = 0.02
Drop = Callable[[], bool]
Behave = Callable[[socket.socket, Drop], None]


@contextmanager
def peer(behave: Behave) -> Iterator[str]:
    """One connection to a platform that behaves like this; between two drops it asks whether to go on.

    It goes on for five seconds, so that a client that waits for the end is seen to do so.
    """
    over = threading.Event()
    until = time.monotonic() + 5

    def serve() -> None:
        with closing(listening.accept()[0]) as connection, suppress(OSError):
            behave(connection, lambda: time.monotonic() < until and not over.wait(DROP_SECONDS))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


def dripping(beginning: bytes) -> Behave:
    def drip(connection: socket.socket, goes_on: Drop) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        while goes_on():
            connection.sendall(b"x")

    return drip


def sipping(connection: socket.socket, goes_on: Drop) -> None:
    """Takes the request as slowly as it can."""
    while goes_on():
        connection.recv(8192)


def send_to(url: str, window: Any, content: Any = b"") -> Any:
    with new_client(30.0) as client:
        api = Api(client, url, "There")
        return api.commit(client.build_request("POST", api.url("/posts"), content=content), window)


def in_portions() -> Iterator[bytes]:
    for _ in range(512):
        yield bytes(65536)


@pytest.mark.parametrize(
    ("behave", "content"),
    [
        (dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "), b""),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), b""),
        (sipping, bytes(32 << 20)),
        (sipping, in_portions()),
    ],
    ids=["headers", "body", "request", "request in portions"],
)
def test_an_exchange_that_drips_ends_with_its_window_and_nobody_knows(behave: Behave, content: Any) -> None:
    with peer(behave) as url:
        began = time.monotonic()
        outcome = send_to(url, Window(timeout_seconds=0.2), content)
        took = time.monotonic() - began
    assert isinstance(outcome, Unknown)
    assert took < 2, "each drop is within its own time; all of them are not"


def test_a_file_that_comes_too_slowly_from_our_store_leaves_it_open_what_was_seen() -> None:
    def stalling() -> Iterator[bytes]:
        yield b"first"
        time.sleep(0.15)
        yield b"second"

    with peer(sipping) as url:
        assert isinstance(send_to(url, Window(timeout_seconds=0.1), stalling()), Unknown)


def never_answering(connection: socket.socket, goes_on: Drop) -> None:
    connection.recv(65536)
    while goes_on():
        """Nothing is said."""


def test_no_single_step_may_take_longer_than_what_is_left_of_the_whole() -> None:
    with peer(never_answering) as url, new_client(30.0) as client:
        began = time.monotonic()
        with exchange(0.2, lambda: None), pytest.raises(httpx.ReadTimeout):
            client.get(url)
        assert time.monotonic() - began < 2, "a step by itself would be given half a minute"


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side and a client's side of TLS that trust each other for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    certificate = made.add_extension(here, critical=False).sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(secret + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize("slow", ["headers", "request"])
def test_an_exchange_ends_with_its_window_behind_encryption_too(
    encrypted: tuple[ssl.SSLContext, ssl.SSLContext], slow: str
) -> None:
    server, trusting = encrypted
    inside, content = {
        "headers": (dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "), b""),
        "request": (sipping, bytes(32 << 20)),
    }[slow]

    def behave(connection: socket.socket, goes_on: Drop) -> None:
        with server.wrap_socket(connection, server_side=True) as wrapped:
            inside(wrapped, goes_on)

    with peer(behave) as url, httpx.Client(transport=PunctualTransport(trusting, httpx.Limits())) as client:
        api = Api(client, url.replace("http:", "https:"), "There")
        began = time.monotonic()
        outcome = api.commit(client.build_request("POST", api.url("/posts"), content=content), Window(False, 0.5))
        took = time.monotonic() - began
    assert isinstance(outcome, Unknown)
    assert took < 2.5


@dataclass
class ClosingWindow:
    """A window that closes while the connection is made."""

    timeout_seconds: float = 7.0
    looks: int = 0

    def check(self) -> None:
        self.looks += 1
        if self.looks > 1:
            raise SendTooLate


def test_a_window_that_closes_while_we_connect_lets_no_byte_out() -> None:
    came = []
    with peer(lambda connection, _: came.append(connection.recv(1))) as url:
        outcome = send_to(url, ClosingWindow())
    assert isinstance(outcome, NotDone)
    assert came == [b""]


def test_time_that_is_over_before_the_first_byte_proves_that_nothing_was_sent() -> None:
    with peer(lambda *_: None) as url:
        outcome = send_to(url, Window(timeout_seconds=0.0))
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
            """The peer waits for one connection, and got none."""
    assert isinstance(outcome, NotDone)


def test_an_exchange_leaves_no_limit_behind_for_the_next_call() -> None:
    def answer(connection: socket.socket, _: Drop) -> None:
        for _ in range(2):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with peer(answer) as url, new_client(5.0) as client:
        api = Api(client, url, "There")
        first = api.commit(client.build_request("POST", api.url("/posts")), Window(timeout_seconds=0.3))
        time.sleep(0.3)
        assert isinstance(first, httpx.Response)
        assert api.call("GET", "/me").text == "ok", "over the connection that the exchange had used"


@pytest.mark.parametrize(
    "text",
    [
        f"https://there/x?access_token={SECRET}&a=1",
        f"https://there/x?a=1&CODE={SECRET}",
        f'{{"refresh_token": "{SECRET}", "ok": true}}',
        f'{{"client_secret":"{SECRET}"}}',
        f'{{"ok": true, "access_token": "{SECRET}',
        f"Authorization: Bearer {SECRET}",
        f"OAuth {SECRET}",
        f"https://bucket/clip.mp4?X-Amz-Signature={SECRET}",
        f"https://there/upload?upload_id={SECRET}",
        f"code_verifier={SECRET}&grant_type=authorization_code",
        f"https://there/x?fb_exchange_token={SECRET}&input_token={SECRET}&appsecret_proof={SECRET}",
        f'{{"id_token": "{SECRET}", "signature": "{SECRET}"}}',
        f"Authorization: Basic {SECRET}",
        json.dumps({"detail": json.dumps({"access_token": SECRET, "ok": True})}),
        json.dumps({"detail": json.dumps({"detail": json.dumps({"refresh_token": f"a/{SECRET}"})})}),
        json.dumps({"detail": json.dumps({"token": SECRET})})[:-6],
    ],
)
def test_what_is_told_to_operators_holds_no_secret(text: str) -> None:
    told = without_secrets(text)
    assert SECRET not in told
    assert "[removed]" in told


def test_what_is_told_to_operators_is_of_a_readable_length() -> None:
    assert len(without_secrets("x" * 1_000_000)) == 2000
