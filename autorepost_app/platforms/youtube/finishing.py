"""What is left to do once a video is up, and what became of it?

Its playlist, its cover, and YouTube's own verdict after processing (a claim, a copy, a broken file), which never comes
with the upload. Nothing here can change that the video was published: what cannot be done becomes a note to its
creator. Every step may be repeated: the playlist is read before it is added to, and the same cover replaces itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from autorepost_app.domain.errors import PlatformFault, Rejected, TryAgain
from autorepost_app.platform_kit.protocol import Delivery
from autorepost_app.platforms.youtube.auth import may_edit_playlists
from autorepost_app.platforms.youtube.errors import processing_verdict
from autorepost_app.platforms.youtube.limits import COVER_LIMIT_BYTES
from autorepost_app.platforms.youtube.options import chosen, moment, yes
from autorepost_app.platforms.youtube.reading import DataApi, bearer, items
from autorepost_app.platforms.youtube.rules import NO_PLAYLISTS

_PATIENCE: Final = timedelta(hours=1)
_NOT_ADDED: Final = "The video was not added to the playlist"
_PICTURES: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


@dataclass(frozen=True, slots=True)
class Finishing:
    data: DataApi

    def finish(self, delivery: Delivery, video_id: str) -> tuple[str, ...]:
        video = self._video(delivery, video_id)
        if video is None:
            return ("The video is no longer on the channel.",)
        verdict = processing_verdict(video.get("status") or {})
        if verdict is not None:
            remedy = verdict.remedy if isinstance(verdict, Rejected) else ""
            return (f"{verdict.text} {remedy}".strip(),)
        notes = [*self._scheduled(delivery), *self._added(delivery, video_id)]
        if not _is_processed(video):
            return (*notes, *self._not_processed(delivery))
        return (*notes, *self._covered(delivery, video_id))

    def _video(self, delivery: Delivery, video_id: str) -> Mapping[str, Any] | None:
        found = self.data.read("videos.list", delivery.grant, {"part": "status,processingDetails", "id": video_id})
        return next(iter(items(found)), None)

    # ---- the playlist

    def _added(self, delivery: Delivery, video_id: str) -> Iterator[str]:
        playlist = str(chosen(delivery.options, "playlist"))
        if not playlist:
            return
        if not may_edit_playlists(delivery.grant.scopes):
            yield f"{_NOT_ADDED}: {' '.join(NO_PLAYLISTS)}"
            return
        try:
            if not self._is_in(delivery, playlist, video_id):
                self._add(delivery, playlist, video_id)
        except PlatformFault as fault:
            yield _note(_NOT_ADDED, fault)

    def _is_in(self, delivery: Delivery, playlist: str, video_id: str) -> bool:
        params = {"part": "snippet", "playlistId": playlist, "videoId": video_id}
        return bool(items(self.data.read("playlistItems.list", delivery.grant, params)))

    def _add(self, delivery: Delivery, playlist: str, video_id: str) -> None:
        resource = {"kind": "youtube#video", "videoId": video_id}
        response = self.data.api.call(
            "POST",
            "/youtube/v3/playlistItems",
            params={"part": "snippet"},
            headers=bearer(delivery.grant),
            json={"snippet": {"playlistId": playlist, "resourceId": resource}},
            counts="playlistItems.insert",
            account=delivery.grant.account.external_id,
        )
        if not response.is_success:
            raise self.data.refused(response, "playlistItems.insert", delivery.grant)

    # ---- the cover

    def _covered(self, delivery: Delivery, video_id: str) -> Iterator[str]:
        if delivery.cover is None or not yes(delivery.options, "cover"):
            return
        cover = delivery.cover.read()
        kind = next((kind for head, kind in _PICTURES if cover.startswith(head)), None)
        if kind is None or len(cover) > COVER_LIMIT_BYTES:
            yield "The cover was not set: YouTube takes a JPEG or PNG of at most 50 MB."
            return
        try:
            self._set_cover(delivery, video_id, cover, kind)
        except PlatformFault as fault:
            yield _note("The cover was not set", fault)

    def _set_cover(self, delivery: Delivery, video_id: str, cover: bytes, kind: str) -> None:
        response = self.data.api.call(
            "POST",
            "/upload/youtube/v3/thumbnails/set",
            params={"videoId": video_id, "uploadType": "media"},
            headers={**bearer(delivery.grant), "Content-Type": kind},
            content=cover,
            counts="thumbnails.set",
            account=delivery.grant.account.external_id,
        )
        if not response.is_success:
            raise self.data.refused(response, "thumbnails.set", delivery.grant)

    # ---- processing

    def _not_processed(self, delivery: Delivery) -> Iterator[str]:
        """Waits for an hour, seldom towards its end; then the creator is told what was left out."""
        age = self.data.clock() - delivery.first_sent_at if delivery.first_sent_at else _PATIENCE
        if age < _PATIENCE:
            wait = min(max(age.total_seconds() / 2, 10.0), 60.0)
            text = "YouTube is still processing the video."
            raise PlatformFault(TryAgain(text, f"{age} after the upload", "youtube.processing", after_seconds=wait))
        yield "YouTube has not finished processing the video after an hour; YouTube Studio shows how it is getting on."

    def _scheduled(self, delivery: Delivery) -> Iterator[str]:
        at = moment(delivery.options, "publish_at")
        if at and at > self.data.clock():
            yield f"Only you see the video until {at:%d %B %Y %H:%M} UTC; then YouTube shows it to everyone."


def _is_processed(video: Mapping[str, Any]) -> bool:
    state = (video.get("processingDetails") or {}).get("processingStatus")
    return state == "succeeded" or (video.get("status") or {}).get("uploadStatus") == "processed"


def _note(what: str, fault: PlatformFault) -> str:
    """A refusal that stays, in words. Raises it again where going on later may help."""
    if not isinstance(fault.verdict, Rejected):
        raise fault
    return f"{what}: {fault.verdict.text} {fault.verdict.remedy}".strip()
