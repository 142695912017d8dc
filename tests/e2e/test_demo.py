"""With the whole product up: is nothing lost or doubled when parts die, and is no secret where it may be read?"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from autorepost_app.persistence.server import EmbeddedPostgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
DESTINATIONS = ["instagram", "x", "youtube"]
LATEST_FIRST_STEP = """
select extract(epoch from min(e.timestamp at time zone 'utc') - p.detected_at)
from dagster.event_logs e
join dagster.runs r on r.run_id = e.run_id and r.pipeline_name = 'repost'
join public.posts p on r.partition = concat_ws(':', p.platform, p.external_account_id, p.external_post_id)
where e.dagster_event_type = 'STEP_START' and p.caption like %s
group by p.id, p.detected_at
"""
_numbers = itertools.count(1)


@pytest.fixture
def rows(demo: Any) -> Iterator[psycopg.Connection[Any]]:
    """Everything in the database, as its owner."""
    with _rows_of(demo) as connection:
        yield connection


@contextmanager
def _rows_of(demo: Any) -> Iterator[psycopg.Connection[Any]]:
    with (
        EmbeddedPostgres(demo.home / "postgres") as joined,
        psycopg.connect(joined.address("autorepost").url(None), autocommit=True) as connection,
    ):
        yield connection


def _new_videos(demo: Any, count: int) -> list[str]:
    """Posts that many, and hurries the source's next poll."""
    texts = [f"video {next(_numbers)} of {random.random()}" for _ in range(count)]
    for text in texts:
        demo.post(text)
    return texts


def _ask_now(rows: Any) -> None:
    rows.execute("update connections set poll_not_before_at = null")


def _live(demo: Any, texts: list[str]) -> Counter[str]:
    """How often each of these is live, by platform and text."""
    found: Counter[str] = Counter()
    for platform, said in demo.live().items():
        found.update(f"{platform} {text}" for text in texts for line in said if text in line)
    return found


def _once_everywhere(texts: list[str]) -> Counter[str]:
    return Counter(f"{platform} {text}" for platform in DESTINATIONS for text in texts)


def test_the_first_step_starts_within_seconds_and_in_little_memory(demo: Any, rows: Any, eventually: Any) -> None:
    [text] = _new_videos(demo, 1)
    _ask_now(rows)
    workers = eventually(lambda: list((demo.home / "dagster" / "workers").glob("[0-9a-f]*")))
    resident = psutil.Process(int(workers[0].read_text())).memory_info().rss / 1e6
    eventually(lambda: _live(demo, [text]) == _once_everywhere([text]))
    [(seconds,)] = rows.execute(LATEST_FIRST_STEP, (f"%{text}%",)).fetchall()
    print(f"\nfirst step {seconds:.1f} s after detection; a run's process holds {resident:.0f} MB")  # noqa: T201
    assert resident < 220
    assert 0 < seconds < 30


def test_a_daemon_killed_again_and_again_loses_and_doubles_nothing(demo: Any, rows: Any, eventually: Any) -> None:
    moments = random.Random(time.time_ns())
    texts = []
    for _ in range(3):
        texts += _new_videos(demo, 3)
        _ask_now(rows)
        [daemon] = eventually(lambda: demo.named("autorepost_pipelines run"))
        moment = moments.uniform(0, 8)
        print(f"\nthe daemon is killed after {moment:.2f} s")  # noqa: T201
        time.sleep(moment)  # the moment is the test: nothing tells what the daemon is at
        daemon.kill()
    texts += _new_videos(demo, 1)
    _hurry(rows, eventually, lambda: _live(demo, texts) == _once_everywhere(texts))
    _let_everything_come_round_once_more(rows, eventually)
    assert _live(demo, texts) == _once_everywhere(texts), "a double may come after the count was right"


