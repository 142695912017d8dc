"""Instagram in the sandbox, held against Meta's pages: both logins, containers, publishing, limits, errors."""

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest

from autorepost_app.sandbox.instagram.callbacks import signed_request

DAY = 86400


def error(reply):
    body = reply.json()["error"]
    return body["code"], body.get("error_subcode")


def test_the_way_back_ends_with_the_mark_that_apps_must_strip(instagrammer):
    url = instagrammer.host("WWW") + "/oauth/authorize"
    back = instagrammer.control.consent(url, instagrammer.asks()).json()["redirect_to"]
    assert back.endswith("state=st#_")
    code = back.split("code=")[1].split("&")[0]
    kept = instagrammer.exchange(code + "#_")
    assert kept.status_code == 400
    assert kept.json() == {
        "error_type": "OAuthException",
        "code": 400,
        "error_message": "Matching code was not found or was already used",
    }
    assert instagrammer.exchange(code).status_code == 200


def test_the_code_lives_an_hour_and_is_used_once(control, instagrammer):
    code = instagrammer.code()
    assert instagrammer.exchange(code).status_code == 200
    assert instagrammer.exchange(code).status_code == 400
    late = instagrammer.code()
    control.advance(3601)
    assert instagrammer.exchange(late).status_code == 400


def test_the_short_token_reply_comes_flat_or_in_a_list(control, instagrammer):
    flat = instagrammer.exchange(instagrammer.code()).json()
    assert flat["permissions"] == instagrammer.scopes.split(",")
    assert flat["user_id"] > 2**53
    control.settings("instagram", reply_shape="list")
    listed = instagrammer.exchange(instagrammer.code()).json()["data"][0]
    assert listed["permissions"] == instagrammer.scopes
    assert listed["user_id"] == str(flat["user_id"])


def test_a_long_token_lives_sixty_days_and_refreshes_only_after_one(control, instagrammer):
    first = instagrammer.sign_in().token
    assert (first["token_type"], first["expires_in"]) == ("bearer", 5184000)

    def refresh():
        query = {"grant_type": "ig_refresh_token", "access_token": first["access_token"]}
        return instagrammer.http.get(instagrammer.host("GRAPH") + "/refresh_access_token", params=query)

    assert refresh().status_code == 400
    control.advance(DAY + 1)
    second = refresh().json()
    assert second["permissions"] == instagrammer.scopes
    assert second["expires_in"] == 5184000
    control.advance(5184000)
    assert error(refresh()) == (190, 463)


def test_a_short_token_dies_after_an_hour(control, instagrammer):
    short = instagrammer.exchange(instagrammer.code()).json()["access_token"]
    control.advance(3601)
    assert error(instagrammer.long_lived(short)) == (190, 463)


def test_a_refusal_says_the_user_denied(instagrammer):
    back = instagrammer.control.returned(instagrammer.host("WWW") + "/oauth/authorize", instagrammer.asks(), deny=True)
    assert (back["error"], back["error_reason"]) == ("access_denied", "user_denied")


@pytest.mark.parametrize("changes", [{"client_id": "x"}, {"scope": "instagram_basic"}, {"redirect_uri": ""}])
def test_a_wrong_authorize_address_redirects_nobody(instagrammer, changes):
    reply = instagrammer.http.get(instagrammer.host("WWW") + "/oauth/authorize", params=instagrammer.asks(**changes))
    assert reply.status_code == 400


def test_me_tells_the_publishing_id_apart_from_the_app_scoped_one(control, instagrammer):
    instagrammer.sign_in()
    me = instagrammer.get("me", fields="user_id,username,account_type").json()
    assert me["username"] == "ana"
    assert me["user_id"] == instagrammer.id != me["id"]
    control.settings("instagram", reply_shape="list")
    assert instagrammer.get("me", fields="user_id").json()["data"][0]["user_id"] == instagrammer.id


