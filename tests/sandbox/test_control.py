"""The control API, the pages and the program: what a person or a script steers the sandbox with."""

import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from autorepost_app.sandbox import SandboxServer
from autorepost_app.sandbox.registry import discover

HOSTS = {
    *("TIKTOK_WWW_URL", "TIKTOK_API_URL", "INSTAGRAM_WWW_URL", "INSTAGRAM_API_URL", "INSTAGRAM_GRAPH_URL"),
    *("INSTAGRAM_FACEBOOK_WWW_URL", "INSTAGRAM_FACEBOOK_GRAPH_URL", "INSTAGRAM_RUPLOAD_URL"),
    *("YOUTUBE_ACCOUNTS_URL", "YOUTUBE_OAUTH_URL", "YOUTUBE_API_URL", "YOUTUBE_WWW_URL", "X_WWW_URL", "X_API_URL"),
}


def test_the_hosts_are_the_settings_of_the_contract(control):
    hosts = control.http.get(control.base + "/hosts").json()
    assert set(hosts) == HOSTS
    assert hosts["INSTAGRAM_FACEBOOK_GRAPH_URL"] == control.sandbox.base_url + "/instagram-facebook-graph"
    assert hosts == control.sandbox.hosts


@pytest.mark.parametrize("end", ["", "/"])
def test_the_root_lists_every_control_there_is_with_a_word_on_each(control, end):
    controls = control.http.get(control.base + end).json()["controls"]
    offered = {(each["method"], each["path"]) for each in controls}
    assert {("PUT", "/_sandbox/faults"), ("GET", "/_sandbox/x/bill"), ("POST", "/_sandbox/consent")} <= offered
    assert ("POST", "/_sandbox/tiktok/accounts/{handle}/posts") in offered
    assert all(each["what"] for each in controls)
    assert len(offered) == len(controls)
    readable = [each["path"] for each in controls if each["method"] == "GET" and "{" not in each["path"]]
    assert {control.http.get(control.sandbox.base_url + path).status_code for path in readable} == {200}


def test_a_browser_gets_the_controls_as_a_page_with_links_to_what_can_be_read(control):
    page = control.http.get(control.base + "/", headers={"Accept": "text/html"}).text
    assert '<a href="/_sandbox/ledger">' in page
    assert '<a href="/_sandbox/consent">' not in page, "it is written to, not read"
    assert "POST /_sandbox/consent" in page


def test_the_apps_are_those_that_the_platforms_accept(control, poster):
    assert control.http.get(control.base + "/apps").json() == control.sandbox.apps
    assert poster.sign_in().id


def test_an_account_has_an_id_a_picture_and_a_feed(control):
    account = control.account("instagram", "@cleo", professional=False)
    assert account["handle"] == "cleo"
    assert account["options"]["professional"] is False
    assert control.http.get(account["avatar_url"]).headers["content-type"] == "image/svg+xml"
    assert control.http.get(account["feed_url"]).status_code == 200
    assert control.http.get(control.base + "/accounts").json() == [account]


@pytest.mark.parametrize(
    ("body", "nearest"),
    [
        ({"platform": "tiktock", "handle": "a"}, "tiktok"),
        ({"platform": "instagram", "handle": "a", "profesional": True}, "professional"),
    ],
)
def test_a_mistaken_account_is_refused_with_the_nearest_name(control, body, nearest):
    reply = control.http.post(control.base + "/accounts", json=body)
    assert (reply.status_code, reply.json()["nearest"]) == (422, nearest)


def test_a_handle_exists_once(control):
    control.account("x")
    reply = control.http.post(control.base + "/accounts", json={"platform": "x", "handle": "ana"})
    assert (reply.status_code, reply.json()["error"]) == (422, "@ana exists already on x")


def test_consent_wants_an_authorize_address_a_known_account_and_asked_scopes(control, poster):
    url = poster.host("WWW") + "/i/oauth2/authorize"
    assert control.consent(url + "x", poster.asks()).status_code == 422
    assert control.consent(url, poster.asks(), account="anna").json()["nearest"] == "ana"
    assert control.consent(url, poster.asks(), deny_scopes=["media.wrte"]).json()["nearest"] == "media.write"


