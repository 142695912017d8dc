"""Which words may a video carry? The rules of a video resource, part by part."""

from datetime import datetime
from typing import Any

from autorepost_app.sandbox.youtube import shapes

PARTS = {"snippet", "status", "localizations", "recordingDetails"}
CATEGORIES = {
    *("1", "2", "10", "15", "17", "19", "20", "22", "23", "24", "25", "26", "27", "28", "29"),
}
STATUS_FIELDS = {
    *("privacyStatus", "publishAt", "selfDeclaredMadeForKids", "containsSyntheticMedia", "embeddable"),
    *("license", "publicStatsViewable"),
}


def parts_of(text: str) -> set[str]:
    parts = {part.strip() for part in text.split(",") if part.strip()}
    if not parts:
        raise shapes.refuse(
            400, "missingRequiredParameter", "No filter selected. part is required.", "youtube.parameter"
        )
    return parts


def checked(body: dict[str, Any], parts: set[str], now: datetime) -> dict[str, Any]:
    """The parts of a video resource that will be written, or the first rule they break."""
    if unnamed := (set(body) & PARTS) - parts:
        text = f"'{sorted(unnamed)[0]}' is in the body and not in the part parameter"
        raise shapes.refuse(400, "unexpectedPart", text, "youtube.part")
    video = {name: dict(body.get(name) or {}) for name in parts & PARTS}
    if "snippet" in video:
        _check_snippet(video["snippet"])
    if "localizations" in video and video["localizations"] and not video.get("snippet", {}).get("defaultLanguage"):
        raise shapes.refuse(400, "defaultLanguageNotSet", "localizations need a default language.")
    if "status" in video:
        _check_status(video["status"], now)
    return video


def _check_snippet(snippet: dict[str, Any]) -> None:
    title, description = str(snippet.get("title") or ""), str(snippet.get("description") or "")
    units = len(title.encode("utf-16-le")) // 2
    if not title.strip() or units > 100 or set("<>") & set(title):
        raise shapes.refuse(400, "invalidTitle", "The request metadata specifies an invalid or empty video title.")
    if len(description.encode()) > 5000 or set("<>") & set(description):
        raise shapes.refuse(400, "invalidDescription", "The request metadata specifies an invalid video description.")
    if tags_length(snippet.get("tags") or []) > 500:
        raise shapes.refuse(400, "invalidTags", "The request metadata specifies invalid video keywords.")
    if str(snippet.get("categoryId", "22")) not in CATEGORIES:
        raise shapes.refuse(400, "invalidCategoryId", "The request metadata specifies an invalid category id.")


def tags_length(tags: list[str]) -> int:
    """Commas between tags count, and a tag with a space is quoted."""
    return sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(0, len(tags) - 1)


def _check_status(status: dict[str, Any], now: datetime) -> None:
    privacy = status.setdefault("privacyStatus", "public")
    if privacy not in ("public", "unlisted", "private"):
        raise shapes.refuse(403, "forbiddenPrivacySetting", "The privacy setting is invalid.")
    if status.get("license", "youtube") not in ("youtube", "creativeCommon"):
        raise shapes.refuse(403, "forbiddenLicenseSetting", "The license is invalid.")
    if unknown := set(status) - STATUS_FIELDS:
        text = f"Unknown field status.{sorted(unknown)[0]}"
        raise shapes.refuse(400, "invalidVideoMetadata", text)
    if status.get("publishAt"):
        try:
            moment = datetime.fromisoformat(str(status["publishAt"]))
        except ValueError:
            moment = None
        if privacy != "private" or moment is None or moment.tzinfo is None or moment <= now:
            raise shapes.refuse(400, "invalidPublishAt", "The request metadata specifies an invalid publishing time.")
