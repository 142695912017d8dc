"""Do clients that others wrote get along with our sandbox YouTube?

Google's own libraries and Authlib know nothing of this house. What they manage here is evidence that the sandbox, and
with it every test of our own client, follows Google's documents. Differences: docs/platforms/youtube.md.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as GoogleTransport
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload, MediaInMemoryUpload

CALLBACK = "http://127.0.0.1:8080/oauth/youtube/callback"
BASE = "https://www.googleapis.com/auth/"
SCOPES = [BASE + "youtube.upload", BASE + "youtube.readonly", BASE + "youtube"]
KIB_256 = 262_144
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 50


@dataclass
class Google:
    """A person's channel, reached with Google's own libraries only."""

    youtube: Any
    credentials: Credentials
    transport: GoogleTransport
    oauth_url: str

    def resource(self, title: str = "A walk") -> dict[str, Any]:
        return {"snippet": {"title": title, "tags": ["walk", "dawn"]}, "status": {"privacyStatus": "public"}}

    def insert(self, media: Any) -> Any:
        return self.youtube.videos().insert(part="snippet,status", body=self.resource(), media_body=media)


@pytest.fixture
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries insist on https everywhere, and on getting every permission they asked for."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")


@pytest.fixture
def flow(control: Any, reach: Any, plain_http: None) -> Iterator[Flow]:
    control.account("ada")
    web = {
        "client_id": reach.app.client_id,
        "client_secret": reach.app.client_secret,
        "auth_uri": reach.urls["ACCOUNTS"] + "/o/oauth2/v2/auth",
        "token_uri": reach.urls["OAUTH"] + "/token",
    }
    flow = Flow.from_client_config({"web": web}, scopes=SCOPES, redirect_uri=CALLBACK)
    yield flow
    flow.oauth2session.close()


@pytest.fixture
def sign_in(flow: Flow, control: Any) -> Callable[..., Credentials]:
    def sign_in(**decision: Any) -> Credentials:
        url, _state = flow.authorization_url(access_type="offline", prompt="consent", include_granted_scopes="true")
        flow.fetch_token(code=control.allow(url, "ada", **decision)["code"])
        return flow.credentials

    return sign_in


@pytest.fixture
def google(sign_in: Callable[..., Credentials], reach: Any, discovery: dict[str, Any]) -> Iterator[Google]:
    credentials = sign_in()
    # The documented option `api_endpoint` leaves uploads on https: an edited document moves them all.
    here = copy.deepcopy(discovery)
    here["rootUrl"] = here["baseUrl"] = reach.urls["API"] + "/"
    with requests.Session() as session:
        youtube = build_from_document(here, credentials=credentials)
        yield Google(youtube, credentials, GoogleTransport(session), reach.urls["OAUTH"])
        youtube.close()


# -------------------------------------------------------------------------------------------- Google's OAuth library


def test_googles_flow_connects_with_proof_of_origin(flow: Flow, sign_in: Callable[..., Credentials]) -> None:
    credentials = sign_in()
    assert flow.code_verifier, "the library proves its origin by default"
    assert credentials.refresh_token.startswith("1//")
    assert set(credentials.granted_scopes) == set(SCOPES)
    assert credentials.valid


def test_googles_flow_learns_which_permission_was_left_unticked(sign_in: Callable[..., Credentials]) -> None:
    credentials = sign_in(deny_scopes=[SCOPES[0]])
    assert set(credentials.granted_scopes) == set(SCOPES[1:])


def test_googles_credentials_refresh_and_keep_their_refresh_token(google: Google) -> None:
    before = google.credentials.token, google.credentials.refresh_token
    google.credentials.refresh(google.transport)
    assert google.credentials.token != before[0]
    assert google.credentials.refresh_token == before[1]
    assert google.youtube.channels().list(part="id", mine=True).execute()["items"]


def test_googles_credentials_say_what_became_of_a_revoked_grant(google: Google) -> None:
    answer = google.transport(
        google.oauth_url + "/revoke",
        method="POST",
        body=f"token={google.credentials.token}".encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 200
    with pytest.raises(RefreshError, match="invalid_grant: Token has been expired or revoked"):
        google.credentials.refresh(google.transport)


def test_an_expired_access_token_is_renewed_by_the_library_on_its_own(google: Google, control: Any) -> None:
    control.advance(3700)
    before = google.credentials.token
    assert google.youtube.channels().list(part="id", mine=True).execute()["items"]
    assert google.credentials.token != before
    assert "token" in [call.partition(".")[0] for call in control.calls()]


# ------------------------------------------------------------------------------------------------ Google's API client


def test_googles_client_uploads_in_chunks_and_finds_its_video(google: Google, control: Any, big_file: Any) -> None:
    request = google.insert(MediaFileUpload(str(big_file.path), "video/mp4", chunksize=4 * KIB_256, resumable=True))
    fractions, video = [], None
    while video is None:
        progress, video = request.next_chunk()
        fractions += [progress.progress()] if progress else []
    assert len(fractions) == 3
    assert fractions == sorted(fractions)
    (post,) = control.live()
    assert (post["id"], post["media"]["sha256"]) == (video["id"], big_file.sha256)
    found = google.youtube.videos().list(part="snippet,status", id=video["id"]).execute()
    assert found["items"][0]["snippet"]["tags"] == ["walk", "dawn"]


@pytest.mark.parametrize("fault", ["reset_before_body", "reset_mid_body", "commit_then_reset"])
def test_googles_client_goes_on_after_an_interruption(google: Google, control: Any, big_file: Any, fault: str) -> None:
    control.fault("session.put", fault, after=1, bytes=KIB_256 + 100_000)
    request = google.insert(MediaFileUpload(str(big_file.path), "video/mp4", chunksize=4 * KIB_256, resumable=True))
    video, broken = None, 0
    while video is None:
        try:
            _, video = request.next_chunk()
        except OSError:
            broken += 1
    assert broken == 1
    assert "session.query" in control.calls(), "it asked how far it had come"
    assert control.calls().count("session.start") == 1
    (post,) = control.live()
    assert post["media"]["sha256"] == big_file.sha256


def test_googles_client_goes_on_after_a_refusal_that_passes(google: Google, control: Any, small_file: Any) -> None:
    control.fault("session.put", "read_error", status=503)
    request = google.insert(MediaFileUpload(str(small_file.path), "video/mp4", resumable=True))
    with pytest.raises(HttpError, match="503"):
        request.next_chunk()
    _, video = request.next_chunk()
    assert [post["id"] for post in control.live()] == [video["id"]]


def test_googles_client_reads_channel_uploads_and_processing(google: Google, control: Any, small_file: Any) -> None:
    video = google.insert(MediaFileUpload(str(small_file.path), "video/mp4", resumable=True)).execute()
    control.advance(5)
    (channel,) = google.youtube.channels().list(part="snippet,contentDetails", mine=True).execute()["items"]
    uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
    items = google.youtube.playlistItems()
    request = items.list(part="snippet,contentDetails,status", playlistId=uploads, maxResults=50)
    page = request.execute()
    assert [item["contentDetails"]["videoId"] for item in page["items"]] == [video["id"]]
    assert items.list_next(request, page) is None
    (found,) = google.youtube.videos().list(part="status,processingDetails", id=video["id"]).execute()["items"]
    assert found["processingDetails"]["processingStatus"] == "succeeded"


def test_googles_client_follows_the_pages_of_a_long_list(google: Google, control: Any) -> None:
    control.upload("Day after day", copies=7)
    (channel,) = google.youtube.channels().list(part="contentDetails", mine=True).execute()["items"]
    items = google.youtube.playlistItems()
    uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
    request, found = items.list(part="contentDetails", playlistId=uploads, maxResults=3), []
    while request is not None:
        page = request.execute()
        found += [item["contentDetails"]["videoId"] for item in page["items"]]
        request = items.list_next(request, page)
    assert len(set(found)) == 7


def test_googles_client_sets_a_cover(google: Google, control: Any, small_file: Any) -> None:
    video = google.insert(MediaFileUpload(str(small_file.path), "video/mp4", resumable=True)).execute()
    control.advance(5)
    media = MediaInMemoryUpload(JPEG, "image/jpeg")
    answer = google.youtube.thumbnails().set(videoId=video["id"], media_body=media).execute()
    assert answer["kind"] == "youtube#thumbnailSetResponse"
    assert answer["items"][0]["default"]["url"]
    assert control.live()[0]["details"]["has_thumbnail"] is True


def test_googles_client_sets_a_cover_in_a_session(google: Google, control: Any, small_file: Any) -> None:
    video = google.insert(MediaFileUpload(str(small_file.path), "video/mp4", resumable=True)).execute()
    control.advance(5)
    media = MediaInMemoryUpload(b"\x89PNG\r\n\x1a\n" + bytes(400_000), "image/png", chunksize=KIB_256, resumable=True)
    answer = google.youtube.thumbnails().set(videoId=video["id"], media_body=media).execute()
    assert answer["items"][0]["default"]["url"]
    assert control.live()[0]["details"]["has_thumbnail"] is True


@pytest.mark.parametrize("resumable", [True, False])
def test_googles_client_uploads_in_one_request_too(
    google: Google, control: Any, small_file: Any, resumable: bool
) -> None:
    video = google.insert(MediaFileUpload(str(small_file.path), "video/mp4", resumable=resumable)).execute()
    (post,) = control.live()
    assert (post["id"], post["text"]["title"]) == (video["id"], "A walk")
    assert post["media"]["sha256"] == small_file.sha256


def test_googles_client_fills_a_playlist_and_changes_a_video(google: Google, control: Any) -> None:
    video, playlist = control.upload("A walk"), control.playlist("Walks")
    (listed,) = google.youtube.playlists().list(part="snippet", mine=True).execute()["items"]
    assert (listed["id"], listed["snippet"]["title"]) == (playlist, "Walks")
    resource = {"kind": "youtube#video", "videoId": video}
    body = {"snippet": {"playlistId": playlist, "resourceId": resource}}
    google.youtube.playlistItems().insert(part="snippet", body=body).execute()
    request = google.youtube.playlistItems().list(part="snippet", playlistId=playlist, videoId=video)
    assert [item["snippet"]["title"] for item in request.execute()["items"]] == ["A walk"]
    changed = {"id": video, "snippet": {"title": "A longer walk", "categoryId": "19"}}
    assert google.youtube.videos().update(part="snippet", body=changed).execute()["snippet"]["title"] == "A longer walk"


def test_googles_client_reads_the_reason_of_a_refusal(google: Google, small_file: Any) -> None:
    media = MediaFileUpload(str(small_file.path), "video/mp4", resumable=True)
    body = google.resource(title="<b>")
    with pytest.raises(HttpError) as caught:
        google.youtube.videos().insert(part="snippet,status", body=body, media_body=media).execute()
    assert caught.value.status_code == 400
    assert caught.value.error_details[0]["reason"] == "invalidTitle"


# ------------------------------------------------------------------------------------------- Authlib's generic client


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_walks_through_consent_exchange_refresh_and_revocation(control: Any, reach: Any, method: str) -> None:
    control.account("ada")
    token_url = reach.urls["OAUTH"] + "/token"
    with OAuth2Session(
        reach.app.client_id,
        reach.app.client_secret,
        scope=SCOPES[:2],
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    ) as client:
        verifier = "v" * 64
        consent_url = reach.urls["ACCOUNTS"] + "/o/oauth2/v2/auth"
        url, _state = client.create_authorization_url(consent_url, code_verifier=verifier, access_type="offline")
        code = control.allow(url, "ada")["code"]
        token = dict(client.fetch_token(token_url, code=code, code_verifier=verifier))
        assert token["scope"].split() == SCOPES[:2]
        fresh = client.refresh_token(token_url, refresh_token=token["refresh_token"])
        assert fresh["access_token"] != token["access_token"]
        answer = client.get(reach.urls["API"] + "/youtube/v3/channels", params={"part": "id", "mine": "true"})
        assert len(answer.json()["items"]) == 1
        revoked = client.revoke_token(reach.urls["OAUTH"] + "/revoke", token=token["refresh_token"])
        assert (revoked.status_code, revoked.content) == (200, b"")
        answer = client.get(reach.urls["API"] + "/youtube/v3/channels", params={"part": "id", "mine": "true"})
        assert answer.json()["error"]["errors"][0]["reason"] == "authError"
