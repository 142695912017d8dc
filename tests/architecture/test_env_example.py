"""Does .env.example show every setting, with its default and a word on what it does? UPDATE_DOCS=1 draws it again.

The platforms' part is drawn from their manifests. A platform that is not in it yet does not make it wrong, so that a
new one changes no file; one that is in it is there completely.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from autorepost_app.bootstrap import find_platforms, settings_from
from autorepost_app.config import PREFIX, Settings
from autorepost_app.platform_kit.protocol import Platform

PLATFORMS = find_platforms()
_DRAWN = re.compile(r"(?s)(# platforms: begin[^\n]*\n)(.*)(# platforms: end)")
_LINE = re.compile(rf"^#?({PREFIX}\w+)=(.*)$")


def section(manifest: Platform) -> str:
    key = f"{PREFIX}{manifest.key.upper()}"
    lines = [
        f"\n# Your app's registration at {manifest.name}: its public id.",
        f"#{key}_CLIENT_ID=",
        f"\n# Your app's registration at {manifest.name}: its secret.",
        f"#{key}_CLIENT_SECRET=",
    ]
    for login in sorted(manifest.oauth.registrations):
        apart = f"{key}_{login.upper()}"
        lines += [
            f"\n# A registration of its own for the login {login}, its public id; without it, the one above serves.",
            f"#{apart}_CLIENT_ID=",
            "\n# And its secret.",
            f"#{apart}_CLIENT_SECRET=",
        ]
    for host in manifest.hosts:
        lines += [
            f"\n# {manifest.name}'s server, or another that stands in for it.",
            f"#{key}_{host.name}_URL={host.default_url}",
        ]
    return "\n".join(lines) + "\n"


def shown(root: Path) -> str:
    return (root / ".env.example").read_text()


def drawn_part(root: Path) -> str:
    found = _DRAWN.search(shown(root))
    assert found, "the marks around the platforms' part are gone"
    return found[2]


def settings_in(text: str) -> dict[str, str]:
    found = [match for line in text.splitlines() if (match := _LINE.match(line))]
    names = [match[1] for match in found]
    assert len(names) == len(set(names)), "a setting stands there twice"
    return {match[1]: match[2] for match in found}


def test_platforms_are_shown_as_their_manifests_say(root: Path) -> None:
    if os.environ.get("UPDATE_DOCS"):
        everything = "".join(section(PLATFORMS[key]) for key in sorted(PLATFORMS))
        (root / ".env.example").write_text(_DRAWN.sub(lambda found: f"{found[1]}{everything}\n{found[3]}", shown(root)))
    part = drawn_part(root)
    keys = [key for key in sorted(PLATFORMS) if f"{PREFIX}{key.upper()}_" in part]
    assert keys
    assert part.strip() == "".join(section(PLATFORMS[key]) for key in keys).strip()


def test_every_setting_of_the_house_is_shown(root: Path) -> None:
    ours = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - {f"{PREFIX}PLATFORMS"}
    house_part = _DRAWN.sub("", shown(root))
    assert set(settings_in(house_part)) == ours


def test_every_setting_has_a_line_above_it_that_says_what_it_does(root: Path) -> None:
    lines = shown(root).splitlines()
    for number, line in enumerate(lines):
        if _LINE.match(line):
            assert re.match(r"# \S.{10,}[.:]$", lines[number - 1]), line


def test_what_is_shown_is_what_is_used_without_it(root: Path) -> None:
    """All lines taken over as they stand change nothing; a name nobody knows would be refused here, too."""
    given = settings_from(settings_in(shown(root)))
    defaults = settings_from({})
    names = set(Settings.model_fields) - {"platforms"}
    assert {name: getattr(given, name) for name in names - {"public_url"}} == {
        name: getattr(defaults, name) for name in names - {"public_url"}
    }
    assert given.url == defaults.url


def test_no_setting_is_switched_on(root: Path) -> None:
    assert not [line for line in shown(root).splitlines() if line and not line.startswith("#")]
