"""What does Instagram remember? Accounts, containers, published media, and the app's switches."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Strict
from autorepost_app.sandbox.records import Record


class AccountOptions(Strict):
    """Only professional accounts publish. `restricted` is Instagram's own punishment; `page` whether its owner has a
    Facebook page and shared it with the app."""

    professional: bool = True
    page: bool = True
    account_type: Literal["BUSINESS", "MEDIA_CREATOR"] = "MEDIA_CREATOR"
    restricted: bool = False
    trial_reels: bool = True


class AppSettings(Strict):
    reply_shape: Literal["flat", "list"] = "flat"
    processing_seconds: float = 1.0
    posts_per_day: int = 50
    containers_per_day: int = 400
    size_max: int = 300_000_000
    # The printed rule; whether Meta holds to it nobody has measured.
    moov_first: bool = True
    # What a second publish of one container is told. It never makes a second post.
    republish: Literal["error", "same_id"] = "error"
    # One page of Meta's keeps a post's words and kind for Facebook's login, its SDK's specification does not.
    own_login_sees_words: bool = True
    # Meta registers an app once for each login; unset, one registration serves both.
    facebook_client_id: str | None = None
    facebook_client_secret: str | None = None
    deauthorize_url: str | None = None
    data_deletion_url: str | None = None


class Container(Record):
    created_at: datetime
    params: dict[str, Any] = Field(default_factory=dict)
    resumable: bool = False
    forced_failure: str | None = None
    received: int = 0
    file_size: int | None = None
    facts: Facts | None = None
    settled_at: datetime | None = None
    failed_subcode: int | None = None
    published_at: datetime | None = None
    media_id: str | None = None


class Media(Record):
    created_at: datetime
    container_id: str
    shortcode: str
    caption: str | None
    facts: Facts
    params: dict[str, Any] = Field(default_factory=dict)
    deleted: bool = False
