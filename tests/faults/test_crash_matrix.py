"""A worker dies, for real, at every point where its death could matter, while the platform misbehaves in every way.

One test for each platform and each way in which it misbehaves; in it one publication for each crash point. A worker
process of its own takes the publication forward until it comes to the point, and is killed there by SIGKILL; another
one goes on. After each step the platform's own ledger is compared with what we claim, and in the end nothing is lost,
nothing is doubled, and only what truly nobody can know is left to a person.

The default run takes a slice of the points; `python3 dev.py test --faults` takes them all.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from autorepost_app.domain.crash_points import (
    AFTER_ANSWER,
    AFTER_COMMIT,
    BEFORE_COMMIT,
    BEFORE_REQUEST,
    SEND,
    WITHIN_REQUEST,
)
from autorepost_app.domain.publications import SendTimes, State
from autorepost_app.persistence.models import Publication

SLICE: Final = 4
"""Of the points, how many each default test takes."""


@dataclass(frozen=True)
class Point:
    """The `time`-th time that a worker comes to the point `name`."""

    name: str
    time: int = 1

    def __str__(self) -> str:
        return self.name if self.time == 1 else f"{self.name} #{self.time}"


def written(what: str, time: int = 1) -> tuple[Point, Point]:
    return Point(BEFORE_COMMIT + what, time), Point(AFTER_COMMIT + what, time)


def asked(what: str, time: int = 1) -> tuple[Point, Point]:
    return Point(BEFORE_REQUEST + what, time), Point(AFTER_ANSWER + what, time)


PIECE: Final = Point(WITHIN_REQUEST + "a piece of the file")
TO_THE_SEND: Final = {
    "instagram": (
        *asked("media"),
        *written("hold"),
        *written("resume"),
        *asked("container"),
        *asked("content_publishing_limit"),
    ),
    "x": (
        *asked("initialize"),
        PIECE,
        *asked("append"),
        *written("keep handles", 2),
        *asked("finalize"),
        *written("keep handles", 3),
    ),
    "youtube": (*asked("videos.insert"), PIECE, *asked("PUT"), *written("keep handles", 2)),
}
AFTER_IT: Final = {
    "instagram": (*asked("container", 2), *asked("media.list")),
    "x": asked("timeline"),
    "youtube": (*asked("PUT", 2), *asked("playlistItems.list")),
}
"""What is asked once the send is over: for the link, or for what became of it."""
EVERYWHERE: Final = (
    *written("claim"),
    *written("claim", 2),
    *written("keep handles"),
    *written("intend"),
    *asked(SEND),
    *asked(SEND, 2),
    *written("confirm"),
    *written("not_done"),
    *written("not_done_wait"),
    *written("postpone"),
    *written("lose_sight"),
    *written("lease_lost"),
    *written("claim reading"),
    *written("claim reading", 2),
    *written("read again"),
    *written("absent_same"),
    *written("absent_new"),
    *written("found"),
    *written("give_up"),
)
POINTS: Final = {key: (*EVERYWHERE, *TO_THE_SEND[key], *AFTER_IT[key]) for key in TO_THE_SEND}

SENDS: Final = {"instagram": "media_publish", "x": "tweets.create", "youtube": "insert.last"}
FIRST_STEPS: Final = {"instagram": "container.create", "x": "upload.append", "youtube": "session.start"}
READS: Final = {
    "instagram": ("container.status",),
    "x": ("timeline",),
    "youtube": ("session.query", "playlistItems.list"),
}


@dataclass(frozen=True)
class Fault:
    """`kind` strikes the send, or the `first_step`; `reads` strikes those who ask afterwards.

    `exchange_seconds`: how long an answer is waited for, where the fault is that it takes longer.
    """

    name: str
    kind: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    first_step: bool = False
    reads: tuple[str, dict[str, Any]] | None = None
    exchange_seconds: float = 60.0

    def __str__(self) -> str:
        return self.name


FAULTS: Final = (
    Fault("nothing is wrong"),
    Fault("refused at the door", "refuse"),
    Fault("cut before the body", "reset_before_body"),
    Fault("cut in the body", "reset_mid_body", {"bytes": 20}),
    Fault("cut after the body", "reset_after_body"),
    Fault("done, answer lost", "commit_then_reset"),
    Fault("done, answered 500", "commit_then_500"),
    Fault("answered 500, done later", "commit_late", {"seconds": 300}),
    Fault("too many requests", "rate_limited", {"seconds": 120}),
    Fault("refused although done", "client_error_although_done"),
    Fault("done without an id", "ok_without_id"),
    Fault("done, answered too late", "slow", {"seconds": 0.6, "after_work": True}, exchange_seconds=0.3),
    Fault("taken up after we had given up", "slow", {"seconds": 0.6}, exchange_seconds=0.3),
    Fault("done, and lists lag", "commit_then_reset", reads=("read_lag", {"seconds": 900, "count": 3})),
    Fault("done, and reads fail for a while", "commit_then_reset", reads=("read_error", {"count": 3})),
    Fault("the first step cut after the body", "reset_after_body", first_step=True),
    Fault("the first step done, answer lost", "commit_then_reset", first_step=True),
    Fault("the first step answered 500", "commit_then_500", first_step=True),
)
IN_EVERY_RUN: Final = (
    "nothing is wrong",
    "done, answer lost",
    "cut after the body",
    "answered 500, done later",
    "done, and reads fail for a while",
    "the first step done, answer lost",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" not in metafunc.fixturenames:
        return
    whole = metafunc.config.getoption("--faults")
    faults = [fault for fault in FAULTS if whole or fault.name in IN_EVERY_RUN]
    cells = [
        (platform, fault, POINTS[platform] if whole else a_slice(POINTS[platform], row))
        for platform in POINTS
        for row, fault in enumerate(faults)
    ]
    ids = [f"{platform}: {fault}" for platform, fault, _ in cells]
    metafunc.parametrize(("platform", "fault", "points"), cells, ids=ids)


def verb_for(row: Publication) -> str:
    """What a publication that is past its preparation waits for."""
    return {State.READY: "send a step", State.STAGING: "send a step", State.COMMITTING: "sweep"}.get(
        State(row.state), "read"
    )


def a_slice(points: tuple[Point, ...], row: int) -> tuple[Point, ...]:
    """Others in each row, so that all rows together meet most of them, and always those around the send."""
    step = len(points) // SLICE
    return (*written("intend"), *asked(SEND), *points[row % step :: step])


@dataclass
class Life:
    """One publication whose worker dies at one point."""

    world: Any
    nursery: Callable[..., tuple[int, int]]
    publication_id: str
    point: Point
    fault: Fault
    times: int = 0
    was_killed: bool = False
    reads_are_armed: bool = False

    def run(self) -> Publication:
        """To its rest; the invariants hold after each step."""
        for _ in range(60):
            row = self.world.row(self.publication_id)
            self.world.assert_invariants(row.id)
            if not self.world.in_motion(row):
                return row
            self._arm_reads(row)
            self._step(row)
        raise AssertionError(f"{row.platform} does not come to rest: {row.state} {row.waiting_for}")

    def _arm_reads(self, row: Publication) -> None:
        if self.fault.reads and not self.reads_are_armed and row.last_sent_at is not None:
            kind, options = self.fault.reads
            for call in READS[row.platform]:
                self.world.sandbox.fault(row.platform, call, kind, account=row.external_account_id, **options)
            self.reads_are_armed = True

    def _step(self, row: Publication) -> None:
        if self.was_killed:
            self.world.step(row)
            return
        self.world.wait_for(row)
        times = {"exchange_seconds": self.fault.exchange_seconds}
        status, reached = self.nursery(
            self.world, verb_for(row), row.id, self.point.name, self.point.time - self.times, times
        )
        self.times += reached
        self.was_killed = status == signal.SIGKILL
        assert self.was_killed or status == 0, f"the worker failed at {self.point}: {status}"


@pytest.fixture
def promised(world: Any, sandbox: Any) -> Callable[[str, int], list[Publication]]:
    """So many publications of one post, each READY for an account of its own."""

    def make(platform: str, count: int) -> list[Publication]:
        source = world.connect(world.house.platforms.sources()[0])
        world.rule(source, *(world.connect(platform, f"{sandbox.handle}.{number}") for number in range(count)))
        sandbox.post(description="A walk #walk")
        world.detect()
        return list(world.prepare().publications)

    return make


@pytest.fixture
def generous(sandbox: Any) -> Iterator[None]:
    """No app comes to the end of a day's quota: that is a fault of its own."""
    sandbox.control("PUT", "/settings", {"youtube": {"inserts_per_day": 10_000}})
    yield
    sandbox.control("PUT", "/settings", {"youtube": {"inserts_per_day": 100}})


