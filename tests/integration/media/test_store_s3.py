"""The same calls against S3 over real HTTP."""

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen
from uuid import UUID

import boto3
import pytest
from moto.server import ThreadedMotoServer

from autorepost_app.media import keys
from autorepost_app.media.errors import ObjectMissing, StoreUnavailable
from autorepost_app.media.store import Store

CONTENT = bytes(range(256)) * 50_000
SHA = hashlib.sha256(CONTENT).hexdigest()
KEY = keys.original_key(UUID(int=7), SHA)
ACCESS = {"access_key_id": "key", "secret_access_key": "hush-hush", "region": "eu-west-1"}


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def client(endpoint):
    own = {"aws_access_key_id": "key", "aws_secret_access_key": "hush-hush", "region_name": "eu-west-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **own)
    client.create_bucket(Bucket="clips", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield client
    client.close()


@pytest.fixture
def store(endpoint, client):
    store = Store("s3://clips/some/prefix", {**ACCESS, "endpoint": endpoint})
    yield store
    for found in store.list():
        store.delete(found.key)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "fetched.mp4"
    path.write_bytes(CONTENT)
    return path


def test_what_is_put_comes_back_byte_by_byte(store, client, source, tmp_path):
    put = store.put_file(source, KEY)
    assert (put.size_bytes, put.sha256) == (len(CONTENT), SHA)
    assert store.fetch_to(KEY, tmp_path / "back.mp4", sha256=SHA) == put
    assert (tmp_path / "back.mp4").read_bytes() == CONTENT
    told = client.head_object(Bucket="clips", Key=f"some/prefix/{KEY}")
    assert told["ContentType"] == "video/mp4"


def test_putting_twice_uploads_once(store, client, source):
    store.put_file(source, KEY)
    first = client.head_object(Bucket="clips", Key=f"some/prefix/{KEY}")["ETag"]
    versions = client.list_object_versions(Bucket="clips")["Versions"]
    store.put_file(source, KEY, consume=True)
    assert client.head_object(Bucket="clips", Key=f"some/prefix/{KEY}")["ETag"] == first
    assert client.list_object_versions(Bucket="clips")["Versions"] == versions
    assert not source.exists()


def test_a_stream_that_breaks_leaves_nothing_not_even_parts(store, client):
    def broken():
        yield CONTENT
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put_stream(broken(), KEY)
    assert not store.exists(KEY)
    assert "Uploads" not in client.list_multipart_uploads(Bucket="clips")


def test_pieces_have_exactly_the_size_a_platform_asks_for(store):
    store.put_stream([CONTENT], KEY)
    pieces = list(store.stream(KEY, chunk_bytes=1_048_576, start=5))
    assert b"".join(pieces) == CONTENT[5:]
    assert {len(piece) for piece in pieces[:-1]} == {1_048_576}


def test_an_address_to_read_from_is_signed_runs_out_and_serves_ranges(store):
    store.put_stream([CONTENT], KEY)
    url = store.presign_get(KEY, 900)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert "hush-hush" not in url
    with urlopen(url) as answer:
        assert answer.read() == CONTENT


def test_the_sweep_takes_only_old_leftovers(store):
    store.put_stream([b"left"], keys.temporary_key())
    store.put_stream([CONTENT], KEY)
    assert store.sweep_temporary(older_than=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep_temporary(older_than=datetime.now(UTC) + timedelta(hours=1)) == 1
    assert [found.key for found in store.list()] == [KEY]


def test_what_is_not_there_is_missing_and_may_be_deleted(store, tmp_path):
    with pytest.raises(ObjectMissing):
        store.fetch_to(KEY, tmp_path / "back.mp4")
    store.delete(KEY)
    assert store.local_path(KEY) is None


def test_a_store_that_does_not_answer_is_reported_without_secrets(endpoint):
    silent = Store("s3://clips", {**ACCESS, "endpoint": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailable) as caught:
        silent.exists(KEY)
    assert "hush-hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
