"""What did X say, and what do we do next? The only place that reads X's status codes and bodies.

`RULES` is a table, the first match wins. X renamed tweet to post in 2026 and moved its problem types from
api.twitter.com to api.x.com: only the last part of a `type` is compared, and no text is matched that holds either word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from autorepost_app.domain.errors import (
    HandleDead,
    Operator,
    OutcomeUnknown,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    Verdict,
    WaitUntil,
)
from autorepost_app.platform_kit.http import describe, describe_lost, json_object, unclear
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.x import quotas

PLATFORM_NAME: Final = "X"

_SERVER_FAULTS: Final = frozenset({408, *range(500, 600)})
_UPLOAD_STEPS: Final = frozenset({quotas.APPEND, quotas.FINALIZE, quotas.STATUS})
_BODYLESS: Final = frozenset({quotas.APPEND, quotas.REVOKE})
_EDGE_REFUSALS: Final = frozenset({400, 403, 404})
"""X says these in JSON; without it a doorkeeper spoke, as on a bad day for our address, and X decided nothing. The same
goes for every status that no rule knows."""
_DUPLICATE: Final = "duplicate content"
_DEFAULT_WAIT: Final = timedelta(minutes=15)
_LEAST_WAIT: Final = timedelta(seconds=5)
_SOME_TIME: Final = datetime.min.replace(tzinfo=UTC)


class UnreadAnswer(RuntimeError):
    """X answered a repeatable call with something no rule knows: a bug here, not a refusal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One refusal, unwrapped. `call` is the name of the call in our client, `exchange` what operators may read."""

    call: str
    status: int
    problem: Mapping[str, Any]
    headers: httpx.Headers
    exchange: str

    @property
    def type_tail(self) -> str:
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def words(self) -> str:
        """Everything the problem says in words, inner errors included."""
        inner = self.problem.get("errors")
        messages = [one.get("message", "") for one in inner if isinstance(one, dict)] if isinstance(inner, list) else []
        return "\n".join(map(str, [self.problem.get("detail", ""), *messages])).casefold()


@dataclass(frozen=True, slots=True)
class Rule:
    """Every condition that is given must hold. `verdict` is a template: code, detail and times are filled in.

    `nothing_happened` puts the rule on the allow-list of the publishing call: X refused before it made a post.
    `media_dead` says that the uploaded media can never be used (again).
    """

    code: str
    verdict: Verdict
    statuses: frozenset[int] = frozenset()
    type_tail: str = ""
    title: str = ""
    says: str = ""
    oauth: str = ""
    calls: frozenset[str] = frozenset()
    nothing_happened: bool = False
    media_dead: bool = False

    def matches(self, answer: Answer) -> bool:
        problem = answer.problem
        return (
            (not self.statuses or answer.status in self.statuses)
            and (not self.calls or answer.call in self.calls)
            and (not self.type_tail or answer.type_tail == self.type_tail)
            and (not self.title or problem.get("title") == self.title)
            and (not self.says or self.says in answer.words)
            and (not self.oauth or self.oauth in f"{problem.get('error')}: {problem.get('error_description')}")
        )


def _status(*codes: int) -> frozenset[int]:
    return frozenset(codes)


_RECONNECT: Final = Reconnect("X no longer accepts this connection. Please connect X again.")
_STOPPED: Final = "Posting to X is paused while we look into it. Nothing is lost."
_WAIT: Final = WaitUntil("X allows no more for the moment; we go on by ourselves.", at=_SOME_TIME, limit="")
_CAP: Final = Operator(
    _STOPPED, remedy="The app's usage cap at X is reached: raise it in the X developer console or wait for the period."
)
_UPLOAD_AGAIN: Final = TryAgain("X dropped the uploaded video; we are uploading it again.")
_INVALID: Final = Rejected(
    "X says something in this post is not valid.", remedy="Change the text of the post and try again."
)
_TOO_LONG: Final = Rejected(
    "This X account may not post a video this long.",
    remedy="Allow trimming in the rule, or post a video of at most 2 minutes.",
)
_SUSPENDED: Final = Rejected(
    "X has suspended this account.", remedy="Open X with this account to see why, and try again when X lifts it."
)
_NOT_PERMITTED: Final = Rejected(
    "X does not let this account do that.",
    remedy="Open X with this account and see whether it is limited or suspended, then try again.",
)

SAID_BEFORE: Final = Rejected(
    "This account has a post with the same words on X, and X takes no words twice.",
    "403 duplicate content at the first send; another post of the last hours explains it",
    "x.said-before",
    remedy="Change the text and try again.",
)

RULES: Final[tuple[Rule, ...]] = (
    Rule("duplicate", OutcomeUnknown("Checking with X"), _status(403), says=_DUPLICATE),
    Rule(
        "credits",
        Operator(_STOPPED, remedy="The app has no credits left at X: buy credits in the X developer console."),
        _status(402),
        nothing_happened=True,
    ),
    Rule("usage-cap", _CAP, _status(429), type_tail="usage-capped", nothing_happened=True),
    Rule("usage-cap", _CAP, _status(429), title="UsageCapExceeded", nothing_happened=True),
    Rule("rate-limit", _WAIT, _status(429), nothing_happened=True),
    Rule("dead-refresh-token", _RECONNECT, _status(400), oauth="invalid_request: Value passed for the token"),
    Rule(
        "dead-code",
        Reconnect("The sign-in at X took too long. Please connect X again."),
        _status(400),
        oauth="authorization code was invalid",
    ),
    Rule(
        "foreign-code",
        Reconnect("This sign-in at X was begun in another window. Please connect X again."),
        _status(400),
        oauth="code verifier was invalid",
    ),
    Rule(
        "redirect-uri",
        Operator(
            "X cannot be connected while we look into it.",
            remedy="Add this installation's callback address to the app's settings in the X developer console.",
        ),
        _status(400),
        oauth="redirect uri was invalid",
    ),
    Rule(
        "app-credentials",
        Operator(_STOPPED, remedy="X does not know this client: check the client id and client secret of the app."),
        _status(400, 401),
        oauth="_client: ",
    ),
    Rule("unauthorized", replace(_RECONNECT, refresh_first=True), _status(401), nothing_happened=True),
    Rule(
        "client-forbidden",
        Operator(_STOPPED, remedy="The app is not enrolled for this at X: see its project in the X developer console."),
        _status(403),
        type_tail="client-forbidden",
        nothing_happened=True,
    ),
    Rule(
        "wrong-token-kind",
        Operator(_STOPPED, remedy="X wants another kind of token here. Please report this as a bug."),
        _status(403),
        type_tail="unsupported-authentication",
        nothing_happened=True,
    ),
    Rule("video-too-long", _TOO_LONG, _status(403), says="video longer than 2 minutes", nothing_happened=True),
    Rule("suspended", _SUSPENDED, _status(403), says="suspended", nothing_happened=True),
    Rule("not-permitted", _NOT_PERMITTED, _status(403), says="not permitted to", nothing_happened=True),
    Rule("forbidden", _NOT_PERMITTED, _status(403)),
    Rule(
        "media-gone",
        _UPLOAD_AGAIN,
        _status(400),
        says="media ids are invalid",
        nothing_happened=True,
        media_dead=True,
    ),
    Rule("media-gone", _UPLOAD_AGAIN, _status(400, 404), calls=_UPLOAD_STEPS, media_dead=True),
    Rule(
        "invalid-url",
        Rejected("X does not accept a link in this post.", remedy="Correct or remove the link and try again."),
        _status(400),
        says="invalid url",
        nothing_happened=True,
    ),
    Rule("invalid-request", _INVALID, _status(400), type_tail="invalid-request", nothing_happened=True),
    Rule("not-found", Rejected("X cannot find this account any more."), _status(404), type_tail="resource-not-found"),
    Rule(
        "segment-too-large",
        TryAgain("X wants the video in smaller pieces; we are sending it again."),
        _status(413, 431),
        calls=frozenset({quotas.APPEND}),
    ),
    Rule("server-fault", TryAgain("X has trouble at the moment; we will try again."), _SERVER_FAULTS),
)


# ------------------------------------------------------------------------------------------------ repeatable calls


def body_of(response: httpx.Response, call: str, now: datetime) -> dict[str, Any]:
    """The body of a success. Raises HandleDead, PlatformFault, or UnreadAnswer where no rule knows the answer."""
    body = json_object(response)
    if response.is_success and (body or call in _BODYLESS) and not _refused_inside(body):
        return body
    answer = _answer(response, call, body)
    rule = _rule_for(answer)
    if not body and (rule is None or response.is_success or response.status_code in _EDGE_REFUSALS):
        raise PlatformFault(_unreadable(response))
    if rule is None:
        raise UnreadAnswer(f"X: no rule reads the answer to {call}: {answer.exchange}")
    fault = HandleDead if rule.media_dead else PlatformFault
    raise fault(_filled(rule, answer, now))


def data_of(response: httpx.Response, call: str, now: datetime, *needed: str) -> dict[str, Any]:
    """The `data` object of a success, which holds each of `needed`. Raises like `body_of`."""
    body = body_of(response, call, now)
    found = body.get("data")
    if not isinstance(found, dict) or not all(found.get(name) for name in needed):
        raise UnreadAnswer(f"X: the answer to {call} lacks one of {', '.join(needed)}: {describe(response)}")
    return found


def wants_smaller_pieces(response: httpx.Response) -> bool:
    """X's edge refuses a segment by its size, with an empty body."""
    return response.status_code in {413, 431}


