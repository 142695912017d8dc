"""Health, headers, and what the web process must not print."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import httpx
import pytest
from sqlalchemy.engine import make_url

from autorepost_app.persistence.engine import Database
from autorepost_app.processes import free_port
from autorepost_app.processes.parts import START, START_HEADER
from autorepost_app.services.links import SignedLinks
from autorepost_app.web import __main__ as program
from autorepost_app.web import app as answers
from autorepost_app.web.app import own_app

PLACES = ["/", "/dagster/", "/healthz", "/media/signed/x", "/_stcore/health", "/static/none.js"]


def ready(house, *, start_mark: str = "", asked_with: str | None = None) -> httpx.Response:
    """What `/readyz` of that house says."""
    headers = {} if asked_with is None else {START_HEADER: asked_with}

    async def ask() -> httpx.Response:
        app = own_app(house, SignedLinks("http://127.0.0.1", b"secret", house.clock), start_mark)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get("/readyz", headers=headers)

    return asyncio.run(ask())


def test_a_process_that_lives_says_so(web):
    assert web.ask("GET", "/healthz").text == "alive\n"


def test_a_house_in_order_is_ready(house):
    answer = ready(house)
    assert (answer.status_code, answer.json()) == (200, {"database": "ready", "store": "ready"})


@pytest.mark.parametrize(
    ("start_mark", "asked_with", "given_back"),
    [
        ("this start", "this start", "this start"),
        ("this start", "another", None),
        ("this start", None, None),
        ("this start", "", None),
        ("", "", None),
        ("", "guess", None),
    ],
)
def test_only_who_started_this_process_learns_that_it_is_the_one(house, start_mark, asked_with, given_back):
    answer = ready(house, start_mark=start_mark, asked_with=asked_with)
    assert answer.status_code == 200
    assert answer.headers.get(START_HEADER) == given_back


def test_whoever_starts_and_whoever_answers_mean_the_same_names():
    """Neither may import the other."""
    assert (program.START, answers.START_HEADER) == (START, START_HEADER)


def test_a_database_that_is_down_is_named_without_its_address(house):
    nowhere = make_url(f"postgresql+psycopg://app:hidden@127.0.0.1:{free_port()}/gone")
    answer = ready(replace(house, db=Database(nowhere, nowhere)))
    assert (answer.status_code, answer.json()) == (503, {"database": "OperationalError", "store": "ready"})
    assert "hidden" not in answer.text


def test_a_store_that_is_no_folder_any_more_is_named(house, tmp_path):
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").write_text("")
    answer = ready(house)
    assert (answer.status_code, answer.json()) == (503, {"database": "ready", "store": "StoreUnavailable"})


@pytest.mark.parametrize("path", PLACES)
def test_no_answer_may_be_framed_or_guessed_at(web, path):
    headers = web.ask("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] in ("same-origin", "strict-origin-when-cross-origin")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_a_refusal_carries_the_headers_too(web):
    refused = web.ask("GET", "/", headers={"Host": "rebound.example"})
    assert (refused.status_code, refused.headers["x-content-type-options"]) == (403, "nosniff")


def test_our_pages_run_only_scripts_that_came_with_them(web):
    """Streamlit's page holds one inline script; its hash is in the policy, so that no other may run."""
    answer = web.ask("GET", "/")
    scripts = next(p for p in answer.headers["content-security-policy"].split("; ") if p.startswith("script-src"))
    assert re.fullmatch(r"script-src 'self' 'sha256-[A-Za-z0-9+/]{43}='", scripts)
    assert len(re.findall(r"<script>", answer.text)) == 1


def test_dagsters_pages_keep_the_policy_they_bring(web):
    policies = web.ask("GET", "/dagster/").headers.get_list("content-security-policy")
    assert any("'nonce-" in policy for policy in policies)


def test_no_signed_link_is_ever_printed(web):
    """Streamlit turns the server's access log on again at start-up, whatever the server was told."""
    web.store.put_stream([b"clip"], "tenants/t/renditions/printed.mp4")
    signed = web.signed("tenants/t/renditions/printed.mp4")
    assert web.ask("GET", signed).is_success
    assert web.ask("GET", signed[:-1]).status_code == 403
    assert web.ask("GET", "/").is_success
    assert signed not in web.printed()
    assert "GET /" not in web.printed()
