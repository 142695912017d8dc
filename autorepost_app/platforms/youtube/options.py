"""Which choices does a rule have for YouTube, and which of them go together?

All are fields of the video resource or calls that its documents describe; evidence P as in `limits`, but for names and
numbers of categories (U: they differ little by region, and 22 exists everywhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import regex

from autorepost_app.domain.errors import UserError
from autorepost_app.platform_kit.options import Option, OptionKind
from autorepost_app.platforms.youtube.limits import MARKER_ROOM, TAGS_LIMIT, tags_units

_CATEGORIES: Final = (
    ("1", "Film & Animation"),
    ("2", "Autos & Vehicles"),
    ("10", "Music"),
    ("15", "Pets & Animals"),
    ("17", "Sports"),
    ("19", "Travel & Events"),
    ("20", "Gaming"),
    ("22", "People & Blogs"),
    ("23", "Comedy"),
    ("24", "Entertainment"),
    ("25", "News & Politics"),
    ("26", "Howto & Style"),
    ("27", "Education"),
    ("28", "Science & Technology"),
    ("29", "Nonprofits & Activism"),
)

OPTIONS: Final = (
    Option(
        name="privacy",
        label="Who can watch",
        default="public",
        kind=OptionKind.CHOICE,
        choices=(("public", "Everyone"), ("unlisted", "Everyone with the link"), ("private", "Only me")),
    ),
    Option(
        name="publish_at",
        label="Show to everyone from",
        default="",
        kind=OptionKind.TIME,
        description="Goes with “Only me”: the video is uploaded at once and YouTube itself opens it at this time.",
    ),
    Option(
        name="made_for_kids",
        label="Made for kids",
        default=False,
        description="The law asks every creator to say so. It switches off comments and personalised ads.",
    ),
    Option(
        name="synthetic_media",
        label="Altered or made by AI",
        default=False,
        description="Say yes when something that looks real was altered or made by AI. YouTube shows a label.",
    ),
    Option(
        name="notify_subscribers",
        label="Tell subscribers",
        default=True,
        description="Subscribers who asked for notifications get one.",
    ),
    Option(name="category", label="Category", default="22", kind=OptionKind.CHOICE, choices=_CATEGORIES),
    Option(
        name="tags",
        label="More tags",
        default=[],
        kind=OptionKind.NAMES,
        most=60,
        carried="the caption's hashtags",
        description="Put before the tags of each video, as far as YouTube's 500 characters reach.",
    ),
    Option(
        name="language",
        label="Language",
        default="",
        kind=OptionKind.TEXT,
        most=16,
        description="Spoken in the videos and written in their captions, as a code such as en, pt-BR or zh-Hant.",
    ),
    Option(
        name="playlist",
        label="Add to playlist",
        default="",
        kind=OptionKind.TEXT,
        most=64,
        description="The playlist's id: what follows “list=” in its address. "
        "Needs a connection with the permission to manage playlists.",
    ),
    Option(
        name="cover",
        label="Use the cover picture",
        default=True,
        carried="the picture that stands for the post at its source",
        description="Set when YouTube has processed the video. The channel's phone number has to be verified.",
    ),
    Option(
        name="license",
        label="Licence",
        default="youtube",
        kind=OptionKind.CHOICE,
        choices=(("youtube", "Standard YouTube licence"), ("creativeCommon", "Creative Commons: others may reuse it")),
    ),
    Option(name="embeddable", label="May be shown on other sites", default=True),
)
_BY_NAME: Final = {option.name: option for option in OPTIONS}

_LANGUAGE: Final = regex.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?")
_PLAYLIST: Final = regex.compile(r"(?!(?:UU|LL|WL|HL)(?:[A-Za-z0-9_-]{22})?$)[A-Za-z0-9_-]{2,64}")
"""No list that YouTube keeps by itself: uploads, likes, watch later, history."""


# --------------------------------------------------------------------------------------------------------- checking


def check_options(options: Mapping[str, object], _login: str = "") -> None:
    """Raises UserError for what YouTube would refuse, or do otherwise than it reads."""
    if chosen(options, "publish_at") and chosen(options, "privacy") != "private":
        raise UserError(
            "A time to show the video goes with “Only me” alone.",
            remedy="Choose “Only me”, and YouTube opens the video at that time; or leave the time empty.",
            field="publish_at",
        )
    language, playlist = str(chosen(options, "language")), str(chosen(options, "playlist"))
    if language and not _LANGUAGE.fullmatch(language):
        raise UserError(
            f"{language!r} is no language code.", remedy="Write it as en, pt-BR or zh-Hant.", field="language"
        )
    if playlist and not _PLAYLIST.fullmatch(playlist):
        raise UserError(
            f"{playlist!r} is not the id of a playlist of your own.",
            remedy="Open the playlist on youtube.com and copy what follows “list=” in its address.",
            field="playlist",
        )
    _check_tags(names(options, "tags"))


def _check_tags(tags: list[str]) -> None:
    for tag in tags:
        if set(tag) & set('<>",#') or not tag.strip():
            raise UserError(
                f"{tag!r} cannot be a tag.", remedy="Leave out # and quotes, commas, < and >.", field="tags"
            )
    if tags_units(tags) > TAGS_LIMIT - MARKER_ROOM:
        raise UserError(
            f"The tags are {tags_units(tags)} characters long, counted as YouTube does.",
            remedy=f"Keep them below {TAGS_LIMIT - MARKER_ROOM}.",
            field="tags",
        )


# ---------------------------------------------------------------------------------------------------------- reading


def chosen(options: Mapping[str, object], name: str) -> object:
    """What was chosen, or the default. Raises ValueError for what the option does not take: a word that is not
    understood must never fall back to YouTube's own default, which is public."""
    option = _BY_NAME[name]
    value = options.get(name, option.default)
    try:
        return option.check(value)
    except UserError as error:
        raise ValueError(f"option {name} is {value!r}") from error


def yes(options: Mapping[str, object], name: str) -> bool:
    return chosen(options, name) is True


def names(options: Mapping[str, object], name: str) -> list[str]:
    value = chosen(options, name)
    return list(value) if isinstance(value, list) else []


def moment(options: Mapping[str, object], name: str) -> datetime | None:
    value = str(chosen(options, name))
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def status_part(options: Mapping[str, object]) -> dict[str, Any]:
    """The `status` of a video. Visibility is always said: a forgotten one means public."""
    at = moment(options, "publish_at")
    return {
        "privacyStatus": chosen(options, "privacy"),
        "selfDeclaredMadeForKids": yes(options, "made_for_kids"),
        "containsSyntheticMedia": yes(options, "synthetic_media"),
        "license": chosen(options, "license"),
        "embeddable": yes(options, "embeddable"),
        **({"publishAt": at.isoformat().replace("+00:00", "Z")} if at else {}),
    }


def language_fields(options: Mapping[str, object]) -> dict[str, object]:
    language = chosen(options, "language")
    return {"defaultLanguage": language, "defaultAudioLanguage": language} if language else {}
