"""A sandbox YouTube over real HTTP, a connected channel, and files to send."""

import hashlib
import json
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import googleapiclient.discovery_cache.documents
import httpx
import pytest

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import (
    Allowance,
    AppCredentials,
    Connectable,
    Delivery,
    Done,
    Grant,
    Live,
    NotReady,
    Parts,
    PostText,
    Reach,
    SendTooLate,
    Staged,
    TokenSet,
)
from autorepost_app.platforms.youtube import PLATFORM
from autorepost_app.platforms.youtube.destination import YouTubeDestination
from autorepost_app.sandbox.server import SandboxServer

MEDIA = Path(__file__).parents[2] / "media"
CALLBACK = "http://127.0.0.1:8080/oauth/youtube/callback"
MARKER = "ar-7f3a9c1e5b"


@dataclass
class FileOnDisk:
    """A rendition, read from a plain file."""

    path: Path
    facts: MediaFacts
    reads: list[tuple[int, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        content = self.path.read_bytes()
        self.size_bytes, self.sha256 = len(content), hashlib.sha256(content).hexdigest()

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        self.reads.append((offset, length))
        left = self.size_bytes - offset if length is None else length
        with self.path.open("rb") as file:
            file.seek(offset)
            while left and (block := file.read(min(chunk_bytes, left))):
                left -= len(block)
                yield block

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("YouTube never fetches")


@dataclass
class PictureInMemory:
    content: bytes

    def read(self) -> bytes:
        return self.content

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("YouTube never fetches")


@dataclass
class Window:
    timeout_seconds: float = 10.0
    closed: bool = False

    def check(self) -> None:
        if self.closed:
            raise SendTooLate


class Control:
    """The sandbox's control API, as far as these tests need it."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.client = httpx.Client(base_url=sandbox.base_url, timeout=10.0)
        self.base_url, self.hosts, self.apps = sandbox.base_url, sandbox.hosts, sandbox.apps

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        response = self.client.request(method, f"/_sandbox{path}", json=body)
        assert response.is_success, response.text
        return response.json()

    def account(self, handle: str, **options: Any) -> dict[str, Any]:
        body = {"platform": "youtube", "handle": handle, "name": "Ada Bakes", **options}
        return dict(self._json("POST", "/accounts", body))

    def allow(self, url: str, account: str, **decision: Any) -> dict[str, str]:
        """The person's answer on the consent page; returns what the callback's query holds."""
        body = {"authorize_url": url, "account": account, **decision}
        return dict(parse_qsl(urlsplit(self._json("POST", "/consent", body)["redirect_to"]).query))

    def fault(self, call: str, fault: str, **more: Any) -> None:
        self._json("POST", "/faults", {"platform": "youtube", "call": call, "fault": fault, **more})

    def heal(self) -> None:
        self._json("DELETE", "/faults")

    def disconnect(self, handle: str) -> None:
        self._json("DELETE", f"/accounts/youtube/{handle}/grants")

    def advance(self, seconds: float) -> None:
        self._json("PUT", "/clock", {"advance_seconds": seconds})

    def settings(self, **changes: Any) -> None:
        self._json("PUT", "/settings", {"youtube": changes})

    def upload(self, title: str, **more: Any) -> str:
        """The owner uploads something in YouTube's own app."""
        return str(self._json("POST", "/youtube/accounts/ada/videos", {"title": title, **more})["id"])

    def playlist(self, title: str, handle: str = "ada") -> str:
        return str(self._json("POST", f"/youtube/accounts/{handle}/playlists", {"title": title})["id"])

    def entries(self) -> list[str]:
        """The videos in playlists of the owner's own, in order."""
        return [entry["video_id"] for entry in self._json("GET", "/youtube/accounts/ada/playlists")["entries"]]

    def refusals(self) -> dict[str, dict[str, Any]]:
        """Every documented refusal by reason, as parameters of the fault `error`."""
        return dict(self._json("GET", "/youtube/refusals"))

    def live(self) -> list[dict[str, Any]]:
        return list(self._json("GET", "/ledger?platform=youtube")["posts"])

    def until_live(self) -> dict[str, Any]:
        """Waits for one live video: what the sandbox does late, it does by itself."""
        for _ in range(500):
            if live := self.live():
                return live[0]
            threading.Event().wait(0.01)
        raise AssertionError("nothing became live")

    def calls(self) -> list[str]:
        return [entry["call"] for entry in self._json("GET", "/requests?platform=youtube")]


@dataclass
class Wire:
    """Everything that left the house, and every reservation made for it, in order. Refuses calls named in `full`."""

    log: list[Any] = field(default_factory=list)
    settled: list[tuple[str, str, Allowance]] = field(default_factory=list)
    full: dict[str, PlatformFault] = field(default_factory=dict)

    def reserve(self, call: str, account: str = "") -> None:
        if call in self.full:
            raise self.full[call]
        self.log.append((call, account))

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        self.settled.append((quota, account, told))

    def sent(self, request: httpx.Request) -> None:
        self.log.append(request)

    @property
    def requests(self) -> list[httpx.Request]:
        return [entry for entry in self.log if isinstance(entry, httpx.Request)]

    @property
    def reserved(self) -> list[tuple[str, str]]:
        return [entry for entry in self.log if isinstance(entry, tuple)]


@dataclass
class Channel:
    """A connected channel, and the steps of a publication with its handles kept as the product keeps them."""

    destination: YouTubeDestination
    grant: Grant
    delivery: Delivery
    control: Control
    handles: dict[str, str] = field(default_factory=dict)
    kept: list[dict[str, str]] = field(default_factory=list)
    video: str = ""

    def keep(self, handles: Any) -> None:
        self.kept.append(dict(handles))
        self.handles.update(handles)

    def stage_once(self) -> Staged | NotReady | Live:
        return self.destination.stage(self.delivery, dict(self.handles), self.keep)

    def stage(self) -> Staged | Live:
        for _ in range(100):
            answer = self.stage_once()
            if not isinstance(answer, NotReady):
                return answer
        raise AssertionError("never staged")

    def commit(self, window: Window | None = None) -> Any:
        self.delivery = replace(self.delivery, first_sent_at=self.delivery.first_sent_at or utc_now())
        return self.destination.commit(self.delivery, dict(self.handles), window or Window())

    def check(self) -> Any:
        return self.destination.check(self.delivery, dict(self.handles))

    def find(self) -> Any:
        return self.destination.find(self.delivery, dict(self.handles))

    def publish(self) -> str:
        """Everything up to the answer that it is live; returns the video's id."""
        self.stage()
        outcome = self.commit()
        assert isinstance(outcome, Done)
        return outcome.external_id

    def finish(self, video_id: str, cover: bytes | None = None) -> tuple[str, ...]:
        delivery = replace(self.delivery, cover=PictureInMemory(cover)) if cover is not None else self.delivery
        return self.destination.finish(delivery, dict(self.handles), video_id)

    def choose(self, **options: object) -> None:
        self.delivery = replace(self.delivery, options={**self.delivery.options, **options})

    def later(self, seconds: float) -> None:
        """Time passes, for YouTube and for us."""
        self.control.advance(seconds)
        clock = self.destination.clock
        self.destination = replace(self.destination, clock=lambda: clock() + timedelta(seconds=seconds))


@pytest.fixture(scope="session")
def discovery() -> dict[str, Any]:
    """Google's own description of the API, as its client library ships it (Apache-2.0)."""
    folder = Path(next(iter(googleapiclient.discovery_cache.documents.__path__)))
    return dict(json.loads((folder / "youtube.v3.json").read_text()))


@pytest.fixture(scope="session")
def _stopping() -> Iterator[list[threading.Thread]]:
    """Servers that are being stopped: it takes each 0.2 s, in which the next test can run."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join()


@pytest.fixture
def sandbox(_stopping: list[threading.Thread]) -> Iterator[SandboxServer]:
    server = SandboxServer().start()
    yield server
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    _stopping.append(stopping)


@pytest.fixture
def control(sandbox: SandboxServer) -> Iterator[Control]:
    control = Control(sandbox)
    yield control
    control.client.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def reach(control: Control, wire: Wire) -> Reach:
    urls = {"WWW": f"{control.base_url}/youtube-www"}
    for name, url in control.hosts.items():
        if name.startswith("YOUTUBE_"):
            urls[name.removeprefix("YOUTUBE_").removesuffix("_URL")] = url
    app = AppCredentials(control.apps["YOUTUBE_CLIENT_ID"], control.apps["YOUTUBE_CLIENT_SECRET"])
    return Reach(urls=urls, app=app, clock=utc_now, meter=wire)


@pytest.fixture
def parts(reach: Reach, wire: Wire) -> Iterator[Parts]:
    parts = PLATFORM.build(reach)
    parts.authoriser.oauth_api.client.event_hooks = {"request": [wire.sent]}
    yield parts
    parts.close()


@pytest.fixture
def connect(parts: Parts, control: Control) -> Callable[..., Connectable]:
    """Walks a person through consent: `connect("ada", deny_scopes=[...])`."""

    def connect(handle: str, login: str = "default", **decision: Any) -> Connectable:
        return parts.authoriser.accounts(login=login, tokens=sign_in(handle, login, **decision))[0]

    def sign_in(handle: str, login: str, **decision: Any) -> TokenSet:
        consent = parts.authoriser.consent(login=login, redirect_uri=CALLBACK, state="st-1")
        query = control.allow(consent.url, handle, **decision)
        return parts.authoriser.exchange(
            login=login, redirect_uri=CALLBACK, code=query["code"], verifier=consent.verifier
        )

    return connect


@pytest.fixture
def window() -> type[Window]:
    return Window


@pytest.fixture
def small_file() -> FileOnDisk:
    """127 KiB: the whole file is the last part."""
    facts = MediaFacts("mp4", 130_399, 7.0, 1080, 1920, 30.0, "h264")
    return FileOnDisk(MEDIA / "gradio_a_1080p30.mp4", facts)


@pytest.fixture
def big_file(tmp_path: Path) -> FileOnDisk:
    """A real clip of 1 MB, made 3.5 MB by a box that players skip: thirteen full parts and a rest."""
    clip = (MEDIA / "bigbuckbunny_720p25_5.1ch.mp4").read_bytes()
    filler = random.Random(7).randbytes(2_500_000)
    path = tmp_path / "big.mp4"
    path.write_bytes(clip + struct.pack(">I4s", len(filler) + 8, b"free") + filler)
    return FileOnDisk(path, MediaFacts("mp4", path.stat().st_size, 5.3, 1280, 720, 25.0, "h264"))


@pytest.fixture
def channel(parts: Parts, control: Control, connect: Callable[..., Connectable], small_file: FileOnDisk) -> Channel:
    control.account("ada")
    return channel_of(connect("ada"), parts, control, small_file)


@pytest.fixture
def playlist_channel(
    parts: Parts, control: Control, connect: Callable[..., Connectable], small_file: FileOnDisk
) -> Channel:
    """A channel whose owner lets us manage playlists as well."""
    control.account("ada")
    return channel_of(connect("ada", login="playlists"), parts, control, small_file)


def channel_of(connected: Connectable, parts: Parts, control: Control, media: FileOnDisk) -> Channel:
    grant = Grant(connected.account, connected.tokens.access_token, connected.tokens.scopes)
    delivery = Delivery(
        publication_id="pub-1",
        marker=MARKER,
        grant=grant,
        text=PostText(body="Sunday bread, with 🥖 and love", title="Sunday bread", tags=("bread", "slow food")),
        media=media,
    )
    destination = parts.destination
    assert isinstance(destination, YouTubeDestination)
    return Channel(destination, grant, delivery, control)


@pytest.fixture
def big_channel(channel: Channel, big_file: FileOnDisk) -> Channel:
    """The same with a file of several parts, sent one part a request and one request a call."""
    channel.delivery = replace(channel.delivery, media=big_file)
    channel.destination = replace(channel.destination, portion_bytes=262_144 * 4, portion_seconds=0.0)
    return channel


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
