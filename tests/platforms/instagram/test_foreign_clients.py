"""Do clients written by others get along with our sandbox? What passes here, our own client may rely on.

`facebook-business` is Meta's own SDK; Authlib's session is a generic OAuth 2 client that knows nothing of Meta. Where
the two need help, docs/platforms/instagram.md says so, and a test here holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from authlib.integrations.base_client.errors import OAuthError, UnsupportedTokenTypeError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.errors import MissingTokenException
from facebook_business.adobjects.iguser import IGUser
from facebook_business.adobjects.iguserforigonlyapi import IGUserForIGOnlyAPI
from facebook_business.adobjects.shadowigmediabuilder import ShadowIGMediaBuilder
from facebook_business.api import FacebookAdsApi, FacebookSession
from facebook_business.exceptions import FacebookRequestError

CALLBACK = "http://127.0.0.1:9/callback"
OWN_SCOPES = "instagram_business_basic,instagram_business_content_publish"
PAGE_SCOPES = "instagram_basic,instagram_content_publish,pages_show_list,pages_read_engagement"


# ------------------------------------------------------------------------------------------------ Authlib, both logins


@pytest.fixture
def session(shared: Any) -> Iterator[Callable[..., OAuth2Session]]:
    made = []

    def session(scope: str, auth_method: str, redirect_uri: str = CALLBACK) -> OAuth2Session:
        apps = shared.sandbox.apps
        made.append(
            OAuth2Session(
                apps["INSTAGRAM_CLIENT_ID"],
                apps["INSTAGRAM_CLIENT_SECRET"],
                scope=scope,
                redirect_uri=redirect_uri,
                token_endpoint_auth_method=auth_method,
            )
        )
        return made[-1]

    yield session
    for each in made:
        each.close()


class ByInstagram:
    """Instagram's own login as a generic client walks it."""

    def __init__(self, shared: Any, session: Callable[..., OAuth2Session]) -> None:
        self.shared, self.hosts = shared, shared.sandbox.hosts
        self.client = session(OWN_SCOPES, "client_secret_post")

    def come_back(self, handle: str) -> str:
        url, _ = self.client.create_authorization_url(self.hosts["INSTAGRAM_WWW_URL"] + "/oauth/authorize")
        return str(self.shared.ask("POST", "/consent", {"authorize_url": url, "account": handle})["redirect_to"])

    def short(self, back: str) -> dict[str, Any]:
        url = self.hosts["INSTAGRAM_API_URL"] + "/oauth/access_token"
        return dict(self.client.fetch_token(url, authorization_response=back))

    def graph(self, path: str, **params: str) -> dict[str, Any]:
        return dict(self.client.get(self.hosts["INSTAGRAM_GRAPH_URL"] + path, params=params).json())


@pytest.fixture
def by_instagram(shared: Any, session: Callable[..., OAuth2Session]) -> ByInstagram:
    return ByInstagram(shared, session)


def without_mark(back: str) -> str:
    """A browser never sends the part after `#`; only who pastes the whole address has it."""
    return back.partition("#")[0]


def test_a_generic_client_walks_instagrams_login_to_a_token_of_sixty_days(
    by_instagram: ByInstagram, handle: str
) -> None:
    short = by_instagram.short(without_mark(by_instagram.come_back(handle)))
    assert set(short) == {"access_token", "user_id", "permissions"}
    exchange = {"grant_type": "ig_exchange_token", "client_secret": by_instagram.client.client_secret}
    long = by_instagram.graph("/access_token", access_token=short["access_token"], **exchange)
    by_instagram.client.token = long
    assert by_instagram.graph("/v26.0/me", fields="user_id,username")["username"] == handle
    assert long["token_type"] == "bearer"
    assert 59 * 86_400 < long["expires_in"] <= 60 * 86_400


def test_the_mark_after_the_code_makes_a_generic_client_look_for_a_token_in_it(
    by_instagram: ByInstagram, handle: str
) -> None:
    back = by_instagram.come_back(handle)
    assert back.endswith("#_")
    with pytest.raises(MissingTokenException):
        by_instagram.short(back)


