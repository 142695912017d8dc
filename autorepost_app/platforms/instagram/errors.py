"""What does an answer of Instagram mean, and what do we do next?

The only place that reads its status codes, error bodies and container states, by the table in `rules.py`. One reader
for each way an answer reaches us: a repeatable call, the login, an upload, a container's state, the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import regex

from autorepost_app.domain.errors import (
    HandleDead,
    Operator,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    Verdict,
    WaitUntil,
)
from autorepost_app.platform_kit.http import describe, describe_lost, json_object, unclear, without_secrets
from autorepost_app.platform_kit.protocol import Absent, Done, Finding, Live, NotDone, Outcome, TokenSet, Undecided
from autorepost_app.platforms.instagram.quotas import regain_seconds
from autorepost_app.platforms.instagram.rules import (
    APP_REFUSED,
    EXPIRED,
    FAILED,
    LOGIN_REFUSED,
    NOT_INVITED,
    RULES,
    SERVER_DOWN,
    STUCK,
    TOKEN_DEAD,
    TOO_MANY,
    TOO_YOUNG,
    WAY_BACK_REFUSED,
    Kind,
    Rule,
)

NAME: Final = "Instagram"


class UnreadAnswer(RuntimeError):
    """Instagram said something to a repeatable call that no rule reads: a bug of ours."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"no rule reads this answer of {NAME}: {describe(response)}")


# ------------------------------------------------------------------------------------------------- matching a rule


@dataclass(frozen=True, slots=True)
class GraphError:
    """What Graph says in `error`, and nothing else of it. `message` is read only where no number tells."""

    code: int | None
    subcode: int | None
    transient: bool
    message: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> GraphError | None:
        error = body.get("error")
        if not isinstance(error, dict):
            return None
        code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
        return cls(code, subcode, error.get("is_transient") is True, str(error.get("message") or ""))


def rule_for(error: GraphError) -> Rule | None:
    return next((rule for rule in (*RULES, APP_REFUSED) if _matches(rule, error)), None) or _rule_of(error.message)


_MESSAGES: Final = {
    "Invalid platform app": APP_REFUSED,
    "Error validating client secret": APP_REFUSED,
    "Invalid appsecret_proof": APP_REFUSED,
    "redirect_uri": WAY_BACK_REFUSED,
    "Insufficient developer role": NOT_INVITED,
}


def _rule_of(message: str) -> Rule | None:
    """Refusals that have no number of their own."""
    return next((rule for words, rule in _MESSAGES.items() if words in message), None)


def _matches(rule: Rule, error: GraphError) -> bool:
    return (
        (not rule.codes or error.code in rule.codes)
        and (not rule.subcodes or error.subcode in rule.subcodes)
        and (not rule.transient or error.transient)
    )


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def verdict(rule: Rule, detail: str, now: datetime, wait_seconds: float | None = None) -> Verdict:
    code = f"instagram.{rule.name}"
    match rule.kind:
        case Kind.WAIT:
            at = now + timedelta(seconds=wait_seconds or rule.seconds or 0)
            return WaitUntil(rule.text, detail, code, at=at, limit=rule.limit)
        case Kind.RECONNECT:
            return Reconnect(rule.text, detail, code)
        case Kind.REJECT:
            return Rejected(rule.text, detail, code, rule.remedy)
        case Kind.OPERATOR:
            return Operator(rule.text, detail, code, rule.remedy)
        case _:
            return TryAgain(rule.text, detail, code, rule.seconds)


def _fault(rule: Rule, response: httpx.Response, now: datetime) -> PlatformFault:
    said = describe(response) if json_object(response) else describe_lost(response)
    return PlatformFault(verdict(rule, said, now, regain_seconds(response)))


# ------------------------------------------------------------------------------------------ answers to repeatable calls


