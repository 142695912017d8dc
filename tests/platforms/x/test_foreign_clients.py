"""Do clients that others wrote get from our sandbox what they get from X?

xdk is X's own (append as base64 in JSON), tweepy and twitter-api-v2 are the ones most used, Authlib knows OAuth only.
What came out is in docs/platforms/x.md.
"""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import tweepy
import xdk
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from xdk.media.models import AppendUploadRequest, InitializeUploadRequest
from xdk.posts.models import CreateRequest

NODE = Path(__file__).parent / "node"
CALLBACK = "http://127.0.0.1:8080/oauth/x/callback"
SCOPES = ["tweet.read", "tweet.write", "users.read", "media.write", "offline.access"]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def loopback_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauthlib wants https, and complains when scopes come back in another order."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")


@pytest.fixture
def api(control: Any) -> str:
    return str(control.hosts["X_API_URL"])


def uploaded(client: xdk.Client, content: bytes) -> str:
    wanted = InitializeUploadRequest(media_type="video/mp4", total_bytes=len(content), media_category="tweet_video")
    media = client.media.initialize_upload(body=wanted).data.id
    for index, start in enumerate(range(0, len(content), MIB)):
        piece = base64.b64encode(content[start : start + MIB]).decode()
        client.media.append_upload(media, body=AppendUploadRequest(media=piece, segment_index=index))
    client.media.finalize_upload(media)
    return str(media)


def test_xdk_signs_in_refreshes_uploads_posts_and_reads(control: Any, api: str, longer_clip: Any) -> None:
    control.account("ada")
    control.settings(processing_seconds=60)
    client = xdk.Client(
        base_url=api,
        authorization_base_url=control.hosts["X_WWW_URL"] + "/i",
        client_id=control.apps["X_CLIENT_ID"],
        client_secret=control.apps["X_CLIENT_SECRET"],
        redirect_uri=CALLBACK,
        scope=SCOPES,
    )
    came_back = control.allow(client.oauth2_auth.get_authorization_url(state="st"), "ada")
    assert came_back["state"] == "st"
    first = dict(client.oauth2_auth.exchange_code(came_back["code"]))
    second = dict(client.oauth2_auth.refresh_token())
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]

    client = xdk.Client(base_url=api, access_token=second["access_token"])
    with client.session:
        me = client.users.get_me().data
        media = uploaded(client, longer_clip.path.read_bytes())
        assert client.media.get_upload_status(media, command="STATUS").data.processing_info.state == "pending"
        control.advance(61)
        assert client.media.get_upload_status(media, command="STATUS").data.processing_info.state == "succeeded"
        made = client.posts.create(body=CreateRequest(text="by xdk", media={"media_ids": [media]})).data
        page = next(iter(client.users.get_posts(me.id, max_results=5, expansions=["attachments.media_keys"])))
    (post,) = control.live()
    assert made.id == post["id"] == page.meta.newest_id
    assert page.data[0].attachments.media_keys == [f"13_{media}"]
    assert post["media"]["sha256"] == longer_clip.sha256


class Redirect(requests.adapters.HTTPAdapter):
    """Sends everything for the host it is mounted on to another address."""

    def __init__(self, base: str) -> None:
        self.base = base
        super().__init__()

    def send(self, request: Any, *rest: Any, **more: Any) -> Any:
        request.url = self.base + request.path_url
        return super().send(request, *rest, **more)


@pytest.fixture
def tweepy_login(control: Any, api: str) -> Iterator[tweepy.OAuth2UserHandler]:
    login = tweepy.OAuth2UserHandler(
        client_id=control.apps["X_CLIENT_ID"],
        redirect_uri=CALLBACK,
        scope=SCOPES,
        client_secret=control.apps["X_CLIENT_SECRET"],
    )
    login.mount("https://api.twitter.com", Redirect(api))
    login.mount("https://api.x.com", Redirect(api))
    with login:
        yield login


def allowed(control: Any, url: str) -> str:
    """The callback's address after the person allowed what tweepy asks for, at whichever host it asks."""
    query = url.partition("?")[2]
    came_back = control.allow(f"{control.hosts['X_WWW_URL']}/i/oauth2/authorize?{query}", "ada")
    return f"{CALLBACK}?{urlencode(came_back)}"


