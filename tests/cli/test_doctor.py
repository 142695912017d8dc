"""Each check of the doctor on what is really broken, and the whole command on a fresh machine."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import pytest
import uvicorn

from autorepost_app.bootstrap import find_platforms, open_links, settings_from
from autorepost_app.cli.checks import Finding, Status, machine, platforms
from autorepost_app.cli.checks.database import Stored, database, key_file
from autorepost_app.cli.doctor import _in_all
from autorepost_app.config import Settings
from autorepost_app.platform_kit.protocol import Platform
from autorepost_app.processes import free_port
from autorepost_app.web.app import own_app

OK, WARNING, PROBLEM = Status.OK, Status.WARNING, Status.PROBLEM


def with_settings(settings: Settings, **changes: Any) -> Settings:
    return Settings.model_validate({**settings.model_dump(), **changes})


def by_name(found) -> dict[str, Any]:
    return {each.name: each for each in found}


# ------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def set_up(manifests) -> dict[str, object]:
    """Settings with credentials for every platform, whose hosts are all down."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    names = {f"{key}_{host.name}_URL".upper(): nowhere for key, each in manifests.items() for host in each.hosts}
    return {**names, **{f"{key}_CLIENT_{part}".upper(): "app" for key in manifests for part in ("id", "secret")}}


def test_a_fresh_machine_is_fit_and_left_as_it_was(run, home, set_up):
    ended = run("doctor", "--json", **set_up)
    found = {row["name"]: row for row in json.loads(ended.stdout)}
    assert ended.returncode == 0, ended.stdout
    assert {row["status"] for row in found.values()} <= {"ok", "warning"}
    assert found["database"]["found"].startswith("an embedded server starts here")
    assert all(row["remedy"] for row in found.values() if row["status"] != "ok")
    assert not home.exists()


def test_a_machine_without_any_apps_is_told_that_no_post_can_come_or_go(run, set_up):
    hosts = {name: url for name, url in set_up.items() if name.endswith("_URL")}
    ended = run("doctor", **hosts)
    assert ended.returncode == 1
    assert "none is set up, so no post can be found" in ended.stdout
    assert "none is set up, so no post can go anywhere" in ended.stdout
    assert "Set AUTOREPOST_TIKTOK_CLIENT_ID and AUTOREPOST_TIKTOK_CLIENT_SECRET" in ended.stdout
    assert "2 of these would stop a post." in ended.stdout


def test_what_would_stop_a_post_ends_the_command_with_one(run, tmp_path, set_up):
    ended = run("doctor", FFMPEG_BIN=tmp_path / "none", **set_up)
    assert ended.returncode == 1
    assert "There is no usable ffmpeg" in ended.stdout
    assert "1 of these would stop a post." in ended.stdout


