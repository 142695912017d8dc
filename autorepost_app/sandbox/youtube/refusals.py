"""Which refusals does Google document for these calls, and how does each look on the wire?

The sandbox gives most of them by itself when a request deserves them; the rest need circumstances that a sandbox has
none of (a closed account, a front end that fails). `GET /_sandbox/youtube/refusals` hands all of them out as parameters
of the fault `error`, so that any call can be refused in any documented way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autorepost_app.sandbox.youtube.shapes import error_body


@dataclass(frozen=True)
class Documented:
    """`domain` empty: the token endpoint's own, flat shape."""

    status: int
    reason: str
    message: str
    domain: str

    def as_fault(self) -> dict[str, Any]:
        if not self.domain:
            return {"status": self.status, "body": {"error": self.reason, "error_description": self.message}}
        return {"status": self.status, "body": error_body(self.status, self.reason, self.message, self.domain)}


_VIDEO, _GLOBAL, _THUMBNAIL, _ITEM = "youtube.video", "global", "youtube.thumbnail", "youtube.playlistItem"
_METADATA = "The request metadata specifies an invalid {}."

_TABLE: tuple[tuple[int, str, dict[str, str]], ...] = (
    (
        400,
        _VIDEO,
        {
            "invalidTitle": _METADATA.format("or empty video title"),
            "invalidDescription": _METADATA.format("video description"),
            "invalidTags": _METADATA.format("video keywords"),
            "invalidCategoryId": _METADATA.format("category ID"),
            "invalidPublishAt": _METADATA.format("scheduled publishing time"),
            "invalidFilename": "The video filename specified in the Slug header is invalid.",
            "invalidVideoMetadata": "The request metadata is invalid.",
            "invalidRecordingDetails": _METADATA.format("recording detail"),
            "defaultLanguageNotSet": "The request is trying to add localized video details without a default language.",
            "mediaBodyRequired": "The request does not include the video content.",
            "uploadLimitExceeded": "The user has exceeded the number of videos they may upload.",
        },
    ),
    (
        403,
        _VIDEO,
        {
            "forbidden": "Forbidden",
            "forbiddenPrivacySetting": "The request attempts to set an invalid privacy setting for the video.",
            "forbiddenLicenseSetting": "The request attempts to set an invalid license for the video.",
        },
    ),
    (
        403,
        "youtube.common",
        {
            "accountDelegationForbidden": "The authenticated user cannot act on behalf of the Google account.",
            "authenticatedUserAccountClosed": "The authenticated user's YouTube account is closed.",
            "authenticatedUserAccountSuspended": "The authenticated user's account is suspended.",
        },
    ),
    (403, "youtube.quota", {"quotaExceeded": "The request cannot be completed: you have exceeded your quota."}),
    (
        403,
        "usageLimits",
        {
            "rateLimitExceeded": "Rate Limit Exceeded",
            "userRateLimitExceeded": "User Rate Limit Exceeded",
            "dailyLimitExceeded": "Daily Limit Exceeded",
            "accessNotConfigured": "YouTube Data API v3 has not been used in this project before or it is disabled.",
        },
    ),
    (401, _GLOBAL, {"authError": "Invalid Credentials"}),
    (401, "youtube.header", {"youtubeSignupRequired": "Unauthorized"}),
    (403, _GLOBAL, {"insufficientPermissions": "Request had insufficient authentication scopes."}),
    (500, _GLOBAL, {"backendError": "Backend Error"}),
    (
        400,
        _THUMBNAIL,
        {"invalidImage": "The provided image content is invalid.", "imageFormatUnsupported": "Not a known format."}
        | {"imageTooTall": "The image is too tall.", "imageTooWide": "The image is too wide."},
    ),
    (413, _THUMBNAIL, {"uploadTooLarge": "The image is too large."}),
    (
        403,
        _ITEM,
        {
            "playlistContainsMaximumNumberOfVideos": "The playlist already contains the maximum number of items.",
            "playlistItemsNotAccessible": "The request is not properly authorized to insert this playlist item.",
        },
    ),
    (404, _ITEM, {"playlistNotFound": "The playlist cannot be found.", "videoNotFound": "The video cannot be found."}),
    (409, _ITEM, {"videoAlreadyInAnotherSeriesPlaylist": "The video is already in another series playlist."}),
    (
        400,
        "",
        {
            "invalid_grant": "Token has been expired or revoked.",
            "redirect_uri_mismatch": "Bad Request",
            "admin_policy_enforced": "An administrator of the person's organisation forbids it.",
        },
    ),
    (401, "", {"invalid_client": "The OAuth client was not found.", "unauthorized_client": "Unauthorized"}),
    (403, "", {"org_internal": "This client is restricted to users within its organization."}),
)


def _documented() -> Iterator[Documented]:
    for status, domain, messages in _TABLE:
        for reason, message in messages.items():
            yield Documented(status, reason, message, domain)


REFUSALS = {refusal.reason: refusal for refusal in _documented()}
