"""`python -m autorepost_pipelines.prepare SOCKET STORE_URL`: Dagster's home folder, before its processes start.

It does not import Dagster, which would take longer than all that happens here.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from autorepost_pipelines.workers import forget_dead_workers

S3_UPLOAD_INTERVAL_SECONDS = 30
_TEMPLATE = Path(__file__).parents[1] / "dagster.yaml"


def prepare_home(
    home: Path, template: Path, store_url: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Path:
    """Lay out DAGSTER_HOME and return its dagster.yaml: the template's, with step logs beside the media.

    `overrides` replace whole top-level sections, for instance {"run_launcher": ...} where runs go to a cluster.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget_dead_workers(home)
    settings = {**yaml.safe_load(template.read_text()), **_step_logs(home, store_url), **(overrides or {})}
    return _write_yaml(home / "dagster.yaml", settings)


def prepare_workspace(home: Path, socket: str) -> Path:
    """A workspace of the one code server that all processes share."""
    location = {"socket": socket, "location_name": "autorepost"}
    return _write_yaml(home / "workspace.yaml", {"load_from": [{"grpc_server": location}]})


def _write_yaml(target: Path, content: Mapping[str, Any]) -> Path:
    draft = target.with_name(f".{target.name}.draft")
    draft.write_text(yaml.safe_dump(content, sort_keys=False))
    return draft.replace(target)  # a process that is starting reads the old file or the new one, never half of it


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


def main() -> None:
    home = Path(os.environ["DAGSTER_HOME"])
    socket, store_url = sys.argv[1:]
    prepare_home(home, _TEMPLATE, store_url)
    prepare_workspace(home, socket)


if __name__ == "__main__":
    main()
