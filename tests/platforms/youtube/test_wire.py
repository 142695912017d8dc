"""Is everything we send what Google's own description of the API allows, and was it reserved before it was sent?

Held against the discovery document that google-api-python-client ships. The whole way of a publication is walked once
over real HTTP, with a broken connection and everything that may follow a publication; every request on it is judged.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault, TryAgain, UserError, WaitUntil
from autorepost_app.platform_kit.options import checked_options
from autorepost_app.platform_kit.protocol import Account, Delivery, Done, Grant, Live, NotReady, PostText, Staged
from autorepost_app.platforms.youtube import PLATFORM
from autorepost_app.platforms.youtube.destination import video_resource
from autorepost_app.platforms.youtube.limits import QUOTAS
from autorepost_app.platforms.youtube.options import OPTIONS
from autorepost_app.platforms.youtube.rules import next_midnight
from autorepost_app.sandbox.youtube import metadata

PREFIX = "/youtube-api/"
"""Where the sandbox keeps the API's host."""

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 50
KIB_256 = 262_144
GOOGLE_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


@dataclass
class Document:
    """Google's description, and what it holds against a request."""

    json: dict[str, Any]

    def method_of(self, request: httpx.Request) -> dict[str, Any]:
        path = request.url.path.removeprefix(PREFIX).removeprefix("upload/")
        for resource in self.json["resources"].values():
            for method in resource.get("methods", {}).values():
                if (method["httpMethod"], method["path"]) == (request.method, path):
                    return dict(method)
        raise AssertionError(f"no method is {request.method} {path}")

    def against(self, request: httpx.Request, scopes: frozenset[str] = frozenset()) -> Iterator[str]:
        method, query = self.method_of(request), dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        if not scopes & set(method["scopes"]):
            yield f"{method['id']}: none of its scopes was asked for"
        yield from self._parameters(method, query)
        if request.url.path.startswith(PREFIX + "upload/"):
            yield from self._upload(method, request, query)
        if "request" in method and request.headers.get("content-type", "").startswith("application/json"):
            yield from self._resource(method, json.loads(request.content), query)

    def _parameters(self, method: dict[str, Any], query: dict[str, str]) -> Iterator[str]:
        known = {**self.json["parameters"], **method["parameters"]}
        for name, rule in method["parameters"].items():
            if rule.get("required") and not query.get(name):
                yield f"{method['id']}: parameter {name} is missing"
        for name, text in query.items():
            if name not in known:
                yield f"{method['id']}: parameter {name} is unknown"
            else:
                values = text.split(",") if known[name].get("repeated") else [text]
                yield from (f"{name}={value}" for value in values if not _fits_parameter(known[name], value))

    def _upload(self, method: dict[str, Any], request: httpx.Request, query: dict[str, str]) -> Iterator[str]:
        rule = method.get("mediaUpload")
        if rule is None or query.get("uploadType") not in ("resumable", "media"):
            yield f"{method['id']}: takes no upload of type {query.get('uploadType')}"
            return
        headers = request.headers
        kind = headers.get("x-upload-content-type") or headers["content-type"]
        if not any(re.fullmatch(allowed.replace("*", ".+"), kind) for allowed in rule["accept"]):
            yield f"{method['id']}: {kind} is not among {rule['accept']}"
        if int(headers.get("x-upload-content-length") or headers["content-length"]) > int(rule["maxSize"]):
            yield f"{method['id']}: larger than {rule['maxSize']}"

    def _resource(self, method: dict[str, Any], body: dict[str, Any], query: dict[str, str]) -> Iterator[str]:
        name = method["request"]["$ref"]
        yield from self._fields(name, body, name)
        yield from (f"{part} is in the body and not in part" for part in set(body) - set(query["part"].split(",")))
        yield from (f"{part} is no part of {name}" for part in query["part"].split(",") if part not in self._of(name))
        yield from self._left_out(method["id"], name, body, name)

    def _of(self, name: str) -> dict[str, Any]:
        return dict(self.json["schemas"][name]["properties"])

    def _fields(self, name: str, value: Any, at: str) -> Iterator[str]:
        known = self._of(name)
        for field, inner in value.items():
            if field not in known:
                yield f"{at}.{field} is unknown"
            elif "$ref" in known[field]:
                yield from self._fields(known[field]["$ref"], inner, f"{at}.{field}")
            else:
                yield from _values(known[field], inner, f"{at}.{field}")

    def _left_out(self, method_id: str, name: str, value: dict[str, Any], at: str) -> Iterator[str]:
        for field, rule in self._of(name).items():
            if method_id in rule.get("annotations", {}).get("required", ()) and not value.get(field):
                yield f"{at}.{field} is required"
            if "$ref" in rule and isinstance(value.get(field), dict):
                yield from self._left_out(method_id, rule["$ref"], value[field], f"{at}.{field}")


