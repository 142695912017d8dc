"""The command, loaded once and forked for each run: what is looked at is the command, not how Python starts.

Reads one run a line, `{"argv", "environ", "out", "err"}`, and answers with its exit code. Each run finds itself under a
guardian already; `tests/e2e` runs the command as it is typed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any, NoReturn

import autorepost_app.cli.demo
import autorepost_app.cli.doctor  # noqa: F401
from autorepost_app.cli.main import main
from autorepost_app.processes.guardian import GUARD_FD


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def run(asked: dict[str, Any]) -> NoReturn:
    for descriptor, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), descriptor)
    guarded, _guardian = os.pipe()
    os.environ.clear()
    os.environ.update(asked["environ"], **{GUARD_FD: str(guarded)})
    code: Any = 1
    try:
        main(asked["argv"])
    except SystemExit as end:
        code = end.code
    except BaseException:  # as the interpreter would
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    serve()
