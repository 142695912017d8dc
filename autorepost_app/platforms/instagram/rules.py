"""Which errors of Instagram are known, and what is told to whom about each?

Data only: `errors.py` reads the answers and looks them up here. First match wins; order and numbers are those of the
platform reference, all from Meta's own pages but four subcodes of uploads and the flake 100/33, seen by other clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    RETRY = "retry"
    WAIT = "wait"
    RECONNECT = "reconnect"
    REJECT = "reject"
    NEW_CONTAINER = "new container"
    LOST = "container or object not found, or not readable at the moment"
    POLL = "keep polling"
    OPERATOR = "our registration with Meta"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. Empty `codes` or `subcodes` match any; `seconds` is the wait where the answer names none.

    `nothing_published`: said to the commit, it proves that this exchange published nothing.
    """

    name: str
    kind: Kind
    text: str
    codes: frozenset[int] = frozenset()
    subcodes: frozenset[int] = frozenset()
    remedy: str = ""
    limit: str = ""
    seconds: float | None = None
    transient: bool = False
    nothing_published: bool = False


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


_AGAIN: Final = "Instagram had a problem of its own. We will try again."
NEW_UPLOAD: Final = "Instagram lost the upload. We will upload the video again."
_FETCH: Final = "Instagram could not fetch the video. We will try again."
_CONNECT: Final = "Please connect Instagram again."
_OUR_TAGS: Final = "Instagram refused how the post was put together."
_TELL_US: Final = "Tell the people who run this service; the video itself is not the reason."
_SLOWER: Final = "Instagram asks us to slow down. We will go on by ourselves."
_CALLS: Final = "Instagram’s limit on requests"

TOKEN_DEAD: Final = Rule(
    "token", Kind.RECONNECT, "Our access has ended. " + _CONNECT, _codes(190), nothing_published=True
)

DAILY_POSTS: Final = Rule(
    "daily_posts",
    Kind.WAIT,
    "Instagram’s daily number of posts for this account is used up. We will post when there is room again.",
    _codes(9),
    _codes(2207042),
    limit="Instagram posts in 24 hours",
    # The window rolls: room comes when the oldest post of the last 24 h gets a day old, which is not told.
    seconds=3600.0,
    nothing_published=True,
)

