"""Dagster's daemon with its fork server warm beside it: `python -m autorepost_pipelines run -w workspace.yaml`.

Takes what `dagster-daemon` takes. With `dagster-daemon` itself all works as well, only the first run starts cold and
pools have Dagster's limits.
"""

import os
import time
from pathlib import Path
from typing import Final

import yaml
from dagster._daemon.cli import main

from autorepost_app.bootstrap import settings_from
from autorepost_pipelines.keys import pool_limits
from autorepost_pipelines.launcher import start_fork_server
from autorepost_pipelines.storage import create_schema

_PATIENCE_SECONDS: Final = 60.0


def _wait_for_code_server() -> None:
    """The supervisor starts it beside us. A daemon that does not find it looks again only after a minute."""
    workspace = Path(os.environ["DAGSTER_HOME"], "workspace.yaml")
    entries = yaml.safe_load(workspace.read_text())["load_from"] if workspace.exists() else []
    sockets = [Path(entry["grpc_server"]["socket"]) for entry in entries if "grpc_server" in entry]
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not all(socket.exists() for socket in sockets) and time.monotonic() < give_up_at:
        time.sleep(0.05)


if __name__ == "__main__":
    start_fork_server()
    create_schema(os.environ["DAGSTER_PG_URL"], pool_limits(settings_from(os.environ).transcode_slots))
    _wait_for_code_server()
    main()
