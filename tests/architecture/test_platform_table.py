"""Does the README say of each platform what its manifest says? UPDATE_DOCS=1 draws the table again.

A platform that is not in it yet does not make it wrong, so that a new one changes no file; one that is in it is there
as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from autorepost_app.bootstrap import find_platforms
from autorepost_app.domain.media import MediaLimits, say_duration
from autorepost_app.platform_kit.protocol import DestinationSpec, KeyKind, Platform, QuotaRule, ReconcilePlan

PLATFORMS = find_platforms()
_DRAWN = re.compile(r"(?s)(<!-- platforms: begin[^\n]*-->\n)(.*)(<!-- platforms: end -->)")
_HEAD = "| platform | files | words | choices | most | an answer is lost |\n|---|---|---|---|---|---|\n"
_AFTER = {
    KeyKind.NATIVE: "sent again under the same key",
    KeyKind.HANDLE_WITH_STATUS: "the upload itself is asked",
    KeyKind.EVIDENCE_ONLY: "its list is searched; a miss proves nothing",
}


def row(manifest: Platform) -> str:
    spec = manifest.destination
    cells = [manifest.name, *(_destination(spec) if spec else ["source", "", "", ""]), ""]
    cells[4] = "; ".join(_limit(rule) for rule in manifest.quotas if _is_of_interest(rule, spec is not None))
    cells[5] = _lost(spec) if spec else "asked again; nothing is sent there"
    return "| " + " | ".join(cells) + " |\n"


def _destination(spec: DestinationSpec) -> list[str]:
    words = ", ".join(f"{field.label.lower()} {field.limit:,} {field.unit}" for field in spec.text.fields)
    return [_files(spec.media), words, ", ".join(option.label.lower() for option in spec.options), ""]


def _files(media: MediaLimits) -> str:
    low, high = media.duration_min_seconds, media.duration_max_seconds
    length = f"{say_duration(low)} to {say_duration(high)}" if low and high else f"to {say_duration(high or 0)}"
    megabytes = (media.size_max_bytes or 0) / 1e6
    size = f"to {megabytes:.0f} MB" if megabytes < 1000 else f"to {megabytes / 1000:.0f} GB"
    cut = ["longer ones can be cut"] if media.trim_allowed else []
    shape = ["square or upright"] if media.aspect_max == 1.0 else []
    return ", ".join([length, size, *shape, *cut])


def _is_of_interest(rule: QuotaRule, publishes: bool) -> bool:
    """The limits that a creator can meet: of posts, or where nothing is posted, of looks for new ones."""
    words = ("posts", "uploads") if publishes else ("new posts",)
    return rule.limit is not None and any(word in rule.label for word in words)


def _limit(rule: QuotaRule) -> str:
    return f"{rule.limit:,} {rule.label.removeprefix(_platform_of(rule)).strip()}"


def _platform_of(rule: QuotaRule) -> str:
    return next(manifest.name for manifest in PLATFORMS.values() if rule in manifest.quotas)


def _lost(spec: DestinationSpec) -> str:
    return f"{_AFTER[spec.key_kind]}; after {_hours(spec.reconcile)} a person decides"


def _hours(plan: ReconcilePlan) -> str:
    hours = round(plan.give_up_after_seconds / 3600)
    return "an hour" if hours == 1 else f"{hours} hours"


def drawn_part(root: Path) -> str:
    found = _DRAWN.search((root / "README.md").read_text(encoding="utf-8"))
    assert found, "the README has lost the marks around the table of platforms"
    return found[2]


def test_the_table_says_what_the_manifests_say(root: Path) -> None:
    page = root / "README.md"
    if os.environ.get("UPDATE_DOCS"):
        table = _HEAD + "".join(row(PLATFORMS[key]) for key in sorted(PLATFORMS))
        text = _DRAWN.sub(lambda found: found[1] + table + found[3], page.read_text(encoding="utf-8"))
        page.write_text(text, encoding="utf-8")
    rows = drawn_part(root).splitlines(keepends=True)[2:]
    names = {line.split(" | ")[0].removeprefix("| "): line for line in rows}
    known = {manifest.name: row(manifest) for manifest in PLATFORMS.values()}
    assert names == {name: known.get(name) for name in names}, "run this test with UPDATE_DOCS=1"
    assert len(names) >= 4


@pytest.mark.parametrize("key", sorted(PLATFORMS))
def test_every_row_tells_a_limit(key: str) -> None:
    cells = [cell.strip() for cell in row(PLATFORMS[key]).strip("| \n").split(" | ")]
    assert re.search(r"\d", cells[-2]), f"no limit of {key} is told"
