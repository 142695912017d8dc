"""Under which address can a platform fetch a stored file, for a while and without signing in?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from itsdangerous import BadSignature, URLSafeSerializer

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import PlatformFault, UserError
from autorepost_app.platform_kit.http import Api, new_client

PATH: Final = "/media/signed/"
"""Below `/media/` Streamlit keeps files of its own, by other names."""
TRIAL: Final = ""
"""The key of no file: a link to it only says that we were reached."""
_TRIAL_SECONDS: Final = 30.0
_SETTING: Final = "AUTOREPOST_PUBLIC_URL"


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
                field=_SETTING,
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

    def trial_answer(self) -> str:
        """What a fetched trial link says: only this installation can have written it."""
        return str(self._serializer("trial").dumps(int(self.clock().timestamp())))

    def is_trial_answer(self, text: str) -> bool:
        try:
            said_at = self._serializer("trial").loads(text)
        except (BadSignature, ValueError):
            return False
        return abs(self.clock().timestamp() - float(said_at)) < _TRIAL_SECONDS

    def _serializer(self, salt: str = "media") -> URLSafeSerializer:
        return URLSafeSerializer(self.secret, salt=salt)


def check_reachable(links: SignedLinks) -> None:
    """Fetches a link of ours by the public address, as a platform would. Raises UserError with what to mend.

    From inside a network it may look different than from outside: this finds what is wrong with the name, the
    certificate and the proxy, not a firewall that lets only us through.
    """
    client = new_client(_TRIAL_SECONDS)
    try:
        answer = Api(client, links.base_url, links.base_url).call("GET", links.address(TRIAL, _TRIAL_SECONDS))
    except PlatformFault as fault:
        raise UserError(
            f"{links.base_url} does not answer: {fault.verdict.detail}.",
            remedy="Let AUTOREPOST_PUBLIC_URL lead here: check the name, the certificate and the reverse proxy.",
            field=_SETTING,
        ) from fault
    finally:
        client.close()
    if not (answer.is_success and links.is_trial_answer(answer.text)):
        raise UserError(
            f"{links.base_url} is answered by something else (status {answer.status_code}).",
            remedy=f"Let the reverse proxy pass {PATH} to this process, path and Host unchanged.",
            field=_SETTING,
        )
