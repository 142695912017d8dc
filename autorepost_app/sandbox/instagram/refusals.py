"""Which refusals does Meta document for these calls, and how does each look on the wire?

The sandbox gives many of them by itself when a request deserves them; the rest need circumstances that a sandbox has
none of (a changed password, a policy block). `GET /_sandbox/instagram/refusals` hands all of them out by name as
parameters of the fault `error`, so that any call can be refused in any documented way.
"""

from dataclasses import dataclass
from typing import Any

from autorepost_app.sandbox.instagram.shapes import error_body

_UNEXPECTED = "An unexpected error has occurred. Please retry your request later."
_TOKEN = "Error validating access token: "
_TOO_MANY = "There have been too many calls from this Instagram account. Wait a bit and try again."


@dataclass(frozen=True)
class Documented:
    code: int
    subcode: int | None
    message: str
    transient: bool = False
    status: int = 400

    def as_fault(self) -> dict[str, Any]:
        return {"status": self.status, "body": error_body(self.code, self.subcode, self.message, self.transient)}


REFUSALS = {
    "media_download_timeout": Documented(-2, 2207003, "It takes too long to download the media."),
    "media_expired": Documented(-2, 2207020, "The media you are trying to access has expired."),
    "server_error": Documented(-1, 2207001, "Instagram server error. Try again."),
    "create_media_failed": Documented(-1, 2207032, "Create media fail, please try to re-create media."),
    "unknown_upload_error": Documented(-1, 2207053, "Unknown upload error."),
    "thumb_offset_invalid": Documented(1, 2207057, "Thumbnail offset must be within the duration of the video."),
    "action_blocked": Documented(4, 2207051, "Application request limit reached"),
    "daily_posts_used_up": Documented(9, 2207042, "You reached the maximum number of posts for today."),
    "media_not_found": Documented(24, 2207006, "The requested resource does not exist"),
    "container_not_found": Documented(24, 2207008, "The media builder with this id does not exist or has expired."),
    "account_restricted": Documented(25, 2207050, "The Instagram account is restricted."),
    "media_type_unknown": Documented(100, 2207023, "The media type is unknown."),
    "carousel_count": Documented(100, 2207028, "Your post won't work as a carousel."),
    "product_tag_not_owned": Documented(100, 2207035, "Product tag positions should not be specified for video."),
    "product_tag_required": Documented(100, 2207036, "Product tag positions are required for photo media."),
    "product_tags_invalid": Documented(100, 2207037, "Couldn't add all of your product tags."),
    "too_many_tags": Documented(100, 2207040, "Cannot use more than 20 tags for the created media."),
    "video_format": Documented(352, 2207026, "The video format is not supported."),
    "media_not_fetched": Documented(9004, 2207052, "The media could not be fetched from this URI."),
    "media_not_ready": Documented(9007, 2207027, "The media is not ready for publishing, please wait a moment."),
    "image_too_large": Documented(36000, 2207004, "The image is too large to download."),
    "image_format": Documented(36001, 2207005, "The image format is not supported."),
    "aspect_ratio": Documented(36003, 2207009, "The submitted media's aspect ratio cannot be published."),
    "caption_too_long": Documented(36004, 2207010, "The caption was too long."),
    "trial_reels_not_allowed": Documented(100, 2207081, "Trial reels are not available to this account"),
    "upload_failed": Documented(-1, 2207082, "Media upload has failed."),
    "video_download_failed": Documented(-1, 2207077, "The video could not be downloaded."),
    "processing_failed_unexplained": Documented(-1, 2207073, "Media processing has failed."),
    "app_removed": Documented(190, 458, _TOKEN + "The user has not authorized application."),
    "checkpoint": Documented(190, 459, _TOKEN + "You cannot access the app till you log in and follow instructions."),
    "password_changed": Documented(190, 460, _TOKEN + "The session was invalidated: the user changed the password."),
    "session_expired": Documented(190, 463, _TOKEN + "Session has expired."),
    "user_not_confirmed": Documented(190, 464, _TOKEN + "Sessions for this user are not allowed."),
    "token_invalid": Documented(190, 467, "Invalid OAuth access token.", status=401),
    "page_role_lost": Documented(190, 492, _TOKEN + "The user must be an administrator of the page."),
    "token_dead": Documented(190, None, "Invalid OAuth access token."),
    "permission_denied": Documented(10, None, "Application does not have permission for this action", status=403),
    "permission_missing": Documented(200, None, "Requires instagram_content_publish permission", status=403),
    "permission_scope": Documented(299, None, "Requires a permission that was not granted", status=403),
    "object_unreadable": Documented(100, 33, "Unsupported get request. Object does not exist or cannot be loaded"),
    "app_limit": Documented(4, None, "Application request limit reached"),
    "user_limit": Documented(17, None, "User request limit reached"),
    "page_limit": Documented(32, None, "Page request limit reached"),
    "custom_limit": Documented(613, None, "Calls to this API have exceeded the rate limit."),
    "account_limit": Documented(80002, None, _TOO_MANY),
    "unknown_error": Documented(1, None, "An unknown error occurred", status=500),
    "service_down": Documented(2, None, _UNEXPECTED, status=503),
    "transient": Documented(100_001, None, _UNEXPECTED, transient=True, status=500),
    "policy_block": Documented(368, None, "The action attempted has been deemed abusive or is otherwise disallowed"),
    "wrong_app_secret": Documented(101, None, "Error validating application. Cannot get application info."),
    "wrong_proof": Documented(100, None, "Invalid appsecret_proof provided in the API argument"),
}
