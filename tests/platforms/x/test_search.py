"""Is a publication whose handles a restored database forgot found again among the account's posts, or safely not?"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.protocol import Absent, Done, Live, PostText, Undecided
from autorepost_app.platforms.x import timeline
from autorepost_app.platforms.x.likeness import are_ours


def published(publication: Any) -> Any:
    """Posted, and then forgotten: what is left is the row that an older backup holds."""
    publication.stage()
    done = publication.commit()
    assert isinstance(done, Done)
    publication.handles.clear()
    publication.delivery = replace(publication.delivery, first_sent_at=None)
    return done


def search(publication: Any, minutes: float = 60) -> Any:
    since = publication.control.now() - timedelta(minutes=minutes)
    return publication.destination.search(publication.delivery, since)


@pytest.fixture
def another(publish: Callable[..., Any]) -> Callable[..., Any]:
    """One more publication of an account that has one already."""

    def another(first: Any, text: str) -> Any:
        return replace(first, delivery=replace(first.delivery, text=PostText(text)), handles={})

    return another


@pytest.mark.parametrize(
    "text",
    [
        "Sunday bread, with 🥖 and love",
        "salt & pepper < 3 &amp; more > all #bread\n\nsecond line",
        "see brand.com and https://a.example.com/x?y=1 now",
        "the last word is a link https://www.tiktok.com/@abc/video/7412345678901234567",
    ],
)
def test_a_forgotten_post_is_found_by_all_of_its_words(publish: Callable[..., Any], text: str) -> None:
    publication = publish(text=text)
    done = published(publication)
    found = search(publication)
    assert isinstance(found, Live)
    assert (found.external_id, found.url) == (done.external_id, done.url)


def test_a_publication_that_was_never_sent_is_absent_and_its_upload_of_no_use(
    publication: Any, another: Callable[..., Any]
) -> None:
    published(publication)
    found = search(another(publication, "quite other words"))
    assert isinstance(found, Absent)
    assert not found.handle_usable


def test_a_post_from_before_the_time_asked_for_is_not_taken(publication: Any, control: Any) -> None:
    published(publication)
    control.advance(3700)
    assert isinstance(search(publication), Absent)
    assert isinstance(search(publication, minutes=90), Live)


def test_two_posts_of_the_same_words_settle_nothing(publication: Any, control: Any, another: Any) -> None:
    published(publication)
    control.settings(duplicate_seconds=0)
    control.advance(10)
    published(another(publication, publication.delivery.text.body))
    assert isinstance(search(publication), Undecided)


def test_the_same_words_with_another_link_are_another_post(publish: Callable[..., Any], another: Any) -> None:
    publication = publish(text="new video https://www.tiktok.com/@abc/video/1")
    published(publication)
    other = another(publication, "new video https://www.tiktok.com/@abc/video/2")
    assert isinstance(search(other), Absent)


def test_a_post_without_words_cannot_be_recognised(publish: Callable[..., Any]) -> None:
    publication = publish(text="")
    published(publication)
    assert isinstance(search(publication), Undecided)


def test_the_same_words_without_a_video_are_not_our_post(publication: Any, control: Any) -> None:
    grant = publication.delivery.grant
    answer = control.client.post(
        f"{control.hosts['X_API_URL']}/2/tweets",
        json={"text": publication.delivery.text.body},
        headers={"Authorization": f"Bearer {grant.access_token}"},
    )
    assert answer.status_code == 201
    assert isinstance(search(publication), Absent)


def test_the_whole_list_is_read_page_after_page(publish: Callable[..., Any], control: Any, monkeypatch: Any) -> None:
    publication = publish()
    done = published(publication)
    for number in range(6):
        said = control.client.post(
            f"{control.hosts['X_API_URL']}/2/tweets",
            json={"text": f"number {number}"},
            headers={"Authorization": f"Bearer {publication.delivery.grant.access_token}"},
        )
        assert said.status_code == 201
    monkeypatch.setattr(timeline, "NEWEST_POSTS", 5)
    found = search(publication)
    assert isinstance(found, Live)
    assert found.external_id == done.external_id
    assert len(control.calls("timeline")) == 2


def test_a_list_that_ended_before_the_time_asked_for_proves_no_absence(
    publication: Any, control: Any, another: Any, monkeypatch: Any
) -> None:
    published(publication)
    control.settings(timeline_end=2)
    for words in ("two", "three"):
        published(another(publication, words))
    monkeypatch.setattr(timeline, "LIST_END", 2)
    assert isinstance(search(publication), Undecided)


def test_a_search_that_fails_says_so(publication: Any, control: Any) -> None:
    control.fault("timeline", "read_error", status=503)
    with pytest.raises(PlatformFault) as caught:
        search(publication)
    assert isinstance(caught.value.verdict, TryAgain)


# ------------------------------------------------------------------------------------------------------------- words

MEDIA_LINK = " https://t.co/ABCdef1234"


def test_a_link_that_x_did_not_resolve_leaves_it_open() -> None:
    assert are_ours("see brand.com", {"text": "see https://t.co/abc" + MEDIA_LINK}) is None
    told = {"entities": {"urls": [{"url": "https://t.co/abc", "expanded_url": "http://Brand.com/"}]}}
    assert are_ours("see brand.com", {"text": "see https://t.co/abc" + MEDIA_LINK, **told}) is True


def test_a_text_that_x_cut_leaves_it_open_and_a_short_one_is_another() -> None:
    body = "wonderful " * 28
    assert are_ours(body, {"text": body[:265] + "…" + MEDIA_LINK}) is None
    assert are_ours(body, {"text": "wonderful" + MEDIA_LINK}) is False


def test_one_more_word_is_another_post() -> None:
    assert are_ours("my day", {"text": "my day" + MEDIA_LINK}) is True
    assert are_ours("my day", {"text": "my day two" + MEDIA_LINK}) is False
    assert are_ours("my day two", {"text": "my day" + MEDIA_LINK}) is False


@pytest.mark.parametrize("shown", ["fish &amp; chips", "fish &amp;amp; chips"])
def test_words_that_look_like_html_are_ours_whether_x_writes_references_or_not(shown: str) -> None:
    assert are_ours("fish &amp; chips", {"text": shown + MEDIA_LINK}) is True
