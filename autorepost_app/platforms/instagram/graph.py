"""How is a call to Graph signed, counted and read page by page?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from autorepost_app.domain.clock import Clock
from autorepost_app.platform_kit.http import Api
from autorepost_app.platform_kit.protocol import Grant
from autorepost_app.platform_kit.signatures import hmac_hex
from autorepost_app.platforms.instagram import errors, quotas

VERSION: Final = "v26.0"


@dataclass(frozen=True, slots=True)
class Graph:
    """One Graph host: the version in every path, the token in a header (addresses end up in logs).

    `proof_secret` proves to the host that it is our app that holds the token; only Facebook's asks for it.
    """

    api: Api
    clock: Clock
    proof_secret: str | None = field(default=None, repr=False)

    def get(self, path: str, token: str, *, counts: str, account: str = "", **params: str) -> httpx.Response:
        signed = self._proven(params, token)
        return self.call("GET", path, counts=counts, account=account, params=signed, headers=bearer(token))

    def post(self, path: str, token: str, form: Mapping[str, str], *, counts: str, account: str = "") -> httpx.Response:
        signed = self._proven(form, token)
        return self.call("POST", path, counts=counts, account=account, form=signed, headers=bearer(token))

    def call(self, method: str, path: str, *, counts: str, account: str = "", **parts: Any) -> httpx.Response:
        """A repeatable call; what the answer tells about limits is heeded before anybody reads it."""
        response = self.api.call(method, versioned(path), counts=counts, account=account, **parts)
        quotas.heed(self.api.meter, response, account, self.clock())
        return response

    def post_request(self, path: str, token: str, form: Mapping[str, str]) -> httpx.Request:
        """Not sent, not counted: for the commit."""
        url = self.api.url(versioned(path))
        return self.api.client.build_request("POST", url, data=self._proven(form, token), headers=bearer(token))

    def pages(self, path: str, token: str, *, counts: str, account: str = "", **params: str) -> Iterator[Page]:
        """The rows of a list, page by page, until the caller has enough or there are no more."""
        after: str | None = None
        while True:
            more = {"after": after} if after else {}
            response = self.get(path, token, counts=counts, account=account, **params, **more)
            body = errors.answer(response, self.clock())
            after = next_cursor(body)
            yield Page(tuple(body.get("data") or ()), last=after is None)
            if after is None:
                return

    def _proven(self, fields: Mapping[str, str], token: str) -> dict[str, str]:
        proof = {"appsecret_proof": hmac_hex(self.proof_secret, token)} if self.proof_secret else {}
        return {**fields, **proof}


@dataclass(frozen=True, slots=True)
class Page:
    rows: tuple[Mapping[str, Any], ...]
    last: bool


def next_cursor(body: Mapping[str, Any]) -> str | None:
    """Where Graph's next page starts. `next` itself is not used: it is an address with the token in it."""
    paging = body.get("paging") or {}
    after = (paging.get("cursors") or {}).get("after")
    return str(after) if paging.get("next") and after else None


def edge(grant: Grant, name: str) -> str:
    return f"/{grant.account.external_id}/{name}"


def versioned(path: str) -> str:
    return f"/{VERSION}{path}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
