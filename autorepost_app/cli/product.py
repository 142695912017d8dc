"""Which processes make up the product, in which order do they start, and what does each need to know?

    (sandbox |) database -> code server | daemon | web

What a line stands between starts side by side. The code location is served once and shared: the daemon and the web
server ask it over a socket in the home.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from autorepost_app.bootstrap import close_house, open_house, open_store, open_vault, settings_from
from autorepost_app.cli.terminal import console, environment, tell_process
from autorepost_app.config import PREFIX, Settings
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.media.binaries import resolve_binaries
from autorepost_app.persistence.access import AccessFile, differences, prepare
from autorepost_app.persistence.schema import create_database
from autorepost_app.persistence.server import EmbeddedPostgres
from autorepost_app.processes import Inline, PortInUseError, ProcessError, ProcessSpec, State, Supervisor, require_port
from autorepost_app.services import restores

DATABASE_NAME: Final = "autorepost"
_LONGEST_SOCKET_PATH: Final = 100
_SANDBOX: Final = "sandbox"
_CODE_THREADS: Final = 24
"""Each tick holds one while it waits for a platform; Dagster's own number is that of the cores and four."""
ROOT: Final = Path(__file__).parents[2]


@dataclass
class Product:
    """The processes of one home. `extra` are settings that are only known once something has started."""

    settings: Settings
    sandbox_port: int | None = None
    on_sandbox: Callable[[], Mapping[str, str]] = dict
    extra: dict[str, str] = field(default_factory=dict)
    server: EmbeddedPostgres | None = None
    is_stopping: bool = False

    def run(self, then: Callable[[], int | None]) -> int:
        """The exit code, once everything has come up, `then` is done and everything has gone down again.

        Raises what stops the start before anything is started, and ProcessError for a part that does not stay up.
        """
        self._check()
        supervisor = self._supervisor()
        try:
            code = supervisor.run(then)
        except ProcessError as error:
            raise self._with_strangers(error) from error
        with suppress(OSError):  # the terminal may be gone
            console.print(
                f"Stopped. Database, files and logs are kept in {self.settings.home}; the next start goes on."
            )
        return code

    def _with_strangers(self, error: ProcessError) -> ProcessError:
        """A port that was free at first may have been the reason. Ours are down now, so whoever has it is another."""
        try:
            self._require_ports()
        except PortInUseError as taken:
            return ProcessError(f"{taken}\n{error}")
        return error

    def _supervisor(self) -> Supervisor:
        parts: list[ProcessSpec | Inline] = [
            *self._sandbox_parts(),
            self._database(),
            *self._sandbox_settings(),
            Inline("dagster home", self._prepare_dagster),
            self._code_server(),
            self._daemon(),
            self._web(),
        ]
        return Supervisor(self.settings.home, parts, self._tell)

    def _tell(self, name: str, state: State, seconds: float, why: str) -> None:
        if state is State.STOPPING and not self.is_stopping:
            self.is_stopping = True
            console.print("\nStopping ...")
        tell_process(name, state, seconds, why)

    def environment(self) -> dict[str, str]:
        """What our processes find in theirs."""
        return {
            **environment(),
            **self.extra,
            f"{PREFIX}HOME": str(self.settings.home),
            f"{PREFIX}LOG_FORMAT": self.log_format,
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_PG_URL": AccessFile.of(self.settings.home).dagster_url(),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def log_format(self) -> str:
        """For people who watch, or for programs: our processes write to files and cannot tell."""
        return self.settings.log_format or ("pretty" if console.is_terminal else "json")

    @property
    def dagster_log_format(self) -> list[str]:
        return ["--log-format", "rich" if self.log_format == "pretty" else "json"]

    @property
    def dagster_home(self) -> Path:
        return self.settings.home / "dagster"

    @property
    def workspace(self) -> Path:
        return self.dagster_home / "workspace.yaml"

    def _check(self) -> None:
        """What would otherwise show only in the third process's log."""
        self._require_ports()
        make_home(self.settings.home)
        resolve_binaries(self.settings.ffmpeg_bin, self.settings.ffprobe_bin)
        open_vault(self.settings)
        open_store(self.settings).head("ready")

    def _require_ports(self) -> None:
        require_port(self.settings.host, self.settings.port)
        if self.sandbox_port:
            require_port("127.0.0.1", self.sandbox_port)

    # ----------------------------------------------------------------------------------------------------- database

    def _database(self) -> Inline:
        log_file = self.settings.home / "postgres" / "server.log"
        start, stop, is_alive = self._start_database, self._stop_database, self._database_is_alive
        return Inline("database", start, stop, is_alive, log_file=log_file)

    def _start_database(self) -> None:
        owner = self.settings.database_url
        if owner is not None:
            prepare(self.settings.home, owner.get_secret_value())
            return
        self._stop_database()  # after a crash: the old one's lock is ours to give back
        self.server = embedded(self.settings, die_with_parent=True)
        prepare(self.settings.home, start_embedded(self.server))

    def _stop_database(self) -> None:
        if self.server is not None:
            self.server.stop()

    def _database_is_alive(self) -> bool:
        return self.server is None or self.server.is_running()

    # ------------------------------------------------------------------------------------------------------ children

    def _sandbox_parts(self) -> list[ProcessSpec | Inline]:
        return [self._sandbox(self.sandbox_port)] if self.sandbox_port else []

    def _sandbox_settings(self) -> list[ProcessSpec | Inline]:
        """What points everything that starts later at the sandbox."""
        if not self.sandbox_port:
            return []
        return [Inline("sandbox settings", lambda: self.extra.update(self.on_sandbox()), needs=[_SANDBOX])]

    def _sandbox(self, port: int) -> ProcessSpec:
        state = self.settings.home / _SANDBOX / "state.sqlite"
        state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        ready = self.settings.home / "run" / "sandbox.ready"
        argv = [sys.executable, "-m", "autorepost_app.sandbox", "--port", str(port), "--state", str(state)]

        def start() -> Mapping[str, str]:
            ready.unlink(missing_ok=True)  # an earlier one's
            return environment()

        return ProcessSpec(_SANDBOX, [*argv, "--ready-file", str(ready)], env=start, ready=ready.exists, wait=False)

    def _prepare_dagster(self) -> None:
        """The pipelines' own business, so in a process of theirs. The tables are made by whoever opens them first."""
        argv = [sys.executable, "-m", "autorepost_pipelines.prepare", str(self.code_socket), self.settings.store]
        done = subprocess.run(argv, env=self.environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError("Dagster's home could not be prepared.", remedy=done.stderr.strip()[-2000:])

    @property
    def code_socket(self) -> Path:
        """In the home, or where its path would be too long for a socket, in a folder of the temp directory."""
        inside = self.settings.home / "run" / "code.sock"
        if len(str(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        name = hashlib.sha256(str(inside).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"autorepost-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        there = folder.lstat()
        if there.st_uid != os.getuid() or there.st_mode & 0o077:
            raise UserError(
                f"{folder} belongs to somebody else.",
                remedy="Choose a shorter AUTOREPOST_HOME, so that no folder outside of it is needed.",
                field="AUTOREPOST_HOME",
            )
        return folder / "code.sock"

    def _code_server(self) -> ProcessSpec:
        argv = [sys.executable, "-m", "dagster", "api", "grpc", "--module-name", "autorepost_pipelines.definitions"]
        argv += [
            "--socket",
            str(self.code_socket),
            "--location-name",
            "autorepost",
            "--max-workers",
            str(_CODE_THREADS),
            "--use-python-environment-entry-point",
            *self.dagster_log_format,
        ]
        # the daemon and the web server import for as long as it does, and then wait for its socket themselves
        return ProcessSpec(
            "code-server", argv, env=self._start_code_server, ready=self.code_socket.exists, cwd=ROOT, wait=False
        )

    def _start_code_server(self) -> Mapping[str, str]:
        """A socket that a killed server left would look ready before anybody listens."""
        self.code_socket.unlink(missing_ok=True)
        return self.environment()

    def _daemon(self) -> ProcessSpec:
        argv = [sys.executable, "-m", "autorepost_pipelines", "run", "--workspace", str(self.workspace)]
        argv += self.dagster_log_format
        return ProcessSpec("daemon", argv, env=self.environment, cwd=ROOT, grace_seconds=20)

    def _web(self) -> ProcessSpec:
        argv = [sys.executable, "-m", "autorepost_app.web", str(self.workspace)]
        ready = f"http://{self.settings.host}:{self.settings.port}/readyz"
        return ProcessSpec("web", argv, env=self.environment, ready=ready, cwd=ROOT, grace_seconds=15)


def make_home(home: Path) -> None:
    """Raises UserError where the home cannot be made or is no folder."""
    try:
        for each in (*reversed(home.parents), home):  # what is made above it is as private: it may be a home as well
            each.mkdir(exist_ok=True, mode=0o700)
        home.chmod(0o700)
        (home / "run").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(
            f"{home} cannot be used: {error.strerror}.",
            remedy="Choose a folder that this user may write to with AUTOREPOST_HOME.",
            field="AUTOREPOST_HOME",
        ) from error


def embedded(settings: Settings, *, die_with_parent: bool = False) -> EmbeddedPostgres:
    return EmbeddedPostgres(settings.home / "postgres", die_with_parent=die_with_parent)


def start_embedded(server: EmbeddedPostgres) -> str:
    """Starts it, makes the database if it is not there, and returns the owner's address of it."""
    server.start()
    create_database(server.admin_url(), DATABASE_NAME)
    return server.admin_url(DATABASE_NAME)


def migrate_only(settings: Settings, *, check: bool = False) -> None:
    """Leaves the database as it found it: running or not. Raises UserError where `check` finds a difference."""
    with _owner_address(settings) as owner:
        prepare(settings.home, owner)
        found = differences(owner) if check else []
    if found:
        raise UserError("The migrated tables are not what the models say.", remedy="\n  ".join(found))


def say_restored(settings: Settings, lost_since: datetime | None) -> int:
    """How many publications this concerns. The database is left as it was found: running or not.

    Raises UserError for a home that has none.
    """
    if settings.database_url is None and not (settings.home / "postgres").exists():
        raise UserError(
            f"There is no database in {settings.home}.", remedy="Set AUTOREPOST_HOME to the home that was restored."
        )
    with _owner_address(settings) as owner:
        prepare(settings.home, owner)
        house = open_house(settings)
        try:
            return restores.declare(house, SystemScope("operator"), lost_since=lost_since)
        finally:
            close_house(house)


@contextmanager
def _owner_address(settings: Settings) -> Iterator[str]:
    make_home(settings.home)
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with embedded(settings) as server:
        yield start_embedded(server)


def current_settings(extra: Mapping[str, str] | None = None) -> Settings:
    return settings_from({**os.environ, **(extra or {})})
