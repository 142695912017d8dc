"""What may a rule choose for its posts on X, and how does X want to be told?

Offered is what X's published schema of `POST /2/tweets` (2.167) knows. There is no field to call a video sensitive, and
no first reply: see docs/platforms/x.md for why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autorepost_app.platform_kit.options import Option, OptionKind
from autorepost_app.platforms.x.text import without_links

LINKS: Final = "links"
LEAVE_OUT: Final = "leave_out"

_LABELS: Final = (
    Option("made_with_ai", "Made with AI", False, description="X shows that the video was made with AI."),
    Option("paid_partnership", "Paid partnership", False, description="X shows that this is a paid partnership."),
    Option(
        "reply_settings",
        "Who can reply",
        "",
        kind=OptionKind.CHOICE,
        choices=(
            ("", "Everyone"),
            ("following", "Accounts this account follows"),
            ("mentionedUsers", "Accounts mentioned in the post"),
            ("subscribers", "Subscribers"),
            ("verified", "Verified accounts"),
        ),
    ),
)

OPTIONS: Final = (
    *_LABELS,
    Option(
        LINKS,
        "Links in the text",
        "keep",
        kind=OptionKind.CHOICE,
        choices=(("keep", "Keep them"), (LEAVE_OUT, "Leave them out")),
        description="X charges $0.20 for a post with a link, and $0.015 for one without. A bare brand.com is a link.",
    ),
)


def words(body: str, chosen: Mapping[str, object]) -> str:
    """The text that is posted: the same for every try of one publication, since X is asked for it afterwards."""
    return without_links(body) if chosen.get(LINKS) == LEAVE_OUT else body


def fields(chosen: Mapping[str, object]) -> dict[str, object]:
    """The labels of a post; those that say nothing are left out."""
    return {option.name: chosen[option.name] for option in _LABELS if chosen.get(option.name)}
