"""What does TikTok remember of a post, an account and an app?"""

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Account, Strict
from autorepost_app.sandbox.records import Record

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

Trouble = Literal[
    "login_wall",
    "sensitive",
    "ip_blocked",
    "watermarked_only",
    "broken_page",
    "strange_page",
    "challenge",
    "hard_challenge",
    "empty_after_challenge",
    "no_formats",
    "other_layout",
    "not_shown_here",
    "expired_file",
]
"""What is wrong with a video's page: see `trouble.py` for what each looks like."""


class AccountOptions(Strict):
    """Of an account. A private account's videos are listed to nobody's web browser.

    `embedding` is whether other sites may show the profile.
    """

    private: bool = False
    embedding: bool = True
    verified: bool = False
    bio: str = ""


class AppSettings(Strict):
    """Of the app: which documented variant of TikTok this one is.

    `page_trouble` befalls the pages of all videos, as when TikTok changes them; `file_guard` gives files only to who
    comes from their page, with its cookie.
    """

    token_profile: Literal["nov2026", "classic"] = "nov2026"
    client_type: Literal["web", "desktop"] = "web"
    oauth_error_status: Literal[200, 400] = 400
    code_seconds: float = 600
    calls_per_minute: int = 600
    page_trouble: Trouble | None = None
    profile_trouble: Literal["no_user_detail", "same_page"] | None = None
    file_guard: bool = False
    webhook_url: str | None = None


class Post(Record):
    created_at: datetime
    title: str
    description: str
    media: Facts
    private: bool = False
    pinned: bool = False
    photo: bool = False
    deleted: bool = False
    trouble: Trouble | None = None


def author(account: Account) -> dict[str, str]:
    """The creator as pages name them. `secUid` is how lists ask for them."""
    sec_uid = "MS4wLjABAAAA" + sha256(account.id.encode()).hexdigest()
    return {"id": account.id, "uniqueId": account.handle, "nickname": account.name, "secUid": sec_uid}


def address(platform: "TikTok", account: Account, post: Post) -> str:
    return f"{platform.url('www')}/@{account.handle}/{'photo' if post.photo else 'video'}/{post.id}"
