"""The store in a folder: whole or absent, private, by content."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from autorepost_app.media import keys
from autorepost_app.media.errors import NoSpaceLeft, ObjectDamaged, ObjectMissing
from autorepost_app.media.files import keep
from autorepost_app.media.store import Store

TENANT = UUID(int=7)
CONTENT = bytes(range(256)) * 5_000
SHA = hashlib.sha256(CONTENT).hexdigest()
KEY = keys.original_key(TENANT, SHA)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "a store"


@pytest.fixture
def store(root):
    return Store(root.as_uri())


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "fetched.mp4"
    path.write_bytes(CONTENT)
    return path


def files_in(root):
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_is_put_comes_back_byte_by_byte(store, source, tmp_path):
    put = store.put_file(source, KEY)
    assert (put.key, put.size_bytes, put.sha256) == (KEY, len(CONTENT), SHA)
    assert source.exists()
    back = store.fetch_to(KEY, tmp_path / "back.mp4", sha256=SHA)
    assert (tmp_path / "back.mp4").read_bytes() == CONTENT
    assert back == put


def test_putting_twice_is_putting_once(store, root, source):
    store.put_file(source, KEY)
    before = files_in(root)[0].stat().st_ino
    store.put_file(source, KEY)
    assert [path.stat().st_ino for path in files_in(root)] == [before]


def test_a_consumed_file_moves_in_without_a_copy(store, root, source):
    inode = source.stat().st_ino
    store.put_file(source, KEY, consume=True)
    assert not source.exists()
    assert [path.stat().st_ino for path in files_in(root)] == [inode]


def test_a_stream_is_hashed_on_its_way_in(store):
    put = store.put_stream((CONTENT[at : at + 999] for at in range(0, len(CONTENT), 999)), KEY)
    assert (put.size_bytes, put.sha256) == (len(CONTENT), SHA)
    assert b"".join(store.stream(KEY)) == CONTENT


def test_a_stream_that_breaks_leaves_nothing(store, root):
    def broken():
        yield CONTENT
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put_stream(broken(), KEY)
    assert files_in(root) == []
    assert not store.exists(KEY)


def test_a_full_disk_leaves_nothing_and_says_so(store, root):
    def full():
        yield CONTENT
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpaceLeft, match="disk is full"):
        store.put_stream(full(), KEY)
    assert files_in(root) == []


def test_a_writer_killed_half_way_leaves_only_what_the_sweep_takes_away(store, root):
    program = f"""
import os, signal
from autorepost_app.media.store import Store
def chunks():
    yield bytes(100_000)
    os.kill(os.getpid(), signal.SIGKILL)
    yield b""
Store({root.as_uri()!r}).put_stream(chunks(), {KEY!r})
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not store.exists(KEY)
    assert len(files_in(root)) == 1
    now = datetime.now(UTC)
    assert store.sweep_temporary(older_than=now - timedelta(hours=1)) == 0
    assert store.sweep_temporary(older_than=now + timedelta(minutes=1)) == 1
    assert files_in(root) == []


def test_the_sweep_never_touches_what_has_a_name(store, source):
    store.put_file(source, KEY)
    assert store.sweep_temporary(older_than=datetime.now(UTC) + timedelta(days=1)) == 0
    assert store.exists(KEY)


@pytest.mark.parametrize(("chunk", "start", "end"), [(256, 0, None), (262_144, 0, None), (1_000, 999, 5_001)])
def test_pieces_have_exactly_the_size_a_platform_asks_for(store, source, chunk, start, end):
    store.put_file(source, KEY)
    pieces = list(store.stream(KEY, chunk_bytes=chunk, start=start, end=end))
    assert b"".join(pieces) == CONTENT[start:end]
    assert {len(piece) for piece in pieces[:-1]} <= {chunk}
    assert 0 < len(pieces[-1]) <= chunk


def test_a_resumed_upload_at_the_very_end_gets_nothing_more(store, source):
    store.put_file(source, KEY)
    assert list(store.stream(KEY, start=len(CONTENT))) == []


def test_a_large_file_passes_without_filling_memory(store, tmp_path):
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    try:
        store.put_file(large, KEY)
        assert sum(len(piece) for piece in store.stream(KEY)) == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_object_is_noticed_on_the_way_out(store, source, tmp_path):
    store.put_file(source, KEY)
    store.local_path(KEY).write_bytes(b"\xff" + CONTENT[1:])
    with pytest.raises(ObjectDamaged, match="damaged") as caught:
        store.fetch_to(KEY, tmp_path / "back.mp4", sha256=SHA)
    assert caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a store", "fetched.mp4"]


@pytest.mark.parametrize("damaged", [CONTENT[:100], b"\xff" + CONTENT[1:]])
def test_putting_again_mends_a_damaged_object(store, source, damaged):
    store.put_file(source, KEY)
    store.local_path(KEY).write_bytes(damaged)
    store.put_file(source, KEY)
    assert store.local_path(KEY).read_bytes() == CONTENT


def test_what_is_not_there_is_missing_and_may_be_deleted(store, tmp_path):
    assert store.head(KEY) is None
    assert store.local_path(KEY) is None
    with pytest.raises(ObjectMissing):
        store.fetch_to(KEY, tmp_path / "back.mp4")
    store.delete(KEY)


def test_a_deleted_object_is_gone(store, source):
    store.put_file(source, KEY)
    store.delete(KEY)
    assert not store.exists(KEY)


def test_listing_goes_by_whole_path_parts(store, source):
    for key in ("tenants/1/a.mp4", "tenants/10/b.mp4"):
        store.put_file(source, key)
    assert [found.key for found in store.list("tenants/1")] == ["tenants/1/a.mp4"]
    assert sorted(found.key for found in store.list()) == ["tenants/1/a.mp4", "tenants/10/b.mp4"]
    assert all(found.modified_at.tzinfo for found in store.list())


def test_only_the_owner_can_read_even_under_an_open_umask(tmp_path, source):
    before = os.umask(0)
    try:
        root = tmp_path / "deep" / "store"
        store = Store(root.as_uri())
        store.put_file(source, KEY)
        store.put_stream([CONTENT], "tmp/x.part")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in files_in(root)} == {0o600}


def test_a_folder_has_no_addresses_to_give_away(store, source):
    store.put_file(source, KEY)
    assert store.presign_get(KEY, 60) is None


@pytest.mark.parametrize("url", ["", "/var/store", "file://", "s3://", "https://bucket/"])
def test_an_address_of_no_store_is_refused(url):
    with pytest.raises(ValueError, match="store URL"):
        Store(url)


def test_keeping_a_file_replaces_the_earlier_one_at_once(tmp_path):
    (tmp_path / "part").write_bytes(b"new")
    (tmp_path / "kept").write_bytes(b"old")
    keep(tmp_path / "part", tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == b"new"
    assert not (tmp_path / "part").exists()