def _let_everything_come_round_once_more(rows: Any, eventually: Any) -> None:
    """Every run ends, every sensor ticks once from its beginning, and what that has set going ends as well."""
    unfinished = "select count(*) from dagster.runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"
    eventually(lambda: rows.execute(unfinished).fetchone()[0] == 0, within_seconds=120)
    rows.execute("update posts set offered_until = null")  # whoever would offer a finished post again may do so now
    _ask_now(rows)
    began = rows.execute("select extract(epoch from clock_timestamp())").fetchone()[0]
    ticks = "select count(distinct selector_id) from dagster.job_ticks where status in ('SUCCESS', 'SKIPPED')"
    ticks += " and timestamp > to_timestamp(%s) at time zone 'utc'"
    sensors = rows.execute("select count(distinct selector_id) from dagster.job_ticks").fetchone()[0]
    eventually(lambda: rows.execute(ticks, (began,)).fetchone()[0] == sensors, within_seconds=60)
    asked = "select count(*) from connections where platform = 'tiktok' and last_success_at > to_timestamp(%s)"
    eventually(lambda: rows.execute(asked, (began,)).fetchone()[0] == 1, within_seconds=60)
    eventually(lambda: rows.execute(unfinished).fetchone()[0] == 0, within_seconds=120)


def _hurry(rows: Any, eventually: Any, condition: Any) -> None:
    """Offers of runs that never came run out now, not in a quarter of an hour; what is due is due."""

    def hurried() -> bool:
        _ask_now(rows)
        rows.execute(
            "update posts set offered_until = now() where offered_until > now() and not exists (select 1 from"
            " dagster.runs where status in ('QUEUED', 'STARTING', 'STARTED', 'NOT_STARTED')"
            " and partition = concat_ws(':', platform, external_account_id, external_post_id))"
        )
        return bool(condition())

    eventually(hurried, within_seconds=300)


def test_a_killed_run_is_failed_told_and_finished(demo: Any, rows: Any, eventually: Any) -> None:
    [text] = _new_videos(demo, 1)
    slow = {"platform": "instagram", "call": "container.create", "fault": "slow", "seconds": 20, "count": 1}
    demo.control("POST", "/faults", [slow])
    _ask_now(rows)
    running = (
        "select r.run_id from dagster.runs r join posts p on r.partition ="
        " concat_ws(':', p.platform, p.external_account_id, p.external_post_id)"
        " where r.status = 'STARTED' and p.caption = %s"
    )
    [(run_id,)] = eventually(lambda: rows.execute(running, (text,)).fetchall())
    psutil.Process(int((demo.home / "dagster" / "workers" / run_id).read_text())).kill()
    _hurry(rows, eventually, lambda: _live(demo, [text]) == _once_everywhere([text]))
    demo.control("DELETE", "/faults")
    states = rows.execute("select status from dagster.runs where run_id = %s", (run_id,)).fetchall()
    assert states == [("FAILURE",)]
    told = "select count(*) from activity where kind = 'run.failed' and detail like %s"
    eventually(lambda: rows.execute(told, (f"%{run_id}%",)).fetchone()[0] == 1)


# ---------------------------------------------------------------------------------------------------------- dagster

BACKFILL = """
mutation($partitions: [String!]!) { launchPartitionBackfill(backfillParams: {
  selector: {partitionSetName: "repost_partition_set",
    repositorySelector: {repositoryLocationName: "autorepost", repositoryName: "__repository__"}},
  partitionNames: $partitions}) { __typename ... on LaunchBackfillSuccess { backfillId } } }
"""


