"""Is every post offered, one run at a time, whatever dies between finding it and running it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster import DagsterRunStatus

from autorepost_app.domain.publications import State
from autorepost_app.persistence import notices
from autorepost_pipelines import sensors
from autorepost_pipelines.definitions import defs
from autorepost_pipelines.sensors import detect_posts, look_after, offer_due, settle_unknown, tell_failed_runs, watch

SUCCESS, FAILURE = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE


@pytest.fixture
def tick(line: Any) -> Callable[..., Any]:
    """One evaluation of a sensor, as the daemon's: what it asks for, not yet done."""

    def evaluate(sensor: dg.SensorDefinition) -> Any:
        repository = defs.get_repository_def()
        with dg.SensorEvaluationContext(
            instance_ref=line.instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            repository_name=repository.name,
            repository_def=repository,
            sensor_name=sensor.name,
        ) as context:
            return sensor.evaluate_tick(context)

    return evaluate


def _partitions(result: Any) -> list[str]:
    return [key for request in result.dynamic_partitions_requests or [] for key in request.partition_keys]


def test_a_new_post_becomes_a_partition_and_a_run_that_names_its_tenant(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any
) -> None:
    made = world.ready_made()
    sandbox.post()
    result = tick(detect_posts)
    [request] = result.run_requests
    [key] = line.partitions()
    assert _partitions(result) == [key] == [request.partition_key]
    assert request.job_name == "repost"
    assert request.run_key.startswith(f"{key}@")
    assert {name: value for name, value in request.tags.items() if name.startswith("autorepost/")} == {
        "autorepost/post": key,
        "autorepost/tenant": str(world.scope.tenant_id),
        "autorepost/connection": made["tiktok"].id,
        "autorepost/platform": "instagram,x,youtube",
        "autorepost/publication": ",".join(sorted(row.id for row in world.story().publications)),
    }


def test_a_tick_finishes_what_is_published_and_works_on_what_was_told(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any
) -> None:
    made = world.connect_all()
    world.rule(made["tiktok"], made["youtube"])
    sandbox.post()
    world.detect()
    line.run(line.partitions()[0])
    world.clock.advance(120)
    told = {"platform": "tiktok", "key": "k", "kind": "other", "account": "a", "code": "c", "detail": ""}
    with world.house.db.system(world.system) as session:
        notices.keep(session, {**told, "at": world.clock(), "received_at": world.clock()})

    tick(look_after)

    assert world.publication("youtube").finish_at is None
    with world.house.db.system(world.system) as session:
        assert notices.next_waiting(session, 0) is None


def test_a_pulse_brings_the_next_poll_forward(tick: Callable[..., Any], world: Any, sandbox: Any) -> None:
    world.ready_made()
    assert tick(detect_posts).run_requests == []
    tick(detect_posts)
    sandbox.post()
    _write(world, "update connections set pulsed_at = now() - interval '1 hour'")

    assert len(tick(detect_posts).run_requests) == 1


def test_nothing_new_is_skipped_with_a_reason(tick: Callable[..., Any], world: Any) -> None:
    world.ready_made()
    assert tick(detect_posts).skip_message == "Nothing is due."
    assert tick(settle_unknown).skip_message == "No send is unclear."


def test_a_post_under_way_is_not_offered_a_second_time(tick: Callable[..., Any], world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    assert len(tick(detect_posts).run_requests) == 1
    assert tick(detect_posts).run_requests == []
    assert tick(offer_due).run_requests == []


def test_what_was_found_before_the_daemon_died_is_offered_by_the_next(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any
) -> None:
    """Killed after the poll's commit, before the tick had an answer."""
    world.ready_made()
    sandbox.post()
    assert sum(len(found.posts) for found in world.detect()) == 1
    [request] = tick(offer_due).run_requests
    assert line.run(request.partition_key).status == SUCCESS
    assert sorted(post["platform"] for post in sandbox.live() if post["platform"] != "tiktok") == [
        "instagram",
        "x",
        "youtube",
    ]


def test_an_offer_whose_run_never_came_is_made_again_later(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any
) -> None:
    """Killed after the tick had committed its offer, before the run was launched: the offer runs out."""
    world.ready_made()
    sandbox.post()
    [lost] = tick(detect_posts).run_requests
    _expire_offers(world)
    [again] = tick(offer_due).run_requests
    assert again.partition_key == lost.partition_key
    assert again.run_key != lost.run_key  # else Dagster would take it for the one it knows


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED])
def test_a_run_that_waits_or_takes_long_keeps_its_offer(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any, status: DagsterRunStatus
) -> None:
    world.ready_made()
    sandbox.post()
    [request] = tick(detect_posts).run_requests
    run = line.instance.create_run_for_job(
        defs.resolve_job_def("repost"), tags={**request.tags, "dagster/partition": request.partition_key}, status=status
    )
    _expire_offers(world)
    assert tick(offer_due).run_requests == []

    line.instance.report_run_failed(run)
    _expire_offers(world)
    assert len(tick(offer_due).run_requests) == 1