@pytest.mark.parametrize("where", ["query", "bearer", "trailing slash", "proof"])
def test_the_token_may_travel_every_documented_way(instagrammer, where):
    instagrammer.sign_in()
    token, url = instagrammer.token["access_token"], f"{instagrammer.host('GRAPH')}/v26.0/{instagrammer.id}"
    query, headers = {"fields": "username", "summary": "true"}, {}
    if where == "bearer":
        headers = instagrammer.bearer
    else:
        query["access_token"] = token
    if where == "trailing slash":
        url += "/"
    if where == "proof":
        query["appsecret_proof"] = hmac.new(instagrammer.secret.encode(), token.encode(), "sha256").hexdigest()
    assert instagrammer.http.get(url, params=query, headers=headers).json()["username"] == "ana"


def test_a_wrong_proof_or_token_is_refused(instagrammer):
    instagrammer.sign_in()
    assert error(instagrammer.get("me", appsecret_proof="0" * 64))[0] == 100
    assert error(instagrammer.get("me", access_token="IGnonsense"))[0] == 190


def test_a_reel_goes_live_only_by_its_publish(control, instagrammer, clip_url, sha256):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url, "first #reel", is_ai_generated="true")
    assert instagrammer.settled(container)["status_code"] == "FINISHED"
    assert control.posts("instagram") == []
    assert control.ledger("instagram")["orphans"] == {"instagram": {"containers": 1}}
    media = instagrammer.publish(container).json()["id"]
    (post,) = control.posts("instagram")
    assert (post["id"], post["account"], post["text"]) == (media, "ana", {"caption": "first #reel"})
    assert (post["media"]["sha256"], post["media"]["width"], post["media"]["height"]) == (sha256, 270, 480)
    assert post["same_bytes_uploads"] == 1
    assert post["details"]["is_ai_generated"] == "true"
    assert instagrammer.status(container)["status_code"] == "PUBLISHED"
    assert control.ledger("instagram")["orphan_count"] == 0
    read = instagrammer.get(media, fields="permalink,media_type,media_product_type,timestamp").json()
    assert (read["media_type"], read["media_product_type"]) == ("VIDEO", "REELS")
    assert read["timestamp"].endswith("+0000")
    assert instagrammer.http.get(read["permalink"]).status_code == 200


