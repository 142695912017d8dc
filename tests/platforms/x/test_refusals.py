"""Is every refusal that X is known to give read right where it arrives: over HTTP, by the whole client?"""

import json
from datetime import timedelta
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
    WaitUntil,
)
from autorepost_app.platform_kit.protocol import NotDone, Unknown
from autorepost_app.platforms.x import timeline
from autorepost_app.platforms.x.errors import RULES, UnreadAnswer

TAXONOMY = json.loads((Path(__file__).parent.parent / "errors.json").read_text())
OURS = [rule for rule in TAXONOMY["rules"] if rule["platform"] == "x" and "processing_info.state" not in rule["match"]]

ON_THE_WAY = {
    "credits_depleted": (Operator, "x.credits"),
    "usage_capped": (Operator, "x.usage-cap"),
    "too_many_requests": (WaitUntil, "x.rate-limit"),
    "rate_limit_exceeded": (WaitUntil, "x.rate-limit"),
    "unauthorized": (Reconnect, "x.unauthorized"),
    "client_not_enrolled": (Operator, "x.client-forbidden"),
    "official_client_forbidden": (Operator, "x.client-forbidden"),
    "unsupported_authentication": (Operator, "x.wrong-token-kind"),
    "video_too_long": (Rejected, "x.video-too-long"),
    "not_permitted": (Rejected, "x.not-permitted"),
    "suspended": (Rejected, "x.suspended"),
    "feature_not_permitted": (Rejected, "x.not-permitted"),
    "media_ids_invalid": (TryAgain, "x.media-gone"),
    "invalid_request": (Rejected, "x.invalid-request"),
    "invalid_url": (Rejected, "x.invalid-url"),
    "resource_not_found": (Rejected, "x.not-found"),
    "edge_page": (TryAgain, "x.unreadable"),
    "internal_error": (TryAgain, "x.server-fault"),
    "bad_gateway": (TryAgain, "x.server-fault"),
    "unavailable": (TryAgain, "x.server-fault"),
    "gateway_timeout": (TryAgain, "x.server-fault"),
}
"""On `initialize`, where each of them may be said."""

OF_THE_POST = {
    "duplicate": None,
    "edge_page": None,
    "resource_not_found": None,
    "internal_error": None,
    "bad_gateway": None,
    "unavailable": None,
    "gateway_timeout": None,
    "segment_too_large": None,
    "headers_too_large": None,
    "dead_token": None,
    "dead_code": None,
    "foreign_code": None,
    "redirect_uri": None,
    "unknown_app": None,
    **{name: kind for name, (kind, _) in ON_THE_WAY.items() if not _.endswith(("fault", "unreadable", "not-found"))},
}
"""On the publishing call: the verdict that goes with the proof that nothing happened, or None for no proof."""

AT_SIGN_IN = {
    "dead_token": (Reconnect, "x.dead-refresh-token"),
    "dead_code": (Reconnect, "x.dead-code"),
    "foreign_code": (Reconnect, "x.foreign-code"),
    "redirect_uri": (Operator, "x.redirect-uri"),
    "unknown_app": (Operator, "x.app-credentials"),
    "edge_page": (TryAgain, "x.unreadable"),
    "unavailable": (TryAgain, "x.server-fault"),
    "too_many_requests": (WaitUntil, "x.rate-limit"),
}


@pytest.fixture
def refusals(control: Any) -> dict[str, Any]:
    return dict(control.client.get("/_sandbox/x/refusals").json())


