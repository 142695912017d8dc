"""What has a creator posted on TikTok, and how do we get the file?

The list comes from the Display API, which never gives the file itself; the file comes from the post's web page. The two
fail separately: a page that cannot be read stops no detection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.domain.posts import PostPage, SourcePost
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import Downloaded, Grant
from autorepost_app.platforms.tiktok import errors, limits
from autorepost_app.platforms.tiktok.fetch import FetchJob, fetch

_FIELDS: Final = (
    "id,create_time,cover_image_url,share_url,video_description,title,duration,height,width,"
    "like_count,comment_count,share_count,view_count"
)
_COUNTS: Final = {"views": "view_count", "likes": "like_count", "comments": "comment_count", "shares": "share_count"}
_HANDLE: Final = re.compile(r"[\w.-]+", re.ASCII)
_ANY_HANDLE: Final = "_"
"""TikTok finds a post by its id alone; yt-dlp writes this where it knows no name."""


class TikTokSource:
    def __init__(self, www: Api, api: Api, clock: Clock, timeout_seconds: float) -> None:
        self._www = www
        self._api = api
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def list_posts(self, grant: Grant, cursor: str | None = None) -> PostPage:
        """`cursor` is a time in epoch milliseconds as text; posts from before it are listed."""
        body: dict[str, int] = {"max_count": limits.PAGE_SIZE}
        if cursor is not None:
            body["cursor"] = int(cursor)
        page = self._read(grant, "/v2/video/list/", "video.list", _FIELDS, body)
        posts = {post.external_post_id: post for post in (self._post(each, grant) for each in page.get("videos") or ())}
        # Nothing says whether pinned posts come first; if they do, their date tells that they are not the newest.
        newest_first = sorted(posts.values(), key=lambda post: post.posted_at, reverse=True)
        return PostPage(tuple(newest_first), _next_cursor(page, cursor))

    def download(
        self, grant: Grant, post: SourcePost, target: Path, progress: Callable[[int, int | None], None]
    ) -> Downloaded:
        if post.kind != "video":
            raise errors.photo_post()
        self._www.meter.reserve("video.page", grant.account.external_id)
        try:
            fetched = fetch(self._job(grant, post, target), progress)
        except PlatformFault as fault:
            raise self._second_opinion(grant, post, fault) from fault
        cover = self._cover(post, target.with_name(f"{target.name}.cover"))
        return Downloaded(target.stat().st_size, _sha256(target), fetched.full_caption, cover)

    def _cover(self, post: SourcePost, target: Path) -> Path | None:
        """The cover picture, which nothing depends on. Its address is TikTok's own, signed and short-lived."""
        try:
            address, ours = urlsplit(post.cover_url or ""), urlsplit(self._www.url(""))
            if not (address.scheme == "https" or (address.scheme, address.netloc) == (ours.scheme, ours.netloc)):
                return None
            answer = self._www.call("GET", str(post.cover_url), counts="video.cover", timeout_seconds=10.0)
        except (PlatformFault, ValueError, httpx.HTTPError, httpx.InvalidURL):
            return None
        if not answer.is_success or not 0 < len(answer.content) <= limits.COVER_BYTES:
            return None
        target.write_bytes(answer.content)
        return target

    def pulse(self, grant: Grant) -> str | None:
        """The number of public posts. A post made while another is removed leaves it as it was: a hint, no proof.

        None where the creator did not permit it, which is no reason to bother them: nothing else needs it.
        """
        if limits.STATS_SCOPE not in grant.scopes:
            return None
        try:
            return self._video_count(grant)
        except PlatformFault as fault:
            if fault.verdict.code in errors.NOT_PERMITTED:
                return None
            raise

    def _video_count(self, grant: Grant) -> str:
        answer = self._api.call(
            "GET",
            "/v2/user/info/",
            params={"fields": "video_count"},
            headers=_bearer(grant),
            counts="user.info",
            account=grant.account.external_id,
        )
        user = errors.fields_of(answer, self._clock()).get("user")
        if not isinstance(user, Mapping) or not isinstance(user.get("video_count"), int):
            raise errors.unread(answer)
        return str(user["video_count"])

    def probe(self) -> None:
        """Fetches the start of a post that has been public for years. One that is gone is no proof: the next is asked,
        and only all of them together say that it is the way that is closed."""
        denied = []
        for handle, video_id in limits.CANARIES:
            self._www.meter.reserve("video.page")
            try:
                return self._look(handle, video_id)
            except PlatformFault as fault:
                if fault.verdict.code in errors.CHAIN_CODES:
                    raise
                denied.append(fault)
        raise errors.every_canary_denied(denied)

    def _look(self, handle: str, video_id: str) -> None:
        with TemporaryDirectory(prefix="autorepost-probe-") as folder:
            target = str(Path(folder) / "start")
            job = FetchJob(self._www.url(""), handle, video_id, target, timeout_seconds=self._timeout_seconds)
            fetch(replace(job, only_start=True), _unwatched, within_seconds=limits.PROBE_SECONDS)

    def _second_opinion(self, grant: Grant, post: SourcePost, fault: PlatformFault) -> PlatformFault:
        """A page may deny a post by mistake, so its word is final only when the API has lost the post too."""
        if fault.verdict.code != errors.UNAVAILABLE:
            return fault
        return errors.still_listed(fault) if self._is_listed(grant, post) else fault

    def _is_listed(self, grant: Grant, post: SourcePost) -> bool:
        wanted = {"filters": {"video_ids": [post.external_post_id]}}
        videos = self._read(grant, "/v2/video/query/", "video.query", "id", wanted).get("videos") or ()
        return any(str(video["id"]) == post.external_post_id for video in videos)

    def _read(self, grant: Grant, path: str, counts: str, fields: str, body: object) -> dict[str, Any]:
        answer = self._api.call(
            "POST",
            path,
            params={"fields": fields},
            headers=_bearer(grant),
            json=body,
            counts=counts,
            account=grant.account.external_id,
        )
        return errors.fields_of(answer, self._clock())

    def _job(self, grant: Grant, post: SourcePost, target: Path) -> FetchJob:
        handle = grant.account.handle if _HANDLE.fullmatch(grant.account.handle) else _ANY_HANDLE
        www_url = self._www.url("")
        return FetchJob(www_url, handle, post.external_post_id, str(target), timeout_seconds=self._timeout_seconds)

    def _post(self, video: Mapping[str, Any], grant: Grant) -> SourcePost:
        # The query of `share_url` carries our client key; no reader of a post needs it.
        share_url = str(video.get("share_url") or "").partition("?")[0]
        return SourcePost(
            external_post_id=str(video["id"]),
            posted_at=datetime.fromtimestamp(int(video["create_time"]), UTC),
            caption=str(video.get("video_description") or video.get("title") or ""),
            url=share_url or self._www.url(f"/@{grant.account.handle}/video/{video['id']}"),
            duration_seconds=_number(video.get("duration")),
            width=video.get("width") or None,
            height=video.get("height") or None,
            cover_url=video.get("cover_image_url") or None,
            kind=_kind(video, share_url),
            counts={name: int(video[key]) for name, key in _COUNTS.items() if video.get(key) is not None},
        )


def _bearer(grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant.access_token}"}


def _unwatched(_done: int, _total: int | None) -> None:
    """Nobody looks on."""


def _kind(video: Mapping[str, Any], share_url: str) -> str:
    """TikTok does not say whether it lists photo posts, nor marks them; these are the two traces they would leave."""
    return "photo" if video.get("duration") == 0 or "/photo/" in share_url else "video"


def _next_cursor(page: Mapping[str, Any], asked: str | None) -> str | None:
    """`has_more` alone decides: a page may be short, even empty, with more to come."""
    if not page.get("has_more"):
        return None
    following = str(page["cursor"])
    if following == asked:
        raise errors.stuck_list(following)
    return following


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
