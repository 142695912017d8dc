"""What does TikTok tell the app by itself? Signed events, sent again until somebody says 200."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx

from autorepost_app.sandbox.platform import Account

if TYPE_CHECKING:
    from autorepost_app.sandbox.tiktok import TikTok

FIRST_WAIT_SECONDS = 2.0
GIVE_UP_SECONDS = 72 * 3600.0


def signature(secret: str, moment: int, body: bytes) -> str:
    mark = hmac.new(secret.encode(), f"{moment}.".encode() + body, "sha256").hexdigest()
    return f"t={moment},s={mark}"


class Webhooks:
    def __init__(self, platform: "TikTok") -> None:
        self._platform = platform

    def authorization_removed(self, account: Account, reason: int) -> None:
        self._send("authorization.removed", account, {"reason": reason})

    def _send(self, event: str, account: Account, content: dict[str, Any]) -> None:
        if self._platform.settings.webhook_url is None:
            return
        body = {
            "client_key": self._platform.client_id,
            "event": event,
            "create_time": self._platform.world.clock.epoch(),
            "user_openid": account.id,
            # A JSON text inside JSON: readers parse twice.
            "content": json.dumps(content),
        }
        self._platform.world.soon(self._deliver(json.dumps(body).encode(), FIRST_WAIT_SECONDS))

    async def _deliver(self, body: bytes, wait_seconds: float) -> None:
        url = self._platform.settings.webhook_url
        if url is None or wait_seconds > GIVE_UP_SECONDS:
            return
        world = self._platform.world
        mark = signature(self._platform.client_secret, world.clock.epoch(), body)
        headers = {"TikTok-Signature": mark, "Content-Type": "application/json"}
        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
                taken = (await client.post(url, content=body, headers=headers)).status_code == 200
        except httpx.HTTPError:
            taken = False
        if not taken:
            again: Callable[[], Awaitable[None]] = lambda: self._deliver(body, wait_seconds * 2)  # noqa: E731
            world.later(world.clock.after(wait_seconds), again)
