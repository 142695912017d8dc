"""`python -m autorepost_app.web WORKSPACE`: serves until a signal comes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.middleware import Middleware

from autorepost_app.bootstrap import close_house, open_house, open_links, settings_from
from autorepost_app.web.app import PREFIXES, own_app
from autorepost_app.web.beside import DAGSTER_PREFIX, Beside, dagster_app, streamlit_app
from autorepost_app.web.guard import Guard


def main() -> None:
    settings = settings_from(os.environ)
    house = open_house(settings)
    hosts = frozenset({settings.host, "localhost", "127.0.0.1", urlsplit(settings.url).hostname or settings.host})
    with dagster_app(Path(sys.argv[1])) as dagster:
        own = own_app(house, open_links(settings))
        app = streamlit_app(
            [
                Middleware(Guard, hosts=hosts, strict_prefix=DAGSTER_PREFIX),
                Middleware(Beside, by_prefix={DAGSTER_PREFIX: dagster, **dict.fromkeys(PREFIXES, own)}),
            ]
        )
        # an access log would hold the signed part of media links
        uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_level="warning")
    close_house(house)


if __name__ == "__main__":
    main()
