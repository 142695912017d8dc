"""Under which address can a platform fetch a stored file, for a while and without signing in?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from itsdangerous import BadSignature, URLSafeSerializer

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import UserError

PATH: Final = "/media/signed/"
"""Below `/media/` Streamlit keeps files of its own, by other names."""


class LinkRefused(Exception):
    """The link was changed or has run out."""


@dataclass(frozen=True, slots=True)
class SignedLinks:
    """Addresses under our own web process. `reachable` is False where no platform could ever fetch them."""

    base_url: str
    secret: bytes = field(repr=False)
    clock: Clock
    reachable: bool = True

    def address(self, key: str, ttl_seconds: float) -> str:
        """A secret: whoever has it may read the file until then."""
        if not self.reachable:
            raise UserError(
                "The platform has to fetch the video from this installation, which has no public address.",
                remedy="Set AUTOREPOST_PUBLIC_URL to the https address of this installation, or keep files in S3.",
                field="AUTOREPOST_PUBLIC_URL",
            )
        expires = int(self.clock().timestamp() + ttl_seconds)
        return f"{self.base_url}{PATH}{self._serializer().dumps([key, expires])}"

    def key_of(self, signed: str) -> str:
        """The key of the file that `signed`, the address' last part, stands for. Raises LinkRefused."""
        try:
            key, expires = self._serializer().loads(signed)
        except (BadSignature, ValueError, TypeError) as error:
            raise LinkRefused("changed") from error
        if self.clock().timestamp() >= expires:
            raise LinkRefused("run out")
        return str(key)

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(self.secret, salt="media")
