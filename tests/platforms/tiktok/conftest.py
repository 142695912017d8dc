"""A sandbox TikTok, a creator on it, and a bare page server for what TikTok's pages do only on bad days."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yt_dlp import YoutubeDL
from yt_dlp.extractor.tiktok import TikTokUserIE

from autorepost_app.domain.clock import utc_now
from autorepost_app.platform_kit.http import new_client
from autorepost_app.platform_kit.protocol import AppCredentials, Connectable, Grant, Parts, Reach, TokenSet, Unmetered
from autorepost_app.platforms.tiktok import PLATFORM
from autorepost_app.platforms.tiktok.fetch import find_browser
from autorepost_app.platforms.tiktok.ytdlp_child import Quiet
from autorepost_app.sandbox.server import SandboxServer

REDIRECT = "http://127.0.0.1:8080/oauth/tiktok/callback"
MEDIA = Path(__file__).parents[2] / "media"


@dataclass
class TikTokWorld:
    """The sandbox as a test speaks of it."""

    server: SandboxServer
    http: httpx.Client
    parts: Parts
    handle: str

    @property
    def www_url(self) -> str:
        return self.server.hosts["TIKTOK_WWW_URL"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.server.base_url}/_sandbox{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def post(self, **fields: Any) -> dict[str, Any]:
        body = {"clip_path": str(MEDIA / "gradio_a_1080p30.mp4"), **fields}
        return dict(self.control("POST", f"/tiktok/accounts/{self.handle}/posts", body))

    def another(self, **options: Any) -> str:
        """The handle of one more creator."""
        handle = f"{self.handle}.{len(self.control('GET', '/accounts'))}"
        self.control("POST", "/accounts", {"platform": "tiktok", "handle": handle, **options})
        return handle

    def fault(self, call: str, fault: str, **params: Any) -> None:
        self.control("POST", "/faults", {"platform": "tiktok", "call": call, "fault": fault, **params})

    def settings(self, **changes: Any) -> None:
        self.control("PUT", "/settings", {"tiktok": changes})

    def requests(self) -> list[dict[str, Any]]:
        return list(self.control("GET", "/requests?platform=tiktok"))

    def asked(self) -> list[str]:
        return [entry["call"] for entry in self.requests()]

    def come_back(self, **decision: Any) -> dict[str, str]:
        """Sends the person to the consent page; the query they return with."""
        consent = self.parts.authoriser.consent(login="default", redirect_uri=REDIRECT, state="s-1")
        wanted = {"authorize_url": consent.url, "account": self.handle, **decision}
        back = urlsplit(self.control("POST", "/consent", wanted)["redirect_to"])
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def exchange(self, code: str) -> TokenSet:
        return self.parts.authoriser.exchange(login="default", redirect_uri=REDIRECT, code=code, verifier=None)

    def connect(self, **decision: Any) -> Connectable:
        tokens = self.exchange(self.come_back(**decision)["code"])
        [connectable] = self.parts.authoriser.accounts(login="default", tokens=tokens)
        return connectable

    def grant(self) -> Grant:
        connectable = self.connect()
        tokens = connectable.tokens
        return Grant(connectable.account, tokens.access_token, tokens.scopes)


@dataclass
class Described:
    """TikTok's API as its pages describe it (`openapi.json`): what may be asked, and what an answer looks like.

    The description is our own work from TikTok's public pages, CC0; TikTok publishes none for machines.
    """

    document: dict[str, Any]
    base_url: str
    asked: list[str] = field(default_factory=list)

    def operation(self, request: httpx.Request) -> dict[str, Any] | None:
        path = str(request.url).partition("?")[0].removeprefix(self.base_url)
        return self.document["paths"].get(path, {}).get(request.method.lower()) if path.startswith("/") else None

    def check_request(self, request: httpx.Request) -> None:
        if "/cover/" in request.url.path and not str(request.url).startswith(self.base_url):
            return  # a picture at an address that the API gave; it carries nothing of ours
        operation = self.operation(request)
        assert operation is not None, f"{request.method} {request.url.path} is not in TikTok's description"
        self.asked.append(operation["operationId"])
        query = dict(request.url.params)
        known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        needed = {each["name"] for each in operation.get("parameters", ()) if each.get("required")}
        assert needed <= query.keys() <= known, f"{request.url.path}?{sorted(query)}"
        if "security" in operation:
            assert re.fullmatch(r"Bearer act\.\S+", request.headers["Authorization"]), "no token of a person"
        if "requestBody" in operation:
            self._check_body(request, operation["requestBody"]["content"])

    def _check_body(self, request: httpx.Request, content: Mapping[str, Any]) -> None:
        [(kind, described)] = content.items()
        assert request.headers["Content-Type"].partition(";")[0] == kind
        form = kind == "application/x-www-form-urlencoded"
        text = request.content.decode()
        body = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True)) if form else json.loads(text)
        assert body.keys() <= described["schema"]["properties"].keys(), sorted(body)
        self._matches(body, described["schema"])

    def check_answer(self, response: httpx.Response) -> None:
        """The sandbox's own answers only: a fault may write what it likes, and carries no log id. Nothing describes
        how the token endpoint fails by itself."""
        if (
            "/cover/" in response.url.path
            or "x-tt-logid" not in response.headers
            or (response.is_server_error and "/oauth/" in response.url.path)
        ):
            return
        response.read()
        operation = self.operation(response.request)
        assert operation is not None
        answers = operation["responses"]
        described = answers.get(str(response.status_code), {}).get("content", {}).get("application/json")
        assert described, f"{response.request.url.path} never answers {response.status_code}"
        self._matches(response.json(), described["schema"])

    def _matches(self, thing: Any, schema: Mapping[str, Any]) -> None:
        jsonschema.Draft202012Validator({**schema, "components": self.document["components"]}).validate(thing)


class Counted(Unmetered):
    """Every call that was counted before it went out; a name that no rule knows is refused."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def reserve(self, call: str, account: str = "") -> None:
        assert any(call in rule.costs for rule in PLATFORM.quotas), f"no quota knows {call}"
        self.calls.append((call, account))