def test_the_official_sdks_spelling_of_publish_works_too(instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    assert instagrammer.send("mediapublish", creation_id=container).status_code == 200


def test_a_json_body_with_a_bearer_token_publishes_too(instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    url = f"{instagrammer.host('GRAPH')}/v26.0/{instagrammer.id}/media_publish"
    assert instagrammer.http.post(url, json={"creation_id": container}, headers=instagrammer.bearer).is_success


def test_publishing_a_container_twice_never_makes_two_posts(control, instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    first = instagrammer.publish(container).json()["id"]
    assert error(instagrammer.publish(container)) == (24, 2207008)
    control.settings("instagram", republish="same_id")
    assert instagrammer.publish(container).json()["id"] == first
    assert len(control.posts("instagram")) == 1


def test_two_publishes_at_the_same_moment_make_one_post(control, instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: instagrammer.publish(container).status_code, range(8)))
    assert sorted(replies) == [200] + [400] * 7
    assert len(control.posts("instagram")) == 1


def test_a_container_is_not_ready_before_its_processing_time(control, instagrammer, clip_url, eventually):
    control.settings("instagram", processing_seconds=60)
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    eventually(lambda: control.http.get(control.base + "/ledger").is_success)
    assert instagrammer.status(container)["status_code"] == "IN_PROGRESS"
    assert error(instagrammer.publish(container)) == (9007, 2207027)
    control.advance(61)
    assert instagrammer.settled(container)["status_code"] == "FINISHED"


def test_a_container_expires_after_a_day_and_can_never_be_published(control, instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    control.advance(DAY + 1)
    assert instagrammer.status(container)["status_code"] == "EXPIRED"
    assert error(instagrammer.publish(container)) == (24, 2207008)
    assert control.posts("instagram") == []


def test_an_address_that_does_not_answer_fails_the_container(instagrammer, clip_url):
    instagrammer.sign_in()
    for url in ("http://127.0.0.1:9/nothing.mp4", clip_url.replace("download", "missing")):
        status = instagrammer.settled(instagrammer.contain(url))
        assert status["status_code"] == "ERROR"
        assert status["status"] == "Error: Media upload has failed with error code 2207052"
    assert error(instagrammer.send("media", media_type="REELS", video_url="ftp://x/y.mp4")) == (9004, 2207052)


def test_a_page_instead_of_a_video_fails_the_container(instagrammer, clip_url):
    instagrammer.sign_in()
    status = instagrammer.settled(instagrammer.contain(clip_url.removesuffix("/download.mp4")))
    assert status["status"].endswith("2207026")


@pytest.mark.parametrize(
    ("name", "shape", "subcode"),
    [
        ("short", ("270x480", 2.5, 30), 2207026),
        ("slow", ("270x480", 4, 15), 2207026),
        ("fast", ("270x480", 4, 72), 2207026),
        ("wide", ("2048x256", 4, 30), 2207026),
        ("flat", ("1600x32", 4, 30), 2207009),
        ("colours", ("270x480", 4, 30, "-pix_fmt", "yuv444p"), 2207026),
        ("late_index", ("270x480", 4, 30, "-movflags", "0"), 2207026),
    ],
)
def test_a_video_outside_the_reels_rules_fails_with_its_subcode(
    instagrammer, tiktoker, make_clip, name, shape, subcode
):
    instagrammer.sign_in()
    url = tiktoker.post(make_clip(name, *shape))["share_url"] + "/download.mp4"
    container = instagrammer.contain(url)
    assert instagrammer.settled(container)["status"].endswith(str(subcode))
    assert error(instagrammer.publish(container))[1] == subcode


def test_a_file_with_its_index_at_the_end_passes_by_setting(control, instagrammer, tiktoker, gradio):
    instagrammer.sign_in()
    url = tiktoker.post(gradio)["share_url"] + "/download.mp4"
    assert instagrammer.settled(instagrammer.contain(url))["status_code"] == "ERROR"
    control.settings("instagram", moov_first=False)
    assert instagrammer.settled(instagrammer.contain(url))["status_code"] == "FINISHED"


def test_a_thumb_beyond_the_video_and_a_cover_that_is_no_jpeg_fail(instagrammer, clip_url):
    instagrammer.sign_in()
    thumb = instagrammer.contain(clip_url, thumb_offset="9000")
    assert instagrammer.settled(thumb)["status"].endswith("2207057")
    cover = instagrammer.contain(clip_url, cover_url=clip_url)
    assert instagrammer.settled(cover)["status"].endswith("2207005")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"caption": "x" * 2201}, (36004, 2207010)),
        ({"caption": "#a " * 31}, (100, 2207040)),
        ({"caption": "@a " * 21}, (100, 2207040)),
        ({"media_type": "VIDEO"}, (100, 2207023)),
    ],
)
def test_a_container_outside_the_text_rules_is_refused(instagrammer, clip_url, fields, known):
    instagrammer.sign_in()
    fields = {"media_type": "REELS", "video_url": clip_url} | fields
    assert error(instagrammer.send("media", **fields)) == known


def test_the_longest_caption_is_taken(instagrammer, clip_url):
    assert instagrammer.sign_in().contain(clip_url, "x" * 2200)


def test_the_daily_limit_is_read_live_and_enforced_at_publish(control, instagrammer, clip_url):
    control.settings("instagram", posts_per_day=1)
    instagrammer.sign_in()
    first, second = instagrammer.contain(clip_url), instagrammer.contain(clip_url)
    for container in (first, second):
        instagrammer.settled(container)
    assert instagrammer.publish(first).status_code == 200
    limit = instagrammer.get(f"{instagrammer.id}/content_publishing_limit", fields="quota_usage,config").json()
    assert limit == {"data": [{"quota_usage": 1, "config": {"quota_total": 1, "quota_duration": DAY}}]}
    assert error(instagrammer.publish(second)) == (9, 2207042)
    assert instagrammer.status(second)["status_code"] == "FINISHED"


