"""TikTok as a source: what it is, as data, and how its parts are built."""

from __future__ import annotations

from dataclasses import replace

from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import Host, OAuthSpec, Parts, Platform, Reach
from autorepost_app.platforms.tiktok import errors, limits
from autorepost_app.platforms.tiktok.auth import NEEDED_SCOPES, SCOPES, TikTokAuthoriser
from autorepost_app.platforms.tiktok.hooks import HOOKS
from autorepost_app.platforms.tiktok.source import TikTokSource


def build(reach: Reach) -> Parts:
    client = new_client(reach.timeout_seconds)
    www = Api(client, reach.urls["WWW"], PLATFORM.name, reach.meter)
    api = Api(client, reach.urls["API"], PLATFORM.name, reach.meter)
    return Parts(
        authoriser=TikTokAuthoriser(www, api, reach.app, reach.clock),
        source=TikTokSource(www, api, reach.clock, reach.timeout_seconds),
        close=client.close,
    )


PLATFORM = Platform(
    key="tiktok",
    name="TikTok",
    hosts=(Host("WWW", "https://www.tiktok.com"), Host("API", "https://open.tiktokapis.com")),
    oauth=OAuthSpec(
        logins=("default",),
        scopes={"default": SCOPES},
        needed_scopes={"default": NEEDED_SCOPES},
    ),
    build=build,
    quotas=limits.QUOTAS,
    hooks=HOOKS,
    source=replace(limits.SOURCE, chain_codes=errors.CHAIN_CODES),
)
