"""Which call shall go wrong, for whom, how and how often? The book of faults a test or a person writes."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

FAULTS = {
    "refuse": "the connection is cut as soon as the request line is known; nothing is read, nothing is done",
    "reset_before_body": "reset after the headers, before the body is read; nothing is done",
    "reset_mid_body": "reset after `bytes` of the body; the call sees what arrived, as after a lost network",
    "reset_after_body": "the whole body is read, nothing is done, then reset",
    "commit_then_reset": "done, then reset instead of an answer",
    "commit_then_500": "done, then answered with the platform's server error (`status` for another one)",
    "commit_late": "answered with a server error now (`reset`: true to reset), done `seconds` later by itself",
    "rate_limited": "refused with the platform's rate-limit answer and headers; `seconds` until it is over",
    "client_error_although_done": "done, then answered with a 4xx (`status` and `body` for another one)",
    "ok_without_id": "done, then answered 200 with an empty JSON object",
    "slow": "`seconds` of real time pass before the work (`after_work`: true for before the answer)",
    "read_lag": "the read answers as of `seconds` ago",
    "read_error": "answered with the platform's server error; nothing is done",
    "token_revoked": "the account's grants are revoked, then the call runs",
    "processing_failed": "the media this call hands in fails processing with `reason`",
    "quota_used_up": "refused as when the platform's daily quota is used up",
    "truncated": "the file ends after `bytes` although more was promised",
    "error": "refused with exactly `status`, `body` and `headers`; nothing is done",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like `name`: a typing mistake should cost one look, not ten minutes."""
    return get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


class UnknownName(ValueError):
    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.nearest = nearest(name, known)
        super().__init__(f"unknown {what} {name!r}; nearest known: {self.nearest!r}")


class Fault(BaseModel):
    """One line of the book. `count` null means for ever; `after` lets the first n matching calls pass."""

    model_config = ConfigDict(extra="forbid")

    platform: str
    call: str
    fault: str
    account: str | None = None
    count: int | None = Field(default=1, ge=1)
    after: int = Field(default=0, ge=0)
    seconds: float = Field(default=60.0, ge=0)
    bytes: int = Field(default=4096, ge=0)
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    reason: str | None = None
    reset: bool = False
    after_work: bool = False
    seen: int = 0
    hits: int = 0

    @model_validator(mode="before")
    @classmethod
    def _params_may_be_nested(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(params := given.get("params"), dict):
            return {**{k: v for k, v in given.items() if k != "params"}, **params}
        return given

    def matches(self, platform: str, names: tuple[str, ...], account: set[str]) -> bool:
        return (
            self.platform in (platform, "*")
            and (self.call in names or self.call == "*")
            and (self.account is None or self.account.lstrip("@") in account)
        )

    def strikes(self) -> bool:
        """Counts one matching call and says whether this is one of those that go wrong."""
        self.seen += 1
        if self.seen <= self.after or (self.count is not None and self.hits >= self.count):
            return False
        self.hits += 1
        return True


class FaultBook:
    """All faults in force. `calls` maps each platform to the names of its calls, for checking what is written."""

    def __init__(self, calls: dict[str, set[str]]) -> None:
        self._calls = calls
        self.entries: list[Fault] = []

    def check(self, fault: Fault) -> Fault:
        if fault.fault not in FAULTS:
            raise UnknownName("fault", fault.fault, FAULTS)
        if fault.platform != "*" and fault.platform not in self._calls:
            raise UnknownName("platform", fault.platform, self._calls)
        known = set().union(*self._calls.values()) if fault.platform == "*" else self._calls[fault.platform]
        if fault.call != "*" and fault.call not in known:
            raise UnknownName("call", fault.call, sorted(known))
        return fault

    def replace(self, faults: list[Fault]) -> None:
        self.entries = [self.check(fault) for fault in faults]

    def add(self, faults: list[Fault]) -> None:
        self.entries += [self.check(fault) for fault in faults]

    def asks_for_account(self, platform: str, names: tuple[str, ...]) -> bool:
        return any(f.account and f.platform in (platform, "*") and f.call in (*names, "*") for f in self.entries)

    def strike(self, platform: str, names: tuple[str, ...], account: set[str]) -> Fault | None:
        """The first fault that wants this call; a call suffers at most one."""
        for fault in self.entries:
            if fault.matches(platform, names, account) and fault.strikes():
                return fault
        return None
