"""Every rule of the shared table, given by the sandbox and read by the real client over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from yt_dlp.utils import DownloadError

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, WaitUntil
from autorepost_app.platforms.tiktok import PLATFORM, errors
from autorepost_app.platforms.tiktok.ytdlp_child import failed

RULES = [
    rule
    for rule in json.loads((Path(__file__).parents[1] / "errors.json").read_text())["rules"]
    if rule["platform"] == "tiktok"
]
VERDICTS = {
    "refresh_then_reauth": Reconnect,
    "reauth": Reconnect,
    "permanent": Rejected,
    "permanent_after_2": Rejected,
    "wait": WaitUntil,
    "retry": TryAgain,
    "retry_alert": TryAgain,
    "retry_other_egress": TryAgain,
    "operator": Operator,
    "user_declined": Rejected,
}


def expected(rule):
    """`scope_permission_missed` may also be cured by a person with a box to tick, which is how we read it."""
    return Reconnect if "reauth with the scope" in rule.get("note", "") else VERDICTS[rule["class"]]


def cases(key):
    for rule in RULES:
        match = rule["match"].get(key, [])
        yield from (pytest.param(rule, code, id=code) for code in ([match] if isinstance(match, str) else match))


def refused(call):
    with pytest.raises(PlatformFault) as caught:
        call()
    return caught.value.verdict


def check(verdict, rule, code):
    assert type(verdict) is expected(rule)
    assert verdict.code == f"tiktok.{code}"
    assert verdict.text[0].isupper()
    assert verdict.text.endswith(".")
    assert code in verdict.detail
    assert "L-1" in verdict.detail, "TikTok's support asks for the log id"
    if isinstance(verdict, Operator):
        assert verdict.remedy


@pytest.mark.parametrize("flat", [False, True], ids=["wrapped", "flat"])
@pytest.mark.parametrize(("rule", "code"), list(cases("error.code")))
def test_each_refusal_of_the_display_api(tiktok, rule, code, flat):
    grant = tiktok.grant()
    said = {"code": code, "message": "No.", "log_id": "L-1"}
    body = said if flat else {"data": {}, "error": said}
    for call, ask in (
        ("video.list", lambda: tiktok.parts.source.list_posts(grant)),
        ("user.info", lambda: tiktok.parts.authoriser.accounts(login="default", tokens=tiktok.connect().tokens)),
    ):
        after = 1 if call == "user.info" else 0  # connecting asks once itself
        tiktok.fault(call, "error", status=rule["http"], body=body, after=after)
        check(refused(ask), rule, code)


@pytest.mark.parametrize("status", [400, 401, 200])
@pytest.mark.parametrize(("rule", "code"), list(cases("oauth.error")))
def test_each_refusal_of_the_token_endpoint(tiktok, rule, code, status):
    tokens = tiktok.connect().tokens
    body = {"error": code, "error_description": "No.", "log_id": "L-1"}
    for call, ask in (
        ("token.refresh", lambda: tiktok.parts.authoriser.refresh(login="default", tokens=tokens)),
        ("token.code", lambda: tiktok.exchange("c-1")),
    ):
        tiktok.fault(call, "error", status=status, body=body)
        verdict = refused(ask)
        check(verdict, rule, code)
        assert tokens.refresh_token not in repr(verdict)


NATURAL = {
    "access_token_invalid": lambda tiktok: tiktok.control("DELETE", f"/accounts/tiktok/{tiktok.handle}/grants"),
    "rate_limit_exceeded": lambda tiktok: tiktok.settings(calls_per_minute=0),
    "internal_error": lambda tiktok: tiktok.fault("video.list", "read_error"),
}


@pytest.mark.parametrize("code", NATURAL)
def test_what_the_sandbox_refuses_by_itself_is_read_as_the_same(tiktok, code):
    grant = tiktok.grant()
    NATURAL[code](tiktok)
    verdict = refused(lambda: tiktok.parts.source.list_posts(grant))
    assert verdict.code == f"tiktok.{code}"
    assert "log id 2026" in verdict.detail


PAGES = {
    "TikTok is requiring login": ({"trouble": "login_wall"}, "login_required"),
    "This post may not be comfortable": ({"trouble": "sensitive"}, "age_restricted"),
    "You do not have permission to view this post": ({"private": True}, "private_post"),
    "Your IP address is blocked": ({"trouble": "ip_blocked"}, "ip_blocked"),
    "Video not available, status code": ({"deleted": True}, "video_not_available"),
    "Unable to extract universal data": ({"trouble": "empty_after_challenge"}, "page_unreadable"),
    "Unexpected response from webpage request": ({"trouble": "strange_page"}, "page_unexpected"),
    "Unable to solve JS challenge": ({"trouble": "hard_challenge"}, "challenge_unsolved"),
    "Unable to extract challenge data": ({"trouble": "broken_page"}, "challenge_unreadable"),
    "Requested format is not available": ({"trouble": "watermarked_only"}, "only_watermarked"),
}
"""How the sandbox brings each text about."""


def private_account(tiktok):
    return tiktok.another(private=True)


def nobody(tiktok):
    return f"{tiktok.handle}.nobody"


def not_to_be_embedded(tiktok):
    """A profile that programs cannot read, of a creator whom other sites may not show."""
    tiktok.settings(profile_trouble="no_user_detail")
    return tiktok.another(embedding=False)


def list_that_stands_still(tiktok):
    tiktok.settings(profile_trouble="same_page")
    for minute in range(16):  # one more than a page
        tiktok.post(create_time=f"2026-11-01T08:{minute:02}:00Z")
    return tiktok.handle


PROFILES = [
    ("This user's account is private", private_account, "private_account"),
    ("Unable to extract secondary user ID", nobody, "user_id_unreadable"),
    ("Unable to extract secondary user ID", not_to_be_embedded, "user_id_unreadable"),
    ("TikTok API keeps sending the same page", list_that_stands_still, "same_page"),
]
"""Said by yt-dlp's reader of whole profiles only. We list posts by the API and never ask it; the table has them."""


