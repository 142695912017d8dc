"""Which steps does a post go through, and what does each leave behind for operators to see?

    posts -> originals -> renditions -> publications -> activity

Every step reads what the one before it committed and does nothing when there is nothing left to do, so running any of
them again, in any order, is safe. What a step learns is in our tables; what it shows is metadata.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import dagster as dg

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.media import MediaFacts, violations
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.domain.publications import UNSENT
from autorepost_app.services import fetch, offers, prepare, publish, record
from autorepost_app.services.house import House
from autorepost_app.services.record import Story
from autorepost_pipelines import pictures
from autorepost_pipelines.house import this_house
from autorepost_pipelines.keys import GROUP, OWNER, POOL_TRANSCODE, POSTS, destination_keys

PATIENCE_SECONDS: Final = 20.0
"""How long a publishing step stays with a platform that is still processing, before it is offered again later."""
_MACHINE_FAULTS: Final = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For steps that send nothing. Publishing steps have none: a second execution may only reconcile (R8)."""
_COMMON: Final[dict[str, Any]] = {"partitions_def": POSTS, "group_name": GROUP, "owners": [OWNER]}


class NoSuchPost(dg.Failure):
    """The partition names a post that no tenant has."""


@dg.asset(
    **_COMMON,
    kinds={"postgres"},
    description="A post as its source lists it. Detection has written it; this step only looks.",
)
def posts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    found = _stories(this_house(), context)
    return dg.MaterializeResult(metadata={**pictures.of_post(found[0].post), "tenants": len(found)})


@dg.asset(
    **_COMMON,
    deps=[posts],
    kinds={"file"},
    retry_policy=_MACHINE_FAULTS,
    description="The post's file, fetched once, looked at and kept under its content hash.",
)
def originals(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    here, scope = this_house(), SystemScope("fetch")
    fetched = [fetch.fetch(here, scope, story.post.id, _progress(context)) for story in _stories(here, context)]
    metadata = [pictures.of_original(here, original) for original in fetched if original is not None]
    return dg.MaterializeResult(metadata=metadata[0] if metadata else {"fetched": False})


@dg.asset(
    **_COMMON,
    deps=[originals],
    kinds={"file"},
    pool=POOL_TRANSCODE,
    retry_policy=_MACHINE_FAULTS,
    check_specs=[
        dg.AssetCheckSpec(
            "fits_every_destination", asset="renditions", description="No file breaks a limit of a platform it is for."
        )
    ],
    description="The fewest files that every destination accepts, and what goes with them, frozen.",
)
def renditions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    here, scope = this_house(), SystemScope("prepare")
    for story in _stories(here, context):
        prepare.prepare(here, scope, story.post.id, _progress(context))
    found = _stories(here, context)
    made = [row for story in found for row in story.renditions]
    return dg.MaterializeResult(metadata=pictures.of_renditions(made), check_results=[_fits(here, found)])


def _publishing_step(platform: str) -> dg.OpDefinition:
    @dg.op(
        name=f"publish_{platform}",
        description=f"Takes what is due on {platform} as far as it goes now.",
        ins={"renditions": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=platform,
    )
    def step(context: dg.OpExecutionContext) -> None:
        here, scope = this_house(), SystemScope("publish")
        for story in _stories(here, context):
            for row in story.publications:
                if row.platform == platform and row.state in UNSENT:
                    after = publish.publish(
                        here, scope, row.id, patience_seconds=PATIENCE_SECONDS, progress=_progress(context)
                    )
                    context.log.info(f"{platform}: {row.state} -> {after.state} {after.url or after.waiting_for}")

    return step


@dg.op(
    description="What has become of every publication of the post.",
    ins={"published": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
)
def publication_states(context: dg.OpExecutionContext) -> None:
    for story in _stories(this_house(), context):
        context.add_output_metadata(pictures.of_publications(story))
        return


@dg.graph_asset(
    **_COMMON,
    ins={"renditions": dg.AssetIn(dagster_type=dg.Nothing)},
    kinds={"api"},
    description="The post on each destination, at most once. One step a platform, each in the platform's own pool.",
)
def publications(renditions):  # type: ignore[no-untyped-def]  # Dagster composes it, nobody calls it
    return publication_states(published=[_publishing_step(key)(renditions) for key in destination_keys()])


@dg.asset(
    **_COMMON,
    deps=[publications],
    kinds={"postgres"},
    check_specs=[
        dg.AssetCheckSpec("nothing_stuck", asset="activity", description="Every publication is final or on its way.")
    ],
    description="The honest story of the post, as its creator reads it.",
)
def activity(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    here = this_house()
    offers.close(here, SystemScope("record"), _identity(context))
    found = _stories(here, context)
    return dg.MaterializeResult(metadata=pictures.of_activity(found[0]), check_results=[_nothing_stuck(here, found)])


ASSETS: Final = [posts, originals, renditions, publications, activity]


def _identity(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> PostIdentity:
    return PostIdentity.from_partition_key(context.partition_key)


def _stories(house: House, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> list[Story]:
    found = record.stories(house, SystemScope("record"), _identity(context))
    if not found:
        raise NoSuchPost(f"No tenant has the post {context.partition_key}.", allow_retries=False)
    return found


def _progress(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Callable[[str, float], None]:
    """Logs a step's progress at each further quarter: enough to see that it moves."""
    told: dict[str, int] = {}

    def report(step: str, fraction: float) -> None:
        quarter = int(fraction * 4)
        if told.get(step, 0) < quarter < 4:
            told[step] = quarter
            context.log.info(f"{step}: {quarter * 25} %")

    return report


def _fits(house: House, found: Iterable[Story]) -> dg.AssetCheckResult:
    wrong = []
    for story in found:
        files = {row.id: row for row in story.renditions}
        for row in story.publications:
            if row.rendition_id in files:
                limits = house.platforms.destination_spec(row.platform).media
                broken = violations(MediaFacts(**files[row.rendition_id].facts), limits)
                wrong += [f"{row.platform}: {violation.text}" for violation in broken]
    return dg.AssetCheckResult(
        check_name="fits_every_destination", passed=not wrong, metadata={"broken": "; ".join(wrong) or "none"}
    )


def _nothing_stuck(house: House, found: Iterable[Story]) -> dg.AssetCheckResult:
    stuck = [f"{row.platform}: {row.state}" for story in found for row in story.stuck(house.clock())]
    return dg.AssetCheckResult(
        check_name="nothing_stuck", passed=not stuck, metadata={"stuck": "; ".join(stuck) or "none"}
    )
