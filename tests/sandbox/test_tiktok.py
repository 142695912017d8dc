"""TikTok in the sandbox, held against its public pages: Login Kit, Display API, webhooks, the video page."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from autorepost_app.sandbox.tiktok.webhooks import signature


def test_a_token_reply_is_flat_and_says_how_long_both_tokens_live(tiktoker):
    reply = tiktoker.exchange(code=tiktoker.code()).json()
    assert reply["access_token"].startswith("act.")
    assert reply["refresh_token"].startswith("rft.")
    assert (reply["expires_in"], reply["refresh_expires_in"]) == (7200, 15552000)
    assert reply["scope"] == tiktoker.scopes
    assert reply["token_type"] == "Bearer"


def test_the_older_token_profile_is_a_switch(control, tiktoker):
    control.settings("tiktok", token_profile="classic")
    reply = tiktoker.exchange(code=tiktoker.code()).json()
    assert (reply["expires_in"], reply["refresh_expires_in"]) == (86400, 31536000)


def test_the_code_must_be_url_decoded_once(tiktoker):
    raw = tiktoker.control.consent(tiktoker.host("WWW") + "/v2/auth/authorize/", tiktoker.asks()).json()["redirect_to"]
    still_encoded = re.search(r"code=([^&]+)", raw)[1]
    assert tiktoker.exchange(code=still_encoded).json()["error"] == "invalid_grant"
    assert "access_token" in tiktoker.exchange(code=parse_qs(urlsplit(raw).query)["code"][0]).json()


def test_a_code_works_once_and_not_after_ten_minutes(control, tiktoker):
    code = tiktoker.code()
    assert tiktoker.exchange(code=code).status_code == 200
    assert tiktoker.exchange(code=code).json()["error"] == "invalid_grant"
    late = tiktoker.code()
    control.advance(601)
    assert tiktoker.exchange(code=late).json()["error"] == "invalid_grant"


def test_another_redirect_uri_is_refused_in_tiktoks_words(tiktoker):
    reply = tiktoker.exchange(code=tiktoker.code(), redirect_uri="http://127.0.0.1:9/other")
    assert reply.status_code == 400
    assert reply.json()["error_description"] == "Redirect_uri is not matched with the uri when requesting code."
    assert reply.json()["log_id"]


def test_an_oauth_error_may_come_with_status_200(control, tiktoker):
    control.settings("tiktok", oauth_error_status=200)
    reply = tiktoker.exchange(code="nonsense")
    assert (reply.status_code, reply.json()["error"]) == (200, "invalid_grant")


def test_a_wrong_secret_is_an_invalid_client(tiktoker):
    assert tiktoker.exchange(code=tiktoker.code(), client_secret="x").json()["error"] == "invalid_client"


def test_refreshing_rotates_and_the_old_refresh_token_is_dead(tiktoker):
    first = tiktoker.sign_in().token
    second = tiktoker.exchange("refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    again = tiktoker.exchange("refresh_token", refresh_token=first["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


def test_an_access_token_dies_after_two_hours(control, tiktoker):
    tiktoker.sign_in()
    control.advance(7201)
    reply = tiktoker.list()
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "access_token_invalid")


def test_desktop_apps_send_their_challenge_as_hex_and_nothing_else_passes(control, tiktoker, vectors):
    control.settings("tiktok", client_type="desktop")
    url, pkce = tiktoker.host("WWW") + "/v2/auth/authorize/", vectors["pkce"]

    def exchange(challenge):
        asks = tiktoker.asks(code_challenge=challenge, code_challenge_method="S256")
        return tiktoker.exchange(code=control.returned(url, asks)["code"], code_verifier=pkce["verifier"])

    assert exchange(pkce["s256_hex_tiktok_desktop"]).status_code == 200
    refused = exchange(pkce["s256_base64url"]).json()
    assert refused["error_description"] == "Code verifier or code challenge is invalid."
    assert control.consent(url, tiktoker.asks()).status_code == 422


def test_web_apps_may_send_a_challenge_that_nobody_looks_at(tiktoker):
    asks = tiktoker.asks(code_challenge="whatever", code_challenge_method="S256")
    code = tiktoker.control.returned(tiktoker.host("WWW") + "/v2/auth/authorize/", asks)["code"]
    assert tiktoker.exchange(code=code).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"client_key": "stranger"},
        {"scope": "user.info.basic video.list"},
        {"scope": "video.upload"},
        {"response_type": "token"},
        {"state": ""},
        {"redirect_uri": "http://example.com/cb"},
        {"redirect_uri": "https://example.com/cb?x=1"},
    ],
)
def test_a_wrong_authorize_address_redirects_nobody(tiktoker, changes):
    url = tiktoker.host("WWW") + "/v2/auth/authorize/"
    assert tiktoker.http.get(url, params=tiktoker.asks(**changes)).status_code == 400
    assert tiktoker.control.consent(url, tiktoker.asks(**changes)).status_code == 422


def test_an_unticked_scope_is_told_in_the_redirect_and_missing_afterwards(tiktoker):
    url = tiktoker.host("WWW") + "/v2/auth/authorize/"
    back = tiktoker.control.returned(url, tiktoker.asks(), deny_scopes=["video.list"])
    assert back["scopes"] == "user.info.basic,user.info.profile"
    tiktoker.token = tiktoker.exchange(code=back["code"]).json()
    reply = tiktoker.list()
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "scope_not_authorized")


def test_a_refusal_comes_back_with_error_and_state(tiktoker):
    back = tiktoker.control.returned(tiktoker.host("WWW") + "/v2/auth/authorize/", tiktoker.asks(), deny=True)
    assert back["error"] == "access_denied"
    assert back["state"] == "st"
    assert "code" not in back


def test_user_info_gives_the_fields_of_the_granted_scopes_only(tiktoker):
    tiktoker.sign_in()
    url = tiktoker.host("API") + "/v2/user/info/"
    reply = tiktoker.http.get(url, params={"fields": "open_id,username"}, headers=tiktoker.bearer)
    assert reply.json()["data"]["user"] == {"open_id": tiktoker.token["open_id"], "username": "ana"}
    assert reply.json()["error"]["code"] == "ok"
    assert reply.headers["x-tt-logid"] == reply.json()["error"]["log_id"]
    missed = tiktoker.http.get(url, params={"fields": "follower_count"}, headers=tiktoker.bearer)
    assert (missed.status_code, missed.json()["error"]["code"]) == (400, "scope_permission_missed")


def test_the_list_is_newest_first_and_pages_by_milliseconds(tiktoker, clip):
    tiktoker.sign_in()
    ids = [tiktoker.post(clip, title=f"t{n}", create_time=1_790_000_000 + n)["id"] for n in range(5)]
    seen, body = [], {"max_count": 2}
    while True:
        page = tiktoker.list(**body).json()["data"]
        seen += [video["id"] for video in page["videos"]]
        assert page["cursor"] == page["videos"][-1]["create_time"] * 1000
        if not page["has_more"]:
            break
        body["cursor"] = page["cursor"]
    assert seen == ids[::-1]


def test_posts_of_the_same_second_are_not_lost_between_pages(tiktoker, clip):
    tiktoker.sign_in()
    ids = {tiktoker.post(clip, create_time=1_790_000_000)["id"] for _ in range(3)}
    first = tiktoker.list(max_count=1).json()["data"]
    rest = tiktoker.list(max_count=20, cursor=first["cursor"]).json()["data"]
    assert {video["id"] for video in first["videos"] + rest["videos"]} == ids


def test_a_page_may_be_short_while_more_follows(tiktoker, clip):
    tiktoker.sign_in()
    for number in range(4):
        tiktoker.post(clip, create_time=1_790_000_000 + number, private=number == 2)
    page = tiktoker.list(max_count=2).json()["data"]
    assert len(page["videos"]) == 1
    assert page["has_more"] is True


def test_a_private_post_made_public_later_appears_with_its_old_time(tiktoker, clip):
    tiktoker.sign_in()
    hidden = tiktoker.post(clip, create_time=1_790_000_000, private=True)
    tiktoker.post(clip, create_time=1_790_000_100)
    assert hidden["id"] not in [video["id"] for video in tiktoker.list().json()["data"]["videos"]]
    url = f"{tiktoker.control.base}/tiktok/accounts/ana/posts/{hidden['id']}"
    tiktoker.http.patch(url, json={"private": False}).raise_for_status()
    last = tiktoker.list().json()["data"]["videos"][-1]
    assert (last["id"], last["create_time"]) == (hidden["id"], 1_790_000_000)


def test_texts_are_cut_at_150_characters_but_the_page_has_them_whole(tiktoker, clip, rehydrated):
    tiktoker.sign_in()
    caption = "long " * 60
    post = tiktoker.post(clip, title=caption, description=caption)
    video = tiktoker.list().json()["data"]["videos"][0]
    assert video["video_description"] == caption[:150]
    assert video["title"] == caption[:150]
    assert rehydrated(post["share_url"])["itemInfo"]["itemStruct"]["desc"] == caption


@pytest.mark.parametrize("body", [{"max_count": 0}, {"max_count": 21}, {"max_count": "x"}, {"cursor": "y"}])
def test_a_list_outside_its_limits_is_invalid(tiktoker, body):
    tiktoker.sign_in()
    reply = tiktoker.list(**body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_params")


def test_fields_are_needed_and_must_be_known(tiktoker):
    tiktoker.sign_in()
    for fields in ("", "id,music"):
        assert tiktoker.list(fields).json()["error"]["code"] == "invalid_params"


def test_query_returns_only_what_the_user_owns_and_still_shows(control, tiktoker, clip):
    tiktoker.sign_in()
    kept, gone = tiktoker.post(clip), tiktoker.post(clip)
    control.http.delete(f"{control.base}/posts/tiktok/{gone['id']}").raise_for_status()
    control.account("tiktok", "bob")
    url = f"{control.base}/tiktok/accounts/bob/posts"
    foreign = control.http.post(url, json={"clip_path": str(clip), "title": "bob's"}).json()
    query = {"filters": {"video_ids": [kept["id"], gone["id"], foreign["id"]]}}
    url = tiktoker.host("API") + "/v2/video/query/"
    reply = tiktoker.http.post(url, params={"fields": "id"}, json=query, headers=tiktoker.bearer)
    assert reply.json()["data"]["videos"] == [{"id": kept["id"]}]


def test_a_cover_dies_after_six_hours_and_query_renews_it(control, tiktoker, clip):
    post = tiktoker.sign_in().post(clip)
    cover = tiktoker.list("cover_image_url").json()["data"]["videos"][0]["cover_image_url"]
    assert control.http.get(cover).headers["content-type"] == "image/jpeg"
    control.advance(6 * 3600 + 1)
    assert control.http.get(cover).status_code == 403
    tiktoker.token = tiktoker.exchange("refresh_token", refresh_token=tiktoker.token["refresh_token"]).json()
    url = tiktoker.host("API") + "/v2/video/query/"
    query = {"filters": {"video_ids": [post["id"]]}}
    reply = tiktoker.http.post(url, params={"fields": "cover_image_url"}, json=query, headers=tiktoker.bearer)
    assert control.http.get(reply.json()["data"]["videos"][0]["cover_image_url"]).status_code == 200


def test_the_rate_is_a_sliding_minute_per_endpoint(control, tiktoker):
    control.settings("tiktok", calls_per_minute=3)
    tiktoker.sign_in()
    assert [tiktoker.list().status_code for _ in range(4)] == [200, 200, 200, 429]
    assert tiktoker.list().json()["error"]["code"] == "rate_limit_exceeded"
    info = tiktoker.http.get(
        tiktoker.host("API") + "/v2/user/info/", params={"fields": "open_id"}, headers=tiktoker.bearer
    )
    assert info.status_code == 200
    control.advance(61)
    assert tiktoker.list().status_code == 200


def test_a_plain_client_finds_and_downloads_the_file(tiktoker, clip, rehydrated):
    post = tiktoker.post(clip)
    detail = rehydrated(post["share_url"])
    assert detail["statusCode"] == 0
    video = detail["itemInfo"]["itemStruct"]["video"]
    url = video["bitrateInfo"][0]["PlayAddr"]["UrlList"][0]
    assert url == video["playAddr"]
    whole = tiktoker.http.get(url)
    assert hashlib.sha256(whole.content).hexdigest() == post["media"]["sha256"]
    part = tiktoker.http.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"private": True}, 10216), ({"trouble": "ip_blocked"}, 10204)],
)
def test_a_page_that_hides_its_video_says_why_in_a_code(tiktoker, clip, rehydrated, fields, status):
    post = tiktoker.post(clip, **fields)
    detail = rehydrated(post["share_url"])
    assert detail["statusCode"] == status
    assert "itemInfo" not in detail
    assert tiktoker.http.get(post["share_url"] + "/download.mp4").status_code == 403


def test_a_private_account_hides_every_video(control, clip, rehydrated):
    control.account("tiktok", "shy", private=True)
    url = f"{control.base}/tiktok/accounts/shy/posts"
    post = control.http.post(url, json={"clip_path": str(clip)}).json()
    assert rehydrated(post["share_url"])["statusCode"] == 10222


def test_a_deleted_post_has_another_code(control, tiktoker, clip, rehydrated):
    post = tiktoker.post(clip)
    control.http.delete(f"{control.base}/posts/tiktok/{post['id']}").raise_for_status()
    assert rehydrated(post["share_url"])["statusCode"] not in (0, 10216, 10222, 10204)


def test_a_login_wall_redirects_to_the_login_page(tiktoker, clip):
    post = tiktoker.post(clip, trouble="login_wall")
    assert "/login" in tiktoker.http.get(post["share_url"]).headers["location"]


def test_sensitive_content_has_no_video_in_its_page(tiktoker, clip, rehydrated):
    item = rehydrated(tiktoker.post(clip, trouble="sensitive")["share_url"])["itemInfo"]["itemStruct"]
    assert item["isContentClassified"] is True
    assert "video" not in item


def test_only_the_watermarked_file_is_there_when_tiktok_says_so(tiktoker, clip, rehydrated):
    post = tiktoker.post(clip, trouble="watermarked_only")
    video = rehydrated(post["share_url"])["itemInfo"]["itemStruct"]["video"]
    assert video["bitrateInfo"] == []
    assert "playAddr" not in video
    assert tiktoker.http.get(video["downloadAddr"]).status_code == 200


def test_a_page_without_the_data_looks_like_a_soft_block(tiktoker, clip):
    page = tiktoker.http.get(tiktoker.post(clip, trouble="broken_page")["share_url"])
    assert page.status_code == 200
    assert "__UNIVERSAL_DATA_FOR_REHYDRATION__" not in page.text


def test_the_creators_clip_must_be_a_video(control, tiktoker):
    url = f"{control.base}/tiktok/accounts/ana/posts"
    reply = control.http.post(url, content=b"not a video", headers={"content-type": "video/mp4"})
    assert (reply.status_code, reply.json()["error"]) == (422, "the clip is not a video")


def test_revoking_kills_the_tokens(tiktoker):
    tiktoker.sign_in()
    form = {"client_key": tiktoker.client_id, "client_secret": tiktoker.secret, "token": tiktoker.token["access_token"]}
    reply = tiktoker.http.post(tiktoker.host("API") + "/v2/oauth/revoke/", data=form)
    assert (reply.status_code, reply.json()) == (200, {})
    assert tiktoker.list().status_code == 401
    refresh = tiktoker.exchange("refresh_token", refresh_token=tiktoker.token["refresh_token"])
    assert refresh.json()["error"] == "invalid_grant"


def test_a_signature_is_what_tiktok_would_sign(vectors):
    known = vectors["tiktok_webhook"]
    signed = signature(known["client_secret"], int(known["t"]), known["raw_body"].encode())
    assert signed == known["header"]


@pytest.fixture
def listener():
    """The app's webhook address: refuses the first delivery, takes the second."""

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append((dict(self.headers), body))
            self.send_response(500 if len(self.server.got) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Inbox)
    server.got = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_removing_the_app_is_told_by_a_signed_webhook_until_it_is_taken(control, tiktoker, listener, eventually):
    control.settings("tiktok", webhook_url=f"http://127.0.0.1:{listener.server_port}/hook")
    tiktoker.sign_in()
    control.http.delete(f"{control.base}/accounts/tiktok/ana/grants").raise_for_status()
    eventually(lambda: len(listener.got) == 1)
    control.advance(3600)
    eventually(lambda: len(listener.got) == 2)
    headers, body = listener.got[1]
    event = json.loads(body)
    assert (event["event"], event["user_openid"]) == ("authorization.removed", tiktoker.token["open_id"])
    assert json.loads(event["content"]) == {"reason": 1}
    moment = re.match(r"t=(\d+),", headers["TikTok-Signature"])[1]
    assert headers["TikTok-Signature"] == signature(tiktoker.secret, int(moment), body)
    assert tiktoker.list().status_code == 401


@pytest.fixture
def rehydrated(http: httpx.Client):
    """What a downloader reads from a video's page."""

    def read(url):
        page = http.get(url).text
        found = re.search(r'<script[^>]+id="__UNIVERSAL_DATA_FOR_REHYDRATION__"[^>]*>(.*?)</script>', page, re.DOTALL)
        return json.loads(found[1])["__DEFAULT_SCOPE__"]["webapp.video-detail"]

    return read