def _fits_parameter(rule: dict[str, Any], value: str) -> bool:
    match rule["type"]:
        case "boolean":
            return value in ("true", "false")
        case "integer":
            low, high = int(rule.get("minimum", 0)), int(rule.get("maximum", 2**32))
            return value.isdecimal() and low <= int(value) <= high
        case _:
            return bool(value) and value in rule.get("enum", [value])


def _values(rule: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    if not GOOGLE_TYPES[rule["type"]](value):
        yield f"{at} is {value!r} and not of type {rule['type']}"
    elif rule["type"] == "array":
        for number, one in enumerate(value):
            yield from _values(rule["items"], one, f"{at}[{number}]")
    elif value not in rule.get("enum", [value]):
        yield f"{at} is {value!r} and not one of {rule['enum']}"
    elif rule.get("format") == "date-time" and not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value
    ):
        yield f"{at} is {value!r} and no RFC 3339 time"


@pytest.fixture(scope="module")
def a_delivery() -> Delivery:
    media: Any = None
    return Delivery("pub-1", "ar-7f3a9c1e5b", Grant(Account("UC1", "ada"), "token"), PostText("b", "t"), media)


@pytest.fixture(scope="session")
def document(discovery: dict[str, Any]) -> Document:
    return Document(discovery)


def is_of_session(request: httpx.Request) -> bool:
    return "upload_id" in request.url.params


def to_the_api(wire: Any) -> list[httpx.Request]:
    return [request for request in wire.requests if request.url.path.startswith(PREFIX)]


# ----------------------------------------------------------------------------------------------------- the whole way


@pytest.fixture
def walked(playlist_channel: Any, big_file: Any, wire: Any) -> Any:
    """One publication from its session to its playlist and cover, with everything chosen that can be chosen."""
    channel, control = playlist_channel, playlist_channel.control
    soon = (utc_now() + timedelta(days=1)).isoformat()
    channel.delivery = replace(channel.delivery, media=big_file)
    channel.destination = replace(channel.destination, portion_bytes=KIB_256 * 4, portion_seconds=0.0)
    channel.choose(
        privacy="private",
        publish_at=soon,
        language="pt-BR",
        tags=["baking", "slow food at home"],
        playlist=control.playlist("Bread"),
        license="creativeCommon",
        category="26",
        made_for_kids=True,
        synthetic_media=True,
        notify_subscribers=False,
        embeddable=False,
        cover=True,
    )
    assert set(channel.delivery.options) == {option.name for option in OPTIONS}
    assert isinstance(channel.stage_once(), NotReady)
    control.fault("session.put", "reset_mid_body", bytes=300_000)
    with pytest.raises(PlatformFault):
        channel.stage_once()
    assert isinstance(channel.stage(), Staged)
    control.fault("insert.last", "commit_then_reset")
    channel.commit()
    found = channel.check()
    assert isinstance(found, Live)
    bare = replace(channel.grant, account=replace(channel.grant.account, traits={}))
    channel.delivery = replace(channel.delivery, grant=bare)
    assert isinstance(channel.find(), Live)
    assert isinstance(channel.destination.search(channel.delivery, utc_now()), Live)
    channel.later(60)
    notes = channel.finish(found.external_id, JPEG)
    assert len(notes) == 1
    assert "Only you see the video until" in notes[0]
    assert control.live()[0]["details"]["has_thumbnail"] is True
    assert control.entries() == [found.external_id]
    return channel


def test_every_request_of_the_whole_way_is_as_google_describes_it(walked: Any, wire: Any, document: Document) -> None:
    judged = [request for request in to_the_api(wire) if not is_of_session(request)]
    for request in judged:
        assert list(document.against(request, walked.grant.scopes)) == []
        assert request.headers["authorization"] == f"Bearer {walked.grant.access_token}"
    named = {document.method_of(request)["id"].removeprefix("youtube.") for request in judged}
    assert named == {call for rule in QUOTAS for call in rule.costs}