@pytest.mark.usefixtures("generous")
def test_whoever_dies_wherever_it_is_published_once_or_a_person_is_told(
    platform: str,
    fault: Fault,
    points: tuple[Point, ...],
    world: Any,
    sandbox: Any,
    promised: Callable[[str, int], list[Publication]],
    nursery: Callable[..., tuple[int, int]],
    record_property: Callable[[str, object], None],
) -> None:
    world.house = replace(world.house, times=SendTimes(exchange_seconds=fault.exchange_seconds))
    rows = promised(platform, len(points))
    assert len(rows) == len(points)
    for row in rows:
        arm(sandbox, row, fault)

    lives = [Life(world, nursery, row.id, point, fault) for row, point in zip(rows, points, strict=True)]
    ended = {str(life.point): life.run() for life in lives}

    died = [str(life.point) for life in lives if life.was_killed]
    record_property("cell", [platform, fault.name, died, sorted({str(point) for point in points} - set(died))])
    wrong = {point: said for point, row in ended.items() if (said := what_is_wrong(row, sandbox))}
    assert not wrong
    nearest = {str(point) for point in (*written("intend"), Point(BEFORE_REQUEST + SEND))}
    assert nearest <= set(died), "nobody died where it matters most"


def arm(sandbox: Any, row: Publication, fault: Fault) -> None:
    call = (FIRST_STEPS if fault.first_step else SENDS)[row.platform]
    if fault.kind:
        sandbox.fault(row.platform, call, fault.kind, account=row.external_account_id, **fault.options)


def what_is_wrong(row: Publication, sandbox: Any) -> str:
    """None of these faults lasts: each one is published, save where X shows nothing and so proves nothing."""
    live = len(sandbox.live(row.platform, row.external_account_id))
    is_undecidable = row.platform == "x" and live == 0
    if (row.state, live) == (State.PUBLISHED, 1) or (row.state == State.NEEDS_REVIEW and is_undecidable):
        return ""
    return f"{row.state} with {live} live: {row.reason or row.waiting_for}"
