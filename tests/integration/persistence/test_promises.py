"""Is one post promised to one account only once, by whomever, and does nobody learn of another's promise?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import ProgrammingError

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import FINAL, State
from autorepost_app.persistence import publications
from autorepost_app.persistence.models import Publication

SYSTEM = SystemScope("test")


def _same_accounts(rows: Any, count: int) -> list[dict[str, Any]]:
    """As many tenants that have connected the same two accounts, each with the promise they would make."""
    wanted = []
    for _ in range(count):
        scope = rows.tenant()
        post, there = rows.post(rows.account(scope, "here")), rows.account(scope)
        wanted.append(rows.promise_of(post, there, external_account_id="the account", source_post_id="the post"))
    return wanted


def test_two_tenants_with_one_account_get_one_publication_between_them(db: Any, rows: Any) -> None:
    mine, theirs = _same_accounts(rows, 2)
    with db.system(SYSTEM) as session:
        [won] = publications.promise(session, [mine])
        assert publications.promise(session, [theirs]) == []
    assert won.id == mine["id"]


def test_a_race_of_eight_tenants_for_one_account_has_one_winner(db: Any, rows: Any) -> None:
    wanted = _same_accounts(rows, 8)
    start = threading.Barrier(8)

    def run(values: dict[str, Any]) -> int:
        start.wait()
        with db.system(SYSTEM) as session:
            return len(publications.promise(session, [values]))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, wanted)) == 1
    with db.system(SYSTEM) as session:
        assert session.scalar(select(func.count()).select_from(Publication)) == 1


def test_who_comes_second_reads_nothing_of_who_came_first(db: Any, rows: Any) -> None:
    mine, theirs = _same_accounts(rows, 2)
    scope = rows.tenant()
    with db.system(SYSTEM) as session:
        publications.promise(session, [mine])
        publications.promise(session, [theirs])
    for tenant_id, seen in ((mine["tenant_id"], 1), (theirs["tenant_id"], 0), (scope.tenant_id, 0)):
        with db.tenant(type(scope)(tenant_id)) as session:
            assert len(publications.of_post(session, mine["post_id"])) == seen


def test_a_tenant_that_promises_by_itself_is_told_the_same_whether_it_is_taken_or_free(db: Any, rows: Any) -> None:
    taken, free = _same_accounts(rows, 2)
    with db.system(SYSTEM) as session:
        publications.promise(session, [{**taken}])
    told = set()
    for account in ("the account", "nobody's account"):
        scope = type(rows.tenant())(free["tenant_id"])
        values = {**free, "external_account_id": account}
        with pytest.raises(ProgrammingError) as refusal, db.tenant(scope) as session:
            publications.promise(session, [values])
        told.add(str(refusal.value.orig))
    assert told == {"permission denied for table publications"}


def test_a_post_seen_again_promises_only_what_is_new(db: Any, rows: Any) -> None:
    [first] = _same_accounts(rows, 1)
    second = {**first, "id": first["post_id"], "external_account_id": "another account"}
    with db.system(SYSTEM) as session:
        publications.promise(session, [first])
        assert [row.id for row in publications.promise(session, [first, second])] == [second["id"]]
        assert publications.promise(session, []) == []


def test_a_promise_outlives_its_end_and_every_reconnect(db: Any, rows: Any) -> None:
    """Another rule, another connection row of the same account: still the same promise, whatever became of it."""
    for state in sorted(FINAL):
        scope = rows.tenant()
        post, there = rows.post(rows.account(scope, "here")), rows.account(scope)
        ended = rows.promise_of(post, there, state=state, source_post_id=f"the {state} one")
        reconnected = rows.account(scope)
        again = {**ended, "id": post.id, "connection_id": reconnected.id, "state": State.DETECTED}
        with db.system(SYSTEM) as session:
            assert len(publications.promise(session, [ended])) == 1
            assert publications.promise(session, [again]) == []


# -------------------------------------------------------------------------------------------------------- small reads


def test_an_id_that_is_bound_is_known_as_bound_for_its_own_account_only(db: Any, rows: Any) -> None:
    row = rows.publication(State.PUBLISHED, external_id="42")
    with db.system(SYSTEM) as session:
        assert publications.bound_ids(session, row.platform, row.external_account_id, ["42", "43"]) == {"42"}
        assert publications.bound_ids(session, row.platform, "another account", ["42"]) == set()


def test_what_is_not_there_is_named_as_missing(db: Any) -> None:
    missing = "00000000-0000-4000-8000-000000000000"
    with db.system(SYSTEM) as session:
        for read in (publications.get, publications.attempt):
            with pytest.raises(KeyError, match=missing):
                read(session, missing)
