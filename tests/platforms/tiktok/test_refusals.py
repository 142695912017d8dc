"""Every rule of the shared table, given by the sandbox and read by the real client over HTTP."""

from __future__ import annotations

import ast
import json
from importlib.resources import files
from pathlib import Path

import pytest

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, WaitUntil
from autorepost_app.platforms.tiktok import PLATFORM

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

OF_PROFILES = {
    "This user's account is private",
    "Unable to extract secondary user ID",
    "TikTok API keeps sending the same page",
}
"""Said only by yt-dlp's reader of whole profiles. We list posts by the API and never ask it."""


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if "ytdlp" in rule["match"]], ids=lambda r: r["match"]["ytdlp"]
)
def test_each_text_of_the_downloader_comes_out_of_the_real_one(tiktok, tmp_path, rule):
    text = rule["match"]["ytdlp"]
    if text in OF_PROFILES:
        assert text not in said_of_one_post()
        return
    how, code = PAGES[text]
    made = tiktok.post(trouble=how.get("trouble"))
    grant = tiktok.grant()
    [post] = tiktok.parts.source.list_posts(grant).posts
    if "private" in how:
        tiktok.control("PATCH", f"/tiktok/accounts/{tiktok.handle}/posts/{made['id']}", {"private": True})
    if "deleted" in how:
        tiktok.control("DELETE", f"/posts/tiktok/{made['id']}")
    verdict = refused(lambda: tiktok.parts.source.download(grant, post, tmp_path / "original", lambda *_: None))
    assert (type(verdict), verdict.code) == (expected(rule), f"tiktok.{code}")
    assert text in verdict.detail
    chain_wide = rule["class"] in {"retry_alert", "retry_other_egress"}
    assert (verdict.code in PLATFORM.source.chain_codes) is chain_wide


def said_of_one_post():
    """Every text in the classes of yt-dlp that read the page of one post."""
    module = ast.parse((Path(str(files("yt_dlp"))) / "extractor" / "tiktok.py").read_text())
    ours = [node for node in module.body if getattr(node, "name", "") in {"TikTokBaseIE", "TikTokIE"}]
    assert len(ours) == 2
    return "\n".join(
        node.value
        for each in ours
        for node in ast.walk(each)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