# Only refusals that come before anything else is looked at may prove `nothing_published`. Everything else stays
# open even as a 4xx: 4/2207051 has been seen on posts that were live (exactly-once section 2).
RULES: Final = (
    Rule("fetch_slow", Kind.RETRY, _FETCH, _codes(-2), _codes(2207003)),
    Rule("media_expired", Kind.NEW_CONTAINER, NEW_UPLOAD, _codes(-2), _codes(2207020)),
    Rule("server", Kind.RETRY, _AGAIN, _codes(-1), _codes(2207001)),
    Rule("create_failed", Kind.RETRY, _AGAIN, _codes(-1), _codes(2207032)),
    Rule("upload_unknown", Kind.NEW_CONTAINER, NEW_UPLOAD, _codes(-1), _codes(2207053)),
    Rule(
        "thumb_offset",
        Kind.REJECT,
        "The chosen cover moment lies after the end of the video.",
        _codes(1),
        _codes(2207057),
        remedy="Choose an earlier moment for the cover in the rule and try again.",
    ),
    Rule(
        "action_blocked",
        Kind.WAIT,
        "Instagram takes this for too much activity and holds it back. We will wait before the next try.",
        _codes(4),
        _codes(2207051),
        limit="Instagram’s guard against spam",
        # "long pause" is all that is known; six hours is our choice.
        seconds=6 * 3600.0,
    ),
    DAILY_POSTS,
    Rule(
        "media_not_found",
        Kind.REJECT,
        "Instagram does not find the uploaded video, or this account may not use it.",
        _codes(24),
        _codes(2207006),
        remedy="Connect Instagram again, then try the post again.",
    ),
    Rule("container_missing", Kind.LOST, NEW_UPLOAD, _codes(24), _codes(2207008), seconds=30.0),
    Rule(
        "account_restricted",
        Kind.REJECT,
        "Instagram has restricted this account or it is not active.",
        _codes(25),
        _codes(2207050),
        remedy="Open the Instagram app, follow what it asks, then try the post again.",
        nothing_published=True,
    ),
    Rule("media_type", Kind.REJECT, _OUR_TAGS, _codes(100), _codes(2207023), remedy=_TELL_US),
    Rule("carousel", Kind.REJECT, _OUR_TAGS, _codes(100), _codes(2207028), remedy=_TELL_US),
    Rule("product_tags", Kind.REJECT, _OUR_TAGS, _codes(100), _codes(2207035, 2207036, 2207037), remedy=_TELL_US),
    Rule(
        "too_many_tags",
        Kind.REJECT,
        "The caption has more hashtags or mentions than Instagram takes.",
        _codes(100),
        _codes(2207040),
        remedy="Use at most 30 hashtags and 20 mentions and try again.",
    ),
    Rule(
        "video_format",
        Kind.REJECT,
        "Instagram does not take this video’s format.",
        _codes(352),
        _codes(2207026),
        remedy="Export the video as MP4 (H.264 picture, AAC sound) and post it again.",
    ),
    Rule("fetch_failed", Kind.RETRY, _FETCH, _codes(9004), _codes(2207052)),
    Rule(
        "not_ready",
        Kind.POLL,
        "Instagram is still working on the video.",
        _codes(9007),
        _codes(2207027),
        seconds=30.0,
        nothing_published=True,
    ),
    Rule(
        "cover_size",
        Kind.REJECT,
        "The cover picture is too large for Instagram.",
        _codes(36000),
        _codes(2207004),
        remedy="Use a JPEG of at most 8 MB.",
    ),
    Rule(
        "cover_format",
        Kind.REJECT,
        "Instagram does not take the cover picture’s format.",
        _codes(36001),
        _codes(2207005),
        remedy="Use a JPEG.",
    ),
    Rule(
        "aspect",
        Kind.REJECT,
        "Instagram does not take the video’s shape.",
        _codes(36003),
        _codes(2207009),
        remedy="Post an upright version (9:16).",
    ),
    Rule(
        "caption_long",
        Kind.REJECT,
        "The caption is too long for Instagram.",
        _codes(36004),
        _codes(2207010),
        remedy="Shorten it to 2200 characters and try again.",
    ),
    Rule(
        "trial_reels",
        Kind.REJECT,
        "This account cannot use trial Reels.",
        subcodes=_codes(2207081),
        remedy="Turn off “Trial Reel” in the rule and try again.",
    ),
    Rule("upload_failed", Kind.RETRY, _AGAIN, subcodes=_codes(2207082)),
    Rule("download_failed", Kind.RETRY, _FETCH, subcodes=_codes(2207077)),
    Rule("processing_failed", Kind.RETRY, _AGAIN, subcodes=_codes(2207073)),
    Rule(
        "app_removed",
        Kind.RECONNECT,
        "Our access was removed in Instagram’s settings. " + _CONNECT,
        _codes(190),
        _codes(458),
        nothing_published=True,
    ),
    Rule(
        "checkpoint",
        Kind.RECONNECT,
        "Instagram wants you to sign in and confirm that it is you. Do that in the app, then connect it again.",
        _codes(190),
        _codes(459, 464),
        nothing_published=True,
    ),
    Rule(
        "password_changed",
        Kind.RECONNECT,
        "The password was changed, which ended our access. " + _CONNECT,
        _codes(190),
        _codes(460),
        nothing_published=True,
    ),
    Rule(
        "page_role",
        Kind.RECONNECT,
        "You no longer have a role on the Facebook page of this account. Once you have it back, connect it again.",
        _codes(190),
        _codes(492),
        nothing_published=True,
    ),
    TOKEN_DEAD,
    Rule(
        "permission",
        Kind.RECONNECT,
        "A permission we need was not given. Connect Instagram again and leave every switch on.",
        _codes(10, *range(200, 300)),
        nothing_published=True,
    ),
    Rule(
        "unreadable",
        Kind.LOST,
        "Instagram does not show us this at the moment. We will look again; if it lasts, connect Instagram again.",
        _codes(100),
        _codes(33),
        seconds=30.0,
    ),
    Rule(
        "calls",
        Kind.WAIT,
        _SLOWER,
        _codes(4, 17, 32, 613, 80002),
        limit=_CALLS,
        seconds=1800.0,
    ),
    Rule("temporary", Kind.RETRY, _AGAIN, _codes(1, 2)),
    Rule("transient", Kind.RETRY, _AGAIN, transient=True),
    Rule(
        "policy_block",
        Kind.REJECT,
        "Instagram has blocked this for now because of its rules.",
        _codes(368),
        remedy="Open the Instagram app to see what it asks for. When it is settled, try the post again.",
    ),
)

APP_REFUSED: Final = Rule(
    # Not in the reference: what clients see with a wrong app id or secret, which no creator can mend.
    "app",
    Kind.OPERATOR,
    "We are looking into it.",
    _codes(101),
    remedy="Compare the app id and secret in the settings with the app's page at Meta.",
)
WAY_BACK_REFUSED: Final = Rule(
    "way_back",
    Kind.OPERATOR,
    "We are looking into it.",
    remedy="Enter this installation's callback address on the app's page at Meta, letter by letter.",
)
NOT_INVITED: Final = Rule(
    "not_invited",
    Kind.REJECT,
    "This service may not post for your account yet.",
    remedy="Ask the people who run this service to add your account as a tester of their app, then connect it again.",
)
TOO_YOUNG: Final = Rule(
    # A day old by our clock is not by theirs when ours is ahead; the hour covers any clock that still serves TLS.
    "token_young",
    Kind.WAIT,
    "Instagram renews our access only when it is a day old.",
    limit="Instagram’s shortest age of a token",
    seconds=3600.0,
)
LOGIN_REFUSED: Final = Rule("login", Kind.RECONNECT, "Connecting did not work. Please connect Instagram again.")
SERVER_DOWN: Final = Rule("edge", Kind.RETRY, _AGAIN)
TOO_MANY: Final = Rule("too_many", Kind.WAIT, _SLOWER, limit=_CALLS, seconds=1800.0)
EXPIRED: Final = Rule("expired", Kind.NEW_CONTAINER, NEW_UPLOAD)
STUCK: Final = Rule("stuck", Kind.NEW_CONTAINER, "Instagram took too long over the video. We will upload it again.")
FAILED: Final = Rule("failed", Kind.NEW_CONTAINER, "Instagram could not use the upload. We will upload it again.")
