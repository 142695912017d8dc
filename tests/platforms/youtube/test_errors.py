"""Does every rule of the reference give its verdict, and does nothing else pass for one?"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from autorepost_app.domain.errors import Operator, PlatformFault, Reconnect, Rejected, TryAgain, Verdict, WaitUntil
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.youtube.errors import (
    Finished,
    Gone,
    Unfinished,
    UnreadAnswer,
    commit_outcome,
    processing_verdict,
    refusal,
    upload_state,
)
from autorepost_app.platforms.youtube.rules import next_midnight

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
TOTAL = 1000
RULES = [
    rule
    for rule in json.loads((Path(__file__).parent.parent / "errors.json").read_text())["rules"]
    if rule["platform"] == "youtube"
]
MEANING: dict[str, type[Verdict]] = {
    "reauth": Reconnect,
    "refresh_then_reauth": Reconnect,
    "permanent": Rejected,
    "wait": WaitUntil,
    "retry": TryAgain,
    "resume": TryAgain,
    "transcode": Rejected,
}


def answer(status: int, body: object = None, headers: dict[str, str] | None = None) -> httpx.Response:
    request = httpx.Request("PUT", "https://www.googleapis.com/upload/youtube/v3/videos?upload_id=SECRET-SESSION")
    return httpx.Response(status, json=body, headers=headers, request=request)


def error(status: int, reason: str) -> httpx.Response:
    errors = [{"message": "m", "domain": "youtube.video", "reason": reason}]
    return answer(status, {"error": {"code": status, "message": "m", "errors": errors}})


def verdict_of(response: httpx.Response) -> Verdict:
    return refusal(response, NOW).verdict


def _refusals() -> list[tuple[int, str, str]]:
    return [
        (rule["http"], reason, rule["class"]) for rule in RULES for reason in rule["match"].get("errors.0.reason", [])
    ]


def _afterwards() -> list[tuple[dict[str, str], str]]:
    found = []
    for rule in RULES:
        for field in ("rejectionReason", "failureReason"):
            reasons = rule["match"].get(f"status.{field}", [])
            for reason in [reasons] if isinstance(reasons, str) else reasons:
                upload = rule["match"].get("status.uploadStatus", "failed")
                found.append(({"uploadStatus": upload, field: reason}, rule["class"]))
    return found


def test_the_reference_is_covered_whole() -> None:
    by_http = [r for r in RULES if "session" in r["match"] or "http" in r["match"] or "oauth.error" in r["match"]]
    in_tables = [r for r in RULES if any(key.startswith(("errors.0", "status.")) for key in r["match"])]
    assert len(by_http) + len(in_tables) == len(RULES) == 15
    assert len(_refusals()) > 20
    assert len(_afterwards()) == 16


@pytest.mark.parametrize(("status", "reason", "kind"), _refusals())
def test_each_refusal_becomes_its_verdict(status: int, reason: str, kind: str) -> None:
    verdict = verdict_of(error(status, reason))
    assert type(verdict) is MEANING[kind]
    assert verdict.code == f"youtube.{reason}"
    assert verdict.text.endswith(".")
    if isinstance(verdict, Reconnect):
        assert verdict.refresh_first == (kind == "refresh_then_reauth")
    if isinstance(verdict, Rejected):
        assert verdict.remedy


@pytest.mark.parametrize(("status", "kind"), _afterwards())
def test_what_becomes_of_a_video_later_is_told_in_words(status: dict[str, str], kind: str) -> None:
    verdict = processing_verdict(status)
    assert type(verdict) is MEANING[kind]


def test_a_reason_newer_than_our_list_is_passed_on_as_it_is() -> None:
    verdict = processing_verdict({"uploadStatus": "rejected", "rejectionReason": "brandNew"})
    assert isinstance(verdict, Rejected)
    assert "brandNew" in verdict.text
    assert verdict.remedy


@pytest.mark.parametrize("upload", ["uploaded", "processed"])
def test_a_video_in_good_health_gives_no_verdict(upload: str) -> None:
    assert processing_verdict({"uploadStatus": upload}) is None


def test_a_reason_nobody_listed_is_a_bug_and_not_a_guess() -> None:
    with pytest.raises(UnreadAnswer):
        refusal(error(400, "brandNew"), NOW)
    with pytest.raises(UnreadAnswer):
        refusal(error(403, "invalidTitle"), NOW)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_platform_is_asked_again(status: int) -> None:
    response = httpx.Response(
        status, text="<html>", headers={"Retry-After": "17"}, request=httpx.Request("GET", "https://a.b/c")
    )
    verdict = verdict_of(response)
    assert isinstance(verdict, TryAgain)
    assert verdict.after_seconds == 17


def test_a_dead_grant_asks_to_connect_again() -> None:
    verdict = verdict_of(answer(400, {"error": "invalid_grant", "error_description": "Token has been expired."}))
    assert isinstance(verdict, Reconnect)
    assert not verdict.refresh_first


@pytest.mark.parametrize(("status", "name"), [(401, "invalid_client"), (400, "redirect_uri_mismatch")])
def test_a_wrong_registration_is_for_the_operator(status: int, name: str) -> None:
    verdict = verdict_of(answer(status, {"error": name}))
    assert isinstance(verdict, Operator)
    assert "client id" in verdict.remedy


def test_newer_front_ends_name_the_reason_in_details() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
    body = {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [detail]}}
    assert isinstance(verdict_of(answer(403, body)), Reconnect)
    assert isinstance(verdict_of(answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})), Reconnect)


def test_the_precise_reason_wins_over_the_general_status() -> None:
    body = {"error": {"code": 401, "status": "UNAUTHENTICATED", "errors": [{"reason": "youtubeSignupRequired"}]}}
    assert isinstance(verdict_of(answer(401, body)), Rejected)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 11, 23, 15, 0, tzinfo=UTC), datetime(2026, 11, 24, 8, 0, tzinfo=UTC)),
        (datetime(2026, 11, 24, 7, 59, tzinfo=UTC), datetime(2026, 11, 24, 8, 0, tzinfo=UTC)),
        (datetime(2026, 11, 24, 8, 0, tzinfo=UTC), datetime(2026, 11, 25, 8, 0, tzinfo=UTC)),
        (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), datetime(2026, 7, 2, 7, 0, tzinfo=UTC)),
        (datetime(2026, 10, 31, 12, 0, tzinfo=UTC), datetime(2026, 11, 1, 7, 0, tzinfo=UTC)),
        (datetime(2026, 11, 1, 12, 0, tzinfo=UTC), datetime(2026, 11, 2, 8, 0, tzinfo=UTC)),
    ],
)
def test_the_daily_quota_starts_anew_at_midnight_pacific_through_summer_time(now: datetime, expected: datetime) -> None:
    assert next_midnight(now) == expected
    verdict = refusal(error(403, "quotaExceeded"), now).verdict
    assert isinstance(verdict, WaitUntil)
    assert verdict.at == expected


def test_a_channels_own_limit_clears_within_a_day() -> None:
    verdict = verdict_of(error(400, "uploadLimitExceeded"))
    assert isinstance(verdict, WaitUntil)
    assert verdict.at == NOW + timedelta(hours=24)


# ------------------------------------------------------------------------------------------------- asking a session


@pytest.mark.parametrize(("header", "received"), [("bytes=0-524287", 524288), ("0-99", 100), (None, 0), ("junk", 0)])
def test_an_open_session_tells_how_much_it_holds(header: str | None, received: int) -> None:
    headers = {"Range": header} if header else {}
    assert upload_state(answer(308, None, headers), NOW) == Unfinished(received)


@pytest.mark.parametrize("status", [200, 201])
def test_a_finished_session_names_its_video(status: int) -> None:
    assert upload_state(answer(status, {"id": "VID"}), NOW) == Finished("VID")


@pytest.mark.parametrize("status", [404, 410])
def test_a_forgotten_session_is_gone_and_its_address_stays_secret(status: int) -> None:
    state = upload_state(answer(status), NOW)
    assert isinstance(state, Gone)
    assert "SECRET" not in repr(state)


def test_a_session_that_cannot_answer_is_a_fault_not_a_state() -> None:
    with pytest.raises(PlatformFault) as caught:
        upload_state(answer(503), NOW)
    assert isinstance(caught.value.verdict, TryAgain)


# ------------------------------------------------------------------------------------- what a commit's answer proves


@pytest.mark.parametrize("status", [200, 201])
def test_a_video_id_is_proof(status: int) -> None:
    assert isinstance(commit_outcome(answer(status, {"id": "VID"}), TOTAL, NOW), Finished)


@pytest.mark.parametrize("body", [None, {}, {"id": ""}, {"id": 7}, []])
def test_success_without_an_id_proves_nothing(body: object) -> None:
    assert isinstance(commit_outcome(answer(200, body), TOTAL, NOW), Unknown)


def test_missing_bytes_prove_that_nothing_was_published() -> None:
    outcome = commit_outcome(answer(308, None, {"Range": "bytes=0-511"}), TOTAL, NOW)
    assert isinstance(outcome, NotDone)
    assert outcome.handle_usable
    assert isinstance(outcome.verdict, TryAgain)


def test_a_session_holding_every_byte_proves_nothing() -> None:
    assert isinstance(commit_outcome(answer(308, None, {"Range": f"bytes=0-{TOTAL - 1}"}), TOTAL, NOW), Unknown)


@pytest.mark.parametrize("status", [302, 400, 403, 404, 408, 409, 410, 425, 499, 500, 502, 503, 504, 520])
def test_any_unlisted_answer_leaves_the_outcome_open(status: int) -> None:
    outcome = commit_outcome(answer(status, {"error": {"code": status}}), TOTAL, NOW)
    assert isinstance(outcome, Unknown)
    assert "SECRET" not in repr(outcome)


def test_too_many_requests_is_a_refusal_at_google() -> None:
    outcome = commit_outcome(answer(429), TOTAL, NOW)
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, TryAgain)


@pytest.mark.parametrize(("status", "reason", "kind"), _refusals())
def test_at_the_last_part_only_refusals_we_can_go_on_from_count_as_not_done(
    status: int, reason: str, kind: str
) -> None:
    outcome = commit_outcome(error(status, reason), TOTAL, NOW)
    if kind == "permanent":
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, NotDone)
        assert outcome.handle_usable
        assert type(outcome.verdict) is MEANING[kind]
