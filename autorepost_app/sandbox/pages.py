"""What does a person see? An overview, one feed for each account, and one page for each post."""

from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from autorepost_app.sandbox.ledger import posts_of
from autorepost_app.sandbox.platform import Account, LivePost, Platform
from autorepost_app.sandbox.world import World

_FILES = Path(__file__).parent / "static"
_SHOWN = 60
_ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"  # spares every page a request for one
_INKS = ("#d6336c", "#1971c2", "#2f9e44", "#e8590c", "#7048e8", "#0c8599")


@lru_cache
def _file(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def avatar_url(world: World, account: Account) -> str:
    return f"{world.base_url}/_avatar/{account.platform}/{account.handle}.svg"


def media_url(world: World, sha256: str) -> str:
    return f"{world.base_url}/_media/{sha256}.mp4"


def frame(title: str, body: str, *, narrow: bool = False, live: bool = False) -> str:
    """One complete page; everything it needs is in it."""
    script = f"<script>{_file('feed.js')}</script>" if live else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{_ICON}">'
        f"<title>{escape(title)}</title><style>{_file('sandbox.css')}</style></head>"
        f'<body><header><a href="/">sandbox</a></header><main class="{"narrow" if narrow else ""}">'
        f"{body}</main>{script}</body></html>"
    )


def plain_page(title: str, heading: str, text: str) -> str:
    return frame(title, f"<h1>{escape(heading)}</h1><p>{escape(text)}</p>", narrow=True)


def card(world: World, post: LivePost) -> str:
    words = "\n".join(str(value) for value in post.text.values() if isinstance(value, str) and value)
    badge = "" if post.visibility == "public" else f'<span class="badge">{escape(post.visibility)}</span>'
    return (
        f'<article id="p{escape(post.id)}">{_video(world, post)}'
        f'<p class="caption">{escape(words)}</p><footer>{badge}'
        f'<time datetime="{post.created_at.isoformat()}">{post.created_at:%d %b %Y %H:%M:%S}</time>'
        f'{_size(post)}<a href="{escape(post.permalink)}">permalink</a></footer></article>'
    )


def _video(world: World, post: LivePost) -> str:
    if post.media is None:
        return ""
    source = escape(media_url(world, post.media.sha256))
    return f'<video controls preload="metadata" playsinline src="{source}"></video>'


def _size(post: LivePost) -> str:
    if post.media is None:
        return ""
    return f"<span>{post.media.width}×{post.media.height}, {post.media.duration_seconds:.1f} s</span>"


def post_page(world: World, account: Account, post: LivePost, extra: str = "") -> str:
    feed = f"/{account.platform}/@{account.handle}"
    name = escape(world.platform(account.platform).title)
    back = f'<p>{name}: <a href="{escape(feed)}">@{escape(account.handle)}</a></p>'
    title = f"{world.platform(account.platform).title}: @{account.handle}"
    return frame(title, back + card(world, post) + extra, narrow=True)


def account_page(world: World, account: Account, body: str, *, live: bool = False) -> str:
    title = world.platform(account.platform).title
    head = (
        f'<div class="row profile"><img class="avatar" alt="" src="{escape(avatar_url(world, account))}">'
        f"<span><h1>{escape(account.name)}</h1><small>@{escape(account.handle)} on {escape(title)}</small></span></div>"
    )
    return frame(f"{title}: @{account.handle}", head + body, live=live)


def profile_routes(world: World, platform: Platform) -> list[Route]:
    """The address under which people know an account, on each host that they visit: it leads to the feed."""

    async def profile(request: Request) -> Response:
        handle = request.path_params["handle"].removeprefix("@")
        known = any(account.handle == handle for account in world.accounts.all() if account.platform == platform.key)
        if not known:
            return HTMLResponse(plain_page("Not found", "No such account", "Nobody here goes by that name."), 404)
        return RedirectResponse(f"{world.base_url}/{platform.key}/@{handle}", 302)

    visited = [f"/{platform.key}-{host.name}" for host in platform.hosts if host.name == "www"]
    return [Route(f"{host}/{{handle}}{end}", profile, methods=["GET"]) for host in visited for end in ("", "/")]


