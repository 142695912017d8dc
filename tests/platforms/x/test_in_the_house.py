"""Does what the client relies on hold in the house: who knows what at the first send, and what is counted?"""

from typing import Any

import httpx

from autorepost_app.domain.publications import State
from autorepost_app.services import quotas, tokens


def post_by_hand(world: Any, sandbox: Any, connection: Any, text: str) -> None:
    """The owner posts on X themselves."""
    grant = tokens.grant_for(world.house, world.system, connection.id)
    answer = httpx.post(
        f"{sandbox.hosts['X_API_URL']}/2/tweets",
        json={"text": text},
        headers={"Authorization": f"Bearer {grant.access_token}"},
        verify=False,
    )
    assert answer.status_code == 201, answer.text


def test_words_that_the_owner_posted_first_end_with_a_remedy_and_not_with_a_question(world: Any, sandbox: Any) -> None:
    made = world.ready_made()
    post_by_hand(world, sandbox, made["x"], "Hello #walk")
    sandbox.post(description="Hello #walk")
    world.detect()
    world.settle_file()
    row = world.publish("x")
    assert row.state == State.FAILED
    assert "words" in row.reason
    assert "Change the text" in row.remedy
    assert sandbox.calls_now("x", "tweets.create") == 2
    assert len(sandbox.live("x")) == 1


def test_what_a_post_cost_is_shown_in_thousandths_of_a_dollar(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post(description="new drop at brand.com")
    world.detect()
    world.settle_file()
    assert world.settle("x").state == State.PUBLISHED
    lines = {line.quota: line for line in quotas.standing(world.house, world.scope) if line.platform == "x"}
    assert (lines["money"].used, lines["money"].unit) == (200 + 10, "thousandths of a US dollar")
    assert lines["money"].limit is None
    assert (lines["posts"].used, lines["posts"].limit) == (1, 100)
