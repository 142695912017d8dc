"""What does Dagster know? Everything it is given, on one page."""

import dagster as dg

from autorepost_pipelines.assets import ASSETS
from autorepost_pipelines.jobs import daily_upkeep, publish_again, repost, upkeep_job
from autorepost_pipelines.sensors import SENSORS

defs = dg.Definitions(
    assets=ASSETS,
    jobs=[repost, publish_again, upkeep_job],
    sensors=SENSORS,
    schedules=[daily_upkeep],
)
