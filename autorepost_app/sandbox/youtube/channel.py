"""The Data API around a channel: itself, its videos, and changing a video by id."""

import json
from typing import TYPE_CHECKING

from starlette.responses import Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.youtube import metadata, shapes
from autorepost_app.sandbox.youtube.login import EDITORS, READERS
from autorepost_app.sandbox.youtube.records import Video

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube


class Channel:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        base = "/youtube/v3"
        return [
            Call("api", "GET", base + "/channels", "channels.list", self.channels),
            Call("api", "GET", base + "/videos", "videos.list", self.videos),
            Call("api", "PUT", base + "/videos", "videos.update", self.update),
            Call("api", "DELETE", base + "/videos", "videos.delete", self.delete),
            Call("api", "GET", base + "/search", "search.list", self.search),
            Call("api", "GET", base + "/videoCategories", "videoCategories.list", self.categories),
            Call("www", "GET", "/shorts/{id}", "video.page", self.page),
            Call("www", "GET", "/watch", "video.page", self.page),
        ]

    async def channels(self, ask: Ask) -> Response:
        account = self._platform.login.signed_in(ask, READERS)
        self._platform.quota.charge("units")
        parts = metadata.parts_of(ask.query_params.get("part", ""))
        mine = ask.query_params.get("mine") == "true" or account.id in ask.query_params.get("id", "")
        if not account.options["channel"] or not mine:
            return self._platform.json(shapes.listing("youtube#channel", []))
        picture = {"url": pages.avatar_url(self._platform.world, account), "width": 88, "height": 88}
        full = {
            "snippet": {
                "title": account.name,
                "description": "",
                "customUrl": f"@{account.handle}",
                "publishedAt": shapes.iso(account.created_at),
                "thumbnails": {"default": picture},
            },
            "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": uploads_of(account.id)}},
            "status": {"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "allowed"},
            "statistics": {"videoCount": str(len(self._platform.live_posts(account))), "subscriberCount": "0"},
        }
        chosen = {part: full[part] for part in parts if part in full}
        return self._platform.json(
            shapes.listing("youtube#channel", [{"kind": "youtube#channel", "id": account.id, **chosen}])
        )

    async def videos(self, ask: Ask) -> Response:
        account = self._platform.login.signed_in(ask, READERS)
        self._platform.quota.charge("units")
        parts = metadata.parts_of(ask.query_params.get("part", ""))
        at = self._platform.world.clock.after(-ask.lag_seconds)
        found = []
        for video_id in ask.query_params.get("id", "").split(","):
            video = self._platform.videos.get(video_id)
            if video is None or video.deleted or video.created_at > at:
                continue
            if video.account_id == account.id:
                found.append(self._platform.resource(video, parts, at))
            elif video.status["privacyStatus"] != "private":
                found.append(self._platform.resource(video, parts - {"processingDetails", "fileDetails"}, at))
        return self._platform.json(shapes.listing("youtube#video", found))

    def own(self, account: Account, video_id: str) -> Video:
        video = self._platform.videos.get(video_id)
        if video is None or video.deleted:
            raise shapes.refuse(404, "videoNotFound", "The video that you are trying to change cannot be found.")
        if video.account_id != account.id:
            raise shapes.refuse(403, "forbidden", "Forbidden")
        return video

    async def update(self, ask: Ask) -> Response:
        raw = await ask.body()
        account = self._platform.login.with_channel(ask, EDITORS)
        self._platform.quota.charge("units", 50)
        try:
            body = json.loads(raw)
        except ValueError:
            raise shapes.refuse(400, "parseError", "Parse Error", "global") from None
        video = self.own(account, str(body.get("id", "")))
        parts = metadata.parts_of(ask.query_params.get("part", ""))
        written = metadata.checked(body, parts, self._platform.world.clock.now())
        # A named part is replaced as a whole: what the body leaves out is reset.
        video.snippet = written.get("snippet", video.snippet)
        video.status = written.get("status", video.status)
        video.localizations = written.get("localizations", video.localizations)
        video.recording_details = written.get("recordingDetails", video.recording_details)
        self._platform.videos.put(video)
        return self._platform.json(self._platform.resource(video, parts))

    async def delete(self, ask: Ask) -> Response:
        account = self._platform.login.with_channel(ask, EDITORS)
        self._platform.quota.charge("units", 50)
        video = self.own(account, ask.query_params.get("id", ""))
        self._platform.remove_post(video.id)
        return Response(status_code=204)

    async def search(self, ask: Ask) -> Response:
        self._platform.login.signed_in(ask, READERS)
        self._platform.quota.charge("searches")
        # The real index runs behind by minutes to hours; nobody may build on it.
        return self._platform.json({"kind": "youtube#searchListResponse", "items": []})

    async def categories(self, ask: Ask) -> Response:
        self._platform.login.signed_in(ask, READERS)
        self._platform.quota.charge("units")
        items = [
            {"kind": "youtube#videoCategory", "id": number, "snippet": {"title": number, "assignable": True}}
            for number in sorted(metadata.CATEGORIES, key=int)
        ]
        return self._platform.json({"kind": "youtube#videoCategoryListResponse", "items": items})

    async def page(self, ask: Ask) -> Response:
        return self._platform.page_of(ask.path_params.get("id") or ask.query_params.get("v", ""))


def uploads_of(channel_id: str) -> str:
    return "UU" + channel_id[2:]


def is_short(video: Video) -> bool:
    return video.facts is not None and video.facts.aspect <= 1.0 and video.facts.duration_seconds <= 180
