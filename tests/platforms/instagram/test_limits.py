"""How often a container is looked at, and who needs a public address."""

from itertools import pairwise

from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.limits import poll_after_seconds


def test_a_container_is_looked_at_soon_and_then_less_and_less_often() -> None:
    looks, waited = [], 0.0
    while waited < 300:
        waited += poll_after_seconds(waited)
        looks.append(waited)
    assert looks[:6] == [1, 2, 4, 8, 16, 32]
    assert len(looks) == 15, "what five minutes of processing cost"
    assert max(after - before for before, after in pairwise(looks)) == 30
    assert poll_after_seconds(301) == poll_after_seconds(9999) == 60


def test_only_instagrams_own_login_needs_a_public_address() -> None:
    assert PLATFORM.destination is not None
    assert PLATFORM.destination.needs_public_url("instagram")
    assert not PLATFORM.destination.needs_public_url("facebook")