def test_a_generic_client_does_not_unpack_the_printed_shape(
    by_instagram: ByInstagram, handle: str, shared: Any
) -> None:
    shared.settings(reply_shape="list")
    reply = by_instagram.short(without_mark(by_instagram.come_back(handle)))
    assert list(reply) == ["data"]
    with pytest.raises(UnsupportedTokenTypeError):
        by_instagram.graph("/v26.0/me")


def test_a_generic_client_takes_instagrams_refusal_for_a_token(by_instagram: ByInstagram, handle: str) -> None:
    back = without_mark(by_instagram.come_back(handle))
    by_instagram.short(back)
    assert by_instagram.short(back)["error_message"] == "Matching code was not found or was already used"


class ByFacebook:
    """Facebook's login: the token is asked for with GET, and everything is in its address."""

    def __init__(self, shared: Any, session: Callable[..., OAuth2Session]) -> None:
        self.shared, self.hosts = shared, shared.sandbox.hosts
        self.client = session(PAGE_SCOPES, "none")
        self.token_url = self.hosts["INSTAGRAM_FACEBOOK_GRAPH_URL"] + "/v26.0/oauth/access_token"

    def come_back(self, handle: str) -> str:
        dialog = self.hosts["INSTAGRAM_FACEBOOK_WWW_URL"] + "/v26.0/dialog/oauth"
        url, _ = self.client.create_authorization_url(dialog)
        back = self.shared.ask("POST", "/consent", {"authorize_url": url, "account": handle})["redirect_to"]
        return without_mark(back)

    def short(self, back: str) -> dict[str, Any]:
        secret = self.client.client_secret
        return dict(
            self.client.fetch_token(self.token_url, method="GET", authorization_response=back, client_secret=secret)
        )

    def graph(self, path: str, **params: str) -> dict[str, Any]:
        return dict(self.client.get(self.hosts["INSTAGRAM_FACEBOOK_GRAPH_URL"] + path, params=params).json())

    def page(self, handle: str) -> dict[str, Any]:
        short = self.short(self.come_back(handle))
        ours = {"client_id": self.client.client_id, "client_secret": self.client.client_secret}
        asked = {"grant_type": "fb_exchange_token", "fb_exchange_token": short["access_token"], **ours}
        self.client.token = self.graph("/v26.0/oauth/access_token", **asked)
        fields = "id,name,access_token,instagram_business_account{id,username}"
        return dict(self.graph("/v26.0/me/accounts", fields=fields)["data"][0])


@pytest.fixture
def by_facebook(shared: Any, session: Callable[..., OAuth2Session]) -> ByFacebook:
    return ByFacebook(shared, session)


def test_a_generic_client_walks_facebooks_login_to_a_page_token(by_facebook: ByFacebook, handle: str) -> None:
    page = by_facebook.page(handle)
    assert page["instagram_business_account"]["username"] == handle
    assert page["access_token"]


def test_facebooks_refusal_is_one_a_generic_client_understands(by_facebook: ByFacebook, handle: str) -> None:
    back = by_facebook.come_back(handle)
    by_facebook.short(back)
    with pytest.raises(OAuthError):
        by_facebook.short(back)


# ------------------------------------------------------------------------------------------------------ Meta's own SDK


@pytest.fixture
def sdk(shared: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FacebookAdsApi]]:
    made = []

    def sdk(host: str, token: str) -> FacebookAdsApi:
        monkeypatch.setattr(FacebookSession, "GRAPH", shared.sandbox.hosts[f"INSTAGRAM_{host}_URL"])
        apps = shared.sandbox.apps
        # without crash_log=False an error would be posted to the app's page, in production to Meta
        made.append(
            FacebookAdsApi.init(
                app_id=apps["INSTAGRAM_CLIENT_ID"],
                app_secret=apps["INSTAGRAM_CLIENT_SECRET"],
                access_token=token,
                api_version="v26.0",
                crash_log=False,
            )
        )
        return made[-1]

    yield sdk
    FacebookAdsApi.set_default_api(None)
    for each in made:
        each._session.requests.close()


