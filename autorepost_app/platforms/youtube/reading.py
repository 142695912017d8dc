"""How is the Data API asked, and when is its answer whole enough to conclude something from it?

An empty list and a list that got lost look alike once parsed; only the first may ever prove that something is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.platform_kit.http import Api, json_object
from autorepost_app.platform_kit.protocol import Grant
from autorepost_app.platforms.youtube.errors import refusal, unreadable


@dataclass(frozen=True, slots=True)
class DataApi:
    """The calls of the Data API by their documented names, such as `videos.list`."""

    api: Api
    clock: Clock

    def read(self, call: str, grant: Grant, params: Mapping[str, str]) -> dict[str, Any]:
        """Raises PlatformFault unless a whole answer came."""
        response = self.api.call(
            "GET",
            f"/youtube/v3/{call.removesuffix('.list')}",
            params=params,
            headers=bearer(grant),
            counts=call,
            account=grant.account.external_id,
        )
        return self.body(response)

    def body(self, response: httpx.Response) -> dict[str, Any]:
        """What a call answered that cannot do without its answer."""
        if not response.is_success:
            raise refusal(response, self.clock())
        body = json_object(response)
        if not body:
            raise unreadable(response)
        return body


def bearer(grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant.access_token}"}


def items(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(body.get("items") or [])


def uploads_playlist(channel: Mapping[str, Any]) -> str:
    """The playlist of everything the channel uploaded; "" where the answer does not name it."""
    return str(((channel.get("contentDetails") or {}).get("relatedPlaylists") or {}).get("uploads") or "")
