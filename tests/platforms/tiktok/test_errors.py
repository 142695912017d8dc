"""Every refusal of TikTok, by the shared table of rules, and what must never be said aloud."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, WaitUntil
from autorepost_app.platforms.tiktok import errors, limits

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
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
    # The table's note allows it, and only a person with a box to tick can cure it.
    return Reconnect if "reauth with the scope" in rule.get("note", "") else VERDICTS[rule["class"]]


def codes(match):
    return [match] if isinstance(match, str) else match


API_RULES = [
    (rule, code)
    for rule in RULES
    for key in ("error.code", "oauth.error")
    for code in codes(rule["match"].get(key, []))
]
PAGE_RULES = [rule for rule in RULES if "ytdlp" in rule["match"]]


def answer(body, status=400, **headers):
    request = httpx.Request("POST", "https://open.tiktokapis.com/v2/oauth/token/")
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=headers, request=request)


def verdict_of(response):
    with pytest.raises(PlatformFault) as caught:
        errors.accepted(response, NOW)
    return caught.value.verdict


def test_the_table_has_rules_for_both_sources_of_refusals():
    assert len(API_RULES) == 15
    assert len(PAGE_RULES) == 13


@pytest.mark.parametrize(("rule", "code"), API_RULES, ids=[code for _, code in API_RULES])
def test_each_api_rule_gives_its_verdict_in_every_shape_and_status(rule, code):
    shapes = [
        {"data": {}, "error": {"code": code, "message": "m", "log_id": "L1"}},
        {"code": code, "message": "m", "log_id": "L1"},
        {"error": code, "error_description": "m", "log_id": "L1"},
    ]
    for shape in shapes:
        for status in (rule.get("http", 400), 200):
            verdict = verdict_of(answer(shape, status))
            assert type(verdict) is expected(rule)
            assert verdict.code == f"tiktok.{code}"
            assert "L1" in verdict.detail
            assert verdict.text.endswith(".")


@pytest.mark.parametrize("rule", PAGE_RULES, ids=[rule["match"]["ytdlp"] for rule in PAGE_RULES])
def test_each_page_rule_gives_its_verdict(rule):
    text = rule["match"]["ytdlp"] + " and more words; see https://example.org"
    verdict = errors.fetch_refused(errors.FetchFailure(text)).verdict
    assert type(verdict) is expected(rule)
    assert verdict.code.startswith("tiktok.")
    assert text in verdict.detail


YT_DLP = Path(str(files("yt_dlp")))
OUR_EXTRACTOR = ("TikTokBaseIE", "TikTokIE")
APP_ONLY = {"No working app info is available", "Unable to extract aweme detail info"}
"""Said on the way through TikTok's app, which is not ours."""
SAID_BY_PYTHON = {"MemoryError"}


