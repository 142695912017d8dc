"""Which steps does a post go through, and what does each leave behind for operators to see?

    posts -> originals -> renditions -> publications -> activity

Every step reads what the one before it committed and does nothing when there is nothing left to do, so running any of
them again, in any order, is safe. What a step learns is in our tables; what it shows is metadata.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import dagster as dg

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.media import MediaFacts, violations
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.services import dead_letters, fetch, offers, prepare, publish, record
from autorepost_app.services.house import House
from autorepost_app.services.record import Story
from autorepost_pipelines import pictures
from autorepost_pipelines.house import this_house
from autorepost_pipelines.keys import GROUP, OWNER, POOL_TRANSCODE, POSTS, destination_keys

PATIENCE_SECONDS: Final = 20.0
"""How long a run stays with platforms that are still processing, before the post is offered again later."""
_FITS: Final = "fits_every_destination"
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
    fetched = [fetch.fetch(here, scope, post_id, _progress(context)) for post_id in _post_ids(here, context)]
    metadata = [pictures.of_original(here, original) for original in fetched if original is not None]
    return dg.MaterializeResult(metadata=metadata[0] if metadata else {"fetched": False})


@dg.op(
    description="Makes what costs next to nothing; asks for the encoder where pictures have to be encoded again.",
    ins={"originals": dg.In(dg.Nothing)},
    out={"encode": dg.Out(dg.Nothing, is_required=False), "ready": dg.Out(dg.Nothing)},
    retry_policy=_MACHINE_FAULTS,
)
def plan_renditions(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
    here, scope = this_house(), SystemScope("prepare")
    posts_here = _post_ids(here, context)
    dear = [post_id for post_id in posts_here if prepare.needs_encoding(here, scope, post_id)]
    for post_id in posts_here:
        if post_id not in dear:
            prepare.prepare(here, scope, post_id, _progress(context))
    if dear:
        yield dg.Output(None, "encode")
    yield dg.Output(None, "ready")


@dg.op(
    description="Encodes, as many at once as the cores can bear.",
    ins={"wanted": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    pool=POOL_TRANSCODE,
    retry_policy=_MACHINE_FAULTS,
)
def encode(context: dg.OpExecutionContext) -> None:
    here = this_house()
    for post_id in _post_ids(here, context):
        prepare.prepare(here, SystemScope("prepare"), post_id, _progress(context))


@dg.op(
    description="Looks whether every file fits where it is to go.",
    ins={"made": dg.In(dg.Nothing)},
    out={"result": dg.Out(dg.Nothing), "check": dg.Out()},
)
def check_renditions(context: dg.OpExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    here = this_house()
    found = _stories(here, context)
    made = [row for story in found for row in story.renditions]
    context.add_output_metadata(pictures.of_renditions(made), output_name="result")
    yield dg.Output(None, "result")
    yield _fits(here, found)


@dg.graph_asset(
    **_COMMON,
    ins={"originals": dg.AssetIn(dagster_type=dg.Nothing)},
    kinds={"file"},
    check_specs=[
        dg.AssetCheckSpec(_FITS, asset="renditions", description="No file breaks a limit of a platform it is for.")
    ],
    description="The fewest files that every destination accepts, and what goes with them, frozen.",
)
def renditions(originals):  # type: ignore[no-untyped-def]  # Dagster composes it, nobody calls it
    wanted, ready = plan_renditions(originals)
    result, check = check_renditions(made=[ready, encode(wanted)])
    return {"result": result, f"renditions_{_FITS}": check}


def _publishing_step(platform: str) -> dg.OpDefinition:
    @dg.op(
        name=f"publish_{platform}",
        description=f"Takes what is due on {platform} as far as it goes without waiting.",
        ins={"renditions": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=platform,
    )
    def step(context: dg.OpExecutionContext) -> None:
        here, scope = this_house(), SystemScope("publish")
        for row in record.unsent(here, scope, _identity(context), platform):
            after = publish.publish(here, scope, row.id, patience_seconds=0.0, progress=_progress(context))
            context.log.info(f"{platform}: {row.state} -> {after.state} {after.url or after.waiting_for}")

    return step


@dg.op(
    description="Comes back to the platforms that were still working on it, and shows what became of each.",
    ins={"published": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
)
def see_through(context: dg.OpExecutionContext) -> None:
    here, scope = this_house(), SystemScope("publish")
    publish.see_through(here, scope, _identity(context), patience_seconds=PATIENCE_SECONDS, progress=_progress(context))
    found = _stories(here, context)
    receipts = [each for story in found for each in record.receipts(here, scope, story.post.id)]
    context.add_output_metadata({**pictures.of_publications(found[0]), **pictures.of_receipts(here, receipts)})


@dg.graph_asset(
    **_COMMON,
    ins={"renditions": dg.AssetIn(dagster_type=dg.Nothing)},
    kinds={"api"},
    description="The post on each destination, at most once. One step a platform, each in the platform's own pool.",
)
def publications(renditions):  # type: ignore[no-untyped-def]  # Dagster composes it, nobody calls it
    return see_through(published=[_publishing_step(key)(renditions) for key in destination_keys()])


@dg.asset(
    **_COMMON,
    deps=[publications],
    kinds={"postgres"},
    check_specs=[
        dg.AssetCheckSpec("nothing_stuck", asset="activity", description="Every publication is final or on its way.")
    ],
    description="The honest story of the post, as its creator reads it; and what else waits for a person there.",
)
def activity(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    here = this_house()
    offers.close(here, SystemScope("record"), _identity(context))
    found = _stories(here, context)
    waiting = dead_letters.waiting(here, SystemScope("record"), tenants=[story.post.tenant_id for story in found])
    return dg.MaterializeResult(
        metadata={**pictures.of_activity(found[0]), **pictures.of_dead_letters(waiting)},
        check_results=[_nothing_stuck(here, found)],
    )


ASSETS: Final = [posts, originals, renditions, publications, activity]


def _identity(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> PostIdentity:
    return PostIdentity.from_partition_key(context.partition_key)


def _post_ids(house: House, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> list[str]:
    found = record.post_ids(house, SystemScope("record"), _identity(context))
    if not found:
        raise NoSuchPost(f"No tenant has the post {context.partition_key}.", allow_retries=False)
    return found


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
    return dg.AssetCheckResult(check_name=_FITS, passed=not wrong, metadata={"broken": "; ".join(wrong) or "none"})


def _nothing_stuck(house: House, found: Iterable[Story]) -> dg.AssetCheckResult:
    stuck = [f"{row.platform}: {row.state}" for story in found for row in story.stuck(house.clock())]
    return dg.AssetCheckResult(
        check_name="nothing_stuck", passed=not stuck, metadata={"stuck": "; ".join(stuck) or "none"}
    )
