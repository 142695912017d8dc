"""Is a platform named anywhere but in its own folder?

A name in a list, a switch, a template or a screen is a place that a fifth platform would have to change. Docstrings and
comments may speak of platforms: they explain, nothing depends on them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from autorepost_app.bootstrap import find_platforms

KEYS_AND_NAMES = frozenset(chain.from_iterable((key, each.name) for key, each in find_platforms().items()))
_TEXT_FILES = {".css", ".html", ".jinja", ".js", ".json", ".mako", ".md", ".sql", ".toml", ".txt", ".yaml", ".yml"}
_OF_PYTHON = {"X_OK"}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def own_folders(root: Path) -> tuple[Path, ...]:
    return (root / "autorepost_app" / "platforms", root / "autorepost_app" / "sandbox")


def files(root: Path) -> Iterator[Path]:
    for package in ("autorepost_app", "autorepost_pipelines", "dashboards"):
        for path in sorted((root / package).rglob("*")):
            if not any(path.is_relative_to(folder) for folder in own_folders(root)):
                yield path
    yield from (root / name for name in ("dagster.yaml", "workspace.yaml", "docker-compose.yml"))


def named_in_text(text: str) -> set[str]:
    """Long names in any spelling; a name of one letter only as it is written, standing alone."""
    found = set()
    for name in KEYS_AND_NAMES:
        flags = re.IGNORECASE if len(name) > 1 else 0
        if re.search(rf"(?<![\w+\\-]){re.escape(name)}(?![\w\\-])", text, flags):
            found.add(name.lower())
    return found


def named_in_identifier(identifier: str) -> set[str]:
    """`tiktok_url` and `TikTokSource`; a single letter only beside other parts, for `x` alone is a variable."""
    parts = [part.lower() for part in _PART.findall(identifier)]
    joined = "".join(parts)
    long_names = {name.lower() for name in KEYS_AND_NAMES if len(name) > 1 and name.lower() in joined}
    return long_names | {part for part in parts if len(parts) > 1 and len(part) == 1 and part in KEYS_AND_NAMES}


def named_in_code(source: str) -> set[str]:
    tree = ast.parse(source)
    explained = {id(text) for text in _docstrings(tree)}
    between = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            # `{width}x{height}` is a size
            found |= {name for name in named_in_text(node.value) if len(name) > 1 or id(node) not in between}
        for identifier in set(_identifiers(node)) - _OF_PYTHON:
            found |= named_in_identifier(identifier)
    return found


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    """A string that stands alone as a statement, below a module, class, function or constant."""
    return (
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _identifiers(node: ast.AST) -> Iterator[str]:
    for attribute in ("id", "attr", "arg", "name", "module"):
        value = getattr(node, attribute, None)
        if isinstance(value, str):
            yield from value.split(".")


def test_only_its_own_folder_names_a_platform(root: Path) -> None:
    offences = {}
    for path in files(root):
        if path.suffix == ".py":
            named = named_in_code(path.read_text())
        elif path.suffix in _TEXT_FILES:
            named = named_in_text(path.read_text())
        else:
            continue
        if named:
            offences[str(path.relative_to(root))] = named
    assert not offences


@pytest.mark.parametrize(
    "source",
    [
        'if platform == "tiktok": pass',
        'ICONS = {"x": "bird"}',
        'text = "Please open YouTube Studio."',
        'path = f"/oauth/instagram/{step}"',
        "tiktok_url = None",
        "class TikTokCard: pass",
        "from autorepost_app.platforms import youtube",
        "x_count = 1",
    ],
)
def test_the_scan_sees_names_however_they_are_written(source: str) -> None:
    assert named_in_code(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""TikTok has no such call."""',
        "# Instagram forbids it",
        "y = lambda x: x",
        'f"{width}x{height}"',
        '"X-Amz-Id"',
        'r"\\X"',
        "os.access(folder, os.X_OK)",
    ],
)
def test_the_scan_leaves_explanations_and_other_words_alone(source: str) -> None:
    assert not named_in_code(source)
