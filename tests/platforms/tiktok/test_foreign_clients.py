"""Do clients that others wrote get from our sandbox what they get from TikTok?

There are two: arctic for Node, which knows TikTok's sign-in, and Authlib, which knows OAuth and nothing of TikTok. No
client for the Display API is in wide use. What came out is in docs/platforms/tiktok.md.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

NODE = Path(__file__).parent / "node"
BACK = "https://a.example/cb"
SCOPES = ["user.info.basic", "user.info.profile", "video.list"]
VERIFIER = "v" * 43


@pytest.fixture
def api(tiktok):
    return tiktok.server.hosts["TIKTOK_API_URL"]


def came_back(tiktok, url, **decision):
    wanted = {"authorize_url": url, "account": tiktok.handle, **decision}
    return tiktok.control("POST", "/consent", wanted)["redirect_to"]


def profile(api, access_token):
    asked = {"fields": "open_id,username"}
    answer = httpx.get(f"{api}/v2/user/info/", params=asked, headers={"Authorization": f"Bearer {access_token}"})
    return answer.json()


# ------------------------------------------------------------------------------------------------------------ arctic


@pytest.fixture
def arctic(tiktok, api, reach, run_node):
    given = {"key": reach.app.client_id, "secret": reach.app.client_secret, "back": BACK, "verifier": VERIFIER}

    def sign_in(**decision):
        spelt = run_node(NODE / "authorize.mjs", **given, scopes=SCOPES)["url"]
        url = spelt.replace("https://www.tiktok.com", tiktok.www_url)
        assert url != spelt
        code = parse_qs(urlsplit(came_back(tiktok, url, **decision)).query)["code"][0]
        return run_node(NODE / "tokens.mjs", **given, api=api, code=code)

    return sign_in


def test_arctic_signs_in_renews_and_leaves(arctic, api, tiktok):
    told = arctic()
    first, second = told["first"], told["second"]
    assert first["access_token"].startswith("act.")
    assert (first["expires_in"], first["refresh_expires_in"]) == (7200, 15552000)
    assert second["refresh_token"] != first["refresh_token"]
    assert told["spent"] == {"error": "OAuth2RequestError", "code": "invalid_grant"}
    assert told["again"] == {"error": "OAuth2RequestError", "code": "invalid_grant"}
    assert told["revoked"] == "done"
    assert profile(api, second["access_token"])["error"]["code"] == "access_token_invalid"


def test_arctic_expects_scopes_apart_by_spaces_where_tiktok_writes_commas(arctic):
    assert arctic()["first"]["scopes"] == [",".join(SCOPES)]


def test_arctics_base64url_challenge_passes_on_the_web_and_fails_on_desktops(arctic, tiktok):
    tiktok.settings(client_type="desktop")
    refused = arctic()["first"]
    assert refused == {"error": "OAuth2RequestError", "code": "invalid_request"}


def test_arctic_does_not_notice_a_refusal_in_a_good_status(arctic, tiktok):
    """Why our own client reads the body first, whatever the status."""
    tiktok.settings(oauth_error_status=200)
    told = arctic()
    assert told["again"]["error"] != "OAuth2RequestError"
    assert "access_token" not in told["again"]


# ----------------------------------------------------------------------------------------------------------- Authlib


@pytest.fixture
def authlib(reach, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with OAuth2Session(
        reach.app.client_id,
        reach.app.client_secret,
        scope=",".join(SCOPES),
        redirect_uri=BACK,
        token_endpoint_auth_method="client_secret_post",
        revocation_endpoint_auth_method="client_secret_post",
    ) as client:
        yield client


def test_authlib_signs_in_renews_and_leaves_with_the_key_beside_its_id(authlib, api, tiktok, reach):
    key = {"client_key": reach.app.client_id}
    url, state = authlib.create_authorization_url(f"{tiktok.www_url}/v2/auth/authorize/", **key)
    back = came_back(tiktok, url)
    first = dict(authlib.fetch_token(f"{api}/v2/oauth/token/", authorization_response=back, state=state, **key))
    assert profile(api, first["access_token"])["data"]["user"]["username"] == tiktok.handle
    second = dict(authlib.refresh_token(f"{api}/v2/oauth/token/", first["refresh_token"], **key))
    assert second["refresh_token"] != first["refresh_token"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.refresh_token(f"{api}/v2/oauth/token/", first["refresh_token"], **key)
    body = f"client_key={reach.app.client_id}"
    answer = authlib.revoke_token(f"{api}/v2/oauth/revoke/", second["access_token"], body=body)
    assert (answer.status_code, answer.json()) == (200, {})
    assert profile(api, second["access_token"])["error"]["code"] == "access_token_invalid"


def test_authlib_alone_sends_no_client_key_and_is_refused(authlib, api, tiktok):
    url, _ = authlib.create_authorization_url(f"{tiktok.www_url}/v2/auth/authorize/")
    assert tiktok.http.get(url).status_code == 400
    with pytest.raises(OAuthError, match="invalid_client"):
        authlib.fetch_token(f"{api}/v2/oauth/token/", code="c-1")


@pytest.mark.parametrize("status", [200, 400])
def test_authlib_reads_a_refusal_whatever_its_status(authlib, api, tiktok, reach, status):
    tiktok.settings(oauth_error_status=status)
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.fetch_token(f"{api}/v2/oauth/token/", code="c-1", client_key=reach.app.client_id)


def test_a_decoded_code_reaches_the_sandbox_whole_from_every_client(authlib, api, tiktok, reach):
    """TikTok's codes end in characters that an address encodes: whoever sends them on undecoded is refused."""
    url, _ = authlib.create_authorization_url(f"{tiktok.www_url}/v2/auth/authorize/", client_key=reach.app.client_id)
    raw = urlsplit(came_back(tiktok, url)).query
    decoded = parse_qs(raw)["code"][0]
    assert decoded not in raw
    undecoded = next(part for part in raw.split("&") if part.startswith("code=")).removeprefix("code=")
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.fetch_token(f"{api}/v2/oauth/token/", code=undecoded, client_key=reach.app.client_id)
    assert authlib.fetch_token(f"{api}/v2/oauth/token/", code=decoded, client_key=reach.app.client_id)["open_id"]
