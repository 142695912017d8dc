"""What did YouTube's answer say?

The only place that reads status codes and bodies of refusals. `refusal` turns the answer to a repeatable call into a
verdict; `upload_state` and `commit_outcome` read what an upload session answers; `processing_verdict` reads what
became of a video afterwards. Rules are matched by `errors[0].reason`, as YouTube advises, else by the reasons newer
front ends give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import httpx
import regex

from autorepost_app.domain.errors import PlatformFault, Reconnect, Rejected, TryAgain, Verdict
from autorepost_app.platform_kit.http import describe, describe_lost, json_object, unclear
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.youtube import rules
from autorepost_app.platforms.youtube.rules import BUSY, OF_CALL, RULES, Said

NAME: Final = "YouTube"
CHANNEL_LIMIT: Final = "youtube.uploadLimitExceeded"


class UnreadAnswer(RuntimeError):
    """An answer that no rule knows, to a call that may be repeated: a bug of ours, so the run fails loudly."""


# -------------------------------------------------------------------------------------------------------- refusals


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
    return BUSY(Said(f"youtube.http_{response.status_code}", describe(response), now, _after(response)))


def refusal(response: httpx.Response, now: datetime, call: str = "") -> PlatformFault:
    """The fault to raise for a refused call that may be repeated. Raises UnreadAnswer where no rule matches.

    A refusal that is not JSON is not the API's own: a proxy's page, or a front end's.
    """
    if listed := _of_call(response, call) or _listed(response, now):
        return PlatformFault(listed)
    if response.status_code in (408, 429) or response.status_code >= 500:
        return PlatformFault(_busy(response, now))
    if not json_object(response):
        return unreadable(response)
    raise UnreadAnswer(describe(response))


def _of_call(response: httpx.Response, call: str) -> Verdict | None:
    said = OF_CALL.get(call, {})
    for reason in _reasons(response):
        if words := said.get((response.status_code, reason)):
            return Rejected(words[0], describe(response), f"youtube.{reason}", remedy=words[1])
    return None


def token_refusal(response: httpx.Response, now: datetime, dead: Verdict) -> PlatformFault:
    """The same for the token endpoint; `dead` is what `invalid_grant` means there, unless the answer says more."""
    body = json_object(response)
    if body.get("error") != "invalid_grant":
        return refusal(response, now)
    if body.get("error_subtype") == "invalid_rapt":
        text = "The organisation of this Google account asks to sign in again; please connect YouTube again."
        return PlatformFault(Reconnect(text, describe(response), "youtube.invalid_rapt"))
    return PlatformFault(replace(dead, detail=f"{describe(response)} {dead.detail}".strip()))


def unreadable(response: httpx.Response) -> PlatformFault:
    """For a success without the answer that belongs to it: cut on its way, or not from YouTube at all."""
    text = "YouTube's answer got lost on its way; we ask again. If this stays, something stands between us and YouTube."
    return PlatformFault(TryAgain(text, describe_lost(response), "youtube.unreadable"))


def no_channel(now: datetime) -> PlatformFault:
    """For a list of channels that came back empty."""
    return PlatformFault(rules.no_channel(Said("youtube.no_channel", "channels.list mine=true has no items", now)))


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
    """What became of an uploaded video by its `status` part; None while there is nothing to complain of."""
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
    # A reason that is newer than this list changes nothing of what it is: the video is down.
    text, remedy = words.get(reason, (f"YouTube took the video down and gives “{reason}” as the reason.", _RIGHTS))
    return Rejected(text, detail, f"youtube.{reason}", remedy=remedy)
