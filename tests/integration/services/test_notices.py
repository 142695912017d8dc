"""What platforms tell us on their own: proven, kept once, answered at once, carried out later and told honestly."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.platform_kit.protocol import AppCredentials, Hook, Notice, NoticeKind
from autorepost_app.platform_kit.signatures import signed_request
from autorepost_app.services import connect, notices, record, tokens
from autorepost_app.web import hooks
from autorepost_app.web.hooks import BODY_BYTES


def read(_headers: Mapping[str, str], body: bytes, app: AppCredentials, _now: datetime) -> Notice:
    """A platform's `Hook.read`: what it says is signed with our secret."""
    told = signed_request(body.decode("ascii", "replace"), app.client_secret)
    at = datetime.fromtimestamp(told["at"], UTC)
    return Notice(NoticeKind(told["kind"]), told["key"], told["account"], at, "as the platform wrote it")


HOOKS = (Hook("", read), Hook("deletion", read, confirms=True))


@dataclass
class Caller:
    """X, if it had hooks: knows our secret and where we are."""

    world: Any

    @property
    def base_url(self) -> str:
        return str(self.world.house.links.base_url)

    @property
    def secret(self) -> str:
        return str(self.world.house.platforms.apps("x")[""].client_secret)

    def signed(self, kind: str, account: str, key: str = "1", at: datetime | None = None, **more: Any) -> str:
        moment = int((at or self.world.clock()).timestamp())
        told = {"kind": kind, "key": key, "account": account, "at": moment, "algorithm": "HMAC-SHA256", **more}
        written = _encoded(json.dumps(told).encode())
        return f"{_encoded(hmac.digest(self.secret.encode(), written.encode(), 'sha256'))}.{written}"

    def post(self, content: str | bytes, path: str = "", method: str = "POST", **more: Any) -> httpx.Response:
        return httpx.request(method, f"{self.base_url}/webhooks/x{path}", content=content, timeout=30, **more)

    def tell(self, *about: Any, path: str = "", **more: Any) -> httpx.Response:
        return self.post(self.signed(*about, **more), path)

    def work(self) -> int:
        return notices.work(self.world.house, self.world.system)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def caller(world: Any) -> Caller:
    manifests = world.house.platforms.manifests
    manifests["x"] = replace(manifests["x"], hooks=HOOKS)
    return Caller(world)


def row_of(world: Any, connection: Any) -> Any:
    return next(row for row in connect.connections_of(world.house, world.scope) if row.id == connection.id)


def kinds_told(world: Any) -> list[str]:
    return [line.kind for line in record.recent_activity(world.house, world.scope)]


def kept(world: Any) -> int:
    with world.house.db.system(world.system) as session:
        return int(session.connection().exec_driver_sql("select count(*) from notices").scalar_one())


# -------------------------------------------------------------------------------------------------------- who may call


def test_a_genuine_call_is_answered_at_once_and_worked_on_later(world: Any, caller: Caller) -> None:
    x = world.connect("x")

    answer = caller.tell("disconnected", x.external_account_id)

    assert (answer.status_code, answer.content) == (200, b"")
    assert row_of(world, x).status == ConnectionStatus.ACTIVE
    assert caller.work() == 1
    row = row_of(world, x)
    assert row.status == ConnectionStatus.NEEDS_RECONNECT
    assert row.status_reason == "The permission was removed on X."
    assert caller.work() == 0