@pytest.fixture
def described(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Described:
    """Looks on at whatever a test makes our client say to the API."""
    document = json.loads(Path(__file__).with_name("openapi.json").read_text())
    seen = Described(document, sandbox.hosts["TIKTOK_API_URL"])

    def watched_client(timeout_seconds: float) -> httpx.Client:
        client = new_client(timeout_seconds)
        client.event_hooks = {"request": [seen.check_request], "response": [seen.check_answer]}
        return client

    monkeypatch.setattr("autorepost_app.platforms.tiktok.new_client", watched_client)
    return seen


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def meter() -> Counted:
    return Counted()


@pytest.fixture
def reach(sandbox: SandboxServer, described: Described, meter: Counted) -> Reach:
    urls = {host.name: sandbox.hosts[f"TIKTOK_{host.name}_URL"] for host in PLATFORM.hosts}
    app = AppCredentials(sandbox.apps["TIKTOK_CLIENT_ID"], sandbox.apps["TIKTOK_CLIENT_SECRET"])
    return Reach(urls, app, utc_now, meter, timeout_seconds=10.0)


@pytest.fixture
def tiktok(sandbox: SandboxServer, reach: Reach, request: pytest.FixtureRequest) -> Iterator[TikTokWorld]:
    parts = PLATFORM.build(reach)
    handle = f"anna.{abs(hash(request.node.nodeid)) % 10**9}"
    with httpx.Client() as http:
        world = TikTokWorld(sandbox, http, parts, handle)
        world.control("DELETE", "/faults")
        world.settings(
            token_profile="nov2026",
            client_type="web",
            oauth_error_status=400,
            page_trouble=None,
            profile_trouble=None,
            file_guard=False,
            webhook_url=None,
            calls_per_minute=600,
        )
        world.control("POST", "/accounts", {"platform": "tiktok", "handle": handle, "name": "Anna"})
        yield world
        world.control("DELETE", "/faults")
    parts.close()


@pytest.fixture(autouse=True)
def _no_browser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    """Whether somebody has Chromium on this machine changes no test but those that ask for it."""
    if not {"browser", "run_node"} & set(request.fixturenames):
        monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("bin")))


@pytest.fixture
def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium on the search path")
    return found


