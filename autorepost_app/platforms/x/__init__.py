"""X (formerly Twitter) as a destination: everything about it that is data, and how its parts are built.

X has no idempotency key and bills every call: see `destination` for how a post is recognised and what a read costs.
"""

from __future__ import annotations

from typing import Final

from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import (
    DestinationSpec,
    Host,
    KeyKind,
    Parts,
    Platform,
    Reach,
    ReconcilePlan,
)
from autorepost_app.platforms.x.auth import OAUTH, XAuthoriser
from autorepost_app.platforms.x.destination import XDestination
from autorepost_app.platforms.x.errors import PLATFORM_NAME
from autorepost_app.platforms.x.limits import MEDIA
from autorepost_app.platforms.x.options import OPTIONS
from autorepost_app.platforms.x.quotas import QUOTAS
from autorepost_app.platforms.x.text import TEXT

RECONCILE: Final = ReconcilePlan(read_after_seconds=(5, 30, 120, 600, 3600), give_up_after_seconds=3660)
"""A read never proves absence on X (lag, withheld posts): after the read at one hour a person decides."""


def build(reach: Reach) -> Parts:
    client = new_client(reach.timeout_seconds)
    api = Api(client, reach.urls["API"], PLATFORM_NAME, reach.meter)
    www_url = reach.urls["WWW"].rstrip("/")
    return Parts(
        authoriser=XAuthoriser(api, www_url, reach.app, reach.clock),
        destination=XDestination(api, www_url, reach.clock),
        close=client.close,
    )


PLATFORM: Final = Platform(
    key="x",
    name=PLATFORM_NAME,
    hosts=(Host("WWW", "https://x.com"), Host("API", "https://api.x.com")),
    oauth=OAUTH,
    build=build,
    quotas=QUOTAS,
    destination=DestinationSpec(
        key_kind=KeyKind.EVIDENCE_ONLY,
        media=MEDIA,
        text=TEXT,
        options=OPTIONS,
        reconcile=RECONCILE,
        reads_cost=True,
    ),
)
