"""Instagram: Reels on professional accounts, through Instagram's own login or a Facebook page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import AppCredentials, DestinationSpec, Host, KeyKind, Parts, Platform, Reach
from autorepost_app.platforms.instagram import hooks, limits, options, quotas, words
from autorepost_app.platforms.instagram.auth import (
    FACEBOOK,
    INSTAGRAM,
    OAUTH,
    FacebookLogin,
    InstagramAuthoriser,
    InstagramLogin,
    Login,
)
from autorepost_app.platforms.instagram.destination import InstagramDestination
from autorepost_app.platforms.instagram.graph import Graph


def build(reach: Reach) -> Parts:
    # Meta registers an app once for each login; until both can be set up, one registration serves both.
    return assemble(reach, {login: reach.apps.get(login, reach.app) for login in OAUTH.logins})


def assemble(reach: Reach, apps: Mapping[str, AppCredentials]) -> Parts:
    """`apps` by login."""
    client = new_client(reach.timeout_seconds)
    apis = {name: Api(client, url, "Instagram", reach.meter) for name, url in reach.urls.items()}
    graphs = {
        INSTAGRAM: Graph(apis["GRAPH"], reach.clock),
        FACEBOOK: Graph(apis["FACEBOOK_GRAPH"], reach.clock, apps[FACEBOOK].client_secret),
    }
    www = reach.urls["WWW"]
    logins: dict[str, Login] = {
        INSTAGRAM: InstagramLogin(apps[INSTAGRAM], www, apis["API"], graphs[INSTAGRAM], reach.clock),
        FACEBOOK: FacebookLogin(apps[FACEBOOK], www, reach.urls["FACEBOOK_WWW"], graphs[FACEBOOK], reach.clock),
    }
    return Parts(
        authoriser=InstagramAuthoriser(logins),
        destination=InstagramDestination(graphs, apis["RUPLOAD"], www, reach.clock),
        close=client.close,
    )


PLATFORM: Final = Platform(
    key="instagram",
    name="Instagram",
    hosts=(
        Host("WWW", "https://www.instagram.com"),
        Host("API", "https://api.instagram.com"),
        Host("GRAPH", "https://graph.instagram.com"),
        Host("FACEBOOK_WWW", "https://www.facebook.com"),
        Host("FACEBOOK_GRAPH", "https://graph.facebook.com"),
        Host("RUPLOAD", "https://rupload.facebook.com"),
    ),
    oauth=OAUTH,
    build=build,
    quotas=quotas.QUOTAS,
    hooks=hooks.HOOKS,
    destination=DestinationSpec(
        key_kind=KeyKind.HANDLE_WITH_STATUS,
        media=limits.MEDIA,
        text=words.TEXT,
        options=options.OPTIONS,
        reconcile=limits.RECONCILE,
        check_options=options.check_options,
        needs_public_url=lambda login: login == INSTAGRAM,
    ),
)
