"""What does YouTube remember? Upload sessions, videos, playlists, and the project's switches."""

from datetime import datetime
from typing import Any

from pydantic import Field

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Strict
from autorepost_app.sandbox.records import Record


class AccountOptions(Strict):
    """`channel` false: a Google account that never made one. `custom_thumbnails` needs a verified phone."""

    channel: bool = True
    custom_thumbnails: bool = True
    suspended: bool = False


class AppSettings(Strict):
    testing_mode: bool = False
    processing_seconds: float = 1.0
    code_seconds: float = 600
    session_seconds: float = 7 * 86400
    inserts_per_day: int = 100
    searches_per_day: int = 100
    units_per_day: int = 10_000
    uploads_per_channel_per_day: int = 100


class Session(Record):
    """One resumable upload. The id is in the address, and whoever has the address may write."""

    created_at: datetime
    video: dict[str, Any]
    total: int | None
    received: int = 0
    video_id: str | None = None
    forced_failure: str | None = None


class Video(Record):
    created_at: datetime
    snippet: dict[str, Any]
    status: dict[str, Any]
    localizations: dict[str, Any] = Field(default_factory=dict)
    recording_details: dict[str, Any] = Field(default_factory=dict)
    facts: Facts | None = None
    ready_at: datetime
    failure: str | None = None
    rejection: str | None = None
    has_thumbnail: bool = False
    deleted: bool = False
    session_id: str = ""
    notify_subscribers: bool = True


class Playlist(Record):
    """One that the owner made; the playlist of all uploads is none of these, it follows from the videos."""

    created_at: datetime
    title: str


class PlaylistEntry(Record):
    created_at: datetime
    playlist_id: str
    video_id: str
    position: int


class CoverSession(Record):
    """A cover on its way up. `head` is how it begins, as hex: what it is shows there."""

    video_id: str
    received: int = 0
    head: str = ""
