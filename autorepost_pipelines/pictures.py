"""What does an operator want to see of a step? Metadata from rows; never a token, never a signed address."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import dagster as dg
from PIL import Image

from autorepost_app.services.dead_letters import Group
from autorepost_app.services.house import House
from autorepost_app.services.receipts import Receipt, stamp
from autorepost_app.services.record import Story
from autorepost_app.services.rows import Original, Post, Publication, Rendition

_PICTURE_SIDE: Final = 160
_PICTURE_QUALITY: Final = 60
_GROUPS: Final = 20
_DETAIL_CHARACTERS: Final = 400
_MARKUP: Final = re.compile(r"[\\`*\[\]<>|#]")
_FACTS: Final = ("container", "vcodec", "acodec", "width", "height", "fps", "duration_seconds", "rotation")


def of_post(post: Post) -> dict[str, Any]:
    return {
        "caption": dg.MetadataValue.text(post.caption),
        "source": dg.MetadataValue.url(post.url),
        "posted_at": dg.MetadataValue.timestamp(post.posted_at),
        "detected_at": dg.MetadataValue.timestamp(post.detected_at),
        "delay_seconds": round((post.detected_at - post.posted_at).total_seconds(), 1),
        "kind": post.kind,
    }


def of_original(house: House, original: Original) -> dict[str, Any]:
    facts = facts_table([("original", original.facts)])
    return {
        **_picture(house, original.thumbnail_key),
        "facts": facts,
        "bytes": original.size_bytes,
        "sha256": original.sha256,
        "fetch_seconds": round(original.fetch_seconds, 3),
        "store_key": original.store_key,
    }


def of_renditions(renditions: Sequence[Rendition]) -> dict[str, Any]:
    return {
        "plan": dg.MetadataValue.md(
            "\n".join(f"* **{row.kind}**: {row.reason}" for row in renditions) or "nothing to make"
        ),
        "facts": facts_table([(row.kind, row.facts) for row in renditions]),
        "bytes": sum(row.size_bytes for row in renditions),
        "make_seconds": round(sum(row.make_seconds for row in renditions), 3),
        "cpu_seconds": round(sum(row.cpu_seconds for row in renditions), 3),
    }


def of_publications(story: Story) -> dict[str, Any]:
    rows = story.publications
    schema = dg.TableSchema(
        [dg.TableColumn(name) for name in ("platform", "state", "reason", "link", "due_at", "published_at")]
    )
    records = [
        dg.TableRecord(
            {
                "platform": row.platform,
                "state": row.state,
                "reason": row.reason or row.waiting_for,
                "link": row.url or "",
                "due_at": row.due_at.isoformat(timespec="seconds"),
                "published_at": row.published_at.isoformat(timespec="seconds") if row.published_at else "",
            }
        )
        for row in rows
    ]
    links = {f"{row.platform}_link": dg.MetadataValue.url(row.url) for row in rows if row.url}
    return {"publications": dg.MetadataValue.table(records, schema), **links, **_delays(story.post, rows)}


def of_activity(story: Story) -> dict[str, Any]:
    lines = [f"* `{line.at:%Y-%m-%d %H:%M:%S}` {line.text}" for line in story.activity]
    return {"story": dg.MetadataValue.md("\n".join(lines) or "nothing yet"), "lines": len(lines)}


def of_receipts(house: House, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """What was done for each publication, with its proof."""
    pages = [_page(house, each) for each in receipts]
    return {"receipts": dg.MetadataValue.md("\n\n".join(pages) or "nothing was promised")}


def of_dead_letters(groups: Sequence[Group]) -> dict[str, Any]:
    """What waits for a person, the longest waiting first."""
    lines = [_waiting(each) for each in groups[:_GROUPS]]
    if len(groups) > _GROUPS:
        lines.append(f"* and {len(groups) - _GROUPS} more kinds")
    return {
        "waits_for_a_person": dg.MetadataValue.md("\n".join(lines) or "nothing"),
        "waiting": sum(each.count for each in groups),
    }


def _page(house: House, receipt: Receipt) -> str:
    lines = [
        f"#### {house.platforms.name(receipt.platform)} @{_words(receipt.account)}",
        "",
        f"**{_words(receipt.proof)}**",
        "",
    ]
    for line in receipt.lines:
        lines.append(f"* `{stamp(line.at)}` {_words(line.text)}")
        if line.detail:
            lines.append(f"    * `{_in_code(line.detail)}`")
    return "\n".join(lines)


def _waiting(group: Group) -> str:
    goes_on = f" Tried again by itself `{stamp(group.goes_on_at)}`." if group.goes_on_at else ""
    since = f"since `{stamp(group.oldest_at)}`"
    return f"* **{_words(group.title)}** {since}. {_words(group.remedy)}{goes_on} `{group.key}`"


def _words(text: str) -> str:
    """Other people's words, which are no markup of ours."""
    return " ".join(_MARKUP.sub(r"\\\g<0>", text).split())


def _in_code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())[:_DETAIL_CHARACTERS]


def facts_table(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dg.TableMetadataValue:
    schema = dg.TableSchema([dg.TableColumn("file"), *(dg.TableColumn(name) for name in _FACTS)])
    records = [
        dg.TableRecord({"file": name, **{fact: _plain(facts.get(fact)) for fact in _FACTS}}) for name, facts in rows
    ]
    return dg.MetadataValue.table(records, schema)


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _delays(post: Post, rows: Iterable[Publication]) -> dict[str, Any]:
    live = [(row.published_at - post.posted_at).total_seconds() for row in rows if row.published_at is not None]
    return {"slowest_delay_seconds": round(max(live), 1)} if live else {}


def _picture(house: House, key: str | None) -> dict[str, Any]:
    """The thumbnail itself, small: an address of it would have to be signed, and would run out."""
    if key is None or not house.store.exists(key):
        return {}
    with Image.open(io.BytesIO(b"".join(house.store.stream(key)))) as picture:
        picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG", quality=_PICTURE_QUALITY)
    encoded = base64.b64encode(small.getvalue()).decode()
    return {"thumbnail": dg.MetadataValue.md(f"![thumbnail](data:image/jpeg;base64,{encoded})")}