def _expire_offers(world: Any) -> None:
    _write(world, "update posts set offered_until = now() - interval '1 second'")


def _write(world: Any, statement: str) -> None:
    with world.house.db.system(world.system) as session:
        session.connection().exec_driver_sql(statement)


def test_a_finished_post_is_not_offered(tick: Callable[..., Any], line: Any, world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    [request] = tick(detect_posts).run_requests
    line.run(request.partition_key)
    _expire_offers(world)
    assert tick(offer_due).run_requests == []


def test_a_run_that_broke_is_told_and_its_post_offered_again(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any, tmp_path: Path
) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    world.prepare()
    [request] = tick(offer_due).run_requests
    for clip in (tmp_path / "store").rglob("*.mp4"):
        clip.unlink()
    run = line.run(request.partition_key, request.job_name)
    assert run.status == FAILURE
    _tell(line, run)
    assert [told.kind for told in world.story().activity].count("run.failed") == 1
    _write(world, "update publications set lease_until = now() - interval '1 second' where lease_until is not null")
    assert [offered.partition_key for offered in tick(offer_due).run_requests] == [request.partition_key]


def _tell(line: Any, run: Any) -> None:
    [failure] = line.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    with dg.build_run_status_sensor_context(
        sensor_name=tell_failed_runs.name,
        dagster_event=failure.event_log_entry.dagster_event,
        dagster_instance=line.instance,
        dagster_run=run,
    ) as context:
        tell_failed_runs(context.for_run_failure())


def test_an_unclear_send_is_settled_by_a_tick_and_shown_on_its_partition(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any
) -> None:
    world.ready_made()
    sandbox.post()
    [request] = tick(detect_posts).run_requests
    sandbox.fault("x", "tweets.create", "commit_then_reset", count=1)
    line.run(request.partition_key)
    assert world.publication("x").state in (State.UNKNOWN, State.RECONCILING)
    _write(world, "update publications set due_at = now() where state <> 'published'")
    result = tick(settle_unknown)
    [event] = result.asset_events
    assert (event.partition, event.metadata["platform"].value) == (request.partition_key, "x")
    assert world.publication("x").state == State.PUBLISHED
    assert len(sandbox.live("x")) == 1


def test_a_broken_promise_is_shown_when_it_begins_and_while_it_lasts(
    tick: Callable[..., Any], line: Any, world: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "this_house", lambda: world.house)  # the one whose clock moves
    world.ready_made()
    sandbox.post()
    world.detect()
    assert tick(watch).skip_message == "Every promise is kept."
    for _ in range(2):
        world.clock.advance(600)
        tick(watch)
    world.clock.advance(660)

    [seen] = tick(watch).asset_events
    assert seen.asset_key.path == ["publications"]
    assert seen.metadata["not_tried"].value == 3
    assert "not_tried: 3" in tick(watch).skip_message


def test_what_is_published_is_looked_for_also_while_a_watch_breaks(
    tick: Callable[..., Any],
    world: Any,
    sandbox: Any,
    owner_connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sensors, "this_house", lambda: world.house)
    world.ready_made()
    sandbox.post()
    world.detect()
    world.prepare()
    assert world.settle("youtube").state == State.PUBLISHED
    world.clock.advance(3 * 3600)
    listed = sandbox.calls_now("youtube", "playlistItems.list")
    owner_connection.execute("alter table activity rename column kind to hidden")  # one watch asks for it
    try:
        with pytest.raises(Exception, match="not everything could be watched"):
            tick(watch)
    finally:
        owner_connection.execute("alter table activity rename column hidden to kind")
    assert sandbox.calls_now("youtube", "playlistItems.list") > listed