def test_the_container_limit_comes_with_the_minutes_to_wait(control, instagrammer, clip_url):
    control.settings("instagram", containers_per_day=2)
    instagrammer.sign_in()
    instagrammer.contain(clip_url)
    instagrammer.contain(clip_url)
    reply = instagrammer.send("media", media_type="REELS", video_url=clip_url)
    assert error(reply)[0] == 80002
    usage = reply.headers["X-Business-Use-Case-Usage"]
    assert f'"{instagrammer.id}"' in usage
    assert '"estimated_time_to_regain_access": 60' in usage


def test_the_media_list_is_newest_first_and_can_start_at_a_time(control, instagrammer, clip_url):
    instagrammer.sign_in()
    ids = []
    for caption in ("one", "two", "three"):
        container = instagrammer.contain(clip_url, caption)
        instagrammer.settled(container)
        ids.append(instagrammer.publish(container).json()["id"])
        control.advance(10)
    page = instagrammer.get(f"{instagrammer.id}/media", fields="id,caption", limit=2).json()
    assert [row["caption"] for row in page["data"]] == ["three", "two"]
    after = page["paging"]["cursors"]["after"]
    rest = instagrammer.get(f"{instagrammer.id}/media", fields="caption", after=after).json()
    assert [row["id"] for row in rest["data"]] == ids[:1]
    future = instagrammer.get(f"{instagrammer.id}/media", since=4_000_000_000).json()
    assert future["data"] == []


def test_only_professional_accounts_with_the_scope_may_publish(control, instagrammer, clip_url):
    instagrammer.sign_in(deny_scopes=["instagram_business_content_publish"])
    assert error(instagrammer.send("media", media_type="REELS", video_url=clip_url))[0] == 10
    control.account("instagram", "private_person", professional=False)
    back = instagrammer.code(account="private_person")
    instagrammer.token = instagrammer.long_lived(instagrammer.exchange(back).json()["access_token"]).json()
    instagrammer.id = instagrammer.get("me", fields="user_id").json()["user_id"]
    assert error(instagrammer.send("media", media_type="REELS", video_url=clip_url))[0] == 10


def test_a_restricted_account_is_told_so(control, instagrammer, clip_url):
    control.account("instagram", "bad", restricted=True)
    code = instagrammer.code(account="bad")
    instagrammer.token = instagrammer.long_lived(instagrammer.exchange(code).json()["access_token"]).json()
    instagrammer.id = instagrammer.get("me", fields="user_id").json()["user_id"]
    assert error(instagrammer.send("media", media_type="REELS", video_url=clip_url)) == (25, 2207050)


def test_what_belongs_to_somebody_else_is_not_there(control, instagrammer, clip_url):
    mine = instagrammer.sign_in().contain(clip_url)
    instagrammer.settled(mine)
    control.account("instagram", "bob")
    code = instagrammer.code(account="bob")
    own_id = instagrammer.id
    instagrammer.token = instagrammer.long_lived(instagrammer.exchange(code).json()["access_token"]).json()
    assert error(instagrammer.get(mine, fields="status_code")) == (100, 33)
    assert error(instagrammer.send("media_publish", creation_id=mine)) == (100, 33)
    assert own_id == instagrammer.id
    assert control.posts("instagram") == []


class ByFacebook:
    """Path B: Facebook's dialog, a user token, and the page's own."""

    scopes = "instagram_basic,instagram_content_publish,pages_show_list,pages_read_engagement"

    def __init__(self, person):
        self.person, self.http = person, person.http
        self.graph = person.host("FACEBOOK_GRAPH") + "/v26.0"

    def token(self, **query):
        app = {"client_id": self.person.client_id, "client_secret": self.person.secret}
        return self.http.get(self.graph + "/oauth/access_token", params=app | query)

    def sign_in(self):
        asks = self.person.asks(scope=self.scopes)
        url = self.person.host("FACEBOOK_WWW") + "/v26.0/dialog/oauth"
        code = self.person.control.returned(url, asks)["code"]
        short = self.token(code=code, redirect_uri=asks["redirect_uri"]).json()["access_token"]
        long = self.token(grant_type="fb_exchange_token", fb_exchange_token=short).json()
        assert long["expires_in"] == 5184000
        query = {
            "fields": "id,name,access_token,instagram_business_account{id,username}",
            "access_token": long["access_token"],
        }
        (page,) = self.http.get(self.graph + "/me/accounts", params=query).json()["data"]
        self.page_token, self.ig = page["access_token"], page["instagram_business_account"]["id"]
        return self

    def container(self):
        form = {"media_type": "REELS", "upload_type": "resumable", "access_token": self.page_token}
        return self.http.post(f"{self.graph}/{self.ig}/media", data=form).json()

    def upload(self, uri, raw, offset, size):
        headers = {"Authorization": f"OAuth {self.page_token}", "offset": str(offset), "file_size": str(size)}
        return self.http.post(uri, content=raw, headers=headers)

    def read(self, container, fields):
        query = {"fields": fields, "access_token": self.page_token}
        return self.http.get(f"{self.graph}/{container}", params=query).json()


