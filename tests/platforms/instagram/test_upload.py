"""A file as large as Instagram takes goes up in pieces of a piece's size, over one connection."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from autorepost_app.domain.media import MediaFacts
from autorepost_app.platform_kit.protocol import Done, NotReady
from autorepost_app.platforms.instagram.limits import MEDIA
from autorepost_app.sandbox.wire import CuttableProtocol

MIB = 1 << 20
LARGEST = MEDIA.size_max_bytes


@dataclass
class Enormous:
    """Bytes made as they are asked for: nothing here holds the file."""

    size_bytes: int = LARGEST or 0
    sha256: str = ""
    facts: MediaFacts = field(default_factory=lambda: MediaFacts("mp4", LARGEST or 0, 60.0, 1080, 1920, 30.0, "h264"))
    piece: bytes = bytes(MIB)

    def chunks(self, offset: int = 0, length: int | None = None, chunk_bytes: int = MIB) -> Iterator[bytes]:
        left = self.size_bytes - offset
        while left > 0:
            yield self.piece[:left]
            left -= MIB

    def public_url(self, ttl_seconds: float) -> str:
        raise AssertionError("a page's upload needs no public address")


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection that the sandbox accepts from now on."""
    connections: list[object] = []
    made = CuttableProtocol.connection_made

    def counted(self: CuttableProtocol, transport: asyncio.Transport) -> None:
        connections.append(transport)
        made(self, transport)

    monkeypatch.setattr(CuttableProtocol, "connection_made", counted)
    return connections


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """The most memory that Python held since the last time it was asked, beyond what it held then."""
    tracemalloc.start(1)
    held = 0

    def grown() -> int:
        nonlocal held
        before, (held, peak) = held, tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return peak - before

    yield grown
    tracemalloc.stop()


def test_the_largest_file_goes_up_without_ever_being_in_memory(
    publish_as: Callable[..., Any], control: Any, traced: Callable[[], int]
) -> None:
    publication = publish_as("facebook")
    publication.delivery = replace(publication.delivery, media=Enormous())
    told: list[float] = []
    publication.delivery = replace(publication.delivery, report=lambda _step, part: told.append(part))
    traced()
    assert isinstance(publication.stage_once(), NotReady)
    # sender and sandbox together: one piece here, what the sockets buffer, one block there
    assert traced() < 24 * MIB
    assert told[-1] == 1.0
    assert len(told) >= LARGEST // MIB


def test_a_whole_publication_needs_one_connection(
    publish_as: Callable[..., Any], control: Any, accepted: list[object]
) -> None:
    publication = publish_as("facebook")
    accepted.clear()
    for words in ("one", "two", "three"):
        publication.another(words)
    assert len(control.live()) == 3
    assert len(accepted) <= 1, "the one of the login is kept, at most it is opened once more"


def test_a_connection_that_was_cut_is_replaced_once(
    publish_as: Callable[..., Any], control: Any, accepted: list[object]
) -> None:
    publication = publish_as("facebook")
    accepted.clear()
    control.fault("container.status", "reset_after_body")
    publication.stage_once()
    with pytest.raises(Exception, match="transport"):
        publication.stage_once()
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert len(accepted) <= 2
