"""How does one request run? The call's own answer, bent by at most one fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from autorepost_app.sandbox import wire
from autorepost_app.sandbox.faults import Fault
from autorepost_app.sandbox.footage import BLOCK
from autorepost_app.sandbox.platform import Ask, Call, Platform, Refusal
from autorepost_app.sandbox.world import World

_TOKEN_FIELDS = ("access_token", "refresh_token", "token", "code", "input_token")
_SMALL_BODY = 64 * 1024


class Exchange:
    """One request on its way through one call."""

    def __init__(self, world: World, platform: Platform, call: Call, scope: Scope, receive: Receive) -> None:
        self.world, self.platform, self.call = world, platform, call
        self.scope, self.receive = scope, receive
        self.ask = Ask(scope, receive)

    async def work(self, ask: Ask | None = None) -> Response:
        try:
            return await self.call.answer(ask or self.ask)
        except Refusal as refusal:
            return refusal.response

    async def reset(self) -> None:
        await wire.reset(self.scope, self.receive)

    async def swallow(self) -> None:
        async for _ in self.ask.stream():
            pass

    async def keep_body(self) -> Ask:
        """Takes the body off the wire, so that the call can run even when the sender is gone."""
        spool = await self.world.vault.drain(self.ask.stream())
        replay = Ask(self.scope, _read_from(spool))
        replay.fault = self.ask.fault
        return replay


def _read_from(spool: Path) -> Receive:
    blocks = _blocks(spool)

    async def receive() -> Message:
        block = await anext(blocks, b"")
        return {"type": "http.request", "body": block, "more_body": bool(block)}

    return receive


async def _blocks(spool: Path) -> AsyncIterator[bytes]:
    with spool.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
    spool.unlink()


async def _cut(exchange: Exchange, fault: Fault) -> None:
    await exchange.reset()


async def _reset_after_body(exchange: Exchange, fault: Fault) -> None:
    await exchange.swallow()
    await exchange.reset()


async def _reset_mid_body(exchange: Exchange, fault: Fault) -> None:
    cut = partial(wire.abort, exchange.scope)
    exchange.ask = Ask(exchange.scope, wire.cut_body(exchange.receive, fault.bytes, cut))
    with contextlib.suppress(ClientDisconnect):
        await exchange.work()
    await exchange.reset()


async def _commit_then_reset(exchange: Exchange, fault: Fault) -> None:
    await exchange.work()
    await exchange.reset()


async def _commit_then_500(exchange: Exchange, fault: Fault) -> Response:
    await exchange.work()
    return exchange.platform.server_error(fault.status or 500)


async def _commit_late(exchange: Exchange, fault: Fault) -> Response | None:
    late = await exchange.keep_body()
    exchange.world.later(exchange.world.clock.after(fault.seconds), partial(exchange.work, late))
    if fault.reset:
        await exchange.reset()
        return None
    return exchange.platform.server_error(fault.status or 500)


async def _rate_limited(exchange: Exchange, fault: Fault) -> Response:
    await exchange.swallow()
    response = exchange.platform.rate_limited(exchange.ask, exchange.call.name, fault.seconds)
    response.status_code = fault.status or response.status_code
    return response


async def _client_error_although_done(exchange: Exchange, fault: Fault) -> Response:
    await exchange.work()
    if fault.body is not None or fault.status:
        return JSONResponse(fault.body, fault.status or 400, fault.headers)
    return exchange.platform.denied_although_done(exchange.call.name)


async def _ok_without_id(exchange: Exchange, fault: Fault) -> Response:
    await exchange.work()
    return JSONResponse({}, fault.status or 200)


async def _slow(exchange: Exchange, fault: Fault) -> Response:
    kept = await exchange.keep_body()
    if fault.after_work:
        response = await exchange.work(kept)
        await asyncio.sleep(fault.seconds)
        return response
    await asyncio.sleep(fault.seconds)
    return await exchange.work(kept)


async def _read_error(exchange: Exchange, fault: Fault) -> Response:
    await exchange.swallow()
    return exchange.platform.server_error(fault.status or 500)


async def _token_revoked(exchange: Exchange, fault: Fault) -> Response:
    account_id = await account_of(exchange.world, exchange.platform, exchange.ask)
    if account_id:
        exchange.world.grants.revoke_account(account_id)
    return await exchange.work()


async def _quota_used_up(exchange: Exchange, fault: Fault) -> Response:
    await exchange.swallow()
    return exchange.platform.quota_used_up(exchange.ask, exchange.call.name)


async def _error(exchange: Exchange, fault: Fault) -> Response:
    await exchange.swallow()
    if isinstance(fault.body, str):
        return Response(fault.body, fault.status or 500, fault.headers)
    return JSONResponse(fault.body, fault.status or 500, fault.headers)


# Faults that are not here (read_lag, processing_failed, truncated) are honoured by the calls themselves.
_BENT: dict[str, Callable[[Exchange, Fault], Awaitable[Response | None]]] = {
    "refuse": _cut,
    "reset_before_body": _cut,
    "reset_mid_body": _reset_mid_body,
    "reset_after_body": _reset_after_body,
    "commit_then_reset": _commit_then_reset,
    "commit_then_500": _commit_then_500,
    "commit_late": _commit_late,
    "rate_limited": _rate_limited,
    "client_error_although_done": _client_error_although_done,
    "ok_without_id": _ok_without_id,
    "slow": _slow,
    "read_error": _read_error,
    "token_revoked": _token_revoked,
    "quota_used_up": _quota_used_up,
    "error": _error,
}


async def account_of(world: World, platform: Platform, ask: Ask) -> str | None:
    """Whose request is this? From the address, the token in head or query, or a small form body."""
    if named := platform.account_in(ask):
        return named
    _, _, bearer = ask.headers.get("authorization", "").partition(" ")
    texts = [bearer, *(ask.query_params.get(field, "") for field in _TOKEN_FIELDS)]
    if int(ask.headers.get("content-length") or 0) <= _SMALL_BODY and "form" in ask.headers.get("content-type", ""):
        form = parse_qs((await ask.body()).decode(errors="replace"))
        texts += [form.get(field, [""])[0] for field in _TOKEN_FIELDS]
    for text in filter(None, texts):
        if found := world.grants.tokens.get(text) or world.grants.codes.get(text):
            return found.account_id
    return None


class CallApp:
    """The ASGI application behind one call: finds the fault, runs the exchange, writes the request log."""

    def __init__(self, world: World, platform: Platform, call: Call) -> None:
        self._world, self._platform, self._call = world, platform, call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self._world, self._platform, self._call, scope, receive)
        names = await self._names(exchange.ask)
        fault = await self._fault(exchange, names)
        exchange.ask.fault = fault
        entry = self._log(exchange, names, fault)
        try:
            response = await self._bend(exchange, fault)
        except ClientDisconnect:
            # The sender went away in the middle of its body; what the call took from it stays taken.
            entry["status"] = "sender gone"
            return
        entry["status"] = response.status_code if response else "cut"
        if response:
            await response(scope, receive, send)

    @staticmethod
    async def _bend(exchange: Exchange, fault: Fault | None) -> Response | None:
        if fault and (bend := _BENT.get(fault.fault)):
            return await bend(exchange, fault)
        return await exchange.work()

    async def _names(self, ask: Ask) -> tuple[str, ...]:
        try:
            return await self._call.names(ask)
        except Refusal:
            # A head too broken to tell the calls apart is refused again, properly, when the call runs.
            return (self._call.name,)

    async def _fault(self, exchange: Exchange, names: tuple[str, ...]) -> Fault | None:
        account: set[str] = set()
        if self._world.faults.asks_for_account(self._platform.key, names):
            account_id = await account_of(self._world, self._platform, exchange.ask)
            found = self._world.accounts.get(account_id or "")
            account = {found.id, found.handle} if found else set()
        return self._world.faults.strike(self._platform.key, names, account)

    def _log(self, exchange: Exchange, names: tuple[str, ...], fault: Fault | None) -> dict[str, Any]:
        # The query is left out on purpose: tokens and codes travel in it.
        entry: dict[str, Any] = {
            "at": self._world.clock.now().isoformat(),
            "platform": self._platform.key,
            "call": names[0],
            "method": exchange.scope["method"],
            "path": exchange.scope["path"],
            "fault": fault.fault if fault else None,
            "status": None,
        }
        self._world.requests.append(entry)
        return entry
