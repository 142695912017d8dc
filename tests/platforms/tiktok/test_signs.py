"""Two cheap questions: has this creator posted, and do files come off TikTok at all?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autorepost_app.domain.errors import PlatformFault, Reconnect, TryAgain, WaitUntil
from autorepost_app.platforms.tiktok import PLATFORM, limits
from autorepost_app.platforms.tiktok.errors import UnreadAnswer


def refused(call, *args):
    with pytest.raises(PlatformFault) as caught:
        call(*args)
    return caught.value.verdict


# ------------------------------------------------------------------------------------------- has this creator posted?


def test_a_new_post_and_a_removed_one_change_the_pulse(tiktok):
    source, grant = tiktok.parts.source, tiktok.grant()
    empty = source.pulse(grant)
    made = tiktok.post()
    posted = source.pulse(grant)
    assert empty != posted == source.pulse(grant)
    tiktok.control("DELETE", f"/posts/tiktok/{made['id']}")
    assert source.pulse(grant) == empty


def test_a_private_post_has_no_pulse_until_it_is_public(tiktok):
    source, grant = tiktok.parts.source, tiktok.grant()
    before = source.pulse(grant)
    made = tiktok.post(private=True)
    assert source.pulse(grant) == before
    tiktok.control("PATCH", f"/tiktok/accounts/{tiktok.handle}/posts/{made['id']}", {"private": False})
    assert source.pulse(grant) != before


def test_the_pulse_takes_nothing_from_the_budget_of_the_list(tiktok):
    grant = tiktok.grant()
    tiktok.fault("video.list", "rate_limited", seconds=60)
    assert tiktok.parts.source.pulse(grant) == "0"
    assert tiktok.asked()[-1] == "user.info"


def test_who_did_not_permit_the_numbers_is_not_asked_for_them(tiktok):
    connectable = tiktok.connect(deny_scopes=["user.info.stats"])
    tokens = connectable.tokens
    assert PLATFORM.oauth.needed_scopes["default"] <= tokens.scopes
    grant = replace(tiktok.grant(), access_token=tokens.access_token, scopes=tokens.scopes)
    asked = len(tiktok.asked())
    assert tiktok.parts.source.pulse(grant) is None
    assert len(tiktok.asked()) == asked
    assert tiktok.parts.source.list_posts(grant).posts == ()


def test_a_permission_taken_back_later_ends_the_pulse_and_not_the_connection(tiktok):
    tokens = tiktok.connect(deny_scopes=["user.info.stats"]).tokens
    believed = replace(tiktok.grant(), access_token=tokens.access_token)
    assert limits.STATS_SCOPE in believed.scopes
    assert tiktok.parts.source.pulse(believed) is None


def test_a_dead_token_and_a_full_minute_are_read_as_everywhere(tiktok):
    source, grant = tiktok.parts.source, tiktok.grant()
    tiktok.fault("user.info", "rate_limited", seconds=60)
    assert isinstance(refused(source.pulse, grant), WaitUntil)
    tiktok.control("DELETE", f"/accounts/tiktok/{tiktok.handle}/grants")
    verdict = refused(source.pulse, grant)
    assert isinstance(verdict, Reconnect)
    assert verdict.refresh_first


@pytest.mark.parametrize("user", [None, {}, {"video_count": None}, {"video_count": "7"}])
def test_a_pulse_without_its_number_is_a_bug(tiktok, user):
    grant = tiktok.grant()
    tiktok.fault("user.info", "error", status=200, body={"data": {"user": user}, "error": {"code": "ok"}})
    with pytest.raises(UnreadAnswer):
        tiktok.parts.source.pulse(grant)


# -------------------------------------------------------------------------------------------- do files come at all?


def test_a_probe_that_goes_well_says_nothing_and_leaves_nothing(tiktok, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tiktok.parts.source.probe()
    assert tiktok.asked()[-2:] == ["video.page", "video.download"]
    assert list(Path(tmp_path).iterdir()) == []


def test_a_broken_page_is_told_as_a_fault_of_the_way(tiktok):
    tiktok.fault("video.page", "error", status=200, body="<html>Please wait...</html>", count=None)
    verdict = refused(tiktok.parts.source.probe)
    assert isinstance(verdict, TryAgain)
    assert verdict.code == "tiktok.challenge_unreadable"
    assert verdict.code in PLATFORM.source.chain_codes
    assert "update yt-dlp" in verdict.detail


def test_one_canary_that_is_gone_proves_nothing(tiktok):
    asked = len(tiktok.asked())
    tiktok.fault("video.page", "error", status=404)
    tiktok.parts.source.probe()
    assert tiktok.asked()[asked:] == ["video.page", "video.page", "video.download"]


def test_canaries_that_are_all_denied_prove_that_the_way_is_closed(tiktok):
    tiktok.fault("video.page", "error", status=404, count=None)
    verdict = refused(tiktok.parts.source.probe)
    assert verdict.code == "tiktok.canaries_denied"
    assert verdict.code in PLATFORM.source.chain_codes
    assert verdict.detail.count("404") == len(limits.CANARIES)


def test_what_one_post_suffers_from_is_no_fault_of_the_way():
    for code in ("private_post", "private_account", "video_not_available", "only_watermarked", "age_restricted"):
        assert f"tiktok.{code}" not in PLATFORM.source.chain_codes
