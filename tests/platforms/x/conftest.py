"""A sandbox X over real HTTP, a connected account, and a clip to post."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import (
    AppCredentials,
    Connectable,
    Delivery,
    Destination,
    Grant,
    Parts,
    PostText,
    Reach,
    SendTooLate,
    Staged,
    TokenSet,
)
from autorepost_app.platforms.x import PLATFORM
from autorepost_app.sandbox.server import SandboxServer

MEDIA = Path(__file__).parents[2] / "media"
CALLBACK = "http://127.0.0.1:8080/oauth/x/callback"


class Killed(Exception):
    """The worker dies here."""


@dataclass
class FileOnDisk:
    """A rendition, read from a plain file."""

    path: Path
    facts: MediaFacts

    def __post_init__(self) -> None:
        content = self.path.read_bytes()
        self.size_bytes, self.sha256 = len(content), hashlib.sha256(content).hexdigest()

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        left = self.size_bytes - offset if length is None else length
        assert offset + left <= self.size_bytes, "a store refuses a range beyond the end"
        with self.path.open("rb") as file:
            file.seek(offset)
            while left and (block := file.read(min(chunk_bytes, left))):
                left -= len(block)
                yield block

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("X never fetches")


@dataclass
class Window:
    timeout_seconds: float = 10.0
    closed: bool = False

    def check(self) -> None:
        if self.closed:
            raise SendTooLate


class Control:
    """The sandbox's control API, as far as these tests need it, and the one clock of sandbox and client."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.client = httpx.Client(base_url=sandbox.base_url, timeout=10.0)
        self.base_url, self.hosts, self.apps = sandbox.base_url, sandbox.hosts, sandbox.apps
        self._ahead = timedelta()

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        response = self.client.request(method, f"/_sandbox{path}", json=body)
        assert response.is_success, response.text
        return response.json()

    def account(self, handle: str, **options: Any) -> dict[str, Any]:
        return dict(self._json("POST", "/accounts", {"platform": "x", "handle": handle, "name": "Ada", **options}))

    def allow(self, url: str, account: str, **decision: Any) -> dict[str, str]:
        """The person's answer on the consent page; returns what the callback's query holds."""
        body = {"authorize_url": url, "account": account, **decision}
        return dict(parse_qsl(urlsplit(self._json("POST", "/consent", body)["redirect_to"]).query))

    def fault(self, call: str, fault: str, **more: Any) -> None:
        self._json("POST", "/faults", {"platform": "x", "call": call, "fault": fault, **more})

    def heal(self) -> None:
        self._json("DELETE", "/faults")

    def disconnect(self, handle: str) -> None:
        self._json("DELETE", f"/accounts/x/{handle}/grants")

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        self._json("PUT", "/clock", {"advance_seconds": seconds})
        self._ahead += timedelta(seconds=seconds)

    def settings(self, **changes: Any) -> None:
        self._json("PUT", "/settings", {"x": changes})

    def live(self) -> list[dict[str, Any]]:
        return list(self._json("GET", "/ledger?platform=x")["posts"])

    def requests(self) -> list[dict[str, Any]]:
        return list(self._json("GET", "/requests?platform=x"))

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.requests() if entry["call"] == name]


@dataclass
class Publication:
    """One publication on its way, with its handles kept as the product keeps them."""

    destination: Destination
    delivery: Delivery
    control: Control
    connected: Connectable
    handles: dict[str, str] = field(default_factory=dict)
    dies_at: int | None = None
    kept: int = 0
    reports: list[tuple[str, float]] = field(default_factory=list)

    def keep(self, handles: Any) -> None:
        """Stores, and then dies where the test says so: what is stored is all the next worker knows."""
        self.handles.update(handles)
        self.kept += 1
        if self.kept == self.dies_at:
            raise Killed

    def stage_once(self) -> Any:
        return self.destination.stage(self.delivery, dict(self.handles), self.keep)

    def stage(self) -> None:
        """Looks again as often as it is told to, with the clock moved instead of waiting."""
        while not isinstance(step := self.stage_once(), Staged):
            self.control.advance(step.after_seconds)

    def stage_as_if_killed_after(self, kept: int) -> bool:
        """Whether the worker died, which it does right after the handles were kept for the `kept`th time."""
        self.dies_at = kept
        try:
            self.stage()
        except Killed:
            return True
        finally:
            self.dies_at = None
        return False

    def commit(self, **window: Any) -> Any:
        """With the delivery as it was staged: the time of its first send is known to what comes after."""
        staged = self.delivery
        self.delivery = replace(staged, first_sent_at=staged.first_sent_at or self.control.now())
        return self.destination.commit(staged, dict(self.handles), Window(**window))

    def check(self) -> Any:
        return self.destination.check(self.delivery, dict(self.handles))

    def find(self) -> Any:
        return self.destination.find(self.delivery, dict(self.handles))


