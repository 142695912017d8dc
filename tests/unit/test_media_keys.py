"""Keys name contents and never lead out of the store."""

from uuid import UUID

import pytest

from autorepost_app.media import keys

TENANT = UUID(int=7)
SHA = "ab" * 32


def test_keys_tell_tenant_kind_and_content():
    folder = "tenants/00000000-0000-0000-0000-000000000007"
    assert keys.original_key(TENANT, SHA) == f"{folder}/originals/{SHA}.mp4"
    assert keys.rendition_key(TENANT, SHA, "0123abcd") == f"{folder}/renditions/{SHA}-0123abcd.mp4"
    assert keys.thumbnail_key(TENANT, SHA) == f"{folder}/thumbnails/{SHA}.jpg"
    assert keys.temporary_key() != keys.temporary_key()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/b/", "a b", "a\nb", "~root"])
def test_a_key_that_is_no_plain_path_is_refused(key):
    with pytest.raises(ValueError, match="cannot be part of a key"):
        keys.check_key(key)


@pytest.mark.parametrize("sha", ["", "AB" * 32, "ab" * 31, SHA + "\n", "../" + SHA[3:]])
def test_a_hash_is_a_hash(sha):
    with pytest.raises(ValueError, match="64 lower-case"):
        keys.original_key(TENANT, sha)


def test_keys_made_here_are_keys_taken_there():
    for key in (keys.original_key(TENANT, SHA), keys.rendition_key(TENANT, SHA, "0f"), keys.temporary_key()):
        assert keys.check_key(key) == key