def routes(world: World) -> list[Route]:
    site = _Site(world)
    return [
        Route("/", site.overview),
        Route("/_avatar/{platform}/{handle}.svg", site.avatar),
        Route("/_media/{sha256}.mp4", site.media),
        Route("/{platform}/@{handle}", site.feed),
        Route("/{platform}/@{handle}/feed.json", site.feed_json),
    ]


class _Site:
    """The pages that belong to no platform's own host."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _account(self, request: Request) -> Account | None:
        try:
            platform = self._world.platform(request.path_params["platform"])
            return self._world.account(platform.key, request.path_params["handle"])
        except ValueError:
            return None

    def _cards(self, account: Account) -> list[tuple[str, str]]:
        posts = posts_of(self._world, self._world.platform(account.platform), account)
        return [(f"p{post.id}", card(self._world, post)) for post in posts[:_SHOWN]]

    async def overview(self, request: Request) -> Response:
        parts = ["<h1>Sandbox platforms</h1>"]
        for key, platform in self._world.platforms.items():
            mine = [a for a in self._world.accounts.all() if a.platform == key]
            links = "".join(self._link(account) for account in mine) or "<p>No account yet.</p>"
            parts.append(f'<section class="{escape(key)}"><h2>{escape(platform.title)}</h2>{links}</section>')
        parts.append(
            '<p class="quiet"><a href="/_sandbox/ledger">ledger</a> · <a href="/_sandbox/requests">requests</a> · '
            '<a href="/_sandbox/faults">faults</a> · <a href="/_sandbox/clock">clock</a> · '
            '<a href="/_sandbox/settings">settings</a> · <a href="/_sandbox/">all controls</a></p>'
        )
        return HTMLResponse(frame("Sandbox platforms", "".join(parts)))

    def _link(self, account: Account) -> str:
        live = len(self._world.platform(account.platform).live_posts(account))
        count = "1 post" if live == 1 else f"{live} posts"
        return (
            f'<a class="row" href="/{escape(account.platform)}/@{escape(account.handle)}">'
            f'<img class="avatar" alt="" src="{escape(avatar_url(self._world, account))}"><span>'
            f"<b>{escape(account.name)}</b><small>@{escape(account.handle)} · {count}</small></span></a>"
        )

    async def feed(self, request: Request) -> Response:
        account = self._account(request)
        if account is None:
            return HTMLResponse(plain_page("Not found", "No such account", "Nobody here goes by that name."), 404)
        cards = "".join(html for _, html in self._cards(account))
        return HTMLResponse(account_page(self._world, account, f'<div id="feed" class="grid">{cards}</div>', live=True))

    async def feed_json(self, request: Request) -> Response:
        account = self._account(request)
        if account is None:
            return JSONResponse({"posts": []}, 404)
        posts: list[dict[str, Any]] = [{"id": key, "html": html} for key, html in self._cards(account)]
        return JSONResponse({"posts": posts})

    async def avatar(self, request: Request) -> Response:
        account = self._account(request)
        letter = escape((account.name if account else "?")[:1].upper())
        ink = _INKS[sum(request.path_params["handle"].encode()) % len(_INKS)]
        picture = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" '
            f'fill="{ink}"/><text x="40" y="54" font-size="40" font-family="sans-serif" fill="#fff" '
            f'text-anchor="middle">{letter}</text></svg>'
        )
        return Response(picture, 200 if account else 404, media_type="image/svg+xml")

    async def media(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        path = self._world.vault.media(sha256)
        if not sha256.isalnum() or not path.is_file():
            return Response(status_code=404)
        return FileResponse(path, media_type="video/mp4")
