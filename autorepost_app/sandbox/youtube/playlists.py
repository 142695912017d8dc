"""The Data API around playlists: the one of all uploads, and those that an owner makes."""

import json
import secrets
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.youtube import metadata, shapes
from autorepost_app.sandbox.youtube.login import EDITORS, READERS
from autorepost_app.sandbox.youtube.records import Playlist, PlaylistEntry, Video

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube

_ITEM, _PLAYLIST = "youtube#playlistItem", "youtube#playlist"
_MOST = 5000
_NO_PLAYLIST = "The playlist identified with the request's playlistId parameter cannot be found."
_MINE = "The request is not properly authorized to insert the specified playlist item."


class Playlists:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        items = "/youtube/v3/playlistItems"
        return [
            Call("api", "GET", items, "playlistItems.list", self.list_items),
            Call("api", "POST", items, "playlistItems.insert", self.insert),
            Call("api", "GET", "/youtube/v3/playlists", "playlists.list", self.list_playlists),
        ]

    async def list_playlists(self, ask: Ask) -> Response:
        account = self._platform.login.with_channel(ask, READERS)
        self._platform.quota.charge("units")
        parts = metadata.parts_of(ask.query_params.get("part", ""))
        full = [
            {
                "snippet": {"title": each.title, "channelId": account.id, "publishedAt": shapes.iso(each.created_at)},
                "status": {"privacyStatus": "public"},
                "id": each.id,
            }
            for each in self._platform.playlists.of(account.id)
        ]
        chosen = [{"kind": _PLAYLIST, **{name: one[name] for name in ("id", *parts) if name in one}} for one in full]
        return self._platform.json(shapes.paged(_PLAYLIST, chosen, ask))

    async def list_items(self, ask: Ask) -> Response:
        account = self._platform.login.with_channel(ask, READERS)
        self._platform.quota.charge("units")
        parts, wanted = metadata.parts_of(ask.query_params.get("part", "")), ask.query_params.get("videoId")
        playlist = ask.query_params.get("playlistId", "")
        made = self._platform.playlists.get(playlist)
        items = self._of(made, parts) if made else self._uploads(ask, account, playlist, parts)
        found = [item for item in items if wanted in (None, item["video"])]
        return self._platform.json(shapes.paged(_ITEM, [item["resource"] for item in found], ask))

    def _of(self, playlist: Playlist, parts: set[str]) -> list[dict[str, Any]]:
        entries = [each for each in self._platform.entries.all() if each.playlist_id == playlist.id]
        found = []
        for entry in sorted(entries, key=lambda each: each.position):
            video = self._platform.videos.get(entry.video_id)
            if video and not video.deleted:
                found.append({"video": video.id, "resource": self._resource(entry.id, playlist.id, video, parts)})
        return found

    def _uploads(self, ask: Ask, account: Account, playlist: str, parts: set[str]) -> list[dict[str, Any]]:
        owner = self._platform.world.accounts.get("UC" + playlist[2:])
        if owner is None or not playlist.startswith("UU"):
            raise shapes.refuse(404, "playlistNotFound", _NO_PLAYLIST, "youtube.playlistItem")
        seen = self._seen(owner.id, ask.lag_seconds)
        if owner.id != account.id:
            seen = [video for video in seen if video.status["privacyStatus"] == "public"]
        return [{"video": each.id, "resource": self._resource(f"UU.{each.id}", playlist, each, parts)} for each in seen]

    def _seen(self, account_id: str, lag_seconds: float) -> list[Video]:
        until = self._platform.world.clock.after(-lag_seconds)
        seen = [v for v in self._platform.videos.of(account_id) if not v.deleted and v.created_at <= until]
        return sorted(seen, key=lambda video: video.created_at, reverse=True)

    @staticmethod
    def _resource(item_id: str, playlist: str, video: Video, parts: set[str]) -> dict[str, Any]:
        moment = shapes.iso(video.created_at)
        full = {
            "snippet": {
                "publishedAt": moment,
                "channelId": video.account_id,
                "title": video.snippet.get("title", ""),
                "description": video.snippet.get("description", ""),
                "playlistId": playlist,
                "resourceId": {"kind": "youtube#video", "videoId": video.id},
            },
            "contentDetails": {"videoId": video.id, "videoPublishedAt": moment},
            "status": {"privacyStatus": video.status["privacyStatus"]},
        }
        chosen = {part: full[part] for part in parts if part in full}
        return {"kind": _ITEM, "id": item_id, **chosen}

    async def insert(self, ask: Ask) -> Response:
        raw = await ask.body()
        account = self._platform.login.with_channel(ask, EDITORS)
        self._platform.quota.charge("units", 50)
        parts = metadata.parts_of(ask.query_params.get("part", ""))
        playlist, video = self._named(account, raw)
        mine = [each for each in self._platform.entries.all() if each.playlist_id == playlist.id]
        if len(mine) >= _MOST:
            text = "The playlist already contains the maximum allowed number of items."
            raise shapes.refuse(403, "playlistContainsMaximumNumberOfVideos", text, "youtube.playlistItem")
        # As on the real thing, nothing keeps a video from being in a playlist twice.
        entry = PlaylistEntry(
            id=secrets.token_urlsafe(24),
            account_id=account.id,
            created_at=self._platform.world.clock.now(),
            playlist_id=playlist.id,
            video_id=video.id,
            position=len(mine),
        )
        self._platform.entries.put(entry)
        return self._platform.json(self._resource(entry.id, playlist.id, video, parts))

    def _named(self, account: Account, raw: bytes) -> tuple[Playlist, Video]:
        """The playlist and the video that a body names, both checked."""
        try:
            snippet = dict(json.loads(raw)["snippet"])
            resource = dict(snippet["resourceId"])
        except (ValueError, KeyError, TypeError):
            raise shapes.refuse(400, "resourceIdRequired", "resourceId is required.", "youtube.playlistItem") from None
        playlist = self._platform.playlists.get(str(snippet.get("playlistId", "")))
        if playlist is None:
            raise shapes.refuse(404, "playlistNotFound", _NO_PLAYLIST, "youtube.playlistItem")
        if playlist.account_id != account.id:
            raise shapes.refuse(403, "playlistItemsNotAccessible", _MINE, "youtube.playlistItem")
        video = self._platform.videos.get(str(resource.get("videoId", "")))
        if video is None or video.deleted or resource.get("kind") != "youtube#video":
            raise shapes.refuse(404, "videoNotFound", "Video not found.", "youtube.playlistItem")
        return playlist, video
