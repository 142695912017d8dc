"""Does the embedded PostgreSQL keep its promises through crashes, races and bad luck?"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from autorepost_app.persistence.postgres import launch
from autorepost_app.persistence.server import DatabaseAddress, EmbeddedPostgres, EmbeddedPostgresError

REPOSITORY = Path(__file__).parents[2]
START_AND_WAIT = """
import sys, time
from pathlib import Path
from autorepost_app.persistence.server import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1]), die_with_parent=sys.argv[2] == "dying").start()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "postgres"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder) as running:
        yield running


def run_sql(address: DatabaseAddress, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address.url(None)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def pid_of(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n")[0])


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def another_process(folder: Path, kind: str = "staying") -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", START_AND_WAIT, str(folder), kind]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def killed_parent(folder: Path) -> Callable[[str], int]:
    """A process that started the server and was killed; returns the server's pid."""

    def start_and_kill(kind: str) -> int:
        with another_process(folder, kind) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "started\n"
            postmaster = pid_of(folder)
            parent.kill()
        return postmaster

    return start_and_kill


def test_both_drivers_reach_the_server_through_their_urls(server: EmbeddedPostgres) -> None:
    for url in (server.admin_url(), server.psycopg2_url()):
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("select 6 * 7")) == 42
        engine.dispose()


def test_text_sorts_by_code_point_and_times_are_utc(server: EmbeddedPostgres) -> None:
    words = run_sql(server.address(), "select string_agg(w, '' order by w) from unnest('{b,é,B,a}'::text[]) w")
    settings = run_sql(server.address(), "select current_setting('timezone'), current_setting('data_checksums')")
    assert (words, settings) == ([("Babé",)], [("UTC", "on")])


def test_a_second_start_makes_no_second_cluster_and_keeps_what_was_written(folder: Path) -> None:
    with EmbeddedPostgres(folder) as first:
        run_sql(first.address(), "create table kept as select 1 as row")
    cluster_made_at = (folder / "data" / "PG_VERSION").stat().st_mtime_ns
    with EmbeddedPostgres(folder) as second:
        assert run_sql(second.address(), "select row from kept") == [(1,)]
    assert (folder / "data" / "PG_VERSION").stat().st_mtime_ns == cluster_made_at


def test_stopping_is_a_clean_shutdown(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        postmaster = pid_of(folder)
    assert is_gone(postmaster)
    assert not server.is_running()
    assert server.log_file.read_text().rstrip().endswith("database system is shut down")


def test_nothing_listens_on_tcp(server: EmbeddedPostgres, folder: Path) -> None:
    postmaster = psutil.Process(pid_of(folder))
    family = [postmaster, *postmaster.children(recursive=True)]
    assert len(family) > 3
    open_to_the_network = []
    for process in family:
        with suppress(psutil.NoSuchProcess):  # io workers come and go
            open_to_the_network += process.net_connections(kind="inet")
    assert open_to_the_network == []


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_refused(server: EmbeddedPostgres, password: str) -> None:
    stranger = server.address().for_role("postgres", password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        run_sql(stranger, "select 1")


def test_the_password_is_not_shown(server: EmbeddedPostgres) -> None:
    address = server.address()
    assert len(address.password) >= 24
    assert address.password not in f"{address} {address!r}"


def test_all_is_closed_to_others_and_folders_above_keep_their_mode(tmp_path: Path) -> None:
    above, folder = tmp_path / "above", tmp_path / "above" / "new" / "postgres"
    above.mkdir(mode=0o700)
    with EmbeddedPostgres(folder) as server:
        socket_dir = Path(server.address().host)
        made = [folder.parent, folder, folder / "data", socket_dir]
        assert [mode(path) for path in (above, *made)] == [0o700] * 5
        assert mode(folder / "password") == 0o600
        assert mode(socket_dir / ".s.PGSQL.5432") == 0o700


def test_a_killed_server_loses_no_committed_row(server: EmbeddedPostgres, folder: Path) -> None:
    run_sql(server.address(), "create table ledger (row bigint)")
    acknowledged = 0

    def write_until_the_server_dies() -> None:
        nonlocal acknowledged
        with psycopg.connect(server.address().url(None), autocommit=True) as connection:
            while True:
                connection.execute("insert into ledger values (%s)", [acknowledged + 1])
                acknowledged += 1

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_until_the_server_dies)
        assert eventually(lambda: acknowledged > 500)
        os.kill(pid_of(folder), signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            writer.result(timeout=30)
    assert eventually(lambda: not server.is_running())
    server.start()
    assert run_sql(server.address(), "select count(*) from ledger")[0] >= (acknowledged,)


def test_the_next_start_takes_over_from_a_killed_parent(folder: Path, killed_parent: Callable[[str], int]) -> None:
    left_behind = killed_parent("staying")
    assert not is_gone(left_behind)
    with EmbeddedPostgres(folder) as server:
        assert server.owned
        assert is_gone(left_behind)
        assert run_sql(server.address(), "select 1") == [(1,)]
        mine = pid_of(folder)
    assert is_gone(mine)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_server_asked_to_die_with_its_parent_does(folder: Path, killed_parent: Callable[[str], int]) -> None:
    left_behind = killed_parent("dying")
    assert eventually(lambda: is_gone(left_behind))
    assert "received fast shutdown request" in (folder / "server.log").read_text()


def test_orphaned_backends_of_a_killed_server_do_not_block_the_next(folder: Path) -> None:
    first = EmbeddedPostgres(folder, stop_timeout_seconds=1.0)
    first.start()
    postmaster = psutil.Process(pid_of(folder))
    backends = postmaster.children()
    for process in (*backends, postmaster):
        process.suspend()  # a suspended backend cannot notice that its postmaster died
    postmaster.kill()
    first.stop()
    with EmbeddedPostgres(folder) as second:
        assert run_sql(second.address(), "select 1") == [(1,)]
        assert all(is_gone(backend.pid) for backend in backends)


def test_starters_at_the_same_moment_share_one_server(folder: Path) -> None:
    starters = [EmbeddedPostgres(folder) for _ in range(6)]
    barrier = threading.Barrier(len(starters))

    def start(starter: EmbeddedPostgres) -> list[tuple[object, ...]]:
        barrier.wait()
        return run_sql(starter.start(), "select pg_postmaster_start_time()")

    with ThreadPoolExecutor(len(starters)) as pool:
        answers = list(pool.map(start, starters))
    owners = [starter for starter in starters if starter.owned]
    borrowers = [starter for starter in starters if not starter.owned]
    assert (len(owners), len(borrowers)) == (1, 5)
    assert answers == [answers[0]] * 6
    for borrower in borrowers:
        borrower.stop()
    assert owners[0].is_running()
    owners[0].stop()


def test_a_borrower_becomes_owner_once_the_owner_was_killed(folder: Path) -> None:
    with another_process(folder) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        borrower = EmbeddedPostgres(folder)
        borrower.start()
        assert not borrower.owned
        parent.kill()
    os.kill(pid_of(folder), signal.SIGKILL)
    assert eventually(lambda: not borrower.is_running())
    borrower.start()
    assert borrower.owned
    borrower.stop()


def test_a_start_killed_in_the_middle_of_making_the_cluster_is_repaired(folder: Path) -> None:
    with another_process(folder) as parent:
        assert eventually(lambda: any(folder.glob("data.new-*/base")))
        parent.kill()
    assert not (folder / "data").exists()
    with EmbeddedPostgres(folder) as server:
        assert run_sql(server.address(), "select 1") == [(1,)]
    with EmbeddedPostgres(folder):
        assert not any(folder.glob("data.new-*"))


def test_a_cluster_of_another_major_version_is_refused_untouched(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 17, .* brings PostgreSQL 18.*autorepost backup"):
        EmbeddedPostgres(folder).start()
    assert (folder / "data" / "PG_VERSION").read_text() == "17\n"
    assert not (folder / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("kind", ["a stranger", "a zombie", "nobody", "half a line"])
def test_a_stale_pid_file_does_not_stop_a_start(folder: Path, kind: str) -> None:
    with EmbeddedPostgres(folder):
        pass
    with subprocess.Popen(["sleep", "0" if kind == "a zombie" else "600"]) as other:
        assert eventually(lambda: (psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE) == (kind == "a zombie"))
        pid = {"nobody": "4194999", "half a line": ""}.get(kind, str(other.pid))
        lines = [pid, str(folder / "data"), "1", "5432", str(folder / "run"), "", "1 1", "ready"]
        (folder / "data" / "postmaster.pid").write_text("\n".join(lines[: 1 if pid == "" else 8]))
        with EmbeddedPostgres(folder) as server:
            assert run_sql(server.address(), "select 1") == [(1,)]
        if kind == "a stranger":
            assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("name", ["x" * 120, "one,two", 'a "b" %41 é', "100% sure?&#"])
def test_awkward_folder_names_work(tmp_path: Path, name: str) -> None:
    with EmbeddedPostgres(tmp_path / name) as server:
        assert run_sql(server.address(), "select 1") == [(1,)]
        socket_dir = Path(server.address().host)
        assert mode(socket_dir) == 0o700
    if socket_dir.parent != tmp_path / name:
        socket_dir.rmdir()


def test_a_crashed_server_can_be_started_again_by_its_owner(server: EmbeddedPostgres, folder: Path) -> None:
    os.kill(pid_of(folder), signal.SIGKILL)
    assert eventually(lambda: not server.is_running())
    assert run_sql(server.start(), "select 1") == [(1,)]


def test_a_missing_wheel_is_named_with_its_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WHEEL", "a_wheel_nobody_installed")
    with pytest.raises(EmbeddedPostgresError, match=r"not installed.*AUTOREPOST_DATABASE_URL"):
        EmbeddedPostgres(folder).start()


def test_a_server_that_refuses_to_start_tells_its_last_words(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings={"shared_buffers": "plenty"})
    with pytest.raises(EmbeddedPostgresError, match='invalid value for parameter "shared_buffers"'):
        server.start()
    assert not server.owned


def test_a_lost_password_file_is_named(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        (folder / "password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="has lost its password file"):
        EmbeddedPostgres(folder).start()
    assert not (folder / "data" / "postmaster.pid").exists()


def test_a_file_in_the_way_is_reported_with_the_folder(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.joinpath("postgres").write_text("not a folder")
    with pytest.raises(EmbeddedPostgresError, match=str(folder)):
        EmbeddedPostgres(folder).start()


def test_an_overgrown_log_is_put_aside(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "server.log").write_bytes(b"old\n" * 1_300_000)
    with EmbeddedPostgres(folder) as server:
        assert server.log_file.stat().st_size < 100_000
    assert (folder / "server.log.1").read_bytes().startswith(b"old\n")
