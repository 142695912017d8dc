"""The small decisions around a publication: how long to wait, when to read, what was frozen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.publications import (
    BACK_OFF_SECONDS,
    SendTimes,
    back_off_seconds,
    marker_of,
    next_read_at,
    payload_fingerprint,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_AGES = (5.0, 30.0, 120.0, 600.0, 3600.0)


@given(st.integers(-5, 10_000))
def test_a_back_off_is_a_wait_or_the_end_and_never_an_error(faults: int) -> None:
    wait = back_off_seconds(faults)
    assert wait is None or wait > 0
    assert (wait is not None) == (1 <= faults <= len(BACK_OFF_SECONDS))


def test_each_wait_is_longer_than_the_one_before_and_a_day_is_enough() -> None:
    assert all(shorter < longer for shorter, longer in pairwise(BACK_OFF_SECONDS))
    assert 20 * 3600 < sum(BACK_OFF_SECONDS) < 26 * 3600


@given(elapsed=st.floats(0, 10 * 86400), give_up=st.floats(3600, 7 * 86400))
def test_the_next_read_is_never_in_the_past_and_never_after_the_end(elapsed: float, give_up: float) -> None:
    now = NOON + timedelta(seconds=elapsed)
    at = next_read_at(NOON, now, _AGES, give_up)
    assert at >= now
    assert at <= max(NOON + timedelta(seconds=give_up), now)


@given(give_up=st.floats(3600, 7 * 86400))
def test_reads_reach_the_end_in_finitely_many_steps(give_up: float) -> None:
    end, now, reads = NOON + timedelta(seconds=give_up), NOON, 0
    while now < end:
        now, reads = next_read_at(NOON, now, _AGES, give_up), reads + 1
        assert reads <= len(_AGES) + 24 * 7 + 1


def test_reads_follow_the_plan_and_then_come_hourly() -> None:
    assert next_read_at(NOON, NOON + timedelta(seconds=6), _AGES, 86400) == NOON + timedelta(seconds=30)
    late = NOON + timedelta(hours=5)
    assert next_read_at(NOON, late, _AGES, 86400) == late + timedelta(hours=1)


def test_a_lease_that_its_own_send_could_outlive_is_refused() -> None:
    with pytest.raises(ValueError, match="outlive the send window"):
        SendTimes(window_seconds=20, exchange_seconds=60, lease_seconds=80)


def test_it_is_quiet_once_window_exchange_and_request_have_all_passed() -> None:
    assert SendTimes(20, 60, 120).quiet_at(NOON, 600) == NOON + timedelta(seconds=680)


_WORDS = st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4)


@given(text=_WORDS, options=_WORDS)
def test_a_fingerprint_does_not_depend_on_the_order_of_its_parts(text: dict[str, str], options: dict[str, str]) -> None:
    turned = dict(reversed(text.items()))
    assert payload_fingerprint(media_sha256="a", text=text, options=options) == payload_fingerprint(
        media_sha256="a", text=turned, options=options
    )


@given(text=_WORDS, options=_WORDS)
def test_words_moved_from_text_to_options_are_another_payload(text: dict[str, str], options: dict[str, str]) -> None:
    same = payload_fingerprint(media_sha256="a", text=text, options=options) == payload_fingerprint(
        media_sha256="a", text=options, options=text
    )
    assert same is (text == options)


def test_any_change_of_media_text_or_options_changes_the_fingerprint() -> None:
    prints = {
        payload_fingerprint(media_sha256=media, text={"body": body}, options={"privacy": privacy})
        for media in ("a", "b")
        for body in ("Hello", "Hello ")
        for privacy in ("public", "private")
    }
    assert len(prints) == 8


def test_a_marker_is_short_stable_and_tells_publications_apart() -> None:
    markers = {marker_of("there", "account", "here", str(number)) for number in range(1000)}
    assert len(markers) == 1000
    assert marker_of("there", "account", "here", "1") in markers
    assert marker_of("there", "other account", "here", "1") not in markers
    assert marker_of("a", "b", "c:d", "e") != marker_of("a", "b:c", "d", "e")
    assert {len(marker) for marker in markers} == {15}
