"""What if one platform has two registrations, half of one, or none any more?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.services import chains, detect, finish, notices

APART = {"AUTOREPOST_INSTAGRAM_FACEBOOK_CLIENT_ID": "facebook-app", "AUTOREPOST_INSTAGRAM_FACEBOOK_CLIENT_SECRET": "s3"}
SYSTEM = SystemScope("test")


@pytest.fixture
def house_with(environ: dict[str, str], database: Any, clock: Any) -> Iterator[Callable[..., Any]]:
    """A house of its own with these settings beside the usual ones."""
    opened = []

    def make(**more: str) -> Any:
        opened.append(open_house(settings_from({**environ, **more}), clock=clock))
        return opened[-1]

    yield make
    for house in opened:
        close_house(house)


@pytest.fixture
def two_apps(sandbox: Any) -> Iterator[None]:
    """Meta knows another app for Facebook's login."""
    known = {"facebook_client_id": "facebook-app", "facebook_client_secret": "s3"}
    sandbox.control("PUT", "/settings", {"instagram": known})
    yield
    sandbox.control("PUT", "/settings", {"instagram": dict.fromkeys(known)})


def test_each_login_signs_in_with_its_own_registration(world: Any, house_with: Any, two_apps: None) -> None:
    world.house = house_with(**APART)

    connection = world.connect("instagram", login="facebook")

    assert (connection.login, connection.status) == ("facebook", "active")
    assert world.connect("instagram", f"{world.sandbox.handle}2", login="instagram").status == "active"


def test_one_registration_serves_every_login_that_has_none_of_its_own(house_with: Any) -> None:
    assert set(house_with().platforms.apps("instagram")) == {""}
    assert set(house_with(**APART).platforms.apps("instagram")) == {"", "facebook"}


@pytest.mark.parametrize("missing", sorted(APART))
def test_half_a_registration_is_named_and_refused(house_with: Any, missing: str) -> None:
    half = {name: value for name, value in APART.items() if name != missing}

    with pytest.raises(UserError, match=missing) as refused:
        house_with(**half).platforms.apps("instagram")
    assert refused.value.field == missing


@pytest.mark.parametrize(("secret", "genuine"), [("common", True), ("facebook", True), ("somebody else's", False)])
def test_a_notice_counts_whichever_of_our_registrations_it_was_signed_for(
    world: Any, house_with: Any, secret: str, genuine: bool
) -> None:
    house = house_with(**APART)
    ours = {"common": house.platforms.apps("instagram")[""].client_secret, "facebook": "s3"}
    body = _signed(ours.get(secret, secret), world.clock().timestamp())
    hook = notices.hook_at(house, "instagram", "deauthorize")
    assert hook is not None

    if genuine:
        assert notices.receive(house, SYSTEM, "instagram", hook, {}, body).code is None
    else:
        with pytest.raises(notices.NotGenuine):
            notices.receive(house, SYSTEM, "instagram", hook, {}, body)


def _signed(secret: str, at: float) -> bytes:
    told = json.dumps({"algorithm": "HMAC-SHA256", "issued_at": int(at), "user_id": "17841400000000001"}).encode()
    payload = base64.urlsafe_b64encode(told).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), payload, hashlib.sha256)).rstrip(b"=")
    return b"signed_request=" + signature + b"." + payload


def test_a_platform_that_is_not_set_up_any_more_stops_nobody_elses_work(
    world: Any, house_with: Any, sandbox: Any
) -> None:
    made = world.connect_all()
    world.rule(made["tiktok"], made["youtube"])
    sandbox.post()
    world.detect()
    world.prepare()
    world.settle("youtube")
    world.clock.advance(timedelta(hours=7).total_seconds())
    gone = {f"AUTOREPOST_{key.upper()}_CLIENT_SECRET": "" for key in ("tiktok", "youtube")}
    house = house_with(**gone)

    [found] = detect.poll_due(house, SYSTEM, limit=10)
    assert "AUTOREPOST_TIKTOK_CLIENT_SECRET" in found.fault
    assert detect.feel_pulses(house, SYSTEM, limit=10) == 0
    assert chains.look(house, SYSTEM) == [] or all(each.open for each in chains.health(house, SYSTEM))
    assert finish.finish_due(house, SYSTEM, limit=10) == 1
    assert world.publication("youtube").finish_at > world.clock()