@pytest.fixture
def page_user(by_facebook: ByFacebook, sdk: Callable[..., FacebookAdsApi], handle: str) -> IGUser:
    page = by_facebook.page(handle)
    return IGUser(page["instagram_business_account"]["id"], api=sdk("FACEBOOK_GRAPH", page["access_token"]))


@pytest.fixture
def own_user(by_instagram: ByInstagram, sdk: Callable[..., FacebookAdsApi], handle: str) -> IGUserForIGOnlyAPI:
    token = by_instagram.short(without_mark(by_instagram.come_back(handle)))["access_token"]
    user_id = by_instagram.graph("/v26.0/me", fields="user_id")["user_id"]
    return IGUserForIGOnlyAPI(user_id, api=sdk("GRAPH", token))


def reel(clip: Any, **more: Any) -> dict[str, Any]:
    return {"media_type": "REELS", "video_url": clip.public_url(60), "caption": "By others", **more}


def finished(container: str, api: FacebookAdsApi) -> str:
    deadline = monotonic() + 15
    while True:
        told = ShadowIGMediaBuilder(container, api=api).api_get(fields=["status_code", "status"])
        if told["status_code"] != "IN_PROGRESS":
            return str(told["status_code"])
        assert monotonic() < deadline, "never settled"


def test_metas_sdk_publishes_a_reel_and_finds_it_again(page_user: IGUser, clip: Any, shared: Any) -> None:
    api = page_user.get_api_assured()
    chosen = {
        "share_to_feed": True,
        "thumb_offset": "1000",
        "collaborators": ["bea"],
        "user_tags": [{"username": "cy"}],
    }
    container = page_user.create_media(params=reel(clip, **chosen))["id"]
    assert finished(container, api) == "FINISHED"
    media = page_user.create_media_publish(params={"creation_id": int(container)})["id"]

    [live] = [each for each in shared.live() if each["account_id"] == page_user.get_id()]
    assert live["id"] == media
    assert live["media"]["sha256"] == clip.sha256
    fields = ["id", "caption", "permalink", "media_product_type"]
    [listed] = list(page_user.get_media(fields=fields))
    assert (listed["id"], listed["permalink"], listed["caption"]) == (media, live["permalink"], "By others")


def test_metas_sdk_reads_what_is_left_of_the_day(page_user: IGUser) -> None:
    [limit] = list(page_user.get_content_publishing_limit(fields=["config", "quota_usage"]))
    assert limit["quota_usage"] == 0
    assert limit["config"] == {"quota_total": 50, "quota_duration": 86400}


def test_metas_sdk_publishes_without_a_page_by_its_own_spelling(
    own_user: IGUserForIGOnlyAPI, clip: Any, shared: Any
) -> None:
    container = own_user.create_media(params=reel(clip, is_ai_generated=True))["id"]
    assert finished(container, own_user.get_api_assured()) == "FINISHED"
    media = own_user.create_media_publish(params={"creation_id": int(container)})["id"]
    assert [each["id"] for each in shared.live() if each["account_id"] == own_user.get_id()] == [media]


@pytest.mark.parametrize(
    ("broken", "code", "subcode"),
    [
        ({"video_url": "not a url"}, 9004, 2207052),
        ({"caption": "x" * 2201}, 36004, 2207010),
        ({"media_type": "MOVIE"}, 100, 2207023),
    ],
)
def test_metas_sdk_understands_the_sandboxs_refusals(
    page_user: IGUser, clip: Any, broken: dict[str, str], code: int, subcode: int
) -> None:
    with pytest.raises(FacebookRequestError) as caught:
        page_user.create_media(params=reel(clip, **broken))
    assert (caught.value.api_error_code(), caught.value.api_error_subcode()) == (code, subcode)
    assert caught.value.http_status() == 400
    assert caught.value.api_error_type() == "OAuthException"


def test_a_node_that_is_not_there_is_refused_as_graph_does(page_user: IGUser) -> None:
    with pytest.raises(FacebookRequestError) as caught:
        IGUser("999", api=page_user.get_api_assured()).api_get()
    assert (caught.value.api_error_code(), caught.value.api_error_subcode()) == (100, 33)
