"""Posts on X: making one, deleting one, reading one's own."""

from datetime import datetime, timedelta
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.platform import Account, Ask, Call
from autorepost_app.sandbox.records import Record
from autorepost_app.sandbox.x import shapes
from autorepost_app.sandbox.x.links import links_in
from autorepost_app.sandbox.x.text import cashtags_in, fold, weighted_length, with_short_links

if TYPE_CHECKING:
    from autorepost_app.sandbox.x import X

DUPLICATE = "You are not allowed to create a Tweet with duplicate content."


class NewMedia(BaseModel):
    model_config = ConfigDict(extra="forbid")

    media_ids: list[str] = Field(min_length=1, max_length=4)
    tagged_user_ids: list[str] = Field(default_factory=list, max_length=10)
    title: str | None = None
    description: str | None = None
    embeddable: bool | None = None
    preview_media_id: str | None = None
    call_to_actions: Any = None


class NewPost(BaseModel):
    """The body of POST /2/tweets; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    media: NewMedia | None = None
    made_with_ai: bool | None = None
    paid_partnership: bool | None = None
    reply_settings: Literal["following", "mentionedUsers", "subscribers", "verified"] | None = None
    community_id: str | None = None
    share_with_followers: bool | None = None
    quote_tweet_id: str | None = None
    reply: dict[str, Any] | None = None
    poll: dict[str, Any] | None = None
    edit_options: dict[str, Any] | None = None
    geo: dict[str, Any] | None = None
    nullcast: bool | None = None
    card_uri: str | None = None
    direct_message_deep_link: str | None = None
    for_super_followers_only: bool | None = None


class Post(Record):
    created_at: datetime
    text: str
    shown_text: str
    urls: list[dict[str, Any]] = Field(default_factory=list)
    media_ids: list[str] = Field(default_factory=list)
    media_keys: list[str] = Field(default_factory=list)
    media: Facts | None = None
    labels: dict[str, Any] = Field(default_factory=dict)
    deleted: bool = False


class Posts:
    def __init__(self, platform: "X") -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        return [
            Call("api", "POST", "/2/tweets", "tweets.create", self.create),
            Call("api", "GET", "/2/tweets/{id}", "tweets.get", self.get),
            Call("api", "DELETE", "/2/tweets/{id}", "tweets.delete", self.delete),
            Call("api", "GET", "/2/users/me", "users.me", self.me),
            Call("api", "GET", "/2/users/{id}/tweets", "timeline", self.timeline),
            Call("www", "GET", "/{handle}/status/{id}", "post.page", self.page),
        ]

    def _begin(self, ask: Ask, call: str, *scopes: str) -> tuple[Account, dict[str, str]]:
        account = self._platform.login.signed_in(ask, *scopes)
        headers = self._platform.meter.count(call, account)
        self._platform.meter.afford()
        return account, headers

    async def create(self, ask: Ask) -> Response:
        body = await ask.body()
        account, headers = self._begin(ask, "tweets.create", "tweet.write", "tweet.read", "users.read")
        try:
            wanted = NewPost.model_validate_json(body)
        except ValidationError as mistake:
            error = mistake.errors()[0]
            raise shapes.invalid(str(error["msg"]), **{".".join(map(str, error["loc"])) or "body": ""}) from None
        # Nothing below waits, so two copies of one request cannot both pass the checks.
        self._check_text(account, wanted)
        post = self._write(account, wanted)
        return self._platform.json({"data": self._brief(post)}, 201, headers)

    def _check_text(self, account: Account, wanted: NewPost) -> None:
        if not wanted.text.strip() and wanted.media is None:
            raise shapes.invalid("Either text or media is needed", text=wanted.text)
        limit = 25_000 if account.options["premium"] else 280
        if weighted_length(wanted.text) > limit:
            raise shapes.invalid("Your Tweet text is too long.", text=wanted.text)
        if len(cashtags_in(wanted.text)) > 1:
            raise shapes.forbidden("You are not permitted to perform this action.")
        if self._is_duplicate(account, wanted.text):
            raise shapes.forbidden(DUPLICATE)

    def _is_duplicate(self, account: Account, text: str) -> bool:
        since = self._platform.world.clock.after(-self._platform.settings.duplicate_seconds)
        recent = (p for p in self._platform.posts.of(account.id) if not p.deleted and p.created_at > since)
        return bool(fold(text)) and any(fold(post.text) == fold(text) for post in recent)

    def _write(self, account: Account, wanted: NewPost) -> Post:
        media_ids = wanted.media.media_ids if wanted.media else []
        carried = [self._platform.uploads.usable(account, media_id) for media_id in media_ids]
        if len(carried) > 1:
            raise shapes.invalid("A post carries one video.", **{"media.media_ids": media_ids})
        number = self._platform.new_id()
        shown, urls = with_short_links(wanted.text, number, media=bool(carried))
        post = Post(
            id=number,
            account_id=account.id,
            created_at=self._platform.world.clock.now(),
            text=wanted.text,
            shown_text=shown,
            urls=urls,
            media_ids=media_ids,
            media_keys=[media.key for media in carried],
            media=carried[0].facts if carried else None,
            labels=wanted.model_dump(include={"made_with_ai", "paid_partnership", "reply_settings"}, exclude_none=True),
        )
        self._platform.meter.charge("post_with_url" if links_in(wanted.text) else "post")
        return self._platform.posts.put(post)

    def _brief(self, post: Post) -> dict[str, Any]:
        names = {"both": ("tweet", "post"), "tweet": ("tweet",), "post": ("post",)}[self._platform.settings.dialect]
        history = {f"edit_history_{name}_ids": [post.id] for name in names}
        return {"id": post.id, "text": post.shown_text, **history}

    def _full(self, ask: Ask, post: Post) -> dict[str, Any]:
        fields = self._fields(ask)
        full = self._brief(post)
        if "created_at" in fields:
            full["created_at"] = _iso(post.created_at)
        if "author_id" in fields:
            full["author_id"] = post.account_id
        if "entities" in fields and post.urls:
            full["entities"] = {"urls": post.urls}
        if post.media_keys and ("attachments" in fields or self._wants_media(ask)):
            full["attachments"] = {"media_keys": post.media_keys}
        return full

    @staticmethod
    def _fields(ask: Ask) -> set[str]:
        names = (ask.query_params.get(name, "") for name in ("tweet.fields", "post.fields"))
        return set(",".join(names).split(","))

    @staticmethod
    def _wants_media(ask: Ask) -> bool:
        return "attachments.media_keys" in ask.query_params.get("expansions", "").split(",")

    def _live(self, account: Account, post_id: str) -> Post:
        post = self._platform.posts.get(post_id)
        if post is None or post.deleted:
            raise shapes.not_found("tweet", post_id)
        return post

    async def get(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "tweets.get", "tweet.read")
        post = self._live(account, ask.path_params["id"])
        self._platform.meter.charge_reads([post.id])
        return self._platform.json({"data": self._full(ask, post), **self._includes(ask, [post])}, headers=headers)

    async def delete(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "tweets.delete", "tweet.write")
        post = self._live(account, ask.path_params["id"])
        if post.account_id != account.id:
            raise shapes.forbidden("You are not authorized to delete this Tweet.")
        self._platform.remove_post(post.id)
        return self._platform.json({"data": {"deleted": True}}, headers=headers)

    async def me(self, ask: Ask) -> Response:
        account, headers = self._begin(ask, "users.me", "users.read", "tweet.read")
        self._platform.meter.charge("read_user")
        fields = ask.query_params.get("user.fields", "").split(",")
        known = {
            "profile_image_url": pages.avatar_url(self._platform.world, account),
            "created_at": _iso(account.created_at),
            "subscription_type": "Premium" if account.options["premium"] else "None",
            "protected": account.options["protected"],
            "verified": account.options["premium"],
        }
        chosen = {name: value for name, value in known.items() if name in fields}
        user = {"id": account.id, "name": account.name, "username": account.handle, **chosen}
        return self._platform.json({"data": user}, headers=headers)

    async def timeline(self, ask: Ask) -> Response:
        _, headers = self._begin(ask, "timeline", "tweet.read", "users.read")
        owner = self._platform.world.accounts.get(ask.path_params["id"])
        if owner is None or owner.platform != self._platform.key:
            raise shapes.not_found("user", ask.path_params["id"])
        window = _Window.of(ask)
        until = self._platform.world.clock.after(-ask.lag_seconds)
        seen = [p for p in self._platform.posts.of(owner.id) if not p.deleted and p.created_at <= until]
        listed = sorted(seen, key=lambda post: int(post.id), reverse=True)[: self._platform.settings.timeline_end]
        chosen = list(filter(window.holds, listed))
        page, rest = chosen[: window.max_results], chosen[window.max_results :]
        self._platform.meter.charge_reads(post.id for post in page)
        body: dict[str, Any] = {"meta": {"result_count": len(page)}}
        if page:
            body["data"] = [self._full(ask, post) for post in page]
            body["meta"] |= {"newest_id": page[0].id, "oldest_id": page[-1].id}
        if rest:
            body["meta"]["next_token"] = f"t{page[-1].id}"
        return self._platform.json(body | self._includes(ask, page), headers=headers)

    def _includes(self, ask: Ask, posts: list[Post]) -> dict[str, Any]:
        if not self._wants_media(ask):
            return {}
        wanted = ask.query_params.get("media.fields", "").split(",")
        media = [self._media(post, key, wanted) for post in posts for key in post.media_keys]
        return {"includes": {"media": media}} if media else {}

    @staticmethod
    def _media(post: Post, key: str, fields: list[str]) -> dict[str, Any]:
        facts = post.media
        known = {
            "duration_ms": round(facts.duration_seconds * 1000) if facts else 0,
            "width": facts.width if facts else 0,
            "height": facts.height if facts else 0,
        }
        return {"media_key": key, "type": "video", **{name: known[name] for name in fields if name in known}}

    async def page(self, ask: Ask) -> Response:
        post = self._platform.posts.get(ask.path_params["id"])
        return self._platform.page_of(post)


class _Window(BaseModel):
    """The query of a timeline read."""

    max_results: int = Field(default=10, ge=5, le=100)
    since_id: int | None = None
    until_id: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    @classmethod
    def of(cls, ask: Ask) -> "_Window":
        query = dict(ask.query_params)
        try:
            window = cls.model_validate(query)
            token = query.get("pagination_token", "").removeprefix("t")
            if token:
                window.until_id = min(int(token), window.until_id or int(token))
        except (ValidationError, JSONDecodeError, ValueError) as mistake:
            raise shapes.invalid(str(mistake).splitlines()[0], **dict.fromkeys(query, "")) from None
        return window

    def holds(self, post: Post) -> bool:
        # The platform's own times are whole seconds; a start_time between two of them must not hide a post.
        created_at = post.created_at.replace(microsecond=0)
        return (
            (self.since_id is None or int(post.id) > self.since_id)
            and (self.until_id is None or int(post.id) < self.until_id)
            and (self.start_time is None or created_at + timedelta(seconds=1) > self.start_time)
            and (self.end_time is None or created_at < self.end_time)
        )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
