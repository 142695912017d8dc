"""Does every rule of the reference reach the creator in words when YouTube really answers that way?

The sandbox gives each answer on the wire, the whole client reads it. (`test_errors` reads the same rules without one.)
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from autorepost_app.domain.clock import utc_now
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
from autorepost_app.platform_kit.protocol import Absent, Done, Live, NotDone, NotReady, Staged, Undecided, Unknown

Rule = dict[str, Any]
RULES: list[Rule] = [
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
}
NOT_TOLD = ("403", "401", "400", "HTTP", "errors[0]", "quotaExceeded", "token", "OAuth", "JSON")
"""Words that no creator should have to read."""


def reasons(key: str) -> Iterator[tuple[str, Rule]]:
    for rule in RULES:
        found = rule["match"].get(key, [])
        yield from ((reason, rule) for reason in ([found] if isinstance(found, str) else found))


def numbers(key: str) -> list[int]:
    return [number for rule in RULES for number in rule["match"].get(key, [])]


REFUSALS = list(reasons("errors.0.reason"))
AFTERWARDS = [*reasons("status.rejectionReason"), *reasons("status.failureReason")]


def test_no_rule_of_the_reference_is_left_out() -> None:
    keys = ("errors.0.reason", "oauth.error", "session", "http", "status.rejectionReason", "status.failureReason")
    covered = [rule for rule in RULES if any(key in rule["match"] for key in keys)]
    assert len(covered) == len(RULES) == 15
    assert len(REFUSALS) == 23
    assert len(AFTERWARDS) == 16


def assert_told(fault: PlatformFault, rule: Rule, channel: Any) -> None:
    verdict = fault.verdict
    assert type(verdict) is MEANING[rule["class"]]
    assert verdict.text.endswith(".")
    assert not [word for word in NOT_TOLD if word in verdict.text]
    assert verdict.detail, "the operator sees the exchange"
    assert " -> " in verdict.detail
    for secret in (channel.grant.access_token, channel.handles.get("session_uri", channel.grant.access_token)):
        assert secret not in str(fault) + repr(verdict)
    if isinstance(verdict, Rejected):
        assert verdict.remedy.endswith(".")
    if isinstance(verdict, Reconnect):
        assert verdict.refresh_first == (rule["class"] == "refresh_then_reauth")
    if isinstance(verdict, WaitUntil):
        assert timedelta(0) < verdict.at - utc_now() <= timedelta(hours=25)
        assert verdict.limit


@pytest.mark.parametrize(("reason", "rule"), REFUSALS)
def test_a_refusal_means_the_same_wherever_it_comes(big_channel: Any, reason: str, rule: Rule) -> None:
    channel, refusal = big_channel, big_channel.control.refusals()[reason]
    assert refusal["status"] == rule["http"]
    channel.control.upload("Something")
    for call, step in {
        "session.start": channel.stage_once,
        "session.put": channel.stage_once,
        "session.query": channel.check,
        "playlistItems.list": channel.find,
        "videos.list": channel.find,
    }.items():
        channel.control.fault(call, "error", **refusal)
        with pytest.raises(PlatformFault) as caught:
            step()
        assert_told(caught.value, rule, channel)
        assert caught.value.verdict.code == f"youtube.{reason}"
    assert len(channel.control.live()) == 1, "nothing beside the owner's own"


@pytest.mark.parametrize(("reason", "rule"), REFUSALS)
def test_a_refusal_of_the_last_part_is_final_only_when_the_session_says_so(
    channel: Any, reason: str, rule: Rule
) -> None:
    channel.stage()
    channel.control.fault("insert.last", "error", **channel.control.refusals()[reason])
    outcome = channel.commit()
    assert isinstance(outcome, Unknown if rule["class"] == "permanent" else NotDone)
    assert channel.handles["session_uri"] not in repr(outcome)
    found = channel.check()
    assert isinstance(found, Absent)
    assert found.handle_usable
    assert isinstance(channel.stage(), Staged)
    assert isinstance(channel.commit(), Done)
    assert len(channel.control.live()) == 1


@pytest.mark.parametrize("reason", [reason for reason, _rule in reasons("oauth.error")])
def test_a_refusal_of_the_token_endpoint_asks_to_connect_again(
    control: Any, connect: Any, parts: Any, reason: str
) -> None:
    control.account("ada")
    tokens = connect("ada").tokens
    control.fault("token.refresh", "error", **control.refusals()[reason])
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    assert isinstance(caught.value.verdict, Reconnect)
    assert not caught.value.verdict.refresh_first


@pytest.mark.parametrize("status", numbers("session"))
@pytest.mark.parametrize("sent", [False, True])
def test_a_session_that_is_gone_is_settled_by_the_channels_uploads(channel: Any, status: int, sent: bool) -> None:
    channel.stage()
    if sent:
        channel.control.fault("insert.last", "commit_then_reset")
        assert isinstance(channel.commit(), Unknown)
    channel.control.fault("session.query", "error", status=status, body="", count=None)
    found = channel.check()
    assert isinstance(found, Live if sent else Undecided)
    if sent:
        assert channel.stage_once() == found
    else:
        with pytest.raises(HandleDead) as caught:
            channel.stage_once()
        assert isinstance(caught.value.verdict, TryAgain)
    assert len(channel.control.live()) == sent


@pytest.mark.parametrize("status", numbers("http"))
@pytest.mark.parametrize("body", ["<html>Error</html>", "", {"error": {"code": 500, "message": "Backend Error"}}])
def test_a_platform_in_trouble_is_asked_again_and_the_upload_goes_on(
    big_channel: Any, status: int, body: object
) -> None:
    assert isinstance(big_channel.stage_once(), NotReady)
    for call in ("session.query", "session.put"):
        big_channel.control.fault(call, "error", status=status, body=body, headers={"Retry-After": "11"})
        with pytest.raises(PlatformFault) as caught:
            big_channel.stage_once()
        verdict = caught.value.verdict
        assert isinstance(verdict, TryAgain)
        assert verdict.after_seconds == 11
        assert verdict.code == f"youtube.http_{status}"
    big_channel.stage()
    assert isinstance(big_channel.commit(), Done)
    assert big_channel.control.calls().count("session.start") == 1


@pytest.mark.parametrize(("reason", "rule"), AFTERWARDS)
def test_what_becomes_of_a_video_is_told_when_youtube_has_looked_at_it(channel: Any, reason: str, rule: Rule) -> None:
    channel.stage()
    channel.control.fault("insert.last", "processing_failed", reason=reason)
    outcome = channel.commit()
    assert isinstance(outcome, Done), "it is published whatever follows"
    channel.later(60)
    (note,) = channel.finish(outcome.external_id)
    assert note.endswith(".")
    assert reason not in note or reason in ("copyright", "duplicate", "claim", "trademark", "inappropriate", "legal")
    assert not [word for word in NOT_TOLD if word in note]


@pytest.mark.parametrize("reason", ["accessNotConfigured"])
def test_a_project_without_the_api_is_for_the_operator(channel: Any, reason: str) -> None:
    channel.control.fault("session.start", "error", **channel.control.refusals()[reason])
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    assert isinstance(caught.value.verdict, Operator)
    assert "Enable the YouTube Data API" in caught.value.verdict.remedy


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 200, "body": '{"kind": "youtube#', "headers": {}},
        {"status": 403, "body": "<html>Blocked by the office</html>", "headers": {}},
        {"status": 404, "body": "<html>Error 404 (Not Found)!!1</html>", "headers": {}},
    ],
)
def test_what_is_not_the_apis_own_answer_is_asked_for_again(channel: Any, fault: dict[str, Any]) -> None:
    channel.control.upload("Something")
    channel.control.fault("videos.list", "error", **fault)
    with pytest.raises(PlatformFault) as caught:
        channel.find()
    assert isinstance(caught.value.verdict, TryAgain)
    assert "stands between us" in caught.value.verdict.text