def test_every_option_arrives_where_google_keeps_it(walked: Any, wire: Any) -> None:
    insert = next(request for request in to_the_api(wire) if "uploadType" in request.url.params)
    assert insert.url.params["notifySubscribers"] == "false"
    body = json.loads(insert.content)
    at = datetime.fromisoformat(str(walked.delivery.options["publish_at"]))
    assert datetime.fromisoformat(body["status"].pop("publishAt")) == at
    assert body["status"] == {
        "privacyStatus": "private",
        "selfDeclaredMadeForKids": True,
        "containsSyntheticMedia": True,
        "license": "creativeCommon",
        "embeddable": False,
    }
    tags = [walked.delivery.marker, "baking", "slow food at home", "bread", "slow food"]
    assert body["snippet"] == {
        "title": walked.delivery.text.title,
        "description": walked.delivery.text.body,
        "tags": tags,
        "categoryId": "26",
        "defaultLanguage": "pt-BR",
        "defaultAudioLanguage": "pt-BR",
    }


def test_every_part_of_an_upload_follows_the_resumable_protocol(walked: Any, wire: Any) -> None:
    total = walked.delivery.media.size_bytes
    sent = [request for request in to_the_api(wire) if is_of_session(request)]
    spans = [request.headers["content-range"] for request in sent]
    assert f"bytes */{total}" in spans, "it was asked after the broken connection"
    for request, span in zip(sent, spans, strict=True):
        assert request.method == "PUT"
        length = int(request.headers["content-length"])
        match = re.fullmatch(r"bytes (?:(\*)|(\d+)-(\d+))/(\d+)", span)
        assert match
        assert int(match[4]) == total
        if match[1]:
            assert length == 0
            continue
        first, last = int(match[2]), int(match[3])
        assert length == last - first + 1
        assert first % KIB_256 == 0
        assert last + 1 == total or length % KIB_256 == 0
    assert sum(span.endswith(f"-{total - 1}/{total}") for span in spans) == 1, "the last byte was sent once"


def test_what_google_signs_people_in_with_is_sent_as_its_guide_says(walked: Any, wire: Any) -> None:
    """The token endpoint is in no discovery document."""
    (exchange,) = [request for request in wire.requests if request.url.path == "/youtube-oauth/token"]
    form = dict(parse_qsl(exchange.content.decode()))
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"}
    assert exchange.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not exchange.url.query, "nothing secret in an address"


def test_the_address_of_consent_has_only_what_googles_guide_lists(parts: Any) -> None:
    consent = parts.authoriser.consent(login="default", redirect_uri="http://127.0.0.1/cb", state="s")
    assert {name for name, _ in parse_qsl(urlsplit(consent.url).query)} == {
        *("client_id", "redirect_uri", "response_type", "scope", "state", "access_type", "prompt"),
        *("code_challenge", "code_challenge_method"),
    }


TIMES = st.datetimes(*map(datetime.fromisoformat, ("2020-01-01", "2100-01-01")), timezones=st.timezones())
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "privacy": st.sampled_from(["public", "unlisted", "private"]),
        "publish_at": TIMES.map(datetime.isoformat) | st.just(""),
        "category": st.sampled_from(
            [key for option in OPTIONS if option.name == "category" for key, _ in option.choices]
        ),
        "language": st.text(max_size=16) | st.sampled_from(["en", "pt-BR", "zh-Hant"]),
        "tags": st.lists(st.text(max_size=40), max_size=20),
        "license": st.sampled_from(["youtube", "creativeCommon"]),
        "made_for_kids": st.booleans(),
        "synthetic_media": st.booleans(),
        "embeddable": st.booleans(),
    },
)
WORDS = st.builds(
    PostText, body=st.text(max_size=400), title=st.text(max_size=150), tags=st.tuples(st.text(max_size=40))
)


