"""What do we do next when a platform says no, says nothing, or says something unclear?

Every answer of a platform becomes one verdict; the worker acts on the verdict and never on a status code.
A fault that fits none of them is a bug: it is raised as it is and fails the run loudly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text` is for the creator, `detail` for the operator (secrets removed), `code` names the rule that matched."""

    text: str
    detail: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain(Verdict):
    """A passing fault: the same publication is tried again after `after_seconds` (None: our own back-off)."""

    after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil(Verdict):
    """A limit is used up until `at`; no attempt is spent. `limit` names it as people know it."""

    at: datetime
    limit: str


@dataclass(frozen=True, slots=True)
class Reconnect(Verdict):
    """The grant is dead. `refresh_first` means: one refresh of the access token may cure it."""

    refresh_first: bool = False


@dataclass(frozen=True, slots=True)
class Rejected(Verdict):
    """The platform will never take this; `remedy` says what the creator can do about it."""

    remedy: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown(Verdict):
    """It may or may not have happened: from here on only reads."""


@dataclass(frozen=True, slots=True)
class Operator(Verdict):
    """Our app, our bill or our set-up: this platform stops for everyone until an operator acts on `remedy`."""

    remedy: str = ""


class PlatformFault(Exception):
    """A platform's refusal, already read: carries the verdict to act on."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{type(verdict).__name__}[{verdict.code}]: {verdict.detail or verdict.text}")
        self.verdict = verdict


class HandleDead(PlatformFault):
    """The staged handle (container, session, media id) is proven unusable; `verdict` says when to stage anew."""


class UserError(Exception):
    """Something a person can put right: `text` says what is wrong, `remedy` what to do, `field` where."""

    def __init__(self, text: str, *, remedy: str = "", field: str = "") -> None:
        super().__init__(f"{text} {remedy}".strip())
        self.text = text
        self.remedy = remedy
        self.field = field