def test_wrong_settings_are_a_finding_and_not_an_error(run):
    ended = run("doctor", PROT="1")
    assert ended.returncode == 1
    assert "There is no setting AUTOREPOST_PROT." in ended.stdout
    assert "Did you mean AUTOREPOST_PORT?" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_no_secret_is_in_what_the_doctor_says(run, set_up):
    secrets = {"X_CLIENT_SECRET": "hunter2", "DATABASE_URL": f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"}
    ended = run("doctor", **{**set_up, **secrets})
    assert ended.returncode == 1
    assert "hunter2" not in ended.stdout + ended.stderr


# ------------------------------------------------------------------------------------------------------- the machine


@pytest.mark.parametrize(("version", "status"), [((3, 10), PROBLEM), ((3, 11), OK), ((3, 13), OK), ((3, 14), WARNING)])
def test_pythons_that_were_tried_are_fit(version, status):
    assert machine.python(version).status is status


def test_missing_zones_are_a_problem():
    assert machine.time_zones().status is OK
    assert machine.time_zones(("Mars/Olympus",)).status is PROBLEM


def test_a_home_is_looked_at_and_never_made(settings):
    assert machine.home(settings).found == f"{settings.home} will be made at the first start"
    assert not settings.home.exists()


def test_a_home_that_others_can_read_is_told_with_the_command_that_helps(settings):
    settings.home.mkdir()
    settings.home.chmod(0o755)
    found = machine.home(settings)
    assert (found.status, found.remedy) == (WARNING, f"Run: chmod 700 {settings.home}")
    settings.home.chmod(0o700)
    assert machine.home(settings).status is OK


def test_a_home_that_is_a_file_is_a_problem(settings):
    settings.home.write_text("")
    assert machine.home(settings).status is PROBLEM


def test_little_space_is_a_problem(settings):
    assert [each.status for each in machine.disk(settings)] == [OK]
    found = list(machine.disk(settings, least_bytes=10**18))
    assert [each.status for each in found] == [PROBLEM]
    assert "Free some space" in found[0].remedy


def test_an_old_ffmpeg_is_a_problem_and_a_weak_one_a_warning(settings, tool):
    old = with_settings(settings, ffmpeg_bin=str(tool("ffmpeg4", "ffmpeg version 4.4.1 Copyright")))
    weak = with_settings(settings, ffmpeg_bin=str(tool("ffmpeg5", "ffmpeg version 5.1.9 Copyright\n V..... libx264 x")))
    assert [each.status for each in machine.ffmpeg(old)] == [PROBLEM]
    found = by_name(machine.ffmpeg(weak))
    assert (found["ffmpeg"].status, found["HDR videos"].status, found["AV1 videos"].status) == (OK, WARNING, WARNING)


def test_an_ffmpeg_that_reads_av1_is_praised(settings, tool):
    able = tool("ffmpeg8", "ffmpeg version 8.0 Copyright\n V..... libx264 x\n V....D libdav1d AV1")
    assert {each.status for each in machine.ffmpeg(with_settings(settings, ffmpeg_bin=str(able)))} == {OK}


def test_a_store_is_tried_and_left_clean(settings):
    settings.home.mkdir()
    assert machine.store(settings).found.endswith("will be made at the first start")
    (settings.home / "store").mkdir()
    assert machine.store(settings).status is OK
    assert not [each for each in (settings.home / "store").rglob("*") if each.is_file()]


def test_a_store_that_is_a_file_is_a_problem(settings):
    settings.home.mkdir()
    (settings.home / "store").write_text("")
    assert machine.store(settings).status is PROBLEM


def test_a_port_is_free_or_ours_or_a_problem(settings):
    assert machine.port(settings).status is OK
    with answering(settings.port, "alive\n"):
        assert machine.port(settings).found.endswith("which is running")
    with answering(settings.port, "hello"):
        assert machine.port(settings).status is PROBLEM


def test_a_port_whose_owner_says_nothing_is_a_problem(settings):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", settings.port))
        silent.listen()
        found = machine.port(settings)
    assert found.status is PROBLEM
    assert "AUTOREPOST_PORT=" in found.found


# ---------------------------------------------------------------------------------------------- database and keys


@pytest.fixture
def prepared(database, postgres, settings, _home) -> Settings:
    """Settings of a product whose database is migrated; the server is one of the operator's own."""
    address = postgres.address()
    url = f"postgresql://postgres:{address.password}@/tests?host={address.host}"
    return with_settings(settings, home=_home, database_url=url)


def test_a_prepared_database_is_found_in_order(prepared):
    found, stored = database(prepared)
    assert by_name(found)["schema"].found.startswith("revision ")
    assert {name: each.status for name, each in by_name(found).items()} == {
        "database": OK,
        "schema": OK,
        "roles": OK,
        "tenants": OK,
        "Dagster": WARNING,
    }
    assert stored == Stored()


def test_a_database_that_is_down_is_a_problem(prepared):
    down = with_settings(prepared, database_url=f"postgresql://me:x@127.0.0.1:{free_port()}/repost")
    found, _ = database(down)
    assert [each.status for each in found] == [PROBLEM]
    assert "AUTOREPOST_DATABASE_URL" in found[0].remedy


def test_an_older_schema_is_a_problem_with_the_command_that_helps(prepared, owner_connection):
    newest = owner_connection.execute("select version_num from alembic_version").fetchone()
    owner_connection.execute("update alembic_version set version_num = '0001'")
    try:
        found, _ = database(prepared)
        assert by_name(found)["schema"].status is PROBLEM
        assert "autorepost migrate" in by_name(found)["schema"].remedy
    finally:
        owner_connection.execute("update alembic_version set version_num = %s", newest)


def test_a_role_that_cannot_log_in_is_named(prepared, owner_connection):
    owner_connection.execute("alter role tests_system nologin")
    try:
        found, _ = database(prepared)
        assert by_name(found)["roles"].status is PROBLEM
        assert "system:" in by_name(found)["roles"].found
    finally:
        owner_connection.execute("alter role tests_system login")


@pytest.mark.parametrize(
    ("broken", "mended", "word"),
    [
        ("alter role tests_app bypassrls", "alter role tests_app nobypassrls", "above row-level security"),
        (
            "alter table posts no force row level security",
            "alter table posts force row level security",
            "posts is not under forced",
        ),
    ],
)
def test_tenants_open_to_each_other_are_a_problem(prepared, owner_connection, broken, mended, word):
    owner_connection.execute(broken)
    try:
        found, _ = database(prepared)
        assert by_name(found)["tenants"].status is PROBLEM
        assert word in by_name(found)["tenants"].found
    finally:
        owner_connection.execute(mended)


def test_rows_that_are_seen_without_a_tenant_are_a_problem(prepared, world, owner_connection):
    world.connect("x")
    owner_connection.execute("create policy hole on connections to tests_app using (true)")
    try:
        found, _ = database(prepared)
        assert "without a tenant 1 rows are visible" in by_name(found)["tenants"].found
    finally:
        owner_connection.execute("drop policy hole on connections")


def test_a_key_that_sealed_stored_tokens_must_be_there(prepared, world, tmp_path):
    world.connect("x")
    _, stored = database(prepared)
    assert stored.connected == {("x", "default")}
    assert key_file(prepared, stored).status is OK

    other = tmp_path / "other.key"
    other.write_text("zzzz:" + "cd" * 32)
    other.chmod(0o600)
    lost = key_file(with_settings(prepared, keys=str(other)), stored)
    assert lost.status is PROBLEM
    assert all(key in lost.found for key in stored.sealing_keys)
    assert key_file(with_settings(prepared, home=tmp_path / "new"), stored).status is PROBLEM


def test_a_key_file_is_made_at_the_first_start_and_not_by_looking(settings):
    assert key_file(settings, Stored()).status is OK
    assert not settings.key_file.exists()


# --------------------------------------------------------------------------------------------------------- platforms


@contextmanager
def answering(port: int, body: str, ahead_seconds: float = 0.0) -> Iterator[str]:
    """A server whose clock is behind ours by `ahead_seconds`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        seen: ClassVar[list[dict[str, str]]] = []

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.seen.append(dict(self.headers))
            self.send_response_only(404)
            self.send_header("Date", format_datetime(datetime.now(UTC) - timedelta(seconds=ahead_seconds), usegmt=True))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def manifests() -> dict[str, Platform]:
    return find_platforms()


def pointed(settings: Settings, manifests: dict[str, Platform], url: str) -> Settings:
    """Every host of every platform there."""
    names = [f"{key}_{host.name}_URL".upper() for key, each in manifests.items() for host in each.hosts]
    return settings_from({"AUTOREPOST_HOME": str(settings.home), **{f"AUTOREPOST_{name}": url for name in names}})


def test_platforms_that_answer_anything_are_there(settings, manifests):
    with answering(0, "") as url:
        answers = platforms.ask_hosts(pointed(settings, manifests, url), manifests)
    assert len(answers) == sum(len(each.hosts) for each in manifests.values())
    assert {each.status for each in platforms.hosts(answers)} == {OK}
    assert platforms.clock(answers).status is OK


def test_a_platform_that_is_down_is_a_warning_because_its_posts_wait(settings, manifests):
    url = f"http://127.0.0.1:{free_port()}"
    found = list(platforms.hosts(platforms.ask_hosts(pointed(settings, manifests, url), manifests)))
    assert len(found) == len(manifests)
    assert {each.status for each in found} == {WARNING}
    assert all(f"{url} (nothing listens there)" in each.found for each in found)
    assert {each.remedy for each in found} == {
        "Start what should, or correct its address. Posts wait until it answers."
    }


@pytest.mark.parametrize(
    ("cause", "why", "what_helps"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name is not known here", "DNS"),
        (TimeoutError("timed out"), "it takes too long", "firewall"),
        (ssl.SSLCertVerificationError("self-signed"), "its certificate is not trusted here", "SSL_CERT_FILE"),
        (OSError(101, "Network is unreachable"), "Network is unreachable", "way out of this machine"),
    ],
)
def test_a_host_that_does_not_answer_is_said_in_words_with_what_helps(monkeypatch, cause, why, what_helps, manifests):
    """The real client, over a machine whose network fails in this way."""

    def fail(*_args, **_more):
        raise cause

    monkeypatch.setattr(socket, "create_connection", fail)
    name = next(key for key, each in manifests.items() if each.source)
    down = settings_from(
        {f"AUTOREPOST_{name}_{host.name}_URL".upper(): "https://api.example" for host in manifests[name].hosts}
    )
    (found,) = platforms.hosts(platforms.ask_hosts(down, {name: manifests[name]}))
    assert why in found.found
    assert what_helps in found.remedy


def test_what_a_post_needs_at_both_ends_is_looked_at(settings, manifests):
    only_source = with_settings(settings, platforms={"TIKTOK_CLIENT_ID": "app", "TIKTOK_CLIENT_SECRET": "s"})
    found = by_name(platforms.both_ends(only_source, manifests))
    assert (found["sources"].status, found["sources"].found) == (OK, "TikTok")
    assert found["destinations"].status is PROBLEM
    assert "AUTOREPOST_INSTAGRAM_CLIENT_ID and AUTOREPOST_INSTAGRAM_CLIENT_SECRET" in found["destinations"].remedy
    assert "or those of X or YouTube" in found["destinations"].remedy
    half = with_settings(settings, platforms={"TIKTOK_CLIENT_ID": "app"})
    assert by_name(platforms.both_ends(half, manifests))["sources"].status is PROBLEM
    assert {each.status for each in platforms.both_ends(settings, {})} == {PROBLEM}


def test_a_start_says_which_platforms_are_down_and_nothing_of_those_not_set_up(settings, manifests):
    with answering(0, "") as url:
        there = {f"AUTOREPOST_X_{host.name}_URL": url for host in manifests["x"].hosts}
        nowhere = f"http://127.0.0.1:{free_port()}"
        down = {f"AUTOREPOST_TIKTOK_{host.name}_URL": nowhere for host in manifests["tiktok"].hosts}
        apps = {f"AUTOREPOST_{key}_CLIENT_{part}": "app" for key in ("X", "TIKTOK") for part in ("ID", "SECRET")}
        found = by_name(platforms.amiss(settings_from({**there, **down, **apps}), manifests))
    assert list(found) == ["TikTok hosts"]
    assert "Posts wait until it answers." in found["TikTok hosts"].remedy
    assert [each.name for each in platforms.amiss(settings, manifests)] == ["sources", "destinations"]


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([OK, OK], "Nothing here would stop a post."),
        ([OK, WARNING], "Nothing here would stop every post; 1 may hold one up or stop one platform's."),
        ([PROBLEM, WARNING], "1 of these would stop a post."),
    ],
)
def test_the_last_line_says_no_more_than_was_found(statuses, said):
    assert _in_all([Finding("x", status, "y") for status in statuses]) == said


@pytest.mark.parametrize(
    ("ahead_seconds", "status", "word"),
    [(0, OK, "agrees"), (60, WARNING, "s ahead of"), (-90, WARNING, "behind"), (3600, PROBLEM, "ahead of")],
)
def test_a_clock_that_is_wrong_is_told(settings, manifests, ahead_seconds, status, word):
    with answering(0, "", ahead_seconds) as url:
        found = platforms.clock(platforms.ask_hosts(pointed(settings, manifests, url), manifests))
    assert found.status is status
    assert word in found.found


def test_a_clock_that_nothing_answers_is_not_called_right():
    assert platforms.clock([]).status is WARNING


def test_missing_credentials_stop_only_platforms_in_use(settings, manifests):
    given = with_settings(settings, platforms={"YOUTUBE_CLIENT_ID": "app", "YOUTUBE_CLIENT_SECRET": "s"})
    found = by_name(platforms.credentials(given, manifests, Stored(frozenset({("x", "default")}))))
    assert {name: each.status for name, each in found.items()} == {
        "Instagram app": WARNING,
        "TikTok app": WARNING,
        "X app": PROBLEM,
        "YouTube app": OK,
    }
    assert "AUTOREPOST_X_CLIENT_ID and AUTOREPOST_X_CLIENT_SECRET" in found["X app"].remedy


def test_platforms_that_fetch_need_an_address_they_can_reach(settings, manifests):
    fetching = [
        (key, login)
        for key, each in manifests.items()
        if each.destination is not None
        for login in each.oauth.logins
        if each.destination.needs_public_url(login)
    ]
    assert fetching
    local = platforms.public_address(settings, manifests, Stored(frozenset(fetching[:1])))
    assert (local.status, "AUTOREPOST_PUBLIC_URL" in local.remedy) == (PROBLEM, True)
    assert platforms.public_address(settings, manifests, Stored()).status is WARNING
    public = with_settings(settings, public_url="https://repost.example.org")
    assert platforms.public_address(public, manifests, Stored()).status is OK, "nobody fetches"
    none = {key: replace(each, destination=None) for key, each in manifests.items()}
    assert platforms.public_address(settings, none, Stored()).status is OK


# ------------------------------------------------------------------------------------ an address that is really reached

FETCHER = Stored(frozenset({("instagram", "instagram")}))


@pytest.fixture
def front(house: Any, settings: Settings) -> Iterator[Settings]:
    """A running product, as its own port answers."""
    config = uvicorn.Config(
        own_app(house, open_links(settings)), port=settings.port, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    give_up_at = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < give_up_at:
        thread.join(0.01)
    yield settings
    server.should_exit = True
    thread.join()


def fetched_by(settings: Settings, public_url: str, manifests: dict[str, Platform], stored: Stored) -> Finding:
    """What is found of that public address, with platforms on this machine."""
    names = {f"{key}_{host.name}_URL".upper(): "http://127.0.0.1:1" for key, m in manifests.items() for host in m.hosts}
    apps = {"INSTAGRAM_CLIENT_ID": "app", "INSTAGRAM_CLIENT_SECRET": "s"}
    here = with_settings(settings, public_url=public_url, platforms={**names, **apps})
    return platforms.public_address(here, manifests, stored)


def test_a_public_address_that_leads_here_is_tried_and_found_good(front, manifests):
    url = f"http://localhost:{front.port}"
    found = fetched_by(front, url, manifests, FETCHER)
    assert (found.status, found.found) == (OK, f"{url}, and a file was fetched by it")


def test_a_public_address_that_something_else_answers_stops_platforms_that_fetch(front, manifests):
    with answering(0, "welcome") as elsewhere:
        found = fetched_by(front, elsewhere, manifests, FETCHER)
        unused = fetched_by(front, elsewhere, manifests, Stored())
    assert (found.status, unused.status) == (PROBLEM, WARNING)
    assert f"{elsewhere} is answered by something else (status 404). Instagram has to fetch files" in found.found
    assert "reverse proxy" in found.remedy


def test_a_public_address_where_nobody_answers_is_named_with_its_remedy(front, manifests):
    nowhere = f"http://127.0.0.1:{free_port()}"
    found = fetched_by(front, nowhere, manifests, FETCHER)
    assert found.status is PROBLEM
    assert f"{nowhere} does not answer" in found.found
    assert "AUTOREPOST_PUBLIC_URL" in found.remedy


def test_an_address_of_a_product_that_does_not_run_is_not_called_good(settings, manifests):
    found = fetched_by(settings, "http://127.0.0.1:1", manifests, FETCHER)
    assert (found.status, "could not be tried" in found.found) == (WARNING, True)
    assert not settings.home.exists(), "looking makes no key"


def test_a_way_out_by_a_proxy_that_is_down_is_not_said_of_the_platform(monkeypatch, manifests):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{(port := free_port())}")
    monkeypatch.setenv("NO_PROXY", "")
    (found,) = platforms.hosts(platforms.ask_hosts(settings_from({}), {"x": manifests["x"]}))
    assert f"the proxy 127.0.0.1:{port} cannot be reached" in found.found
    assert "NO_PROXY" in found.remedy