@given(chosen=CHOICES, words=WORDS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_whatever_passes_our_checks_is_as_google_describes_it(
    document: Document, a_delivery: Any, chosen: dict[str, object], words: PostText
) -> None:
    spec = PLATFORM.destination
    assert spec is not None
    try:
        options = checked_options(spec.options, chosen, "YouTube")
        spec.check_options(options, "default")
    except UserError:
        reject()
    body = video_resource(replace(a_delivery, options=options, text=spec.text.fit(words)[0]))
    request = asked("POST", "upload/youtube/v3/videos", params=INSERT, json=body, headers=UPLOAD)
    assert list(document.against(request, EVERYTHING)) == []
    assert metadata.checked(body, {"snippet", "status"}, datetime.min.replace(tzinfo=UTC))


# ------------------------------------------------------------------------------------------------ the judge is judged


def asked(method: str, path: str, **more: Any) -> httpx.Request:
    return httpx.Request(method, f"http://127.0.0.1{PREFIX}{path}", **more)


EVERYTHING = frozenset({"https://www.googleapis.com/auth/youtube"})
VIDEO = {"snippet": {"title": "t"}, "status": {"privacyStatus": "public"}}
INSERT = {"part": "snippet,status", "uploadType": "resumable"}
UPLOAD = {"x-upload-content-length": "10", "x-upload-content-type": "video/mp4"}


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (asked("GET", "youtube/v3/videos", params={"id": "x"}), "part is missing"),
        (asked("GET", "youtube/v3/videos", params={"part": "id", "maxResult": "5"}), "maxResult is unknown"),
        (asked("GET", "youtube/v3/videos", params={"part": "id", "maxResults": "51"}), "maxResults=51"),
        (asked("GET", "youtube/v3/channels", params={"part": "id", "mine": "True"}), "mine=True"),
        (asked("GET", "youtube/v3/videos", params={"part": "id", "chart": "best"}), "chart=best"),
    ],
)
def test_a_query_google_does_not_describe_is_found(document: Document, request_: httpx.Request, complaint: str) -> None:
    assert complaint in " ".join(document.against(request_, EVERYTHING))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"snippet": {"titel": "t"}}, "snippet.titel is unknown"),
        ({"snippet": {"title": 7}}, "not of type string"),
        ({"snippet": {"tags": "a,b"}}, "not of type array"),
        ({"snippet": {"tags": ["a", 1]}}, "tags[1]"),
        ({"status": {"privacyStatus": "friends"}}, "not one of"),
        ({"status": {"embeddable": "true"}}, "not of type boolean"),
        ({"status": {"publishAt": "tomorrow"}}, "no RFC 3339 time"),
        ({"localizations": {}}, "not in part"),
        ({"colour": {}}, "Video.colour is unknown"),
    ],
)
def test_a_body_google_does_not_describe_is_found(document: Document, changes: dict[str, Any], complaint: str) -> None:
    request = asked("POST", "upload/youtube/v3/videos", params=INSERT, json=VIDEO | changes, headers=UPLOAD)
    assert complaint in " ".join(document.against(request, EVERYTHING))


@pytest.mark.parametrize(
    ("params", "headers", "complaint"),
    [
        ({"uploadType": "fast"}, {}, "no upload of type fast"),
        ({"part": "snippet,status,colour"}, {}, "colour is no part of Video"),
        ({}, {"x-upload-content-type": "image/png"}, "image/png is not among"),
        ({}, {"x-upload-content-length": str(2**40)}, "larger than"),
    ],
)
def test_an_upload_google_does_not_describe_is_found(
    document: Document, params: dict[str, str], headers: dict[str, str], complaint: str
) -> None:
    request = asked("POST", "upload/youtube/v3/videos", params=INSERT | params, json=VIDEO, headers=UPLOAD | headers)
    assert complaint in " ".join(document.against(request, EVERYTHING))


def test_a_missing_field_a_missing_permission_and_an_unknown_call_are_found(document: Document) -> None:
    body = {"snippet": {"playlistId": "PLx"}}
    request = asked("POST", "youtube/v3/playlistItems", params={"part": "snippet"}, json=body)
    assert "resourceId is required" in " ".join(document.against(request, EVERYTHING))
    upload_only = frozenset({"https://www.googleapis.com/auth/youtube.upload"})
    assert "none of its scopes" in " ".join(document.against(request, upload_only))
    with pytest.raises(AssertionError, match="no method is"):
        document.method_of(asked("PATCH", "youtube/v3/videos"))


def test_a_right_request_has_no_complaint(document: Document) -> None:
    request = asked("POST", "upload/youtube/v3/videos", params=INSERT, json=VIDEO, headers=UPLOAD)
    assert list(document.against(request, EVERYTHING)) == []


# ---------------------------------------------------------------------------------------------------------- counting


