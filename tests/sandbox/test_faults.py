"""Every fault really does what it says: on the wire, in the answer, and above all in the ledger."""

import json
import time

import httpx
import pytest

RESETS = (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)


@pytest.fixture
def signed_in(poster):
    return poster.sign_in()


@pytest.mark.parametrize("fault", ["refuse", "reset_before_body", "reset_after_body"])
def test_a_reset_before_the_work_leaves_nothing(control, signed_in, fault):
    control.fault("x", "tweets.create", fault)
    with pytest.raises(RESETS):
        signed_in.post("hello")
    assert control.posts("x") == []
    assert control.hits() == 1
    assert signed_in.post("hello").status_code == 201


def test_a_reset_is_a_real_one_on_the_socket(control, signed_in):
    control.fault("x", "tweets.create", "reset_after_body")
    with pytest.raises(httpx.ReadError) as caught:
        signed_in.post("hello")
    assert "reset by peer" in str(caught.value)


def test_an_outage_refuses_the_connect_and_ends_by_itself(control, signed_in, eventually):
    control.http.put(control.base + "/outage", json={"seconds": 0.5}).raise_for_status()

    def outcome():
        try:
            return signed_in.post("hello again").status_code
        except httpx.ConnectError:
            return "refused"

    eventually(lambda: outcome() == "refused")
    eventually(lambda: outcome() == 403)
    assert len(control.posts("x")) == 1


def test_reset_before_body_does_not_wait_for_the_body(control, signed_in):
    control.fault("x", "upload.append", "reset_before_body")

    def endless():
        while True:
            yield b"x" * 65536

    url = signed_in.host("API") + "/2/media/upload/1/append"
    with pytest.raises(RESETS):
        signed_in.http.post(url, content=endless(), headers=signed_in.bearer)


def test_done_then_reset_is_in_the_ledger(control, signed_in):
    control.fault("x", "tweets.create", "commit_then_reset")
    with pytest.raises(RESETS):
        signed_in.post("hello")
    assert [post["text"] for post in control.posts("x")] == [{"text": "hello"}]


@pytest.mark.parametrize("status", [500, 503])
def test_done_then_a_server_error_is_in_the_ledger(control, signed_in, status):
    control.fault("x", "tweets.create", "commit_then_500", status=status)
    assert signed_in.post("hello").status_code == status
    assert len(control.posts("x")) == 1


def test_done_late_happens_by_itself_and_not_before(control, signed_in, eventually):
    control.fault("x", "tweets.create", "commit_late", seconds=0.5)
    started = time.monotonic()
    assert signed_in.post("hello").status_code == 500
    assert control.posts("x") == []
    eventually(lambda: control.posts("x"))
    assert time.monotonic() - started >= 0.5


def test_done_late_follows_the_sandboxs_clock_too(control, signed_in, eventually):
    control.fault("x", "tweets.create", "commit_late", seconds=3600, reset=True)
    with pytest.raises(RESETS):
        signed_in.post("hello")
    assert control.posts("x") == []
    control.advance(3601)
    eventually(lambda: control.posts("x"))


def test_a_whole_upload_may_arrive_late(control, youtuber, clip, eventually):
    raw = clip.read_bytes()
    session = youtuber.sign_in().session(len(raw))
    control.fault("youtube", "insert.last", "commit_late", seconds=600)
    assert youtuber.put(session, raw, 0, len(raw) - 1).status_code == 500
    assert youtuber.ask(session, len(raw)).status_code == 308
    control.advance(601)
    eventually(lambda: control.posts("youtube"))
    assert youtuber.ask(session, len(raw)).status_code == 200


def test_x_is_rate_limited_with_its_headers(control, signed_in):
    control.fault("x", "tweets.create", "rate_limited", seconds=300)
    reply = signed_in.post("hello")
    assert (reply.status_code, reply.headers["x-rate-limit-remaining"]) == (429, "0")
    assert 290 < int(reply.headers["x-rate-limit-reset"]) - time.time() < 301
    control.fault("x", "tweets.create", "rate_limited", seconds=300, reason="day")
    headers = signed_in.post("hello").headers
    assert int(headers["x-rate-limit-remaining"]) > 0
    assert headers["x-user-limit-24hour-remaining"] == "0"
    assert control.posts("x") == []


