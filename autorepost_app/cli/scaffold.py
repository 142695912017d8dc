"""What does a new platform consist of? Writes its files, to be filled in, and touches no file that is there.

The templates are found by role: `templates/both` for every platform, `templates/source` or `templates/destination` for
one of that kind. What they make can be imported at once, so that the product runs while the platform is being written.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Final

from autorepost_app.domain.errors import UserError

ROLES: Final = ("source", "destination")
_TEMPLATES: Final = Path(__file__).with_name("templates")
_KEY: Final = re.compile(r"[a-z][a-z0-9]{0,29}")
_RESERVED: Final = frozenset({"transcode"})
"""Names of work slots in Dagster, where each platform has its own by its key."""


def scaffold(root: Path, key: str, name: str, role: str) -> list[Path]:
    """The files that were made, below `root`. Raises UserError, and then has made none."""
    _check(root, key, name)
    _check_free(root, key)
    words = {"KEY": key, "NAME": name, "CLASS": _class_name(key, name)}
    files = {
        _target(root, key, template): Template(template.read_text()).substitute(words)
        for kind in ("both", role)
        for template in sorted((_TEMPLATES / kind).rglob("*.txt"))
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return list(files)


def _target(root: Path, key: str, template: Path) -> Path:
    part, file_name = template.parent.name, template.stem
    if part == "platform":
        return root / "autorepost_app" / "platforms" / key / file_name
    if part == "sandbox":
        return root / "autorepost_app" / "sandbox" / f"{key}.py"
    return root / "tests" / "platforms" / key / file_name


def _check(root: Path, key: str, name: str) -> None:
    if not _KEY.fullmatch(key) or keyword.iskeyword(key) or key in _RESERVED:
        raise UserError(
            f"{key!r} cannot be the key of a platform.",
            remedy="Take a short word of small letters and digits that begins with a letter, such as `bluesky`.",
            field="key",
        )
    if not re.fullmatch(r"\w[\w .&'+-]{0,19}", name):
        raise UserError(f"{name!r} cannot be a name.", remedy="Give the name that people know.", field="name")
    if not (root / "tests" / "platforms").is_dir():
        raise UserError("A platform is added in a clone of the repository.", remedy="Clone it and try again there.")


def _check_free(root: Path, key: str) -> None:
    sandbox = root / "autorepost_app" / "sandbox"
    places = (
        root / "autorepost_app" / "platforms" / key,
        sandbox / key,
        sandbox / f"{key}.py",
        root / "tests" / "platforms" / key,
    )
    for path in places:
        if path.exists():
            raise UserError(f"{path.relative_to(root)} is there already.", remedy="Choose another key.", field="key")


def _class_name(key: str, name: str) -> str:
    joined = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name))
    return joined if joined[:1].isalpha() else key.capitalize()
