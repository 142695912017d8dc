"""Every documented answer of Instagram, read to its verdict; everything else fails loudly or stays open."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorepost_app.domain.errors import (
    HandleDead,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    Verdict,
    WaitUntil,
)
from autorepost_app.platform_kit.protocol import Absent, Done, Live, NotDone, Undecided, Unknown
from autorepost_app.platforms.instagram import errors
from autorepost_app.platforms.instagram.rules import RULES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROFILE = "https://www.instagram.com/ada/"
TABLE = Path(__file__).parents[1] / "errors.json"
DOCUMENTED = [rule for rule in json.loads(TABLE.read_text())["rules"] if rule["platform"] == "instagram"]
GRAPH_RULES = [rule for rule in DOCUMENTED if any(name.startswith("error.") for name in rule["match"])]

CLASSES: dict[str, type[Verdict]] = {
    "retry": TryAgain,
    "new_container": TryAgain,
    "retry_then_new_container": TryAgain,
    "retry_then_reauth": TryAgain,
    "keep_polling": TryAgain,
    "wait": WaitUntil,
    "reconcile": WaitUntil,
    "reauth": Reconnect,
    "permanent": Rejected,
    "transcode": Rejected,
}


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    request = httpx.Request("POST", "https://graph.instagram.com/v26.0/178/media_publish")
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.Response(status, text=content, headers=headers, request=request)


def graph_error(code: int | None, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    error = {"message": "no", "type": "OAuthException", "code": code, "error_subcode": subcode, **more}
    return {"error": {name: value for name, value in error.items() if value is not None}}


def examples(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Bodies that the documented rule describes, one for each code it names."""
    match = rule["match"]
    codes = match.get("error.code")
    flat = (
        [code for each in codes for code in (each if isinstance(each, list) else [each])]
        if isinstance(codes, list)
        else [codes]
    )
    transient = {"is_transient": True} if match.get("error.is_transient") else {}
    return [graph_error(code, match.get("error.error_subcode"), **transient) for code in flat]


def refusal(status: int, body: Any, headers: dict[str, str] | None = None) -> PlatformFault:
    with pytest.raises(PlatformFault) as caught:
        errors.answer(reply(status, body, headers), NOW)
    return caught.value


def container(state: str, status: str = "") -> errors.Container:
    return errors.Container("17900", state, status)


@pytest.mark.parametrize("rule", GRAPH_RULES, ids=lambda rule: rule.get("note", str(rule["match"])))
def test_each_documented_refusal_becomes_the_verdict_of_its_class(rule: dict[str, Any]) -> None:
    for body in examples(rule):
        fault = refusal(rule.get("http", 400), body)

        assert type(fault.verdict) is CLASSES[rule["class"]], body
        assert fault.verdict.code.startswith("instagram.")
        assert fault.verdict.text.endswith(".")
        assert errors.is_dead(fault) is (rule["class"] == "new_container")
        assert errors.is_lost(fault) is rule["class"].startswith("retry_then")


def test_every_rejection_says_what_the_creator_can_do() -> None:
    rejections = [errors.verdict(rule, "", NOW) for rule in RULES]
    assert all(verdict.remedy for verdict in rejections if isinstance(verdict, Rejected))


def test_the_names_of_rules_are_unique_because_counters_and_screens_lean_on_them() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)


# ----------------------------------------------------------------------------------------------------------- the commit

PROVES_NOTHING_HAPPENED = {"daily posts used up", "account restricted", "media not ready"}


@pytest.mark.parametrize("rule", GRAPH_RULES, ids=lambda rule: rule.get("note", str(rule["match"])))
def test_only_the_allow_list_proves_that_a_commit_published_nothing(rule: dict[str, Any]) -> None:
    proves = rule.get("note") in PROVES_NOTHING_HAPPENED or rule["class"] == "reauth"
    for body in examples(rule):
        outcome = errors.commit_outcome(reply(400, body), NOW)
        assert isinstance(outcome, NotDone if proves else Unknown), body


@pytest.mark.parametrize("status", [408, 409, 425, 429, 499, 500, 502, 503])
def test_no_status_that_leaves_the_outcome_open_is_ever_proof_whatever_the_body_says(status: int) -> None:
    for rule in RULES:
        body = graph_error(min(rule.codes, default=None), min(rule.subcodes, default=None))
        assert isinstance(errors.commit_outcome(reply(status, body), NOW), Unknown)


def test_a_post_blocked_as_spam_may_be_live_all_the_same() -> None:
    outcome = errors.commit_outcome(reply(400, graph_error(4, 2207051)), NOW)
    assert isinstance(outcome, Unknown)
    assert "2207051" in outcome.detail