@pytest.fixture
def by_facebook(instagrammer):
    return ByFacebook(instagrammer).sign_in()


def test_a_page_token_publishes_bytes_sent_to_rupload(control, by_facebook, clip, sha256, eventually):
    made, raw = by_facebook.container(), clip.read_bytes()
    assert made["uri"].startswith(by_facebook.person.host("RUPLOAD") + "/ig-api-upload/v26.0/")
    assert by_facebook.upload(made["uri"], raw, 0, len(raw)).json() == {
        "success": True,
        "message": "Upload successful.",
    }
    eventually(lambda: by_facebook.read(made["id"], "status_code")["status_code"] == "FINISHED")
    form = {"creation_id": made["id"], "access_token": by_facebook.page_token}
    by_facebook.http.post(f"{by_facebook.graph}/{by_facebook.ig}/media_publish", data=form).raise_for_status()
    assert control.posts("instagram")[0]["media"]["sha256"] == sha256


def test_a_broken_upload_resumes_at_the_bytes_that_came(control, by_facebook, clip, eventually):
    made, raw = by_facebook.container(), clip.read_bytes()
    control.fault("instagram", "rupload", "reset_mid_body", bytes=10_000)
    with pytest.raises(Exception, match=r".*"):
        by_facebook.upload(made["uri"], raw, 0, len(raw))
    phase = by_facebook.read(made["id"], "video_status")["video_status"]["uploading_phase"]
    assert phase["bytes_transferred"] == 10_000
    wrong = by_facebook.upload(made["uri"], raw[5:], 5, len(raw))
    assert wrong.json()["debug_info"]["retriable"] is True
    assert by_facebook.upload(made["uri"], raw[10_000:], 10_000, len(raw)).json()["success"] is True
    eventually(lambda: by_facebook.read(made["id"], "status_code")["status_code"] == "FINISHED")


def test_a_page_token_outlives_the_users(control, by_facebook):
    control.advance(100 * DAY)
    assert by_facebook.read(by_facebook.ig, "username")["username"] == "ana"


def test_debug_token_tells_validity_and_scopes(control, by_facebook):
    query = {"input_token": by_facebook.page_token, "access_token": "app"}
    url = by_facebook.graph + "/debug_token"
    told = by_facebook.http.get(url, params=query).json()["data"]
    assert (told["is_valid"], told["scopes"]) == (True, by_facebook.scopes.split(","))
    control.http.delete(f"{control.base}/accounts/instagram/ana/grants").raise_for_status()
    assert by_facebook.http.get(url, params=query).json()["data"]["is_valid"] is False


def test_removing_the_app_kills_the_token_with_its_subcode(control, instagrammer):
    instagrammer.sign_in()
    control.http.delete(f"{control.base}/accounts/instagram/ana/grants").raise_for_status()
    assert error(instagrammer.get("me")) == (190, 458)


def test_signed_requests_are_signed_over_the_encoded_text(vectors):
    known = vectors["meta_signed_request"]
    assert signed_request(known["app_secret"], known["payload"]) == known["signed_request"]


def test_the_proof_is_what_metas_sdk_sends(vectors):
    known = vectors["meta_appsecret_proof"]
    proof = hmac.new(known["app_secret"].encode(), known["access_token"].encode(), "sha256").hexdigest()
    assert proof == known["proof"]