@pytest.mark.parametrize("kind", ["tiktoker", "instagrammer", "youtuber", "poster"])
def test_a_person_can_click_through_the_consent_page(request, control, kind):
    person = request.getfixturevalue(kind)
    address = {
        "tiktok": ("WWW", "/v2/auth/authorize/"),
        "instagram": ("WWW", "/oauth/authorize"),
        "youtube": ("ACCOUNTS", "/o/oauth2/v2/auth"),
        "x": ("WWW", "/i/oauth2/authorize"),
    }[person.platform]
    url = person.host(address[0]) + address[1]
    page = control.http.get(url, params=person.asks()).text
    scopes = re.findall(r'name="scope" value="([^"]+)"', page)
    assert scopes == re.split("[ ,]", person.scopes)
    form = {"account": "ana", "scope": scopes[1:], "decision": "allow"}
    back = control.http.post(url, params=person.asks(), data=form)
    assert back.status_code == 302
    assert "code=" in back.headers["location"]
    assert "state=st" in back.headers["location"]
    denied = control.http.post(url, params=person.asks(), data=form | {"decision": "deny"})
    assert "error=access_denied" in denied.headers["location"]


def test_requests_are_listed_without_queries_or_secrets(control, tiktoker, instagrammer):
    tiktoker.sign_in().list()
    instagrammer.sign_in()
    reply = control.http.get(control.base + "/requests", params={"platform": "tiktok"})
    last = reply.json()[-1]
    assert (last["call"], last["method"], last["status"]) == ("video.list", "POST", 200)
    assert last["path"] == "/tiktok-api/v2/video/list/"
    everything = control.http.get(control.base + "/requests").text
    for secret in (tiktoker.token["access_token"], instagrammer.token["access_token"], tiktoker.secret, "?"):
        assert secret not in everything


def test_a_wrong_path_is_told_and_listed(control, poster):
    assert control.http.get(poster.host("API") + "/3/tweets").status_code == 404
    last = control.http.get(control.base + "/requests").json()[-1]
    assert (last["platform"], last["call"], last["path"]) == ("x", "unknown", "/x-api/3/tweets")


def test_the_clock_can_be_moved_and_set(control):
    def now():
        return datetime.fromisoformat(control.http.get(control.base + "/clock").json()["now"])

    before = now()
    control.advance(3600)
    assert 3600 <= (now() - before).total_seconds() < 3610
    control.http.put(control.base + "/clock", json={"now": "2030-01-01T00:00:00Z"}).raise_for_status()
    assert now().year == 2030
    for wrong in ({"now": "2030-01-01T00:00:00"}, {"advance": 3}):
        assert control.http.put(control.base + "/clock", json=wrong).status_code == 422


def test_a_mistaken_setting_is_refused_with_the_nearest_name(control):
    reply = control.http.put(control.base + "/settings", json={"x": {"processing_second": 3}})
    assert (reply.status_code, reply.json()["nearest"]) == (422, "processing_seconds")
    assert control.http.put(control.base + "/settings", json={"x": {"dialect": "latin"}}).status_code == 422


def test_the_ledger_counts_how_often_the_same_bytes_went_up(control, youtuber, clip):
    youtuber.sign_in()
    for title in ("one", "two"):
        youtuber.upload(clip.read_bytes(), snippet={"title": title})
    entries = control.http.get(control.base + "/ledger", params={"platform": "youtube", "account": "ana"}).json()
    assert [post["same_bytes_uploads"] for post in entries["posts"]] == [2, 2]
    assert control.http.get(control.base + "/ledger", params={"platform": "utube"}).status_code == 422


def test_a_post_deleted_in_the_app_leaves_the_ledger(control, poster):
    post = poster.sign_in().post("hello").json()["data"]["id"]
    url = f"{control.base}/posts/x/{post}"
    assert control.http.delete(url).status_code == 204
    assert control.posts("x") == []
    assert control.http.delete(url).status_code == 404


