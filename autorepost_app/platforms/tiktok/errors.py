"""What does an answer of TikTok mean for us? The only place that reads status codes, error bodies and failure texts.

Two sources of refusals: the API's JSON (flat `{"error": "invalid_grant"}` at the token endpoint, wrapped
`{"error": {"code": ...}}` elsewhere, and the flat `{"code": ..., "log_id": ...}` of TikTok's error page), and the
messages of yt-dlp, which are the only account of why a page gave no video. A good status proves nothing: TikTok's
token endpoint is known to refuse with 200, so the body is read first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

import httpx

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, Verdict, WaitUntil
from autorepost_app.platform_kit.http import describe, describe_lost, json_object, without_secrets
from autorepost_app.platform_kit.oauth import odd_tokens
from autorepost_app.platforms.tiktok import limits

_UPLOAD_ORIGINAL: Final = "Upload the original video of this post here, and we carry on from there."
_OURS: Final = "We are looking into it; your posts wait and nothing is lost."
_UPDATE: Final = (
    "the page was not understood: update yt-dlp, install curl_cffi beside it, or use another egress address"
)


class UnreadAnswer(RuntimeError):
    """TikTok (or yt-dlp) said something that no rule here reads. A bug: a rule has to be added."""


# ------------------------------------------------------------------------------------------------ answers of the API


def _connect_again(code: str, text: str, *, refresh_first: bool = False) -> Reconnect:
    return Reconnect(text, code=f"tiktok.{code}", refresh_first=refresh_first)


def _our_registration(code: str, remedy: str) -> Operator:
    return Operator(f"TikTok refused our app. {_OURS}", code=f"tiktok.{code}", remedy=remedy)


def _passing(code: str) -> TryAgain:
    return TryAgain("TikTok has a problem of its own. We try again by ourselves.", code=f"tiktok.{code}")


_BY_CODE: Final[Mapping[str, Verdict]] = {
    "access_token_invalid": _connect_again(
        "access_token_invalid",
        "TikTok no longer accepts our permission. If renewing it fails, please connect TikTok again.",
        refresh_first=True,
    ),
    # The text of these two is by the permission that is missing. Asking for fewer fields cannot help: we ask for none
    # beyond our scopes, so a box was unticked at the consent page.
    "scope_not_authorized": _connect_again("scope_not_authorized", ""),
    "scope_permission_missed": _connect_again("scope_permission_missed", ""),
    "invalid_params": Rejected(
        f"TikTok did not understand our request. {_OURS}",
        code="tiktok.invalid_params",
        remedy="Nothing is needed from you.",
    ),
    "internal_error": _passing("internal_error"),
    "invalid_grant": _connect_again(
        "invalid_grant",
        "Your permission for TikTok has ended. Please connect TikTok again; waiting posts then carry on.",
    ),
    "invalid_client": _our_registration("invalid_client", "check the client key and secret of the TikTok app"),
    "unauthorized_client": _our_registration("unauthorized_client", "check that the TikTok app is approved and live"),
    "unsupported_grant_type": _our_registration("unsupported_grant_type", "update autorepost: the request is ours"),
    "unsupported_response_type": _our_registration(
        "unsupported_response_type", "update autorepost: the request is ours"
    ),
    "invalid_request": _our_registration(
        "invalid_request", "compare the redirect address in the TikTok portal with PUBLIC_URL, letter by letter"
    ),
    "invalid_scope": _our_registration(
        "invalid_scope", "add user.info.basic, user.info.profile, user.info.stats and video.list to the TikTok app"
    ),
    "not_json": _passing("not_json"),  # an edge in front of the API, or an answer that was cut
    "server_error": _passing("server_error"),
    "temporarily_unavailable": _passing("temporarily_unavailable"),
    "access_denied": Rejected(
        "You chose not to connect TikTok.",
        code="tiktok.access_denied",
        remedy="To repost from TikTok, connect it again and press Continue.",
    ),
}

_PERMITS: Final = {
    "user.info.basic": "see who you are",
    "user.info.profile": "see your profile",
    limits.STATS_SCOPE: "see how many posts you have",
    "video.list": "see your public videos",
}
_NEEDS: Final = {"/v2/video/list": "video.list", "/v2/video/query": "video.list", "/v2/user/info": "user.info.profile"}

NOT_PERMITTED: Final = frozenset({"tiktok.scope_not_authorized", "tiktok.scope_permission_missed"})

GRANT_IS_OVER: Final = frozenset({"tiktok.access_token_invalid", "tiktok.invalid_grant", "tiktok.invalid_request"})
"""What TikTok may say when it is asked to end a grant that has ended. Nothing documents which: a token it does not know
may well be a malformed request to it."""


_CODE: Final = re.compile("[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class _Problem:
    code: str
    detail: str


def fields_of(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """`data` of a good Display API answer. Raises PlatformFault for a refusal, UnreadAnswer for anything unlisted."""
    body = _said(response, now)
    fields = body.get("data")
    if not isinstance(fields, dict):
        raise unread(response)
    return fields


def tokens_of(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """The token reply, flat or in the older `data` wrapper. Raises PlatformFault for a refusal, and where it does not
    say whose tokens they are: the tokens themselves are looked at by `token_set`."""
    body = _said(response, now)
    inner = body.get("data")
    reply: dict[str, Any] = inner if isinstance(inner, dict) else body
    if not reply.get("open_id") or not isinstance(reply["open_id"], str):
        raise odd_tokens("TikTok", "open_id")
    return reply


def _said(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """The body of a good answer to a call that always says something."""
    return accepted(response, now) or _nothing_said(response)


def _nothing_said(response: httpx.Response) -> NoReturn:
    """Not one field of a JSON object: an edge in front of the API answered, or the answer was lost on its way."""
    raise PlatformFault(replace(_BY_CODE["not_json"], detail=describe_lost(response)))


def accepted(response: httpx.Response, now: datetime) -> dict[str, Any]:
    """The body of an answer that refuses nothing. Raises as `fields_of` does."""
    body = json_object(response)
    problem = _problem(body, response)
    if problem is not None:
        raise PlatformFault(_verdict(problem, response, now))
    if not response.is_success:
        if not body:
            _nothing_said(response)
        raise unread(response)
    return body


def unread(response: httpx.Response) -> UnreadAnswer:
    """Names only the keys of the body: a token reply in an unknown shape must not end in a log."""
    keys = ", ".join(sorted(json_object(response))) or "no JSON object"
    request = response.request
    return UnreadAnswer(f"{request.method} {request.url.path} -> {response.status_code}: no rule reads it ({keys})")


def _problem(body: Mapping[str, Any], response: httpx.Response) -> _Problem | None:
    error = body.get("error")
    if isinstance(error, Mapping):
        code = error.get("code")
    elif error is None and "log_id" in body:
        code = body.get("code")
    else:
        code = error
    if code and code != "ok":
        # Said in front, because what removes secrets takes the value of any "code" for one.
        named = code if isinstance(code, str) and _CODE.fullmatch(code) else "an odd code"
        return _Problem(str(code), f"{named}: {_detail(response)}")
    return _without_a_code(response) if not code else None


def _without_a_code(response: httpx.Response) -> _Problem | None:
    # Edges in front of the API answer in HTML; these two statuses say all that is needed.
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return _Problem("rate_limit_exceeded", _detail(response))
    if response.is_server_error:
        return _Problem("internal_error", _detail(response))
    return None if _is_json(response) or not response.content else _Problem("not_json", _detail(response))


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


def _verdict(problem: _Problem, response: httpx.Response, now: datetime) -> Verdict:
    if problem.code == "rate_limit_exceeded":
        return _rate_limited(problem, response, now)
    template = _BY_CODE.get(problem.code)
    if template is None:
        raise UnreadAnswer(f"no rule reads the code of {problem.detail}")
    if template.code in NOT_PERMITTED:
        asked = response.request.url.path
        template = replace(template, text=_missing_text(scope for path, scope in _NEEDS.items() if path in asked))
    return replace(template, detail=problem.detail)


def not_permitted(missing: Iterable[str]) -> PlatformFault:
    """The boxes that were unticked at the consent page, by name."""
    names = sorted(missing)
    verdict = _connect_again("scope_not_authorized", _missing_text(names))
    return PlatformFault(replace(verdict, detail=f"not granted: {', '.join(names)}"))


def _missing_text(scopes: Iterable[str]) -> str:
    asked = " and ".join(f"to {_PERMITS[scope]} ({scope})" for scope in scopes) or "for this"
    return f"TikTok needs your permission {asked}. Please connect TikTok again and leave every box ticked."


def _rate_limited(problem: _Problem, response: httpx.Response, now: datetime) -> WaitUntil:
    return WaitUntil(
        "TikTok allows us no more look-ups this minute. We go on as soon as it does.",
        problem.detail,
        "tiktok.rate_limit_exceeded",
        at=_reset_at(response.headers.get("x-ratelimit-reset", ""), now),
        limit=f"TikTok's {limits.CALLS_PER_MINUTE} look-ups a minute",
    )


def _reset_at(header: str, now: datetime) -> datetime:
    """The header's time where it has one that can be believed (seconds from now, or since 1970), else one window on."""
    if header.isascii() and header.isdecimal() and len(header) < 12:
        seconds = int(header)
        at = datetime.fromtimestamp(seconds, UTC) if seconds > 1_000_000_000 else now + timedelta(seconds=seconds)
        if now < at <= now + timedelta(seconds=limits.RATE_LIMIT_MOST_SECONDS):
            return at
    return now + timedelta(seconds=limits.RATE_LIMIT_SECONDS)


