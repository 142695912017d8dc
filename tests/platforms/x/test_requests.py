"""Would X's own SDK have asked the same? Every request of ours, held against the models that X generates for it."""

import inspect
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from xdk.media.models import InitializeUploadRequest
from xdk.posts.models import CreateRequest
from xdk.users.client import UsersClient

from autorepost_app.platform_kit.protocol import Done
from autorepost_app.platforms.x.options import OPTIONS


@pytest.fixture
def asked(publish: Callable[..., Any]) -> Callable[..., list[httpx.Request]]:
    """All requests of one publication, from the upload to the search for it: `asked(text=..., options...)`."""

    def asked(**chosen: Any) -> list[httpx.Request]:
        publication, seen = publish(**chosen), []
        publication.destination.api.client.event_hooks = {"request": [seen.append]}
        publication.stage()
        assert isinstance(publication.commit(), Done)
        publication.find()
        publication.destination.search(publication.delivery, publication.control.now() - timedelta(hours=1))
        return seen

    return asked


def bodies(seen: list[httpx.Request], path: str) -> list[dict[str, Any]]:
    return [
        json.loads(request.content) for request in seen if request.method == "POST" and request.url.path.endswith(path)
    ]


def assert_within(body: dict[str, Any], model: Any) -> None:
    """Every field is one that X's schema knows, with a value of its kind."""
    assert set(body) <= set(model.model_fields)
    model.model_validate(body, strict=True)


EVERYTHING = [{}] + [
    {option.name: value} for option in OPTIONS for value in ([key for key, _ in option.choices] or [True])
]


@pytest.mark.parametrize("chosen", EVERYTHING, ids=str)
def test_posts_and_uploads_hold_only_what_the_schema_knows(asked: Callable[..., Any], chosen: dict[str, Any]) -> None:
    seen = asked(text="see brand.com", **chosen)
    (upload,) = bodies(seen, "/media/upload/initialize")
    assert_within(upload, InitializeUploadRequest)
    (post,) = bodies(seen, "/2/tweets")
    assert_within(post, CreateRequest)
    assert set(post["media"]) == {"media_ids"}


def test_lists_are_asked_for_with_parameters_and_values_that_x_knows(asked: Callable[..., Any]) -> None:
    seen = asked(text="see brand.com")
    known = inspect.signature(UsersClient.get_posts).parameters
    sent = {*re.findall(r'params\["([^"]+)"\]', inspect.getsource(UsersClient.get_posts)), "pagination_token"}
    lists = [request.url.params for request in seen if request.url.path.endswith("/tweets") and request.method == "GET"]
    assert len(lists) == 2
    for query in lists:
        assert set(query) <= sent
        for name in ("exclude", "expansions", "post.fields"):
            for value in filter(None, query.get(name, "").split(",")):
                assert f"'{value}'" in str(known[name.replace(".", "_")].annotation)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["start_time"])
        assert 5 <= int(query["max_results"]) <= 100


def test_every_reply_setting_of_the_schema_is_offered() -> None:
    (offered,) = [option for option in OPTIONS if option.name == "reply_settings"]
    annotation = str(CreateRequest.model_fields["reply_settings"].annotation)
    assert {key for key, _ in offered.choices if key} == set(re.findall(r"'(\w+)'", annotation))


@pytest.mark.parametrize(
    ("text", "left_out"), [("my day", "replies,retweets"), ("@maria look", "retweets"), ("＠maria look", "retweets")]
)
def test_a_post_that_may_pass_for_a_reply_is_looked_for_among_them(
    asked: Callable[..., Any], text: str, left_out: str
) -> None:
    (found, searched) = [request.url.params for request in asked(text=text) if "max_results" in request.url.params]
    assert found["exclude"] == left_out
    assert "exclude" not in searched
