"""How does a post's file come off TikTok's page when we cannot read it? A browser plays it, and what it plays is kept.

Run by `fetch.py` as `python -I browser_child.py '<job as JSON>'`, and speaks as `ytdlp_child.py` does. Chromium is led
over two pipes (DevTools protocol, one JSON object a message, each ended by a zero byte): no port that others on this
machine could use, and no library between.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import select
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

_ANSWER_SECONDS: Final = 20.0
"""A browser that is silent for longer has hung [U]."""

_FLAGS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-background-networking",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
)
_COMMANDS_FD, _ANSWERS_FD = 3, 4
"""Where Chromium expects the two pipes."""

_CHUNK_BYTES: Final = 1 << 20
_START_BYTES: Final = 10_000
_PAGE: Final = """(() => {
  const detail = JSON.parse(document.getElementById("__UNIVERSAL_DATA_FOR_REHYDRATION__").textContent)
    ["__DEFAULT_SCOPE__"]["webapp.video-detail"];
  const item = detail.itemInfo?.itemStruct;
  return {status: detail.statusCode, caption: item?.desc, hidden: !item?.video && !!item?.isContentClassified};
})()"""

_DENIED: Final = "You do not have permission to view this post"
_BY_STATUS: Final[Mapping[int, str]] = {
    10216: _DENIED,
    10222: _DENIED,
    10204: "Your IP address is blocked from accessing this post",
}
"""The page's own codes in yt-dlp's words, so that one table reads both."""


@dataclass(frozen=True, slots=True)
class Job:
    page_url: str
    target: str
    file_bytes: int
    see_seconds: float
    only_start: bool
    browser: str
    profile: str


class Refused(Exception):
    """Why there is no file; errors.py reads its text."""


class OurParentIsGone(SystemExit):
    """Nobody waits for the file any more."""


class Browser:
    """One headless Chromium with one page."""

    def __init__(self, binary: str, profile: str) -> None:
        theirs_in, self._commands = _pipe()
        self._answers, theirs_out = _pipe()
        quiet = os.open(os.devnull, os.O_RDWR)
        ends = ((theirs_in, _COMMANDS_FD), (theirs_out, _ANSWERS_FD), (quiet, 0), (quiet, 1), (quiet, 2))
        # Chromium keeps its own walls around a page, but not for root, who has to do without.
        unwalled = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments = [binary, *_FLAGS, *unwalled, f"--user-data-dir={profile}", "about:blank"]
        actions = [(os.POSIX_SPAWN_DUP2, ours, end) for ours, end in ends]
        os.posix_spawn(binary, arguments, os.environ, file_actions=actions)
        for end in (theirs_in, theirs_out, quiet):
            os.close(end)
        self._numbers = itertools.count(1)
        self._heard = b""
        self._events: list[dict[str, Any]] = []
        self._session: dict[str, str] = {}
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]}

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, **self._session}
        try:
            os.write(self._commands, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise Refused("The browser has ended") from None
        while True:
            said = self._next(time.monotonic() + _ANSWER_SECONDS)
            if said is None:
                raise Refused("The browser does not answer")
            if said.get("id") != number:
                self._events.append(said)
            elif "error" in said:
                raise Refused(f"The browser refuses {method}: {said['error'].get('message')}")
            else:
                return dict(said["result"])

    def events(self, until: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens on the page, as it happens."""
        while True:
            said = self._events.pop(0) if self._events else self._next(until)
            if said is None:
                return
            if "method" in said:
                yield said["method"], said["params"]

    def _next(self, until: float) -> dict[str, Any] | None:
        while b"\0" not in self._heard:
            ready, _, _ = select.select([0, self._answers], [], [], max(0.0, until - time.monotonic()))
            if 0 in ready:
                raise OurParentIsGone(1)
            more = os.read(self._answers, _CHUNK_BYTES) if ready else b""
            if not more:
                return None
            self._heard += more
        message, _, self._heard = self._heard.partition(b"\0")
        return dict(json.loads(message))


