"""Dagster's daemon with its fork server warming up beside it: `python -m autorepost_pipelines run -w workspace.yaml`.

Takes what `dagster-daemon` takes. With `dagster-daemon` itself all works as well, only the first run starts cold.
"""

from dagster._daemon.cli import main

from autorepost_pipelines.launcher import start_fork_server

if __name__ == "__main__":
    start_fork_server()
    main()
