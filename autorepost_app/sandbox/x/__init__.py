"""X as its public documents say: OAuth 2 with PKCE, media upload v2, posts, timelines, limits and the bill."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.oauth import Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Host, LivePost, Platform
from autorepost_app.sandbox.records import Table
from autorepost_app.sandbox.world import World
from autorepost_app.sandbox.x import shapes
from autorepost_app.sandbox.x.login import Login
from autorepost_app.sandbox.x.meter import Meter, rate_headers, too_many
from autorepost_app.sandbox.x.posts import DUPLICATE, Post, Posts
from autorepost_app.sandbox.x.refusals import REFUSALS
from autorepost_app.sandbox.x.settings import RATES, AccountOptions, AppSettings
from autorepost_app.sandbox.x.upload import Media, Uploads

_EPOCH_MILLIS = 1288834974657


class X(Platform):
    key = "x"
    title = "X"
    hosts = (Host("www"), Host("api"))
    Options = AccountOptions
    Settings = AppSettings
    settings: AppSettings

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.posts = Table(world.store, "x.post", Post)
        self.media = Table(world.store, "x.media", Media)
        self.meter = Meter(self)
        self.login = Login(self)
        self.uploads = Uploads(self)
        self._timeline = Posts(self)

    def calls(self) -> Sequence[Call]:
        return [*self.login.calls(), *self.uploads.calls(), *self._timeline.calls()]

    def desks(self) -> Sequence[Desk]:
        return self.login.desks

    def control_routes(self) -> Sequence[BaseRoute]:
        return [Route("/_sandbox/x/bill", self._bill), Route("/_sandbox/x/refusals", self._refusals)]

    async def _refusals(self, request: Request) -> Response:
        """Every known refusal by its name, as `status` and `body` for the fault `error`."""
        return JSONResponse({name: refusal.as_fault() for name, refusal in REFUSALS.items()})

    async def _bill(self, request: Request) -> Response:
        return JSONResponse(self.meter.bill())

    def new_id(self) -> str:
        """A snowflake: the milliseconds lead, so that ids sort by time; never the same twice."""
        wanted = (int(self.world.clock.now().timestamp() * 1000) - _EPOCH_MILLIS) << 22
        number = max(wanted, int(self.world.recall("x.id", 0)) + 1)
        self.world.remember("x.id", number)
        return str(number)

    def new_account_id(self, handle: str) -> str:
        return self.new_id()

    def live_posts(self, account: Account) -> list[LivePost]:
        return [
            LivePost(
                platform=self.key,
                account=account.handle,
                account_id=account.id,
                id=post.id,
                permalink=f"{self.url('www')}/{account.handle}/status/{post.id}",
                text={"text": post.text},
                created_at=post.created_at,
                media=post.media,
                details={"media_ids": post.media_ids, "media_keys": post.media_keys, **post.labels},
            )
            for post in self.posts.of(account.id)
            if not post.deleted
        ]

    def page_of(self, post: Post | None) -> Response:
        account = self.world.accounts.get(post.account_id) if post else None
        if post is None or account is None or post.deleted:
            return HTMLResponse(pages.plain_page("X", "This page doesn't exist", "Try another one."), 404)
        live = next(each for each in self.live_posts(account) if each.id == post.id)
        return HTMLResponse(pages.post_page(self.world, account, live))

    def orphans(self) -> dict[str, int]:
        used = {media_id for post in self.posts.all() for media_id in post.media_ids}
        return {"media": sum(media.id not in used for media in self.media.all())}

    def remove_post(self, post_id: str) -> bool:
        post = self.posts.get(post_id)
        if post is None or post.deleted:
            return False
        post.deleted = True
        self.posts.put(post)
        return True

    def server_error(self, status: int = 500) -> Response:
        title = "Service Unavailable" if status == 503 else "Internal Server Error"
        return shapes.problem(status, title, title)

    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response:
        limit = RATES[call].user if call in RATES else 100
        reset = int(self.world.clock.after(seconds).timestamp())
        if ask.fault and ask.fault.reason == "day":
            # The day's limit bites while the quarter's looks healthy.
            day = rate_headers("x-user-limit-24hour-", 100, 0, reset)
            return too_many(rate_headers("x-rate-limit-", limit, limit - 1, self.world.clock.epoch() + 900) | day)
        return too_many(rate_headers("x-rate-limit-", limit, 0, reset))

    def quota_used_up(self, ask: Ask, call: str) -> Response:
        detail = "Usage cap exceeded: Monthly product cap"
        more = {"period": "Monthly", "scope": "Product", "account_id": 1501987213}
        return shapes.problem(429, "UsageCapExceeded", detail, "usage-capped", **more)

    def denied_although_done(self, call: str) -> Response:
        return shapes.problem(403, "Forbidden", DUPLICATE)


PLATFORM = X