def covers(refusal: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Whether this refusal is one that the rule of the taxonomy speaks of."""
    match, body = rule["match"], refusal["body"] if isinstance(refusal["body"], dict) else {}
    statuses = match.get("http", rule.get("http"))
    said = {
        "title": body.get("title") == match.get("title"),
        "detail": body.get("detail") == match.get("detail"),
        "detail~": str(match.get("detail~")) in body.get("detail", ""),
        "type_tail": body.get("type", "").rpartition("/")[2] == match.get("type_tail"),
        "oauth.error": body.get("error") == match.get("oauth.error"),
        "oauth.error_description": body.get("error_description") == match.get("oauth.error_description"),
        "errors.message": match.get("errors.message") in [each["message"] for each in body.get("errors", ())],
        "http": True,
        "call": True,
    }
    return refusal["status"] in ([statuses] if isinstance(statuses, int) else statuses) and all(
        said[key] for key in match
    )


def test_the_sandbox_can_give_every_refusal_of_the_taxonomy(refusals: dict[str, Any]) -> None:
    for rule in OURS:
        assert any(covers(refusal, rule) for refusal in refusals.values()), rule
    known = ON_THE_WAY.keys() | OF_THE_POST.keys() | AT_SIGN_IN.keys()
    assert refusals.keys() == known, "every refusal is tried somewhere"


def test_every_rule_of_ours_is_met_by_a_refusal_of_the_sandbox() -> None:
    met = {code for _, code in [*ON_THE_WAY.values(), *AT_SIGN_IN.values()]}
    met |= {"x.segment-too-large", "x.duplicate", "x.forbidden"}  # in tests of their own
    assert {f"x.{rule.code}" for rule in RULES} <= met


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_a_refusal_on_the_way_is_read_and_told_in_plain_words(
    publication: Any, control: Any, refusals: dict[str, Any], name: str
) -> None:
    kind, code = ON_THE_WAY[name]
    control.fault("upload.initialize", "error", **refusals[name])
    with pytest.raises(PlatformFault) as caught:
        publication.stage_once()
    verdict = caught.value.verdict
    assert (type(verdict), verdict.code) == (kind, code)
    assert verdict.text
    assert f"POST /x-api/2/media/upload/initialize -> {refusals[name]['status']}" in verdict.detail
    assert publication.delivery.grant.access_token not in str(caught.value)
    if isinstance(verdict, (Rejected, Operator)) and name != "resource_not_found":
        assert verdict.remedy
    assert not isinstance(caught.value, HandleDead) or code == "x.media-gone"


@pytest.mark.parametrize("name", OF_THE_POST)
def test_a_refusal_of_the_post_proves_something_only_where_x_said_so(
    staged: Any, control: Any, refusals: dict[str, Any], name: str
) -> None:
    control.fault("tweets.create", "error", **refusals[name])
    outcome = staged.commit()
    if OF_THE_POST[name] is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, NotDone)
        assert type(outcome.verdict) is OF_THE_POST[name]
        assert outcome.handle_usable == (name != "media_ids_invalid")
    assert control.live() == []


@pytest.mark.parametrize("name", AT_SIGN_IN)
def test_a_refusal_at_the_token_endpoint_is_read(
    parts: Any, connect: Any, control: Any, refusals: dict[str, Any], name: str
) -> None:
    tokens = connect("ada").tokens
    control.fault("token", "error", **refusals[name])
    with pytest.raises(PlatformFault) as caught:
        parts.authoriser.refresh(login="default", tokens=tokens)
    verdict = caught.value.verdict
    assert (type(verdict), verdict.code) == AT_SIGN_IN[name]
    assert str(tokens.refresh_token) not in str(caught.value)


@pytest.mark.parametrize("call", ["upload.append", "upload.finalize", "upload.status"])
@pytest.mark.parametrize("name", ["resource_not_found", "media_ids_invalid"])
def test_media_that_x_no_longer_knows_is_a_dead_handle(
    publication: Any, control: Any, refusals: dict[str, Any], call: str, name: str
) -> None:
    control.fault(call, "error", **refusals[name])
    with pytest.raises(HandleDead) as caught:
        publication.stage()
    assert isinstance(caught.value.verdict, TryAgain)
    assert caught.value.verdict.code == "x.media-gone"


UNREADABLE = ["<html>hello</html>", "", '{"data": {"id": "18600000', "{}"]
INCOMPLETE = ['{"data": {}}', '{"data": []}', '{"data": "1"}']


@pytest.mark.parametrize("body", [*UNREADABLE, *INCOMPLETE])
def test_a_success_that_cannot_be_read_is_no_success(publication: Any, control: Any, body: str) -> None:
    control.fault("upload.initialize", "error", status=200, body=body)
    with pytest.raises(PlatformFault if body in UNREADABLE else UnreadAnswer) as caught:
        publication.stage_once()
    assert "x.unreadable" in str(caught.value) or body in INCOMPLETE
    publication.stage()
    control.fault("tweets.create", "error", status=201, body=body)
    assert isinstance(publication.commit(), Unknown)


@pytest.mark.parametrize("body", [*UNREADABLE, *INCOMPLETE])
def test_a_list_that_cannot_be_read_proves_no_absence(publication: Any, control: Any, body: str) -> None:
    control.fault("timeline", "error", status=200, body=body)
    with pytest.raises(PlatformFault if body in UNREADABLE else UnreadAnswer):
        publication.destination.search(publication.delivery, control.now() - timedelta(hours=1))


# --------------------------------------------------------------------------------------------------- the same words


@pytest.fixture
def other_post(control: Any, publication: Any) -> Any:
    """Something that the account posts by itself."""

    def post(text: str) -> str:
        answer = control.client.post(
            f"{control.hosts['X_API_URL']}/2/tweets",
            json={"text": text},
            headers={"Authorization": f"Bearer {publication.delivery.grant.access_token}"},
        )
        return str(answer.json()["data"]["id"])

    return post


def test_words_that_the_owner_posted_before_are_refused_with_a_remedy(
    publication: Any, control: Any, other_post: Any
) -> None:
    other_post(publication.delivery.text.body)
    publication.stage()
    outcome = publication.commit()
    assert isinstance(outcome, NotDone)
    assert isinstance(outcome.verdict, Rejected)
    assert outcome.verdict.code == "x.said-before"
    assert "words" in outcome.verdict.text
    assert outcome.verdict.remedy
    assert len(control.live()) == 1


def test_the_same_refusal_after_an_earlier_send_speaks_for_that_send(
    publication: Any, control: Any, other_post: Any
) -> None:
    other_post(publication.delivery.text.body)
    publication.stage()
    control.fault("tweets.create", "reset_after_body")
    assert isinstance(publication.commit(), Unknown)
    reads = len(control.calls("timeline"))
    assert isinstance(publication.commit(), Unknown)
    assert len(control.calls("timeline")) == reads


def test_a_first_send_that_came_through_though_x_called_it_a_duplicate_is_looked_into(
    staged: Any, control: Any
) -> None:
    control.fault("tweets.create", "client_error_although_done")
    assert isinstance(staged.commit(), Unknown)
    assert len(control.live()) == 1
    assert staged.find().external_id == control.live()[0]["id"]


@pytest.mark.parametrize(("minutes", "outcome"), [(1, NotDone), (11, Unknown)])
def test_only_a_post_of_the_last_hours_explains_the_refusal(
    publication: Any, control: Any, other_post: Any, monkeypatch: pytest.MonkeyPatch, minutes: int, outcome: type
) -> None:
    monkeypatch.setattr(timeline, "DUPLICATE_LOOK_BACK", timedelta(minutes=10))
    other_post(publication.delivery.text.body)
    publication.stage()
    control.advance(minutes * 60)
    assert type(publication.commit()) is outcome


@pytest.mark.parametrize("broken", [{"fault": "read_error"}, {"fault": "error", "status": 418, "body": {"no": "tea"}}])
def test_a_look_that_fails_leaves_the_question_open(
    publication: Any, control: Any, other_post: Any, broken: dict[str, Any]
) -> None:
    other_post(publication.delivery.text.body)
    publication.stage()
    control.fault("timeline", **broken)
    assert isinstance(publication.commit(), Unknown)
    assert len(control.live()) == 1
