"""Instagram: Reels on professional accounts, through Instagram's own login or a Facebook page."""

from __future__ import annotations

from typing import Final

from autorepost_app.platform_kit.http import Api, new_client
from autorepost_app.platform_kit.protocol import DestinationSpec, Host, KeyKind, Parts, Platform, Reach
from autorepost_app.platforms.instagram import limits
from autorepost_app.platforms.instagram.auth import (
    FACEBOOK,
    INSTAGRAM,
    OAUTH,
    FacebookLogin,
    Graph,
    InstagramAuthoriser,
    InstagramLogin,
    Login,
)
from autorepost_app.platforms.instagram.destination import InstagramDestination


def build(reach: Reach) -> Parts:
    client = new_client(reach.timeout_seconds)
    apis = {name: Api(client, url, "Instagram") for name, url in reach.urls.items()}
    graphs = {
        INSTAGRAM: Graph(apis["GRAPH"]),
        FACEBOOK: Graph(apis["FACEBOOK_GRAPH"], reach.app.client_secret),
    }
    www = reach.urls["WWW"]
    logins: dict[str, Login] = {
        INSTAGRAM: InstagramLogin(reach.app, www, apis["API"], graphs[INSTAGRAM], reach.clock),
        FACEBOOK: FacebookLogin(reach.app, www, reach.urls["FACEBOOK_WWW"], graphs[FACEBOOK], reach.clock),
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
    quotas=limits.QUOTAS,
    destination=DestinationSpec(
        key_kind=KeyKind.HANDLE_WITH_STATUS,
        media=limits.MEDIA,
        text=limits.TEXT,
        options=limits.OPTIONS,
        reconcile=limits.RECONCILE,
        needs_public_url=lambda login: login == INSTAGRAM,
    ),
)
