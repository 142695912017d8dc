"""What somebody chose is kept as its option means it, up to the last value that it takes, or refused by its name."""

from __future__ import annotations

import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.platform_kit.options import Option, OptionKind, checked_options

NUMBER = Option("count", "Count", 1, kind=OptionKind.NUMBER, minimum=0, maximum=10)
TEXT = Option("words", "Words", "", kind=OptionKind.TEXT, most=5)
NAMES = Option("names", "Names", [], kind=OptionKind.NAMES, most=2)
TIME = Option("at", "At", "", kind=OptionKind.TIME)
YES_NO = Option("loud", "Loud", False)
CHOICE = Option("colour", "Colour", "", kind=OptionKind.CHOICE, choices=(("", "None"), ("red", "Red")))


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        *((NUMBER, 0, 0), (NUMBER, 10, 10)),
        *((TEXT, "", ""), (TEXT, "12345", "12345")),
        *((NAMES, ["mia", "noa"], ["mia", "noa"]), (NAMES, " mia, ,noa ", ["mia", "noa"]), (NAMES, (), [])),
        *((TIME, "", ""), (TIME, "2026-12-24T18:00:00+01:00", "2026-12-24T18:00:00+01:00")),
        *((YES_NO, True, True), (CHOICE, "red", "red"), (CHOICE, "", "")),
    ],
)
def test_a_value_up_to_the_last_one_is_taken(option: Option, value: object, kept: object) -> None:
    assert option.check(value) == kept


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        *((NUMBER, value, "Give a whole number from 0 up to 10.") for value in (-1, 11, 1.0, "3", True, None)),
        *((TEXT, value, "Give a text of at most 5 characters.") for value in ("123456", 5, None)),
        *((NAMES, value, "Give at most 2 names.") for value in (["a", "b", "c"], "a,b,c", [1], {"a"}, None)),
        *((TIME, value, "Give a date and time") for value in ("2026-12-24T18:00:00", "tomorrow", 5, None)),
        *((YES_NO, value, "Choose yes or no.") for value in (1, 0, "yes", None)),
        *((CHOICE, value, "Choose one of None, Red.") for value in ("blue", "Red", True, None, ["red"])),
    ],
)
def test_what_an_option_does_not_take_is_refused_by_its_name(option: Option, value: object, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        option.check(value)
    assert caught.value.field == option.name
    assert caught.value.text.startswith(option.label)
    assert caught.value.remedy.startswith(remedy)


def test_a_choice_that_a_platform_does_not_offer_is_named_beside_those_it_does() -> None:
    with pytest.raises(UserError, match="X has no option 'voice'") as caught:
        checked_options((NUMBER, TEXT), {"count": 1, "voice": "low"}, "X")
    assert (caught.value.remedy, caught.value.field) == ("Its options are: count, words.", "voice")
    assert checked_options((NUMBER, TEXT), {"count": 1}, "X") == {"count": 1}, "what is not given is not made up"
