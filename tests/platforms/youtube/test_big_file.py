"""Does a big file go up through one connection and a small memory?

Told by what is opened and held, not by a clock: 300 MB of them are a hole in a file, so that nothing waits for a disk.
"""

import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import Done
from autorepost_app.platforms.youtube import limits
from autorepost_app.sandbox.wire import CuttableProtocol

MEGABYTE = 1 << 20
BLOCK = 256 * 1024


@dataclass
class HollowFile:
    """A real clip followed by 300 MB that players skip. Remembers what was asked of it at a time."""

    path: Path
    size_bytes: int
    facts: MediaFacts
    sha256: str = "of-the-hollow-file"
    asked: list[int] = field(default_factory=list)

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        left = self.size_bytes - offset if length is None else length
        self.asked.append(chunk_bytes)
        with self.path.open("rb") as file:
            file.seek(offset)
            while left and (block := file.read(min(chunk_bytes, left))):
                left -= len(block)
                yield block

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("YouTube never fetches")


@pytest.fixture
def hollow_file(tmp_path: Path, small_file: Any) -> HollowFile:
    clip, hole, path = small_file.path.read_bytes(), 300 * MEGABYTE, tmp_path / "hollow.mp4"
    with path.open("wb") as file:
        file.write(clip + struct.pack(">I4s", hole, b"free"))
        file.truncate(len(clip) + hole)
    return HollowFile(path, path.stat().st_size, small_file.facts)


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every connection that the sandbox accepts from here on."""
    peers: list[str] = []
    made = CuttableProtocol.connection_made

    def counted(protocol: CuttableProtocol, transport: Any) -> None:
        peers.append(str(transport.get_extra_info("peername")))
        made(protocol, transport)

    monkeypatch.setattr(CuttableProtocol, "connection_made", counted)
    return peers


def test_three_hundred_megabytes_go_through_one_connection_and_a_small_memory(
    accepted: list[str], channel: Any, hollow_file: HollowFile, wire: Any
) -> None:
    channel.delivery = replace(channel.delivery, media=hollow_file)
    channel.destination = replace(channel.destination, portion_seconds=600.0)
    assert len(accepted) == 2, "the product's client, and the test's own to the sandbox's controls"
    tracemalloc.start()
    try:
        channel.stage()
        outcome = channel.commit()
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Done)
    assert len(accepted) == 2, "no request opened another"
    assert peak < 2 * limits.PORTION_BYTES, "both ends together, the sandbox included"
    assert max(hollow_file.asked) <= BLOCK * 4
    parts = [request for request in wire.requests if "upload_id" in request.url.params]
    assert len(parts) == -(-hollow_file.size_bytes // limits.PORTION_BYTES) + 1
    assert channel.control.live()[0]["media"]["size"] == hollow_file.size_bytes


def test_a_whole_publication_needs_one_connection(accepted: list[str], playlist_channel: Any) -> None:
    """All of YouTube's hosts are one address here, so signing in, sending and reading all share it."""
    video = playlist_channel.publish()
    playlist_channel.later(60)
    playlist_channel.choose(playlist=playlist_channel.control.playlist("Bread"))
    playlist_channel.find()
    assert playlist_channel.finish(video, b"\xff\xd8\xff\xe0" + bytes(1000)) == ()
    assert len(accepted) == 2


def test_a_broken_connection_is_replaced_and_the_next_one_kept(accepted: list[str], big_channel: Any) -> None:
    big_channel.stage_once()
    before = len(accepted)
    big_channel.control.fault("session.put", "reset_mid_body", bytes=BLOCK)
    with pytest.raises(Exception, match="transport"):
        big_channel.stage_once()
    big_channel.stage()
    assert isinstance(big_channel.commit(), Done)
    assert len(accepted) == before + 1
