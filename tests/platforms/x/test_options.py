"""Does X take whatever a rule can choose, and does each choice reach the post?"""

from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.platform_kit.options import OptionKind, checked_options
from autorepost_app.platform_kit.protocol import Done, PostText
from autorepost_app.platforms.x import PLATFORM
from autorepost_app.platforms.x.options import OPTIONS

BY_NAME = {option.name: option for option in OPTIONS}
EVERY_CHOICE = [
    (option.name, value)
    for option in OPTIONS
    for value in ([key for key, _ in option.choices] if option.kind is OptionKind.CHOICE else [False, True])
]


def posted(publish: Callable[..., Any], control: Any, **chosen: Any) -> dict[str, Any]:
    """The one post that comes of these choices."""
    spec = PLATFORM.destination
    assert spec is not None
    checked = checked_options(spec.options, chosen, PLATFORM.name)
    spec.check_options(checked, "default")
    publication = publish(text="my day at brand.com", **checked)
    publication.stage()
    assert isinstance(publication.commit(), Done)
    (post,) = control.live()
    return dict(post)


@pytest.mark.parametrize(("name", "value"), EVERY_CHOICE)
def test_x_takes_every_choice_and_shows_it(publish: Callable[..., Any], control: Any, name: str, value: object) -> None:
    post = posted(publish, control, **{name: value})
    if name == "links":
        assert post["text"] == {"text": "my day at" if value == "leave_out" else "my day at brand.com"}
    else:
        assert post["details"].get(name) == (value or None)


def test_all_labels_go_together(publish: Callable[..., Any], control: Any) -> None:
    chosen = {"made_with_ai": True, "paid_partnership": True, "reply_settings": "mentionedUsers", "links": "leave_out"}
    details = posted(publish, control, **chosen)["details"]
    assert {name: details[name] for name in chosen if name != "links"} == {
        name: value for name, value in chosen.items() if name != "links"
    }


def test_a_post_without_choices_says_nothing_beyond_its_words(publish: Callable[..., Any], control: Any) -> None:
    details = posted(publish, control)["details"]
    assert not {"made_with_ai", "paid_partnership", "reply_settings"} & set(details)


@pytest.mark.parametrize(
    ("name", "value"),
    [("reply_settings", "friends"), ("made_with_ai", "yes"), ("links", "strip"), ("possibly_sensitive", True)],
)
def test_what_x_does_not_offer_cannot_be_chosen(name: str, value: object) -> None:
    with pytest.raises(UserError) as caught:
        checked_options(OPTIONS, {name: value}, PLATFORM.name)
    assert caught.value.field == name


def test_the_price_of_a_link_is_told_where_it_can_be_left_out() -> None:
    assert "$0.20" in BY_NAME["links"].description
    spec = PLATFORM.destination
    assert spec is not None
    _, notes = spec.text.fit(PostText("my day at brand.com"))
    assert any("$0.20" in note for note in notes)


def test_a_caption_of_many_cashtags_is_fitted_to_what_x_takes(publish: Callable[..., Any], control: Any) -> None:
    spec = PLATFORM.destination
    assert spec is not None
    fitted, _ = spec.text.fit(PostText("$ABC and $DEF and $GHI.T"))
    publication = publish(text=fitted.body)
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["text"] == {"text": "$ABC and DEF and GHI.T"}