def test_tweepy_signs_in_refreshes_posts_and_reads(
    control: Any, api: str, tweepy_login: tweepy.OAuth2UserHandler
) -> None:
    account = control.account("ada")
    first = tweepy_login.fetch_token(allowed(control, tweepy_login.get_authorization_url()))
    auth = (control.apps["X_CLIENT_ID"], control.apps["X_CLIENT_SECRET"])
    url = "https://api.twitter.com/2/oauth2/token"
    second = tweepy_login.refresh_token(url, refresh_token=first["refresh_token"], auth=auth)
    client = tweepy.Client(second["access_token"])
    client.session.mount("https://api.twitter.com", Redirect(api))
    with client.session:
        made = client.create_tweet(text="by tweepy", user_auth=False)
        listed = client.get_users_tweets(account["id"], max_results=5, user_auth=False)
        with pytest.raises(tweepy.Forbidden, match="duplicate content"):
            client.create_tweet(text="by tweepy", user_auth=False)
    assert [post.id for post in listed.data] == [int(made.data["id"])]


def test_a_generic_oauth_client_authorises_refreshes_and_revokes(control: Any, api: str) -> None:
    control.account("ada")
    with OAuth2Session(
        control.apps["X_CLIENT_ID"],
        control.apps["X_CLIENT_SECRET"],
        token_endpoint_auth_method="client_secret_basic",
        redirect_uri=CALLBACK,
        scope=" ".join(SCOPES),
        code_challenge_method="S256",
    ) as client:
        verifier = "v" * 64
        url, state = client.create_authorization_url(
            control.hosts["X_WWW_URL"] + "/i/oauth2/authorize", code_verifier=verifier
        )
        came_back = f"{CALLBACK}?{urlencode(control.allow(url, 'ada'))}"
        first = client.fetch_token(
            api + "/2/oauth2/token", authorization_response=came_back, code_verifier=verifier, state=state
        )
        second = client.refresh_token(api + "/2/oauth2/token", first["refresh_token"])
        assert client.get(api + "/2/users/me").json()["data"]["username"] == "ada"
        with pytest.raises(OAuthError, match="Value passed for the token was invalid"):
            client.refresh_token(api + "/2/oauth2/token", "dead")
        assert client.revoke_token(api + "/2/oauth2/revoke", second["access_token"]).json() == {"revoked": True}
        assert client.get(api + "/2/users/me").status_code == 401


def authorised(control: Any, api: str, method: str) -> dict[str, Any]:
    """What a generic client gets that proves itself to the token endpoint in this way."""
    secret = None if method == "none" else control.apps["X_CLIENT_SECRET"]
    with OAuth2Session(
        control.apps["X_CLIENT_ID"],
        secret,
        token_endpoint_auth_method=method,
        redirect_uri=CALLBACK,
        scope="tweet.read",
    ) as client:
        challenge = {"code_challenge": "v" * 64, "code_challenge_method": "plain"}
        url, _ = client.create_authorization_url(control.hosts["X_WWW_URL"] + "/i/oauth2/authorize", **challenge)
        code = control.allow(url, "ada")["code"]
        return dict(client.fetch_token(api + "/2/oauth2/token", code=code, code_verifier="v" * 64))


def test_a_confidential_app_must_use_basic_and_a_public_one_names_itself(control: Any, api: str) -> None:
    control.account("ada")
    assert authorised(control, api, "client_secret_basic")["scope"] == "tweet.read"
    for method in ("client_secret_post", "none"):
        with pytest.raises(OAuthError, match="Missing valid authorization header"):
            authorised(control, api, method)
    control.settings(client_type="public")
    assert authorised(control, api, "none")["token_type"] == "bearer"


def test_twitter_api_v2_uploads_posts_and_reads(
    run_node: Callable[..., Any], connect: Callable[..., Any], control: Any, longer_clip: Any, api: str
) -> None:
    connected = connect("ada")
    got = run_node(
        NODE / "publish.mjs",
        api=api,
        token=connected.tokens.access_token,
        clip=str(longer_clip.path),
        text="from a client of somebody else",
    )
    (post,) = control.live()
    assert got["me"]["id"] == connected.account.external_id
    assert got["made"]["id"] == post["id"]
    assert got["listed"] == [[post["id"], [f"13_{got['media']}"]]]
    assert got["rate"]["limit"] == 900
    assert post["media"]["sha256"] == longer_clip.sha256
    assert len(control.calls("upload.append")) == 2