def test_the_feed_shows_text_time_and_a_playing_video_and_fetches_new_ones(control, poster, clip):
    poster.sign_in().post("a <b>bold</b> post", poster.hand_in(clip.read_bytes()))
    base = control.sandbox.base_url
    page = control.http.get(base + "/x/@ana").text
    assert "a &lt;b&gt;bold&lt;/b&gt; post" in page
    source = re.search(r'<video controls[^>]*src="([^"]+)"', page)[1]
    assert control.http.get(source, headers={"Range": "bytes=0-9"}).status_code == 206
    assert "prefers-color-scheme:dark" in page
    assert "feed.json" in page
    (post,) = control.http.get(base + "/x/@ana/feed.json").json()["posts"]
    assert post["html"] in page
    assert control.http.get(base + "/x/@nobody").status_code == 404


def test_the_overview_links_every_account(control):
    for platform in ("tiktok", "instagram", "youtube", "x"):
        control.account(platform)
    page = control.http.get(control.sandbox.base_url + "/").text
    for platform in ("tiktok", "instagram", "youtube", "x"):
        assert f'href="/{platform}/@ana"' in page


def test_a_fifth_platform_is_one_new_module(monkeypatch, tmp_path):
    import autorepost_app.sandbox as package

    text = "from autorepost_app.sandbox.x import X\nclass Fifth(X):\n    key = 'fifth'\nPLATFORM = Fifth\n"
    (tmp_path / "fifth.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "autorepost_app.sandbox.fifth", raising=False)
    assert [kind.key for kind in discover()] == ["instagram", "tiktok", "x", "youtube", "fifth"]
    with SandboxServer() as sandbox:
        assert sandbox.hosts["FIFTH_API_URL"].endswith("/fifth-api")
    monkeypatch.delitem(sys.modules, "autorepost_app.sandbox.fifth")


def test_a_state_file_outlives_the_server(tmp_path, clip, http):
    state = tmp_path / "sandbox.sqlite"
    with SandboxServer(state_file=state) as sandbox:
        base = sandbox.base_url + "/_sandbox"
        http.post(base + "/accounts", json={"platform": "tiktok", "handle": "ana"}).raise_for_status()
        url = base + "/tiktok/accounts/ana/posts"
        post = http.post(url, json={"clip_path": str(clip), "title": "kept"}).json()
        http.put(base + "/clock", json={"advance_seconds": 1000}).raise_for_status()
        http.put(base + "/settings", json={"tiktok": {"token_profile": "classic"}}).raise_for_status()
    with SandboxServer(state_file=state) as sandbox:
        base = sandbox.base_url + "/_sandbox"
        (entry,) = http.get(base + "/ledger").json()["posts"]
        assert entry["id"] == post["id"]
        assert http.get(entry["permalink"] + "/download.mp4").content == clip.read_bytes()
        assert http.get(base + "/clock").json()["offset_seconds"] == 1000
        assert http.get(base + "/settings").json()["tiktok"]["token_profile"] == "classic"


def test_a_container_being_fetched_at_a_restart_is_fetched_again(tmp_path, clip, http, eventually):
    state = tmp_path / "sandbox.sqlite"
    with SandboxServer() as elsewhere, SandboxServer(state_file=state) as sandbox:
        url = elsewhere.base_url + "/_sandbox"
        http.post(url + "/accounts", json={"platform": "tiktok", "handle": "a"}).raise_for_status()
        post = http.post(url + "/tiktok/accounts/a/posts", json={"clip_path": str(clip)}).json()
        slow = {"platform": "tiktok", "call": "video.download", "fault": "slow", "seconds": 30}
        http.put(url + "/faults", json=[slow]).raise_for_status()
        token = _instagram_token(sandbox, http)
        query = {"media_type": "REELS", "video_url": post["share_url"] + "/download.mp4", "access_token": token}
        container = http.post(sandbox.hosts["INSTAGRAM_GRAPH_URL"] + "/v26.0/me/media", data=query).json()["id"]
        eventually(lambda: http.get(url + "/faults").json()[0]["hits"])
        sandbox.stop()
        with SandboxServer(state_file=state) as again:
            url = f"{again.hosts['INSTAGRAM_GRAPH_URL']}/v26.0/{container}"
            query = {"fields": "status_code", "access_token": token}
            eventually(lambda: http.get(url, params=query).json()["status_code"] == "FINISHED")


def _instagram_token(sandbox, http):
    base, apps = sandbox.base_url + "/_sandbox", sandbox.apps
    http.post(base + "/accounts", json={"platform": "instagram", "handle": "ana"}).raise_for_status()
    who, back = apps["INSTAGRAM_CLIENT_ID"], "http://127.0.0.1:9/cb"
    scope = "instagram_business_basic,instagram_business_content_publish"
    url = f"{sandbox.hosts['INSTAGRAM_WWW_URL']}/oauth/authorize?client_id={who}&redirect_uri={back}&scope={scope}"
    to = http.post(base + "/consent", json={"authorize_url": url, "account": "ana"}).json()["redirect_to"]
    form = {"client_id": who, "client_secret": apps["INSTAGRAM_CLIENT_SECRET"], "grant_type": "authorization_code"}
    form |= {"redirect_uri": back, "code": to.split("code=")[1].removesuffix("#_")}
    return http.post(sandbox.hosts["INSTAGRAM_API_URL"] + "/oauth/access_token", data=form).json()["access_token"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_where_it_is_and_stops_on_a_signal(tmp_path, number, eventually):
    ready = tmp_path / "ready"
    command = [sys.executable, "-W", "error", "-m", "autorepost_app.sandbox", "--port", "0"]
    options = ["--state", str(tmp_path / "s.sqlite"), "--ready-file", str(ready)]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [*command, *options], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        line = process.stdout.readline()
        base = re.fullmatch(r"sandbox ready (http://127\.0\.0\.1:\d+)\n", line)[1]
        eventually(ready.exists)
        assert ready.read_text() == base + "\n"
        assert httpx.get(base + "/_sandbox/hosts", trust_env=False).status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    assert (process.returncode, out, err) == (0, "", "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(base, trust_env=False)


def test_memory_stays_flat_while_a_big_file_goes_up(tmp_path, eventually):
    """Two hundred megabytes through the program; its resident memory may grow by a tenth of that."""
    command = [sys.executable, "-m", "autorepost_app.sandbox", "--state", str(tmp_path / "s.sqlite")]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen([*command], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            base = process.stdout.readline().split()[-1]
            before = _peak_kib(process.pid)
            block = b"\0" * 1048576
            with httpx.Client(trust_env=False, timeout=60) as client:
                client.post(base + "/_sandbox/accounts", json={"platform": "tiktok", "handle": "a"}).raise_for_status()
                url = base + "/_sandbox/tiktok/accounts/a/posts"
                reply = client.post(url, content=(block for _ in range(200)))
            assert reply.json()["error"] == "the clip is not a video"
            assert _peak_kib(process.pid) - before < 20 * 1024
        finally:
            process.terminate()


def _peak_kib(pid):
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("no /proc on this machine")
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])


@pytest.mark.parametrize("address", ["/instagram-www/{}/", "/x-www/{}", "/youtube-www/@{}", "/tiktok-www/@{}"])
def test_the_address_under_which_people_know_an_account_leads_to_its_feed(control, address):
    platform = address.split("-")[0].strip("/")
    control.account(platform, "@dora")
    answer = control.http.get(control.sandbox.base_url + address.format("dora"), follow_redirects=True)
    assert answer.status_code == 200
    assert "@dora" in answer.text
    nobody = control.http.get(control.sandbox.base_url + address.format("nobody"))
    assert "@nobody" not in nobody.text
    assert nobody.status_code == (200 if platform == "tiktok" else 404), "TikTok says it in the page only"


def test_what_came_so_far_can_be_forgotten(control):
    control.http.get(control.base + "/hosts")
    control.account("x", "noa")
    control.http.get(control.base.replace("/_sandbox", "") + "/x-api/2/users/me")
    assert control.http.get(control.base + "/requests").json() != []

    assert control.http.delete(control.base + "/requests").json() == []

    assert control.http.get(control.base + "/requests").json() == []
