"""YouTube as a destination: what is fixed about it, and how its parts are put together."""

from __future__ import annotations

from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import DestinationSpec, Host, KeyKind, Parts, Platform, Reach
from autorepost_app.platforms.youtube import limits
from autorepost_app.platforms.youtube.auth import OAUTH, YouTubeAuthoriser
from autorepost_app.platforms.youtube.destination import SESSION, YouTubeDestination
from autorepost_app.platforms.youtube.errors import NAME
from autorepost_app.platforms.youtube.options import OPTIONS, check_options


def build(reach: Reach) -> Parts:
    client = new_client(reach.timeout_seconds)
    accounts, oauth, data = (Api(client, reach.urls[host], NAME, reach.meter) for host in ("ACCOUNTS", "OAUTH", "API"))
    www_url = reach.urls["WWW"].rstrip("/")
    destination = YouTubeDestination(data, www_url, reach.clock)
    return Parts(
        authoriser=YouTubeAuthoriser(accounts, oauth, data, www_url, reach.app, reach.clock),
        destination=destination,
        finisher=destination,
        close=client.close,
    )


PLATFORM = Platform(
    key="youtube",
    name=NAME,
    hosts=(
        Host("WWW", "https://www.youtube.com"),
        Host("ACCOUNTS", "https://accounts.google.com"),
        Host("OAUTH", "https://oauth2.googleapis.com"),
        Host("API", "https://www.googleapis.com"),
    ),
    oauth=OAUTH,
    build=build,
    quotas=limits.QUOTAS,
    destination=DestinationSpec(
        key_kind=KeyKind.HANDLE_WITH_STATUS,
        media=limits.MEDIA,
        text=limits.TEXT,
        options=OPTIONS,
        check_options=check_options,
        reconcile=limits.RECONCILE,
        marked=True,
        finishes=True,
        secret_handles=frozenset({SESSION}),
    ),
)