def test_the_others_are_rate_limited_in_their_ways(control, tiktoker, instagrammer, youtuber):
    tiktoker.sign_in()
    control.fault("tiktok", "video.list", "rate_limited")
    limited = tiktoker.list()
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    instagrammer.sign_in()
    control.fault("instagram", "media.list", "rate_limited", seconds=600, status=400)
    limited = instagrammer.get(f"{instagrammer.id}/media")
    assert (limited.status_code, limited.json()["error"]["code"]) == (400, 80002)
    usage = json.loads(limited.headers["X-Business-Use-Case-Usage"])
    assert usage[instagrammer.id][0]["estimated_time_to_regain_access"] == 10
    youtuber.sign_in()
    control.fault("youtube", "videos.list", "rate_limited")
    limited = youtuber.get("videos", part="status", id="x")
    assert (limited.status_code, limited.json()["error"]["errors"][0]["reason"]) == (429, "rateLimitExceeded")


def test_instagrams_spam_answer_may_hide_a_live_post(control, instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    control.fault("instagram", "media_publish", "client_error_although_done")
    error = instagrammer.publish(container).json()["error"]
    assert (error["code"], error["error_subcode"]) == (4, 2207051)
    assert instagrammer.status(container)["status_code"] == "PUBLISHED"
    assert len(control.posts("instagram")) == 1


def test_a_4xx_although_done_can_be_any_other_one(control, signed_in):
    control.fault("x", "tweets.create", "client_error_although_done")
    assert signed_in.post("one").status_code == 403
    control.fault("x", "tweets.create", "client_error_although_done", status=409, body={"title": "Conflict"})
    reply = signed_in.post("two")
    assert (reply.status_code, reply.json()) == (409, {"title": "Conflict"})
    assert len(control.posts("x")) == 2


def test_ok_without_an_id_was_done(control, signed_in):
    control.fault("x", "tweets.create", "ok_without_id")
    reply = signed_in.post("hello")
    assert (reply.status_code, reply.json()) == (200, {})
    assert len(control.posts("x")) == 1


@pytest.mark.parametrize("after_work", [False, True])
def test_slow_is_done_although_the_sender_stopped_waiting(control, signed_in, eventually, after_work):
    control.fault("x", "tweets.create", "slow", seconds=0.6, after_work=after_work)
    url = signed_in.host("API") + "/2/tweets"
    with pytest.raises(httpx.ReadTimeout):
        signed_in.http.post(url, json={"text": "hello"}, headers=signed_in.bearer, timeout=0.3)
    assert bool(control.posts("x")) is after_work
    eventually(lambda: control.posts("x"))


def test_a_read_may_lag_behind(control, signed_in):
    signed_in.post("hello")
    control.fault("x", "timeline", "read_lag", seconds=30, count=None)
    assert signed_in.timeline()["meta"]["result_count"] == 0
    control.advance(31)
    assert signed_in.timeline()["meta"]["result_count"] == 1


def test_container_status_may_lag_behind_its_publish(control, instagrammer, clip_url):
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    control.advance(20)
    instagrammer.publish(container)
    control.fault("instagram", "container.status", "read_lag", seconds=10)
    assert instagrammer.status(container)["status_code"] == "FINISHED"
    assert instagrammer.status(container)["status_code"] == "PUBLISHED"


def test_lists_of_the_others_lag_as_well(control, tiktoker, youtuber, clip):
    tiktoker.sign_in().post(clip)
    control.fault("tiktok", "video.list", "read_lag", seconds=60)
    assert [len(tiktoker.list().json()["data"]["videos"]) for _ in range(2)] == [0, 1]
    youtuber.sign_in().upload(clip.read_bytes())
    control.fault("youtube", "playlistItems.list", "read_lag", seconds=60)
    assert [len(youtuber.uploads()) for _ in range(2)] == [0, 1]


def test_a_read_error_is_the_platforms_own(control, signed_in):
    control.fault("x", "timeline", "read_error", status=503)
    assert signed_in.timeline() == {
        "title": "Service Unavailable",
        "detail": "Service Unavailable",
        "type": "about:blank",
        "status": 503,
    }


def test_a_revoked_token_stays_revoked(control, signed_in):
    control.fault("x", "tweets.create", "token_revoked")
    assert signed_in.post("hello").status_code == 401
    assert signed_in.call("GET", "/2/users/me").status_code == 401
    refresh = signed_in.exchange("refresh_token", refresh_token=signed_in.token["refresh_token"])
    assert refresh.status_code == 400


@pytest.mark.parametrize("reason", ["2207001", None])
def test_instagram_may_fail_a_good_video(control, instagrammer, clip_url, reason):
    instagrammer.sign_in()
    control.fault("instagram", "container.create", "processing_failed", reason=reason)
    status = instagrammer.settled(instagrammer.contain(clip_url))
    assert status["status"].endswith(reason or "2207026")


def test_x_may_fail_a_good_video(control, signed_in, clip):
    control.fault("x", "upload.finalize", "processing_failed", reason="Unsupported video format")
    state = signed_in.state(signed_in.hand_in(clip.read_bytes()))
    assert state["error"] == {"code": 1, "name": "InvalidMedia", "message": "Unsupported video format"}


def test_the_quota_is_used_up_in_each_platforms_words(control, signed_in, instagrammer, youtuber, clip_url):
    control.fault("x", "tweets.create", "quota_used_up")
    capped = signed_in.post("hello")
    assert (capped.status_code, capped.json()["type"].rsplit("/")[-1]) == (429, "usage-capped")
    instagrammer.sign_in()
    container = instagrammer.contain(clip_url)
    instagrammer.settled(container)
    control.fault("instagram", "media_publish", "quota_used_up")
    error = instagrammer.publish(container).json()["error"]
    assert (error["code"], error["error_subcode"]) == (9, 2207042)
    youtuber.sign_in()
    for reason, known in ((None, "quotaExceeded"), ("uploadLimitExceeded", "uploadLimitExceeded")):
        control.fault("youtube", "session.start", "quota_used_up", reason=reason)
        assert youtuber.start(10).json()["error"]["errors"][0]["reason"] == known


def test_any_error_can_be_given_word_for_word(control, signed_in):
    body = {"account_id": 7, "title": "CreditsDepleted"}
    control.fault("x", "tweets.create", "error", status=402, body=body, headers={"x-note": "n"})
    reply = signed_in.post("hello")
    assert (reply.status_code, reply.json(), reply.headers["x-note"]) == (402, body, "n")
    control.fault("x", "tweets.create", "error", status=502, body="<html>Bad Gateway</html>")
    assert signed_in.post("hello").text == "<html>Bad Gateway</html>"
    assert control.posts("x") == []


def test_a_file_may_end_too_early(control, tiktoker, clip):
    url = tiktoker.post(clip)["share_url"] + "/download.mp4"
    control.fault("tiktok", "video.download", "truncated", bytes=1000)
    with tiktoker.http.stream("GET", url) as reply:
        assert int(reply.headers["content-length"]) == clip.stat().st_size
        chunks = reply.iter_raw()
        assert next(chunks) == clip.read_bytes()[:1000]
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
    assert tiktoker.http.get(url).content == clip.read_bytes()


def test_the_last_byte_taken_and_the_connection_dropped_leaves_a_session_that_knows(control, youtuber, clip):
    raw = clip.read_bytes()
    session = youtuber.sign_in().session(len(raw))
    control.fault("youtube", "insert.last", "commit_then_reset")
    with pytest.raises(RESETS):
        youtuber.put(session, raw, 0, len(raw) - 1)
    (post,) = control.posts("youtube")
    assert youtuber.ask(session, len(raw)).json()["id"] == post["id"]


def test_asking_a_session_is_not_the_insert(control, youtuber, clip):
    raw = clip.read_bytes()
    session = youtuber.sign_in().session(len(raw))
    control.fault("youtube", "insert.last", "reset_before_body")
    assert youtuber.ask(session, len(raw)).status_code == 308
    assert control.hits() == 0
    control.fault("youtube", "session.query", "read_error", status=503)
    assert youtuber.ask(session, len(raw)).status_code == 503


@pytest.mark.parametrize("grant", ["token.code", "token.refresh", "token"])
def test_exchange_and_refresh_go_wrong_apart(control, poster, grant):
    poster.sign_in()
    control.fault("x", grant, "error", status=503, body={})
    code = poster.exchange(code=poster.code()).status_code
    assert (code == 503) is (grant != "token.refresh")
    refresh = poster.exchange("refresh_token", refresh_token=poster.token["refresh_token"]).status_code
    assert (refresh == 503) is (grant == "token.refresh")


def test_a_lost_refresh_answer_leaves_a_dead_token_behind(control, poster):
    poster.sign_in()
    control.fault("x", "token.refresh", "commit_then_reset")
    with pytest.raises(RESETS):
        poster.exchange("refresh_token", refresh_token=poster.token["refresh_token"])
    assert poster.exchange("refresh_token", refresh_token=poster.token["refresh_token"]).status_code == 400


def test_a_fault_may_be_for_one_account_only(control, signed_in):
    control.account("x", "bob")
    ana = signed_in.token
    bob = signed_in.exchange(code=signed_in.code(account="bob")).json()
    control.fault("x", "tweets.create", "read_error", account="@bob", count=None)
    assert signed_in.post("hello").status_code == 201
    signed_in.token = bob
    assert signed_in.post("hello").status_code == 500
    signed_in.token = ana
    assert signed_in.post("again").status_code == 201


def test_a_faults_account_is_known_by_path_and_by_form_too(control, instagrammer, youtuber, clip):
    instagrammer.sign_in()
    control.fault("instagram", "media_publish", "read_error", account="ana")
    assert instagrammer.publish("1").status_code == 500
    youtuber.sign_in()
    control.fault("youtube", "token.refresh", "read_error", account="ana")
    refresh = {"refresh_token": youtuber.token["refresh_token"]}
    assert youtuber.exchange("refresh_token", **refresh).status_code == 500
    session = youtuber.session(clip.stat().st_size)
    control.fault("youtube", "session.query", "read_error", account="ana")
    assert youtuber.ask(session, clip.stat().st_size).status_code == 500


def test_count_and_after_say_which_calls_suffer(control, signed_in):
    control.fault("x", "tweets.create", "read_error", after=1, count=2)
    codes = [signed_in.post(f"number {number}").status_code for number in range(4)]
    assert codes == [201, 500, 500, 201]
    (fault,) = control.http.get(control.base + "/faults").json()
    assert (fault["seen"], fault["hits"]) == (4, 2)
    control.http.delete(control.base + "/faults").raise_for_status()
    assert control.http.get(control.base + "/faults").json() == []


def test_faults_can_be_added_and_parameters_nested(control, signed_in):
    control.fault("x", "tweets.create", "read_error")
    more = {"platform": "x", "call": "users.me", "fault": "error", "params": {"status": 418, "body": {}}}
    control.http.post(control.base + "/faults", json=more).raise_for_status()
    assert signed_in.post("hello").status_code == 500
    assert signed_in.call("GET", "/2/users/me").status_code == 418


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ({"platform": "instgram", "call": "media_publish", "fault": "slow"}, "instagram"),
        ({"platform": "instagram", "call": "media_publsh", "fault": "slow"}, "media_publish"),
        ({"platform": "instagram", "call": "media_publish", "fault": "comit_then_reset"}, "commit_then_reset"),
        ({"platform": "youtube", "call": "insert_last", "fault": "slow"}, "insert.last"),
    ],
)
def test_a_mistaken_name_is_answered_with_the_nearest_known(control, line, nearest):
    reply = control.http.put(control.base + "/faults", json=[line])
    assert (reply.status_code, reply.json()["nearest"]) == (422, nearest)
    assert control.http.get(control.base + "/faults").json() == []


@pytest.mark.parametrize(
    "line", [{"platform": "x", "call": "timeline", "fault": "slow", "secnds": 3}, {"fault": "slow"}]
)
def test_an_unknown_parameter_or_a_missing_name_is_an_error(control, line):
    assert control.http.put(control.base + "/faults", json=[line]).status_code == 422
