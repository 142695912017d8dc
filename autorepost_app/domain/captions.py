"""What words go with a repost?

A template is plain text with `{caption}`, `{hashtags}`, `{handle}`, `{link}` and `{title}`; everything else stands as
written, and a doubled brace is a brace. Fitting to a platform's limits is the platform's business (`TextSpec.fit`);
`cut_to` is how several of them shorten.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import regex

from autorepost_app.domain.errors import UserError

# one after the other without a space is several; `regex`, because to `re` a Hindi or Thai vowel sign ends the word
HASHTAGS: Final = regex.compile(r"(?<![\w&/])(?:#\w*[^\W\d_]\w*)+")
VARIABLES: Final[Mapping[str, str]] = {
    "caption": "the caption as it was written at the source",
    "text": "the caption without its hashtags",
    "hashtags": "the caption's hashtags",
    "handle": "the creator's handle at the source, with @",
    "link": "the address of the source post",
    "title": "the first line of the caption",
}
DEFAULT_TEMPLATE: Final = "{caption}"


@dataclass(frozen=True, slots=True)
class CaptionSource:
    caption: str
    handle: str
    link: str


def hashtags_of(caption: str) -> tuple[str, ...]:
    """Without `#`, in order, each once (compared without case)."""
    seen: dict[str, str] = {}
    for match in HASHTAGS.finditer(caption):
        for tag in match[0].split("#")[1:]:
            seen.setdefault(tag.casefold(), tag)
    return tuple(seen.values())


def title_of(caption: str) -> str:
    """The first line that has words beside hashtags, without them; the first hashtag where there is none."""
    for line in caption.splitlines():
        words = _tidy(HASHTAGS.sub("", line))
        if words:
            return words
    return next(iter(hashtags_of(caption)), "")


def render(template: str, source: CaptionSource) -> str:
    """The template with its variables filled in. Raises UserError as `check_template` does."""
    check_template(template)
    caption = source.caption.strip()
    values = {
        "caption": caption,
        "text": _tidy(HASHTAGS.sub("", caption)),
        "hashtags": " ".join(f"#{tag}" for tag in hashtags_of(caption)),
        "handle": "@" + source.handle.removeprefix("@"),
        "link": source.link,
        "title": title_of(caption),
    }
    return template.format(**values).strip()


def check_template(template: str) -> None:
    """Raises UserError naming the part that cannot be filled in."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UserError(
            "A brace in the caption template is not closed.",
            remedy="Write {{ for a brace that should appear in the text.",
            field="template",
        ) from error
    for _, name, spec, conversion in parts:
        if name is not None and (name not in VARIABLES or spec or conversion):
            raise UserError(
                f"{{{name}}} is not something a caption can hold.",
                remedy="Use one of " + ", ".join(f"{{{known}}}" for known in VARIABLES) + ".",
                field="template",
            )


def _tidy(text: str) -> str:
    lines = (regex.sub(r"[ \t]{2,}", " ", line).strip() for line in text.splitlines())
    return regex.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def utf16_units(text: str) -> int:
    """How long a text is to platforms that count as JavaScript does."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_to(text: str, limit: int, measure: Callable[[str], int]) -> str:
    """The start of the text with an ellipsis: at a word border when one is near the end, never inside a grapheme.

    A text that fits by `measure` is returned as it is.
    """
    if measure(text) <= limit:
        return text
    room, end = limit - measure("…"), 0
    for grapheme in regex.finditer(r"\X", text):
        room -= measure(grapheme.group())
        if room < 0:
            break
        end = grapheme.end()
    border = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    return text[: border if border > end * 0.7 else end].rstrip() + "…"
