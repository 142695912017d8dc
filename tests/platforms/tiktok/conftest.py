"""A sandbox TikTok, a creator on it, and a bare page server for what TikTok's pages do only on bad days."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.platform_kit.protocol import AppCredentials, Connectable, Grant, Parts, Reach, TokenSet
from autorepost_app.platforms.tiktok import PLATFORM
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

    def fault(self, call: str, fault: str, **params: Any) -> None:
        self.control("POST", "/faults", {"platform": "tiktok", "call": call, "fault": fault, **params})

    def settings(self, **changes: Any) -> None:
        self.control("PUT", "/settings", {"tiktok": changes})

    def asked(self) -> list[str]:
        return [entry["call"] for entry in self.control("GET", "/requests?platform=tiktok")]

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


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def reach(sandbox: SandboxServer) -> Reach:
    urls = {host.name: sandbox.hosts[f"TIKTOK_{host.name}_URL"] for host in PLATFORM.hosts}
    app = AppCredentials(sandbox.apps["TIKTOK_CLIENT_ID"], sandbox.apps["TIKTOK_CLIENT_SECRET"])
    return Reach(urls, app, utc_now, timeout_seconds=10.0)


@pytest.fixture
def tiktok(sandbox: SandboxServer, reach: Reach, request: pytest.FixtureRequest) -> Iterator[TikTokWorld]:
    parts = PLATFORM.build(reach)
    handle = f"anna.{abs(hash(request.node.nodeid)) % 10**9}"
    with httpx.Client() as http:
        world = TikTokWorld(sandbox, http, parts, handle)
        world.control("DELETE", "/faults")
        world.settings(token_profile="nov2026", oauth_error_status=400)
        world.control("POST", "/accounts", {"platform": "tiktok", "handle": handle, "name": "Anna"})
        yield world
        world.control("DELETE", "/faults")
    parts.close()


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
