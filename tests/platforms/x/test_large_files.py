"""Does a file of 300 MB go up in flat memory and over one connection?"""

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import Done, NotReady
from autorepost_app.sandbox.wire import CuttableProtocol

MIB = 1 << 20


class Padded:
    """A real clip with a box of nothing behind it: as large as wanted, never in memory, still a video."""

    def __init__(self, clip: bytes, size_bytes: int, facts: MediaFacts) -> None:
        room = size_bytes - len(clip)
        self.head = clip + room.to_bytes(4, "big") + b"free"
        self.size_bytes, self.facts = size_bytes, facts
        whole = hashlib.sha256(self.head)
        for piece in self.chunks(len(self.head)):
            whole.update(piece)
        self.sha256 = whole.hexdigest()

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = MIB) -> Iterator[bytes]:
        end = self.size_bytes if length is None else offset + length
        while offset < end:
            piece = self.head[offset : offset + chunk_bytes].ljust(chunk_bytes, b"\0")[: end - offset]
            offset += len(piece)
            yield piece

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("X never fetches")


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that the sandbox accepts from now on."""
    accepted: list[Any] = []
    made = CuttableProtocol.connection_made

    def count(protocol: CuttableProtocol, transport: Any) -> None:
        accepted.append(transport.get_extra_info("peername"))
        made(protocol, transport)

    monkeypatch.setattr(CuttableProtocol, "connection_made", count)
    return accepted


@pytest.mark.slow
def test_three_hundred_megabytes_go_up_in_flat_memory_over_one_connection(
    connections: list[Any], publish: Callable[..., Any], clip: Any, control: Any
) -> None:
    large = Padded(clip.path.read_bytes(), 300 * MIB, clip.facts)
    publication = publish(media=large)
    connected = len(connections)
    tracemalloc.start()
    try:
        assert isinstance(publication.stage_once(), NotReady)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(connections) == connected, "the connection of the sign-in is used again"
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert peak < 40 * MIB, "client and sandbox together"
    assert len(control.calls("upload.append")) == 300
    assert control.live()[0]["media"]["sha256"] == large.sha256
