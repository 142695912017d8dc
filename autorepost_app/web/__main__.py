"""`python -m autorepost_app.web WORKSPACE`: serves until a signal comes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from autorepost_app import logs
from autorepost_app.bootstrap import close_house, open_house, open_links, settings_from
from autorepost_app.config import Settings
from autorepost_app.web.app import PREFIXES, PROBES, own_app
from autorepost_app.web.beside import (
    DAGSTER_PREFIX,
    STREAMLIT_INDEX,
    Beside,
    dagster_app,
    silence_access_log,
    streamlit_app,
)
from autorepost_app.web.guard import Guard
from autorepost_app.web.headers import SecurityHeaders, page_policy

START: Final = "SUPERVISED_AUTOREPOST_START"


def main() -> None:
    settings = settings_from(os.environ)
    logs.set_up(settings.log_format)
    house = open_house(settings)
    silence_access_log()
    with dagster_app(Path(sys.argv[1])) as dagster:
        own = own_app(house, open_links(settings), os.environ.get(START, ""))
        app = front(settings, own, dagster)
        uvicorn.run(
            app, host=settings.host, port=settings.port, access_log=False, log_level="warning", server_header=False
        )
    close_house(house)


def front(settings: Settings, own: ASGIApp, dagster: ASGIApp) -> ASGIApp:
    """Everything under one address: each request passes the headers, the guard and the switch, in this order."""
    hosts = {settings.host, "localhost", "127.0.0.1", "::1", urlsplit(settings.url).hostname or settings.host}
    own_policy = (DAGSTER_PREFIX, *PREFIXES)
    return streamlit_app(
        [
            Middleware(SecurityHeaders, page_policy=page_policy(STREAMLIT_INDEX), own_policy=own_policy),
            Middleware(Guard, hosts=frozenset(hosts), graphql_prefix=DAGSTER_PREFIX, probes=PROBES),
            Middleware(Beside, by_prefix={DAGSTER_PREFIX: dagster, **dict.fromkeys(PREFIXES, own)}),
        ]
    )


if __name__ == "__main__":
    main()