def rule_for(text):
    [rule] = [rule for rule in RULES if rule["match"].get("ytdlp") == text]
    return rule


@pytest.mark.parametrize("text", PAGES)
def test_each_text_of_the_downloader_comes_out_of_the_real_one(tiktok, tmp_path, text):
    rule = rule_for(text)
    how, code = PAGES[text]
    made = tiktok.post(trouble=how.get("trouble"))
    grant = tiktok.grant()
    [post] = tiktok.parts.source.list_posts(grant).posts
    if "private" in how:
        tiktok.control("PATCH", f"/tiktok/accounts/{tiktok.handle}/posts/{made['id']}", {"private": True})
    if "deleted" in how:
        tiktok.control("DELETE", f"/posts/tiktok/{made['id']}")
    verdict = refused(lambda: tiktok.parts.source.download(grant, post, tmp_path / "original", lambda *_: None))
    check_text(verdict, rule, code)
    chain_wide = rule["class"] in {"retry_alert", "retry_other_egress"}
    assert (verdict.code in PLATFORM.source.chain_codes) is chain_wide


@pytest.mark.parametrize(("text", "bring_about", "code"), PROFILES, ids=[how.__name__ for _, how, _ in PROFILES])
def test_each_text_about_a_profile_comes_out_of_the_real_reader(tiktok, read_profile, text, bring_about, code):
    handle = bring_about(tiktok)
    with pytest.raises(DownloadError) as caught:
        read_profile(f"https://www.tiktok.com/@{handle}")
    verdict = errors.fetch_refused(errors.FetchFailure(**failed(caught.value))).verdict
    check_text(verdict, rule_for(text), code)


def check_text(verdict, rule, code):
    assert (type(verdict), verdict.code) == (expected(rule), f"tiktok.{code}")
    assert rule["match"]["ytdlp"] in verdict.detail


def test_no_rule_of_the_table_is_without_an_origin():
    tried = {*PAGES, *(text for text, _, _ in PROFILES)}
    for rule in RULES:
        [(key, match)] = rule["match"].items()
        assert key in ("error.code", "oauth.error") or match in tried, rule
    assert (len(RULES), len(tried)) == (23, 13)
