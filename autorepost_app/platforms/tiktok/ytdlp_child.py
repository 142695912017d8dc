"""How does one post's file come off TikTok's web page? By yt-dlp's own extractor, in a process of its own.

Run by `fetch.py` as `python -I ytdlp_child.py '<job as JSON>'`; imports nothing of ours, so that it starts fast. On its
standard output it says one JSON object a line: `{"progress": [done, total or null]}`, and last `{"fetched": {...}}` or
`{"failed": {...}}`.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.extractor.tiktok import TikTokIE
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError

_CLEAN: Final = "b[format_note!*=?watermarked]"
_H264: Final = "[vcodec^=h264]"

REAL_URL: Final = "https://www.tiktok.com"
_COOKIE_DOMAIN: Final = ".tiktok.com"
_RETRIES: Final = 3
_PROGRESS_EVERY_SECONDS: Final = 0.25
_UNPLAYABLE: Final = frozenset({"none", "bytevc2"})


@dataclass(frozen=True, slots=True)
class Job:
    """`www_url` is where TikTok's pages are; the rest says which post, and where its file goes."""

    www_url: str
    handle: str
    video_id: str
    target: str
    file_bytes: int
    timeout_seconds: float
    memory_bytes: int
    see_seconds: float
    only_start: bool

    @property
    def page_url(self) -> str:
        return f"{self.www_url}/@{self.handle}/video/{self.video_id}"


class Unusable(Exception):
    """Our own reason not to take the file; errors.py reads its text."""


