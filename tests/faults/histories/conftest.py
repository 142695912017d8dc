"""What a history is played on: servers of its own, which it may pull the plug of, and moments to stop a worker at.

Everything here is made once and emptied between histories, so that a step costs some dozen milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from autorepost_app.domain.identity import TenantId, TenantScope
from autorepost_app.domain.publications import ON_ITS_WAY, State
from autorepost_app.persistence import posts
from autorepost_app.persistence.access import AccessFile, prepare
from autorepost_app.persistence.models import Connection, Original, Post, Publication, Rule, RuleDestination
from autorepost_app.persistence.schema import create_database
from autorepost_app.persistence.server import EmbeddedPostgres
from autorepost_app.sandbox import SandboxServer
from autorepost_app.sandbox.footage import default_ffprobe
from autorepost_app.services import deliveries, fetch, publish, workspaces

CLIP = Path(__file__).parents[3] / "autorepost_app" / "cli" / "clip.mp4"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SENDS = {("POST", "tweets"), ("POST", "media_publish")}
PLENTY = {
    "instagram": {"processing_seconds": 0.0},
    "tiktok": {"calls_per_minute": 1_000_000},
    "x": {"processing_seconds": 0.0, "posts_per_day": 1_000_000},
    "youtube": {"processing_seconds": 0.0, "inserts_per_day": 1_000_000, "units_per_day": 1_000_000},
}
"""Limits of the app are shared by all histories, which all begin at the same time."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One that keeps what it acknowledged when it is killed; a power cut would be another matter."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("durable"), settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home-of-histories")


@pytest.fixture(scope="module")
def _access(postgres: EmbeddedPostgres, _home: Path) -> AccessFile:
    create_database(postgres.admin_url(), "tests")
    return prepare(_home, postgres.admin_url("tests"))


@pytest.fixture(scope="module")
def owner_connection(postgres: EmbeddedPostgres, _access: AccessFile) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.address("tests").url(None), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def _sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """It knows our one clip by heart: to look at it anew with each upload would take most of the time."""
    folder = tmp_path_factory.mktemp("ffprobe")
    options = ["-v", "error", "-of", "json", "-show_format", "-show_streams"]
    report = subprocess.run([default_ffprobe(), *options, CLIP], check=True, capture_output=True).stdout
    json.loads(report)
    (folder / "report.json").write_bytes(report)
    knows = folder / "ffprobe"
    knows.write_text(f'#!/bin/sh\nfor file; do :; done\ncmp -s "$file" {CLIP} && cat {folder}/report.json\n')
    knows.chmod(0o755)
    with SandboxServer(ffprobe=str(knows)) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_processing(sandbox: Any) -> None:
    """The servers are ours alone: nothing has to be put back."""
    sandbox.control("PUT", "/settings", PLENTY)


class Killed(BaseException):
    """What ends a worker between two of its instructions: no handler of ours can catch it."""


@dataclass
class Moments:
    """Strikes a worker at the n-th moment of a kind: a call "leaves" or was "answered", the one that publishes goes
    "out" or is "through", a transaction "commits" or is "committed" although nobody heard so."""

    worker: int = field(default_factory=threading.get_ident)
    where: str = ""
    _kind: str = ""
    _left: int = 0
    _strike: Callable[[], None] = lambda: None

    @contextmanager
    def befall(self, kind: str, number: int, strike: Callable[[], None]) -> Iterator[None]:
        self.where, self._kind, self._left, self._strike = "", kind, number, strike
        try:
            yield
        finally:
            self._kind = ""

    def has_come(self, kind: str, where: str) -> bool:
        """Whether this is the one; nothing else befalls this worker."""
        if kind != self._kind or threading.get_ident() != self.worker:
            return False
        self._left -= 1
        if self._left == 0:
            self.where, self._kind = where, ""
        return self._left == 0

    def strike(self) -> None:
        self._strike()


