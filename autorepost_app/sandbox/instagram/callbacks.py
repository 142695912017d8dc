"""What does Meta post to the app by itself? Signed requests on removal and on data deletion."""

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any

import httpx

from autorepost_app.sandbox.platform import Account

if TYPE_CHECKING:
    from autorepost_app.sandbox.instagram import Instagram


def signed_request(secret: str, payload: dict[str, Any]) -> str:
    """Two unpadded base64url parts; what is signed is the encoded text of the second."""
    text = _encoded(json.dumps(payload, separators=(",", ":")).encode())
    return f"{_encoded(hmac.digest(secret.encode(), text.encode(), 'sha256'))}.{text}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Callbacks:
    def __init__(self, platform: "Instagram") -> None:
        self._platform = platform

    def _request_of(self, account: Account) -> str:
        now = self._platform.world.clock.epoch()
        # The app-scoped id, not the one in publishing paths.
        who = {"user_id": self._platform.scoped_id(account.id), "algorithm": "HMAC-SHA256"}
        return signed_request(self._platform.client_secret, {**who, "issued_at": now, "expires": now + 3600})

    async def deauthorized(self, account: Account) -> None:
        if url := self._platform.settings.deauthorize_url:
            await self._post(url, account)

    async def delete_data(self, account: Account) -> dict[str, Any]:
        """Asks the app to forget a person; what it answered is what Meta would show them."""
        url = self._platform.settings.data_deletion_url
        if url is None:
            raise ValueError("set data_deletion_url first")
        reply = await self._post(url, account)
        if reply is None:
            raise ValueError("the app did not answer")
        body: dict[str, Any] = reply.json()
        if set(body) != {"url", "confirmation_code"}:
            raise ValueError("the app answered without url and confirmation_code")
        return body

    async def _post(self, url: str, account: Account) -> httpx.Response | None:
        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
                return await client.post(url, data={"signed_request": self._request_of(account)})
        except httpx.HTTPError:
            return None