def answer(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """The body of a good answer. Raises PlatformFault for a refusal, UnreadAnswer for what no rule reads."""
    body = json_object(response)
    error = GraphError.of(body)
    if error is None and response.is_success and body:
        return body
    rule = rule_for(error) if error else None
    if rule is None and response.status_code == 429:
        rule = TOO_MANY
    # Edges of the platform answer without JSON now and then, in any status.
    if rule is None and (response.is_server_error or (not body and (response.is_success or not _is_json(response)))):
        rule = SERVER_DOWN
    if rule is None:
        raise UnreadAnswer(response)
    raise _fault(rule, response, now)


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


def row(response: httpx.Response, now: datetime, *needed: str) -> Mapping[str, Any]:
    """As `answer`, for replies that Meta's pages print inside a `data` array and the live service sends flat."""
    return _row(response, answer(response, now), needed)


def login_row(response: httpx.Response, now: datetime) -> Mapping[str, Any]:
    return _row(response, login_answer(response, now), ())


def _row(response: httpx.Response, body: Mapping[str, Any], needed: tuple[str, ...]) -> Mapping[str, Any]:
    rows = body.get("data")
    found = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else body
    if not all(found.get(name) for name in needed):
        raise UnreadAnswer(response)
    return found


def login_answer(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """As `answer`, for the exchange of a code: api.instagram.com says no in a shape of its own, and whatever else
    is refused here is cured by one more consent."""
    body = json_object(response)
    error = GraphError.of(body)
    if response.is_client_error and response.status_code != 429 and (error is None or rule_for(error) is None):
        raise _fault(_rule_of(str(body.get("error_message"))) or LOGIN_REFUSED, response, now)
    return answer(response, now)


def refuse_young(tokens: TokenSet, now: datetime) -> None:
    """Raises for a token that Instagram would refuse to renew for its age, without asking it."""
    if tokens.issued_at is not None and now < tokens.issued_at + _YOUNG:
        at = tokens.issued_at + _YOUNG
        raise PlatformFault(verdict(TOO_YOUNG, f"issued at {tokens.issued_at}", now, (at - now).total_seconds()))


def refreshed_row(response: httpx.Response, tokens: TokenSet, now: datetime) -> Mapping[str, Any]:
    """As `row`, for the refresh of a token: Instagram has no number for one that is younger than a day."""
    error = GraphError.of(json_object(response))
    may_be_young = tokens.issued_at is not None and now < tokens.issued_at + 2 * _YOUNG
    if error is not None and error.code == 100 and rule_for(error) is None and may_be_young:
        raise _fault(TOO_YOUNG, response, now)
    return row(response, now)


_YOUNG: Final = timedelta(days=1)


def upload_answer(response: httpx.Response, now: datetime) -> None:
    """rupload's answer: `debug_info` says whether more of the same could help."""
    body = json_object(response)
    trouble = body.get("debug_info")
    if not isinstance(trouble, dict):
        answer(response, now)
        return
    if response.status_code == 401:
        raise _fault(TOKEN_DEAD, response, now)
    if trouble.get("retriable") is True:
        raise _fault(SERVER_DOWN, response, now)
    raise HandleDead(verdict(_rule_in(str(trouble.get("message"))) or FAILED, describe(response), now))


def created(response: httpx.Response, now: datetime) -> tuple[str, str | None]:
    """The new container's id, and where its bytes go when we bring them ourselves."""
    body = row(response, now, "id")
    return str(body["id"]), str(body["uri"]) if body.get("uri") else None


# ----------------------------------------------------------------------------------------------- states of a container

_READABLE: Final = frozenset({"IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class Container:
    """A container as read. `bytes_transferred` counts a resumable upload."""

    id: str
    state: str
    status: str = ""
    bytes_transferred: int = 0

    @property
    def finished(self) -> bool:
        return self.state == "FINISHED"


def container_answer(response: httpx.Response, container_id: str, now: datetime) -> Container:
    body = answer(response, now)
    state = body.get("status_code")
    if state not in _READABLE:
        raise UnreadAnswer(response)
    video = body.get("video_status")
    phase = video.get("uploading_phase") if isinstance(video, dict) else None
    sent = _number(phase.get("bytes_transferred")) if isinstance(phase, dict) else None
    return Container(container_id, str(state), without_secrets(str(body.get("status") or "")), sent or 0)


def is_live(container: Container) -> bool:
    """An earlier commit did arrive: another container would be the second post."""
    return container.state == "PUBLISHED"


def refuse_unusable(container: Container, now: datetime) -> None:
    """While staging: raises for a container that cannot be waited for or published."""
    detail = f"container {container.id} is {container.state}: {container.status}"
    match container.state:
        case "ERROR":
            # Dead in every case; the verdict says whether another container would fare better.
            raise HandleDead(verdict(_rule_in(container.status) or FAILED, detail, now))
        case "EXPIRED":
            raise HandleDead(verdict(EXPIRED, detail, now))
        case _:
            return


def stuck(container: Container, now: datetime) -> HandleDead:
    return HandleDead(verdict(STUCK, f"container {container.id} is {container.state}: {container.status}", now))


def finding(container: Container, profile_url: str) -> Finding:
    """What the state proves about the commit."""
    proof = f"container {container.id} is {container.state}"
    match container.state:
        case "PUBLISHED":
            return Live(proof, url=profile_url)
        case "EXPIRED" | "ERROR":
            return Absent(proof, handle_usable=False)
        case "FINISHED":
            return Absent(proof, handle_usable=True)
        case _:
            return Undecided(proof)


def is_lost(fault: PlatformFault) -> bool:
    """The object was not found or not shown: a known flake of reads, and proof of nothing."""
    return _KINDS.get(fault.verdict.code) is Kind.LOST


def is_dead(fault: PlatformFault) -> bool:
    return _KINDS.get(fault.verdict.code) is Kind.NEW_CONTAINER


def _rule_in(status: str) -> Rule | None:
    """The rule of the 2207xxx that a text names ("Error: Media upload has failed with error code 2207026")."""
    found = regex.search(r"\b2207\d{3}\b", status)
    subcode = int(found.group()) if found else None
    return next((rule for rule in RULES if subcode in rule.subcodes), None)


_KINDS: Final = {f"instagram.{rule.name}": rule.kind for rule in (*RULES, EXPIRED, STUCK, FAILED)}


# ------------------------------------------------------------------------------------------------------- the commit

_NEVER_PROOF: Final = frozenset({408, 409, 425, 429, 499})


def commit_outcome(response: httpx.Response, now: datetime) -> Outcome:
    """What media_publish proved. The answer has no permalink: a later read tells it."""
    body = json_object(response)
    error = GraphError.of(body)
    if error is None:
        media_id = body.get("id")
        done = response.is_success and isinstance(media_id, str | int) and media_id
        return Done(str(media_id)) if done else unclear(response, NAME)
    rule = rule_for(error)
    refused = response.is_client_error and response.status_code not in _NEVER_PROOF
    if rule and rule.nothing_published and refused:
        return NotDone(verdict(rule, describe(response), now, regain_seconds(response)))
    return unclear(response, NAME)