def _pipe() -> tuple[int, int]:
    """Reading and writing end, out of the way of the numbers that Chromium expects."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def fetch(job: Job) -> dict[str, Any]:
    browser = Browser(job.browser, job.profile)
    agent = browser.call("Browser.getVersion")["userAgent"]
    # Headless Chromium says so, and pages that keep programs out ask for no more.
    browser.call("Network.setUserAgentOverride", userAgent=agent.replace("Headless", ""))
    browser.call("Fetch.enable", patterns=[{"resourceType": "Media", "requestStage": "Response"}])
    browser.call("Page.enable")
    if failure := browser.call("Page.navigate", url=job.page_url).get("errorText"):
        raise Refused(f"The browser cannot reach the page: {failure}")
    played = _played(browser, job)
    page = _page(browser)
    _keep(browser, played, job)
    return {"full_caption": page.get("caption"), "format_id": "played"}


def _played(browser: Browser, job: Job) -> dict[str, Any]:
    """The answer with the file that the page plays, held at its first byte."""
    for event, happened in browser.events(time.monotonic() + job.see_seconds):
        if event == "Page.loadEventFired":
            _check(_page(browser))
        if event == "Fetch.requestPaused":
            if _is_whole(happened) and _may_keep(happened["request"]["url"], job.page_url):
                _check(_page(browser))
                return happened
            browser.call("Fetch.continueRequest", requestId=happened["requestId"])
    raise Refused("The browser plays nothing")


def _page(browser: Browser) -> dict[str, Any]:
    """What the page says of itself; nothing where it is laid out in a way that we do not know."""
    path = browser.call("Runtime.evaluate", expression="location.pathname", returnByValue=True)["result"].get("value")
    said = browser.call("Runtime.evaluate", expression=_PAGE, returnByValue=True)["result"].get("value")
    return {"path": path, **(said if isinstance(said, dict) else {})}


def _check(page: Mapping[str, Any]) -> None:
    status = page.get("status") or 0
    if str(page["path"]).rstrip("/").endswith("/login"):
        raise Refused("TikTok is requiring login for access to this content")
    if page.get("hidden"):
        raise Refused("This post may not be comfortable for some audiences. Log in for access")
    if status:
        raise Refused(_BY_STATUS.get(status, f"Video not available, status code {status}"))


def _headers(answer: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"].lower(): each["value"] for each in answer.get("responseHeaders") or ()}


def _is_whole(answer: Mapping[str, Any]) -> bool:
    """A player asks for the whole file first, and for parts of it later."""
    headers, status = _headers(answer), answer.get("responseStatusCode")
    if status == 206:
        part, _, size = headers.get("content-range", "").removeprefix("bytes ").partition("/")
        return size.isdecimal() and part == f"0-{int(size) - 1}"
    return status == 200 and headers.get("content-type", "").startswith("video/")


def _may_keep(file_url: str, page_url: str) -> bool:
    """From elsewhere only over TLS, which no address inside our network has for a name of the world."""
    file, page = urlsplit(file_url), urlsplit(page_url)
    return file.hostname == page.hostname or file.scheme == "https"


def _keep(browser: Browser, played: Mapping[str, Any], job: Job) -> None:
    said_size = _headers(played).get("content-length", "")
    total = int(said_size) if said_size.isdecimal() else None
    handle = browser.call("Fetch.takeResponseBodyAsStream", requestId=played["requestId"])["stream"]
    part = Path(f"{job.target}.part")
    with part.open("wb") as file:
        done = _copy(browser, handle, file, total, job)
    if total is not None and done != total and not job.only_start:
        raise Refused("content too short")
    part.replace(job.target)


def _copy(browser: Browser, handle: str, file: BinaryIO, total: int | None, job: Job) -> int:
    done = 0
    while True:
        block = browser.call("IO.read", handle=handle, size=_CHUNK_BYTES)
        done += file.write(b64decode(block["data"]) if block.get("base64Encoded") else block["data"].encode())
        if job.only_start and done >= _START_BYTES:
            return done
        if max(done, total or 0) > job.file_bytes:
            raise Refused(f"Larger than {job.file_bytes} bytes")
        say({"progress": [done, total]})
        if block["eof"]:
            return done


def say(news: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def main() -> None:
    try:
        say({"fetched": fetch(Job(**json.loads(sys.argv[1])))})
    except Refused as refusal:
        say({"failed": {"text": str(refusal)}})
    except Exception as error:
        say({"failed": {"text": f"{type(error).__name__}: {error}"}})


if __name__ == "__main__":
    main()
