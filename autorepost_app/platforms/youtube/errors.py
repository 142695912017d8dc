"""What did YouTube's answer say?

The only place that reads status codes and bodies of refusals. `refusal` turns the answer to a repeatable call into a
verdict; `upload_state` and `commit_outcome` read what an upload session answers; `processing_verdict` reads what
became of a video afterwards. Rules are matched by `errors[0].reason`, as YouTube advises, else by the reasons newer
front ends give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import regex

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, Verdict, WaitUntil
from autorepost_app.platform_kit.http import describe, json_object, unclear
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.youtube.limits import DAY_ZONE

NAME: Final = "YouTube"


class UnreadAnswer(RuntimeError):
    """An answer that no rule knows, to a call that may be repeated: a bug of ours, so the run fails loudly."""


# --------------------------------------------------------------------------------------------------- table of rules


@dataclass(frozen=True, slots=True)
class Said:
    """What every verdict is made from."""

    code: str
    detail: str
    now: datetime
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    status: int
    reasons: frozenset[str]
    verdict: Callable[[Said], Verdict]


def next_midnight(now: datetime) -> datetime:
    """When the project's daily quota starts anew: midnight Pacific time, which summer time moves."""
    zone = ZoneInfo(DAY_ZONE)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(now.tzinfo)


def _try_again(text: str) -> Callable[[Said], Verdict]:
    return lambda said: TryAgain(text, said.detail, said.code, after_seconds=said.after_seconds)


def _reconnect(text: str, *, refresh_first: bool = False) -> Callable[[Said], Verdict]:
    return lambda said: Reconnect(text, said.detail, said.code, refresh_first=refresh_first)


def _rejected(text: str, remedy: str) -> Callable[[Said], Verdict]:
    return lambda said: Rejected(text, said.detail, said.code, remedy=remedy)


def _operator(text: str, remedy: str) -> Callable[[Said], Verdict]:
    return lambda said: Operator(text, said.detail, said.code, remedy=remedy)


def _project_quota(said: Said) -> Verdict:
    text = "YouTube's uploads for today are used up; we go on when YouTube's next day begins."
    return WaitUntil(text, said.detail, said.code, at=next_midnight(said.now), limit="YouTube's daily limit")


def _channel_quota(said: Said) -> Verdict:
    text = "This channel has reached YouTube's upload limit; we try again in a day."
    at = said.now + timedelta(hours=24)
    return WaitUntil(text, said.detail, said.code, at=at, limit="the channel's daily upload limit")


_BUSY: Final = _try_again("YouTube is busy; we try again shortly.")
_EDIT: Final = "Change it in the publication and send it again."
_INVALID: Final[Mapping[str, tuple[str, str]]] = {
    "invalidTitle": ("YouTube does not accept the title.", _EDIT),
    "invalidDescription": ("YouTube does not accept the description.", _EDIT),
    "invalidTags": ("YouTube does not accept the tags.", _EDIT),
    "invalidCategoryId": (
        "YouTube does not offer this category where the channel is.",
        "Choose another category in the rule.",
    ),
    "invalidPublishAt": ("YouTube does not accept the time of publication.", _EDIT),
    "invalidFilename": ("YouTube does not accept the name of the file.", "Post the video again under another name."),
    "invalidVideoMetadata": (
        "YouTube does not accept the title, description or settings.",
        "Change them in the publication and send it again.",
    ),
    "invalidRecordingDetails": ("YouTube does not accept the recording details.", _EDIT),
    "defaultLanguageNotSet": (
        "YouTube asks for the language of the title and description.",
        "Set a default language in YouTube Studio, then send it again.",
    ),
    "mediaBodyRequired": ("YouTube received no video.", "Send it again; if it comes back, tell us."),
}
_FORBIDDEN: Final[Mapping[str, tuple[str, str]]] = {
    "forbiddenPrivacySetting": (
        "YouTube does not let this channel use the chosen visibility.",
        "Choose who can watch in the rule, and check the channel's status in YouTube Studio.",
    ),
    "forbiddenLicenseSetting": ("YouTube does not let this channel use this licence.", "Check the channel in Studio."),
    "accountDelegationForbidden": (
        "This sign-in may not act for the channel.",
        "Connect again with the channel's owner or manager.",
    ),
    "authenticatedUserAccountClosed": ("The YouTube account is closed.", "Connect another channel."),
    "authenticatedUserAccountSuspended": (
        "YouTube has suspended this account.",
        "Settle it with YouTube, or connect another channel.",
    ),
}
_no_channel: Final = _rejected(
    "This Google account has no YouTube channel yet.",
    "Create a channel on youtube.com, then connect again.",
)

