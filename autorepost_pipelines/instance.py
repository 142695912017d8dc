"""What must be in place before any process of Dagster starts: its home folder, its tables, its pools' limits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from autorepost_pipelines.launcher import forget_dead_workers
from autorepost_pipelines.storage import PooledPostgresStorage, create_tables

S3_UPLOAD_INTERVAL_SECONDS = 30


def prepare_home(
    home: Path, template: Path, store_url: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Path:
    """Lay out DAGSTER_HOME and return its dagster.yaml: the template's, with step logs beside the media.

    `overrides` replace whole top-level sections, for instance {"run_launcher": ...} where runs go to a cluster.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget_dead_workers(home)
    settings = {**yaml.safe_load(template.read_text()), **_step_logs(home, store_url), **(overrides or {})}
    target = home / "dagster.yaml"
    draft = home / ".dagster.yaml.draft"
    draft.write_text(yaml.safe_dump(settings, sort_keys=False))
    draft.replace(target)  # a daemon that is starting reads the old file or the new one, never half of it
    return target


def _step_logs(home: Path, store_url: str | None) -> dict[str, Any]:
    """Dagster's own default is the home folder; only with a bucket can another machine read them."""
    store = urlsplit(store_url or "")
    if store.scheme != "s3":
        return {}
    config = {
        "bucket": store.netloc,
        "prefix": f"{store.path.strip('/')}/dagster".lstrip("/"),
        "local_dir": str(home / "storage"),
        "skip_empty_files": True,
        "upload_interval": S3_UPLOAD_INTERVAL_SECONDS,
    }
    return {"compute_logs": {"module": "dagster_aws.s3", "class": "S3ComputeLogManager", "config": config}}


def create_schema(url: str, pool_limits: Mapping[str, int] | None = None) -> None:
    """Make or upgrade Dagster's tables and set how many steps each pool runs at once. Safe to call at every start."""
    create_tables(url)
    pools = PooledPostgresStorage(url).event_log_storage
    for pool, slots in (pool_limits or {}).items():
        pools.set_concurrency_slots(pool, slots)