def _ask_dagster(demo: Any, query: str, **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{demo.url}/dagster/graphql", json=body, headers={"Origin": demo.url}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_operators_reach_dagster_and_other_sites_do_not(demo: Any) -> None:
    page = httpx.get(f"{demo.url}/dagster/", follow_redirects=True, timeout=30)
    assert page.status_code == 200
    assert "/dagster/_next/static" in page.text
    assert _ask_dagster(demo, "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus name } } } }") == {
        "workspaceOrError": {"locationEntries": [{"loadStatus": "LOADED", "name": "autorepost"}]}
    }
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    refused = httpx.post(f"{demo.url}/dagster/graphql", json={"query": "{ version }"}, headers=foreign, timeout=30)
    assert refused.status_code == 403
    by_link = httpx.get(f"{demo.url}/dagster/graphql", params={"query": "mutation { setNuxSeen }"}, timeout=30)
    assert by_link.status_code == 403


def test_a_backfill_of_finished_posts_posts_nothing(demo: Any, rows: Any, eventually: Any) -> None:
    texts = _new_videos(demo, 2)
    _ask_now(rows)
    eventually(lambda: _live(demo, texts) == _once_everywhere(texts), within_seconds=120)
    before = demo.live()
    query = "select concat_ws(':', platform, external_account_id, external_post_id) from posts order by posted_at desc"
    partitions = [row[0] for row in rows.execute(query + " limit 3")]
    launched = _ask_dagster(demo, BACKFILL, partitions=partitions)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess"
    ended = "select count(*) from dagster.runs r join dagster.run_tags t using (run_id) where r.status = 'SUCCESS'"
    ended += " and t.key = 'dagster/backfill' and t.value = %s"
    eventually(lambda: rows.execute(ended, (launched["backfillId"],)).fetchone()[0] == len(partitions), 120)
    assert demo.live() == before


# ---------------------------------------------------------------------------------------------------------- secrets


def _secrets(demo: Any) -> dict[str, str]:
    """Everything that was issued to us or made by us and opens something, and where it is from."""
    found = {}
    with sqlite3.connect(demo.home / "sandbox" / "state.sqlite") as state:
        for kind, body in state.execute("select kind, body from records"):
            if kind in ("oauth.token", "oauth.code", "youtube.session"):
                found[json.loads(body)["id"]] = kind
    state.close()
    found |= {value: name for name, value in demo.control("GET", "/apps").items() if name.endswith("SECRET")}
    found |= dict.fromkeys(json.loads((demo.home / "keys" / "roles.json").read_text()).values(), "database password")
    for key in (demo.home / "keys").glob("*.key"):
        found |= {line.rpartition(":")[2].strip(): key.name for line in key.read_text().split("\n") if len(line) > 20}
    return {**found, "/media/signed/.": "signed link", "upload_id=": "session address", "access_token=": "token"}


def _readable(demo: Any) -> Iterator[tuple[str, str]]:
    """What operators, log shippers and support may see: files of the home and rows of the database."""
    private = {"keys", "sandbox", "postgres", "store", "run", "cache"}
    for path in sorted(demo.home.rglob("*")):
        if path.is_file() and path.relative_to(demo.home).parts[0] not in private:
            yield str(path.relative_to(demo.home)), path.read_text(errors="replace")


def _stored(rows: Any) -> Iterator[tuple[str, str]]:
    tables = rows.execute(
        "select format('%I.%I', table_schema, table_name) from information_schema.tables"
        " where table_schema in ('public', 'dagster') and table_type = 'BASE TABLE'"
    ).fetchall()
    for (table,) in tables:
        content = rows.execute(f"select string_agg(t::text, E'\\n') from {table} t").fetchone()[0]
        yield table, content or ""


def test_no_secret_is_where_it_may_be_read(demo: Any, rows: Any, eventually: Any) -> None:
    faults = [
        {"platform": "youtube", "call": "insert.last", "fault": "commit_then_reset", "count": 1},
        {"platform": "x", "call": "tweets.create", "fault": "commit_then_500", "count": 1},
        {"platform": "instagram", "call": "media_publish", "fault": "read_error", "count": 1},
    ]
    demo.control("POST", "/faults", faults)
    texts = _new_videos(demo, 1)
    _ask_now(rows)
    attempts = "select count(*) from attempts where outcome is not null and outcome <> 'done'"
    eventually(lambda: rows.execute(attempts).fetchone()[0] > 0, within_seconds=120)
    _hurry(rows, eventually, lambda: len(_live(demo, texts)) >= 1)
    demo.control("DELETE", "/faults")

    secrets = _secrets(demo)
    assert set(secrets.values()) >= {"oauth.token", "youtube.session", "database password", "sealing.key", "links.key"}
    places = [*_readable(demo), *_stored(rows)]
    assert {"public.connections", "dagster.event_logs", "logs/web.log"} <= {place for place, _ in places}
    leaks = {(place, secrets[secret]) for place, text in places for secret in secrets if secret in text}
    assert leaks == set()


# ----------------------------------------------------------------------------------------- last: it kills the database


def test_a_database_that_is_killed_comes_back_and_the_next_video_goes_out(demo: Any, eventually: Any) -> None:
    pid_file = demo.home / "postgres" / "data" / "postmaster.pid"
    killed = int(pid_file.read_text().split()[0])
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        words = pid_file.read_text().split() if pid_file.exists() else []
        return len(words) > 7 and int(words[0]) != killed and words[-1] == "ready"

    eventually(is_back, within_seconds=30)
    texts = _new_videos(demo, 1)
    with _rows_of(demo) as rows:
        _hurry(rows, eventually, lambda: _live(demo, texts) == _once_everywhere(texts))
    assert demo.process.poll() is None