RULES: Final = (
    Rule(400, frozenset({"invalid_grant"}), _reconnect("YouTube no longer lets us in; please connect it again.")),
    Rule(
        401,
        frozenset({"authError", "UNAUTHENTICATED"}),
        _reconnect("YouTube asks to sign in again; please connect it again.", refresh_first=True),
    ),
    Rule(401, frozenset({"youtubeSignupRequired"}), _no_channel),
    Rule(
        403,
        frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}),
        _reconnect("YouTube was connected without every permission we need; please connect it again and allow all."),
    ),
    Rule(
        403,
        frozenset({"forbidden"}),
        _rejected("YouTube does not allow this for the channel.", "Check the channel's status in YouTube Studio."),
    ),
    Rule(403, frozenset({"quotaExceeded", "dailyLimitExceeded"}), _project_quota),
    Rule(403, frozenset({"rateLimitExceeded", "userRateLimitExceeded"}), _BUSY),
    Rule(400, frozenset({"uploadLimitExceeded"}), _channel_quota),
    *(Rule(400, frozenset({reason}), _rejected(*words)) for reason, words in _INVALID.items()),
    *(Rule(403, frozenset({reason}), _rejected(*words)) for reason, words in _FORBIDDEN.items()),
    Rule(
        403,
        frozenset({"accessNotConfigured", "SERVICE_DISABLED"}),
        _operator("YouTube is not set up here yet. We are looking into it.", "Enable the YouTube Data API v3."),
    ),
    *(
        Rule(
            status,
            frozenset({"invalid_client", "unauthorized_client", "redirect_uri_mismatch", "invalid_scope"}),
            _operator(
                "Signing in with Google is not set up correctly here. We are looking into it.",
                "Compare client id, client secret and redirect address with the Google Cloud console.",
            ),
        )
        for status in (400, 401)
    ),
)


def _reasons(response: httpx.Response) -> Iterator[str]:
    """Every name the answer gives its reason, the most precise first."""
    error = json_object(response).get("error")
    if isinstance(error, str):
        yield error
    elif isinstance(error, dict):
        for entry in [*_entries(error, "errors"), *_entries(error, "details")]:
            yield str(entry.get("reason", ""))
        yield str(error.get("status", ""))