def test_every_request_was_reserved_before_it_was_sent(walked: Any, wire: Any, document: Document) -> None:
    """Those of an upload session belong to the call that opened it; signing in has no quota."""
    known, waiting, opened = {call for rule in QUOTAS for call in rule.costs}, [], False
    for entry in wire.log:
        if not isinstance(entry, httpx.Request):
            waiting.append(entry)
            assert entry[0] in known
            assert entry[1] in (walked.grant.account.external_id, "")
        elif is_of_session(entry):
            assert opened
        elif entry.url.path.startswith(PREFIX):
            call, account = waiting.pop(0)
            assert call == document.method_of(entry)["id"].removeprefix("youtube.")
            assert account or call == "channels.list", "only the first question comes before the account is known"
            opened = opened or call == "videos.insert"
        assert len(waiting) <= 1
    assert waiting == []
    assert [call for call, _account in wire.reserved].count("videos.insert") == 1


def test_the_sandbox_charges_what_our_rules_reserve(walked: Any, wire: Any) -> None:
    charged = walked.control.client.get("/_sandbox/youtube/quota").json()
    ours = {rule.name: sum(rule.costs.get(call, 0) for call, _account in wire.reserved) for rule in QUOTAS}
    assert (ours["inserts"], ours["units"]) == (charged["inserts"]["used"], charged["units"]["used"])
    assert ours["channel_uploads"] == 1


def test_without_room_for_an_upload_no_session_is_started(channel: Any, wire: Any) -> None:
    at = utc_now() + timedelta(hours=3)
    full = PlatformFault(WaitUntil("Tomorrow.", code="quota", at=at, limit="YouTube's daily limit"))
    wire.full["videos.insert"] = full
    before = len(wire.requests)
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    assert caught.value is full
    assert len(wire.requests) == before
    assert channel.kept == []


def test_an_upload_under_way_needs_no_room_any_more(big_channel: Any, wire: Any) -> None:
    big_channel.stage_once()
    wire.full["videos.insert"] = PlatformFault(TryAgain("full"))
    big_channel.stage()
    assert isinstance(big_channel.commit(), Done)


def test_a_channels_hidden_limit_is_waited_out_to_the_second_and_told_to_the_meter(channel: Any, wire: Any) -> None:
    channel.control.settings(uploads_per_channel_per_day=0)
    now = utc_now()
    channel.destination = replace(channel.destination, clock=lambda: now)
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert verdict.at == now + timedelta(hours=24)
    assert "channel" in verdict.limit
    ((quota, account, told),) = wire.settled
    assert (quota, account) == ("channel_uploads", channel.grant.account.external_id)
    assert (told.remaining, told.resets_at) == (0, verdict.at)


@pytest.mark.parametrize(("setting", "quota"), [("inserts_per_day", "inserts"), ("units_per_day", "units")])
def test_a_bucket_that_youtube_calls_empty_is_empty_for_everybody_until_midnight_pacific(
    channel: Any, wire: Any, setting: str, quota: str
) -> None:
    channel.control.settings(**{setting: 0})
    now = utc_now()
    channel.destination = replace(channel.destination, clock=lambda: now)
    look = channel.stage_once if quota == "inserts" else channel.find
    with pytest.raises(PlatformFault) as caught:
        look()
    verdict = caught.value.verdict
    assert isinstance(verdict, WaitUntil)
    assert verdict.at == next_midnight(now)
    ((told_of, account, told),) = wire.settled
    assert (told_of, account, told.remaining, told.resets_at) == (quota, "", 0, verdict.at)


def test_an_answer_without_a_limit_settles_nothing(channel: Any, wire: Any) -> None:
    channel.control.fault("session.start", "rate_limited")
    with pytest.raises(PlatformFault) as caught:
        channel.stage_once()
    assert isinstance(caught.value.verdict, TryAgain)
    assert wire.settled == []


def test_the_rules_say_what_google_says(discovery: dict[str, Any]) -> None:
    rules = {rule.name: rule for rule in PLATFORM.quotas}
    assert (rules["inserts"].limit, rules["inserts"].costs, rules["inserts"].zone) == (
        100,
        {"videos.insert": 1},
        "America/Los_Angeles",
    )
    assert rules["units"].limit == 10_000
    assert "videos.insert" not in rules["units"].costs
    assert {call: cost for call, cost in rules["units"].costs.items() if cost != 1} == {
        "playlistItems.insert": 50,
        "thumbnails.set": 50,
    }
    known = {
        f"{resource}.{method}"
        for resource, about in discovery["resources"].items()
        for method in about.get("methods", {})
    }
    assert {call for rule in PLATFORM.quotas for call in rule.costs} <= known
