"""The box scan, on files built box by box."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorepost_app.media.boxes import scan_boxes


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def large_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def edits(*starts: int) -> bytes:
    entries = b"".join(struct.pack(">Iii", 1_000, start, 65_536) for start in starts)
    return box(b"moov", box(b"trak", box(b"edts", box(b"elst", struct.pack(">II", 0, len(starts)) + entries))))


FTYP = box(b"ftyp", b"isom\0\0\2\0isom")
MOOV = box(b"moov", box(b"mvhd", bytes(100)))
MDAT = box(b"mdat", bytes(1_000))


@pytest.fixture
def scan(tmp_path):
    def scan_bytes(content: bytes):
        path = tmp_path / "clip.mp4"
        path.write_bytes(content)
        return scan_boxes(path)

    return scan_bytes


def test_an_index_before_the_frames_starts_fast(scan):
    found = scan(FTYP + MOOV + MDAT)
    assert (found.complete, found.faststart, found.brand) == (True, True, "isom")


def test_an_index_after_the_frames_does_not(scan):
    found = scan(FTYP + MDAT + MOOV)
    assert found.complete
    assert not found.faststart


def test_every_cut_inside_the_last_box_is_noticed(scan):
    whole = FTYP + MOOV + MDAT
    for missing in (1, 100, 1_000):
        found = scan(whole[:-missing])
        assert not found.complete
        assert found.truncated_at == len(whole)


def test_a_cut_between_two_boxes_is_noticed_by_what_is_missing(scan):
    assert not scan(FTYP + MOOV).complete
    assert not scan(FTYP + MDAT).complete


def test_a_box_past_four_gigabytes_is_measured_by_its_long_size(scan):
    found = scan(FTYP + MOOV + large_box(b"mdat", bytes(64)))
    assert found.complete
    assert not scan(FTYP + MOOV + large_box(b"mdat", bytes(64))[:-1]).complete


def test_a_last_box_without_a_size_reaches_to_the_end(scan):
    assert scan(FTYP + MOOV + struct.pack(">I4s", 0, b"mdat") + bytes(50)).complete


@pytest.mark.parametrize(("starts", "matters"), [((), False), ((0,), False), ((1_024,), True), ((0, 0), True)])
def test_only_an_edit_list_that_changes_something_counts(scan, starts, matters):
    assert scan(FTYP + edits(*starts) + MDAT).edit_list is matters


def test_an_old_quicktime_file_has_no_brand_of_its_own(scan):
    assert scan(box(b"wide") + MDAT + MOOV).brand == "qt  "


@pytest.mark.parametrize("content", [b"", b"abc", b"\x1aE\xdf\xa3matroska", b"<html><body>"])
def test_other_files_are_left_to_others(scan, content):
    assert scan(content) is None


@given(st.binary(max_size=400), st.sampled_from([FTYP, FTYP + MOOV, edits(5)]))
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_bytes_makes_the_scan_stumble(tmp_path_factory, tail, head):
    path = tmp_path_factory.getbasetemp() / "any.mp4"
    path.write_bytes(head + tail)
    found = scan_boxes(path)
    assert found is None or found.truncated_at is None or found.truncated_at > len(head + tail)