class GuardedIE(TikTokIE):  # type: ignore[misc]  # yt-dlp is untyped
    """yt-dlp's own extractor; only, the page cannot make it ask addresses inside our network."""

    IE_NAME = "TikTok"
    www_url = REAL_URL

    @classmethod
    def ie_key(cls) -> str:
        return "TikTok"

    def _extract_web_formats(self, detail: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [each for each in super()._extract_web_formats(detail) if may_fetch(each["url"], self.www_url)]


def extractor_at(www_url: str) -> type[GuardedIE]:
    """The extractor for where TikTok is: as it is for TikTok itself, moved for a sandbox."""
    return GuardedIE if www_url == REAL_URL else moved_to(www_url)


def moved_to(www_url: str) -> type[GuardedIE]:
    """The extractor with nothing changed but where TikTok is."""
    www = urlsplit(www_url)
    there = www_url

    class MovedIE(GuardedIE):
        www_url = there
        _VALID_URL = rf"{re.escape(www_url)}/@(?P<user_id>[\w\.-]+)?/video/(?P<id>\d+)"
        _WEBPAGE_HOST = f"{www_url}/"
        _UPLOADER_URL_FORMAT = f"{www_url}/@%s"

        @staticmethod
        def _create_url(user_id: str | None, video_id: str) -> str:
            return f"{www_url}/@{user_id or '_'}/video/{video_id}"

        def _download_webpage_handle(self, *args: Any, **kwargs: Any) -> Any:
            # The extractor knows the login page by its path, which here may come after a path of the base address.
            got = super()._download_webpage_handle(*args, **kwargs)
            if got:
                got[1].url = got[1].url.replace(www_url, f"{www.scheme}://{www.netloc}", 1)
            return got

        def _set_cookie(self, domain: str, *args: Any, **kwargs: Any) -> None:
            super()._set_cookie(domain, *args, **kwargs)
            if domain == _COOKIE_DOMAIN:
                super()._set_cookie(www.hostname, *args, **kwargs)

    return MovedIE


def may_fetch(file_url: str, www_url: str) -> bool:
    """Whether an address that the page gave may be asked: the page must not send us into our own network."""
    file, www = urlsplit(file_url), urlsplit(www_url)
    if file.hostname == www.hostname:
        return file.scheme in {"http", "https"}
    return file.scheme == "https" and file.hostname is not None and not _inside(file.hostname)


def _inside(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return True


@dataclass(slots=True)
class Watch:
    """Looks on while the file comes: stops what is not wanted, says how far it is."""

    file_bytes: int
    said_at: float = 0.0

    def __call__(self, news: Mapping[str, Any]) -> None:
        done, total = int(news.get("downloaded_bytes") or 0), news.get("total_bytes")
        if news["info_dict"].get("vcodec") in _UNPLAYABLE:
            raise Unusable("No playable video")
        if max(done, total or 0) > self.file_bytes:
            raise Unusable(f"Larger than {self.file_bytes} bytes")
        if time.monotonic() - self.said_at >= _PROGRESS_EVERY_SECONDS or done == total:
            self.said_at = time.monotonic()
            say({"progress": [done, total]})


class Quiet:
    """yt-dlp's logger. Its lines name signed addresses; what matters comes back as an exception."""

    def debug(self, line: str) -> None: ...

    def warning(self, line: str) -> None: ...

    def error(self, line: str) -> None: ...


class ToTarget(YoutubeDL):  # type: ignore[misc]  # yt-dlp is untyped
    """Writes to `<target>.part`, then renames. As a name template the path would have its `%` and `$` replaced."""

    def __init__(self, job: Job) -> None:
        self._target = job.target
        super().__init__(options(job), auto_init=False)

    def prepare_filename(self, *_: Any, **__: Any) -> str:
        return self._target


def wanted_format(file_bytes: int) -> str:
    """H.264 before anything else, never the watermarked file; a smaller rendition where the best would be too large.

    Without the `?` every format that says nothing of its note or size would be dropped, and the clean ones say nothing.
    """
    small = f"[filesize<=?{file_bytes}]"
    return "/".join(_CLEAN + more for more in (_H264 + small, small, _H264, ""))


def options(job: Job) -> dict[str, Any]:
    return {
        "format": wanted_format(job.file_bytes),
        "overwrites": True,
        "continuedl": False,  # a part left by an earlier run may be of another format
        "retries": _RETRIES,
        "socket_timeout": job.timeout_seconds,
        "logger": Quiet(),
        "progress_hooks": [Watch(sys.maxsize if job.only_start else job.file_bytes)],
        "quiet": True,
        "noprogress": True,
        "cachedir": False,
        "fixup": "never",
        "test": job.only_start,
        "compat_opts": _own_authorities(os.environ),
        "color": "never",
    }


def _own_authorities(environment: Mapping[str, str]) -> set[str]:
    """yt-dlp trusts the list that it brings along; who names another, as behind a proxy that reads along, means it."""
    return {"no-certifi"} if {"SSL_CERT_FILE", "SSL_CERT_DIR"} & environment.keys() else set()


def fetch(job: Job) -> dict[str, Any]:
    with ToTarget(job) as downloader:
        downloader.add_info_extractor(extractor_at(job.www_url)())
        post = downloader.extract_info(job.page_url)
    return {"full_caption": post.get("description"), "format_id": post.get("format_id")}


def failed(error: Exception) -> dict[str, Any]:
    """The failure in the words errors.py knows: without the prefix that names extractor and post."""
    chain = list(_chain(error))
    statuses = [each.status for each in chain if isinstance(each, HTTPError)]
    return {
        "text": next((each.orig_msg for each in chain if isinstance(each, ExtractorError)), _bare(error)),
        "status": statuses[0] if statuses else None,
        "broken_line": any(isinstance(each, TransportError) for each in chain),
        "of_extractor": any(isinstance(each, ExtractorError) and not each.expected for each in chain),
    }


def _bare(error: Exception) -> str:
    return str(error).removeprefix("ERROR: ").strip().removeprefix("[download] ")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def say(news: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def hold_back(job: Job) -> None:
    """A page that never ends, or a file that lies about its size, may cost this process and no other."""
    limits = {resource.RLIMIT_AS: job.memory_bytes, resource.RLIMIT_FSIZE: job.file_bytes, resource.RLIMIT_CORE: 0}
    for limit, most in limits.items():
        with suppress(ValueError, OSError):  # some systems know a limit by name only
            resource.setrlimit(limit, (most, most))


def end_with_parent() -> None:
    """Standard input stays open as long as the parent lives: its end is ours, or two runs would write one file."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    end_with_parent()
    job = Job(**json.loads(sys.argv[1]))
    hold_back(job)
    try:
        say({"fetched": fetch(job)})
    except (DownloadError, Unusable) as error:
        say({"failed": failed(error)})
    except Exception as error:
        say({"failed": {"text": f"{type(error).__name__}: {error}"}})


if __name__ == "__main__":
    main()
