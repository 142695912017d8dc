"""By which proxy does a request leave, and what has the platform seen when it fails? Against real local proxies."""

from __future__ import annotations

import datetime as dt
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from autorepost_app.domain.errors import PlatformFault
from autorepost_app.platform_kit import http, proxies
from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import NotDone, SendTooLate, Unknown
from autorepost_app.platform_kit.proxies import ProxyFailure, chosen

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
REAL = "api.platform.example"
"""A host that nothing but a proxy can find."""


@dataclass
class Window:
    """Open for so many looks."""

    timeout_seconds: float = 5.0
    looks: int = 10

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise SendTooLate


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# ------------------------------------------------------------------------------------------------- platform and proxy


@dataclass
class Platform:
    """Takes posts; `seen` are their paths."""

    port: int
    seen: list[str] = field(default_factory=list)


@contextmanager
def platform(tls: ssl.SSLContext | None = None) -> Iterator[Platform]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            running.seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """It is quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        running = Platform(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield running
        server.shutdown()
        thread.join()


@dataclass
class Proxy:
    """Opens a tunnel to `to_port` whatever the name, or answers as a test wants. `asked` are the requests' heads."""

    to_port: int
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    asked: list[str] = field(default_factory=list)
    url: str = ""
    threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection = listening.accept()[0]
                self.threads.append(threading.Thread(target=self.tunnel, args=(connection,)))
                self.threads[-1].start()

    def tunnel(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            self.asked.append(head.decode())
            connection.sendall(self.answer)
            if b" 200 " in self.answer:
                with socket.create_connection(("127.0.0.1", self.to_port)) as there:
                    relay(connection, there)


def relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            if not (received := ready.recv(65536)):
                return
            (other if ready is one else one).sendall(received)


@contextmanager
def proxy(to_port: int, **more: Any) -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = Proxy(to_port, **more)
        running.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=running.serve, args=(listening,))
        thread.start()
        try:
            yield running
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for each in (thread, *running.threads):
                each.join(5)


def post(base_url: str, window: Window | None = None) -> Any:
    with new_client(5.0) as client:
        api = Api(client, base_url, "There")
        return api.commit(client.build_request("POST", api.url("/posts"), content=b"clip"), window or Window())


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """What a server needs to be the real host, to a client that trusts this very certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, REAL)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(REAL)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "there.pem", serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    http.tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    yield context
    http.tls.cache_clear()


# ------------------------------------------------------------------------------------------------------- the way out


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_real_host_is_reached_through_the_proxy_and_keeps_its_own_certificate(
    monkeypatch: pytest.MonkeyPatch, certified: ssl.SSLContext, name: str
) -> None:
    with platform(certified) as there, proxy(there.port) as between:
        monkeypatch.setenv(name, between.url)
        answer = post(f"https://{REAL}")
    assert isinstance(answer, httpx.Response)
    assert (answer.text, there.seen) == ("ok", ["/posts"])
    assert [head.partition("\r\n")[0] for head in between.asked] == [f"CONNECT {REAL}:443 HTTP/1.1"]


def test_a_plain_address_is_tunnelled_too_so_that_nobody_answers_in_its_stead(monkeypatch: pytest.MonkeyPatch) -> None:
    with platform() as there, proxy(there.port) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert post(f"http://{REAL}:8080").text == "ok"
    assert between.asked[0].startswith(f"CONNECT {REAL}:8080 HTTP/1.1\r\n")
    assert there.seen == ["/posts"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_runs_on_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with platform() as there, proxy(there.port) as between:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, between.url)
        assert post(f"http://{host}:{there.port}").text == "ok"
    assert between.asked == []


def test_a_proxy_that_wants_a_name_gets_it_and_nobody_reads_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with platform() as there, proxy(there.port) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url.replace("//", "//mia:s3cr%40t@"))
        assert post(f"http://{REAL}").text == "ok"
    assert "Proxy-Authorization: Basic bWlhOnMzY3JAdA==\r\n" in between.asked[0]
    monkeypatch.setenv("HTTP_PROXY", "http://mia:s3cr%40t@127.0.0.1:1")
    assert "bWlh" not in repr(chosen()("http", REAL))


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_direct"),
    [
        ("", "api.x.com", False),
        ("*", "api.x.com", True),
        ("x.com", "api.x.com", True),
        (".x.com", "api.x.com", True),
        ("*.x.com", "API.X.com", True),
        ("x.com", "notx.com", False),
        ("intra, 10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        (" , ,", "api.x.com", False),
        ("", "127.8.9.1", True),
        ("", "::1", True),
        ("", "app.localhost", True),
        ("", "localhost.example", False),
    ],
)
def test_hosts_that_are_reached_without(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, host: str, is_direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = chosen()("https", host)
    assert found == (None if is_direct else proxies.Proxy("proxy.example", 3128))
    assert chosen()("http", host) is None, "no name says so for plain addresses"


@pytest.mark.parametrize("url", ["socks5://proxy.example", "https://proxy.example", "http://proxy.example:many"])
def test_a_proxy_that_we_do_not_speak_is_no_reason_to_go_without(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ProxyFailure, match="the proxy of this machine"):
        chosen()("https", REAL)
    outcome = post(f"https://{REAL}")
    assert isinstance(outcome, NotDone)


# ----------------------------------------------------------------------------------- what the platform can have seen


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refuses the way to api.platform.example (407)"),
        (b"HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n", "refuses the way to api.platform.example (503)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "is no HTTP proxy"),
        (b"", "is no HTTP proxy"),
    ],
)
def test_a_proxy_that_refuses_proves_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    with proxy(0, answer=answer) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        outcome = post(f"http://{REAL}")
        with new_client(5.0) as client, pytest.raises(PlatformFault) as caught:
            Api(client, f"http://{REAL}", "There").call("GET", "/me")
    assert isinstance(outcome, NotDone)
    assert words in outcome.verdict.detail
    assert words in caught.value.verdict.detail


def test_a_proxy_that_is_down_is_named_and_proves_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://mia:s3cret@127.0.0.1:{port}")
    outcome = post(f"http://{REAL}")
    assert isinstance(outcome, NotDone)
    assert f"the proxy 127.0.0.1:{port} cannot be reached" in outcome.verdict.detail
    assert "s3cret" not in outcome.verdict.detail


def test_a_proxy_that_keeps_us_waiting_ends_with_the_window_and_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        outcome = post(f"http://{REAL}", Window(timeout_seconds=0.2))
    assert isinstance(outcome, NotDone)
    assert "takes too long" in outcome.verdict.detail


def test_a_window_that_closes_while_the_tunnel_is_opened_lets_no_byte_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proxy was told is not the exchange's first byte: the window is looked at once more behind it."""
    with platform() as there, proxy(there.port) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        outcome = post(f"http://{REAL}", Window(looks=1))
    assert isinstance(outcome, NotDone)
    assert len(between.asked) == 1
    assert there.seen == []


def test_a_tunnel_that_breaks_behind_the_request_leaves_it_open_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_and_leave(listening: socket.socket) -> None:
        with closing(listening.accept()[0]) as connection:
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take_and_leave, args=(listening,))
        thread.start()
        with proxy(listening.getsockname()[1]) as between:
            monkeypatch.setenv("HTTP_PROXY", between.url)
            outcome = post(f"http://{REAL}")
        thread.join()
    assert isinstance(outcome, Unknown)
