"""YouTube as Google's public pages say: OAuth 2, resumable upload, the channel's lists, quota by the day."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.oauth import Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Host, LivePost, Platform
from autorepost_app.sandbox.records import Table
from autorepost_app.sandbox.world import World
from autorepost_app.sandbox.youtube import shapes
from autorepost_app.sandbox.youtube.channel import Channel, is_short
from autorepost_app.sandbox.youtube.login import Login
from autorepost_app.sandbox.youtube.playlists import Playlists
from autorepost_app.sandbox.youtube.quota import Quota
from autorepost_app.sandbox.youtube.records import (
    AccountOptions,
    AppSettings,
    CoverSession,
    Playlist,
    PlaylistEntry,
    Session,
    Video,
)
from autorepost_app.sandbox.youtube.studio import Studio
from autorepost_app.sandbox.youtube.thumbnails import Thumbnails
from autorepost_app.sandbox.youtube.upload import Uploads


class YouTube(Platform):
    key = "youtube"
    title = "YouTube"
    hosts = (Host("accounts"), Host("oauth"), Host("api"), Host("www"))
    Options = AccountOptions
    Settings = AppSettings
    settings: AppSettings

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.sessions = Table(world.store, "youtube.session", Session)
        self.videos = Table(world.store, "youtube.video", Video)
        self.playlists = Table(world.store, "youtube.playlist", Playlist)
        self.entries = Table(world.store, "youtube.playlist_item", PlaylistEntry)
        self.covers = Table(world.store, "youtube.cover", CoverSession)
        self.quota = Quota(self)
        self.login = Login(self)
        self._uploads = Uploads(self)
        self.channel = Channel(self)
        self._playlists = Playlists(self)
        self._thumbnails = Thumbnails(self)

    def calls(self) -> Sequence[Call]:
        desks = (self.login, self._uploads, self.channel, self._playlists, self._thumbnails)
        return [call for desk in desks for call in desk.calls()]

    def desks(self) -> Sequence[Desk]:
        return [self.login.desk]

    def control_routes(self) -> Sequence[BaseRoute]:
        return Studio(self).routes()

    def new_account_id(self, handle: str) -> str:
        return "UC" + self._letters("youtube.account", 16)[:22]

    def new_video_id(self) -> str:
        return self._letters("youtube.video", 8)[:11]

    def new_playlist_id(self) -> str:
        return "PL" + self._letters("youtube.playlist", 24)[:32]

    def _letters(self, counter: str, size: int) -> str:
        # Multiplying by an odd number spreads the count over all bits and never meets itself.
        number = self.world.next_number(counter, 0) * 0x9E3779B97F4A7C15 % 2**64
        return base64.urlsafe_b64encode(number.to_bytes(8) * (size // 8)).decode().rstrip("=")

    def account_in(self, ask: Ask) -> str | None:
        upload = ask.query_params.get("upload_id", "")
        session = self.sessions.get(upload) or self.covers.get(upload)
        return session.account_id if session else None

    def upload_status(self, video: Video, at: datetime) -> str:
        if at < video.ready_at or (video.facts is None and video.failure is None):
            return "uploaded"
        if video.rejection:
            return "rejected"
        return "failed" if video.failure else "processed"

    def resource(self, video: Video, parts: set[str], at: datetime | None = None) -> dict[str, Any]:
        state = self.upload_status(video, at or self.world.clock.now())
        account = self.world.account(self.key, video.account_id)
        full: dict[str, dict[str, Any]] = {
            "snippet": {
                "publishedAt": video.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "channelId": account.id,
                "channelTitle": account.name,
                "description": "",
                "categoryId": "22",
                "liveBroadcastContent": "none",
                **video.snippet,
            },
            "status": {
                "uploadStatus": state,
                "license": "youtube",
                "embeddable": True,
                "publicStatsViewable": True,
                **video.status,
                **({"failureReason": video.failure} if state == "failed" else {}),
                **({"rejectionReason": video.rejection} if state == "rejected" else {}),
            },
            "processingDetails": self._processing(video, state),
            "contentDetails": self._content(video),
            "localizations": video.localizations,
            "recordingDetails": video.recording_details,
            "fileDetails": {"fileSize": str(video.facts.size) if video.facts else "0"},
            "statistics": {"viewCount": "0", "likeCount": "0", "commentCount": "0"},
        }
        chosen = {part: full[part] for part in parts if part in full}
        return {"kind": "youtube#video", "etag": "sandbox", "id": video.id, **chosen}

    def _processing(self, video: Video, state: str) -> dict[str, Any]:
        if state == "uploaded":
            progress = {"partsTotal": "100", "partsProcessed": "50", "timeLeftMs": "1000"}
            return {"processingStatus": "processing", "processingProgress": progress}
        if state == "failed":
            return {"processingStatus": "failed", "processingFailureReason": "transcodeFailed"}
        status = "terminated" if state == "rejected" else "succeeded"
        return {"processingStatus": status, "thumbnailsAvailability": "available"}

    @staticmethod
    def _content(video: Video) -> dict[str, Any]:
        seconds = round(video.facts.duration_seconds) if video.facts else 0
        minutes, rest = divmod(seconds, 60)
        length = f"PT{minutes}M{rest}S" if minutes else f"PT{rest}S"
        return {"duration": length, "dimension": "2d", "definition": "hd", "caption": "false"}

    def live_posts(self, account: Account) -> list[LivePost]:
        now = self.world.clock.now()
        return [
            self._live_post(account, video)
            for video in self.videos.of(account.id)
            if not video.deleted and self.upload_status(video, now) in ("uploaded", "processed")
        ]

    def _live_post(self, account: Account, video: Video) -> LivePost:
        page = f"shorts/{video.id}" if is_short(video) else f"watch?v={video.id}"
        return LivePost(
            platform=self.key,
            account=account.handle,
            account_id=account.id,
            id=video.id,
            permalink=f"{self.url('www')}/{page}",
            text={name: video.snippet.get(name) for name in ("title", "description", "tags")},
            created_at=video.created_at,
            visibility=self._visibility(video),
            media=video.facts,
            details={"has_thumbnail": video.has_thumbnail, "notify_subscribers": video.notify_subscribers}
            | {name: value for name, value in video.status.items() if name != "privacyStatus"},
        )

    def _visibility(self, video: Video) -> str:
        at = video.status.get("publishAt")
        if at and datetime.fromisoformat(str(at)) <= self.world.clock.now():
            return "public"
        return str(video.status["privacyStatus"])

    def page_of(self, video_id: str) -> Response:
        video = self.videos.get(video_id)
        account = self.world.accounts.get(video.account_id) if video else None
        if video is None or account is None or video.deleted or self._visibility(video) == "private":
            return HTMLResponse(pages.plain_page("YouTube", "Video unavailable", "This video isn't available."), 404)
        return HTMLResponse(pages.post_page(self.world, account, self._live_post(account, video)))

    def orphans(self) -> dict[str, int]:
        now = self.world.clock.now()
        dead = [v for v in self.videos.all() if self.upload_status(v, now) in ("failed", "rejected")]
        return {
            "sessions": sum(session.video_id is None for session in self.sessions.all()),
            "failed_videos": sum(not video.deleted for video in dead),
        }

    def remove_post(self, post_id: str) -> bool:
        video = self.videos.get(post_id)
        if video is None or video.deleted:
            return False
        video.deleted = True
        self.videos.put(video)
        return True

    async def resume(self) -> None:
        self._uploads.resume()

    def server_error(self, status: int = 500) -> Response:
        return shapes.api_error(status, "backendError", "Backend Error", "global")

    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response:
        # Google sends no header that says for how long.
        return shapes.api_error(429, "rateLimitExceeded", "Rate Limit Exceeded", "usageLimits")

    def quota_used_up(self, ask: Ask, call: str) -> Response:
        if ask.fault and ask.fault.reason == "uploadLimitExceeded":
            text = "The user has exceeded the number of videos they may upload."
            return shapes.api_error(400, "uploadLimitExceeded", text)
        return shapes.quota_exceeded()

    def denied_although_done(self, call: str) -> Response:
        return shapes.api_error(400, "invalidVideoMetadata", "The request metadata is invalid.")


PLATFORM = YouTube
