"""Which refusals does YouTube document, and what does each mean for a publication?

Data only: `errors` reads an answer and looks it up here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from autorepost_app.domain.errors import Operator, Reconnect, Rejected, TryAgain, Verdict, WaitUntil
from autorepost_app.platforms.youtube.limits import DAY_ZONE


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


BUSY: Final = _try_again("YouTube is busy; we try again shortly.")
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
_MISCONFIGURED: Final = (
    *("invalid_client", "unauthorized_client", "redirect_uri_mismatch", "invalid_scope", "invalid_request"),
    *("unsupported_grant_type", "disabled_client", "deleted_client", "org_internal"),
)
no_channel: Final = _rejected(
    "This Google account has no YouTube channel yet.",
    "Create a channel on youtube.com, then connect again.",
)

RULES: Final = (
    Rule(400, frozenset({"invalid_grant"}), _reconnect("YouTube no longer lets us in; please connect it again.")),
    *(
        Rule(
            status,
            frozenset({"admin_policy_enforced"}),
            _reconnect(
                "The administrator of this Google account does not allow our app. Ask them to allow it, then connect "
                "YouTube again."
            ),
        )
        for status in (400, 403)
    ),
    Rule(
        401,
        frozenset({"authError", "UNAUTHENTICATED"}),
        _reconnect("YouTube asks to sign in again; please connect it again.", refresh_first=True),
    ),
    Rule(401, frozenset({"youtubeSignupRequired"}), no_channel),
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
    Rule(403, frozenset({"rateLimitExceeded", "userRateLimitExceeded"}), BUSY),
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
            frozenset(_MISCONFIGURED),
            _operator(
                "Signing in with Google is not set up correctly here. We are looking into it.",
                "Compare client id, client secret and redirect address with the Google Cloud console.",
            ),
        )
        for status in (400, 401, 403)
    ),
)


NO_PLAYLISTS: Final = (
    "YouTube was connected without the permission to manage playlists.",
    "Connect again and allow it.",
)
_PICTURE: Final = "Choose a JPEG or PNG of at most 50 MB as cover."
_ANOTHER: Final = "Choose another playlist in the rule."
OF_CALL: Final[Mapping[str, Mapping[tuple[int, str], tuple[str, str]]]] = {
    "thumbnails.set": {
        (400, "mediaBodyRequired"): ("YouTube received no picture.", _PICTURE),
        (400, "invalidImage"): ("YouTube cannot read the picture.", _PICTURE),
        (400, "imageFormatUnsupported"): ("YouTube does not know the picture's format.", _PICTURE),
        (400, "imageTooTall"): ("The picture is too tall for YouTube.", _PICTURE),
        (400, "imageTooWide"): ("The picture is too wide for YouTube.", _PICTURE),
        (413, "uploadTooLarge"): ("The picture is too large for YouTube.", _PICTURE),
        (403, "forbidden"): (
            "YouTube does not let this channel have covers of its own.",
            "Verify the channel's phone number on youtube.com/verify.",
        ),
        (404, "videoNotFound"): ("The video is no longer on the channel.", "Nothing is left to do."),
    },
    "playlistItems.insert": {
        (403, "insufficientPermissions"): NO_PLAYLISTS,
        (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"): NO_PLAYLISTS,
        (403, "playlistItemsNotAccessible"): ("The playlist is not one of this channel.", _ANOTHER),
        (403, "playlistContainsMaximumNumberOfVideos"): ("The playlist is full.", _ANOTHER),
        (404, "playlistNotFound"): ("The playlist is no longer there.", _ANOTHER),
        (404, "videoNotFound"): ("The video is no longer on the channel.", "Nothing is left to do."),
        (409, "videoAlreadyInAnotherSeriesPlaylist"): ("The video is in another series already.", _ANOTHER),
    },
    "playlistItems.list": {
        (403, "playlistItemsNotAccessible"): ("The playlist is not one of this channel.", _ANOTHER),
        (404, "playlistNotFound"): ("The playlist is no longer there.", _ANOTHER),
    },
}
"""What one call means by a reason, where that is more than all calls mean by it. Never ends a publication."""
