"""How does a test or a person steer the sandbox? The routes under /_sandbox."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autorepost_app.sandbox import consent, pages
from autorepost_app.sandbox.faults import FAULTS, Fault, UnknownName
from autorepost_app.sandbox.ledger import ledger
from autorepost_app.sandbox.oauth import ConsentRefused
from autorepost_app.sandbox.platform import Account, Strict
from autorepost_app.sandbox.world import World

_FAULT_LIST = TypeAdapter(list[Fault])


class Move(Strict):
    advance_seconds: float | None = None
    now: datetime | None = None


class Outage(Strict):
    seconds: float = Field(gt=0, le=600)


class Decision(Strict):
    authorize_url: str
    account: str
    deny_scopes: list[str] = Field(default_factory=list)
    deny: bool = False


class NewAccount(BaseModel, extra="allow"):
    platform: str
    handle: str
    name: str = ""


def guarded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Turns a mistake in a control request into a 422 that says what would have been right."""

    @wraps(answer)
    async def answer_or_explain(request: Request) -> Response:
        try:
            return await answer(request)
        except UnknownName as mistake:
            return JSONResponse({"error": str(mistake), "nearest": mistake.nearest}, 422)
        except ValidationError as mistake:
            return JSONResponse({"error": _explain(mistake), "nearest": None}, 422)
        except json.JSONDecodeError:
            return JSONResponse({"error": "the body is not JSON", "nearest": None}, 422)
        except (ConsentRefused, ValueError) as mistake:
            return JSONResponse({"error": str(mistake), "nearest": None}, 422)

    return answer_or_explain


def _explain(mistake: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in mistake.errors())


def describe_account(world: World, account: Account) -> dict[str, Any]:
    platform = world.platform(account.platform)
    return {
        **account.model_dump(mode="json", exclude={"account_id"}),
        "avatar_url": pages.avatar_url(world, account),
        "feed_url": f"{world.base_url}/{platform.key}/@{account.handle}",
    }