def processing_fault(media: Mapping[str, Any]) -> Rejected | None:
    """Why X gave up on an uploaded video, or None. A filled `error` counts even while the state says in_progress:
    X has been seen to hang there at 99 %."""
    processing = media.get("processing_info") or {}
    error = processing.get("error") or {}
    if processing.get("state") != "failed" and not error:
        return None
    message = str(error.get("message", ""))
    detail = f"processing failed: {error.get('name', 'no name')} ({error.get('code', '-')}): {message}"
    if "exceeds max duration" in message:
        return replace(_TOO_LONG, detail=detail, code="x.processing-duration")
    return Rejected(
        "X could not read this video.",
        detail,
        "x.processing-failed",
        remedy="Export the video again as MP4 (H.264, AAC) and post it again.",
    )


# ---------------------------------------------------------------------------------------------- the publishing call


def post_id_of(response: httpx.Response, now: datetime) -> str | NotDone | Unknown:
    """The id of the new post, or what the exchange proved. Only rules on the allow-list prove that nothing happened:
    a refusal nobody listed has been seen after the post was live (exactly-once section 3)."""
    body = json_object(response)
    found = body.get("data")
    post_id = str(found.get("id", "")) if isinstance(found, dict) else ""
    if response.is_success:
        return post_id if post_id.isdecimal() else unclear(response, PLATFORM_NAME)
    answer = _answer(response, quotas.POST, body)
    rule = _rule_for(answer)
    if rule is None or not rule.nothing_happened:
        return unclear(response, PLATFORM_NAME)
    return NotDone(_filled(rule, answer, now), handle_usable=not rule.media_dead)


