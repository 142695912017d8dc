"""Is every request that leaves our client one that Meta documents, and was it counted before it left?"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from facebook_business.adobjects.iguser import IGUser
from facebook_business.adobjects.iguserforigonlyapi import IGUserForIGOnlyAPI

from autorepost_app.platform_kit.protocol import Done
from autorepost_app.platforms.instagram import PLATFORM
from autorepost_app.platforms.instagram.graph import VERSION
from autorepost_app.platforms.instagram.quotas import ACCOUNT_CALLS, APP_CALLS, CONTAINERS, POSTS

FACTS = json.loads(Path(__file__).with_name("graph_facts.json").read_text())
DAY = 86_400.0
CALLBACK = "http://127.0.0.1:8080/oauth/instagram/callback"

# What the generator's specifications leave out; from Meta's pages.
GRAPH_WIDE = {"fields": "string", "limit": "unsigned int", "after": "string", "appsecret_proof": "string"}
LOGIN_FORM = {"client_id", "client_secret", "grant_type", "redirect_uri", "code"}
FACEBOOK_TOKEN = {"client_id", "client_secret", "grant_type", "redirect_uri", "code", "fb_exchange_token"}

EVERYTHING_CHOSEN = {
    "share_to_feed": False,
    "thumb_offset_ms": 1500,
    "collaborators": ["@bea", "cyd"],
    "user_tags": ["eve"],
    "location_id": "7640348500",
    "audio_name": "Kitchen",
    "is_ai_generated": True,
}
ONLY_BY_PAGE = {"is_paid_partnership": True, "sponsor_ids": ["17841400000000001"]}


@pytest.fixture(params=["instagram", "facebook"])
def story(publish_as: Callable[..., Any], wire: list[httpx.Request], parts: Any, request: pytest.FixtureRequest) -> Any:
    """All that is ever asked of Instagram for one account: connected, renewed, published, asked about, found."""
    publication = publish_as(request.param)
    chosen = EVERYTHING_CHOSEN | (ONLY_BY_PAGE if request.param == "facebook" else {})
    publication.delivery = replace(publication.delivery, options=chosen)
    began = publication.control.now()
    publication.stage()
    assert isinstance(publication.commit(), Done)
    publication.check()
    publication.find()
    publication.search(began)
    if request.param == "instagram":
        [connected] = parts.authoriser.accounts(login="instagram", tokens=renewed(publication, parts))
        assert connected.account.external_id == publication.delivery.grant.account.external_id
    return publication


def renewed(publication: Any, parts: Any) -> Any:
    consent = parts.authoriser.consent(login="instagram", redirect_uri=CALLBACK, state="st")
    code = publication.control.allow(consent.url, "ada")["code"]
    tokens = parts.authoriser.exchange(login="instagram", redirect_uri=CALLBACK, code=code, verifier=None)
    publication.control.advance(30 * DAY)
    return parts.authoriser.refresh(login="instagram", tokens=tokens)


# ---------------------------------------------------------------------------------------------------------- documented


def test_every_request_is_one_that_meta_documents(story: Any, wire: list[httpx.Request]) -> None:
    login = story.delivery.grant.login
    seen = {documented(request, login) for request in wire}
    shared = {"POST media", "GET container", "GET media", "GET content_publishing_limit", "POST publish"}
    own = {"login form", "GET access_token", "GET refresh_access_token", "GET me"}
    by_page = {"GET oauth/access_token", "GET debug_token", "GET me/accounts", "rupload"}
    assert seen == shared | (own if login == "instagram" else by_page)


def documented(request: httpx.Request, login: str) -> str:
    """The name of the documented call that this request is; fails on anything that Meta's pages do not hold."""
    host, _, path = urlsplit(str(request.url)).path.removeprefix("/").partition("/")
    given = fields_of(request)
    if host == "instagram-api":
        assert (request.method, path, set(given)) == ("POST", "oauth/access_token", LOGIN_FORM)
        return "login form"
    if host == "instagram-rupload":
        return check_upload(request, path)
    assert host == {"instagram": "instagram-graph", "facebook": "instagram-facebook-graph"}[login]
    if f"{request.method} {path}" in FACTS["tokens"]:
        check_types(given, FACTS["tokens"][f"{request.method} {path}"])
        return f"{request.method} {path}"
    version, _, path = path.partition("/")
    assert version == VERSION
    if host == "instagram-facebook-graph" and path in ("oauth/access_token", "debug_token"):
        assert set(given) <= (FACEBOOK_TOKEN if path == "oauth/access_token" else {"input_token"})
        return f"{request.method} {path}"
    assert request.headers["Authorization"].startswith("Bearer ")
    assert ("appsecret_proof" in given) == (login == "facebook")
    return on_a_node(request.method, path, given, login)


def on_a_node(method: str, path: str, given: dict[str, str], login: str) -> str:
    if path in ("me", "me/accounts"):
        assert method == "GET"
        check_types(given, {})
        if path == "me":
            assert set(given["fields"].split(",")) <= set(FACTS["instagram"]["fields"]["GET user"])
        return f"GET {path}"
    node, _, edge = path.partition("/")
    assert re.fullmatch(r"\d+", node)
    name = f"{method} {edge or 'container'}"
    check_types(given, parameters(name, login))
    for field in filter(None, given.get("fields", "").split(",")):
        assert field in FACTS[login]["fields"][name], field
    return "POST publish" if edge == "media_publish" else name


def parameters(name: str, login: str) -> dict[str, str]:
    edges = FACTS[login]["edges"]
    if name == "POST media":
        return {**edges[name], **of_the_installed_sdk(login)}
    if name == "POST media_publish":
        # Meta's page spells it so for both; its SDK drops the underscore where there is no page.
        return dict(edges.get(name) or edges["POST mediapublish"])
    return dict(edges.get(name, {}))


