"""Does whatever was waited for wake what waited for it, one after the other, and nothing else?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import FINAL, State
from autorepost_app.domain.waking import GAP_SECONDS, WOKEN_WITHIN_SECONDS, after_seconds, apart_seconds
from autorepost_app.persistence import publications, waking

SYSTEM = SystemScope("test")
ASKED = {"cause": "not_active", "waiting_for": "@mia has to be connected again."}
WAITS = "select exists (select from pg_locks where not granted)"
LATER = timedelta(minutes=40)


def reconnect(db: Any, rows: Any, row: Any, text: str = "The permission was taken back.") -> int:
    with db.system(SYSTEM) as session:
        return waking.reconnected(session, row.connection_id, rows.now, cause="not_active", text=text)


@pytest.mark.parametrize("state", [State.READY, State.STAGING, State.UNKNOWN, State.RECONCILING])
def test_what_waited_for_a_connection_is_due_once_it_is_back(db: Any, rows: Any, state: State) -> None:
    row = rows.publication(state, due_at=rows.now + LATER, **ASKED)

    assert reconnect(db, rows, row) == 1
    assert (rows.read(row).due_at, rows.read(row).waiting_for) == (rows.now, "")


def test_whoever_found_the_grant_dead_waits_in_the_platforms_words_and_is_woken_too(db: Any, rows: Any) -> None:
    row = rows.publication(due_at=rows.now + LATER, cause="there.190", waiting_for="The permission was taken back.")

    assert reconnect(db, rows, row) == 1
    assert (rows.read(row).due_at, rows.read(row).cause) == (rows.now, "")


@pytest.mark.parametrize("cause", ["limit.posts", "circuit", "stopped", "there.503"])
def test_a_connection_that_is_back_leaves_alone_what_waits_for_something_else(db: Any, rows: Any, cause: str) -> None:
    row = rows.publication(due_at=rows.now + LATER, cause=cause, waiting_for="Something else.")

    assert reconnect(db, rows, row, text="") == 0
    assert (rows.read(row).due_at, rows.read(row).cause) == (rows.now + LATER, cause)


def test_waking_is_never_before_the_rule_wants_it_public(db: Any, rows: Any) -> None:
    tomorrow = rows.now + timedelta(days=1)
    row = rows.publication(publish_at=tomorrow, due_at=rows.now + timedelta(days=2), **ASKED)

    reconnect(db, rows, row)

    assert rows.read(row).due_at == tomorrow


@pytest.mark.parametrize("state", sorted({State.DETECTED, State.COMMITTING, State.NEEDS_REVIEW, *FINAL}))
def test_waking_leaves_alone_what_does_not_wait_for_a_connection(db: Any, rows: Any, state: State) -> None:
    row = rows.publication(state, due_at=rows.now + LATER, **ASKED)

    assert reconnect(db, rows, row) == 0
    assert rows.read(row).due_at == rows.now + LATER


def test_waking_leaves_alone_other_connections_and_whoever_is_at_work(db: Any, rows: Any) -> None:
    held, _lease = rows.held(State.STAGING, due_at=rows.now + LATER)
    other = rows.publication(due_at=rows.now + LATER, **ASKED)

    assert reconnect(db, rows, held) == 0
    assert [rows.read(row).due_at for row in (held, other)] == [rows.now + LATER] * 2


def files_come(db: Any, rows: Any) -> int:
    with db.system(SYSTEM) as session:
        return waking.files_come(session, "here", rows.now, causes={"chain", "here.page"})


@pytest.mark.parametrize("cause", ["chain", "here.page"])
def test_files_that_come_again_wake_what_waited_for_them(db: Any, rows: Any, cause: str) -> None:
    row = rows.publication(State.PREPARING, due_at=rows.now + LATER, cause=cause, waiting_for="No videos.")

    assert files_come(db, rows) == 1
    assert (rows.read(row).due_at, rows.read(row).cause, rows.read(row).waiting_for) == (rows.now, "", "")


@pytest.mark.parametrize("cause", ["not_active", "limit.downloads", "here.gone"])
def test_files_that_come_again_leave_alone_what_waits_for_something_else(db: Any, rows: Any, cause: str) -> None:
    row = rows.publication(State.PREPARING, due_at=rows.now + LATER, cause=cause)

    assert files_come(db, rows) == 0
    assert rows.read(row).due_at == rows.now + LATER


def test_posts_go_on_one_after_the_other_and_each_with_all_its_destinations(db: Any, rows: Any) -> None:
    scope = rows.tenant()
    source = rows.account(scope, "here")
    asked = {"state": State.PREPARING, "due_at": rows.now + LATER, "cause": "chain"}
    promised = []
    for _ in range(3):
        post = rows.post(source)
        promised += [rows.promise_of(post, rows.account(scope), **asked) for _ in range(2)]
    with db.system(SYSTEM) as session:
        made = publications.promise(session, promised)

    assert files_come(db, rows) == 6

    turns = Counter((rows.read(row).due_at - rows.now).total_seconds() for row in made)
    assert turns == {0.0: 2, GAP_SECONDS: 2, 2 * GAP_SECONDS: 2}
    assert len({(rows.read(row).post_id, rows.read(row).due_at) for row in made}) == 3


def test_however_many_posts_wait_the_last_goes_on_within_ten_minutes(
    db: Any, rows: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    row = rows.publication(State.PREPARING, due_at=rows.now + LATER, cause="chain")
    owner_connection.execute(
        "insert into posts select (jsonb_populate_record(p, jsonb_build_object("
        "'id', gen_random_uuid(), 'external_post_id', 'more' || n, 'posted_at', p.posted_at + n * interval '1 s'))).*"
        " from posts p, generate_series(1, %s) n where id = %s",
        [2399, row.post_id],
    )
    owner_connection.execute(
        "insert into publications select (jsonb_populate_record(p, jsonb_build_object("
        "'id', gen_random_uuid(), 'post_id', more.id, 'source_post_id', more.external_post_id))).*"
        " from publications p, posts more where p.id = %s and more.id <> p.post_id",
        [row.id],
    )

    assert files_come(db, rows) == 2400

    due = [at for (at,) in owner_connection.execute("select due_at from publications order by due_at")]
    apart = {(later - sooner).total_seconds() for sooner, later in pairwise(due)}
    assert apart == {WOKEN_WITHIN_SECONDS / 2400}
    assert (due[0] - rows.now, due[-1] - due[0]) == (
        timedelta(0),
        timedelta(seconds=WOKEN_WITHIN_SECONDS * 2399 / 2400),
    )


@pytest.mark.parametrize(
    "change",
    [
        "lease_owner = 'worker', lease_epoch = 1, lease_until = now() + interval '1 minute'",
        "state = 'cancelled'",
        "cause = 'limit.posts'",
    ],
    ids=["claimed", "cancelled", "waits for something else"],
)
def test_whatever_became_of_a_publication_while_it_was_being_woken_stands(
    db: Any,
    rows: Any,
    owner_connection: psycopg.Connection[Any],
    eventually: Callable[[Callable[[], Any]], Any],
    change: str,
) -> None:
    row = rows.publication(due_at=rows.now + LATER, **ASKED)
    with ThreadPoolExecutor(1) as thread, owner_connection.transaction():
        owner_connection.execute(f"update publications set {change} where id = %s", [row.id])
        waking_it = thread.submit(reconnect, db, rows, row)
        eventually(lambda: owner_connection.execute(WAITS).fetchone() == (True,))

    assert waking_it.result() == 0
    assert rows.read(row).due_at == rows.now + LATER


def test_a_file_that_was_handed_over_wakes_its_own_post_whatever_it_waited_for(db: Any, rows: Any) -> None:
    row = rows.publication(State.PREPARING, due_at=rows.now + LATER, **ASKED)
    other = rows.publication(State.PREPARING, due_at=rows.now + LATER, **ASKED)
    with db.system(SYSTEM) as session:
        assert waking.has_file(session, row.post_id, rows.now) == 1

    assert [rows.read(each).due_at for each in (row, other)] == [rows.now, rows.now + LATER]


def test_those_that_are_repeated_together_go_on_one_after_the_other() -> None:
    assert [after_seconds(turn) for turn in range(3)] == [0.0, GAP_SECONDS, 2 * GAP_SECONDS]


def test_those_that_wait_for_the_same_moment_come_back_apart_and_always_at_the_same_time() -> None:
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(0, 2**32, 2**28)]
    apart = [apart_seconds(each) for each in ids]

    assert apart == sorted(apart) == [apart_seconds(each) for each in ids]
    assert len(set(apart)) == len(ids)
    assert 0.0 <= apart[0] < apart[-1] < 60.0