def publishes(request: httpx.Request) -> bool:
    """Whether this is the one call of its platform that may make a post: for YouTube, the one with the last byte."""
    _, _, span = request.headers.get("content-range", "").partition(" ")
    last, _, total = span.partition("-")[2].partition("/")
    is_last_part = total.isdigit() and last == str(int(total) - 1)
    return is_last_part or (request.method, request.url.path.split("/")[-1]) in SENDS


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Iterator[Moments]:
    found, send = Moments(), httpx.Client.send

    def sending(client: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        where = f"{request.method} {request.url.path}"
        if "oauth" in where:  # a token is renewed under a lock that a sleeper would keep for ever
            return send(client, request, **more)
        if found.has_come("leaves", where) or (publishes(request) and found.has_come("out", where)):
            found.strike()
        response = send(client, request, **more)
        if found.has_come("answered", where) or (publishes(request) and found.has_come("through", where)):
            found.strike()
        return response

    def committing(connection: Any) -> None:
        if found.has_come("commits", "a commit"):
            found.strike()
        if found.has_come("committed", "a commit"):
            connection.connection.driver_connection.commit()
            found.strike()

    monkeypatch.setattr(httpx.Client, "send", sending)
    event.listen(Engine, "commit", committing)
    yield found
    event.remove(Engine, "commit", committing)


@dataclass
class Truth:
    """Holds the publications against the platforms' ledgers: I1 to I8 of the exactly-once specification.

    `posted` has the words of each post by its id, `blind` the platforms of which a read may have gone wrong.
    """

    world: Any
    posted: dict[str, str] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    seen: dict[str, Seen] = field(default_factory=dict)

    def look(self, touched: Collection[str] | None) -> None:
        """After a step that may have touched these publications, by id; None for any."""
        self.world.assert_invariants()
        found, live = self.rows(), self._live()
        for row in found:
            self._assert_only_touched(row, touched)
            self._assert_review_is_due(row, found, live)
        self._assert_words(found, live)
        if touched is None:
            self._assert_nothing_forgotten(found)
        self.seen = {row.id: Seen(row.state, _marks(row)) for row in found}

    def rows(self) -> list[Publication]:
        order = list(self.posted)
        return sorted(self.query(select(Publication)), key=lambda row: (order.index(row.source_post_id), row.platform))

    def query(self, statement: Any) -> list[Any]:
        with self.world.house.db.system(self.world.system) as session:
            return list(session.scalars(statement))

    def live_of(self, row: Publication) -> list[Any]:
        return self._matching(row.platform, self.posted[row.source_post_id], self._live())

    def name(self, row: Publication) -> str:
        return f"“{self.posted[row.source_post_id]}” for {row.platform}"

    def _live(self) -> list[Any]:
        return list(self.world.sandbox.control("GET", f"/ledger?account={self.world.sandbox.handle}")["posts"])

    def _matching(self, platform: str, words: str, live: list[Any]) -> list[Any]:
        return [each for each in live if each["platform"] == platform and words in str(each["text"])]

    def _assert_only_touched(self, row: Publication, touched: Collection[str] | None) -> None:
        """I8: whatever happens to one publication happens to no other."""
        before = self.seen.get(row.id)
        if before is not None and touched is not None and row.id not in touched:
            assert before.marks == _marks(row), f"{self.name(row)} went from {before} to {row.state} unasked"

    def _assert_review_is_due(self, row: Publication, found: list[Publication], live: list[Any]) -> None:
        """I7: a person is asked only what no read could have told; that X has nothing, none can."""
        before = self.seen.get(row.id)
        if row.state != State.NEEDS_REVIEW or (before and before.state == row.state):
            return
        words = self.posted[row.source_post_id]
        out = [each for each in found if each.platform == "x" and each.state == State.PUBLISHED]
        known = sum(self.posted[each.source_post_id] == words for each in out)
        absent_on_x = row.platform == "x" and len(self._matching("x", words, live)) <= known
        assert absent_on_x or row.platform in self.blind, f"{self.name(row)} could have been decided"

    def _assert_words(self, found: list[Publication], live: list[Any]) -> None:
        """I1 to I3 for each video by itself: by its words, which are as many videos' as were posted with them."""
        groups = {(row.platform, self.posted[row.source_post_id]) for row in found}
        for platform, words in groups:
            theirs = [row for row in found if (row.platform, self.posted[row.source_post_id]) == (platform, words)]
            there = len(self._matching(platform, words, live))
            surely = sum(row.state == State.PUBLISHED for row in theirs)
            maybe = sum(State(row.state) in {*ON_ITS_WAY, State.DROPPED} for row in theirs)
            said = f"“{words}” is live {there} times on {platform}: {[row.state for row in theirs]}"
            assert surely <= there <= surely + maybe, said

    def _assert_nothing_forgotten(self, found: list[Publication]) -> None:
        """I4: what a rule takes and the house knows is promised, by whichever tenant came first."""
        promised = {(row.platform, row.external_account_id, row.source_post_id) for row in found}
        posts_known, connections = self.query(select(Post)), self.query(select(Connection))
        accounts = {each.id: (each.platform, each.external_account_id) for each in connections}
        for rule, wanted in self._active_rules(accounts):
            for post in posts_known:
                if post.connection_id == rule.source_connection_id and post.posted_at >= rule.watermark_at:
                    lost = {(*account, post.external_post_id) for account in wanted} - promised
                    assert not lost, f"nobody promised “{self.posted[post.external_post_id]}”: {lost}"

    def assert_all_found(self, created_at: dict[str, datetime]) -> None:
        """Right after the source was read well: whoever has a rule for it, even a paused one, knows every post."""
        ruled = {rule.source_connection_id for rule in self.query(select(Rule).where(Rule.deleted_at.is_(None)))}
        known = {(post.connection_id, post.external_post_id) for post in self.query(select(Post))}
        for source in self.query(select(Connection).where(Connection.id.in_(ruled))):
            due = {(source.id, post_id) for post_id, at in created_at.items() if at >= source.watermark_at}
            assert due <= known, f"nobody ever heard of {[self.posted[post_id] for _, post_id in due - known]}"

    def _active_rules(self, accounts: dict[str, tuple[str, str]]) -> list[tuple[Rule, list[tuple[str, str]]]]:
        active = self.query(select(Rule).where(Rule.deleted_at.is_(None), Rule.paused_at.is_(None)))
        named = self.query(select(RuleDestination))
        return [(rule, [accounts[each.connection_id] for each in named if each.rule_id == rule.id]) for rule in active]


@dataclass
class Seen:
    """What the last look at a publication saw of it."""

    state: str
    marks: tuple[Any, ...] = field(repr=False)


def _marks(row: Publication) -> tuple[Any, ...]:
    return row.state, row.lease_epoch, row.attempt_id, row.due_at, row.waiting_for, row.external_id


@dataclass
class Lab:
    """Makes a world for each history."""

    world: Any
    moments: Moments
    postgres: EmbeddedPostgres
    meanwhile: ThreadPoolExecutor
    original: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    killed: type[BaseException] = Killed
    truth: type[Truth] = Truth

    def fresh(self) -> Any:
        """An empty house at the same hour, with one tenant and an account that nobody has used."""
        self.number += 1
        self._empty()
        sandbox = replace(self.world.sandbox, handle=f"ada{self.number}")
        self.world.clock.moved = START - datetime.now(UTC)
        sandbox.control("PUT", "/clock", {"now": START.isoformat()})
        sandbox.control("DELETE", "/faults")
        scope = self._tenant("ada")
        return replace(self.world, sandbox=sandbox, scope=scope, seen={})

    def tenant_beside(self, world: Any) -> Any:
        return replace(world, scope=self._tenant("noa"))

    def _tenant(self, name: str) -> TenantScope:
        house = self.world.house
        made = workspaces.open_workspace(house, name=name, slug=name, owner_email=f"{name}@example.org")
        return TenantScope(TenantId(made.id), None, name)

    def _empty(self) -> None:
        with psycopg.connect(self.postgres.address("tests").url(None), autocommit=True) as owner:
            owner.execute("set session_replication_role = replica")
            found = owner.execute(
                "select string_agg(format('%I', tablename), ', ') from pg_tables where schemaname = 'public'"
                " and tablename not in ('alembic_version', 'publication_moves')"
            ).fetchone()
            owner.execute(f"truncate {found[0]} restart identity cascade")  # type: ignore[index]

    def bring_file(self, world: Any, post_id: str, tenant_id: str) -> None:
        """The first file comes the long way; the others are the same clip, as if it had been fetched again."""
        with world.house.db.system(world.system) as session:
            if self.original and posts.original_of(session, post_id) is None:
                own = {"id": os.urandom(16).hex(), "post_id": post_id, "tenant_id": tenant_id}
                posts.save_original(session, self.original | own)
        if not self.original:
            scope = replace(world.scope, tenant_id=TenantId(tenant_id))
            row = fetch.hand_over(world.house, scope, post_id, CLIP)
            self.original = {column.name: getattr(row, column.name) for column in Original.__table__.columns}

    def pull_the_plug(self) -> None:
        """The database dies without a word to anybody and comes back."""
        pid = int((self.postgres.log_file.parent / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        while self.postgres.is_running():
            time.sleep(0.005)
        self.postgres.start()


@pytest.fixture
def lab(world: Any, moments: Moments, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    # whoever oversleeps by the house's clock has overslept by its own as well
    moved = SimpleNamespace(monotonic=lambda: time.monotonic() + world.clock.moved.total_seconds(), sleep=time.sleep)
    monkeypatch.setattr(deliveries, "time", moved)
    monkeypatch.setattr(publish, "time", moved)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="meanwhile") as meanwhile:
        yield Lab(world, moments, postgres, meanwhile)