def says_duplicate(response: httpx.Response) -> bool:
    """X refuses words that the account has posted in the last hours: by an earlier send of ours, or by its owner."""
    return response.status_code == 403 and _DUPLICATE in _answer(response, quotas.POST, json_object(response)).words


# ------------------------------------------------------------------------------------------------------- the reading


def _refused_inside(body: Mapping[str, Any]) -> bool:
    """X answers some reads with 200 and nothing but errors."""
    return bool(body.get("errors")) and not {"data", "meta"} & body.keys()


def _answer(response: httpx.Response, call: str, body: Mapping[str, Any]) -> Answer:
    errors, status, problem = body.get("errors"), response.status_code, body
    if response.is_success and isinstance(errors, list) and isinstance(errors[0], dict):
        problem = errors[0]
        status = 404 if str(problem.get("type")).endswith("/resource-not-found") else 403
    return Answer(call, status, problem, response.headers, describe(response))


def _rule_for(answer: Answer) -> Rule | None:
    return next((rule for rule in RULES if rule.matches(answer)), None)


def _filled(rule: Rule, answer: Answer, now: datetime) -> Verdict:
    verdict = replace(rule.verdict, detail=answer.exchange, code=f"x.{rule.code}")
    if isinstance(verdict, WaitUntil):
        at, limit = _limit_of(answer, now)
        return replace(verdict, at=at, limit=limit)
    return verdict


def _limit_of(answer: Answer, now: datetime) -> tuple[datetime, str]:
    """When to go on, and what was used up. The day limits come first: while one of them is at zero, the ordinary
    headers still look healthy."""
    used_up = [
        (_reset_of(answer, prefix, now), limit)
        for prefix, limit in (
            ("x-user-limit-24hour", "this account's daily limit at X"),
            ("x-app-limit-24hour", "our app's daily limit at X"),
        )
        if answer.headers.get(f"{prefix}-remaining") == "0"
    ]
    return max(used_up, default=(_reset_of(answer, "x-rate-limit", now), "X's limit for 15 minutes"))


def _reset_of(answer: Answer, prefix: str, now: datetime) -> datetime:
    at = quotas.reset_at(answer.headers, prefix)
    return now + _DEFAULT_WAIT if at is None else max(at, now + _LEAST_WAIT)


def _unreadable(response: httpx.Response) -> TryAgain:
    """No JSON at all: an edge answered for X, or the answer was cut."""
    return TryAgain(
        "X gave an answer that nobody can read; we will try again.", describe_lost(response), "x.unreadable"
    )