@pytest.fixture
def control() -> Iterator[Control]:
    with SandboxServer() as sandbox:
        control = Control(sandbox)
        yield control
        control.client.close()


@pytest.fixture
def reach(control: Control) -> Reach:
    urls = {
        name.removeprefix("X_").removesuffix("_URL"): url for name, url in control.hosts.items() if name[:2] == "X_"
    }
    app = AppCredentials(control.apps["X_CLIENT_ID"], control.apps["X_CLIENT_SECRET"])
    return Reach(urls=urls, app=app, clock=control.now)


@pytest.fixture
def parts(reach: Reach) -> Iterator[Parts]:
    parts = PLATFORM.build(reach)
    yield parts
    parts.close()


@pytest.fixture
def sign_in(parts: Parts, control: Control) -> Callable[..., TokenSet]:
    """Walks a person through consent: `sign_in("ada", deny_scopes=[...])`."""

    def sign_in(handle: str, **decision: Any) -> TokenSet:
        consent = parts.authoriser.consent(login="default", redirect_uri=CALLBACK, state="st-1")
        code = control.allow(consent.url, handle, **decision)["code"]
        return parts.authoriser.exchange(login="default", redirect_uri=CALLBACK, code=code, verifier=consent.verifier)

    return sign_in


@pytest.fixture
def connect(parts: Parts, control: Control, sign_in: Callable[..., TokenSet]) -> Callable[..., Connectable]:
    """Opens an account and connects it."""

    def connect(handle: str, **options: Any) -> Connectable:
        control.account(handle, **options)
        (connected,) = parts.authoriser.accounts(login="default", tokens=sign_in(handle))
        return connected

    return connect


@pytest.fixture
def clip() -> FileOnDisk:
    return FileOnDisk(MEDIA / "gradio_a_1080p30.mp4", MediaFacts("mp4", 130_399, 3.0, 1080, 1920, 30.0, "h264"))


@pytest.fixture
def longer_clip() -> FileOnDisk:
    """Just over a megabyte: two segments."""
    facts = MediaFacts("mp4", 1_055_736, 5.3, 1280, 720, 25.0, "h264")
    return FileOnDisk(MEDIA / "bigbuckbunny_720p25_5.1ch.mp4", facts)


@pytest.fixture
def publish(
    parts: Parts, control: Control, connect: Callable[..., Connectable], clip: FileOnDisk
) -> Callable[..., Publication]:
    """A publication about to start: `publish(media=..., options=..., text=...)`."""

    def publish(
        media: FileOnDisk = clip, text: str = "Sunday bread, with 🥖 and love", handle: str = "ada", **options: Any
    ) -> Publication:
        connected = connect(handle)
        grant = Grant(connected.account, connected.tokens.access_token, connected.tokens.scopes)
        assert parts.destination is not None
        publication = Publication(
            parts.destination, Delivery("pub-1", "", grant, PostText(text), media, options), control, connected
        )
        report = lambda step, fraction: publication.reports.append((step, fraction))  # noqa: E731
        publication.delivery = replace(publication.delivery, report=report)
        return publication

    return publish


@pytest.fixture
def publication(publish: Callable[..., Publication]) -> Publication:
    return publish()


@pytest.fixture
def staged(publication: Publication) -> Publication:
    publication.stage()
    return publication