def test_a_used_up_day_waits_without_spending_an_attempt() -> None:
    outcome = errors.commit_outcome(reply(400, graph_error(9, 2207042)), NOW)
    assert isinstance(outcome, NotDone)
    assert outcome.handle_usable
    assert isinstance(outcome.verdict, WaitUntil)
    assert NOW < outcome.verdict.at <= NOW + timedelta(hours=24)
    assert outcome.verdict.limit == "Instagram posts in 24 hours"


def test_media_that_is_not_ready_is_asked_for_again_with_the_same_container() -> None:
    outcome = errors.commit_outcome(reply(400, graph_error(9007, 2207027)), NOW)
    assert isinstance(outcome, NotDone)
    assert outcome.handle_usable
    assert isinstance(outcome.verdict, TryAgain)
    assert outcome.verdict.after_seconds == 30


@pytest.mark.parametrize("media_id", ["17841400000000001", 17841400000000001])
def test_an_id_is_kept_as_text_however_it_is_spelt(media_id: object) -> None:
    outcome = errors.commit_outcome(reply(200, {"id": media_id}), NOW)
    assert outcome == Done("17841400000000001")


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": None}, [], "", "<html>ok</html>", {"id": ["1"]}])
def test_a_good_status_without_an_id_leaves_the_outcome_open(body: Any) -> None:
    assert isinstance(errors.commit_outcome(reply(200, body), NOW), Unknown)


@given(
    status=st.integers(200, 599),
    code=st.none() | st.integers(-10, 100_000),
    subcode=st.none() | st.integers(2_207_000, 2_207_100) | st.integers(0, 600),
    transient=st.booleans(),
)
def test_reading_a_commit_never_fails_and_never_calls_an_error_done(
    status: int, code: int | None, subcode: int | None, transient: bool
) -> None:
    body = graph_error(code, subcode, is_transient=transient)
    assert isinstance(errors.commit_outcome(reply(status, body), NOW), NotDone | Unknown)


# ----------------------------------------------------------------------------------------------- waits, edges, unknowns


def test_the_wait_is_the_longest_that_the_usage_header_names() -> None:
    usage = {"178": [{"type": "instagram", "estimated_time_to_regain_access": 7}], "9": [{"call_count": 3}]}
    fault = refusal(400, graph_error(80002), {"X-Business-Use-Case-Usage": json.dumps(usage)})
    assert isinstance(fault.verdict, WaitUntil)
    assert fault.verdict.at == NOW + timedelta(minutes=7)


@pytest.mark.parametrize("header", ["", "not json", "[]", "{}", '{"1": 3}', '{"1": [4, {"type": "instagram"}]}'])
def test_a_usage_header_that_says_nothing_means_half_an_hour(header: str) -> None:
    fault = refusal(400, graph_error(4), {"X-Business-Use-Case-Usage": header})
    assert isinstance(fault.verdict, WaitUntil)
    assert fault.verdict.at == NOW + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((500, "<html>"), (502, ""), (503, {"error": "x"}), (200, ""), (200, "ok")),
        *((400, "<html>"), (403, "<html>"), (404, ""), (302, ""), (400, '{"error": {"code": 19')),
    ],
)
def test_an_edge_that_answers_without_json_is_asked_again(status: int, body: Any) -> None:
    assert isinstance(refusal(status, body).verdict, TryAgain)


def test_a_bare_429_waits() -> None:
    assert isinstance(refusal(429, "").verdict, WaitUntil)


@pytest.mark.parametrize("body", [graph_error(999_999), graph_error(100, 2208000), {}, {"unheard": "of"}])
def test_a_refusal_that_no_rule_reads_fails_loudly(body: Any) -> None:
    with pytest.raises(errors.UnreadAnswer, match="no rule reads"):
        errors.answer(reply(400, body), NOW)


def test_a_good_answer_without_what_was_asked_for_fails_loudly() -> None:
    with pytest.raises(errors.UnreadAnswer):
        errors.created(reply(200, {"success": True}), NOW)


def test_replies_are_read_flat_and_inside_a_data_array() -> None:
    flat, boxed = {"access_token": "t"}, {"data": [{"access_token": "t"}]}
    assert errors.row(reply(200, flat), NOW, "access_token") == errors.row(reply(200, boxed), NOW, "access_token")


def test_no_token_of_an_answer_reaches_the_text_of_an_exception() -> None:
    body = {"access_token": "IGQVsecret", "next": "https://x/?access_token=IGQVsecret&a=1"}
    with pytest.raises(errors.UnreadAnswer) as caught:
        errors.answer(reply(400, body), NOW)
    assert "IGQVsecret" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ the login


