"""What does an owner do on the sandbox YouTube by hand? Controls below /_sandbox/youtube."""

from typing import TYPE_CHECKING

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autorepost_app.sandbox.control import guarded
from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Account, Strict
from autorepost_app.sandbox.youtube.records import Playlist, Video
from autorepost_app.sandbox.youtube.refusals import REFUSALS

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube


class NewVideo(Strict):
    """An upload in YouTube's own app. There is no file: nobody but the owner would ever compare it."""

    title: str
    description: str = ""
    tags: list[str] = Field(default_factory=list)
    privacy: str = "public"
    duration_seconds: float = 15.0
    copies: int = Field(default=1, ge=1, le=1000)


class NewPlaylist(Strict):
    title: str


class Studio:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform

    def routes(self) -> list[Route]:
        account = "/_sandbox/youtube/accounts/{handle}"
        return [
            Route("/_sandbox/youtube/quota", self.quota),
            Route("/_sandbox/youtube/refusals", self.refusals),
            Route(account + "/videos", guarded(self.upload), methods=["POST"]),
            Route(account + "/playlists", guarded(self.make_playlist), methods=["POST"]),
            Route(account + "/playlists", guarded(self.playlists), methods=["GET"]),
        ]

    def _account(self, request: Request) -> Account:
        return self._platform.world.account("youtube", request.path_params["handle"])

    async def quota(self, request: Request) -> Response:
        return JSONResponse(self._platform.quota.report())

    async def refusals(self, request: Request) -> Response:
        """Every documented refusal by its reason, as `status` and `body` for the fault `error`."""
        return JSONResponse({name: refusal.as_fault() for name, refusal in REFUSALS.items()})

    async def upload(self, request: Request) -> Response:
        account, wanted = self._account(request), NewVideo.model_validate(await request.json())
        ids = [self._platform.videos.put(self._video(account, wanted)).id for _ in range(wanted.copies)]
        return JSONResponse({"id": ids[0], "ids": ids}, 201)

    def _video(self, account: Account, wanted: NewVideo) -> Video:
        now = self._platform.world.clock.now()
        return Video(
            id=self._platform.new_video_id(),
            account_id=account.id,
            created_at=now,
            snippet={"title": wanted.title, "description": wanted.description, "tags": wanted.tags},
            status={"privacyStatus": wanted.privacy},
            facts=_facts(wanted.duration_seconds),
            ready_at=now,
        )

    async def make_playlist(self, request: Request) -> Response:
        account, wanted = self._account(request), NewPlaylist.model_validate(await request.json())
        playlist = Playlist(
            id=self._platform.new_playlist_id(),
            account_id=account.id,
            title=wanted.title,
            created_at=self._platform.world.clock.now(),
        )
        return JSONResponse(self._platform.playlists.put(playlist).model_dump(mode="json"), 201)

    async def playlists(self, request: Request) -> Response:
        account, platform = self._account(request), self._platform
        made = [each.model_dump(mode="json") for each in platform.playlists.of(account.id)]
        entries = [each.model_dump(mode="json") for each in platform.entries.of(account.id)]
        return JSONResponse({"playlists": made, "entries": entries})


def _facts(duration_seconds: float) -> Facts:
    return Facts(
        sha256="",
        size=0,
        container="mov,mp4",
        duration_seconds=duration_seconds,
        width=1080,
        height=1920,
        video_codec="h264",
        fps=30.0,
        bitrate=0,
    )
