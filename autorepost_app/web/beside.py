"""What stands beside our own routes: Dagster's web server and the Streamlit app. The only module that knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import streamlit as st
import yaml
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

DAGSTER_PREFIX: Final = "/dagster"
STREAMLIT_INDEX: Final = Path(st.__file__).parent / "static" / "index.html"
_PATIENCE_SECONDS: Final = 60.0
_SCREENS: Final = Path(__file__).parents[2] / "dashboards" / "app.py"


@contextmanager
def dagster_app(workspace: Path) -> Iterator[ASGIApp]:
    """Dagster's web server for the workspace file, under its prefix. Reads DAGSTER_HOME."""
    _wait_for_code_server(workspace)
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)]), version=__version__) as context,
    ):
        yield create_app_from_workspace_process_context(context, path_prefix=DAGSTER_PREFIX)


def _wait_for_code_server(workspace: Path) -> None:
    """It starts beside us. Without it pages would say that nothing is defined, until Dagster looks again."""
    entries = yaml.safe_load(workspace.read_text())["load_from"]
    sockets = [Path(entry["grpc_server"]["socket"]) for entry in entries if "grpc_server" in entry]
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not all(socket.exists() for socket in sockets) and time.monotonic() < give_up_at:
        time.sleep(0.05)


def streamlit_app(middleware: list[Middleware]) -> ASGIApp:
    """The Streamlit app at the root, behind `middleware`, which sees websockets too."""
    return st.App(_SCREENS, middleware=middleware)


def silence_access_log() -> None:
    """No line for a request: it would hold the signed part of media links.

    Switching it off in the server is not enough: Streamlit gives that logger a level and a writer again at start-up.
    """
    logging.getLogger("uvicorn.access").addFilter(lambda _record: False)


class Beside:
    """Sends what is under a prefix to the application of that prefix, path unchanged, and the rest on.

    Dagster's application mounts itself under its prefix; ours wins where Streamlit reserves names of its own.
    """

    def __init__(self, app: ASGIApp, *, by_prefix: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._by_prefix = by_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._for(scope)(scope, receive, send)

    def _for(self, scope: Scope) -> ASGIApp:
        if scope["type"] in ("http", "websocket"):
            for prefix, app in self._by_prefix.items():
                if scope["path"] == prefix or scope["path"].startswith(prefix.rstrip("/") + "/"):
                    return app
        return self._app
