"""Did the one who holds our secret write this?

What platforms build out of a shared secret and a hash: a signature beside a text, and a signed text that carries its
own. Every comparison takes the same time wherever the first difference is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any, Final

from autorepost_app.platform_kit.protocol import NotGenuine

_ALGORITHM: Final = "HMAC-SHA256"


def hmac_hex(secret: str, message: str | bytes) -> str:
    """HMAC-SHA256 in lower-case hex, as most platforms write it."""
    return _hmac(secret, message).hex()


def same(one: str | bytes, other: str | bytes) -> bool:
    """Whether both are equal, without telling by the time it takes how much of them is."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def signed_request(text: str, secret: str) -> dict[str, Any]:
    """The content of `<signature>.<content>`, both base64url without padding. What is signed is the content as it is
    written, not as it decodes to.

    Raises NotGenuine for anything that the holder of `secret` did not write.
    """
    signature, dot, written = text.partition(".")
    if not dot:
        raise NotGenuine("not a signature and a content with a dot between")
    # First the signature: nothing unproven is parsed.
    if not same(_decoded(signature), _hmac(secret, written)):
        raise NotGenuine("the signature is not ours")
    content = _object(_decoded(written))
    if str(content.get("algorithm", "")).upper() != _ALGORITHM:
        raise NotGenuine(f"signed as {content.get('algorithm')!r}, not as {_ALGORITHM}")
    return content


def _hmac(secret: str, message: str | bytes) -> bytes:
    return hmac.digest(secret.encode(), _bytes(message), hashlib.sha256)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(_bytes(text) + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise NotGenuine("not base64url") from None


def _object(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise NotGenuine("the content is no JSON object")
    return parsed
