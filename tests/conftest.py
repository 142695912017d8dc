"""What most tests stand on: a real PostgreSQL, the sandbox platforms over real HTTP, and a house between them.

One server and one sandbox a test process; between tests their contents are cleared, not they themselves. Time is a
`Clock` that both the house and the sandbox follow.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
import uvicorn
from sqlalchemy import select

from autorepost_app.bootstrap import close_house, open_house, open_links, settings_from
from autorepost_app.domain.identity import SystemScope, TenantId, TenantScope
from autorepost_app.domain.publications import FINAL, ON_ITS_WAY, EvidenceKind, State
from autorepost_app.domain.rules import RuleDestination
from autorepost_app.persistence import publications
from autorepost_app.persistence.access import AccessFile, prepare
from autorepost_app.persistence.models import Connection, Publication
from autorepost_app.persistence.schema import create_database
from autorepost_app.persistence.server import EmbeddedPostgres
from autorepost_app.sandbox import SandboxServer
from autorepost_app.services import connect, detect, fetch, people, publish, reconcile, rules, workspaces
from autorepost_app.services import prepare as preparing
from autorepost_app.services.house import House
from autorepost_app.services.record import Story, story
from autorepost_app.web.app import own_app

hypothesis.settings.register_profile("busy machine", deadline=None)  # an example's time says nothing about the product
hypothesis.settings.load_profile("busy machine")

MEDIA = Path(__file__).parent / "media"
WORKER = Path(__file__).parent / "faults" / "worker.py"
WAYS = Path(__file__).parent / "pipelines" / "test_ways_to_go_on.py"
CLIP = Path(__file__).parents[1] / "autorepost_app" / "cli" / "clip.mp4"
"""Upright, H.264, AAC, index first: every destination takes its very bytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="every crash point under every fault, and nothing else")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_with_faults: takes minutes; left out without --faults")
    if config.getoption("--faults"):
        config.args[:] = [str(WORKER.parent), str(WAYS)]
        if not hasattr(config, "workerinput"):
            from fault_summary import FaultRun

            config.pluginmanager.register(FaultRun())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is quick to fail comes first."""
    faults = config.getoption("--faults")
    only_then = {item for item in items if item.get_closest_marker("only_with_faults") is not None}
    left_out = [item for item in items if (item.path == WAYS) > (item in only_then)] if faults else list(only_then)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@dataclass
class Clock:
    """Real time plus what a test has added. The sandbox is moved along."""

    moved: timedelta = timedelta(0)
    followers: list[Callable[[float], None]] = field(default_factory=list)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def advance(self, seconds: float) -> None:
        self.moved += timedelta(seconds=seconds)
        for follow in self.followers:
            follow(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


# ---------------------------------------------------------------------------------------------------------- database


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server a test process; not durable, since no test here pulls its plug."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def _access(postgres: EmbeddedPostgres, _home: Path) -> AccessFile:
    create_database(postgres.admin_url(), "tests")
    return prepare(_home, postgres.admin_url("tests"))


@pytest.fixture(scope="session")
def owner_connection(postgres: EmbeddedPostgres, _access: AccessFile) -> Iterator[psycopg.Connection[Any]]:
    """The owner of the database: sees every row, is not bound by guards when it says so."""
    with psycopg.connect(postgres.address("tests").url(None), autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(_access: AccessFile, owner_connection: psycopg.Connection[Any]) -> AccessFile:
    """The migrated database, empty."""
    with owner_connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")  # the guards keep even their owner from truncating
        cursor.execute(
            "select string_agg(format('%I', tablename), ', ') from pg_tables"
            " where schemaname = 'public' and tablename not in ('alembic_version', 'publication_moves')"
        )
        tables = cursor.fetchone()[0]  # type: ignore[index]
        cursor.execute(f"truncate {tables} restart identity cascade")
        cursor.execute("set session_replication_role = origin")
    return _access


# ----------------------------------------------------------------------------------------------------------- sandbox


@pytest.fixture(scope="session")
def _sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@dataclass
class Sandbox:
    """The sandbox's control API. `handle` is unique to a test, so that tests share one server without meeting."""

    base_url: str
    handle: str
    hosts: dict[str, str]
    apps: dict[str, str]

    def control(self, method: str, path: str, json: Any = None) -> Any:
        # without `verify=False` each of these many plain calls would read the machine's certificates
        answer = httpx.request(method, f"{self.base_url}/_sandbox{path}", json=json, timeout=30, verify=False)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def account(self, platform: str, handle: str | None = None, **options: Any) -> Any:
        body = {"platform": platform, "handle": handle or self.handle, "name": "Mia", **options}
        return self.control("POST", "/accounts", body)

    def post(
        self, clip: Path = CLIP, description: str = "Hello #walk", handle: str | None = None, **fields: Any
    ) -> Any:
        """A creator posts on the source."""
        path = f"{self.base_url}/_sandbox/tiktok/accounts/{handle or self.handle}/posts"
        with clip.open("rb") as file:
            answer = httpx.post(
                path, files={"clip": file}, data={"description": description, **fields}, timeout=60, verify=False
            )
        assert answer.is_success, answer.text
        return answer.json()

    def fault(self, platform: str, call: str, fault: str, **more: Any) -> None:
        self.control("POST", "/faults", [{"platform": platform, "call": call, "fault": fault, **more}])

    def consent(self, authorize_url: str, handle: str | None = None, **more: Any) -> dict[str, str]:
        """The query that the person's browser brings back."""
        body = {"authorize_url": authorize_url, "account": handle or self.handle, **more}
        return dict(httpx.URL(self.control("POST", "/consent", body)["redirect_to"]).params)

    def change(self, post: Any, **fields: Any) -> None:
        """The creator edits a post on the source."""
        self.control("PATCH", f"/tiktok/accounts/{post['account']}/posts/{post['id']}", fields)

    def wait_for_call(self, platform: str, call: str, *, times: int = 1) -> None:
        """Until it has come in so often since this test began; its answer may be far off."""
        give_up_at = time.monotonic() + 30
        while self.calls_now(platform, call) < times:
            assert time.monotonic() < give_up_at, f"{platform} was never asked for {call}"
            time.sleep(0.01)

    def is_dark(self) -> bool:
        """Whether nobody answers, as during an outage."""
        try:
            self.control("GET", "/clock")
        except httpx.TransportError:  # also what was accepted just before and is cut off now
            return True
        return False

    def last_call(self, platform: str, call: str) -> Any:
        """The newest entry about it in the request log; its `status` is None until it has ended."""
        return [each for each in self.control("GET", f"/requests?platform={platform}") if each["call"] == call][-1]

    def calls_now(self, platform: str, call: str) -> int:
        """How often a call was made since this test began, by anybody."""
        return sum(entry["call"] == call for entry in self.control("GET", f"/requests?platform={platform}"))

    def live(self, platform: str | None = None, handle: str | None = None) -> list[Any]:
        """Every live post of this test's account."""
        of_platform = f"&platform={platform}" if platform else ""
        found = self.control("GET", f"/ledger?account={handle or self.handle}{of_platform}")
        return list(found["posts"])


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Asks again until the answer is truthy; the deadline is for a broken house only."""

    def wait(ask: Callable[[], Any]) -> Any:
        give_up_at = time.monotonic() + 30
        while not (answer := ask()):
            assert time.monotonic() < give_up_at, "it never happened"
            time.sleep(0.02)
        return answer

    return wait


_numbers = iter(range(1_000_000))


@pytest.fixture
def sandbox(_sandbox_server: SandboxServer, clock: Clock) -> Iterator[Sandbox]:
    """The sandbox without faults and at real time."""
    control = Sandbox(
        _sandbox_server.base_url, f"mia{next(_numbers)}", dict(_sandbox_server.hosts), dict(_sandbox_server.apps)
    )
    control.control("DELETE", "/faults")
    # not by saying what time it is: on a busy machine that would be old when it arrives, and posts older than rules
    control.control("PUT", "/clock", {"advance_seconds": -control.control("GET", "/clock")["offset_seconds"]})
    control.control("DELETE", "/requests")  # only so many are kept: what is counted has to begin with the test
    clock.followers.append(lambda seconds: control.control("PUT", "/clock", {"advance_seconds": seconds}))
    yield control
    control.control("DELETE", "/faults")


# ------------------------------------------------------------------------------------------------------------- house


@dataclass
class World:
    """A tenant in a house, and shortcuts for what its people and its workers do."""

    house: House
    scope: TenantScope
    sandbox: Sandbox
    clock: Clock
    system: SystemScope = field(default_factory=lambda: SystemScope("test"))
    environ: dict[str, str] = field(default_factory=dict)
    seen: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def connect(self, platform: str, handle: str | None = None, login: str | None = None, **options: Any) -> Connection:
        """An account at the platform, connected as its person would."""
        self.sandbox.account(platform, handle, **options)
        return self.connect_again(platform, handle, login)

    def connect_again(self, platform: str, handle: str | None = None, login: str | None = None) -> Connection:
        """The same for an account that is there already."""
        began = connect.begin(
            self.house,
            self.scope,
            platform,
            redirect_uri=f"http://127.0.0.1:8080/oauth/{platform}/callback",
            login=login,
        )
        return connect.finish(self.house, self.scope, self.sandbox.consent(began.url, handle))

    def connect_all(self) -> dict[str, Connection]:
        return {key: self.connect(key) for key in sorted(self.house.platforms.manifests)}

    def rule(self, source: Connection, *destinations: Connection, **more: Any) -> Any:
        wanted = [RuleDestination(each.id) for each in destinations]
        return rules.make_rule(
            self.house, self.scope, name="all", source_connection_id=source.id, destinations=wanted, **more
        )

    def ready_made(self) -> dict[str, Connection]:
        """Every platform connected, and one rule from the source to every destination."""
        made = self.connect_all()
        destinations = [made[key] for key in self.house.platforms.destinations()]
        self.rule(made[self.house.platforms.sources()[0]], *destinations)
        return made

    def detect(self) -> list[detect.Detected]:
        """Every source is asked now, whenever it was asked last."""
        with self.house.db.system(self.system) as session:
            session.connection().exec_driver_sql("update connections set poll_not_before_at = null")
        return detect.poll_due(self.house, self.system, limit=100)

    def story(self, post_id: str | None = None) -> Story:
        """The only post, or that one."""
        with self.house.db.tenant(self.scope) as session:
            ids = [
                row[0]
                for row in session.connection().exec_driver_sql("select id::text from posts order by detected_at")
            ]
        if post_id is None:
            assert len(ids) == 1, f"{len(ids)} posts"
        return story(self.house, self.scope, post_id or ids[0])

    def publication(self, platform: str) -> Publication:
        return next(row for row in self.story().publications if row.platform == platform)

    def prepare(self) -> Story:
        """Fetch and prepare the only post."""
        post_id = self.story().post.id
        fetch.fetch(self.house, self.system, post_id, _quiet)
        preparing.prepare(self.house, self.system, post_id, _quiet)
        return self.story()

    def publish(self, platform: str, patience_seconds: float = 10.0) -> Publication:
        row = self.publication(platform)
        return publish.publish(self.house, self.system, row.id, patience_seconds=patience_seconds, progress=_quiet)

    def reconcile(self, platform: str) -> Publication:
        """One read, whenever it is due: time moves there."""
        row = self.publication(platform)
        self.clock.advance(max((row.due_at - self.clock()).total_seconds(), 0) + 0.1)
        return reconcile.reconcile(self.house, self.system, row.id)

    def settle_file(self) -> None:
        """Fetches and prepares over moved time until nobody waits for the file any more."""
        for _ in range(20):
            self.prepare()
            waiting = [row for row in self.story().publications if row.state in (State.DETECTED, State.PREPARING)]
            if not waiting:
                return
            self.wait_for(min(waiting, key=lambda row: row.due_at))
        raise AssertionError(f"the file never comes: {waiting[0].waiting_for}")

    def cancel(self, platform: str) -> Publication:
        return people.cancel(self.house, self.scope, self.publication(platform).id)

    def row(self, publication_id: str) -> Publication:
        with self.house.db.system(self.system) as session:
            return publications.get(session, publication_id)

    def settle(self, platform: str, *until: State) -> Publication:
        """Whatever is due for it, one step after the other over moved time, until it rests or a person must decide.

        Or until it is in one of these states.
        """
        for _ in range(60):
            row = self.publication(platform)
            self.assert_invariants()
            if row.state in until or not self.in_motion(row):
                return row
            self.step(row)
        raise AssertionError(f"{platform} does not come to rest: {row.state} {row.waiting_for}")

    def settle_hours(self, platform: str, hours: float) -> Publication:
        """The same, for so long; it need not come to rest."""
        end = self.clock() + timedelta(hours=hours)
        while self.in_motion(row := self.publication(platform)) and row.due_at < end:
            self.assert_invariants()
            self.step(row)
        return row

    def step_to_rest(self, publication_id: str) -> Publication:
        """One publication by itself, checked against its own account after each step."""
        for _ in range(60):
            row = self.row(publication_id)
            self.assert_invariants(publication_id)
            if not self.in_motion(row):
                return row
            self.step(row)
        raise AssertionError(f"{row.platform} does not come to rest: {row.state} {row.waiting_for}")

    def in_motion(self, row: Publication) -> bool:
        return State(row.state) not in FINAL | {State.NEEDS_REVIEW, State.DETECTED, State.PREPARING}

    def step(self, row: Publication) -> None:
        """What is to be done for it next, at its time."""
        self.wait_for(row)
        match verb_for(row):
            case "send":
                publish.publish(self.house, self.system, row.id, patience_seconds=0.0, progress=_quiet)
            case "sweep":
                reconcile.sweep(self.house, self.system)
            case "read":
                reconcile.reconcile(self.house, self.system, row.id)

    def wait_for(self, row: Publication) -> None:
        at = max(row.due_at, row.lease_until or row.due_at)
        if at >= self.clock():
            self.clock.advance((at - self.clock()).total_seconds() + 0.1)

    def assert_invariants(self, only: str | None = None) -> None:
        """What holds at every moment (exactly-once I1 to I3, I5, I6), measured against the platforms themselves.

        For the account of one publication, or for all.
        """
        with self.house.db.system(self.system) as session:
            rows = list(session.scalars(select(Publication)))
            if only is not None:
                accounts = {(row.platform, row.external_account_id) for row in rows if row.id == only}
                rows = [row for row in rows if (row.platform, row.external_account_id) in accounts]
            told = {row.id: publications.evidence_of(session, row.id) for row in rows}
            tries = {row.id: publications.attempts_of(session, row.id) for row in rows}
        for row in rows:
            kinds = [each.kind for each in told[row.id]]
            sends = sum(each.intended_at is not None for each in tries[row.id])
            proven = kinds.count(EvidenceKind.ABSENT) + kinds.count(EvidenceKind.NOT_DONE)
            assert sends <= 1 + proven, f"{row.platform}: {sends} sends with {proven} proofs that nothing came"
            proofs = {State.PUBLISHED: {"live"}, State.FAILED: {"not_sent", "not_done", "absent"}}
            assert row.state not in proofs or proofs[State(row.state)] & set(kinds), f"{row.state} without proof"
            self._assert_onward(row, len(kinds))
        for platform, account in {(row.platform, row.external_account_id) for row in rows}:
            live = self.sandbox.control("GET", f"/ledger?platform={platform}&account={account}")["posts"]
            theirs = [row for row in rows if (row.platform, row.external_account_id) == (platform, account)]
            _assert_account(theirs, [post["id"] for post in live])

    def _assert_onward(self, row: Publication, evidence: int) -> None:
        state, epoch, before = self.seen.get(row.id, (row.state, row.lease_epoch, evidence))
        assert state != State.PUBLISHED or row.state == State.PUBLISHED, f"PUBLISHED went to {row.state}"
        assert row.lease_epoch >= epoch, "the epoch fell"
        assert evidence >= before, "evidence went away"
        self.seen[row.id] = row.state, row.lease_epoch, evidence

    @contextmanager
    def process(self, verb: str, *subjects: str, copies: int = 1) -> Iterator[subprocess.Popen[str]]:
        """A worker process of its own on the same house: see `faults/worker.py`. Killed with the block."""
        worker = subprocess.Popen(
            [sys.executable, str(WORKER), str(copies), verb, *subjects],
            env={**os.environ, **self.environ, "MOVED_SECONDS": str(self.clock.moved.total_seconds())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with worker:
            try:
                assert worker.stdin is not None
                assert worker.stdout is not None
                assert [worker.stdout.readline() for _ in range(copies)] == ["ready\n"] * copies
                worker.stdin.write("." * copies)
                worker.stdin.flush()
                yield worker
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)

    def worker(self) -> World:
        """The same house as another worker process would see it."""
        return replace(self, house=replace(self.house, worker=f"{self.house.worker}-2"))


def verb_for(row: Publication) -> str:
    """What a publication that is past its preparation waits for."""
    return {State.READY: "send", State.STAGING: "send", State.COMMITTING: "sweep"}.get(State(row.state), "read")


def _assert_account(rows: list[Publication], live: list[str]) -> None:
    """Between what is surely live and what may be live lies what is live."""
    surely = [row for row in rows if row.state == State.PUBLISHED]
    maybe = [row for row in rows if State(row.state) in {*ON_ITS_WAY, State.DROPPED}]
    said = f"{rows[0].platform}: {len(live)} live, {[row.state for row in rows]}"
    assert len(surely) <= len(live) <= len(surely) + len(maybe), said
    bound = [row.external_id for row in surely if row.external_id is not None]
    assert len(set(bound)) == len(bound), said
    assert set(bound) <= set(live), said


def _quiet(_step: str, _fraction: float) -> None:
    """Nobody watches."""


@pytest.fixture(scope="session")
def _front() -> Iterator[_Front]:
    """Where houses serve, one after the other. It listens from the start, so that nobody else is given its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        front = _Front(listening.getsockname()[1])
        with _Serving(front, listening):
            yield front


