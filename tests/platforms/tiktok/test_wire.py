"""Nothing leaves for TikTok that its pages do not describe, and nothing that was not counted first."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from jsonschema import ValidationError

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.platform_kit.protocol import Unmetered
from autorepost_app.platforms.tiktok import PLATFORM

TOKEN = {"Authorization": "Bearer act.1"}


def everything(tiktok, tmp_path):
    """One of each call that this platform makes."""
    parts, made = tiktok.parts, tiktok.post()
    connectable = tiktok.connect()
    tokens = parts.authoriser.refresh(login="default", tokens=connectable.tokens)
    grant = replace(tiktok.grant(), access_token=tokens.access_token, account=connectable.account)
    parts.source.pulse(grant)
    [post] = parts.source.list_posts(grant).posts
    parts.source.download(grant, post, tmp_path / "original", lambda *_: None)
    tiktok.control("DELETE", f"/posts/tiktok/{made['id']}")
    with pytest.raises(PlatformFault):
        parts.source.download(grant, post, tmp_path / "original", lambda *_: None)
    parts.source.probe()
    parts.authoriser.revoke(login="default", tokens=tokens)


def test_every_call_of_ours_is_one_that_tiktok_describes(tiktok, described, tmp_path):
    everything(tiktok, tmp_path)
    assert set(described.asked) == {"token", "revoke", "userInfo", "videoList", "videoQuery"}


def test_every_request_on_the_wire_was_counted_under_a_name_that_a_quota_knows(tiktok, meter, tmp_path):
    began, counted = len(tiktok.asked()), len(meter.calls)
    everything(tiktok, tmp_path)
    on_the_wire = [call for call in tiktok.asked()[began:] if call != "video.download"]  # part of its page's count
    assert [call for call, _ in meter.calls[counted:]] == on_the_wire
    known = set().union(*(rule.costs for rule in PLATFORM.quotas))
    assert known == set(on_the_wire)


def test_calls_are_counted_for_the_account_that_they_are_made_for(tiktok, meter, tmp_path):
    grant = tiktok.grant()
    meter.calls.clear()
    tiktok.parts.source.pulse(grant)
    tiktok.parts.source.list_posts(grant)
    tiktok.parts.source.probe()
    mine = grant.account.external_id
    assert meter.calls == [("user.info", mine), ("video.list", mine), ("video.page", "")]


def test_each_endpoint_has_six_hundred_calls_a_minute_of_its_own():
    limited = {rule.name: rule for rule in PLATFORM.quotas if rule.limit is not None}
    assert set(limited) == {"user.info", "video.list", "video.query"}
    for name, rule in limited.items():
        assert (rule.limit, rule.window_seconds, rule.scope, dict(rule.costs)) == (600, 60.0, "app", {name: 1})


class UsedUp(Unmetered):
    def reserve(self, call, account=""):
        raise PlatformFault(WaitUntil("Used up.", at=utc_now(), limit=call))


def test_a_used_up_limit_keeps_every_request_in_the_house(tiktok, reach, tmp_path):
    grant = tiktok.grant()
    tokens = tiktok.connect().tokens
    tiktok.post()
    [post] = tiktok.parts.source.list_posts(grant).posts
    parts, asked = PLATFORM.build(replace(reach, meter=UsedUp())), len(tiktok.asked())
    for call in (
        lambda: parts.source.pulse(grant),
        lambda: parts.source.list_posts(grant),
        lambda: parts.source.download(grant, post, tmp_path / "original", lambda *_: None),
        parts.source.probe,
        lambda: parts.authoriser.refresh(login="default", tokens=tokens),
        lambda: parts.authoriser.accounts(login="default", tokens=tokens),
        lambda: parts.authoriser.revoke(login="default", tokens=tokens),
    ):
        with pytest.raises(PlatformFault) as caught:
            call()
        assert isinstance(caught.value.verdict, WaitUntil)
    parts.close()
    assert len(tiktok.asked()) == asked


@pytest.mark.parametrize(
    "request_kind",
    [
        ("GET", "/v2/video/list/", {"params": {"fields": "id"}, "headers": TOKEN}),
        ("POST", "/v2/video/list/", {"headers": TOKEN, "json": {"max_count": 20}}),
        ("POST", "/v2/video/list/", {"params": {"fields": "id"}, "json": {"max_count": 20}, "headers": {}}),
        ("POST", "/v2/video/list/", {"params": {"fields": "id"}, "json": {"max_count": 21}, "headers": TOKEN}),
        ("POST", "/v2/video/list/", {"params": {"fields": "id"}, "json": {"cursor": "1"}, "headers": TOKEN}),
        ("POST", "/v2/video/list/", {"params": {"fields": "id"}, "json": {"count": 20}, "headers": TOKEN}),
        ("POST", "/v2/video/list/", {"params": {"fields": "id"}, "data": {"max_count": "20"}, "headers": TOKEN}),
        ("POST", "/v2/video/query/", {"params": {"fields": "id"}, "json": {}, "headers": TOKEN}),
        ("GET", "/v2/user/info/", {"params": {"fields": "id", "x": "1"}, "headers": TOKEN}),
        ("POST", "/v2/oauth/token/", {"data": {"client_id": "k", "client_secret": "s", "grant_type": "refresh_token"}}),
        ("POST", "/v2/oauth/token/", {"data": {"client_key": "k", "client_secret": "s", "grant_type": "password"}}),
        ("POST", "/v2/oauth/revoke/", {"json": {"client_key": "k", "client_secret": "s", "token": "t"}}),
    ],
)
def test_the_description_would_notice_a_wrong_request(described, request_kind):
    method, path, how = request_kind
    with pytest.raises((AssertionError, KeyError, ValidationError)):
        described.check_request(httpx.Request(method, described.base_url + path, **how))


def test_the_description_would_notice_a_wrong_answer(described):
    request = httpx.Request("POST", f"{described.base_url}/v2/video/list/")
    video = {"id": 7, "create_time": 1}
    body = {
        "data": {"videos": [video], "cursor": 1, "has_more": False},
        "error": {"code": "ok", "message": "", "log_id": ""},
    }
    with pytest.raises(ValidationError, match="7 is not of type 'string'"):
        described.check_answer(httpx.Response(200, json=body, headers={"x-tt-logid": "1"}, request=request))
    with pytest.raises(AssertionError, match="never answers 418"):
        described.check_answer(httpx.Response(418, json=body, headers={"x-tt-logid": "1"}, request=request))
