"""Is every documented refusal of X read as what it means, for the creator and for the ledger?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from autorepost_app.domain.errors import (
    HandleDead,
    Operator,
    PlatformFault,
    Reconnect,
    Rejected,
    TryAgain,
    Verdict,
    WaitUntil,
)
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.x.errors import (
    RULES,
    UnreadAnswer,
    body_of,
    post_id_of,
    processing_fault,
    wants_smaller_pieces,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TAXONOMY = json.loads((Path(__file__).parent.parent / "errors.json").read_text())
OURS = [rule for rule in TAXONOMY["rules"] if rule["platform"] == "x"]

VERDICT_OF_CLASS: dict[str, type[Verdict]] = {
    "operator": Operator,
    "wait": WaitUntil,
    "refresh_then_reauth": Reconnect,
    "reauth": Reconnect,
    "permanent": Rejected,
    "reupload": TryAgain,
    "retry": TryAgain,
    "smaller_chunk": TryAgain,
}


def answer(status: int, body: Any = None, headers: dict[str, str] | None = None, path: str = "/2/x") -> httpx.Response:
    content = body if isinstance(body, str | bytes) else json.dumps(body) if body is not None else ""
    request = httpx.Request("POST", f"https://api.x.com{path}")
    return httpx.Response(status, content=content, headers=headers, request=request)


def problem(status: int, tail: str = "", host: str = "api.x.com", **fields: Any) -> dict[str, Any]:
    return {"status": status, "type": f"https://{host}/2/problems/{tail}" if tail else "about:blank", **fields}


def refusals_of(rule: dict[str, Any]) -> list[tuple[str, httpx.Response]]:
    """The answers that a rule of the taxonomy speaks of, with the call they are given to."""
    match = rule["match"]
    statuses = match.get("http", rule.get("http"))
    body: dict[str, Any] = {"title": match.get("title", ""), "detail": match.get("detail") or match.get("detail~", "")}
    body["type"] = "https://api.twitter.com/2/problems/" + match.get("type_tail", "none")
    if "errors.message" in match:
        body["errors"] = [{"message": match["errors.message"], "parameters": {"media.media_ids": ["1"]}}]
    if "oauth.error" in match:
        body = {"error": match["oauth.error"], "error_description": match["oauth.error_description"]}
    call = {"append": "append", "POST /2/tweets": "post"}.get(match.get("call"), "initialize")
    return [(call, answer(status, body)) for status in ([statuses] if isinstance(statuses, int) else statuses)]


def verdict_on(call: str, response: httpx.Response) -> Verdict:
    with pytest.raises(PlatformFault) as caught:
        body_of(response, call, NOW)
    return caught.value.verdict


@pytest.mark.parametrize(
    "rule", [r for r in OURS if "http" in r or "http" in r["match"]], ids=lambda r: str(r["match"])
)
def test_every_rule_of_the_taxonomy_gives_its_verdict(rule: dict[str, Any]) -> None:
    for call, response in refusals_of(rule):
        if rule["class"] == "reconcile":
            assert isinstance(post_id_of(response, NOW), Unknown)
            continue
        verdict = verdict_on(call, response)
        assert type(verdict) is VERDICT_OF_CLASS[rule["class"]]
        assert verdict.text
        assert verdict.code.startswith("x.")
        assert str(response.status_code) in verdict.detail
        if isinstance(verdict, Reconnect):
            assert verdict.refresh_first == (rule["class"] == "refresh_then_reauth")


def test_the_taxonomy_rule_for_failed_processing_is_kept_too() -> None:
    assert [r["class"] for r in OURS if "processing_info.state" in r["match"]] == ["permanent"]
    fault = processing_fault({"processing_info": {"state": "failed", "error": {"code": 1, "name": "InvalidMedia"}}})
    assert isinstance(fault, Rejected)
    assert "InvalidMedia" in fault.detail


def test_an_error_beside_a_hanging_state_counts_as_failed() -> None:
    hanging = {"state": "in_progress", "progress_percent": 99, "error": {"code": 3, "name": "UnsupportedMedia"}}
    assert isinstance(processing_fault({"processing_info": hanging}), Rejected)
    assert processing_fault({"processing_info": {"state": "in_progress", "progress_percent": 99}}) is None
    assert processing_fault({"id": "1"}) is None


def test_a_video_over_the_account_limit_is_explained_with_what_would_help() -> None:
    message = "Duration 2.minutes+29.seconds+350.milliseconds exceeds max duration of 2.minutes+20.seconds"
    error = {"code": 3, "name": "UnsupportedMedia", "message": message}
    fault = processing_fault({"processing_info": {"state": "failed", "error": error}})
    assert fault is not None
    assert "trimming" in fault.remedy
    assert message in fault.detail


# ---------------------------------------------------------------------------------------------- the publishing call


@pytest.mark.parametrize(
    ("response", "verdict", "handle_usable"),
    [
        (answer(401, problem(401, title="Unauthorized", detail="Unauthorized")), Reconnect, True),
        (answer(402, problem(402, "credits", title="CreditsDepleted", account_id=1)), Operator, True),
        (answer(429, problem(429, title="Too Many Requests")), WaitUntil, True),
        (answer(429, ""), WaitUntil, True),
        (answer(429, problem(429, "usage-capped", title="UsageCapExceeded", period="Monthly")), Operator, True),
        (answer(429, problem(429, title="UsageCapExceeded")), Operator, True),
        (answer(403, problem(403, "client-forbidden", reason="client-not-enrolled")), Operator, True),
        (answer(403, problem(403, "unsupported-authentication")), Operator, True),
        (
            answer(403, problem(403, detail="This user is not allowed to post a video longer than 2 minutes")),
            Rejected,
            1,
        ),
        (answer(403, problem(403, detail="You are not permitted to perform this action.")), Rejected, True),
        (answer(403, problem(403, detail="Your account is not permitted to access this feature")), Rejected, True),
        (answer(400, problem(400, "invalid-request", title="Invalid Request")), Rejected, True),
        (answer(400, problem(400, detail="The Tweet contains an invalid URL.")), Rejected, True),
        (answer(400, problem(400, detail="The Post contains an invalid URL.")), Rejected, True),
        (
            answer(400, problem(400, "invalid-request", errors=[{"message": "Your media IDs are invalid."}])),
            TryAgain,
            False,
        ),
    ],
)
def test_a_listed_refusal_of_the_post_proves_that_nothing_happened(
    response: httpx.Response, verdict: type[Verdict], handle_usable: bool
) -> None:
    outcome = post_id_of(response, NOW)
    assert isinstance(outcome, NotDone)
    assert type(outcome.verdict) is verdict
    assert outcome.handle_usable == handle_usable


@pytest.mark.parametrize(
    "response",
    [
        *(answer(status, "") for status in (408, 409, 425, 499, 500, 502, 503, 504, 520)),
        answer(403, problem(403, detail="You are not allowed to create a Tweet with duplicate content.")),
        answer(403, problem(403, detail="You are not allowed to create a Post with duplicate content.")),
        answer(403, problem(403, detail="Something nobody has seen yet")),
        answer(403, "<html>Attention required</html>"),
        answer(400, problem(400, detail="Something nobody has seen yet")),
        answer(404, problem(404, "resource-not-found")),
        answer(413, ""),
        answer(302, "", {"location": "https://elsewhere.example"}),
        answer(201, {}),
        answer(200, {"data": {}}),
        answer(201, {"data": {"id": "no number"}}),
        answer(201, {"data": ["1"]}),
        answer(201, "<html></html>"),
    ],
)
def test_every_other_answer_to_the_post_is_unknown(response: httpx.Response) -> None:
    assert isinstance(post_id_of(response, NOW), Unknown)


@pytest.mark.parametrize("history", ["edit_history_tweet_ids", "edit_history_post_ids"])
def test_both_dialects_of_a_success_are_done(history: str) -> None:
    response = answer(201, {"data": {"id": "1860000000000000001", "text": "hi https://t.co/x", history: ["1"]}})
    assert post_id_of(response, NOW) == "1860000000000000001"


@pytest.mark.parametrize("host", ["api.x.com", "api.twitter.com"])
def test_both_dialects_of_a_problem_type_are_read(host: str) -> None:
    assert type(verdict_on("me", answer(429, problem(429, "usage-capped", host)))) is Operator


# --------------------------------------------------------------------------------------------------------- the limits


def limits(**headers: int) -> dict[str, str]:
    return {name.replace("_", "-"): str(value) for name, value in headers.items()}


def stamp(after: timedelta) -> int:
    return int((NOW + after).timestamp())


def wait(headers: dict[str, str]) -> WaitUntil:
    verdict = verdict_on("post", answer(429, problem(429, title="Too Many Requests"), headers))
    assert isinstance(verdict, WaitUntil)
    return verdict


def test_the_short_window_ends_when_its_header_says() -> None:
    verdict = wait(limits(x_rate_limit_remaining=0, x_rate_limit_reset=stamp(timedelta(minutes=7))))
    assert verdict.at == NOW + timedelta(minutes=7)
    assert "15 minutes" in verdict.limit


@pytest.mark.parametrize(("owner", "words"), [("user", "this account's"), ("app", "our app's")])
def test_a_used_up_day_outlasts_a_healthy_short_window(owner: str, words: str) -> None:
    verdict = wait(
        {
            **limits(x_rate_limit_remaining=99, x_rate_limit_reset=stamp(timedelta(minutes=7))),
            f"x-{owner}-limit-24hour-remaining": "0",
            f"x-{owner}-limit-24hour-reset": str(stamp(timedelta(hours=9))),
        }
    )
    assert verdict.at == NOW + timedelta(hours=9)
    assert words in verdict.limit


@pytest.mark.parametrize(("user", "app"), [(9, 3), (3, 9)])
def test_two_used_up_days_are_waited_out_to_the_later(user: int, app: int) -> None:
    days = {"user": user, "app": app}
    verdict = wait(
        {
            f"x-{owner}-limit-24hour-{name}": value
            for owner, hours in days.items()
            for name, value in (("remaining", "0"), ("reset", str(stamp(timedelta(hours=hours)))))
        }
    )
    assert verdict.at == NOW + timedelta(hours=9)
    assert ("this account's" in verdict.limit) == (user > app)


def test_a_healthy_day_does_not_hide_the_short_window() -> None:
    day = limits(x_user_limit_24hour_remaining=5, x_user_limit_24hour_reset=stamp(timedelta(hours=9)))
    assert wait({**limits(x_rate_limit_reset=stamp(timedelta(minutes=2))), **day}).at == NOW + timedelta(minutes=2)


@pytest.mark.parametrize("reset", [None, "soon", "9" * 30, str(10**12)])
def test_a_missing_or_absurd_reset_means_a_quarter_of_an_hour(reset: str | None) -> None:
    assert wait({"x-rate-limit-reset": reset} if reset else {}).at == NOW + timedelta(minutes=15)


def test_a_reset_in_the_past_does_not_become_a_busy_loop() -> None:
    assert wait({"x-rate-limit-reset": str(stamp(timedelta(hours=-1)))}).at > NOW


# ----------------------------------------------------------------------------------------------- repeatable calls


@pytest.mark.parametrize("call", ["append", "finalize", "status"])
def test_media_that_x_no_longer_knows_is_a_dead_handle(call: str) -> None:
    with pytest.raises(HandleDead) as caught:
        body_of(answer(404, problem(404, "resource-not-found")), call, NOW)
    assert isinstance(caught.value.verdict, TryAgain)


@pytest.mark.parametrize("status", [413, 431])
def test_an_edge_that_refuses_a_segment_asks_for_smaller_ones(status: int) -> None:
    assert wants_smaller_pieces(answer(status, ""))
    assert not wants_smaller_pieces(answer(400, ""))


@pytest.mark.parametrize("status", [302, 409, 418, 451])
@pytest.mark.parametrize("body", ["", "<html>Not here</html>", "[]", "null", "{}", '["SECRET"]'])
def test_an_edge_that_says_nothing_in_json_is_a_passing_fault_and_proves_nothing_of_a_send(
    status: int, body: str
) -> None:
    verdict = verdict_on("me", answer(status, body))
    assert (type(verdict), verdict.code) == (TryAgain, "x.unreadable")
    assert str(status) in verdict.detail
    assert "SECRET" not in verdict.detail
    assert isinstance(post_id_of(answer(status, body), NOW), Unknown)


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_status_that_says_enough_needs_no_json(status: int) -> None:
    said = {401: Reconnect, 402: Operator, 429: WaitUntil}[status]
    assert type(verdict_on("me", answer(status, ""))) is said


@pytest.mark.parametrize("response", [answer(418, {"error": "who knows"}), answer(400, {"error": "who knows"})])
def test_an_answer_nobody_listed_is_a_bug_and_shouts(response: httpx.Response) -> None:
    with pytest.raises(UnreadAnswer, match=str(response.status_code)):
        body_of(response, "me", NOW)


def test_a_read_that_answers_200_with_nothing_but_errors_is_a_refusal() -> None:
    inner = {"title": "Not Found Error", "type": "https://api.x.com/2/problems/resource-not-found", "detail": "no user"}
    assert type(verdict_on("timeline", answer(200, {"errors": [inner]}))) is Rejected
    assert verdict_on("timeline", answer(200, {"errors": [inner]})).code == "x.not-found"
    forbidden = {"title": "Forbidden", "type": "https://api.x.com/2/problems/not-authorized-for-resource"}
    assert verdict_on("timeline", answer(200, {"errors": [forbidden]})).code == "x.forbidden"
    partial = {"data": [{"id": "1"}], "errors": [inner]}
    assert body_of(answer(200, partial), "timeline", NOW) == partial


@pytest.mark.parametrize("call", ["append", "revoke"])
def test_a_success_that_has_nothing_to_say_is_one_where_nothing_is_needed(call: str) -> None:
    assert body_of(answer(204, ""), call, NOW) == {}


def test_wrong_app_credentials_stop_the_platform_and_not_the_person() -> None:
    body = {"error": "unauthorized_client", "error_description": "Missing valid authorization header"}
    assert type(verdict_on("token", answer(401, body))) is Operator


def test_a_code_that_waited_too_long_sends_the_person_back() -> None:
    body = {"error": "invalid_request", "error_description": "Value passed for the authorization code was invalid."}
    verdict = verdict_on("token", answer(400, body))
    assert isinstance(verdict, Reconnect)
    assert not verdict.refresh_first


def test_no_secret_reaches_a_verdict_or_an_exception() -> None:
    leak = {"error": "who knows", "access_token": "SECRET-A", "refresh_token": "SECRET-R"}
    with pytest.raises(UnreadAnswer) as caught:
        body_of(answer(400, leak, path="/2/oauth2/token?code=SECRET-C"), "token", NOW)
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in repr(verdict_on("token", answer(500, leak)))


def test_each_rule_talks_to_a_creator_in_plain_words() -> None:
    for rule in RULES:
        assert rule.verdict.text.endswith((".", "X"))
        assert not {"token", "HTTP", "API", "status", "segment", "request"} & set(rule.verdict.text.split())