def said_by_yt_dlp():
    """Every text in the code of the installed yt-dlp that could be in the message of a failure."""
    general = ("extractor/common.py", "YoutubeDL.py", "downloader/common.py", "downloader/http.py", "utils/_utils.py")
    for source in ("extractor/tiktok.py", *general):
        for node in ast.walk(ast.parse((YT_DLP / source).read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 8:
                yield node.value.lower()


def raised_in(extractor):
    """The beginnings of the messages that a class of extractors raises, also by way of a variable."""
    for function in [node for node in ast.walk(extractor) if isinstance(node, ast.FunctionDef)]:
        named = defaultdict(list)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                named[node.targets[0].id].append(node.value)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in RAISING:
                said = node.args[0]
                for text in named[said.id] if isinstance(said, ast.Name) else [said]:
                    start = text.values[0] if isinstance(text, ast.JoinedStr) else text
                    if isinstance(start, ast.Constant):
                        yield start.value


RAISING = {"ExtractorError", "self.raise_login_required"}


def test_each_text_we_read_is_one_that_the_installed_yt_dlp_or_our_own_child_says():
    children = ("ytdlp_child.py", "browser_child.py")
    ours = "".join(Path(errors.__file__).with_name(name).read_text() for name in children)
    texts = set(said_by_yt_dlp())

    def said(start):
        plain = start.removeprefix("UnavailableVideoError: ").partition("[Errno")[0].lower()
        return any(plain in text or plain.startswith(text) for text in texts)

    starts = [start for start, _ in errors._BY_TEXT if start not in SAID_BY_PYTHON]
    assert [start for start in starts if start not in ours and not said(start)] == []


def test_a_text_that_a_newer_yt_dlp_brings_is_met_here_before_a_creator_meets_it():
    module = ast.parse((YT_DLP / "extractor" / "tiktok.py").read_text())
    extractors = [node for node in module.body if getattr(node, "name", "") in OUR_EXTRACTOR]
    said = {text for extractor in extractors for text in raised_in(extractor)}
    read = tuple(start for start, _ in errors._BY_TEXT)
    assert "Unable to solve JS challenge" in said
    assert {text for text in said if not text.startswith(read)} == APP_ONLY


def test_only_a_dead_access_token_is_worth_a_refresh():
    dead = verdict_of(answer({"error": {"code": "access_token_invalid"}}, 401))
    gone = verdict_of(answer({"error": "invalid_grant"}))
    assert dead.refresh_first
    assert not gone.refresh_first


def test_what_operators_must_act_on_says_how():
    for code in ("invalid_client", "invalid_request", "invalid_scope", "unauthorized_client"):
        assert verdict_of(answer({"error": code})).remedy


def test_what_a_creator_can_cure_says_how():
    for start in (
        "TikTok is requiring login",
        "You do not have permission to view this post",
        "Requested format is not available",
    ):
        assert "Upload the original" in errors.fetch_refused(errors.FetchFailure(start)).verdict.remedy


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, 60),
        ({"x-ratelimit-reset": "17"}, 17),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 45)}, 45),
        ({"x-ratelimit-reset": "0"}, 60),
        ({"x-ratelimit-reset": "999999"}, 60),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) - 5)}, 60),
        ({"x-ratelimit-reset": "soon"}, 60),
        ({"x-ratelimit-reset": "²"}, 60),
    ],
)
def test_a_reset_header_is_believed_only_when_it_makes_sense(header, seconds):
    headers = {name: value.encode("utf-8") for name, value in header.items()}
    verdict = verdict_of(answer({"error": {"code": "rate_limit_exceeded"}}, 429, **headers))
    assert verdict.at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(("status", "verdict"), [(429, WaitUntil), (500, TryAgain), (502, TryAgain), (504, TryAgain)])
def test_an_edge_that_answers_in_html_is_read_by_its_status(status, verdict):
    assert type(verdict_of(answer(b"<html>no</html>", 403))) is TryAgain
    assert type(verdict_of(answer(b'{"access_token": "act.12', 200))) is TryAgain
    assert type(verdict_of(answer(b"<html>busy</html>", status))) is verdict


@pytest.mark.parametrize("body", [{"error": {"code": "brand_new"}}, {"error": "brand_new"}, {"unheard": "of"}])
def test_an_unlisted_refusal_is_a_bug_and_not_a_retry(body):
    with pytest.raises(errors.UnreadAnswer):
        errors.accepted(answer(body, 403), NOW)


NOTHING_SAID = [b"", [], None, {}, ["act.x"], "act.x"]


@pytest.mark.parametrize("body", NOTHING_SAID)
@pytest.mark.parametrize("status", [302, 403, 404, 418])
def test_a_refusal_that_says_nothing_is_an_edge_on_a_bad_day(status, body):
    verdict = verdict_of(answer(body, status))
    assert (type(verdict), verdict.code) == (TryAgain, "tiktok.not_json")
    assert str(status) in verdict.detail
    assert "act.x" not in repr(verdict)


@pytest.mark.parametrize("body", NOTHING_SAID)
@pytest.mark.parametrize("read", [errors.fields_of, errors.tokens_of])
def test_a_good_status_that_brings_nothing_is_tried_again(read, body):
    with pytest.raises(PlatformFault) as caught:
        read(answer(body, 200), NOW)
    assert (type(caught.value.verdict), caught.value.verdict.code) == (TryAgain, "tiktok.not_json")
    assert "act.x" not in f"{caught.value}{caught.value.verdict!r}"


