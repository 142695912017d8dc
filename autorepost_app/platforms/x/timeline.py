"""What has an account posted since some moment, and which of that is ours?

X bills each post it returns ($0.005), so `start_time` makes a miss free and a hit half a cent. Fields that nobody needs
are not named: their parameter was renamed in 2.167, and the expansion alone brings the attachments along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from autorepost_app.platform_kit.protocol import Grant, Handles
from autorepost_app.platforms.x import quotas
from autorepost_app.platforms.x.calls import Calls
from autorepost_app.platforms.x.entities import links_in
from autorepost_app.platforms.x.errors import UnreadAnswer
from autorepost_app.platforms.x.likeness import are_ours

NEWEST_POSTS: Final = 100
LIST_END: Final = 3200
"""So many of an account's posts X lists, and 800 when replies are left out: what is older cannot be read (P)."""
DUPLICATE_LOOK_BACK: Final = timedelta(hours=6)

Post = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timeline:
    calls: Calls

    def with_our_video(self, grant: Grant, body: str, handles: Handles, since: datetime) -> Post | None:
        """A post that starts with a name may pass for a reply, so replies are left out for other texts only."""
        left_out = "retweets" if body.startswith(("@", "＠")) else "replies,retweets"
        for post in self._posts(grant, since, {"exclude": left_out}):
            if carries_our_video(post, handles):
                return post
        return None

    def of_our_words(self, grant: Grant, body: str, since: datetime) -> tuple[list[tuple[Post, bool]], bool]:
        """The posts with a video that are ours (True) or may be (False), and whether the whole list was read.

        X resolves its short links only for who asks for `entities`. Nothing is left out of the list: what is left out
        counts towards its end.
        """
        posts = list(self._posts(grant, since, _fields(body)))
        seen = [(post, are_ours(body, post)) for post in posts if _attached(post)]
        return [(post, bool(mine)) for post, mine in seen if mine is not False], len(posts) < LIST_END

    def explains_refusal(self, grant: Grant, body: str, handles: Handles, now: datetime) -> bool:
        """Whether another post of the last hours holds these words, and none holds our video."""
        posts = list(self._posts(grant, now - DUPLICATE_LOOK_BACK, _fields(body)))
        if any(carries_our_video(post, handles) for post in posts):
            return False
        return any(are_ours(body, post) for post in posts)

    def _posts(self, grant: Grant, since: datetime, more: Mapping[str, str]) -> Iterator[Post]:
        """Newest first, page after page while the reader wants more."""
        params = {
            "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_results": str(NEWEST_POSTS),
            "expansions": "attachments.media_keys",
            **more,
        }
        account = grant.account.external_id
        while True:
            page = self.calls.body(quotas.TIMELINE, "GET", f"/2/users/{account}/tweets", grant, params=params)
            meta, posts = page.get("meta"), page.get("data") or ()
            if not isinstance(meta, dict):
                raise UnreadAnswer("X: a list that does not say how long it is")
            for _ in posts:
                self.calls.api.meter.reserve(quotas.READ_POST, account)
            yield from posts
            if not (token := meta.get("next_token")):
                return
            params = {**params, "pagination_token": str(token)}


def carries_our_video(post: Post, handles: Handles) -> bool:
    """A key is `<kind>_<media id>`; the kind a post shows (7 or 13 for video) is not documented to be the one that the
    upload gave, while the id is unique across kinds."""
    ours = _numbers(handles.get("media_id"), handles.get("media_key"))
    return bool(ours & _numbers(*_attached(post)))


def _fields(body: str) -> dict[str, str]:
    return {"post.fields": "entities"} if links_in(body) else {}


def _attached(post: Post) -> tuple[str, ...]:
    return tuple((post.get("attachments") or {}).get("media_keys") or ())


def _numbers(*names: str | None) -> set[str]:
    return {name.rpartition("_")[2] for name in names if name}
