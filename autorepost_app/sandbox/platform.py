"""What must a platform bring to live in the sandbox? One subclass of `Platform`, found by scanning."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from autorepost_app.sandbox.faults import Fault
from autorepost_app.sandbox.footage import Facts
from autorepost_app.sandbox.oauth import Desk
from autorepost_app.sandbox.records import Record

if TYPE_CHECKING:
    from autorepost_app.sandbox.world import World


class Refusal(Exception):
    """The platform says no; `response` is how it says it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Ask(Request):
    """A request under one fault. The three things a call has to honour itself are read from here."""

    fault: Fault | None = None

    def _param(self, fault: str, name: str) -> Any:
        return getattr(self.fault, name) if self.fault and self.fault.fault == fault else None

    @property
    def lag_seconds(self) -> float:
        return float(self._param("read_lag", "seconds") or 0.0)

    @property
    def failure_reason(self) -> str | None:
        if self.fault and self.fault.fault == "processing_failed":
            return self.fault.reason or "default"
        return None

    @property
    def cut_file_after(self) -> int | None:
        cut = self._param("truncated", "bytes")
        return None if cut is None else int(cut)


Answer = Callable[[Ask], Awaitable[Response]]


@dataclass(frozen=True)
class Call:
    """One documented call. `name` is what a fault names; `also` finds narrower names for one request."""

    host: str
    method: str
    path: str
    name: str
    answer: Answer
    also: Callable[[Ask], Awaitable[tuple[str, ...]]] | None = None
    other_names: tuple[str, ...] = ()

    async def names(self, ask: Ask) -> tuple[str, ...]:
        return (*await self.also(ask), self.name) if self.also else (self.name,)


@dataclass(frozen=True)
class Host:
    """One of the platform's hosts; `setting` False for one that only people's browsers visit."""

    name: str
    setting: bool = True


class Account(Record):
    platform: str
    handle: str
    name: str
    created_at: datetime
    options: dict[str, Any] = Field(default_factory=dict)


class Upload(Record):
    """One completed transfer of one file to one account."""

    platform: str
    sha256: str
    at: datetime


class LivePost(BaseModel):
    """One post that people can see (or its owner can, by `visibility`)."""

    platform: str
    account: str
    account_id: str
    id: str
    permalink: str
    text: dict[str, Any]
    created_at: datetime
    visibility: str = "public"
    media: Facts | None
    details: dict[str, Any] = Field(default_factory=dict)


class Strict(BaseModel):
    """Options and settings: a misspelt name is an error, never silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Platform(ABC):
    """The registry makes one of each subclass that a module of this package names `PLATFORM`."""

    key: ClassVar[str]
    title: ClassVar[str]
    hosts: ClassVar[tuple[Host, ...]]
    Options: ClassVar[type[Strict]] = Strict
    Settings: ClassVar[type[Strict]] = Strict

    def __init__(self, world: "World") -> None:
        self.world = world
        self.settings: Any = self.Settings()

    @property
    def client_id(self) -> str:
        return f"sandbox-{self.key}-client"

    @property
    def client_secret(self) -> str:
        return f"sandbox-{self.key}-secret"

    def url(self, host: str) -> str:
        return f"{self.world.base_url}/{self.key}-{host}"

    def json(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse(body, status, headers)

    @abstractmethod
    def calls(self) -> Sequence[Call]: ...

    @abstractmethod
    def desks(self) -> Sequence[Desk]: ...

    def control_routes(self) -> Sequence[BaseRoute]:
        """Controls only this platform has, below /_sandbox/<key>."""
        return ()

    @abstractmethod
    def new_account_id(self, handle: str) -> str: ...

    @abstractmethod
    def live_posts(self, account: Account) -> list[LivePost]: ...

    @abstractmethod
    def orphans(self) -> dict[str, int]:
        """Things handed in that no post uses, by kind."""

    @abstractmethod
    def remove_post(self, post_id: str) -> bool:
        """The owner deletes a post in the platform's own app."""

    def account_in(self, ask: Ask) -> str | None:
        """The account a request is about where its address says so."""
        return None

    async def resume(self) -> None:  # noqa: B027  most platforms have nothing to take up again
        """Takes up work that a restart of the sandbox interrupted."""

    async def disconnected(self, account: Account) -> None:  # noqa: B027  a platform may tell nobody
        """A person removed the app in the platform's settings; the grants are already dead."""

    @abstractmethod
    def server_error(self, status: int = 500) -> Response: ...

    @abstractmethod
    def rate_limited(self, ask: Ask, call: str, seconds: float) -> Response: ...

    @abstractmethod
    def quota_used_up(self, ask: Ask, call: str) -> Response: ...

    @abstractmethod
    def denied_although_done(self, call: str) -> Response: ...
