"""What TikTok tells us by itself, and what others would like us to believe."""

from __future__ import annotations

import hmac
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import AppCredentials, NotGenuine, NoticeKind
from autorepost_app.platform_kit.signatures import hmac_hex
from autorepost_app.platforms.tiktok import PLATFORM

KNOWN = json.loads((Path(__file__).parents[2] / "sandbox" / "vectors.json").read_text())["tiktok_webhook"]
APP = AppCredentials("ck_test", KNOWN["client_secret"])
NOW = datetime.fromtimestamp(int(KNOWN["t"]), UTC)
BODY = KNOWN["raw_body"].encode()
[HOOK] = PLATFORM.hooks


def read(body=BODY, header=KNOWN["header"], now=NOW, app=APP):
    return HOOK.read({"tiktok-signature": header, "host": "us.example"}, body, app, now)


def signed(event, now=NOW):
    """As TikTok would deliver it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    moment = int(now.timestamp())
    return body, f"t={moment},s={hmac_hex(APP.client_secret, f'{moment}.'.encode() + body)}"


def event(**changes):
    return {**json.loads(BODY), **changes}


def test_the_hook_is_at_the_platforms_own_address_and_confirms_nothing():
    assert (HOOK.path, HOOK.confirms) == ("", False)


def test_a_delivery_as_tiktok_prints_it_disconnects_its_account():
    notice = read()
    assert (notice.kind, notice.account) == (NoticeKind.DISCONNECTED, "open-1")
    assert notice.at == datetime.fromtimestamp(1615338610, UTC)
    assert notice.detail == "authorization.removed: permission ended by the creator, in TikTok's settings"


def test_how_much_of_a_signature_was_guessed_is_not_told_by_the_time_it_takes(monkeypatch):
    compared = []

    def watched(one, other):
        compared.append(bytes(one))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", watched)
    read()
    assert compared == [KNOWN["header"].rpartition("s=")[2].encode()]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"reason": 2}', "the account was deleted"),
        ('{"reason": 4}', "banned"),
        ('{"reason": 5}', "by us"),
        ('{"reason": 99}', "does not tell"),
        ('{"reason": [1]}', "does not tell"),
        ("{", "does not tell"),
        ("[]", "does not tell"),
        (None, "does not tell"),
        ({"reason": 2}, "does not tell"),
    ],
)
def test_the_reason_is_told_in_words_where_there_is_one(content, words):
    notice = read(*signed(event(content=content)))
    assert notice.kind is NoticeKind.DISCONNECTED
    assert words in notice.detail


@pytest.mark.parametrize(
    "name", ["video.publish.completed", "post.publish.no_longer_publicaly_available", "portability.download.ready", "x"]
)
def test_other_events_are_taken_and_change_nothing(name):
    notice = read(*signed(event(event=name)))
    assert (notice.kind, notice.detail) == (NoticeKind.OTHER, name)


@pytest.mark.parametrize("late", [-300, -1, 0, 1, 300])
def test_a_delivery_may_be_as_late_or_early_as_clocks_are_off(late):
    assert read(now=NOW + timedelta(seconds=late)).account == "open-1"


@pytest.mark.parametrize("late", [-86400, -301, 301, 86400])
def test_a_delivery_of_another_time_is_not_taken(late):
    with pytest.raises(NotGenuine, match="clock"):
        read(now=NOW + timedelta(seconds=late))


def test_the_same_notice_delivered_again_has_the_same_key_and_another_has_not():
    again = read(*signed(event(), NOW + timedelta(seconds=60)), NOW + timedelta(seconds=60))
    assert again == read()
    others = [event(user_openid="open-2"), event(create_time=1), event(event="x"), event(content='{"reason": 2}')]
    assert len({read(*signed(each)).key for each in others} | {again.key}) == 5


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,s=",
        KNOWN["header"].replace("s=d", "s=e"),
        KNOWN["header"].replace("t=1633174587", "t=1633174588"),
        KNOWN["header"].partition(",")[0],
        KNOWN["header"].partition(",")[2],
        "t=²,s=" + "0" * 64,
        "t=-1,s=" + "0" * 64,
        "t=" + "9" * 40 + ",s=" + "0" * 64,
        "s=ä,t=1633174587",
    ],
)
def test_a_delivery_that_nobody_signed_is_not_genuine(header):
    with pytest.raises(NotGenuine):
        read(header=header)


def test_a_delivery_signed_with_another_secret_or_changed_on_the_way_is_not_genuine():
    with pytest.raises(NotGenuine, match="secret"):
        read(app=AppCredentials("ck_test", "another"))
    with pytest.raises(NotGenuine, match="secret"):
        read(body=BODY.replace(b"open-1", b"open-2"))
    with pytest.raises(NotGenuine, match="no TikTok-Signature"):
        HOOK.read({}, BODY, APP, NOW)


@pytest.mark.parametrize(
    "body",
    [
        event(client_key="ck_other"),
        {name: value for name, value in event().items() if name != "user_openid"},
        event(create_time="soon"),
        event(create_time=10**20),
        event(event=None),
        [],
        b"not JSON",
        b"",
        b"\xff\xfe",
    ],
)
def test_what_is_signed_but_no_event_of_ours_is_not_genuine(body):
    with pytest.raises(NotGenuine, match="signed with our secret"):
        read(*signed(body))


@given(st.binary(max_size=40), st.text(max_size=40))
def test_no_delivery_breaks_the_reading(body, header):
    with pytest.raises(NotGenuine):
        read(body, header)


def test_no_secret_is_in_a_refusal():
    with pytest.raises(NotGenuine) as caught:
        read(header=KNOWN["header"].replace("s=d", "s=e"))
    assert APP.client_secret not in str(caught.value)
    assert KNOWN["header"][-64:] not in str(caught.value)


@pytest.fixture
def inbox():
    """Our webhook's address: refuses the first delivery, takes the second."""

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(200 if len(self.server.got) > 1 else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_): ...

    with HTTPServer(("127.0.0.1", 0), Inbox) as server:
        server.got = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def arrived(inbox, count):
    give_up_at = time.monotonic() + 15
    while len(inbox.got) < count:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    return inbox.got[count - 1]


def test_a_creator_who_removes_us_in_tiktoks_settings_is_told_by_both_deliveries_as_one_notice(tiktok, reach, inbox):
    account = tiktok.connect().account
    tiktok.settings(webhook_url=f"http://127.0.0.1:{inbox.server_port}/webhooks/tiktok")
    tiktok.control("DELETE", f"/accounts/tiktok/{tiktok.handle}/grants")

    def notice(count):
        headers, body = arrived(inbox, count)
        now = datetime.fromisoformat(tiktok.control("GET", "/clock")["now"])
        return HOOK.read(headers, body, reach.app, now)

    first = notice(1)
    tiktok.control("PUT", "/clock", {"advance_seconds": 3600})
    second = notice(2)
    tiktok.control("PUT", "/clock", {"advance_seconds": -3600})
    assert first == second
    assert (first.kind, first.account) == (NoticeKind.DISCONNECTED, account.external_id)
