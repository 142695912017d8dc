"""Instagram as Meta's public pages say: both logins, containers, publishing, the Graph's errors."""

import base64
from collections.abc import Sequence

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.control import guarded
from autorepost_app.sandbox.instagram import shapes
from autorepost_app.sandbox.instagram.callbacks import Callbacks
from autorepost_app.sandbox.instagram.graph import Graph
from autorepost_app.sandbox.instagram.intake import Intake
from autorepost_app.sandbox.instagram.login import Login
from autorepost_app.sandbox.instagram.records import AccountOptions, AppSettings, Container, Media
from autorepost_app.sandbox.instagram.refusals import REFUSALS
from autorepost_app.sandbox.oauth import Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Host, LivePost, Platform
from autorepost_app.sandbox.records import Table
from autorepost_app.sandbox.world import World


class _Version(Convertor[str]):
    """v26.0 and the like, so that /{version}/{node} is not mistaken for /{user}/media."""

    regex = r"v\d+\.\d+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("version", _Version())


class Instagram(Platform):
    key = "instagram"
    title = "Instagram"
    hosts = tuple(map(Host, ("www", "api", "graph", "facebook-www", "facebook-graph", "rupload")))
    Options = AccountOptions
    Settings = AppSettings
    settings: AppSettings

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.containers = Table(world.store, "instagram.container", Container)
        self.media = Table(world.store, "instagram.media", Media)
        self.login = Login(self)
        self.intake = Intake(self)
        self._callbacks = Callbacks(self)
        self._graph = Graph(self)

    def calls(self) -> Sequence[Call]:
        return [*self.login.calls(), *self.intake.calls(), *self._graph.calls()]

    def desks(self) -> Sequence[Desk]:
        return self.login.desks

    def control_routes(self) -> Sequence[BaseRoute]:
        deletion = "/_sandbox/instagram/accounts/{handle}/data-deletion"
        return [
            Route(deletion, guarded(self._delete_data), methods=["POST"]),
            Route("/_sandbox/instagram/refusals", self._refusals, methods=["GET"]),
        ]

    async def _refusals(self, request: Request) -> Response:
        """Every documented refusal by its name, as `status` and `body` for the fault `error`."""
        return JSONResponse({name: refusal.as_fault() for name, refusal in REFUSALS.items()})

    async def _delete_data(self, request: Request) -> Response:
        account = self.world.account(self.key, request.path_params["handle"])
        return JSONResponse(await self._callbacks.delete_data(account))

    @property
    def own_app(self) -> tuple[str, str]:
        """The id and secret that Instagram's own login knows the app by."""
        return self.client_id, self.client_secret

    @property
    def facebook_app(self) -> tuple[str, str]:
        settings = self.settings
        return settings.facebook_client_id or self.client_id, settings.facebook_client_secret or self.client_secret

    def new_account_id(self, handle: str) -> str:
        return str(self.world.next_number("instagram.account", 17_841_400_000_000_000, 101))

    @staticmethod
    def scoped_id(account_id: str) -> str:
        """The id one app sees; bigger than what a JSON number survives in JavaScript."""
        return str(10_000_000_000_000_000 + int(account_id))

    @staticmethod
    def page_id(account_id: str) -> str:
        return str(100_000_000_000_000 + int(account_id) % 10_000_000_000)

    def account_in(self, ask: Ask) -> str | None:
        for name in ("ig", "node", "container"):
            named = ask.path_params.get(name, "")
            owned = self.containers.get(named) or self.media.get(named)
            if owned or self.world.accounts.get(named):
                return owned.account_id if owned else str(named)
        return None

    def permalink(self, media: Media) -> str:
        return f"{self.url('www')}/reel/{media.shortcode}/"

    def go_live(self, container: Container) -> Media:
        if container.facts is None:
            raise ValueError("a container without a video cannot go live")
        number = self.world.next_number("instagram.media", 18_000_000_000_000_000, 17)
        media = Media(
            id=str(number),
            account_id=container.account_id,
            created_at=self.world.clock.now(),
            container_id=container.id,
            shortcode="C" + base64.urlsafe_b64encode(number.to_bytes(8)).decode().rstrip("="),
            caption=container.params.get("caption"),
            facts=container.facts,
            params=container.params,
        )
        container.media_id, container.published_at = media.id, media.created_at
        self.containers.put(container)
        return self.media.put(media)

    def live_posts(self, account: Account) -> list[LivePost]:
        return [
            LivePost(
                platform=self.key,
                account=account.handle,
                account_id=account.id,
                id=media.id,
                permalink=self.permalink(media),
                text={"caption": media.caption or ""},
                created_at=media.created_at,
                media=media.facts,
                details={"container_id": media.container_id, **_labels(media)},
            )
            for media in self.media.of(account.id)
            if not media.deleted
        ]

    def page_of(self, shortcode: str) -> Response:
        media = next((each for each in self.media.all() if each.shortcode == shortcode and not each.deleted), None)
        account = self.world.accounts.get(media.account_id) if media else None
        if media is None or account is None:
            text = "The link may be broken, or the reel may have been removed."
            return HTMLResponse(pages.plain_page("Instagram", "This page isn't available", text), 404)
        live = next(post for post in self.live_posts(account) if post.id == media.id)
        return HTMLResponse(pages.post_page(self.world, account, live))

    def orphans(self) -> dict[str, int]:
        return {"containers": sum(container.media_id is None for container in self.containers.all())}

    def remove_post(self, post_id: str) -> bool:
        media = self.media.get(post_id)
        if media is None or media.deleted:
            return False
        media.deleted = True
        self.media.put(media)
        return True

    async def resume(self) -> None:
        self.intake.resume()

    async def disconnected(self, account: Account) -> None:
        await self._callbacks.deauthorized(account)

    def server_error(self, status: int = 500) -> Response:
        return shapes.graph_error(2, None, "An unexpected error has occurred. Please retry.", True, status=status)

    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response:
        # Meta's rate limits are rarely a 429: the code says it, the header says for how long.
        response = shapes.graph_error(*shapes.CONTAINER_LIMIT, status=429)
        account_id = self.account_in(ask) or "0"
        minutes = max(1, round(seconds / 60))
        response.headers.update(shapes.usage_headers(account_id, percent=100, minutes=minutes))
        return response

    def quota_used_up(self, ask: Ask, call: str) -> Response:
        return shapes.graph_error(*shapes.QUOTA)

    def denied_although_done(self, call: str) -> Response:
        return shapes.graph_error(*shapes.SPAM)


_CHOICES = (
    *("is_ai_generated", "is_paid_partnership", "branded_content_sponsor_ids", "share_to_feed", "trial_params"),
    *("cover_url", "thumb_offset", "collaborators", "user_tags", "location_id", "audio_name"),
)


def _labels(media: Media) -> dict[str, object]:
    return {name: media.params[name] for name in _CHOICES if name in media.params}


PLATFORM = Instagram
