"""Nobody but our own pages may make the web process do something."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

SITE = "https://evil.example"
GRAPHQL = "/dagster/graphql"
MUTATION = "mutation { setNuxSeen }"
SOCKETS = ["/_stcore/stream", "/dagster/graphql"]


def socket(web: Any, path: str, **headers: str) -> ClientConnection:
    protocol = "graphql-ws" if path == GRAPHQL else "streamlit"
    url = f"ws://{web.address}{path}"
    return connect(url, subprotocols=[protocol], additional_headers=headers, proxy=None, legacy=True)  # type: ignore[list-item]


# ------------------------------------------------------------------------------------------------------- the address


@pytest.mark.parametrize("host", ["rebound.example", "127.0.0.1.nip.example:8080", "[::1", "", "localhost.example"])
def test_a_page_on_a_rebound_name_reads_nothing(web, host):
    for path in ("/", "/dagster/", "/_stcore/health", "/media/signed/x"):
        assert web.ask("GET", path, headers={"Host": host}).status_code == 403, path


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:80", "repost.example.org"])
def test_the_names_of_this_installation_are_answered(web, host):
    assert web.ask("GET", "/", headers={"Host": host}).status_code == 200


def test_a_load_balancer_may_ask_for_health_by_any_address(web):
    for path in ("/healthz", "/readyz"):
        assert web.ask("GET", path, headers={"Host": "10.0.0.7:8080"}).status_code == 200


# ---------------------------------------------------------------------------------------------------- other sites


def test_another_site_cannot_post(web):
    for path in ("/", "/_stcore/upload_file", GRAPHQL):
        by_origin = web.ask("POST", path, headers={"Origin": SITE})
        by_site = web.ask("POST", path, headers={"Sec-Fetch-Site": "cross-site"})
        sandboxed = web.ask("POST", path, headers={"Origin": "null"})
        assert (by_origin.status_code, by_site.status_code, sandboxed.status_code) == (403, 403, 403), path


def test_the_same_name_on_another_port_is_another_site(web):
    assert web.ask("POST", GRAPHQL, headers={"Origin": "http://127.0.0.1:1"}).status_code == 403


def test_an_origin_that_is_no_address_is_refused_and_not_an_error(web):
    assert web.ask("GET", "/", headers={"Origin": "http://["}).status_code == 403


def test_a_link_on_another_site_may_lead_to_our_pages(web):
    answer = web.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 200


# ------------------------------------------------------------------------------------------------- Dagster's GraphQL


def graphql(web: Any, query: str, **headers: str) -> Any:
    content = {"Content-Type": "application/json", **headers}
    return web.ask("POST", GRAPHQL, headers=content, content=json.dumps({"query": query}))


def test_dagsters_own_page_and_programs_may_ask_and_change(web):
    own = graphql(web, MUTATION, Origin=f"http://{web.address}", **{"Sec-Fetch-Site": "same-origin"})
    program = graphql(web, "{ version }")
    assert own.json() == {"data": {"setNuxSeen": True}}
    assert program.json()["data"]["version"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
@pytest.mark.parametrize("name", ["query", "%71uery"])
def test_no_link_runs_a_mutation_not_even_one_in_a_mail(web, site, name):
    """A browser says `none` of a link that a mail program opens."""
    address = f"{GRAPHQL}?{name}=mutation%7BsetNuxSeen%7D"
    assert web.ask("GET", address, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert web.ask("GET", address).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/graphql", ""])
def test_a_post_that_a_browser_sends_without_asking_first_runs_nothing(web, kind):
    body = json.dumps({"query": MUTATION})
    old_browser = web.ask("POST", GRAPHQL, headers={"Content-Type": kind}, content=body)
    in_address = web.ask("POST", f"{GRAPHQL}?query={MUTATION}", headers={"Content-Type": kind})
    assert (old_browser.status_code, in_address.status_code) == (403, 403)


def test_graphql_is_not_read_from_another_site(web):
    assert graphql(web, "{ version }", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert graphql(web, "{ version }", **{"Sec-Fetch-Site": "same-site"}).status_code == 403


# ------------------------------------------------------------------------------------------------------- websockets


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("origin", [None, SITE, "null", "http://127.0.0.1:1", "http://["])
def test_a_websocket_from_elsewhere_is_refused_before_it_opens(web, path, origin):
    with pytest.raises(InvalidStatus) as refused:
        socket(web, path, **({"Origin": origin} if origin else {}))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", SOCKETS)
def test_our_own_pages_open_their_websocket(web, path):
    """The guard is a Streamlit middleware: that it sees websockets too is what these tests stand on."""
    with socket(web, path, Origin=f"http://{web.address}") as connection:
        assert connection.state.name == "OPEN"
