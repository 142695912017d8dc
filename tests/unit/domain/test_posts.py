"""Is a post told apart from every other, and does its identity survive being a partition key?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.posts import PostIdentity

_IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
IDENTITIES = st.builds(PostIdentity, _IDS, _IDS, _IDS)


@given(IDENTITIES)
def test_an_identity_comes_back_from_its_partition_key(identity: PostIdentity) -> None:
    assert PostIdentity.from_partition_key(identity.partition_key()) == identity


@given(IDENTITIES, IDENTITIES)
def test_two_identities_never_share_a_partition_key(one: PostIdentity, other: PostIdentity) -> None:
    assert (one.partition_key() == other.partition_key()) is (one == other)


@given(IDENTITIES)
def test_a_partition_key_is_three_parts_of_plain_letters(identity: PostIdentity) -> None:
    key = identity.partition_key()
    assert key.count(":") == 2
    assert key.isascii()
    assert not any(letter.isspace() for letter in key)


@pytest.mark.parametrize("key", ["", "tiktok", "tiktok:1", "tiktok:1:", ":1:2", "tiktok:1:2:3"])
def test_a_key_that_is_not_of_three_parts_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not <platform>:<account id>:<post id>"):
        PostIdentity.from_partition_key(key)


def test_a_usual_key_reads_as_people_expect() -> None:
    assert PostIdentity("tiktok", "@mia.walks", "7301").partition_key() == "tiktok:@mia.walks:7301"
