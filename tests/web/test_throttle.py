"""How often one link and one address may ask, and whether we are reached at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from autorepost_app.domain.errors import UserError
from autorepost_app.processes import free_port
from autorepost_app.services import links
from autorepost_app.services.links import SignedLinks
from autorepost_app.web import throttle
from autorepost_app.web.app import PER_ADDRESS, PER_LINK, own_app
from autorepost_app.web.throttle import Throttle

KEY = "tenants/t/renditions/often.mp4"


class Now:
    """Time that stands still until it is moved."""

    seconds = datetime(2026, 11, 23, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def through(throttle: Throttle, name: str, of: int) -> int:
    return sum(throttle.wait_seconds(name) == 0.0 for _ in range(of))


def test_so_many_a_minute_as_fast_as_they_come(now: Now) -> None:
    throttle = Throttle(30, now)
    assert through(throttle, "mia", 100) == 30
    assert throttle.wait_seconds("mia") == pytest.approx(2.0)
    assert through(throttle, "noa", 100) == 30
    now.seconds += 2.0
    assert through(throttle, "mia", 100) == 1
    now.seconds += 60.0
    assert through(throttle, "mia", 100) == 30


def test_what_was_refused_is_not_counted(now: Now) -> None:
    throttle = Throttle(30, now)
    through(throttle, "mia", 1000)
    now.seconds += 2.0
    assert throttle.wait_seconds("mia") == 0.0


def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_the_old_time(now: Now) -> None:
    throttle = Throttle(30, now)
    through(throttle, "mia", 10)
    now.seconds -= 3600.0
    assert through(throttle, "mia", 100) == 30


def test_whoever_asked_last_is_remembered_when_names_are_forgotten(now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_NAMES", 3)
    throttled = Throttle(1, now)
    for name in ("mia", "noa"):
        assert throttled.wait_seconds(name) == 0.0
    now.seconds += 60.0
    assert throttled.wait_seconds("mia") == 0.0
    for name in ("eve", "zoe"):
        assert throttled.wait_seconds(name) == 0.0
    assert throttled.wait_seconds("mia") > 0.0, "a flood of names frees nobody who asked just now"
    assert throttled.wait_seconds("zoe") > 0.0


def test_made_up_names_take_no_more_memory_than_real_ones(now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_NAMES", 100)
    throttled = Throttle(30, now)
    for n in range(1000):
        throttled.wait_seconds(str(n))
    assert len(throttled._over_at) == 100


@pytest.fixture
def ask(house: Any, now: Now) -> Callable[..., list[httpx.Response]]:
    """`ask("mia", path, 3)`: so many answers to a caller from that address, all at one moment."""
    app = own_app(replace(house, clock=lambda: datetime.fromtimestamp(now(), UTC)), house.links)

    def asking(address: str, path: str, times: int = 1) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return [await client.head(path) for _ in range(times)]

        return asyncio.run(all_of_them())

    return asking


def test_one_link_is_fetched_so_often_and_then_later(house: Any, now: Now, ask: Any) -> None:
    house.store.put_stream([b"clip"], KEY)
    path, other = (house.links.address(KEY, ttl).removeprefix(house.links.base_url) for ttl in (3600, 3601))
    answers = ask("mia", path, PER_LINK + 1)

    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "1"
    assert ask("noa", path)[0].status_code == 429, "whoever asks"
    assert ask("mia", other)[0].status_code == 200
    now.seconds += 0.1
    assert ask("noa", path)[0].status_code == 200


def test_one_address_may_guess_so_often(ask: Any) -> None:
    answers = ask("eve", "/media/signed/guess", PER_ADDRESS + 1)
    assert {answer.status_code for answer in answers[:-1]} == {403}
    assert answers[-1].status_code == 429
    assert ask("mia", "/media/signed/guess")[0].status_code == 403


# ----------------------------------------------------------------------------------------------------------- reachable


def test_an_address_that_leads_here_is_reached(house: Any) -> None:
    links.check_reachable(house.links)


def test_an_address_where_nobody_answers_is_said_with_what_to_check(house: Any) -> None:
    elsewhere = replace(house.links, base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match="does not answer") as caught:
        links.check_reachable(elsewhere)
    assert "certificate" in caught.value.remedy
    assert "signed" not in str(caught.value), "a link is a secret"


def test_an_address_that_something_else_answers_is_told_apart(house: Any, sandbox: Any) -> None:
    with pytest.raises(UserError, match=r"something else \(status 404\)"):
        links.check_reachable(replace(house.links, base_url=sandbox.base_url))


class Welcoming(BaseHTTPRequestHandler):
    """A parked domain, a captive portal: friendly to everybody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Welcome!</h1>")

    def log_message(self, *_: object) -> None:
        """It is quiet."""


@pytest.fixture
def friendly() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Welcoming) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_a_friendly_answer_of_somebody_else_is_no_answer_of_ours(house: Any, friendly: str) -> None:
    with pytest.raises(UserError, match=r"something else \(status 200\)"):
        links.check_reachable(replace(house.links, base_url=friendly))


def test_another_installation_is_not_taken_for_this_one(house: Any) -> None:
    stranger = SignedLinks(house.links.base_url, b"another secret", house.clock)
    with pytest.raises(UserError, match=r"something else \(status 403\)"):
        links.check_reachable(stranger)
    assert not house.links.is_trial_answer(stranger.trial_answer())


def test_an_old_answer_proves_nothing(house: Any, clock: Any) -> None:
    old = house.links.trial_answer()
    clock.advance(60)
    assert not house.links.is_trial_answer(old)
    assert house.links.is_trial_answer(house.links.trial_answer())


def test_a_house_on_loopback_refuses_to_give_links_to_platforms_elsewhere(house: Any) -> None:
    with pytest.raises(UserError, match="no public address") as caught:
        links.check_reachable(replace(house.links, reachable=False))
    assert caught.value.field == "AUTOREPOST_PUBLIC_URL"


@pytest.mark.parametrize("key", ["../keys/links.key", "/etc/passwd", "a/../../b", "tenants/..", "a\x00b", "c:\\x"])
def test_not_even_a_genuine_link_leads_out_of_the_store(house: Any, ask: Any, key: str) -> None:
    (answer,) = ask("mia", house.links.address(key, 60).removeprefix(house.links.base_url))
    assert answer.status_code == 404