def _detail(response: httpx.Response) -> str:
    log_id = response.headers.get("x-tt-logid")
    return describe(response) + (f" (log id {log_id})" if log_id else "")


# -------------------------------------------------------------------------------------------- answers of the web page


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """How the downloader ended: its own words, the HTTP status behind them, whether the line broke, and whether it was
    its reading of TikTok's page that failed."""

    text: str
    status: int | None = None
    broken_line: bool = False
    of_extractor: bool = False


def _hidden(code: str, text: str) -> Rejected:
    return Rejected(text, code=f"tiktok.{code}", remedy=_UPLOAD_ORIGINAL)


def _later(code: str, after_seconds: float | None, remedy: str = "") -> TryAgain:
    text = "TikTok does not give us this video at the moment. We try again by ourselves."
    return TryAgain(text, remedy, f"tiktok.{code}", after_seconds)


_PRIVATE: Final = "This post is private on TikTok, so we cannot fetch its video."
_LOGIN: Final = "TikTok shows this post only to people who are signed in, so we cannot fetch its video."
_NO_CLEAN_FILE: Final = "TikTok offers this video only with its watermark, which the other platforms hold back."
_TOO_LARGE: Final = "This video is too large for us to fetch from TikTok."

UNAVAILABLE: Final = "tiktok.video_not_available"
"""The one refusal of the page that needs a second witness before it is final (see `TikTokSource.download`)."""

