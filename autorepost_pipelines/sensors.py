"""What sets runs going, and what happens between runs?

The daemon evaluates every five seconds. A tick is bounded by count and by time, and what it leaves is there for the
next one: our tables are the truth, a tick that is killed anywhere has lost nothing.
"""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import State
from autorepost_app.services import (
    chains,
    checks,
    detect,
    finish,
    notices,
    offers,
    reconcile,
    record,
    restores,
    watchdogs,
)
from autorepost_app.services.house import House
from autorepost_pipelines.house import this_house
from autorepost_pipelines.jobs import publish_again, repost
from autorepost_pipelines.keys import POSTS, TAG_CONNECTION, TAG_PLATFORM, TAG_POST, TAG_PUBLICATION, TAG_TENANT

_POLLS_PER_TICK: Final = 80
_OFFERS_PER_TICK: Final = 100
_READS_PER_TICK: Final = 50
_FINISHES: Final = 20
_PULSES_PER_TICK: Final = 80
_DAEMON_SECONDS: Final = 5
_WATCH_SECONDS: Final = 60
_CHECKS: Final = 8
"""In one look at the watches: some 10,000 a day."""
_TICK_SECONDS: Final = 25.0
"""After these no call begins: Dagster gives up a tick after 60, and a platform may let the last call wait for 30."""


@dg.sensor(
    jobs=[repost, publish_again],
    minimum_interval_seconds=_DAEMON_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks every source that is due for new posts, and starts a run for each post that has work.",
)
def detect_posts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    here = this_house()
    detect.feel_pulses(here, SystemScope("detect"), limit=_PULSES_PER_TICK)
    found = detect.poll_due(here, SystemScope("detect"), limit=_POLLS_PER_TICK)
    for each in found:
        if each.fault:
            context.log.warning(f"connection {each.connection_id}: {each.fault}")
    new = sum(len(each.posts) for each in found)
    if new:  # each tick that logs leaves a file, and there are 17,000 ticks a day
        context.log.info(f"{len(found)} sources asked, {new} new posts")
    return _offer(here, context.instance)


