"""What may be chosen for a Reel, and as which form fields do the choices reach Instagram?

Evidence letters as in `limits.py`.

    share_to_feed, cover_url, thumb_offset (milliseconds), audio_name, location_id, user_tags, trial_params   P
    `cover_url` wins over `thumb_offset`                                                                      P
    at most 3 collaborators, public accounts                                                                  P
    tags on a Reel carry a username and no place in the picture                                               C
    is_paid_partnership and at most 2 branded_content_sponsor_ids: Meta's SDK has them for Facebook's login   P
    a trial Reel has no collaborators and is not shown in the feed until it is shared with everyone           U
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import regex

from autorepost_app.domain.errors import UserError
from autorepost_app.platform_kit.options import Option, OptionKind
from autorepost_app.platforms.instagram.auth import FACEBOOK

COLLABORATORS_AT_MOST: Final = 3
SPONSORS_AT_MOST: Final = 2
TAGS_AT_MOST: Final = 20
_LONGEST_MS: Final = 900_000
_USERNAME: Final = regex.compile(r"@?[A-Za-z0-9._]{1,30}")
_NUMBER: Final = regex.compile(r"[0-9]{1,20}")

OPTIONS: Final = (
    Option(
        name="share_to_feed",
        label="Also show it in the feed",
        default=True,
        description="A Reel always appears among your Reels; this also puts it into your main grid.",
    ),
    Option(
        name="thumb_offset_ms",
        label="Cover picture at (milliseconds)",
        default=0,
        kind=OptionKind.NUMBER,
        minimum=0,
        maximum=_LONGEST_MS,
        description="Which moment of the video becomes the cover; the start, where a video is shorter than that.",
    ),
    Option(
        name="cover_url",
        label="Cover picture",
        default="",
        kind=OptionKind.TEXT,
        most=2000,
        description="The public https address of a JPEG of at most 8 MB. It is taken instead of a moment of the video.",
    ),
    Option(
        name="keep_cover",
        label="Keep the post's cover",
        default=False,
        carried="The cover picture that the post has where it came from.",
        description="Where Instagram can fetch it from here; else Instagram chooses a moment itself.",
    ),
    Option(
        name="collaborators",
        label="Invite as collaborators",
        default=[],
        kind=OptionKind.NAMES,
        most=COLLABORATORS_AT_MOST,
        description=f"Up to {COLLABORATORS_AT_MOST} usernames of public accounts. Each is asked and may decline.",
    ),
    Option(
        name="user_tags",
        label="Tag people",
        default=[],
        kind=OptionKind.NAMES,
        most=TAGS_AT_MOST,
        description=f"Up to {TAGS_AT_MOST} usernames of public accounts.",
    ),
    Option(
        name="location_id",
        label="Place",
        default="",
        kind=OptionKind.TEXT,
        most=20,
        description="The number of the place's Facebook page, which must have an address.",
    ),
    Option(
        name="audio_name",
        label="Name of the original sound",
        default="",
        kind=OptionKind.TEXT,
        most=255,
        description="Instagram lets it be named once.",
    ),
    Option(
        name="trial_reel",
        label="Trial Reel",
        default="",
        kind=OptionKind.CHOICE,
        choices=(
            ("", "No, show it to everyone"),
            ("MANUAL", "To non-followers first; I share it with everyone myself"),
            ("SS_PERFORMANCE", "To non-followers first; shared with everyone if it does well"),
        ),
        description="Only accounts that Instagram allows trial Reels can use this.",
    ),
    Option(
        name="is_ai_generated",
        label="Made with AI",
        default=False,
        description="Instagram shows a label that says so.",
    ),
    Option(
        name="is_paid_partnership",
        label="Paid partnership",
        default=False,
        description="Instagram shows a label that says so. Only for accounts connected through Facebook.",
    ),
    Option(
        name="sponsor_ids",
        label="Sponsors",
        default=[],
        kind=OptionKind.NAMES,
        most=SPONSORS_AT_MOST,
        description=f"The Instagram account numbers of up to {SPONSORS_AT_MOST} partners, named in the label.",
    ),
)


def check_options(options: Mapping[str, object], login: str) -> None:
    """Raises UserError for choices that Instagram would refuse, alone, together or with that login."""
    for name in ("collaborators", "user_tags"):
        _check_each(options, name, _USERNAME, "Give usernames of Instagram, such as ada.bakes.")
    _check_each(options, "sponsor_ids", _NUMBER, "Give the numbers of Instagram accounts.")
    _check_place(str(options.get("location_id") or ""))
    _check_cover(str(options.get("cover_url") or ""))
    if options.get("trial_reel") and options.get("collaborators"):
        raise UserError(
            "A trial Reel cannot have collaborators.",
            remedy="Invite nobody, or turn off “Trial Reel”.",
            field="collaborators",
        )
    if is_paid_partnership(options) and login != FACEBOOK:
        raise UserError(
            "Instagram labels a paid partnership only for accounts that are connected through Facebook.",
            remedy="Connect the account through Facebook, or turn off “Paid partnership”.",
            field="is_paid_partnership",
        )
    if options.get("sponsor_ids") and not options.get("is_paid_partnership"):
        raise UserError(
            "Sponsors are shown in the label of a paid partnership.",
            remedy="Turn on “Paid partnership”, or name no sponsors.",
            field="sponsor_ids",
        )


def _check_each(options: Mapping[str, object], name: str, pattern: regex.Pattern[str], remedy: str) -> None:
    for value in _names(options.get(name)):
        if not pattern.fullmatch(value):
            raise UserError(f"{value!r} is not possible here.", remedy=remedy, field=name)


def _check_place(location_id: str) -> None:
    if location_id and not _NUMBER.fullmatch(location_id):
        raise UserError(
            f"{location_id!r} is not the number of a page.",
            remedy="Give the number of the place's Facebook page.",
            field="location_id",
        )


def _check_cover(url: str) -> None:
    parts = urlsplit(url)
    if url and not (parts.scheme == "https" and parts.hostname):
        raise UserError(
            "Instagram fetches the cover picture from a public https address.",
            remedy="Give an address that starts with https:// and opens the picture for everybody.",
            field="cover_url",
        )


# -------------------------------------------------------------------------------------------------------- form fields


def form_fields(options: Mapping[str, object], duration_seconds: float) -> dict[str, str]:
    """A rule's choices as Instagram's form fields; what was not chosen is left out."""
    trial = options.get("trial_reel")
    fields = {
        "share_to_feed": "" if trial else _truth(options.get("share_to_feed", True)),
        "trial_params": json.dumps({"graduation_strategy": trial}) if trial else "",
        "audio_name": str(options.get("audio_name") or ""),
        "location_id": str(options.get("location_id") or ""),
        "collaborators": _listed(
            [_bare(name) for name in _names(options.get("collaborators"))][:COLLABORATORS_AT_MOST]
        ),
        "user_tags": _listed([{"username": _bare(name)} for name in _names(options.get("user_tags"))]),
        "is_ai_generated": "true" if options.get("is_ai_generated") else "",
        **_cover(options, duration_seconds),
        **_partnership(options),
    }
    return {name: value for name, value in fields.items() if value}


def _cover(options: Mapping[str, object], duration_seconds: float) -> dict[str, str]:
    if url := str(options.get("cover_url") or ""):
        return {"cover_url": url}
    offset_ms = int(str(options.get("thumb_offset_ms") or 0))
    # A rule serves clips of all lengths; Instagram would refuse a moment after the end.
    return {"thumb_offset": str(offset_ms)} if 0 < offset_ms < duration_seconds * 1000 else {}


def _partnership(options: Mapping[str, object]) -> dict[str, str]:
    if not is_paid_partnership(options):
        return {}
    sponsors = [int(number) for number in _names(options.get("sponsor_ids"))]
    return {"is_paid_partnership": "true", "branded_content_sponsor_ids": _listed(sponsors)}


def is_paid_partnership(options: Mapping[str, object]) -> bool:
    return bool(options.get("is_paid_partnership"))


def is_trial(options: Mapping[str, object]) -> bool:
    return bool(options.get("trial_reel"))


def _listed(values: Sequence[str | int | dict[str, str]]) -> str:
    return json.dumps(list(values)) if values else ""


def _names(value: object) -> list[str]:
    """Rules that were saved while these were one text still hold that text."""
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return [tidy for name in names if (tidy := str(name).strip())]


def _bare(username: str) -> str:
    return username.removeprefix("@")


def _truth(value: object) -> str:
    return "true" if value else "false"