_BY_TEXT: Final[tuple[tuple[str, Verdict], ...]] = (
    ("TikTok is requiring login", _hidden("login_required", _LOGIN)),
    ("This post may not be comfortable", _hidden("age_restricted", _LOGIN)),
    ("You do not have permission to view this post", _hidden("private_post", _PRIVATE)),
    ("This user's account is private", _hidden("private_account", _PRIVATE)),
    (
        "Your IP address is blocked",
        _later("ip_blocked", limits.OTHER_EGRESS_SECONDS, "TikTok blocks this network address: set a proxy"),
    ),
    ("Video not available, status code", _hidden("video_not_available", "This post is no longer on TikTok.")),
    ("Unable to extract universal data", _later("page_unreadable", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("Unexpected response from webpage request", _later("page_unexpected", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("Unable to solve JS challenge", _later("challenge_unsolved", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("Unable to extract challenge data", _later("challenge_unreadable", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("Unable to extract secondary user ID", _later("user_id_unreadable", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("TikTok API keeps sending the same page", _later("same_page", None)),
    ("Requested format is not available", _hidden("only_watermarked", _NO_CLEAN_FILE)),
    # The rules below are for messages of yt-dlp's general part and of our own guards in `ytdlp_child`.
    # A link of the file lives for minutes: the next fetch reads the page again and gets a fresh one.
    ("unable to download video data", _later("file_refused", None)),
    ("Got error:", _later("file_cut_short", None)),
    ("content too short", _later("file_cut_short", None)),
    ("No video formats found", _later("no_formats", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    ("No playable video", _hidden("no_playable_video", "TikTok offers no video for this post that others can play.")),
    ("The browser plays nothing", _later("browser_saw_nothing", limits.SOFT_BLOCK_SECONDS)),
    ("The browser cannot reach the page", _later("page_unreachable", None)),
    ("The browser", _later("browser_failed", None)),
    ("MemoryError", _later("page_too_large", limits.SOFT_BLOCK_SECONDS, _UPDATE)),
    # EFBIG: the limit of the process
    ("unable to write data: [Errno 27]", _hidden("too_large", _TOO_LARGE)),
    ("UnavailableVideoError: Unable to download video: [Errno 27]", _hidden("too_large", _TOO_LARGE)),
    ("Larger than", _hidden("too_large", _TOO_LARGE)),
)

_BY_STATUS: Final[Mapping[int, Verdict]] = {
    403: _later("page_forbidden", limits.SOFT_BLOCK_SECONDS, _UPDATE),
    404: _hidden("video_not_available", "This post is no longer on TikTok."),
    410: _hidden("video_not_available", "This post is no longer on TikTok."),
    429: _later("page_rate_limited", limits.SOFT_BLOCK_SECONDS, "too many fetches from this network address"),
}


BROWSER_MAY_HELP: Final = frozenset(
    {
        "tiktok.page_unreadable",
        "tiktok.page_unexpected",
        "tiktok.page_too_large",
        "tiktok.challenge_unsolved",
        "tiktok.challenge_unreadable",
        "tiktok.extractor_failed",
        "tiktok.no_formats",
        "tiktok.page_forbidden",
    }
)
"""The page came and was not understood, or not given to a program. What keeps people out keeps a browser out, too."""

CHAIN_CODES: Final = BROWSER_MAY_HELP | {
    "tiktok.ip_blocked",
    "tiktok.user_id_unreadable",
    "tiktok.page_rate_limited",
    "tiktok.page_unreachable",
    "tiktok.browser_saw_nothing",
    "tiktok.browser_failed",
    "tiktok.fetch_timeout",
    "tiktok.fetch_killed",
    "tiktok.canaries_denied",
}
"""The way to files itself is in trouble, for every post alike: yt-dlp behind the times, a soft block, no network."""


def no_browser(unread: PlatformFault) -> PlatformFault:
    verdict = unread.verdict
    words = f"{verdict.detail} (no Chromium is installed here to play the page in; with one, that is tried next)"
    return PlatformFault(replace(verdict, detail=words))


def both_ways(unread: PlatformFault, unplayed: PlatformFault) -> PlatformFault:
    """What a browser found out about the post is final; where it failed as well, it was the first way that matters."""
    if unplayed.verdict.code not in CHAIN_CODES:
        return unplayed
    first, second = unread.verdict, unplayed.verdict
    return PlatformFault(replace(first, detail=f"{first.detail}; and a browser: {second.detail} ({second.code})"))


def fetch_refused(failure: FetchFailure) -> PlatformFault:
    """What a failed fetch means. Raises UnreadAnswer where no rule reads it."""
    said = without_secrets(failure.text)
    for start, verdict in _BY_TEXT:
        if failure.text.startswith(start):
            return PlatformFault(_with_words(verdict, said))
    by_status = _BY_STATUS.get(failure.status or 0)
    if by_status is not None:
        return PlatformFault(_with_words(by_status, said))
    if failure.broken_line or (failure.status or 0) >= httpx.codes.INTERNAL_SERVER_ERROR:
        return PlatformFault(_with_words(_later("page_unreachable", None), said))
    if failure.of_extractor:
        return PlatformFault(_with_words(_later("extractor_failed", limits.SOFT_BLOCK_SECONDS, _UPDATE), said))
    raise UnreadAnswer(f"no rule reads this failure of the download: {said}")


def fetch_ended(returncode: int, *, out_of_time: bool) -> PlatformFault:
    """What it means that the downloader ended without a word. Raises UnreadAnswer where it is a bug."""
    if out_of_time:
        return PlatformFault(_with_words(_later("fetch_timeout", None), f"no end after {limits.FETCH_SECONDS:.0f} s"))
    if returncode < 0:
        return PlatformFault(_with_words(_later("fetch_killed", None), f"killed by signal {-returncode}"))
    raise UnreadAnswer(f"the download ended with code {returncode} and said nothing")


def still_listed(fault: PlatformFault) -> PlatformFault:
    """The page denies a post that the API still lists: the page is wrong, or shown differently where we are."""
    return PlatformFault(
        _with_words(
            _later("video_not_shown_here", limits.OTHER_EGRESS_SECONDS, "the API still lists it: try another egress"),
            fault.verdict.detail,
        )
    )


def every_canary_denied(faults: Sequence[PlatformFault]) -> PlatformFault:
    said = "; ".join(f"{fault.verdict.code}: {fault.verdict.detail}" for fault in faults)
    return PlatformFault(_with_words(_later("canaries_denied", limits.SOFT_BLOCK_SECONDS, _UPDATE), said))


def photo_post() -> PlatformFault:
    text = "This is a photo post: it has no video to repost."
    return PlatformFault(Rejected(text, code="tiktok.photo_post", remedy="Nothing is needed from you."))


def stuck_list(cursor: str) -> PlatformFault:
    """A list that promises more and points at itself: going on would never end, stopping would lose posts."""
    return PlatformFault(replace(_passing("stuck_list"), detail=f"has_more with the cursor we sent: {cursor}"))


def _with_words(verdict: Verdict, said: str) -> Verdict:
    return replace(verdict, detail=f"{verdict.detail}: {said}" if verdict.detail else said)
