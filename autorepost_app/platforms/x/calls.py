"""How does one repeatable call for an account go out to X: signed, counted before, its limits heeded after?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import Grant
from autorepost_app.platforms.x import quotas
from autorepost_app.platforms.x.errors import body_of, data_of


@dataclass(frozen=True, slots=True)
class Calls:
    """Every method raises what `errors.body_of` raises."""

    api: Api
    clock: Clock

    def send(self, name: str, method: str, path: str, grant: Grant, **more: Any) -> httpx.Response:
        """The answer unread. `name` is what the quotas and the rules of `errors` call it."""
        account = grant.account.external_id
        response = self.api.call(method, path, headers=bearer(grant), counts=name, account=account, **more)
        quotas.heed(self.api.meter, name, account, response.headers)
        return response

    def body(self, name: str, method: str, path: str, grant: Grant, **more: Any) -> dict[str, Any]:
        return body_of(self.send(name, method, path, grant, **more), name, self.clock())

    def data(
        self, name: str, method: str, path: str, grant: Grant, *, needed: tuple[str, ...] = (), **more: Any
    ) -> dict[str, Any]:
        """What is in `data`, with each of `needed` in it."""
        return data_of(self.send(name, method, path, grant, **more), name, self.clock(), *needed)


def bearer(grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant.access_token}"}