@pytest.mark.parametrize("change", ["other secret", "cut", "nothing", "no text", "other content"])
def test_a_call_that_is_not_signed_with_our_secret_hears_nothing(
    world: Any, caller: Caller, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    x = world.connect("x")
    genuine = caller.signed("disconnected", x.external_account_id)
    body = {
        "other secret": _encoded(b"x" * 32) + genuine[genuine.index(".") :],
        "cut": genuine[:-4],
        "nothing": "",
        "no text": b"\xff\xfe.\x00",
        "other content": genuine.split(".")[0] + "." + caller.signed("other", "somebody").split(".")[1],
    }[change]

    with caplog.at_level(logging.WARNING):
        answer = caller.post(body)

    assert (answer.status_code, answer.content) == (401, b"")
    assert kept(world) == 0
    assert "refused a call to the webhook x/" in caplog.text
    assert genuine not in caplog.text
    assert caller.secret not in caplog.text


@pytest.mark.parametrize("path", ["/nothing", "/deletion/x/y", "//"])
def test_an_address_that_no_manifest_names_is_not_there(caller: Caller, path: str) -> None:
    assert caller.tell("other", "somebody", path=path).status_code == 404
    assert httpx.post(f"{caller.base_url}/webhooks/myspace", content="x").status_code == 404
    assert httpx.get(f"{caller.base_url}/webhooks").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_hook_is_posted_to_and_nothing_else(world: Any, caller: Caller, method: str) -> None:
    answer = caller.post(caller.signed("other", "somebody"), method=method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert kept(world) == 0


@pytest.mark.parametrize("extra", [0, 1])
def test_a_body_is_read_up_to_a_size_whatever_it_says_of_itself(world: Any, caller: Caller, extra: int) -> None:
    def drips() -> Any:
        yield b"x" * BODY_BYTES
        yield b"x" * extra

    assert caller.post(b"x" * (BODY_BYTES + extra)).status_code == (413 if extra else 401)
    assert caller.post(drips()).status_code == (413 if extra else 401)


def test_a_caller_that_hangs_up_in_the_middle_leaves_nothing(world: Any, caller: Caller) -> None:
    port = httpx.URL(caller.base_url).port
    with socket.create_connection(("127.0.0.1", port or 0)) as connection:
        connection.sendall(b"POST /webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
    assert caller.tell("other", "somebody").status_code == 200
    assert kept(world) == 1


def test_a_caller_that_never_ends_its_body_is_let_go(
    world: Any, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_BODY_SECONDS", 0.2)
    port = httpx.URL(caller.base_url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
        connection.sendall(b"POST /webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
        assert connection.recv(1024).startswith(b"HTTP/1.1 408")
    assert kept(world) == 0


def test_a_platform_whose_registration_is_missing_is_asked_to_come_again(world: Any, caller: Caller) -> None:
    genuine = caller.signed("other", "somebody")
    world.house.platforms.apps_of.__self__._settings.platforms.clear()

    assert caller.post(genuine).status_code == 503
    assert kept(world) == 0


# ---------------------------------------------------------------------------------------------------------------- once


def test_a_notice_that_is_delivered_again_and_again_counts_once(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    body = caller.signed("disconnected", x.external_account_id)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(caller.post, body) for _ in range(8)]
    assert {answer.result().status_code for answer in answers} == {200}
    assert caller.work() == 1

    world.connect_again("x")
    assert caller.post(body).status_code == 200
    assert caller.work() == 0
    assert row_of(world, x).status == ConnectionStatus.ACTIVE
    assert kinds_told(world).count("connection.needs_reconnect") == 1


def test_two_workers_at_once_do_a_notice_once(world: Any, caller: Caller) -> None:
    made = world.connect("x")
    for n in range(12):
        caller.tell("disconnected" if n == 5 else "other", made.external_account_id, key=str(n))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(lambda _n: caller.work(), range(3))) == 12
    assert kinds_told(world).count("connection.needs_reconnect") == 1


def test_an_old_notice_leaves_a_newer_grant_alone(world: Any, caller: Caller) -> None:
    """A platform tries for days to deliver what was true when it was written."""
    x = world.connect("x")
    late = [caller.signed(kind, x.external_account_id, key=kind) for kind in ("disconnected", "delete_everything")]
    world.clock.advance(3600)
    world.connect_again("x")

    assert [caller.post(each).status_code for each in late] == [200, 200]
    assert caller.work() == 2
    assert row_of(world, x).status == ConnectionStatus.ACTIVE


def test_a_refresh_outlives_a_removal_but_not_a_wish_to_delete(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    told_at = world.clock()
    world.clock.advance(7200)
    tokens.grant_for(world.house, world.system, x.id)

    caller.tell("disconnected", x.external_account_id, key="1", at=told_at)
    caller.work()
    assert row_of(world, x).status == ConnectionStatus.ACTIVE, "what could be refreshed was not removed before"
    caller.tell("delete_everything", x.external_account_id, key="2", at=told_at)
    caller.work()
    assert row_of(world, x).status == ConnectionStatus.DISCONNECTED


# ------------------------------------------------------------------------------------------------------- what it does


def test_every_tenant_with_that_account_is_asked_and_nobody_else(
    world: Any, other_tenant: Any, caller: Caller, sandbox: Any
) -> None:
    mine = world.connect("x")
    theirs = other_tenant.connect_again("x")
    other = other_tenant.connect("x", f"{sandbox.handle}-noa")

    caller.tell("disconnected", mine.external_account_id)
    caller.work()

    found = [row_of(*pair).status for pair in ((world, mine), (other_tenant, theirs), (other_tenant, other))]
    assert found == ["needs_reconnect", "needs_reconnect", "active"]
    for tenant in (world, other_tenant):
        assert kinds_told(tenant).count("connection.needs_reconnect") == 1


def test_a_person_is_found_by_an_id_that_the_platform_uses_nowhere_else(
    world: Any, caller: Caller, owner_connection: Any
) -> None:
    x = world.connect("x")
    owner_connection.execute('update connections set traits = traits || \'{"scoped_id": "p-7"}\' where id = %s', [x.id])

    caller.tell("disconnected", "p-8", key="1")
    caller.work()
    assert row_of(world, x).status == ConnectionStatus.ACTIVE
    caller.tell("disconnected", "p-7", key="2")
    caller.work()
    assert row_of(world, x).status == ConnectionStatus.NEEDS_RECONNECT


def test_the_same_id_on_another_platform_is_somebody_else(world: Any, caller: Caller, owner_connection: Any) -> None:
    youtube = world.connect("youtube")
    caller.tell("delete_everything", youtube.external_account_id)
    caller.work()
    assert row_of(world, youtube).status == ConnectionStatus.ACTIVE


def test_what_a_person_disconnected_here_is_not_asked_for_again(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    connect.disconnect(world.house, world.scope, x.id)
    caller.tell("disconnected", x.external_account_id)
    caller.work()
    assert row_of(world, x).status == ConnectionStatus.DISCONNECTED
    assert "connection.needs_reconnect" not in kinds_told(world)


def test_a_notice_of_no_consequence_is_kept_and_done_with(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    caller.tell("other", x.external_account_id)
    assert (caller.work(), caller.work(), kept(world)) == (1, 0, 1)
    assert row_of(world, x).status == ConnectionStatus.ACTIVE


def test_a_wish_to_delete_everything_destroys_the_tokens_and_says_how_it_stands(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    answer = caller.tell("delete_everything", x.external_account_id, path="/deletion").json()

    assert set(answer) == {"url", "confirmation_code"}
    assert answer["url"] == f"{caller.base_url}/webhooks/x/deletion/{answer['confirmation_code']}"
    page = httpx.get(answer["url"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (page.headers["cache-control"], page.headers["content-security-policy"]) == (
        "no-store",
        "default-src 'none'",
    )
    assert "not been done yet" in page.text
    assert caller.work() == 1

    done = httpx.get(answer["url"]).text
    assert "not been done yet" not in done
    assert "1 connection was ended: the access tokens are destroyed" in done
    assert "Kept are the id and the handle" in done
    row = row_of(world, x)
    assert row.status == ConnectionStatus.DISCONNECTED
    assert (row.access_token_sealed, row.refresh_token_sealed, row.scopes, row.token_extra) == (None, None, [], {})
    assert (row.display_name, row.avatar_url) == ("", None)
    with pytest.raises(PlatformFault):
        tokens.grant_for(world.house, world.system, x.id)


def test_of_a_deleted_person_nothing_but_the_id_that_was_told_is_kept(
    world: Any, caller: Caller, owner_connection: Any
) -> None:
    x = world.connect("x")
    known = '{"scoped_id": "p-7", "page": "Mia bakes", "page_id": "88"}'
    owner_connection.execute("update connections set traits = %s::jsonb where id = %s", [known, x.id])

    caller.tell("delete_everything", "p-7", path="/deletion")
    caller.work()
    assert row_of(world, x).traits == {"scoped_id": "p-7"}

    again = caller.tell("delete_everything", "p-7", path="/deletion", key="again").json()
    caller.work()
    assert "1 connection was ended" in httpx.get(again["url"]).text


def test_a_notice_that_breaks_waits_and_those_behind_it_do_not(
    world: Any, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    made = {key: world.connect(key) for key in ("x", "tiktok")}
    caller.tell("disconnected", made["x"].external_account_id)
    hook = Hook("", lambda *_: Notice(NoticeKind.DISCONNECTED, "k", made["tiktok"].external_account_id, world.clock()))
    notices.receive(world.house, world.system, "tiktok", hook, {}, b"")
    manifests = world.house.platforms.manifests
    broken = manifests.pop("x")

    assert caller.work() == 1
    assert row_of(world, made["tiktok"]).status == ConnectionStatus.NEEDS_RECONNECT
    assert row_of(world, made["x"]).status == ConnectionStatus.ACTIVE
    assert "could not be worked on" in caplog.text

    manifests["x"] = broken
    assert caller.work() == 1
    assert row_of(world, made["x"]).status == ConnectionStatus.NEEDS_RECONNECT


def test_a_person_reads_in_how_many_places_they_were_deleted(world: Any, other_tenant: Any, caller: Caller) -> None:
    x = world.connect("x")
    other_tenant.connect_again("x")
    answer = caller.tell("delete_everything", x.external_account_id, path="/deletion").json()
    caller.work()
    assert "2 connections were ended" in httpx.get(answer["url"]).text


def test_the_same_wish_gets_the_same_code(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    body = caller.signed("delete_everything", x.external_account_id)
    first, again = (caller.post(body, "/deletion").json() for _ in range(2))
    assert first == again


def test_a_wish_of_somebody_who_was_never_here_is_answered_truthfully(world: Any, caller: Caller) -> None:
    answer = caller.tell("delete_everything", "somebody", path="/deletion").json()
    caller.work()
    assert notices.NOTHING_HERE in httpx.get(answer["url"]).text


def test_a_code_opens_its_own_request_on_its_own_platform_only(world: Any, caller: Caller) -> None:
    url = caller.tell("delete_everything", "somebody", path="/deletion").json()["url"]
    assert httpx.get(url[:-1]).status_code == 404
    assert httpx.get(url.replace("/webhooks/x/", "/webhooks/youtube/")).status_code == 404
    assert httpx.post(url).status_code == 404


def test_a_deleted_account_can_be_connected_again(world: Any, caller: Caller) -> None:
    x = world.connect("x")
    caller.tell("delete_everything", x.external_account_id)
    caller.work()
    world.clock.advance(5)

    again = world.connect_again("x")

    assert (again.id, again.status, again.display_name) == (x.id, ConnectionStatus.ACTIVE, "Mia")
    assert tokens.grant_for(world.house, world.system, x.id).access_token
