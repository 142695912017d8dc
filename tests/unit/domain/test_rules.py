"""Does a rule always decide, and does the creator read why?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.posts import SourcePost
from autorepost_app.domain.rules import Filter, Leave, Rule, Take, decide

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POST = SourcePost("1", NOON, "A walk #Park", "https://example.org/1", duration_seconds=20.0)
RULE = Rule("r", "all", "c", (), watermark_at=NOON - timedelta(days=1))

_TAGS = st.frozensets(st.text(max_size=6), max_size=3)
_LENGTHS = st.none() | st.floats(0, 600)
FILTERS = st.builds(Filter, _TAGS, _TAGS, _TAGS, _LENGTHS, _LENGTHS)
POSTS = st.builds(
    SourcePost,
    external_post_id=st.just("1"),
    posted_at=st.datetimes(timezones=st.just(UTC)),
    caption=st.text(max_size=80),
    url=st.just("https://example.org/1"),
    duration_seconds=_LENGTHS,
    kind=st.sampled_from(["video", "photo"]),
)


@given(POSTS, FILTERS, st.booleans(), st.floats(0, 86400), st.datetimes(timezones=st.just(UTC)))
def test_every_post_is_taken_at_a_time_or_left_for_a_reason(
    post: SourcePost, conditions: Filter, paused: bool, delay: float, watermark: datetime
) -> None:
    rule = replace(RULE, filter=conditions, paused=paused, delay_seconds=delay, watermark_at=watermark)
    match decide(rule, post, NOON):
        case Take(due_at):
            assert due_at == NOON + timedelta(seconds=delay)
            assert post.kind == "video"
            assert post.posted_at >= watermark
            assert not paused
        case Leave(reason, ahead):
            assert reason
            assert ahead is (paused or post.posted_at < watermark)


@given(POSTS)
def test_a_rule_without_conditions_takes_every_video_from_its_beginning_on(post: SourcePost) -> None:
    rule = replace(RULE, watermark_at=post.posted_at)
    assert isinstance(decide(rule, post, NOON), Take) is (post.kind == "video")


@given(POSTS, _TAGS.filter(bool))
def test_asking_for_a_hashtag_and_forbidding_it_takes_nothing(post: SourcePost, tags: frozenset[str]) -> None:
    both = replace(RULE, filter=Filter(any_hashtag=tags, no_hashtag=tags), watermark_at=post.posted_at)
    assert isinstance(decide(both, post, NOON), Leave)


@pytest.mark.parametrize(
    ("conditions", "taken"),
    [
        ({"any_hashtag": frozenset({"#park"})}, True),
        ({"any_hashtag": frozenset({"PARK", "sea"})}, True),
        ({"any_hashtag": frozenset({"par"})}, False),
        ({"no_hashtag": frozenset({"park"})}, False),
        ({"no_hashtag": frozenset({"sea"})}, True),
        ({"any_word": frozenset({"WALK"})}, True),
        ({"any_word": frozenset({"swim"})}, False),
        ({"duration_min_seconds": 20.0}, True),
        ({"duration_min_seconds": 20.1}, False),
        ({"duration_max_seconds": 20.0}, True),
        ({"duration_max_seconds": 19.9}, False),
    ],
)
def test_each_condition_holds_alone(conditions: dict[str, Any], taken: bool) -> None:
    assert isinstance(decide(replace(RULE, filter=Filter(**conditions)), POST, NOON), Take) is taken


@pytest.mark.parametrize(
    ("rule", "post", "reason"),
    [
        (RULE, replace(POST, posted_at=NOON - timedelta(days=2)), "it was posted before this rule began"),
        (replace(RULE, paused=True), POST, "the rule was paused when it was found"),
        (RULE, replace(POST, kind="photo"), "it is a photo post and only videos are reposted"),
        (
            replace(RULE, filter=Filter(any_hashtag=frozenset({"sea", "#sun"}))),
            POST,
            "it has none of the hashtags #sun, #sea",
        ),
        (
            replace(RULE, filter=Filter(duration_max_seconds=15.0)),
            POST,
            "it is longer than 15 seconds",
        ),
    ],
)
def test_what_was_left_out_can_be_read(rule: Rule, post: SourcePost, reason: str) -> None:
    left = decide(rule, post, NOON)
    assert isinstance(left, Leave)
    assert left.reason == reason


def test_a_post_that_may_yet_be_taken_along_is_told_apart_from_one_that_the_rule_refuses() -> None:
    old = decide(RULE, replace(POST, posted_at=NOON - timedelta(days=2)), NOON)
    paused = decide(replace(RULE, paused=True), POST, NOON)
    photo = decide(RULE, replace(POST, kind="photo"), NOON)
    assert isinstance(old, Leave)
    assert isinstance(paused, Leave)
    assert isinstance(photo, Leave)
    assert (old.ahead, paused.ahead, photo.ahead) == (True, True, False)


def test_a_length_the_source_does_not_tell_leaves_the_post_in() -> None:
    rule = replace(RULE, filter=Filter(duration_min_seconds=5.0, duration_max_seconds=10.0))
    assert isinstance(decide(rule, replace(POST, duration_seconds=None), NOON), Take)
