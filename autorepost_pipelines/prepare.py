"""`python -m autorepost_pipelines.prepare SOCKET`: what Dagster needs once before its processes start.

Lays out DAGSTER_HOME, writes a workspace that points at the one code server, makes Dagster's tables and sets the pools.
"""

import os
import sys
from pathlib import Path

import yaml

from autorepost_app.bootstrap import settings_from
from autorepost_pipelines.instance import create_schema, prepare_home
from autorepost_pipelines.keys import pool_limits

_TEMPLATE = Path(__file__).parents[1] / "dagster.yaml"


def main() -> None:
    settings = settings_from(os.environ)
    home = Path(os.environ["DAGSTER_HOME"])
    prepare_home(home, _TEMPLATE, settings.store)
    workspace = {"load_from": [{"grpc_server": {"socket": sys.argv[1], "location_name": "autorepost"}}]}
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    slots = settings.transcode_slots or max(1, (os.cpu_count() or 2) // 2)
    create_schema(os.environ["DAGSTER_PG_URL"], pool_limits(slots))


if __name__ == "__main__":
    main()