@dataclass
class PageServer:
    """Answers each path with what a test put there: a page's text, or a function that writes to the socket."""

    base_url: str
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)

    def put(self, path: str, body: bytes | str, status: int = 200, **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else body

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)

        self.answers[path] = answer

    def video(self, video: Mapping[str, Any], **item: Any) -> None:
        """The page of post 7, as TikTok fills it."""
        struct = {"id": "7", "desc": "", "author": {"uniqueId": "anna"}, "video": {"duration": 5, **video}, **item}
        self.put("/@anna/video/7", self.page({"statusCode": 0, "itemInfo": {"itemStruct": struct}}))

    @staticmethod
    def page(detail: Mapping[str, Any]) -> str:
        text = json.dumps({"__DEFAULT_SCOPE__": {"webapp.video-detail": detail}})
        return f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" type="application/json">{text}</script>'


@pytest.fixture
def pages() -> Iterator[PageServer]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = served.answers.get(self.path.partition("?")[0])
            if found is None:
                self.send_error(404)
            else:
                found(self)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        served = PageServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


REAL_WWW, REAL_CDN = "www.tiktok.com", "v16-webapp-prime.tiktok.com"


@dataclass
class RealHost:
    """The sandbox behind TikTok's real names: a proxy with an authority of its own answers for them over TLS."""

    www_url: str
    authority: Path
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"https_proxy": f"http://127.0.0.1:{self.port}", "SSL_CERT_FILE": str(self.authority), "no_proxy": ""}

    def answer(self, request: BaseHTTPRequestHandler, host: str) -> None:
        self.asked.append(host)
        kept = {name: text for name, text in request.headers.items() if name.lower() not in {"host", "connection"}}
        with httpx.Client(trust_env=False, timeout=20) as client:
            reply = client.get(self.www_url + request.path, headers=kept)
        request.send_response(reply.status_code)
        for name, text in reply.headers.items():
            if name in {"content-type", "content-range", "accept-ranges", "location"}:
                request.send_header(name, self._renamed(text))
            elif name == "set-cookie":
                request.send_header(name, f"{text}; Domain=.tiktok.com; Secure")
        body = reply.content if "video" in reply.headers.get("content-type", "") else self._renamed(reply.text).encode()
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body)

    def _renamed(self, text: str) -> str:
        """Files from TikTok's file servers, all else from its website, as on the real pages."""
        text = re.sub(re.escape(self.www_url) + r'(/@[^"\s]+?\.mp4)', rf"https://{REAL_CDN}\1", text)
        path = urlsplit(self.www_url).path
        text = text.replace(self.www_url, f"https://{REAL_WWW}")
        return text.removeprefix(path) if text.startswith(f"{path}/") else text


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate authority nobody else knows, and TLS in TikTok's name by it."""
    folder = tmp_path_factory.mktemp("authority")
    key, now = ec.generate_private_key(ec.SECP256R1()), utc_now()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    hosts = x509.SubjectAlternativeName([x509.DNSName(REAL_WWW), x509.DNSName(REAL_CDN)])
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "chain.pem").write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem")
    return folder / "ca.pem", context


@pytest.fixture
def real_host(
    sandbox: SandboxServer, authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealHost]:
    ca, context = authority
    host = RealHost(sandbox.hosts["TIKTOK_WWW_URL"], ca)

    class Tunnel(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            name = self.path.partition(":")[0]

            class Inside(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self) -> None:
                    host.answer(self, name)

                def log_message(self, *_: Any) -> None: ...

            with suppress(OSError), context.wrap_socket(self.connection, server_side=True) as inside:
                Inside(inside, self.client_address, self.server)
            self.close_connection = True

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as server:
        host.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        for setting, text in host.environ.items():
            monkeypatch.setenv(setting, text)
        yield host
        server.shutdown()
        thread.join()


@pytest.fixture
def read_profile(real_host: RealHost) -> Callable[[str], list[dict[str, Any]]]:
    """What the installed yt-dlp lists for the address of a profile; nothing of it is changed."""
    options = {"logger": Quiet(), "cachedir": False, "extract_flat": True, "compat_opts": {"no-certifi"}, "quiet": True}

    def read(url: str) -> list[dict[str, Any]]:
        with YoutubeDL(options, auto_init=False) as downloader:
            downloader.add_info_extractor(TikTokUserIE())
            return list(downloader.extract_info(url)["entries"])

    return read
