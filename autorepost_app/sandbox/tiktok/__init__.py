"""TikTok as its public pages say: Login Kit v2, Display API v2, webhooks, and the web page of a video."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute

from autorepost_app.sandbox.oauth import Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Host, LivePost, Platform
from autorepost_app.sandbox.records import Table
from autorepost_app.sandbox.tiktok import shapes
from autorepost_app.sandbox.tiktok.display import Display
from autorepost_app.sandbox.tiktok.login import Login
from autorepost_app.sandbox.tiktok.posts import AccountOptions, AppSettings, Post, address
from autorepost_app.sandbox.tiktok.profile import Profiles
from autorepost_app.sandbox.tiktok.studio import Studio
from autorepost_app.sandbox.tiktok.webhooks import Webhooks
from autorepost_app.sandbox.tiktok.www import Website
from autorepost_app.sandbox.world import World


class TikTok(Platform):
    key = "tiktok"
    title = "TikTok"
    hosts = (Host("www"), Host("api"))
    Options = AccountOptions
    Settings = AppSettings
    settings: AppSettings

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.posts = Table(world.store, "tiktok.post", Post)
        self.webhooks = Webhooks(self)
        self.login = Login(self)
        self._display = Display(self)
        self._website = Website(self)
        self._profiles = Profiles(self, self._website)
        self._studio = Studio(self)

    def calls(self) -> Sequence[Call]:
        return [*self.login.calls(), *self._display.calls(), *self._profiles.calls(), *self._website.calls()]

    def desks(self) -> Sequence[Desk]:
        return [self.login.desk]

    def control_routes(self) -> Sequence[BaseRoute]:
        return self._studio.routes()

    def new_account_id(self, handle: str) -> str:
        # An open_id looks like this; it belongs to one app and one person.
        number = self.world.next_number("tiktok.account", 0)
        return f"-000{number:04d}-7e57-4a11-9b00-{number * 7919:012d}"

    def live_posts(self, account: Account) -> list[LivePost]:
        return [
            LivePost(
                platform=self.key,
                account=account.handle,
                account_id=account.id,
                id=post.id,
                permalink=address(self, account, post),
                text={"description": post.description},
                created_at=post.created_at,
                visibility="private" if post.private else "public",
                media=post.media,
            )
            for post in self.posts.of(account.id)
            if not post.deleted
        ]

    def orphans(self) -> dict[str, int]:
        return {}

    def remove_post(self, post_id: str) -> bool:
        post = self.posts.get(post_id)
        if post is None or post.deleted:
            return False
        post.deleted = True
        self.posts.put(post)
        return True

    async def disconnected(self, account: Account) -> None:
        self.webhooks.authorization_removed(account, reason=1)

    def server_error(self, status: int = 500) -> Response:
        return shapes.error("internal_error", "Internal error.", status)

    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response:
        return shapes.error("rate_limit_exceeded", "The API rate limit was exceeded.", 429)

    def quota_used_up(self, ask: Ask, call: str) -> Response:
        return self.rate_limited(ask, call, 60)

    def denied_although_done(self, call: str) -> Response:
        return shapes.error("invalid_params", "The request parameters are malformed.", 400)


PLATFORM = TikTok