def test_a_call_that_asks_for_nothing_is_content_with_nothing():
    assert errors.accepted(answer(b"", 200), NOW) == {}


@pytest.mark.parametrize("whose", [{}, {"open_id": ""}, {"open_id": 7}, {"open_id": {"a": "act.x"}}])
@pytest.mark.parametrize("shape", [lambda reply: reply, lambda reply: {"data": reply, "message": "success"}])
def test_a_token_reply_that_does_not_say_whose_it_is_is_not_used(shape, whose):
    with pytest.raises(PlatformFault) as caught:
        errors.tokens_of(answer(shape({"access_token": "act.x", **whose}), 200), NOW)
    assert isinstance(caught.value.verdict, TryAgain)
    assert "open_id" in caught.value.verdict.detail
    assert "act.x" not in f"{caught.value}{caught.value.verdict!r}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "code", "data", "log_id", "message", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    ),
    st.sampled_from([200, 204, 400, 401, 404, 429, 500]),
)
def test_no_body_breaks_the_reading(body, status):
    try:
        read = errors.accepted(answer(body, status), NOW)
    except (PlatformFault, errors.UnreadAnswer):
        return
    assert status in (200, 204)
    assert read == (body if isinstance(body, dict) else {})


@given(st.sampled_from(["access_token", "refresh_token", "client_secret"]), st.sampled_from(["error", "code", "odd"]))
def test_no_secret_of_a_reply_gets_into_words(name, key):
    body = {name: "act.s3cr3t", key: "brand_new", "log_id": "L"}
    with pytest.raises(errors.UnreadAnswer) as caught:
        errors.tokens_of(answer(body, 400), NOW)
    assert "s3cr3t" not in f"{caught.value}{caught.value!r}"


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (errors.FetchFailure("Unable to download webpage: HTTP Error 403: Forbidden", 403), TryAgain),
        (errors.FetchFailure("Unable to download webpage: HTTP Error 404: Not Found", 404), Rejected),
        (errors.FetchFailure("Unable to download webpage: HTTP Error 429: Too Many Requests", 429), TryAgain),
        (errors.FetchFailure("Unable to download webpage: HTTP Error 503: Busy", 503), TryAgain),
        (errors.FetchFailure("Unable to download webpage: timed out", broken_line=True), TryAgain),
        (errors.FetchFailure("unable to download video data: HTTP Error 404: Not Found", 404), TryAgain),
        (errors.FetchFailure("Got error: HTTP Error 500: Busy. Giving up after 3 retries"), TryAgain),
        (errors.FetchFailure("Larger than 2147483648 bytes"), Rejected),
        (errors.FetchFailure("No playable video"), Rejected),
    ],
)
def test_failures_that_have_no_text_of_tiktoks_are_read_by_status_and_line(failure, verdict):
    assert type(errors.fetch_refused(failure).verdict) is verdict


def test_a_failure_of_the_download_that_nobody_knows_fails_loudly_and_without_the_signed_address():
    failure = errors.FetchFailure("OSError: no space on https://v16.tiktokcdn.com/x?signature=abc123&a=1")
    with pytest.raises(errors.UnreadAnswer) as caught:
        errors.fetch_refused(failure)
    assert "no space" in str(caught.value)
    assert "abc123" not in str(caught.value)


def test_a_download_that_ended_without_a_word_is_read_by_how_it_ended():
    assert errors.fetch_ended(-9, out_of_time=True).verdict.code == "tiktok.fetch_timeout"
    assert errors.fetch_ended(-9, out_of_time=False).verdict.code == "tiktok.fetch_killed"
    with pytest.raises(errors.UnreadAnswer, match="code 1"):
        errors.fetch_ended(1, out_of_time=False)


def test_soft_blocks_are_not_hammered():
    verdict = errors.fetch_refused(errors.FetchFailure("Unable to extract challenge data")).verdict
    assert verdict.after_seconds == limits.SOFT_BLOCK_SECONDS
    assert "update yt-dlp" in verdict.detail
