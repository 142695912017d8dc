"""How is the Data API asked, and when is its answer whole enough to conclude something from it?

An empty list and a list that got lost look alike once parsed; only the first may ever prove that something is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.platform_kit.http import Api, json_object
from autorepost_app.platform_kit.protocol import Allowance, Grant
from autorepost_app.platforms.youtube.errors import CHANNEL_LIMIT, refusal, unreadable
from autorepost_app.platforms.youtube.limits import QUOTAS


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
        if not response.is_success:
            raise self.refused(response, call, grant)
        return answered(response)

    def refused(self, response: httpx.Response, call: str, grant: Grant) -> PlatformFault:
        """The fault to raise. A limit that YouTube calls used up is told to the meter, so that others wait as well."""
        fault = refusal(response, self.clock(), call)
        if isinstance(fault.verdict, WaitUntil):
            quota, scope = limit_reached(fault.verdict.code, call)
            told = Allowance(remaining=0, resets_at=fault.verdict.at)
            self.api.meter.settle(quota, grant.account.external_id if scope == "account" else "", told)
        return fault


def answered(response: httpx.Response) -> dict[str, Any]:
    """The body of a success. Raises PlatformFault where it is none: nothing may be concluded from it."""
    body = json_object(response)
    if not body:
        raise unreadable(response)
    return body


def limit_reached(code: str, call: str) -> tuple[str, str]:
    """Name and scope of the rule behind a refusal."""
    if code == CHANNEL_LIMIT:
        return "channel_uploads", "account"
    return next((rule.name, rule.scope) for rule in QUOTAS if rule.scope == "app" and call in rule.costs)


def bearer(grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant.access_token}"}


def items(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(body.get("items") or [])


def uploads_playlist(channel: Mapping[str, Any]) -> str:
    """The playlist of everything the channel uploaded; "" where the answer does not name it."""
    return str(((channel.get("contentDetails") or {}).get("relatedPlaylists") or {}).get("uploads") or "")
