"""Whatever an operator starts once more in Dagster is safe: a step, a run, a backfill, a second daemon.

The same for what creators press is in tests/integration/services/test_ways_to_go_on.py; docs/exactly-once.md lists
every way.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.cli import execute_query

from autorepost_app.domain.publications import State
from autorepost_app.services import people, reconcile, restores
from autorepost_pipelines.definitions import defs
from autorepost_pipelines.prepare import prepare_home
from autorepost_pipelines.sensors import SENSORS, tell_failed_runs
from autorepost_pipelines.workers import living_worker, stop_workers

REPO = Path(__file__).resolve().parents[2]
SUCCESS, FAILURE = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE
PUBLISH, PUBLISH_YOUTUBE = "publications.publish_x", "publications.publish_youtube"
SEE_THROUGH = "publications.see_through"
# only this process looks at its definitions itself, and Dagster at what it deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Property .ScheduleDefinition.environment_vars:DeprecationWarning")
LAUNCH = """mutation($partition: String!) { launchRun(executionParams: {mode: "default", runConfigData: {},
  selector: {repositoryLocationName: "autorepost", repositoryName: "__repository__", pipelineName: "repost"},
  executionMetadata: {tags: [{key: "dagster/partition", value: $partition}]}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
AGAIN = """mutation($run: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: $strategy}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($partitions: [String!]!) { launchPartitionBackfill(backfillParams: {
  partitionNames: $partitions, selector: {partitionSetName: "repost_partition_set",
    repositorySelector: {repositoryLocationName: "autorepost", repositoryName: "__repository__"}}}) {
      __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


class Desk:
    """An operator before Dagster's own pages: each click is its GraphQL call, each run a worker of the launcher."""

    def __init__(self, instance: DagsterInstance, context: WorkspaceProcessContext) -> None:
        self.instance = instance
        self._context = context
        self._queue = QueuedRunCoordinatorDaemon(interval_seconds=1)

    def click(self, query: str, **variables: Any) -> str:
        """What was started: a run's id or a backfill's."""
        answer = execute_query(self._context, query, variables)
        assert "errors" not in answer, answer
        [started] = answer["data"].values()
        assert started["__typename"].endswith("Success"), started
        return str(started["run"]["runId"] if "run" in started else started["backfillId"])

    def start_queued(self) -> None:
        """One round of Dagster's daemon: backfills become runs, runs become workers."""
        log = logging.getLogger("daemon")
        for rounds in (execute_backfill_iteration(self._context, log), self._queue.run_iteration(self._context)):
            _without_error(rounds)

    def notice_the_dead(self) -> None:
        _without_error(execute_run_monitoring_iteration(self._context, logging.getLogger("monitoring")))

    def is_over(self) -> bool:
        self.start_queued()
        return not self.instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run.status


def _without_error(rounds: Iterable[Any]) -> None:
    assert [each for each in rounds if each is not None] == []


@pytest.fixture
def desk(line: Any, tmp_path: Path) -> Iterator[Desk]:
    """Beside the line: the same tables and the same house, but with the product's own launcher."""
    home = tmp_path / "desk"
    prepare_home(home, REPO / "dagster.yaml")
    target = LoadableTargetOrigin(
        module_name="autorepost_pipelines.definitions", attribute="defs", working_directory=str(REPO)
    )
    location = InProcessCodeLocationOrigin(target, location_name="autorepost")
    with (
        DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(location)) as context,
    ):
        yield Desk(instance, context)
        stop_workers(home, grace_seconds=5)
        forkserver._forkserver._stop()


@pytest.fixture
def detected(line: Any, world: Any, sandbox: Any) -> Callable[..., str]:
    """`detected("x")`: a post that is to go there, as its partition."""

    def make(*platforms: str) -> str:
        made = {key: world.connect(key) for key in ("tiktok", *platforms)}
        world.rule(made["tiktok"], *(made[key] for key in platforms))
        sandbox.post(description="A walk #walk")
        world.detect()
        [partition] = line.partitions()
        line.instance.add_dynamic_partitions("posts", [partition])
        return str(partition)

    return make


@pytest.fixture
def due(owner_connection: psycopg.Connection[Any]) -> Callable[[], None]:
    """Runs go by the real clock: what waits is due now."""

    def now() -> None:
        owner_connection.execute("update publications set due_at = now() - interval '1 second'")

    return now


def live(sandbox: Any, *platforms: str) -> list[int]:
    return [len(sandbox.live(platform)) for platform in platforms]


# --------------------------------------------------------------------------------------------------------- one step


def test_a_step_alone_goes_on_from_whatever_state_it_meets(
    line: Any, world: Any, sandbox: Any, detected: Any, due: Callable[[], None]
) -> None:
    """On one publication's long way to a person and beyond, its two steps are run again by themselves at each stop."""
    sandbox.fault("x", "upload.initialize", "refuse")
    run = line.run(detected("x"))

    def both_steps_leave(state: State, sent: int = 1) -> None:
        for step in (PUBLISH, SEE_THROUGH):
            assert line.again(run, step).status == SUCCESS
            assert world.publication("x").state == state
        assert live(sandbox, "x") == [sent]

    both_steps_leave(State.READY, sent=0)  # X was not there, and is not asked before its time
    sandbox.fault("x", "tweets.create", "slow", seconds=1.5, after_work=True)
    due()
    with ThreadPoolExecutor(1) as other:
        sending = other.submit(world.worker().publish, "x")
        sandbox.wait_for_call("x", "tweets.create")
        both_steps_leave(State.COMMITTING)
        assert sending.result().state == State.PUBLISHED
    both_steps_leave(State.PUBLISHED)


def test_a_step_alone_never_sends_what_is_unclear_or_was_decided(
    line: Any, world: Any, sandbox: Any, detected: Any, due: Callable[[], None]
) -> None:
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    sandbox.fault("x", "timeline", "read_error", count=None)
    run = line.run(detected("x"))

    for state in (State.UNKNOWN, State.RECONCILING, State.NEEDS_REVIEW, State.DROPPED):
        if state == State.DROPPED:
            people.drop(world.house, world.scope, world.publication("x").id)
        world.settle("x", state)
        due()
        for step in (PUBLISH, SEE_THROUGH):
            assert line.again(run, step).status == SUCCESS
            assert world.publication("x").state == state
    assert line.again(run).status == SUCCESS
    assert (live(sandbox, "x"), sandbox.calls_now("x", "tweets.create")) == ([1], 1)


def test_a_step_alone_leaves_what_failed_or_was_cancelled_and_ends_what_is_staged(
    line: Any, world: Any, sandbox: Any, detected: Any, due: Callable[[], None]
) -> None:
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    run = line.run(detected("x", "instagram"))
    assert world.publication("x").state == State.FAILED
    assert line.again(run, PUBLISH).status == line.again(run).status == SUCCESS
    assert (world.publication("x").state, live(sandbox, "x", "instagram")) == (State.FAILED, [0, 1])
    sandbox.control("DELETE", "/faults")

    people.repeat(world.house, world.scope, world.publication("x").id)
    world.publish("x", patience_seconds=0.0)
    assert world.publication("x").state == State.STAGING
    assert line.again(run, SEE_THROUGH).status == SUCCESS
    assert (world.publication("x").state, live(sandbox, "x", "instagram")) == (State.PUBLISHED, [1, 1])


# ------------------------------------------------------------------------------------------------------- a whole run


def test_a_run_whose_worker_was_killed_in_its_send_is_run_again_in_every_way_and_sends_nothing_twice(
    desk: Desk, world: Any, sandbox: Any, detected: Any, eventually: Callable[..., Any]
) -> None:
    sandbox.fault("x", "tweets.create", "slow", seconds=2, after_work=True)
    run_id = desk.click(LAUNCH, partition=detected("x", "youtube"))
    desk.start_queued()
    sandbox.wait_for_call("x", "tweets.create")
    pid = living_worker(Path(desk.instance.root_directory), run_id)
    assert pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: living_worker(Path(desk.instance.root_directory), run_id) is None)
    desk.notice_the_dead()
    assert desk.status(run_id) == FAILURE

    clicks = [desk.click(AGAIN, run=run_id, strategy=how) for how in ("FROM_FAILURE", "ALL_STEPS", "ALL_STEPS")]
    eventually(desk.is_over, within_seconds=90)

    assert [desk.status(each) for each in clicks] == [SUCCESS] * 3
    assert world.publication("x").state == State.COMMITTING, "its fate is asked for when the dead one's lease is over"
    assert live(sandbox, "x", "youtube") == [1, 1]
    assert world.settle("x").state == State.PUBLISHED
    last = desk.click(AGAIN, run=clicks[0], strategy="ALL_STEPS")
    eventually(desk.is_over, within_seconds=90)
    assert (desk.status(last), sandbox.calls_now("x", "tweets.create")) == (SUCCESS, 1)
    assert live(sandbox, "x", "youtube") == [1, 1]


@pytest.mark.only_with_faults
def test_two_backfills_of_everything_at_once_send_each_post_once_and_say_which_partition_is_nobodys(
    desk: Desk,
    line: Any,
    world: Any,
    sandbox: Any,
    detected: Any,
    owner_connection: psycopg.Connection[Any],
    eventually: Callable[..., Any],
) -> None:
    old = detected("x")
    assert line.run(old).status == SUCCESS
    long_ago = "now() - interval '400 days'"
    owner_connection.execute(f"update publications set published_at = {long_ago}, state_at = {long_ago}")
    desk.instance.delete_dynamic_partition("posts", old)  # as the daily upkeep does with posts long finished
    sandbox.post(description="Another walk")
    world.detect()
    partitions = [*line.partitions(), "tiktok:nobody:1"]
    desk.instance.add_dynamic_partitions("posts", partitions)

    backfills = [desk.click(BACKFILL, partitions=partitions) for _ in range(2)]
    eventually(desk.is_over, within_seconds=90)

    for backfill in backfills:
        runs = desk.instance.get_runs(RunsFilter(tags={"dagster/backfill": backfill}))
        ended = {run.tags["dagster/partition"]: run.status for run in runs}
        assert ended == {**dict.fromkeys(line.partitions(), SUCCESS), "tiktok:nobody:1": FAILURE}
        [nobodys] = [run for run in runs if run.status == FAILURE]
        assert "No tenant has the post tiktok:nobody:1." in line.failure(nobodys)
    assert (live(sandbox, "x"), sandbox.calls_now("x", "tweets.create")) == ([2], 2)


def test_after_a_restore_a_run_from_the_start_and_its_steps_send_nothing_before_the_look(
    line: Any, world: Any, sandbox: Any, detected: Any, due: Callable[[], None]
) -> None:
    sandbox.fault("youtube", "session.start", "refuse")
    run = line.run(detected("youtube"))
    restores.declare(world.house, world.system)
    due()

    again = [line.again(run), line.again(run, PUBLISH_YOUTUBE), line.again(run, SEE_THROUGH)]

    assert [each.status for each in again] == [SUCCESS] * 3
    assert (world.publication("youtube").state, live(sandbox, "youtube")) == (State.READY, [0])
    reconcile.reconcile_due(world.house, world.system, limit=10)
    assert world.settle("youtube", State.READY).state == State.READY, "it was looked for, and is not there"
    due()
    assert line.again(run, PUBLISH_YOUTUBE).status == SUCCESS
    assert live(sandbox, "youtube") == [1]


# ------------------------------------------------------------------------------------------------------- two daemons


def test_two_daemons_ticking_at_once_ask_for_one_run_a_post_and_settle_once(
    line: Any, world: Any, sandbox: Any, detected: Any, owner_connection: psycopg.Connection[Any]
) -> None:
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    line.run(detected("x", "youtube"))
    sandbox.post(description="Another walk")
    _everything_is_due(owner_connection)
    sensors = [each for each in SENSORS if each is not tell_failed_runs] * 2

    with ThreadPoolExecutor(len(sensors)) as daemons:
        asked = list(daemons.map(lambda sensor: _tick(line.instance, sensor), sensors))

    requests = [request for each in asked for request in each.run_requests or []]
    by_key = {request.partition_key: line.run(request.partition_key, request.job_name).status for request in requests}
    assert len(requests) == len(by_key), "no post is asked for twice"
    assert SUCCESS in by_key.values()
    told = "select count(*) from activity where kind = 'publication.published' and text like 'X:%%'"
    assert owner_connection.execute(told).fetchone() == (2,)
    assert live(sandbox, "x", "youtube") == [2, 2]


def _everything_is_due(owner_connection: psycopg.Connection[Any]) -> None:
    owner_connection.execute("update connections set poll_not_before_at = null")
    owner_connection.execute("update publications set due_at = now() - interval '1 minute', finish_at = now()")
    owner_connection.execute("update publications set finish_at = null where state != 'published'")


def _tick(instance: DagsterInstance, sensor: Any) -> Any:
    """One evaluation, as a daemon's own."""
    repository = defs.get_repository_def()
    with dg.SensorEvaluationContext(
        instance_ref=instance.get_ref(),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=sensor.name,
    ) as context:
        return sensor.evaluate_tick(context)
