"""Which runs are there?"""

from datetime import timedelta
from typing import Final

import dagster as dg

from autorepost_app.domain.identity import SystemScope
from autorepost_app.services import quotas, upkeep
from autorepost_pipelines.assets import ASSETS, activity, publications
from autorepost_pipelines.house import this_house
from autorepost_pipelines.keys import POSTS

_KEEP_PARTITIONS: Final = timedelta(days=90)
_KEEP_TEMPORARY: Final = timedelta(days=2)

repost: Final = dg.define_asset_job(
    "repost",
    selection=ASSETS,
    executor_def=dg.in_process_executor,
    description="A new post: fetch, prepare, publish, record.",
)

publish_again: Final = dg.define_asset_job(
    "publish_again",
    selection=[publications, activity],
    executor_def=dg.in_process_executor,
    description="A post whose files are ready and of which something has become due.",
)


@dg.op(description="Removes temporary files that their makers left, and partitions of posts long finished.")
def tidy(context: dg.OpExecutionContext) -> None:
    here, scope = this_house(), SystemScope("upkeep")
    swept = upkeep.sweep_temporary(here, scope, older_than=_KEEP_TEMPORARY)
    quotas.forget(here, scope)
    finished = upkeep.finished_posts(here, scope, older_than=_KEEP_PARTITIONS)
    known = set(context.instance.get_dynamic_partitions(str(POSTS.name)))
    old = [identity.partition_key() for identity in finished]
    removed = [key for key in old if key in known]
    for key in removed:
        context.instance.delete_dynamic_partition(str(POSTS.name), key)
    context.log.info(f"{swept} temporary files and {len(removed)} partitions removed")


@dg.job(name="upkeep", executor_def=dg.in_process_executor, description="Housekeeping, once a day.")
def upkeep_job() -> None:
    tidy()


daily_upkeep: Final = dg.ScheduleDefinition(
    name="daily_upkeep",
    job=upkeep_job,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
