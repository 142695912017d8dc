"""What does exactly-once cost? Transactions and processor time of one undisturbed publication, and of a long queue.

    .venv/bin/python benchmarks/machinery.py
    .venv/bin/python benchmarks/machinery.py --rows 1000000      # how far the queue is filled

The bound is the platform's own client, which makes the same calls to the same sandbox without writing anything down;
what the machinery adds is the difference. Only this thread's processor time counts: the sandbox has threads of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autorepost_app.bootstrap import close_house, open_house, settings_from  # noqa: E402
from autorepost_app.domain.clock import utc_now  # noqa: E402
from autorepost_app.domain.identity import SystemScope, TenantId, TenantScope  # noqa: E402
from autorepost_app.domain.publications import State  # noqa: E402
from autorepost_app.domain.rules import RuleDestination  # noqa: E402
from autorepost_app.persistence import posts, publications  # noqa: E402
from autorepost_app.persistence.access import prepare as prepare_database  # noqa: E402
from autorepost_app.persistence.models import Connection, Publication  # noqa: E402
from autorepost_app.persistence.schema import create_database  # noqa: E402
from autorepost_app.persistence.server import EmbeddedPostgres  # noqa: E402
from autorepost_app.platform_kit.protocol import Staged  # noqa: E402
from autorepost_app.sandbox import SandboxServer  # noqa: E402
from autorepost_app.services import (  # noqa: E402
    connect,
    deliveries,
    detect,
    fetch,
    prepare,
    publish,
    record,
    rules,
    tokens,
    workspaces,
)
from autorepost_app.services.house import House  # noqa: E402

CLIP = ROOT / "autorepost_app" / "cli" / "clip.mp4"
SCOPE = SystemScope("benchmark")
ACCOUNTS = 12
WARM = 2
DUE = 100
REPEATS = 15
WANTED_TRANSACTIONS, WANTED_MILLISECONDS = 12, 15.0
console = Console(width=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="autorepost-benchmark-") as folder,
        _opened(Path(folder)) as (here, box, admin),
    ):
        console.print(_one_publication(here, box))
        console.print(_a_queue(here, admin, options.rows))
    return 0


# ----------------------------------------------------------------------------------------------------------- the stage


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[House, SandboxServer, str]]:
    with EmbeddedPostgres(folder / "postgres") as server, SandboxServer() as box:
        create_database(server.admin_url(), "benchmark")
        prepare_database(folder / "home", server.admin_url("benchmark"))
        quick = {key: {"processing_seconds": 0.0} for key in ("instagram", "x", "youtube")}
        httpx.put(f"{box.base_url}/_sandbox/settings", json=quick).raise_for_status()
        given = {**box.hosts, **box.apps, "HOME": folder / "home", "STORE_URL": f"file://{folder / 'store'}"}
        here = open_house(settings_from({f"AUTOREPOST_{name}": str(value) for name, value in given.items()}))
        yield here, box, server.admin_url("benchmark")
        close_house(here)


def _promised(here: House, box: SandboxServer, platform: str, *, tenant: TenantScope) -> list[Publication]:
    """One post, READY for several accounts of the platform."""
    source = _connected(here, box, tenant, "tiktok", f"source.{platform}")
    accounts = [_connected(here, box, tenant, platform, f"{platform}.{number}") for number in range(ACCOUNTS)]
    wanted = [RuleDestination(each.id) for each in accounts]
    rules.make_rule(here, tenant, name=platform, source_connection_id=source.id, destinations=wanted)
    with CLIP.open("rb") as clip:
        path = f"{box.base_url}/_sandbox/tiktok/accounts/{source.handle}/posts"
        httpx.post(path, files={"clip": clip}, data={"description": "A walk #walk"}, timeout=60).raise_for_status()
    with here.db.system(SCOPE) as session:
        session.execute(text("update connections set poll_not_before_at = null"))
    found = next(each for each in detect.poll_due(here, SCOPE, limit=100) if each.connection_id == source.id)
    post_id = record.post_ids(here, SCOPE, found.posts[0])[0]
    fetch.fetch(here, SCOPE, post_id, _quiet)
    prepare.prepare(here, SCOPE, post_id, _quiet)
    return list(record.story(here, SCOPE, post_id).publications)


def _connected(here: House, box: SandboxServer, tenant: TenantScope, platform: str, handle: str) -> Connection:
    made = {"platform": platform, "handle": handle, "name": handle}
    httpx.post(f"{box.base_url}/_sandbox/accounts", json=made).raise_for_status()
    began = connect.begin(here, tenant, platform, redirect_uri=f"http://127.0.0.1:8080/oauth/{platform}/callback")
    asked = {"authorize_url": began.url, "account": handle}
    answer = httpx.post(f"{box.base_url}/_sandbox/consent", json=asked).raise_for_status().json()
    return connect.finish(here, tenant, dict(httpx.URL(answer["redirect_to"]).params))


def _quiet(_step: str, _fraction: float) -> None:
    """Nobody watches."""


# ------------------------------------------------------------------------------------------------------ a publication


def _one_publication(here: House, box: SandboxServer) -> Table:
    tenant = workspaces.open_workspace(here, name="Mia", slug="mia", owner_email="mia@example.org")
    scope = TenantScope(TenantId(tenant.id), None, "mia")
    wanted = f"added (wanted {WANTED_MILLISECONDS:.0f} ms)"
    table = Table("platform", f"transactions (wanted {WANTED_TRANSACTIONS})", "CPU", "the calls alone", wanted)
    for platform in ("x", "youtube"):
        rows = _promised(here, box, platform, tenant=scope)
        half = len(rows) // 2
        counted, whole = _measured(lambda row: _publish(here, row), rows[:half])
        _, bare = _measured(lambda row: _call_only(here, row), rows[half:])
        table.add_row(platform, f"{counted:.0f}", f"{whole:.1f} ms", f"{bare:.1f} ms", f"{whole - bare:.1f} ms")
    return table


def _publish(here: House, row: Publication) -> None:
    after = publish.publish(here, SCOPE, row.id, patience_seconds=10.0, progress=_quiet)
    if after.state != State.PUBLISHED:
        raise RuntimeError(f"{after.state}: {after.reason or after.waiting_for}")


def _call_only(here: House, row: Publication) -> None:
    """The same calls with nothing written down."""
    grant = tokens.grant_for(here, SCOPE, row.connection_id)
    with here.db.system(SCOPE) as session:
        posts_rendition = posts.rendition(session, str(row.rendition_id))
    destination = here.platforms.destination(row.platform)
    loaded = deliveries.Loaded(row, None, posts_rendition, None)  # type: ignore[arg-type]  # nothing of it is asked
    delivery = deliveries.delivery_of(here, loaded, grant, _quiet)
    kept: dict[str, str] = {}
    while not isinstance(destination.stage(delivery, dict(kept), kept.update), Staged):
        pass
    destination.commit(delivery, kept, deliveries.Window.opens_now(20.0, 60.0))


def _measured(act: Callable[[Publication], None], rows: list[Publication]) -> tuple[float, float]:
    """The median of transactions and of milliseconds of this thread, once it is warm."""
    counts: list[int] = []
    times: list[float] = []
    for row in rows:
        with _counted() as ended:
            began = time.thread_time()
            act(row)
            times.append((time.thread_time() - began) * 1000)
        counts.append(len(ended))
    return statistics.median(counts[WARM:]), statistics.median(times[WARM:])


@contextmanager
def _counted() -> Iterator[list[str]]:
    """Transactions of this process, those of a single statement too."""
    ended: list[str] = []

    def commit(_connection: Any) -> None:
        ended.append("transaction")

    def execute(connection: Any, *_: Any) -> None:
        if connection.get_isolation_level() == "AUTOCOMMIT":
            ended.append("statement")

    event.listen(Engine, "commit", commit)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield ended
    finally:
        event.remove(Engine, "commit", commit)
        event.remove(Engine, "before_cursor_execute", execute)


# ------------------------------------------------------------------------------------------------------------ a queue


def _a_queue(here: House, admin_url: str, most: int) -> Table:
    """A hundred are due, however many there are: all others are published or wait for another day."""
    table = Table("publications in the table", "what is due is offered", "unclear ones are found", "one is claimed")
    acts = (_offer, _unclear, _claim)
    size = 1_000
    while size <= most:
        with psycopg.connect(admin_url) as owner:
            _fill(owner, size)
        table.add_row(f"{size:,}", *(f"{_median_ms(here, act):.2f} ms" for act in acts))
        size *= 10
    return table


def _fill(owner: psycopg.Connection[Any], size: int) -> None:
    """Copies of one post and one publication, each with an identity of its own; then what a server does by itself."""
    owner.execute("set session_replication_role = replica")
    have = owner.execute("select count(*) from publications").fetchone()
    missing = size - (have[0] if have else 0)
    again = f"md5('post ' || n || ' {size}')::uuid"
    _copies(owner, "posts", missing, {"id": again, "external_post_id": f"'p' || n || '-{size}'"})
    _copies(
        owner,
        "publications",
        missing,
        {
            "id": f"md5('publication ' || n || ' {size}')::uuid",
            "post_id": again,
            "source_post_id": f"'p' || n || '-{size}'",
            "state": "case when mod(n, 10) = 0 then 'ready' else 'published' end",
            "due_at": "now() + interval '1 day'",
            "publish_at": "now() + interval '1 day'",
            "external_id": "null",
            "attempt_id": "null",
            "finish_at": "null",
        },
    )
    owner.execute(
        "update publications set state = 'ready', due_at = now(), publish_at = now() where id in"
        " (select id from publications where state = 'ready' order by id limit %s)",
        [DUE],
    )
    owner.commit()
    owner.autocommit = True
    owner.execute("vacuum analyze")


def _copies(owner: psycopg.Connection[Any], table: str, count: int, changed: dict[str, str]) -> None:
    """`count` rows like the first one of the table, numbered `n`."""
    names = owner.execute(
        "select column_name from information_schema.columns where table_name = %s and table_schema = 'public'", [table]
    ).fetchall()
    columns = [name for (name,) in names]
    values = ", ".join(changed.get(name, f"first.{name}") for name in columns)
    owner.execute(
        f"insert into {table} ({', '.join(columns)}) select {values}"
        f" from (select * from {table} order by id limit 1) first, generate_series(1, {count}) n"
    )


def _median_ms(here: House, act: Callable[[Session], object]) -> float:
    """Over transactions that are given up: the next one finds the same."""
    times = []
    for _ in range(REPEATS):
        with contextlib.suppress(_GivenUp), here.db.system(SCOPE) as session:
            session.execute(text("select 1"))
            began = time.perf_counter()
            act(session)
            times.append((time.perf_counter() - began) * 1000)
            raise _GivenUp
    return statistics.median(times)


class _GivenUp(Exception):
    """Ends a transaction that must leave nothing."""


def _offer(session: Session) -> object:
    now = utc_now()
    return posts.offer(session, now=now, until=now + timedelta(minutes=2), limit=100)


def _unclear(session: Session) -> object:
    return publications.due(session, (State.UNKNOWN, State.RECONCILING), utc_now(), 50)


def _claim(session: Session) -> object:
    due = publications.due(session, (State.READY,), utc_now(), 1)
    return publications.claim(session, due[0].id, owner="benchmark", now=utc_now(), lease_seconds=120.0)


if __name__ == "__main__":
    sys.exit(main())