def of_the_installed_sdk(login: str) -> dict[str, str]:
    """The parameters of the newest SDK, which is newer than the specifications that were copied."""
    kind = {"facebook": IGUser, "instagram": IGUserForIGOnlyAPI}[login]
    written = re.search(r"param_types = (\{.*?\})", inspect.getsource(kind.create_media), re.DOTALL)
    assert written
    return dict(json.loads(re.sub(r",\s*\}", "}", written[1]).replace("'", '"')))


def check_types(given: dict[str, str], known: dict[str, str]) -> None:
    types = {name: kind.removesuffix("!") for name, kind in known.items()}
    missing = {name for name, kind in known.items() if kind.endswith("!")} - set(given)
    assert not missing
    for name, text in given.items():
        kind = {**GRAPH_WIDE, **types}.get(name)
        assert kind, f"{name} is no documented parameter"
        assert IS_OF_KIND[kind](text), f"{name}={text!r} is no {kind}"


def is_list_of(kind: type) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        values = json.loads(text)
        return isinstance(values, list) and bool(values) and all(type(value) is kind for value in values)

    return check


IS_OF_KIND: dict[str, Callable[[str], bool]] = {
    "string": bool,
    "bool": lambda text: text in ("true", "false"),
    "unsigned int": str.isdigit,
    "datetime": str.isdigit,
    "map": lambda text: isinstance(json.loads(text), dict),
    "list<string>": is_list_of(str),
    "list<map>": is_list_of(dict),
    "list<unsigned int>": is_list_of(int),
}


def fields_of(request: httpx.Request) -> dict[str, str]:
    body = request.content.decode() if "form" in request.headers.get("content-type", "") else ""
    pairs = [*parse_qsl(request.url.query.decode()), *parse_qsl(body)]
    assert len(dict(pairs)) == len(pairs), "a field is sent twice"
    return dict(pairs)


def check_upload(request: httpx.Request, path: str) -> str:
    assert request.method == "POST"
    assert re.fullmatch(rf"ig-api-upload/{re.escape(VERSION)}/\d+", path)
    assert request.headers["Authorization"].startswith("OAuth ")
    assert request.headers["offset"] == "0"
    assert request.headers["file_size"] == request.headers["content-length"]
    return "rupload"


def test_the_copied_facts_are_still_those_of_the_installed_sdk() -> None:
    for login in ("instagram", "facebook"):
        copied, installed = FACTS[login]["edges"]["POST media"], of_the_installed_sdk(login)
        assert copied.items() <= installed.items(), "a parameter went away or changed its type"


def test_every_option_is_sent_under_a_name_of_the_sdk(story: Any, wire: list[httpx.Request]) -> None:
    [made] = [request for request in wire if request.method == "POST" and request.url.path.endswith("/media")]
    named = set(fields_of(made))
    assert {"share_to_feed", "thumb_offset", "collaborators", "user_tags", "location_id", "audio_name"} <= named
    by_page = {"is_paid_partnership", "branded_content_sponsor_ids", "upload_type"}
    assert by_page <= named if story.delivery.grant.login == "facebook" else not by_page & named


class Cover:
    """The picture that the post had at its source."""

    def read(self) -> bytes:
        return b"\xff\xd8\xff"

    def public_url(self, ttl_seconds: float) -> str:
        return f"https://127.0.0.1:9/kept.jpg?ttl={ttl_seconds:g}"


@pytest.mark.parametrize(
    ("chosen", "sent"),
    [
        ({"keep_cover": True, "cover_url": "https://127.0.0.1:9/own.jpg"}, "own.jpg"),
        ({"keep_cover": True}, "kept.jpg"),
        ({"keep_cover": False}, None),
    ],
    ids=["one of its own", "the post's", "neither"],
)
def test_a_cover_that_the_rule_names_goes_before_the_posts_own(
    publish_as: Callable[..., Any], wire: list[httpx.Request], chosen: dict[str, Any], sent: str | None
) -> None:
    publication = publish_as("instagram")
    publication.delivery = replace(publication.delivery, options=chosen, cover=Cover())
    publication.stage_once()

    [made] = [request for request in wire if request.method == "POST" and request.url.path.endswith("/media")]
    cover = fields_of(made).get("cover_url")
    assert (cover and urlsplit(cover).path.strip("/")) == sent


# ------------------------------------------------------------------------------------------------------------- counted


def test_every_request_was_counted_under_a_name_that_a_limit_knows(story: Any, wire: list[httpx.Request]) -> None:
    rules = {rule.name: rule.costs for rule in PLATFORM.quotas}
    reserved = story.books.reserved
    assert len(reserved) == len(wire)
    for call, account in reserved:
        assert call in rules[APP_CALLS]
        assert (call in rules[ACCOUNT_CALLS]) == bool(account)
        assert account in ("", story.delivery.grant.account.external_id)


def test_each_container_and_each_post_is_counted_once(story: Any) -> None:
    rules = {rule.name: rule for rule in PLATFORM.quotas}
    calls = [call for call, _ in story.books.reserved]
    assert sum(rules[POSTS].costs.get(call, 0) for call in calls) == 1
    assert sum(rules[CONTAINERS].costs.get(call, 0) for call in calls) == 1


def test_every_rule_names_only_calls_that_are_made() -> None:
    named = set().union(*(rule.costs for rule in PLATFORM.quotas))
    [everything] = [set(rule.costs) for rule in PLATFORM.quotas if rule.name == APP_CALLS]
    assert named == everything
