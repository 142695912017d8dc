"""What do people do in a run? They connect accounts, make a rule, post, and connect again what was revoked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

import httpx
from chaos.audit import Promise
from chaos.stage import Log, Sandbox
from sqlalchemy.exc import SQLAlchemyError

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import PlatformFault, UserError
from autorepost_app.domain.identity import TenantId, TenantScope
from autorepost_app.domain.rules import RuleDestination
from autorepost_app.services import connect, rules, workspaces
from autorepost_app.services.house import House
from autorepost_app.services.rows import Connection

_CREATORS: Final = 2
_WIDEST: Final = 20
"""So many accounts one post goes to at most; YouTube allows one app 100 uploads a day, so one of them is there."""
IN_THE_WAY: Final = (UserError, PlatformFault, SQLAlchemyError, httpx.HTTPError, OSError)


@dataclass
class Creator:
    """A tenant with one source and the accounts that its posts go to."""

    number: int
    scope: TenantScope
    handles: dict[str, list[str]]
    destinations: list[Connection] = field(default_factory=list)

    @property
    def source(self) -> str:
        return self.handles["tiktok"][0]


def width(publications: int) -> int:
    """How many accounts a post goes to, so that there are enough posts for enough runs."""
    return min(max(publications // 50, 3), _WIDEST)


def settle_in(house: House, sandbox: Sandbox, publications: int) -> list[Creator]:
    """Everything that people do before the first post."""
    sandbox.control("PUT", "/settings", {"instagram": {"posts_per_day": 100}, "tiktok": {"calls_per_minute": 6000}})
    return [_settle(house, sandbox, number, width(publications)) for number in range(_CREATORS)]


def _settle(house: House, sandbox: Sandbox, number: int, wide: int) -> Creator:
    tenant = workspaces.open_workspace(
        house, name=f"Creator {number}", slug=f"creator-{number}", owner_email=f"creator{number}@example.org"
    )
    scope = TenantScope(TenantId(tenant.id), None, "chaos")
    counts = {"tiktok": 1, "youtube": 1, "instagram": wide // 2, "x": wide - 1 - wide // 2}
    handles = {key: [f"{key[0]}{number}{letter}" for letter in _letters(count)] for key, count in counts.items()}
    creator = Creator(number, scope, handles)
    made = [(key, _connect(house, sandbox, scope, key, handle)) for key, names in handles.items() for handle in names]
    source = next(row for key, row in made if key == "tiktok")
    creator.destinations = [row for key, row in made if key != "tiktok"]
    wanted = [RuleDestination(row.id) for row in creator.destinations]
    rules.make_rule(house, scope, name="everything", source_connection_id=source.id, destinations=wanted)
    return creator


def _letters(count: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[:count]


def _connect(
    house: House, sandbox: Sandbox, scope: TenantScope, platform: str, handle: str, *, again: str | None = None
) -> Connection:
    if again is None:
        sandbox.control("POST", "/accounts", {"platform": platform, "handle": handle, "name": handle})
    callback = f"{house.links.base_url}/oauth/{platform}/callback"
    began = connect.begin(house, scope, platform, redirect_uri=callback, connection_id=again)
    answer = sandbox.control("POST", "/consent", {"authorize_url": began.url, "account": handle.lstrip("@")})
    return connect.finish(house, scope, dict(httpx.URL(answer["redirect_to"]).params))


def reconnect(house: House, sandbox: Sandbox, creators: list[Creator], log: Log) -> int:
    """People see that a grant is dead and give it again; how many. What is in their way they try again later."""
    done = 0
    for creator in creators:
        try:
            rows = connect.connections_of(house, creator.scope)
            for row in (each for each in rows if each.status == ConnectionStatus.NEEDS_RECONNECT):
                _connect(house, sandbox, creator.scope, row.platform, str(row.handle), again=row.id)
                log.tell("connected again", platform=row.platform, handle=row.handle)
                done += 1
        except IN_THE_WAY as error:
            log.tell("could not connect again", why=f"{type(error).__name__}: {error}"[:300])
    return done


def post(sandbox: Sandbox, creator: Creator, number: int) -> list[Promise]:
    """One post, and what the rule promises for it. Raises httpx.HTTPError: nobody answers; it may be tried again."""
    word = f"clip{creator.number}x{number:04}"
    post_id = _posted(sandbox, creator, word) or sandbox.post(creator.source, f"{word} A walk in the park #{word}")
    return [Promise(post_id, word, row.platform, row.external_account_id) for row in creator.destinations]


def _posted(sandbox: Sandbox, creator: Creator, word: str) -> str | None:
    """What came of an earlier try of which nothing was heard."""
    there = sandbox.control("GET", f"/ledger?platform=tiktok&account={creator.source}")["posts"]
    return next((str(each["id"]) for each in there if word in json.dumps(each["text"])), None)
