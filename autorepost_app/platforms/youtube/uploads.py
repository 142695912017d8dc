"""What has a channel uploaded, and which of it is ours?

The channel's uploads playlist is read, newest first, and never the search: the index behind that runs hours late and
has a small budget of its own. Our marker among a video's tags is proof, also after a database was restored: it is
made of what the publication is, so it comes out the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from autorepost_app.platform_kit.protocol import Absent, Delivery, Finding, Grant, Live, Undecided
from autorepost_app.platforms.youtube.errors import no_channel
from autorepost_app.platforms.youtube.reading import DataApi, items, uploads_playlist

_PAGE: Final = "50"
_RECENT_PAGES: Final = 10
_ALL_PAGES: Final = 400
"""20,000 uploads: as far as YouTube lists them at all."""

_SPARE: Final = timedelta(days=1)
"""For clocks that differ, and for a publication date that is later than the upload."""


@dataclass(slots=True)
class Seen:
    """A channel's uploads back to a moment. `whole`: none of them is missing."""

    videos: list[Mapping[str, Any]] = field(default_factory=list)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Uploads:
    data: DataApi
    www_url: str

    def find(self, delivery: Delivery) -> Finding:
        """Strong evidence that a publication is among the recent uploads; never that it is not."""
        seen = self._seen(delivery.grant, delivery.first_sent_at, _RECENT_PAGES)
        found = self._marked(delivery, seen)
        return found or Undecided("no video among the channel's uploads carries our marker")

    def search(self, delivery: Delivery, since: datetime) -> Finding:
        """The same for a send that nobody remembers."""
        seen = self._seen(delivery.grant, since, _ALL_PAGES)
        if found := self._marked(delivery, seen):
            return found
        if not seen.whole:
            return Undecided(f"not every upload since {since:%Y-%m-%d %H:%M} could be read")
        return Absent(f"none of {len(seen.videos)} uploads since {since:%Y-%m-%d %H:%M} is ours", handle_usable=False)

    def url(self, video_id: str) -> str:
        return f"{self.www_url}/shorts/{video_id}"

    def _marked(self, delivery: Delivery, seen: Seen) -> Live | None:
        videos = [str(video["id"]) for video in seen.videos if delivery.marker.casefold() in _tags(video)]
        if len(videos) > 1:
            # YouTube Studio copies tags when a creator reuses details for a later video.
            proof = f"{len(videos)} of the channel's uploads carry our marker"
            return Live(proof, None, self._profile(delivery.grant), tuple(videos))
        return Live("this upload carries our marker", videos[0], self.url(videos[0])) if videos else None

    def _profile(self, grant: Grant) -> str:
        return grant.account.url or f"{self.www_url}/channel/{grant.account.external_id}"

    def _seen(self, grant: Grant, since: datetime | None, pages: int) -> Seen:
        seen, listed = Seen(), 0
        for ids in self._ids(grant, since, pages, seen):
            listed += len(ids)
            params = {"part": "snippet,contentDetails", "id": ",".join(ids), "maxResults": _PAGE}
            seen.videos += items(self.data.read("videos.list", grant, params))
        seen.whole = seen.whole and len(seen.videos) == listed
        return seen

    def _ids(self, grant: Grant, since: datetime | None, pages: int, seen: Seen) -> Iterator[list[str]]:
        """Page by page; `seen.whole` becomes true when the list was followed far enough."""
        params = {"part": "snippet,contentDetails", "maxResults": _PAGE, "playlistId": self._playlist(grant)}
        for _ in range(pages):
            page = self.data.read("playlistItems.list", grant, params)
            entries = [entry for entry in items(page) if not _is_before(entry, since)]
            if entries:
                yield [str(entry["contentDetails"]["videoId"]) for entry in entries]
            if "nextPageToken" not in page or (items(page) and not entries):
                seen.whole = True
                return
            params["pageToken"] = page["nextPageToken"]

    def _playlist(self, grant: Grant) -> str:
        if known := grant.account.traits.get("uploads_playlist"):
            return known
        channels = items(self.data.read("channels.list", grant, {"part": "contentDetails", "mine": "true"}))
        if not channels or not uploads_playlist(channels[0]):
            raise no_channel(self.data.clock())
        return uploads_playlist(channels[0])


def _is_before(entry: Mapping[str, Any], since: datetime | None) -> bool:
    return since is not None and datetime.fromisoformat(entry["snippet"]["publishedAt"]) < since - _SPARE


def _tags(video: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(tag).casefold() for tag in (video.get("snippet") or {}).get("tags") or ())
