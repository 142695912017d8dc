"""Which posts does a rule repost, and where to?

A rule belongs to a source connection. It names destinations, each with a caption template and options, and a filter.
Its decision is a value with a reason, so that a creator can read why a post was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autorepost_app.domain.captions import DEFAULT_TEMPLATE, hashtags_of
from autorepost_app.domain.posts import SourcePost


@dataclass(frozen=True, slots=True)
class Filter:
    """Every condition that is set must hold. Hashtags are without `#` and compared without case."""

    any_hashtag: frozenset[str] = frozenset()
    no_hashtag: frozenset[str] = frozenset()
    any_word: frozenset[str] = frozenset()
    duration_min_seconds: float | None = None
    duration_max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RuleDestination:
    connection_id: str
    template: str = DEFAULT_TEMPLATE
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """`watermark_at`: posts from before it are the backlog and are left alone."""

    id: str
    name: str
    source_connection_id: str
    destinations: tuple[RuleDestination, ...]
    watermark_at: datetime
    filter: Filter = Filter()
    delay_seconds: float = 0.0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Repost it, not before `due_at`."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Leave:
    """Do not repost it; `reason` completes "Left out because ...". `ahead` rules out before any row is made: the post
    is older than the rule, or the rule is paused. A later decision of its person may still take the post along."""

    reason: str
    ahead: bool = False


def decide(rule: Rule, post: SourcePost, detected_at: datetime) -> Take | Leave:
    """What `rule` says of `post`, first reason first."""
    if post.posted_at < rule.watermark_at:
        return Leave("it was posted before this rule began", ahead=True)
    if rule.paused:
        return Leave("the rule was paused when it was found", ahead=True)
    if post.kind != "video":
        return Leave("it is a photo post and only videos are reposted")
    reason = _filtered_out(rule.filter, post)
    if reason:
        return Leave(reason)
    return Take(detected_at + timedelta(seconds=rule.delay_seconds))


def _filtered_out(conditions: Filter, post: SourcePost) -> str | None:
    tags = {tag.casefold() for tag in hashtags_of(post.caption)}
    words = post.caption.casefold()
    if conditions.any_hashtag and not tags & _folded(conditions.any_hashtag):
        return "it has none of the hashtags " + _listed(conditions.any_hashtag)
    if tags & _folded(conditions.no_hashtag):
        return "it has one of the hashtags " + _listed(conditions.no_hashtag)
    if conditions.any_word and not any(word.casefold() in words for word in conditions.any_word):
        return "its caption has none of the words " + ", ".join(sorted(conditions.any_word))
    return _wrong_length(conditions, post.duration_seconds)


def _wrong_length(conditions: Filter, duration: float | None) -> str | None:
    if duration is None:
        return None
    if conditions.duration_min_seconds is not None and duration < conditions.duration_min_seconds:
        return f"it is shorter than {conditions.duration_min_seconds:g} seconds"
    if conditions.duration_max_seconds is not None and duration > conditions.duration_max_seconds:
        return f"it is longer than {conditions.duration_max_seconds:g} seconds"
    return None


def _folded(names: frozenset[str]) -> set[str]:
    return {name.casefold().removeprefix("#") for name in names}


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"#{name.removeprefix('#')}" for name in sorted(names))
