"""Meta calls us: only what it signed is believed, and the same notice twice is one notice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.platform_kit.protocol import AppCredentials, Hook, NotGenuine, Notice, NoticeKind
from autorepost_app.platforms.instagram import PLATFORM

VECTOR = json.loads(Path(__file__).with_name("vectors.json").read_text())["meta_signed_request"]
APP = AppCredentials("1", VECTOR["app_secret"])
ISSUED = datetime.fromtimestamp(VECTOR["payload"]["issued_at"], UTC)
HOOKS = {hook.path: hook for hook in PLATFORM.hooks}
FORM = {"content-type": "application/x-www-form-urlencoded"}

both = pytest.mark.parametrize("hook", PLATFORM.hooks, ids=lambda hook: hook.path)


def form(text: str) -> bytes:
    return urlencode({"signed_request": text}).encode()


def signed(**changes: Any) -> bytes:
    """A call whose content differs from the vector's, signed as Meta signs."""
    content = {**VECTOR["payload"], **changes}
    kept = {name: value for name, value in content.items() if value is not None}
    text = base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")
    signature = hmac.new(APP.client_secret.encode(), text.encode(), hashlib.sha256).digest()
    return form(f"{base64.urlsafe_b64encode(signature).decode().rstrip('=')}.{text}")


def read(hook: Hook, body: bytes, now: datetime = ISSUED) -> Notice:
    return hook.read(FORM, body, APP, now)


def test_meta_can_say_two_things_and_wants_one_confirmed() -> None:
    assert {path: hook.confirms for path, hook in HOOKS.items()} == {"deauthorize": False, "data-deletion": True}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("deauthorize", NoticeKind.DISCONNECTED), ("data-deletion", NoticeKind.DELETE_EVERYTHING)],
)
def test_the_published_vector_is_read(path: str, kind: NoticeKind) -> None:
    notice = read(HOOKS[path], form(VECTOR["signed_request"]))
    assert (notice.kind, notice.account, notice.at) == (kind, "218471", ISSUED)


@both
def test_the_same_notice_again_has_the_same_key_and_another_one_another(hook: Hook) -> None:
    first, again = read(hook, signed()), read(hook, signed(), ISSUED + timedelta(minutes=30))
    assert first.key == again.key
    others = [read(hook, signed(user_id="218472")), read(hook, signed(issued_at=1_790_000_001))]
    assert len({first.key, *(other.key for other in others)}) == 3


def test_the_two_calls_about_one_person_are_two_notices() -> None:
    assert len({read(hook, signed()).key for hook in PLATFORM.hooks}) == 2


@both
@pytest.mark.parametrize(
    "body",
    [
        form(VECTOR["signed_request"][:-2] + "AA"),
        form("AAAA" + VECTOR["signed_request"][4:]),
        form(VECTOR["signed_request"].partition(".")[2]),
        signed(algorithm="none"),
        signed(algorithm=None),
        signed(user_id=None),
        signed(user_id=""),
        signed(user_id=True),
        signed(issued_at=None),
        signed(issued_at="yesterday"),
        signed(issued_at=10**30),
        b"",
        b"signed_request",
        b"signed_request=",
        b"\xff\xfe",
        b'{"signed_request": "a.b"}',
        form(VECTOR["signed_request"]) + b"&" + form(VECTOR["signed_request"]),
        b"&".join(b"a=%d" % number for number in range(20)),
    ],
)
def test_what_meta_did_not_sign_like_this_is_not_believed(hook: Hook, body: bytes) -> None:
    with pytest.raises(NotGenuine):
        read(hook, body)


@both
def test_a_call_signed_with_another_apps_secret_is_not_believed(hook: Hook) -> None:
    with pytest.raises(NotGenuine):
        hook.read(FORM, signed(), AppCredentials("1", "another"), ISSUED)


@both
@pytest.mark.parametrize(("minutes", "believed"), [(-6, False), (-4, True), (0, True), (64, True), (66, False)])
def test_a_call_is_believed_while_it_lasts_and_clocks_may_differ_by_minutes(
    hook: Hook, minutes: int, believed: bool
) -> None:
    now = ISSUED + timedelta(minutes=minutes)
    if believed:
        assert read(hook, signed(), now).at == ISSUED
    else:
        with pytest.raises(NotGenuine):
            read(hook, signed(), now)


@both
@pytest.mark.parametrize("expires", [None, 0])
def test_a_call_that_names_no_end_is_believed_late(hook: Hook, expires: int | None) -> None:
    assert read(hook, signed(expires=expires), ISSUED + timedelta(days=3)).account == "218471"


@given(st.binary(max_size=200))
def test_no_body_breaks_the_reading(body: bytes) -> None:
    for hook in PLATFORM.hooks:
        with pytest.raises(NotGenuine):
            read(hook, body)


# ---------------------------------------------------------------------------------------------- as the sandbox sends it


@pytest.fixture
def received() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A door on this machine: its address, and what was posted to it."""
    posted: list[tuple[str, bytes]] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            answer = json.dumps({"url": "https://example.com/status", "confirmation_code": "c-1"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


def test_a_person_who_removes_the_app_is_recognised_by_the_id_kept_when_connecting(
    control: Any, connect: Any, reach: Any, received: tuple[str, list[tuple[str, bytes]]]
) -> None:
    address, posted = received
    control.account("ada")
    connected = connect("ada")
    control.settings(deauthorize_url=f"{address}/webhooks/instagram/deauthorize")
    control.ask("DELETE", "/accounts/instagram/ada/grants")
    [(path, body)] = posted
    notice = HOOKS[path.rpartition("/")[2]].read(FORM, body, reach.app, control.now())
    assert notice.kind is NoticeKind.DISCONNECTED
    assert notice.account == connected.account.traits["app_scoped_id"]
    assert notice.account != connected.account.external_id


def test_a_person_who_wants_everything_deleted_is_recognised_too(
    control: Any, connect: Any, reach: Any, received: tuple[str, list[tuple[str, bytes]]]
) -> None:
    address, posted = received
    control.account("ada")
    connected = connect("ada", "facebook")
    control.settings(data_deletion_url=f"{address}/webhooks/instagram/data-deletion")
    answered = control.ask("POST", "/instagram/accounts/ada/data-deletion")
    notice = HOOKS["data-deletion"].read(FORM, posted[0][1], reach.app, control.now())
    assert notice.kind is NoticeKind.DELETE_EVERYTHING
    assert notice.account == connected.account.traits["app_scoped_id"]
    assert answered["confirmation_code"] == "c-1"