def _entries(error: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = error.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _listed(response: httpx.Response, now: datetime) -> Verdict | None:
    for reason in _reasons(response):
        for rule in RULES:
            if rule.status == response.status_code and reason in rule.reasons:
                return rule.verdict(Said(f"youtube.{reason}", describe(response), now, _after(response)))
    return None


def _after(response: httpx.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None


def _busy(response: httpx.Response, now: datetime) -> Verdict:
    return _BUSY(Said(f"youtube.http_{response.status_code}", describe(response), now, _after(response)))


def refusal(response: httpx.Response, now: datetime) -> PlatformFault:
    """The fault to raise for a refused call that may be repeated. Raises UnreadAnswer where no rule matches."""
    if listed := _listed(response, now):
        return PlatformFault(listed)
    if response.status_code in (408, 429) or response.status_code >= 500:
        return PlatformFault(_busy(response, now))
    raise UnreadAnswer(describe(response))


def unreadable(response: httpx.Response) -> PlatformFault:
    """For a success without the answer that belongs to it: cut on its way, or not from YouTube at all."""
    text = "YouTube's answer got lost on its way; we ask again. If this stays, something stands between us and YouTube."
    return PlatformFault(TryAgain(text, describe(response), "youtube.unreadable"))


def no_channel(now: datetime) -> PlatformFault:
    """For a list of channels that came back empty."""
    return PlatformFault(_no_channel(Said("youtube.no_channel", "channels.list mine=true has no items", now)))


def is_invalid_token(response: httpx.Response) -> bool:
    """The token to revoke is dead already."""
    return response.status_code == 400 and "invalid_token" in _reasons(response)


# --------------------------------------------------------------------------------------------------- upload session


@dataclass(frozen=True, slots=True)
class Finished:
    """The session has become a video. `video_id` is None where the answer did not name it."""

    video_id: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """YouTube holds the first `received` bytes and waits for the next."""

    received: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The session is no longer known. It may have become a video before."""

    detail: str


UploadState = Finished | Unfinished | Gone


def upload_state(response: httpx.Response, now: datetime) -> UploadState:
    """What a session says of itself. Raises PlatformFault where it says nothing."""
    if response.status_code in (200, 201):
        return _finished(response)
    if response.status_code == 308:
        return Unfinished(_received(response))
    if response.status_code in (404, 410):
        return Gone(describe(response))
    raise refusal(response, now)


def commit_outcome(response: httpx.Response, total: int, now: datetime) -> Finished | NotDone | Unknown:
    """What the answer to the last part proves.

    A listed refusal that lets us go on (sign in again, wait, try again) counts as "not done": going on means the same
    session, which stays single even if the answer was wrong. A final one does not: the session accepted the metadata
    before, so the verdict that would end the publication has to come from a question to the session.
    """
    if response.status_code in (200, 201):
        finished = _finished(response)
        return finished if finished.video_id else unclear(response, NAME)
    if response.status_code == 308 and (received := _received(response)) < total:
        text = "YouTube has not taken the whole video yet; we send the rest."
        detail = f"308 to the last part: {received} of {total} bytes received"
        return NotDone(TryAgain(text, detail, "youtube.resume", after_seconds=0.0))
    verdict = _busy(response, now) if response.status_code == 429 else _listed(response, now)
    if verdict is None or isinstance(verdict, Rejected):
        return unclear(response, NAME)
    return NotDone(verdict)


def _finished(response: httpx.Response) -> Finished:
    video = json_object(response)
    video_id, status = video.get("id"), video.get("status")
    words = [f"{name} {value}" for name, value in sorted(status.items())] if isinstance(status, dict) else []
    return Finished(video_id if isinstance(video_id, str) and video_id else None, ", ".join(words))


def _received(response: httpx.Response) -> int:
    """Without a Range header nothing was stored."""
    stored = regex.fullmatch(r"(?:bytes[= ])?0-(\d+)", response.headers.get("Range", "").strip())
    return int(stored[1]) + 1 if stored else 0


# ------------------------------------------------------------------------------------------------- after the upload

_RIGHTS: Final = "YouTube Studio shows the details and how to object."
_REJECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "duplicate": ("YouTube took the video down as a copy of one it already has.", _RIGHTS),
    "copyright": ("YouTube took the video down over a copyright.", "Use music and pictures you may use. " + _RIGHTS),
    "claim": ("YouTube blocked the video over a claim by a rights holder.", _RIGHTS),
    "trademark": ("YouTube took the video down over a trademark.", _RIGHTS),
    "inappropriate": ("YouTube took the video down as inappropriate.", _RIGHTS),
    "termsOfUse": ("YouTube took the video down: it breaks the terms of use.", _RIGHTS),
    "legal": ("YouTube took the video down for legal reasons.", _RIGHTS),
    "length": ("The video is too long for this channel.", "Verify the channel's phone number, or post a shorter one."),
    "uploaderAccountSuspended": ("YouTube has suspended the account.", "Settle it with YouTube."),
    "uploaderAccountClosed": ("The YouTube account is closed.", "Connect another channel."),
}
_REEXPORT: Final = "Export it as MP4 with H.264 picture and AAC sound and post it again."
_FAILURES: Final[Mapping[str, tuple[str, str]]] = {
    "conversion": ("YouTube could not convert the video.", _REEXPORT),
    "codec": ("YouTube does not know the video's format.", _REEXPORT),
    "invalidFile": ("YouTube cannot read the video file.", _REEXPORT),
    "emptyFile": ("YouTube received an empty file.", _REEXPORT),
    "tooSmall": ("The file is too small to be a video.", _REEXPORT),
}


def processing_verdict(status: Mapping[str, Any]) -> Verdict | None:
    """What became of an uploaded video by its `status` part; None while there is nothing to complain of.

    Raises UnreadAnswer for a reason no rule knows.
    """
    upload, detail = status.get("uploadStatus"), f"videos.list status {dict(status)}"
    if upload == "rejected":
        return _after_upload(_REJECTIONS, str(status.get("rejectionReason")), detail)
    if upload != "failed":
        return None
    reason = str(status.get("failureReason"))
    if reason == "uploadAborted":
        return TryAgain("The upload to YouTube was broken off.", detail, "youtube.uploadAborted")
    return _after_upload(_FAILURES, reason, detail)


def _after_upload(words: Mapping[str, tuple[str, str]], reason: str, detail: str) -> Verdict:
    if reason not in words:
        raise UnreadAnswer(detail)
    text, remedy = words[reason]
    return Rejected(text, detail, f"youtube.{reason}", remedy=remedy)
