"""Every documented refusal, given by the sandbox and read by our client over HTTP: who is told what, what happens next.

The sandbox's table and the table of rules (tests/platforms/errors.json) were written from the documents apart from the
client's. A rule that no refusal of the sandbox matches, or a refusal that no rule covers, fails here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from autorepost_app.sandbox.instagram.refusals import REFUSALS

TABLE = Path(__file__).parents[1] / "errors.json"
RULES = [
    rule
    for rule in json.loads(TABLE.read_text())["rules"]
    if rule["platform"] == "instagram" and any(name.startswith("error.") for name in rule["match"])
]
VERDICTS: dict[str, type[Verdict]] = {
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
OUR_REGISTRATION = {"wrong_app_secret", "wrong_proof"}
"""What no rule of the table is about, because no creator can be told anything about it."""
PROVES_NOTHING_HAPPENED = {"daily posts used up", "account restricted", "media not ready"}
FAILED_MEDIA = {
    2207003: TryAgain,
    2207026: Rejected,
    2207009: Rejected,
    2207052: TryAgain,
    2207053: TryAgain,
    2207057: Rejected,
    2207004: Rejected,
    2207005: Rejected,
    2207077: TryAgain,
    2207082: TryAgain,
}

every_refusal = pytest.mark.parametrize("name", sorted(REFUSALS))


def rule_of(name: str) -> dict[str, Any] | None:
    """The first documented rule that this refusal of the sandbox falls under."""
    error = REFUSALS[name].as_fault()["body"]["error"]
    return next((rule for rule in RULES if all(holds(error, *pair) for pair in rule["match"].items())), None)


def holds(error: dict[str, Any], name: str, wanted: Any) -> bool:
    value = error.get(name.removeprefix("error."))
    return value in codes(wanted) if name == "error.code" else value == wanted


def codes(wanted: Any) -> Iterator[int]:
    """A number, a list of numbers, or pairs in it that are the ends of a range."""
    for each in wanted if isinstance(wanted, list) else [wanted]:
        yield from range(each[0], each[1] + 1) if isinstance(each, list) else (each,)


def expected(name: str) -> type[Verdict]:
    rule = rule_of(name)
    return VERDICTS[rule["class"]] if rule else Operator


def test_the_sandbox_can_give_every_documented_refusal_and_no_other() -> None:
    given = [rule_of(name) for name in REFUSALS]
    assert all(rule in given for rule in RULES)
    assert {name for name in REFUSALS if rule_of(name) is None} == OUR_REGISTRATION


@pytest.fixture
def refuse(shared: Any) -> Callable[[str, str], None]:
    """`refuse("media_publish", "policy_block")`: the next such call is refused in that documented way."""
    documented = shared.ask("GET", "/instagram/refusals")

    def refuse(call: str, name: str) -> None:
        shared.fault(call, "error", **documented[name])

    return refuse


@every_refusal
def test_each_refusal_of_a_container_is_understood(
    name: str, refuse: Callable[[str, str], None], shared_publication: Callable[..., Any]
) -> None:
    publication = shared_publication()
    refuse("container.create", name)
    with pytest.raises(PlatformFault) as caught:
        publication.stage_once()
    verdict = caught.value.verdict
    assert type(verdict) is expected(name)
    assert publication.handles == {}
    assert_worth_reading(verdict, name, publication)


def assert_worth_reading(verdict: Verdict, name: str, publication: Any) -> None:
    """Plain words for the creator, the raw exchange for the operator, secrets for nobody."""
    code = str(REFUSALS[name].code)
    assert verdict.text.endswith(".")
    assert code not in verdict.text
    assert "POST /" in verdict.detail
    assert code in verdict.detail
    assert verdict.code.startswith("instagram.")
    assert publication.delivery.grant.access_token not in repr(verdict)
    assert "signature=abc" not in repr(verdict)
    if isinstance(verdict, Rejected | Operator):
        assert verdict.remedy.endswith(".")


@every_refusal
def test_each_refusal_of_the_commit_proves_what_the_documents_say_and_no_more(
    name: str, refuse: Callable[[str, str], None], shared_publication: Callable[..., Any]
) -> None:
    publication = shared_publication()
    publication.handles["container_id"] = "17900000000000000"
    refuse("media_publish", name)
    outcome = publication.commit()
    rule, below_500 = rule_of(name), REFUSALS[name].status < 500
    proven = rule is not None and (rule["class"] == "reauth" or rule.get("note") in PROVES_NOTHING_HAPPENED)
    if proven and below_500:
        assert isinstance(outcome, NotDone)
        assert outcome.handle_usable
        assert type(outcome.verdict) is expected(name)
    else:
        assert isinstance(outcome, Unknown)
        assert str(REFUSALS[name].code) in outcome.detail
    assert publication.delivery.grant.access_token not in repr(outcome)


@every_refusal
def test_each_refusal_of_a_read_is_a_fault_and_never_a_finding(
    name: str, refuse: Callable[[str, str], None], shared_publication: Callable[..., Any], shared: Any
) -> None:
    publication = shared_publication()
    refuse("media.list", name)
    with pytest.raises(PlatformFault) as caught:
        publication.search(shared.now())
    assert type(caught.value.verdict) is expected(name)


@pytest.mark.parametrize(("subcode", "kind"), FAILED_MEDIA.items())
def test_each_way_for_a_container_to_fail_is_told_from_its_state(
    subcode: int, kind: type[Verdict], shared_publication: Callable[..., Any], shared: Any
) -> None:
    publication = shared_publication()
    shared.fault("container.create", "processing_failed", reason=str(subcode))
    with pytest.raises(HandleDead) as caught:
        publication.stage()
    assert type(caught.value.verdict) is kind
    assert str(subcode) in caught.value.verdict.detail
    assert str(subcode) not in caught.value.verdict.text


def test_a_limit_waits_exactly_as_long_as_the_header_says(
    refuse: Callable[[str, str], None], shared_publication: Callable[..., Any], shared: Any
) -> None:
    publication = shared_publication()
    shared.fault("container.create", "rate_limited", seconds=17 * 60)
    with pytest.raises(PlatformFault) as caught:
        publication.stage_once()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert 16.9 * 60 < (verdict.at - shared.now()).total_seconds() <= 17 * 60


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_a_proof_by_the_wrong_secret_is_for_the_operator(login: str, shared_publication: Callable[..., Any]) -> None:
    publication = shared_publication(login)
    graph = replace(publication.destination.graphs[login], proof_secret="wr0ng")
    publication.destination = replace(publication.destination, graphs={login: graph})
    with pytest.raises(PlatformFault) as caught:
        publication.stage_once()
    assert isinstance(caught.value.verdict, Operator)
    assert "wr0ng" not in repr(caught.value)
