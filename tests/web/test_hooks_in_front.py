"""A platform's call on its way through the real web process, with everything that stands before our own routes."""

from __future__ import annotations

import pytest

OUR_NAME = {"Host": "repost.example.org"}
HOOK = "/webhooks/tiktok"


def test_a_platform_reaches_its_hook_under_the_public_name(web):
    """No registration is set up in this process, so nothing can be proven: asked to come again, and not told why."""
    answer = web.ask("POST", HOOK, headers=OUR_NAME, content=b"{}")
    assert (answer.status_code, answer.content) == (503, b"")
    assert "cannot be proven" in web.printed()


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/", "/webhooks/myspace", "/webhooks/tiktok/other"])
def test_what_is_no_hook_is_not_there_and_no_page_of_the_app_either(web, path):
    answer = web.ask("POST", path, headers=OUR_NAME)
    assert answer.status_code == 404
    assert "Streamlit" not in answer.text
    assert web.ask("GET", path).status_code == 404


def test_a_page_of_another_site_cannot_post_to_a_hook(web):
    assert web.ask("POST", HOOK, headers={"Origin": "https://evil.example"}).status_code == 403
    assert web.ask("POST", HOOK, headers={"Host": "rebound.example"}).status_code == 403


def test_a_code_that_nobody_was_given_opens_nothing(web):
    answer = web.ask("GET", f"{HOOK}/deletion/guess", headers=OUR_NAME)
    assert (answer.status_code, answer.text) == (404, "There is no such request.\n")
