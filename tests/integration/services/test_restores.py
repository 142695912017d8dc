"""What if the database forgets what it has sent? It looks before it sends, and tells people where it cannot know."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import State
from autorepost_app.persistence.engine import Database
from autorepost_app.persistence.restores import Marks, epoch, marks
from autorepost_app.persistence.server import EmbeddedPostgres
from autorepost_app.services import fetch, people, prepare, publish, reconcile, record, restores

DESTINATIONS = ("instagram", "x", "youtube")
COMMITS = {"instagram": "media_publish", "x": "tweets.create", "youtube": "insert.last"}


def _quiet(_text: str, _fraction: float) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("platform", DESTINATIONS)
def test_a_send_that_the_backup_does_not_know_is_found_and_not_repeated(
    prepared: Any, sandbox: Any, rewind: Any, platform: str, settle: Any, restored: Any
) -> None:
    back = rewind()
    sent = prepared.settle(platform)
    restored(prepared, back)
    row = settle(prepared, platform)

    assert (row.state, row.external_id, row.url) == (State.PUBLISHED, sent.external_id, sent.url)
    assert len(sandbox.live(platform)) == 1


@pytest.mark.parametrize("platform", ["instagram", "youtube"])
def test_what_was_never_sent_goes_out_once_the_account_has_been_searched(
    prepared: Any, sandbox: Any, platform: str, settle: Any
) -> None:
    restores.declare(prepared.house, prepared.system)
    before = prepared.clock()

    row = settle(prepared, platform)

    assert row.state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1
    assert prepared.clock() - before > timedelta(minutes=10), "a request from before the restore may still be alive"


def test_a_forgotten_post_that_a_person_overlooks_is_found_by_our_own_last_look(
    prepared: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any
) -> None:
    back = rewind()
    sent = prepared.settle("x")
    restored(prepared, back)
    sandbox.fault("x", "timeline", "read_error", count=None)
    row = settle(prepared, "x")
    assert row.state == State.NEEDS_REVIEW
    sandbox.control("DELETE", "/faults")

    with pytest.raises(UserError, match="It is live"):
        people.settle_absent(prepared.house, prepared.scope, row.id)

    assert (prepared.publication("x").state, prepared.publication("x").external_id) == (
        State.PUBLISHED,
        sent.external_id,
    )
    assert len(sandbox.live("x")) == 1


def test_a_person_waits_for_what_a_second_restore_may_have_forgotten(prepared: Any, settle: Any) -> None:
    restores.declare(prepared.house, prepared.system)
    row = settle(prepared, "x")
    restores.declare(prepared.house, prepared.system)

    with pytest.raises(UserError, match="may still arrive"):
        people.settle_absent(prepared.house, prepared.scope, row.id)


def test_two_restores_in_a_row_look_back_to_the_first(
    prepared: Any, sandbox: Any, rewind: Any, settle: Any, restored: Any
) -> None:
    back = rewind()
    assert prepared.settle("youtube").state == State.PUBLISHED
    restored(prepared, back)
    prepared.clock.advance(3 * 24 * 3600)
    restores.watch(prepared.house, prepared.system)
    restores.declare(prepared.house, prepared.system, lost_since=prepared.clock())

    assert settle(prepared, "youtube").state == State.PUBLISHED
    assert len(sandbox.live("youtube")) == 1


def test_a_run_that_starts_before_any_tick_notices_the_restore_itself(prepared: Any, sandbox: Any) -> None:
    with prepared.house.db.system(prepared.system) as session:
        here = marks(session)
    restores._remember(prepared.house, Marks(here.server, here.timeline, here.database, here.flushed + 10**9))

    assert prepared.publish("youtube").state == State.READY
    assert sandbox.live("youtube") == []


def test_the_other_of_two_alike_is_not_taken_for_one_that_has_its_post(world: Any, sandbox: Any, rewind: Any) -> None:
    """The first was sent and is remembered; the second has the same words and was never sent."""
    world.ready_made()
    for _ in range(2):
        sandbox.post(description="same words")
    world.detect()
    posts = [story.post.id for story in record.recent(world.house, world.scope)]
    for post_id in posts:
        fetch.fetch(world.house, world.system, post_id, _quiet)
        prepare.prepare(world.house, world.system, post_id, _quiet)
    rows = [row for post_id in posts for row in world.story(post_id).publications if row.platform == "instagram"]
    publish.publish(world.house, world.system, rows[0].id, patience_seconds=10.0, progress=_quiet)
    restores.watch(world.house, world.system)
    restores.declare(world.house, world.system)

    for _ in range(6):
        reconcile.reconcile_due(world.house, world.system, limit=50)
        publish.publish(world.house, world.system, rows[1].id, patience_seconds=10.0, progress=_quiet)
        world.clock.advance(400)

    found = [row for post_id in posts for row in world.story(post_id).publications if row.platform == "instagram"]
    assert {row.state for row in found} == {State.PUBLISHED}
    assert len({row.external_id for row in found}) == len(sandbox.live("instagram")) == 2


def test_where_a_miss_proves_nothing_a_person_decides(prepared: Any, sandbox: Any, settle: Any) -> None:
    restores.declare(prepared.house, prepared.system)

    row = settle(prepared, "x")
    assert row.state == State.NEEDS_REVIEW
    assert sandbox.live("x") == []

    people.settle_absent(prepared.house, prepared.scope, row.id)
    assert settle(prepared, "x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


@pytest.mark.parametrize("platform", DESTINATIONS)
def test_nothing_is_sent_before_the_look_even_by_a_run_that_somebody_starts_by_hand(
    prepared: Any, sandbox: Any, platform: str
) -> None:
    restores.declare(prepared.house, prepared.system)

    row = prepared.publish(platform)

    assert row.state == State.READY
    assert sandbox.live(platform) == []


def test_a_post_of_after_the_restore_goes_out_without_a_look(prepared: Any, sandbox: Any) -> None:
    restores.declare(prepared.house, prepared.system)
    for platform in DESTINATIONS:
        people.cancel(prepared.house, prepared.scope, prepared.publication(platform).id)
    prepared.clock.advance(60)
    sandbox.post(description="A swim")
    prepared.detect()
    newest = max(record.recent(prepared.house, prepared.scope), key=lambda story: story.post.posted_at)

    assert {row.looked_epoch for row in newest.publications} == {1}


@pytest.mark.parametrize("platform", DESTINATIONS)
def test_a_post_that_the_backup_does_not_know_is_detected_again_and_not_sent_again(
    world: Any, sandbox: Any, rewind: Any, platform: str, settle: Any, restored: Any
) -> None:
    made = world.ready_made()
    restores.watch(world.house, world.system)
    back = rewind()
    sandbox.post(description="A walk in the woods #walk")
    world.detect()
    world.prepare()
    assert world.settle(platform).state == State.PUBLISHED
    restored(world, back)
    world.detect()
    world.prepare()

    assert settle(world, platform).state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1
    assert made


@pytest.mark.parametrize("platform", DESTINATIONS)
def test_a_send_forgotten_half_way_is_not_sent_from_its_kept_handles(
    prepared: Any, sandbox: Any, rewind: Any, platform: str, settle: Any, restored: Any
) -> None:
    """The backup knows the upload and a send that was refused; the send that got through, it does not."""
    sandbox.fault(platform, COMMITS[platform], "rate_limited", seconds=120)
    refused = prepared.publish(platform)
    assert refused.last_sent_at is not None
    assert refused.state != State.PUBLISHED
    back = rewind()
    assert prepared.settle(platform).state == State.PUBLISHED
    restored(prepared, back)

    assert settle(prepared, platform).state == State.PUBLISHED
    assert len(sandbox.live(platform)) == 1


def test_of_two_videos_with_the_same_words_none_is_taken_for_the_other(
    world: Any, sandbox: Any, rewind: Any, owner_connection: psycopg.Connection[Any], restored: Any
) -> None:
    world.ready_made()
    for _ in range(2):
        sandbox.post(description="same words")
    world.detect()
    posts = [story.post.id for story in record.recent(world.house, world.scope)]
    for post_id in posts:
        fetch.fetch(world.house, world.system, post_id, _quiet)
        prepare.prepare(world.house, world.system, post_id, _quiet)
    rows = [row for post_id in posts for row in world.story(post_id).publications if row.platform == "instagram"]
    back = rewind()
    publish.publish(world.house, world.system, rows[0].id, patience_seconds=10.0, progress=_quiet)
    assert len(sandbox.live("instagram")) == 1
    restored(world, back)

    for _ in range(5):
        reconcile.reconcile_due(world.house, world.system, limit=50)
        world.clock.advance(restores.GIVE_UP_AFTER_SECONDS / 3)

    states = {
        row.state for post_id in posts for row in world.story(post_id).publications if row.platform == "instagram"
    }
    assert states == {State.NEEDS_REVIEW}
    assert len(sandbox.live("instagram")) == 1


def test_a_search_that_fails_for_a_day_is_left_to_a_person(prepared: Any, sandbox: Any, settle: Any) -> None:
    restores.declare(prepared.house, prepared.system)
    sandbox.fault("youtube", "playlistItems.list", "read_error", count=None)
    before = prepared.clock()

    row = settle(prepared, "youtube")

    assert row.state == State.NEEDS_REVIEW
    assert timedelta(hours=23) < prepared.clock() - before < timedelta(hours=26)
    assert sandbox.live("youtube") == []


def test_every_tenant_with_something_on_the_way_is_told(prepared: Any, other_tenant: Any) -> None:
    restores.declare(prepared.house, prepared.system)

    assert [
        each.text for each in record.recent_activity(prepared.house, prepared.scope) if each.kind == "database.restored"
    ] == [
        "Our database was restored. 3 videos that were on the way will be looked for before anything is sent again.",
    ]


# ------------------------------------------------------------------------------------------------------ noticing it


def test_a_database_that_goes_on_is_never_taken_for_a_restored_one(world: Any) -> None:
    world.connect_all()
    assert [restores.watch(world.house, world.system) for _ in range(3)] == [False] * 3
    assert not restores.notice(world.house, world.system)


def test_a_store_that_remembers_more_than_the_database_has_opens_an_epoch_once(prepared: Any) -> None:
    house, system = prepared.house, prepared.system
    with house.db.system(system) as session:
        here = marks(session)
    restores._remember(house, Marks(here.server, here.timeline, here.database, here.flushed + 10**9))

    assert [restores.watch(house, system), restores.watch(house, system)] == [True, False]
    with house.db.system(system) as session:
        assert epoch(session) == 1


def test_a_store_that_has_lost_its_memory_counts_as_a_restore(prepared: Any) -> None:
    prepared.house.store.delete(restores._WITNESS)

    assert restores.notice(prepared.house, prepared.system)


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (Marks("a", 1, 7, 100), True),
        (Marks("a", 1, 7, 101), True),
        (Marks("a", 1, 7, 99), False),
        (Marks("a", 2, 7, 200), False),
        (Marks("b", 1, 7, 200), False),
        (Marks("a", 1, 8, 200), False),
    ],
    ids=["idle", "going on", "rolled back", "another timeline", "another server", "another database"],
)
def test_what_makes_a_database_another_one(now: Marks, same: bool) -> None:
    assert now.follows(Marks("a", 1, 7, 100)) is same


def test_a_data_folder_copied_back_is_noticed(tmp_path: Path) -> None:
    folder, copy = tmp_path / "postgres", tmp_path / "backup"

    first = _marks_after(folder, "select")
    shutil.copytree(folder, copy)
    later = _marks_after(folder, "create table work as select generate_series(1, 99)")
    assert later.follows(first)
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)

    assert not _marks_after(folder, "select").follows(later)


def _marks_after(folder: Path, statement: str) -> Marks:
    """Of a server on that folder, once it has done the statement."""
    with EmbeddedPostgres(folder) as server:
        url = make_url(server.admin_url())
        database = Database(url, url)
        with database.system(SystemScope("test")) as session:
            session.connection().exec_driver_sql(statement)
        with database.system(SystemScope("test")) as session:
            found = marks(session)
        database.close()
    return found
