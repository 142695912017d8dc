"""YouTube in the sandbox, held against Google's pages: OAuth, resumable upload, quota, the status walk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

CHUNK = 262144
DAY = 86400


def reason(reply):
    return reply.status_code, reply.json()["error"]["errors"][0]["reason"]


@pytest.fixture
def raw(clip):
    return clip.read_bytes()


@pytest.fixture(scope="session")
def big():
    """Four chunks and a bit of a real video."""
    return (Path(__file__).parents[1] / "media" / "bigbuckbunny_720p25_5.1ch.mp4").read_bytes()


def test_the_refresh_token_comes_with_the_first_consent_only(youtuber):
    unforced = {"prompt": ""}
    first = youtuber.exchange(code=youtuber.code(unforced)).json()
    assert first["refresh_token"].startswith("1//")
    assert (first["expires_in"], first["token_type"]) == (3599, "Bearer")
    assert "refresh_token" not in youtuber.exchange(code=youtuber.code(unforced)).json()
    assert "refresh_token" in youtuber.exchange(code=youtuber.code({"prompt": "select_account consent"})).json()


def test_online_access_never_gets_a_refresh_token(youtuber):
    assert "refresh_token" not in youtuber.exchange(code=youtuber.code({"access_type": "online"})).json()


def test_the_client_may_sign_in_by_basic_as_well(youtuber):
    form = {
        "grant_type": "authorization_code",
        "code": youtuber.code(),
        "redirect_uri": youtuber.asks()["redirect_uri"],
    }
    url, auth = youtuber.host("OAUTH") + "/token", (youtuber.client_id, youtuber.secret)
    assert youtuber.http.post(url, data=form, auth=auth).status_code == 200
    assert youtuber.http.post(url, data=form, auth=("x", "y")).status_code == 401


def test_refreshing_keeps_the_refresh_token(youtuber):
    old = youtuber.sign_in().token
    new = youtuber.exchange("refresh_token", refresh_token=old["refresh_token"]).json()
    assert "refresh_token" not in new
    assert new["access_token"] != old["access_token"]
    assert youtuber.exchange("refresh_token", refresh_token=old["refresh_token"]).status_code == 200


def test_pkce_is_checked_when_it_was_started(youtuber, vectors):
    started = {"code_challenge": vectors["pkce"]["s256_base64url"], "code_challenge_method": "S256"}
    assert youtuber.exchange(code=youtuber.code(started)).json()["error"] == "invalid_grant"
    good = youtuber.exchange(code=youtuber.code(started), code_verifier=vectors["pkce"]["verifier"])
    assert good.status_code == 200
    plain = {"code_challenge": "p" * 43, "code_challenge_method": "plain"}
    assert youtuber.exchange(code=youtuber.code(plain), code_verifier="p" * 43).status_code == 200


def test_a_refresh_token_in_testing_dies_after_seven_days(control, youtuber):
    control.settings("youtube", testing_mode=True)
    token = youtuber.sign_in().token["refresh_token"]
    control.advance(7 * DAY - 60)
    assert youtuber.exchange("refresh_token", refresh_token=token).status_code == 200
    control.advance(61)
    dead = youtuber.exchange("refresh_token", refresh_token=token)
    assert dead.status_code == 400
    assert dead.json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


def test_a_refresh_token_lives_while_it_is_used(control, youtuber):
    token = youtuber.sign_in().token["refresh_token"]
    for _ in range(3):
        control.advance(150 * DAY)
        assert youtuber.exchange("refresh_token", refresh_token=token).status_code == 200
    control.advance(200 * DAY)
    assert youtuber.exchange("refresh_token", refresh_token=token).json()["error"] == "invalid_grant"


def test_the_oldest_of_more_than_a_hundred_refresh_tokens_is_dropped(youtuber):
    first = youtuber.sign_in().token["refresh_token"]
    for _ in range(100):
        youtuber.sign_in()
    assert youtuber.exchange("refresh_token", refresh_token=first).json()["error"] == "invalid_grant"
    assert youtuber.exchange("refresh_token", refresh_token=youtuber.token["refresh_token"]).status_code == 200


def test_revoking_takes_any_token_and_answers_empty(youtuber):
    youtuber.sign_in()
    url = youtuber.host("OAUTH") + "/revoke"
    reply = youtuber.http.post(url, params={"token": youtuber.token["refresh_token"]})
    assert (reply.status_code, reply.content) == (200, b"")
    assert reason(youtuber.get("channels", part="id", mine="true")) == (401, "authError")
    assert youtuber.http.post(url, params={"token": "x"}).json()["error"] == "invalid_token"


def test_an_unticked_scope_shows_in_the_reply_and_in_the_refusal(youtuber, raw):
    upload = youtuber.base + "youtube.upload"
    youtuber.sign_in(deny_scopes=[upload, youtuber.base + "youtube"])
    assert youtuber.token["scope"] == youtuber.base + "youtube.readonly"
    assert reason(youtuber.start(len(raw))) == (403, "insufficientPermissions")


def test_one_put_makes_the_video_and_the_answer_is_its_resource(control, youtuber, raw, sha256):
    youtuber.sign_in()
    video = youtuber.upload(raw, snippet={"title": "My short", "description": "d", "tags": ["a", "b c"]})
    assert (video["kind"], video["snippet"]["title"]) == ("youtube#video", "My short")
    (post,) = control.posts("youtube")
    assert (post["id"], post["media"]["sha256"]) == (video["id"], sha256)
    assert post["text"] == {"title": "My short", "description": "d", "tags": ["a", "b c"]}
    assert post["permalink"].endswith("/shorts/" + video["id"])
    assert control.http.get(post["permalink"]).status_code == 200


def test_chunks_are_answered_with_what_is_stored(control, youtuber, big):
    session = youtuber.sign_in().session(len(big))
    nothing = youtuber.ask(session, len(big))
    assert (nothing.status_code, nothing.headers.get("range")) == (308, None)
    assert youtuber.put(session, big, 0, CHUNK - 1).headers["range"] == f"bytes=0-{CHUNK - 1}"
    assert youtuber.put(session, big, CHUNK, 2 * CHUNK - 1).headers["range"] == f"bytes=0-{2 * CHUNK - 1}"
    assert youtuber.ask(session, len(big)).headers["range"] == f"bytes=0-{2 * CHUNK - 1}"
    assert control.posts("youtube") == []
    assert youtuber.put(session, big, 2 * CHUNK, len(big) - 1).status_code == 200
    assert control.posts("youtube")[0]["media"]["size"] == len(big)


def test_a_finished_session_gives_its_video_again_also_later(control, youtuber, raw):
    session = youtuber.sign_in().session(len(raw))
    video = youtuber.put(session, raw, 0, len(raw) - 1).json()
    control.advance(3 * DAY)
    assert youtuber.ask(session, len(raw)).json()["id"] == video["id"]
    assert youtuber.put(session, raw, 0, len(raw) - 1).json()["id"] == video["id"]
    assert len(control.posts("youtube")) == 1


def test_a_chunk_that_is_no_multiple_of_256_kib_is_refused(youtuber, big):
    session = youtuber.sign_in().session(len(big))
    assert youtuber.put(session, big, 0, 99_999).status_code == 400
    assert youtuber.ask(session, len(big)).headers.get("range") is None


def test_a_gap_is_refused_and_an_overlap_is_not_stored_twice(control, youtuber, big, make_clip):
    session = youtuber.sign_in().session(len(big))
    youtuber.put(session, big, 0, CHUNK - 1)
    assert youtuber.put(session, big, 2 * CHUNK, 3 * CHUNK - 1).status_code == 400
    assert youtuber.put(session, big, 0, len(big) - 1).status_code == 200
    assert control.posts("youtube")[0]["media"]["size"] == len(big)


def test_a_connection_lost_in_the_body_leaves_whole_chunks(control, youtuber, big):
    session = youtuber.sign_in().session(len(big))
    control.fault("youtube", "session.put", "reset_mid_body", bytes=CHUNK + 1000)
    with pytest.raises(httpx.TransportError):
        youtuber.put(session, big, 0, len(big) - 1)
    assert youtuber.ask(session, len(big)).headers["range"] == f"bytes=0-{CHUNK - 1}"
    assert youtuber.put(session, big, CHUNK, len(big) - 1).status_code == 200


def test_an_unknown_or_old_session_is_gone(control, youtuber, raw):
    session = youtuber.sign_in().session(len(raw))
    assert youtuber.ask(session + "x", len(raw)).status_code == 404
    control.advance(7 * DAY + 1)
    assert youtuber.ask(session, len(raw)).status_code == 404


def test_the_insert_bucket_is_its_own_and_empties_at_midnight_pacific(control, youtuber, raw):
    control.settings("youtube", inserts_per_day=2)
    noon = datetime.now(ZoneInfo("America/Los_Angeles")).replace(hour=12) + timedelta(days=1)
    control.http.put(control.base + "/clock", json={"now": noon.isoformat()}).raise_for_status()
    youtuber.sign_in()
    assert [youtuber.start(len(raw)).status_code for _ in range(2)] == [200, 200]
    assert reason(youtuber.start(len(raw))) == (403, "quotaExceeded")
    assert youtuber.get("channels", part="id", mine="true").status_code == 200
    midnight = noon.replace(hour=0, minute=0, second=1) + timedelta(days=1)
    control.http.put(control.base + "/clock", json={"now": midnight.isoformat()}).raise_for_status()
    youtuber.sign_in()
    assert youtuber.start(len(raw)).status_code == 200


def test_reads_cost_one_unit_and_writes_fifty(control, youtuber, raw):
    youtuber.sign_in()
    video = youtuber.upload(raw)
    body = {"id": video["id"], "snippet": {"title": "n", "categoryId": "22"}}
    url = youtuber.host("API") + "/youtube/v3/videos"
    youtuber.http.put(url, params={"part": "snippet"}, json=body, headers=youtuber.bearer).raise_for_status()
    youtuber.get("videos", part="status", id=video["id"])
    quota = control.http.get(control.base + "/youtube/quota").json()
    assert quota["units"]["used"] == 51
    assert quota["inserts"]["used"] == 1


def test_a_channels_own_limit_is_another_answer(control, youtuber, raw):
    control.settings("youtube", uploads_per_channel_per_day=1)
    youtuber.sign_in().upload(raw)
    assert reason(youtuber.start(len(raw))) == (400, "uploadLimitExceeded")


@pytest.mark.parametrize(
    ("video", "known"),
    [
        ({"snippet": {"title": ""}}, (400, "invalidTitle")),
        ({"snippet": {"title": "x" * 101}}, (400, "invalidTitle")),
        ({"snippet": {"title": "a < b"}}, (400, "invalidTitle")),
        ({"snippet": {"title": "t", "description": "é" * 2501}}, (400, "invalidDescription")),
        ({"snippet": {"title": "t", "description": "<b>"}}, (400, "invalidDescription")),
        ({"snippet": {"title": "t", "tags": ["x" * 251, "y" * 249]}}, (400, "invalidTags")),
        ({"snippet": {"title": "t", "tags": ["a b" * 166 + "c"]}}, (400, "invalidTags")),
        ({"snippet": {"title": "t", "categoryId": "999"}}, (400, "invalidCategoryId")),
        ({"status": {"privacyStatus": "friends"}}, (403, "forbiddenPrivacySetting")),
        (
            {"status": {"privacyStatus": "public", "publishAt": "2099-01-01T00:00:00Z"}},
            (400, "invalidPublishAt"),
        ),
        (
            {"status": {"privacyStatus": "private", "publishAt": "2001-01-01T00:00:00Z"}},
            (400, "invalidPublishAt"),
        ),
    ],
)
def test_metadata_outside_its_rules_is_refused_by_reason(youtuber, raw, video, known):
    youtuber.sign_in()
    assert reason(youtuber.start(len(raw), **video)) == known


def test_metadata_at_its_limits_is_taken(youtuber, raw):
    youtuber.sign_in()
    snippet = {"title": "x" * 100, "description": "é" * 2500, "tags": ["x" * 250, "y" * 249]}
    assert youtuber.start(len(raw), snippet=snippet).status_code == 200


def test_a_forgotten_privacy_publishes(control, youtuber, raw):
    youtuber.sign_in().upload(raw, status={})
    assert control.posts("youtube")[0]["visibility"] == "public"


def test_an_account_without_a_channel_must_make_one_first(control, youtuber, raw):
    control.account("youtube", "newcomer", channel=False)
    youtuber.token = youtuber.exchange(code=youtuber.code(account="newcomer")).json()
    assert reason(youtuber.start(len(raw))) == (401, "youtubeSignupRequired")


def test_a_video_walks_from_uploaded_to_processed(control, youtuber, raw):
    control.settings("youtube", processing_seconds=60)
    video = youtuber.sign_in().upload(raw)

    def walk():
        (item,) = youtuber.get("videos", part="status,processingDetails", id=video["id"]).json()["items"]
        return item["status"]["uploadStatus"], item["processingDetails"]["processingStatus"]

    assert walk() == ("uploaded", "processing")
    control.advance(61)
    assert walk() == ("processed", "succeeded")


def test_bytes_that_are_no_video_fail_in_processing_not_on_insert(control, youtuber):
    video = youtuber.sign_in().upload(b"these are words" * 100)
    control.advance(2)
    (item,) = youtuber.get("videos", part="status", id=video["id"]).json()["items"]
    assert item["status"]["failureReason"] == "invalidFile"
    assert control.posts("youtube") == []
    assert control.ledger("youtube")["orphans"]["youtube"]["failed_videos"] == 1


@pytest.mark.parametrize(
    ("why", "field", "status"),
    [("duplicate", "rejectionReason", "rejected"), ("codec", "failureReason", "failed")],
)
def test_a_processing_fault_arrives_as_its_reason(control, youtuber, raw, why, field, status):
    control.fault("youtube", "insert.last", "processing_failed", reason=why)
    video = youtuber.sign_in().upload(raw)
    control.advance(2)
    (item,) = youtuber.get("videos", part="status", id=video["id"]).json()["items"]
    assert (item["status"]["uploadStatus"], item["status"][field]) == (status, why)


def test_the_uploads_playlist_shows_the_owner_private_videos_too(youtuber, raw):
    youtuber.sign_in()
    first = youtuber.upload(raw, snippet={"title": "one"}, status={"privacyStatus": "private"})
    second = youtuber.upload(raw, snippet={"title": "two"})
    items = youtuber.uploads()
    assert [item["contentDetails"]["videoId"] for item in items] == [second["id"], first["id"]]
    assert items[1]["status"]["privacyStatus"] == "private"


def test_tags_come_back_to_the_owner(youtuber, raw):
    video = youtuber.sign_in().upload(raw, snippet={"title": "t", "tags": ["pub:7f3a"]})
    (item,) = youtuber.get("videos", part="snippet", id=video["id"]).json()["items"]
    assert item["snippet"]["tags"] == ["pub:7f3a"]


def test_an_update_resets_what_its_part_leaves_out(control, youtuber, raw):
    video = youtuber.sign_in().upload(
        raw, snippet={"title": "t", "description": "old", "tags": ["x"]}, status={"privacyStatus": "private"}
    )
    body = {"id": video["id"], "snippet": {"title": "new", "categoryId": "22"}, "status": {"privacyStatus": "public"}}
    url = youtuber.host("API") + "/youtube/v3/videos"
    for _ in range(2):
        reply = youtuber.http.put(url, params={"part": "snippet,status"}, json=body, headers=youtuber.bearer)
        assert reply.status_code == 200
    (post,) = control.posts("youtube")
    assert post["visibility"] == "public"
    assert post["text"] == {"title": "new", "description": None, "tags": None}


def test_a_shorts_thumbnail_waits_for_processing(control, youtuber, raw):
    control.settings("youtube", processing_seconds=60)
    video = youtuber.sign_in().upload(raw)
    url = youtuber.host("API") + "/upload/youtube/v3/thumbnails/set"

    def set_thumbnail(picture):
        return youtuber.http.post(url, params={"videoId": video["id"]}, content=picture, headers=youtuber.bearer)

    jpeg = b"\xff\xd8\xff\xe0" + b"0" * 100
    assert reason(set_thumbnail(jpeg)) == (403, "forbidden")
    control.advance(61)
    assert reason(set_thumbnail(b"no picture")) == (400, "invalidImage")
    assert reason(set_thumbnail(b"")) == (400, "mediaBodyRequired")
    assert set_thumbnail(jpeg).status_code == 200
    assert control.posts("youtube")[0]["details"]["has_thumbnail"] is True


def test_a_scheduled_video_becomes_public_at_its_time(control, youtuber, raw):
    at = datetime.now(UTC) + timedelta(hours=1)
    youtuber.sign_in().upload(raw, status={"privacyStatus": "private", "publishAt": at.isoformat()})
    assert control.posts("youtube")[0]["visibility"] == "private"
    control.advance(3601)
    assert control.posts("youtube")[0]["visibility"] == "public"


def test_a_deleted_video_is_gone_from_every_list(control, youtuber, raw):
    video = youtuber.sign_in().upload(raw)
    url = youtuber.host("API") + "/youtube/v3/videos"
    reply = youtuber.http.delete(url, params={"id": video["id"]}, headers=youtuber.bearer)
    assert reply.status_code == 204
    assert youtuber.uploads() == []
    assert control.posts("youtube") == []


# ------------------------------------------------------------------------------------- playlists and uploads by hand


@pytest.fixture
def editor(youtuber):
    """Somebody who also let the app change the channel."""
    return youtuber.sign_in()


def studio(control, path, body, account="ana"):
    reply = control.http.post(f"{control.base}/youtube/accounts/{account}/{path}", json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()


def add(youtuber, playlist, video, **changes):
    resource = {"kind": "youtube#video", "videoId": video}
    body = {"snippet": {"playlistId": playlist, "resourceId": resource} | changes}
    url = youtuber.host("API") + "/youtube/v3/playlistItems"
    return youtuber.http.post(url, params={"part": "snippet"}, json=body, headers=youtuber.bearer)


def test_a_playlist_holds_what_is_added_also_twice(control, editor):
    playlist = studio(control, "playlists", {"title": "Walks"})["id"]
    video = studio(control, "videos", {"title": "A walk"})["id"]
    assert [add(editor, playlist, video).status_code for _ in range(2)] == [200, 200]
    found = editor.get("playlistItems", part="snippet", playlistId=playlist, videoId=video).json()["items"]
    assert [item["snippet"]["resourceId"]["videoId"] for item in found] == [video, video]
    assert editor.get("playlistItems", part="snippet", playlistId=playlist, videoId="other").json()["items"] == []
    assert control.http.get(control.base + "/youtube/quota").json()["units"]["used"] == 102


def test_a_playlist_refuses_strangers_and_what_is_not_there(control, editor):
    playlist = studio(control, "playlists", {"title": "Walks"})["id"]
    video = studio(control, "videos", {"title": "A walk"})["id"]
    control.account("youtube", "noa")
    theirs = studio(control, "playlists", {"title": "Theirs"}, "noa")["id"]
    assert reason(add(editor, theirs, video)) == (403, "playlistItemsNotAccessible")
    assert reason(add(editor, "PLnone", video)) == (404, "playlistNotFound")
    assert reason(add(editor, playlist, "none")) == (404, "videoNotFound")
    assert reason(add(editor, playlist, video, resourceId={})) == (404, "videoNotFound")


def test_adding_to_a_playlist_needs_a_wider_permission_than_uploading(control, youtuber):
    youtuber.sign_in(deny_scopes=[youtuber.base + "youtube"])
    playlist = studio(control, "playlists", {"title": "Walks"})["id"]
    video = studio(control, "videos", {"title": "A walk"})["id"]
    assert reason(add(youtuber, playlist, video)) == (403, "insufficientPermissions")


def test_an_owners_own_upload_is_like_any_other(control, editor):
    made = studio(control, "videos", {"title": "Mine", "tags": ["a"], "copies": 3, "duration_seconds": 62})
    assert {item["contentDetails"]["videoId"] for item in editor.uploads()} == set(made["ids"])
    (item,) = editor.get("videos", part="snippet,contentDetails,status", id=made["id"]).json()["items"]
    assert (item["snippet"]["tags"], item["contentDetails"]["duration"]) == (["a"], "PT1M2S")
    assert item["status"]["uploadStatus"] == "processed"


def test_every_documented_refusal_can_be_had_at_any_call(control, editor, raw):
    refusals = control.http.get(control.base + "/youtube/refusals").json()
    assert len(refusals) > 35
    for name in ("invalidTitle", "quotaExceeded", "authenticatedUserAccountClosed"):
        control.fault("youtube", "session.start", "error", **refusals[name])
        assert reason(editor.start(len(raw))) == (refusals[name]["status"], name)
    control.fault("youtube", "token.refresh", "error", **refusals["invalid_grant"])
    dead = editor.exchange("refresh_token", refresh_token=editor.token["refresh_token"])
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")


def test_the_sandboxs_own_refusals_look_like_those_it_hands_out(control, editor, raw):
    refusals = control.http.get(control.base + "/youtube/refusals").json()
    own = editor.start(len(raw), snippet={"title": ""}).json()
    assert own.keys() == refusals["invalidTitle"]["body"].keys()
    assert own["error"].keys() == refusals["invalidTitle"]["body"]["error"].keys()


@pytest.mark.parametrize("upload_type", ["multipart", "media"])
def test_a_video_can_be_sent_in_one_request(control, editor, raw, sha256, upload_type):
    url = editor.host("API") + "/upload/youtube/v3/videos"
    query = {"uploadType": upload_type, "part": "snippet,status"}
    whole, kind = raw, "video/mp4"
    if upload_type == "multipart":
        head = b'--b\r\nContent-Type: application/json\r\n\r\n{"snippet": {"title": "One"}}\r\n'
        whole = head + b"--b\r\nContent-Type: video/mp4\r\n\r\n" + raw + b"\r\n--b--\r\n"
        kind = 'multipart/related; boundary="b"'
    else:
        query["part"] = "status"
    reply = editor.http.post(url, params=query, content=whole, headers=editor.bearer | {"Content-Type": kind})
    assert reply.status_code == 200, reply.text
    (post,) = control.posts("youtube")
    assert (post["id"], post["media"]["sha256"]) == (reply.json()["id"], sha256)


def test_a_cover_in_a_session_arrives_in_parts(control, editor, raw):
    video = editor.upload(raw)
    control.advance(5)
    url = editor.host("API") + "/upload/youtube/v3/thumbnails/set"
    query = {"videoId": video["id"], "uploadType": "resumable"}
    session = editor.http.post(url, params=query, headers=editor.bearer).headers["location"]
    picture = b"\x89PNG" + bytes(CHUNK)
    assert editor.put(session, picture, 0, CHUNK - 1).headers["range"] == f"bytes=0-{CHUNK - 1}"
    assert editor.ask(session, len(picture)).status_code == 308
    assert editor.put(session, picture, CHUNK, len(picture) - 1).status_code == 200
    assert control.posts("youtube")[0]["details"]["has_thumbnail"] is True


def test_a_permission_for_a_week_says_so(control, youtuber):
    control.settings("youtube", testing_mode=True)
    assert youtuber.exchange(code=youtuber.code()).json()["refresh_token_expires_in"] == 7 * DAY
