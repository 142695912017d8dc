"""Does a receipt tell what was done, in the order in which it happened, with its proof and without a secret?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import pytest

from autorepost_app.domain.publications import State
from autorepost_app.services import connect, dead_letters, deliveries, links, people, record, rules, tokens
from autorepost_app.services.receipts import Receipt

SHORTEST = 12
"""What is shorter is no secret but a word that may stand anywhere."""


def receipt(world: Any, platform: str = "x") -> Receipt:
    return record.receipt(world.house, world.scope, world.publication(platform).id)


def of(told: Receipt, what: str) -> list[str]:
    return [line.text for line in told.lines if line.what == what]


@pytest.fixture
def undecided(ready: Callable[..., Any], sandbox: Any) -> Any:
    """The send to X was done, had no answer, and reads cannot decide."""
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    sandbox.fault("x", "timeline", "read_error", count=None)
    assert world.settle("x").state == State.NEEDS_REVIEW
    sandbox.control("DELETE", "/faults")
    return world


def test_a_receipt_tells_the_whole_way_in_its_order(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    row = world.settle("x")

    told = receipt(world)

    assert [line.what for line in told.lines] == [
        *("found", "promise", "file", "rendition", "attempt", "intent"),
        *("answer", "evidence", "live"),
    ]
    assert [line.at for line in told.lines] == sorted(line.at for line in told.lines)
    assert all(line.at.tzinfo is not None for line in told.lines)
    assert of(told, "promise") == [f"Promised for X @{sandbox.handle} by the rule “all”."]
    [story] = record.recent(world.house, world.scope)
    assert story.original is not None
    assert story.original.sha256 in of(told, "file")[0]
    assert of(told, "rendition")[0].startswith("Chosen for it: ")
    assert (told.url, told.external_id, told.state) == (row.url, row.external_id, State.PUBLISHED)
    assert of(told, "live") == [f"Live on X: {row.url}."]


def test_it_is_said_in_one_sentence_who_confirmed_which_post_and_when(ready: Callable[..., Any]) -> None:
    world = ready("x")
    row = world.settle("x")
    at = row.published_at.astimezone(UTC)

    assert receipt(world).proof == f"Published: X confirmed post {row.external_id} {at:%Y-%m-%d %H:%M:%S} UTC."


def test_what_was_only_seen_is_not_called_confirmed(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    row = world.settle("x")

    told = receipt(world)

    assert told.proof.startswith(f"Published: X showed post {row.external_id} 20")
    assert told.proof.endswith(", seen by a read of ours.")
    assert [text.split(",")[0] for text in of(told, "evidence")] == ["Unclear whether it happened", "It is live"]


def test_what_a_person_has_seen_is_their_word_with_its_link(undecided: Any) -> None:
    people.settle_live(undecided.house, undecided.scope, undecided.publication("x").id, "https://x.com/mia/status/1")

    told = receipt(undecided)

    assert told.proof.startswith("Published: a person saw https://x.com/mia/status/1 20")
    assert of(told, "decision") == ["The publication on X is live. By mia."]


def test_what_failed_says_that_nothing_is_live_and_why(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    sandbox.fault("x", "upload.finalize", "processing_failed", reason="InvalidMedia", count=None)
    row = world.settle("x")

    told = receipt(world)

    assert told.proof.startswith("Failed: nothing is live on X, because nothing was sent (our worker, 20")
    assert row.reason.rstrip(".") in told.proof
    assert of(told, "end") == [f"{row.reason} {row.remedy}".strip()]
    assert of(told, "answer") == ["Attempt 1 ended: what was staged could no longer be used."]
    assert any("Rejected" in line.detail for line in told.lines), "the verdict as it was read"


def test_what_nobody_could_decide_says_since_when_and_whose_turn_it_is(undecided: Any) -> None:
    told = receipt(undecided)
    assert told.proof.startswith("Undecided: X cannot tell whether it is live; sent 20")
    assert told.proof.endswith("A person has to look.")

    people.drop(undecided.house, undecided.scope, undecided.publication("x").id)

    dropped = receipt(undecided)
    assert dropped.proof.startswith("Left undecided 20")
    assert of(dropped, "decision") == ["The publication on X is left as it is. By mia."]
    assert dropped.lines[: len(told.lines) - 1] == told.lines[:-1], "what it said once it says for ever"


def test_what_is_on_its_way_says_whether_anything_was_sent(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x", "youtube")
    assert receipt(world).proof == "On its way: nothing was ever sent."
    sandbox.fault("x", "tweets.create", "commit_then_reset")
    world.settle("x", State.UNKNOWN)
    assert receipt(world).proof.endswith("and looked for by reads only.")

    world.cancel("youtube")

    cancelled = receipt(world, "youtube")
    assert cancelled.proof.startswith("Cancelled 20")
    assert cancelled.proof.endswith(": nothing was ever sent.")


def test_a_wait_stands_where_it_was_waited(ready: Callable[..., Any], sandbox: Any) -> None:
    world = ready("x")
    sandbox.fault("x", "upload.initialize", "error", status=503, body={"title": "Service Unavailable"})
    world.settle("x")

    whats = [line.what for line in receipt(world).lines]

    assert whats.index("attempt") < whats.index("wait") < whats.index("live")


def test_what_a_rule_left_out_has_a_receipt_too(world: Any, sandbox: Any) -> None:
    source, x = world.connect("tiktok"), world.connect("x")
    world.rule(source, x)
    sandbox.post()
    connect.disconnect(world.house, world.scope, x.id)
    world.detect()

    told = receipt(world)

    assert told.proof == f"Left out: Left out because @{sandbox.handle} was disconnected when it was found."
    assert [line.what for line in told.lines] == ["found", "promise", "end"]


def test_a_rule_that_was_deleted_is_still_named(ready: Callable[..., Any]) -> None:
    world = ready("x")
    world.settle("x")
    rules.delete(world.house, world.scope, world.publication("x").rule_id)

    assert "by the rule “all”" in of(receipt(world), "promise")[0]


def test_a_post_has_a_receipt_for_each_of_its_publications(ready: Callable[..., Any]) -> None:
    world = ready("x", "youtube")
    told = record.receipts(world.house, world.scope, world.story().post.id)
    assert {each.platform for each in told} == {"x", "youtube"}
    assert told[0] == record.receipt(world.house, world.scope, told[0].publication_id)


def test_another_tenant_is_given_no_receipt(ready: Callable[..., Any], other_tenant: Any) -> None:
    world = ready("x")
    for ask, about in (
        (record.receipt, world.publication("x").id),
        (record.trail, world.publication("x").id),
        (record.receipts, world.story().post.id),
    ):
        with pytest.raises(KeyError):
            ask(world.house, other_tenant.scope, about)


# ----------------------------------------------------------------------------------------------------------- no secrets


def _secrets(world: Any) -> Iterator[str]:
    """Every secret that this house holds or hands out, whole."""
    yield from (value for name, value in world.sandbox.apps.items() if "SECRET" in name)
    for connection in connect.connections_of(world.house, world.scope):
        held = tokens.open_tokens(world.house, connection)
        yield held.access_token
        if held.refresh_token:
            yield held.refresh_token
    for row in world.story().publications:
        hidden = world.house.platforms.destination_spec(row.platform).secret_handles
        for attempt in record.trail(world.house, world.scope, row.id).attempts:
            handles = deliveries.open_handles(world.house, attempt)
            yield from (value for name, value in handles.items() if name in hidden)


def _everything_shown(world: Any) -> str:
    told = [record.receipt(world.house, world.scope, row.id) for row in world.story().publications]
    groups = dead_letters.waiting(world.house, world.scope)
    members = [dead_letters.letters(world.house, world.scope, group.key) for group in groups]
    lines = [line for each in told for line in each.lines]
    return "\n".join(map(repr, [told, lines, groups, members, [each.lines for some in members for each in some]]))


def test_no_secret_stands_in_a_receipt_of_the_whole_way(ready: Callable[..., Any]) -> None:
    world = ready()
    for platform in world.house.platforms.destinations():
        assert world.settle(platform).state == State.PUBLISHED

    shown, secrets = _everything_shown(world), list(_secrets(world))

    assert len(secrets) > 8
    assert all(len(secret) >= SHORTEST for secret in secrets)
    assert [secret for secret in secrets if secret in shown] == []
    assert links.PATH not in shown, "an address of a file, signed"


@pytest.mark.parametrize(
    "said",
    ["access_token={token}&more=1", '{{"access_token":"{token}"}}', "Authorization: Bearer {token}", "token={token}"],
)
def test_a_platform_that_repeats_our_token_in_its_refusal_does_not_make_us_show_it(
    ready: Callable[..., Any], sandbox: Any, said: str
) -> None:
    world = ready("x")
    [x] = [row for row in connect.connections_of(world.house, world.scope) if row.platform == "x"]
    token = tokens.open_tokens(world.house, x).access_token
    body = {"title": "Invalid Request", "detail": said.format(token=token), "type": "about:blank", "status": 400}
    sandbox.fault("x", "tweets.create", "error", status=400, body=body, count=None)
    assert world.settle("x").state in (State.FAILED, State.NEEDS_REVIEW)

    shown = _everything_shown(world)

    assert "Invalid Request" in shown, "what it said is shown"
    assert token not in shown


def test_a_secret_that_slipped_into_a_row_is_removed_where_it_is_shown(
    ready: Callable[..., Any], owner_connection: Any
) -> None:
    world = ready("x")
    world.settle("x")
    attempt = record.trail(world.house, world.scope, world.publication("x").id).attempts[0]
    owner_connection.execute(
        "update attempts set verdict = %s, handles = %s where id = %s",
        ['{"detail": "access_token=S3CRETS3CRET"}', '{"upload_url": "https://x/?upload_id=S3CRETS3CRET"}', attempt.id],
    )

    assert "S3CRETS3CRET" not in _everything_shown(world)