@dg.sensor(
    jobs=[repost, publish_again],
    minimum_interval_seconds=_DAEMON_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for each post of which something has become due: a delay, a limit, a wait is over.",
)
def offer_due(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    return _offer(this_house(), context.instance)


@dg.sensor(
    minimum_interval_seconds=_DAEMON_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=[dg.AssetKey("publications")],
    description="Finds senders that went silent, and asks the platforms what became of unclear sends. Only reads.",
)
def settle_unknown(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    here, scope = this_house(), SystemScope("reconcile")
    try:
        if restores.watch(here, scope):
            context.log.error("The database was restored: what is due is looked for before anything is sent.")
    except Exception as error:  # each send asks again and does not go without an answer; the reads below need none
        context.log.error(f"Whether the database was restored cannot be seen: {error}")
    swept = reconcile.sweep(here, scope)
    read = reconcile.reconcile_due(here, scope, limit=_READS_PER_TICK, seconds=_TICK_SECONDS)
    if not swept and not read:
        return dg.SensorResult(skip_reason="No send is unclear.")
    settled = [row for row in read if row.state not in (State.UNKNOWN, State.RECONCILING)]
    events = [
        dg.AssetObservation(
            "publications",
            partition=record.partition_key_of(here, scope, row.post_id),
            metadata={"platform": row.platform, "state": row.state, "reason": row.reason or "settled by a read"},
        )
        for row in settled
    ]
    return dg.SensorResult(asset_events=events, skip_reason=None if events else f"{len(read)} read, none settled yet.")


@dg.sensor(
    minimum_interval_seconds=_DAEMON_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finishes published posts, works on what platforms told us, and looks whether files can be fetched.",
)
def look_after(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    here, scope, broken = this_house(), SystemScope("look after"), []

    def ways() -> None:
        for health in chains.look(here, scope):
            if not health.open:
                context.log.error(f"{health.platform} gives no files, {health.waiting} posts wait: {health.detail}")

    finishing = partial(finish.finish_due, here, scope, limit=_FINISHES, seconds=_TICK_SECONDS)
    for part in (ways, partial(notices.work, here, scope), finishing):
        try:
            part()
        except Exception as error:  # none of them holds up the others
            broken.append(error)
    if broken:
        raise ExceptionGroup("not everything could be looked after", broken)
    return dg.SkipReason("Looked after what is published, told and closed.")


@dg.run_failure_sensor(
    name="tell_failed_runs",
    monitored_jobs=[repost, publish_again],
    minimum_interval_seconds=_DAEMON_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the tenant that something broke on our side; the post is offered again.",
)
def tell_failed_runs(context: dg.RunFailureSensorContext) -> None:
    key = context.dagster_run.tags.get(TAG_POST)
    if key is not None:
        message = context.failure_event.message or "the worker died"
        record.run_failed(
            this_house(),
            SystemScope("record"),
            PostIdentity.from_partition_key(key),
            context.dagster_run.run_id,
            message,
        )


@dg.sensor(
    minimum_interval_seconds=_WATCH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=[dg.AssetKey("publications")],
    description="Raises an alarm where a promise is not kept, and looks for what is published in the platforms' lists.",
)
def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    here, scope = this_house(), SystemScope("watch")
    turns: list[watchdogs.Turn] = []
    broken: list[Exception] = []
    try:
        turns = watchdogs.look(here, scope)
    except Exception as error:  # what is looked for in the platforms' lists is not asked of our own rows
        broken.append(error)
    try:
        checks.check_due(here, scope, limit=_CHECKS, seconds=_TICK_SECONDS)
    except Exception as error:  # what was found by looking at our own rows is shown whatever a platform answers
        context.log.error(f"Not everything could be checked: {error!r}")
    if broken:
        raise ExceptionGroup("not everything could be watched", broken)
    for turn in turns:
        say = context.log.error if turn.began else context.log.info
        say(f"{turn.watch}: {len(turn.began)} new, {len(turn.over)} over")
    lasting = [each for each in watchdogs.standing(here, scope) if each.count]
    if not turns:
        said = ", ".join(f"{each.watch}: {each.count}" for each in lasting)
        return dg.SensorResult(skip_reason=f"Lasting alarms: {said}" if said else "Every promise is kept.")
    counts: dict[str, int | str] = {str(each.watch): each.count for each in lasting}
    alarm = dg.AssetObservation("publications", metadata=counts or {"alarms": "none"}, description="what is watched")
    return dg.SensorResult(asset_events=[alarm])


SENSORS: Final = [detect_posts, offer_due, settle_unknown, look_after, watch, tell_failed_runs]


def _offer(house: House, instance: dg.DagsterInstance) -> dg.SensorResult:
    found = offers.offer(house, SystemScope("offer"), limit=_OFFERS_PER_TICK, at_work=partial(_at_work, instance))
    keys = sorted({each.identity.partition_key() for each in found})
    return dg.SensorResult(
        run_requests=list(_requests(found)),
        dynamic_partitions_requests=[POSTS.build_add_request(keys)] if keys else [],
        skip_reason=None if found else "Nothing is due.",
    )


def _at_work(instance: dg.DagsterInstance, identities: Collection[PostIdentity]) -> set[PostIdentity]:
    """Those with a run that waits or is under way."""
    if not identities:
        return set()
    wanted = {TAG_POST: [each.partition_key() for each in identities]}
    runs = instance.get_runs(dg.RunsFilter(tags=wanted, statuses=NOT_FINISHED_STATUSES))
    return {PostIdentity.from_partition_key(run.tags[TAG_POST]) for run in runs}


def _requests(found: Iterable[offers.Offer]) -> Iterable[dg.RunRequest]:
    """One run a post, however many tenants have it; the tags name the first tenant, and all that is to be sent."""
    for each in found:
        key = each.identity.partition_key()
        yield dg.RunRequest(
            run_key=f"{key}@{each.number}",
            job_name=repost.name if each.from_start else publish_again.name,
            partition_key=key,
            tags={
                TAG_POST: key,
                TAG_TENANT: each.tenant_id,
                TAG_CONNECTION: each.connection_id,
                TAG_PUBLICATION: ",".join(each.publications),
                TAG_PLATFORM: ",".join(each.platforms),
            },
        )