def test_a_used_code_asks_for_one_more_consent_in_both_shapes() -> None:
    instagram = {"error_type": "OAuthException", "code": 400, "error_message": "Matching code was not found"}
    facebook = graph_error(100, 36009)
    for body in (instagram, facebook):
        with pytest.raises(PlatformFault) as caught:
            errors.login_answer(reply(400, body), NOW)
        assert isinstance(caught.value.verdict, Reconnect)


def test_a_login_host_that_is_down_is_asked_again() -> None:
    with pytest.raises(PlatformFault) as caught:
        errors.login_answer(reply(502, "<html>"), NOW)
    assert isinstance(caught.value.verdict, TryAgain)


def test_a_dead_token_names_the_reason_a_creator_knows() -> None:
    assert "password" in refusal(400, graph_error(190, 460)).verdict.text
    assert "Facebook page" in refusal(400, graph_error(190, 492)).verdict.text
    assert isinstance(refusal(401, graph_error(190, 463)).verdict, Reconnect)


# ------------------------------------------------------------------------------------------------ states of a container


@pytest.mark.parametrize(
    ("state", "finding"),
    [
        ("PUBLISHED", Live("container 17900 is PUBLISHED", url=PROFILE)),
        ("EXPIRED", Absent("container 17900 is EXPIRED", handle_usable=False)),
        ("ERROR", Absent("container 17900 is ERROR", handle_usable=False)),
        ("FINISHED", Absent("container 17900 is FINISHED", handle_usable=True)),
        ("IN_PROGRESS", Undecided("container 17900 is IN_PROGRESS")),
    ],
)
def test_the_state_of_a_container_tells_what_the_commit_did(state: str, finding: object) -> None:
    assert errors.finding(container(state), PROFILE) == finding


@pytest.mark.parametrize(
    ("status", "verdict", "code"),
    [
        ("Error: Media upload has failed with error code 2207026", Rejected, "instagram.video_format"),
        ("Error: Media upload has failed with error code 2207009", Rejected, "instagram.aspect"),
        ("Error: Media upload has failed with error code 2207052", TryAgain, "instagram.fetch_failed"),
        ("Error: Media upload has failed with error code 2207082", TryAgain, "instagram.upload_failed"),
        ("Error: Media upload has failed with error code 2207999", TryAgain, "instagram.failed"),
        ("", TryAgain, "instagram.failed"),
    ],
)
def test_a_failed_container_is_dead_and_its_text_says_whether_another_would_help(
    status: str, verdict: type[Verdict], code: str
) -> None:
    with pytest.raises(HandleDead) as caught:
        errors.refuse_unusable(container("ERROR", status), NOW)
    assert isinstance(caught.value.verdict, verdict)
    assert caught.value.verdict.code == code


def test_an_expired_container_is_dead_and_a_new_one_helps() -> None:
    with pytest.raises(HandleDead) as caught:
        errors.refuse_unusable(container("EXPIRED"), NOW)
    assert isinstance(caught.value.verdict, TryAgain)


def test_only_a_published_container_is_live_and_it_is_never_called_dead() -> None:
    errors.refuse_unusable(container("PUBLISHED"), NOW)  # as dead it would be followed by a fresh one: a second post
    states = ("IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED")
    assert [state for state in states if errors.is_live(container(state))] == ["PUBLISHED"]


def test_a_state_nobody_documented_fails_loudly() -> None:
    with pytest.raises(errors.UnreadAnswer):
        errors.container_answer(reply(200, {"id": "1", "status_code": "MAYBE"}), "1", NOW)


# ------------------------------------------------------------------------------------------------------------- uploads


def upload_refusal(body: Any, status: int = 400) -> PlatformFault:
    with pytest.raises(PlatformFault) as caught:
        errors.upload_answer(reply(status, body), NOW)
    return caught.value


def test_an_upload_that_may_be_repeated_keeps_its_container() -> None:
    fault = upload_refusal({"debug_info": {"retriable": True, "type": "TransientError", "message": "again"}})
    assert not isinstance(fault, HandleDead)
    assert isinstance(fault.verdict, TryAgain)


def test_an_upload_that_may_not_be_repeated_ends_its_container() -> None:
    fault = upload_refusal({"debug_info": {"retriable": False, "type": "ProcessingFailedError", "message": "{}"}})
    assert isinstance(fault, HandleDead)
    assert isinstance(fault.verdict, TryAgain)


def test_an_upload_refused_for_its_format_is_told_to_the_creator() -> None:
    trouble = {"retriable": False, "type": "ProcessingFailedError", "message": '{"error":{"code":2207026}}'}
    fault = upload_refusal({"debug_info": trouble})
    assert isinstance(fault, HandleDead)
    assert isinstance(fault.verdict, Rejected)


def test_an_upload_with_a_dead_token_asks_to_reconnect() -> None:
    assert isinstance(upload_refusal(graph_error(190), 401).verdict, Reconnect)
