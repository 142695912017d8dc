"""How is a sandbox put together? One ASGI application: platform hosts by prefix, control API, pages."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from autorepost_app.sandbox import consent, pages
from autorepost_app.sandbox.contents import contents
from autorepost_app.sandbox.control import Control
from autorepost_app.sandbox.exchange import CallApp
from autorepost_app.sandbox.faults import FaultBook
from autorepost_app.sandbox.platform import Ask, Call, Platform
from autorepost_app.sandbox.registry import discover
from autorepost_app.sandbox.world import World


def make_world(folder: Path, state_file: Path | None = None, ffprobe: str | None = None) -> World:
    world = World(folder, state_file, ffprobe)
    for kind in discover():
        platform = kind(world)
        kept = world.recall(f"settings.{platform.key}", None)
        if kept is not None:
            platform.settings = platform.Settings.model_validate(kept)
        world.platforms[platform.key] = platform
    return world


def make_app(world: World) -> Starlette:
    controls = [*Control(world).routes(), *(each for p in world.platforms.values() for each in p.control_routes())]
    routes: list[BaseRoute] = [*contents(controls), *controls]
    named: dict[str, set[str]] = {}
    for platform in world.platforms.values():
        calls = [*consent.calls(platform), *platform.calls()]
        named[platform.key] = {name for call in calls for name in (call.name, *call.other_names)}
        routes += [route for call in calls for route in _routes(world, platform, call)]
        routes += pages.profile_routes(world, platform)
        routes += [_stranger(world, platform, host.name) for host in platform.hosts]
    world.faults = FaultBook(named)
    app = Starlette(routes=[*routes, *pages.routes(world)])
    # A path with a slash too many is what the real servers tell apart, or not, themselves.
    app.router.redirect_slashes = False
    return app


def _stranger(world: World, platform: Platform, host: str) -> Route:
    """Answers and logs what is no call of this host, so that a client's wrong path shows in the request log."""

    async def answer(ask: Ask) -> Response:
        return JSONResponse({"error": f"the sandbox knows no such call on {platform.key}-{host}"}, 404)

    call = Call(host, "*", "/{rest:path}", "unknown", answer)
    return Route(f"/{platform.key}-{host}/{{rest:path}}", CallApp(world, platform, call))


def _routes(world: World, platform: Platform, call: Call) -> list[Route]:
    """The real path below the host's prefix, with and without a slash at its end."""
    path = f"/{platform.key}-{call.host}{call.path}".rstrip("/")
    endpoint = CallApp(world, platform, call)
    return [Route(each, endpoint, methods=[call.method]) for each in (path, path + "/")]
