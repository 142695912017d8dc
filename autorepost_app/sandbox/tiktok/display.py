"""Display API v2: who the user is, which videos they have, and what became of some of them."""

import hashlib
import hmac
from datetime import timedelta
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.tiktok import shapes
from autorepost_app.sandbox.tiktok.posts import Post, address

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

COVER_SECONDS = 21600
USER_FIELDS = {
    "user.info.basic": {"open_id", "union_id", "avatar_url", "avatar_url_100", "avatar_large_url", "display_name"},
    "user.info.profile": {"bio_description", "profile_deep_link", "is_verified", "username"},
    "user.info.stats": {"follower_count", "following_count", "likes_count", "video_count"},
}
COUNTS = ("like_count", "comment_count", "share_count", "view_count")
VIDEO_FIELDS = {
    *("id", "create_time", "cover_image_url", "share_url", "video_description", "title", "duration"),
    *("height", "width", "embed_html", "embed_link", *COUNTS),
}


class Display:
    def __init__(self, platform: "TikTok") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        return [
            Call("api", "GET", "/v2/user/info", "user.info", self.user_info),
            Call("api", "POST", "/v2/video/list", "video.list", self.video_list),
            Call("api", "POST", "/v2/video/query", "video.query", self.video_query),
        ]

    def _within_rate(self, call: str) -> None:
        limit = self._platform.settings.calls_per_minute
        allowed, _, _ = self._platform.world.within_window(("tiktok", call), limit, 60)
        if not allowed:
            raise shapes.refuse("rate_limit_exceeded", "The API rate limit was exceeded.", 429)

    @staticmethod
    def _fields(ask: Ask, known: set[str]) -> list[str]:
        fields = [name for name in ask.query_params.get("fields", "").split(",") if name]
        if not fields or not set(fields) <= known:
            raise shapes.refuse("invalid_params", "Fields are missing or unknown.", 400)
        return fields

    @staticmethod
    async def _body(ask: Ask) -> dict[str, Any]:
        try:
            body = await ask.json() if await ask.body() else {}
        except (JSONDecodeError, UnicodeDecodeError):
            body = None
        if not isinstance(body, dict):
            raise shapes.refuse("invalid_params", "The request body is not a JSON object.", 400)
        return body

    async def user_info(self, ask: Ask) -> Response:
        token, grant = self._platform.login.signed_in(ask, "user.info.basic")
        self._within_rate("user.info")
        fields = self._fields(ask, set().union(*USER_FIELDS.values()))
        granted = set().union(*(USER_FIELDS.get(scope, set()) for scope in grant.scopes))
        if not set(fields) <= granted:
            raise shapes.refuse("scope_permission_missed", "Additional scopes are required for these fields.", 400)
        profile = self._profile(self._platform.world.account("tiktok", token.account_id))
        return shapes.envelope({"user": {name: profile[name] for name in fields}})

    def _profile(self, account: Account) -> dict[str, Any]:
        avatar = pages.avatar_url(self._platform.world, account)
        public = [post for post in self._platform.posts.of(account.id) if not (post.private or post.deleted)]
        return {
            "open_id": account.id,
            "union_id": hashlib.sha256(account.id.encode()).hexdigest()[:36],
            **dict.fromkeys(("avatar_url", "avatar_url_100", "avatar_large_url"), avatar),
            "display_name": account.name,
            "bio_description": account.options["bio"],
            "profile_deep_link": f"{self._platform.url('www')}/@{account.handle}",
            "is_verified": account.options["verified"],
            "username": account.handle,
            **dict.fromkeys(("follower_count", "following_count", "likes_count"), 0),
            "video_count": len(public),
        }

    async def video_list(self, ask: Ask) -> Response:
        token, _ = self._platform.login.signed_in(ask, "video.list")
        self._within_rate("video.list")
        fields = self._fields(ask, VIDEO_FIELDS)
        body = await self._body(ask)
        cursor, count = body.get("cursor"), body.get("max_count", 10)
        if not isinstance(count, int) or not 1 <= count <= 20 or not isinstance(cursor, int | None):
            raise shapes.refuse("invalid_params", "max_count must be between 1 and 20.", 400)
        older = self._before(token.account_id, cursor, ask.lag_seconds)
        # Nothing says whether pinned videos change the order. Here they do, as on the profile: first, and in place.
        pinned = [] if cursor else [post for post in older if post.pinned][: count - 1]
        page, rest = older[: count - len(pinned)], older[count - len(pinned) :]
        account = self._platform.world.account("tiktok", token.account_id)
        # Private videos are dropped after the page was cut, which is how a page gets short while more follows.
        videos = [self._video(account, post, fields) for post in [*pinned, *page] if not post.private]
        last = _millis(page[-1]) if page else cursor or 0
        return shapes.envelope({"videos": videos, "cursor": last, "has_more": bool(rest)})

    def _before(self, account_id: str, cursor: int | None, lag_seconds: float) -> list[Post]:
        known_until = self._platform.world.clock.now() - timedelta(seconds=lag_seconds)
        posts = [
            post
            for post in self._platform.posts.of(account_id)
            if not post.deleted
            and (not cursor or _millis(post) < cursor)
            and (not lag_seconds or post.created_at <= known_until)
        ]
        return sorted(posts, key=lambda post: post.created_at, reverse=True)

    async def video_query(self, ask: Ask) -> Response:
        token, _ = self._platform.login.signed_in(ask, "video.list")
        self._within_rate("video.query")
        fields = self._fields(ask, VIDEO_FIELDS)
        ids = ((await self._body(ask)).get("filters") or {}).get("video_ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= 20:
            raise shapes.refuse("invalid_params", "video_ids must hold between 1 and 20 ids.", 400)
        account = self._platform.world.account("tiktok", token.account_id)
        mine = [post for post in self._before(token.account_id, None, ask.lag_seconds) if not post.private]
        return shapes.envelope({"videos": [self._video(account, post, fields) for post in mine if post.id in ids]})

    def _video(self, account: Account, post: Post, fields: list[str]) -> dict[str, Any]:
        share = f"utm_campaign=tt4d_open_api&utm_source={self._platform.client_id}"
        embed = f"https://www.tiktok.com/embed/v2/{post.id}"
        video = {
            "id": post.id,
            "create_time": int(post.created_at.timestamp()),
            "cover_image_url": self._cover(post),
            "share_url": f"{address(self._platform, account, post)}?{share}",
            "video_description": post.description[:150],
            "title": post.title[:150],
            "duration": 0 if post.photo else round(post.media.duration_seconds),
            "height": post.media.height,
            "width": post.media.width,
            "embed_html": f'<blockquote class="tiktok-embed" cite="{embed}"></blockquote>',
            "embed_link": embed,
            **dict.fromkeys(COUNTS, 0),
        }
        return {name: video[name] for name in fields}

    def _cover(self, post: Post) -> str:
        until = self._platform.world.clock.epoch() + COVER_SECONDS
        sign = cover_signature(self._platform.client_secret, post.id, until)
        return f"{self._platform.url('www')}/cover/{post.id}.jpeg?x-expires={until}&x-signature={sign}"


def cover_signature(secret: str, post_id: str, until: int) -> str:
    return hmac.new(secret.encode(), f"{post_id}.{until}".encode(), "sha256").hexdigest()[:32]


def _millis(post: Post) -> int:
    return round(post.created_at.timestamp() * 1000)