class Control:
    """The control API of one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("GET", "/hosts", self.hosts),
            ("GET", "/apps", self.apps),
            ("GET", "/accounts", self.accounts),
            ("POST", "/accounts", self.open_account),
            ("DELETE", "/accounts/{platform}/{account}/grants", self.disconnect),
            ("POST", "/consent", self.consent),
            ("GET", "/ledger", self.ledger),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
            ("GET", "/faults", self.faults),
            ("PUT", "/faults", self.set_faults),
            ("POST", "/faults", self.add_faults),
            ("DELETE", "/faults", self.clear_faults),
            ("GET", "/clock", self.clock),
            ("PUT", "/clock", self.move_clock),
            ("GET", "/settings", self.settings),
            ("PUT", "/settings", self.change_settings),
            ("DELETE", "/posts/{platform}/{post}", self.remove_post),
            ("PUT", "/outage", self.outage),
        ]
        return [Route("/_sandbox" + path, guarded(answer), methods=[method]) for method, path, answer in table]

    async def hosts(self, request: Request) -> Response:
        """The settings that point a product here, without their prefix."""
        return JSONResponse(hosts(self._world))

    async def apps(self, request: Request) -> Response:
        """The public id and the secret of the app that each platform knows."""
        return JSONResponse(apps(self._world))

    async def accounts(self, request: Request) -> Response:
        """Every account, with its picture and its feed."""
        return JSONResponse([describe_account(self._world, account) for account in self._world.accounts.all()])

    async def open_account(self, request: Request) -> Response:
        """Open an account: platform, handle, name, and options of the platform."""
        wanted = NewAccount.model_validate(await request.json())
        platform = self._world.platform(wanted.platform)
        handle = wanted.handle.lstrip("@")
        options = wanted.model_extra or {}
        for name in options:
            if name not in platform.Options.model_fields:
                raise UnknownName("option", name, platform.Options.model_fields or ["(none)"])
        taken = [a.handle for a in self._world.accounts.all() if a.platform == platform.key]
        if handle in taken:
            raise ValueError(f"@{handle} exists already on {platform.key}")
        account = self._world.open_account(platform, handle, wanted.name or handle, options)
        return JSONResponse(describe_account(self._world, account), 201)

    async def disconnect(self, request: Request) -> Response:
        """Take back what the account allowed, as its owner would in the platform's settings."""
        platform = self._world.platform(request.path_params["platform"])
        account = self._world.account(platform.key, request.path_params["account"])
        revoked = self._world.grants.revoke_account(account.id)
        await platform.disconnected(account)
        return JSONResponse({"revoked_grants": revoked})

    async def consent(self, request: Request) -> Response:
        """Answer a consent page: authorize_url, account, deny_scopes, deny. Gives the address to go back to."""
        wanted = Decision.model_validate(await request.json())
        address = urlsplit(wanted.authorize_url)
        platform, desk = consent.desk_at(self._world, address.path)
        asked = desk.read(dict(parse_qsl(address.query, keep_blank_values=True)))
        if wanted.deny:
            return JSONResponse({"redirect_to": consent.deny(desk, asked)})
        account = self._world.account(platform.key, wanted.account)
        for scope in wanted.deny_scopes:
            if scope not in asked.scopes:
                raise UnknownName("scope", scope, asked.scopes)
        kept = tuple(scope for scope in asked.scopes if scope not in wanted.deny_scopes)
        return JSONResponse({"redirect_to": consent.allow(desk, asked, account, kept)})

    async def ledger(self, request: Request) -> Response:
        """Everything that is live, by ?platform= and ?account=."""
        key = request.query_params.get("platform")
        if key:
            self._world.platform(key)
        return JSONResponse(ledger(self._world, key, request.query_params.get("account")))

    async def requests(self, request: Request) -> Response:
        """Every request that came, by ?platform=."""
        key = request.query_params.get("platform")
        return JSONResponse([entry for entry in self._world.requests if key in (None, entry["platform"])])

    async def forget_requests(self, request: Request) -> Response:
        """What came so far is not listed any more."""
        self._world.requests.clear()
        return JSONResponse([])

    async def faults(self, request: Request) -> Response:
        """The faults that wait for their call."""
        return JSONResponse([fault.model_dump(mode="json") for fault in self._world.faults.entries])

    async def set_faults(self, request: Request) -> Response:
        """Replace all faults: platform, call, fault, count and what the fault takes."""
        self._world.faults.replace(await self._fault_list(request))
        return await self.faults(request)

    async def add_faults(self, request: Request) -> Response:
        """Add faults to those that wait."""
        self._world.faults.add(await self._fault_list(request))
        return await self.faults(request)

    @staticmethod
    async def _fault_list(request: Request) -> list[Fault]:
        given = await request.json()
        given = given if isinstance(given, list) else [given]
        for line in given:
            if isinstance(line, dict) and str(line.get("fault")) not in FAULTS:
                raise UnknownName("fault", str(line.get("fault")), FAULTS)
        return _FAULT_LIST.validate_python(given)

    async def clear_faults(self, request: Request) -> Response:
        """Forget all faults."""
        self._world.faults.replace([])
        return JSONResponse([])

    async def clock(self, request: Request) -> Response:
        """What time it is here."""
        clock = self._world.clock
        return JSONResponse({"now": clock.now().isoformat(), "offset_seconds": clock.offset_seconds})

    async def move_clock(self, request: Request) -> Response:
        """Set the time (now) or move it (advance_seconds)."""
        move = Move.model_validate(await request.json())
        if move.now is not None:
            if move.now.tzinfo is None:
                raise ValueError("now: wants a time zone")
            self._world.clock.set(move.now)
        if move.advance_seconds is not None:
            self._world.clock.advance(move.advance_seconds)
        self._world.remember("clock", self._world.clock.offset_seconds)
        return await self.clock(request)

    async def settings(self, request: Request) -> Response:
        """How each platform behaves."""
        return JSONResponse({key: p.settings.model_dump(mode="json") for key, p in self._world.platforms.items()})

    async def change_settings(self, request: Request) -> Response:
        """Change how platforms behave: {platform: {setting: value}}."""
        for key, changes in (await request.json()).items():
            platform = self._world.platform(key)
            for name in changes:
                if name not in platform.Settings.model_fields:
                    raise UnknownName("setting", name, platform.Settings.model_fields)
            platform.settings = platform.Settings.model_validate(platform.settings.model_dump() | changes)
            self._world.remember(f"settings.{key}", platform.settings.model_dump(mode="json"))
        return await self.settings(request)

    async def outage(self, request: Request) -> Response:
        """Let nobody listen for so many seconds."""
        outage = Outage.model_validate(await request.json())
        if self._world.go_dark is None:
            raise ValueError("this sandbox does not run its own socket")
        self._world.soon(self._world.go_dark(outage.seconds))
        return JSONResponse(outage.model_dump())

    async def remove_post(self, request: Request) -> Response:
        """Take a live post down, as its owner would."""
        platform = self._world.platform(request.path_params["platform"])
        if not platform.remove_post(request.path_params["post"]):
            return JSONResponse({"error": "no such live post", "nearest": None}, 404)
        return Response(status_code=204)


def hosts(world: World) -> dict[str, str]:
    """The settings that point a product at this sandbox, without their common prefix."""
    return {
        f"{key}_{host.name}_URL".upper().replace("-", "_"): platform.url(host.name)
        for key, platform in world.platforms.items()
        for host in platform.hosts
        if host.setting
    }


def apps(world: World) -> dict[str, str]:
    named: dict[str, str] = {}
    for key, platform in world.platforms.items():
        named[f"{key.upper()}_CLIENT_ID"] = platform.client_id
        named[f"{key.upper()}_CLIENT_SECRET"] = platform.client_secret
    return named
