"""Which choices does a destination offer, and is what somebody chose one of them?

A platform declares its options as data; screens draw form fields from them, rules are checked against them, and the
platform's client may then trust what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from autorepost_app.domain.errors import UserError


class OptionKind(StrEnum):
    """How a choice is made, and as what it is kept."""

    YES_NO = "yes_no"  # bool
    CHOICE = "choice"  # str, one of the choices' keys
    TEXT = "text"  # str
    NUMBER = "number"  # int
    NAMES = "names"  # list of str
    TIME = "time"  # str, an ISO 8601 time with its zone, "" for none


@dataclass(frozen=True, slots=True)
class Option:
    """A choice that a rule may make for one destination.

    `minimum` and `maximum` bound a NUMBER; `most` bounds the characters of a TEXT or the entries of NAMES.
    `carried` says in words what is taken from the source post while the option is left at its default.
    """

    name: str
    label: str
    default: object
    kind: OptionKind = OptionKind.YES_NO
    choices: tuple[tuple[str, str], ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    most: int | None = None
    carried: str = ""
    description: str = ""

    def check(self, value: object) -> object:
        """The value as it is kept. Raises UserError that names the option and what it takes."""
        checked = _CHECKS[self.kind](self, value)
        if checked is None:
            raise UserError(f"{self.label}: {value!r} is not possible.", remedy=self._remedy(), field=self.name)
        return checked

    def _remedy(self) -> str:
        match self.kind:
            case OptionKind.YES_NO:
                return "Choose yes or no."
            case OptionKind.CHOICE:
                return "Choose one of " + ", ".join(label or key for key, label in self.choices) + "."
            case OptionKind.NUMBER:
                low = "" if self.minimum is None else f" from {self.minimum}"
                high = "" if self.maximum is None else f" up to {self.maximum}"
                return f"Give a whole number{low}{high}."
            case OptionKind.TEXT:
                return f"Give a text of at most {self.most} characters." if self.most else "Give a text."
            case OptionKind.NAMES:
                return f"Give at most {self.most} names." if self.most else "Give a list of names."
            case OptionKind.TIME:
                return "Give a date and time with its zone, such as 2026-12-24T18:00:00+01:00."


def checked_options(options: tuple[Option, ...], given: Mapping[str, object], platform_name: str) -> dict[str, object]:
    """What was given, each value as it is kept. Raises UserError for an unknown option or an impossible value."""
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            offered = ", ".join(known) or "none"
            raise UserError(
                f"{platform_name} has no option {name!r}.", remedy=f"Its options are: {offered}.", field=name
            )
    return {name: known[name].check(value) for name, value in given.items()}


def _yes_no(_option: Option, value: object) -> object | None:
    return value if isinstance(value, bool) else None


def _choice(option: Option, value: object) -> object | None:
    return value if any(value == key for key, _ in option.choices) else None


def _text(option: Option, value: object) -> object | None:
    if not isinstance(value, str) or (option.most is not None and len(value) > option.most):
        return None
    return value


def _number(option: Option, value: object) -> object | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    low = value if option.minimum is None else option.minimum
    high = value if option.maximum is None else option.maximum
    return value if low <= value <= high else None


def _names(option: Option, value: object) -> object | None:
    """A list, or one text with commas as people type it."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        return None
    names = [name.strip() for name in listed if name.strip()]
    return names if option.most is None or len(names) <= option.most else None


def _time(_option: Option, value: object) -> object | None:
    if value == "":
        return value
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at.isoformat() if at is not None and at.tzinfo is not None else None


_CHECKS = {
    OptionKind.YES_NO: _yes_no,
    OptionKind.CHOICE: _choice,
    OptionKind.TEXT: _text,
    OptionKind.NUMBER: _number,
    OptionKind.NAMES: _names,
    OptionKind.TIME: _time,
}
