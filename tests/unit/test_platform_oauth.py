"""What is made of a token reply, and of one that is not what the standard promises?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import PlatformFault, TryAgain
from autorepost_app.platform_kit.oauth import token_set
from autorepost_app.platform_kit.protocol import TokenSet

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BEFORE = TokenSet("old-a", NOW, "old-r", NOW + timedelta(days=9), frozenset({"read"}), extra={"kept": "yes"})
GOOD = {"access_token": "new-a", "expires_in": 60, "refresh_token": "new-r", "scope": "read write"}


def read(previous: TokenSet | None = None, **changes: Any) -> TokenSet:
    return token_set({**GOOD, **changes}, platform_name="Reels", now=NOW, previous=previous)


def refused(body: dict[str, Any]) -> PlatformFault:
    with pytest.raises(PlatformFault) as caught:
        token_set(body, platform_name="Reels", now=NOW, previous=BEFORE)
    return caught.value


def test_a_reply_becomes_tokens_with_their_ends() -> None:
    tokens = read(refresh_expires_in=120)
    assert (tokens.access_token, tokens.refresh_token, tokens.scopes) == ("new-a", "new-r", {"read", "write"})
    assert tokens.access_expires_at == NOW + timedelta(seconds=60)
    assert tokens.refresh_expires_at == NOW + timedelta(seconds=120)
    assert tokens.issued_at == NOW


def test_what_a_reply_leaves_out_is_taken_over() -> None:
    tokens = read(BEFORE, refresh_token=None, scope="")
    assert (tokens.refresh_token, tokens.refresh_expires_at) == ("old-r", BEFORE.refresh_expires_at)
    assert (tokens.scopes, tokens.extra) == ({"read"}, {"kept": "yes"})


def test_the_end_of_a_refresh_token_is_not_taken_over_by_the_next_one() -> None:
    assert read(BEFORE).refresh_expires_at is None


@pytest.mark.parametrize("seconds", [3600, 3600.0, "3600"])
def test_a_life_may_be_told_as_a_number_or_in_digits(seconds: object) -> None:
    assert read(expires_in=seconds).access_expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("seconds", [None, 0, "", "0"])
def test_a_life_that_is_not_told_has_no_known_end(seconds: object) -> None:
    assert read(expires_in=seconds).access_expires_at is None


@pytest.mark.parametrize("scope", ["read write", "read  write ", ["read", "write"], ["read", " write", ""]])
def test_scopes_may_be_words_or_a_list(scope: object) -> None:
    assert read(scope=scope).scopes == {"read", "write"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("access_token", value) for value in (None, "", 7, True, {"S3CRET": 1}, ["S3CRET"], "S3CRET\n", "S3CRÉT")),
        *(("refresh_token", value) for value in (7, {"S3CRET": 1}, ["S3CRET"], "S3CRET\x00")),
        *(("expires_in", value) for value in ("S3CRET", 1e30, -1, "-5", True, 10**400, "nan", "inf", [60], {"a": 1})),
        ("refresh_expires_in", "S3CRET"),
        *(("scope", value) for value in (True, 5, {"S3CRET": 1}, ["read", 5], [["S3CRET"]])),
    ],
)
def test_an_odd_field_is_named_and_nothing_of_the_reply_is_repeated(field: str, value: object) -> None:
    fault = refused({**GOOD, "access_token": "S3CRET-A", "refresh_token": "S3CRET-R", field: value})
    assert isinstance(fault.verdict, TryAgain)
    assert "Reels" in fault.verdict.text
    assert field in fault.verdict.detail
    assert "S3C" not in f"{fault} {fault!r} {fault.verdict!r}"
    assert fault.__suppress_context__, "nor by what Python says of the field"


def test_a_reply_without_an_access_token_is_no_reply() -> None:
    assert "access_token" in refused({"refresh_token": "r"}).verdict.detail


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*GOOD, "refresh_expires_in"), _ANYTHING)))
def test_no_reply_breaks_the_reading(changes: dict[str, Any]) -> None:
    try:
        tokens = read(BEFORE, **changes)
    except PlatformFault:
        return
    tokens.access_token.encode("ascii")
    assert all(isinstance(scope, str) for scope in tokens.scopes)