@pytest.fixture
def environ(sandbox: Sandbox, _home: Path, tmp_path: Path, _front: _Front) -> dict[str, str]:
    """The settings of a house on the sandbox."""
    own = {"HOME": _home, "STORE_URL": f"file://{tmp_path / 'store'}", "PORT": _front.port}
    return {f"AUTOREPOST_{name}": str(value) for name, value in {**sandbox.hosts, **sandbox.apps, **own}.items()}


@pytest.fixture
def house(database: AccessFile, environ: dict[str, str], clock: Clock, _front: _Front) -> Iterator[House]:
    """A house on the sandbox with its signed media served over HTTP."""
    settings = settings_from(environ)
    opened = open_house(settings, clock=clock)
    _front.app = own_app(opened, open_links(settings, clock))
    yield opened
    _front.app = None
    close_house(opened)


@pytest.fixture
def world(house: House, sandbox: Sandbox, clock: Clock, environ: dict[str, str]) -> World:
    """A house with one tenant."""
    tenant = workspaces.open_workspace(house, name="Mia", slug="mia", owner_email="mia@example.org")
    return World(house, TenantScope(TenantId(tenant.id), None, "mia"), sandbox, clock, environ=environ)


@pytest.fixture
def other_tenant(world: World) -> World:
    """A second tenant in the same house."""
    tenant = workspaces.open_workspace(world.house, name="Noa", slug="noa", owner_email="noa@example.org")
    return replace(world, scope=TenantScope(TenantId(tenant.id), None, "noa"))


@dataclass
class _Front:
    """Passes requests on to the house of the test: stopping a server takes longer than most tests."""

    port: int
    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class _Serving:
    """An ASGI application on a listening socket for the length of a block."""

    def __init__(self, app: Any, listening: socket.socket) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="own app")

    def __enter__(self) -> None:
        self._thread.start()
        give_up_at = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < give_up_at, "the web app did not start"
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
