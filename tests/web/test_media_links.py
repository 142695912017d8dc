"""A signed link reads one file for a while; nothing else below it answers."""

from __future__ import annotations

import pytest

from autorepost_app.services.links import PATH

KEY = "tenants/t/renditions/clip.mp4"
BYTES = bytes(range(256)) * 40


@pytest.fixture
def path(web):
    web.store.put_stream([BYTES], KEY)
    return web.signed(KEY)


def test_a_link_gives_the_very_bytes(web, path):
    answer = web.ask("GET", path)
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["cache-control"] == "private, no-store"


def test_a_platform_may_look_first_and_fetch_in_pieces(web, path):
    looked = web.ask("HEAD", path)
    piece = web.ask("GET", path, headers={"Range": "bytes=100-199"})
    assert (looked.status_code, looked.headers["content-length"], looked.content) == (200, str(len(BYTES)), b"")
    assert (piece.status_code, piece.content) == (206, BYTES[100:200])
    assert piece.headers["content-range"] == f"bytes 100-199/{len(BYTES)}"


def test_a_range_beyond_the_file_is_refused(web, path):
    assert web.ask("GET", path, headers={"Range": f"bytes={len(BYTES)}-"}).status_code == 416


def test_a_changed_link_opens_nothing(web, path):
    signed = path.removeprefix(PATH)
    for changed in (signed[:-1], signed[::-1], "x", signed.replace(".", "..", 1)):
        answer = web.ask("GET", PATH + changed)
        assert (answer.status_code, answer.text) == (403, "This link has changed.\n"), changed


def test_a_link_runs_out(web):
    web.store.put_stream([BYTES], KEY)
    answer = web.ask("GET", web.signed(KEY, ttl_seconds=-1))
    assert (answer.status_code, answer.text) == (403, "This link has run out.\n")


def test_a_link_to_a_file_that_is_gone_says_so(web):
    answer = web.ask("GET", web.signed("tenants/t/renditions/gone.mp4"))
    assert (answer.status_code, answer.text) == (404, "There is no such file.\n")


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/"), "/media/", "/media", f"{PATH}a/b", f"{PATH}%2e%2e%2fkeys"])
def test_there_is_no_list_of_files(web, path):
    answer = web.ask("GET", path)
    assert KEY.rpartition("/")[2] not in answer.text
    assert answer.status_code in (403, 404) or "<title>Streamlit</title>" in answer.text


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_a_link_only_reads(web, path, method):
    assert web.ask(method, path).status_code == 405
    assert web.ask("GET", path).content == BYTES
