"""Do all processes come up, stay up and leave without a trace, whoever is killed?

Each test runs a small product in processes of its own: guardian, supervisor, children, grandchildren.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from autorepost_app.processes import free_port

REPOSITORY = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's setsid program")

# A child with one grandchild in its group, one in a session of its own and one with an empty environment. The
# home's path is an argument of each, so that the tests find them without asking the product.
FAMILY = """
import os, signal, subprocess, sys, time
home, name = sys.argv[1:]
wait = [sys.executable, "-c", "import time; time.sleep(600)", home]
subprocess.Popen(wait)
subprocess.Popen(wait, start_new_session=True)
subprocess.Popen(wait, env={})
open(f"{home}/{name}.up", "w").close()
time.sleep(600)
"""
DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + "/deaf", "w").close()
time.sleep(600)
"""
PRODUCT = """
import os, signal, sys, time, urllib.request
from pathlib import Path
from autorepost_app.processes import *

home, what = Path(sys.argv[1]), sys.argv[2]
if not under_guard():
    raise SystemExit(guard([sys.executable, *sys.argv]))

def child(name, code, **more):
    return ProcessSpec(name, [sys.executable, "-c", code, str(home), name], **more)

def tell(name, state, seconds, why):
    print(name, state, *filter(None, [why]), flush=True)

family = Path(sys.argv[0]).with_name("family.py").read_text()
def families(*names):
    return [child(name, family, ready=(home / f"{name}.up").exists) for name in names]

def main():
    then = None
    exec((home / "scenario.py").read_text(), globals() | {"use": parts.extend, "finish": finish})
    return Supervisor(home, parts, tell).run(*finish)

parts, finish = [], []
try:
    raise SystemExit(main())
except ProcessError as error:
    print("error:", error, flush=True)
    raise SystemExit(1)
"""


class Product:
    """One running product and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def wait_for(self, line: str) -> None:
        assert self.process.stdout is not None
        for spoken in self.process.stdout:
            self.said.append(spoken.strip())
            if self.said[-1] == line:
                return
        raise AssertionError(f"{line!r} was never said, but {self.said}")

    def end(self) -> tuple[int, list[str]]:
        """Its exit code and everything it said from here on."""
        assert self.process.stdout is not None
        rest = self.process.stdout.read().splitlines()
        return self.process.wait(timeout=60), rest

    def supervisor(self) -> int:
        """Not asked of the product: the guardian's only child."""
        [child] = psutil.Process(self.process.pid).children()
        return child.pid


@contextmanager
def kept_running(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(argv, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


Start = Callable[..., Product]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start the product with a scenario: code that calls use([...parts]) and may append to finish."""
    started: list[Product] = []
    folder = home.parent
    (folder / "family.py").write_text(FAMILY)
    (folder / "product.py").write_text(PRODUCT)

    def run(scenario: str, before: tuple[str, ...] = (), stdin: int = subprocess.DEVNULL, home: Path = home) -> Product:
        home.mkdir(exist_ok=True)
        (home / "scenario.py").write_text(scenario)
        argv = [*before, sys.executable, str(folder / "product.py"), str(home), "-"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        started.append(Product(subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment)))
        return started[-1]

    yield run
    for product in started:
        product.process.terminate()
    eventually(lambda: survivors(folder) == [], 15.0)
    for process in survivors(folder):  # only after a failed test
        process.kill()
    for product in started:
        product.process.communicate()


def survivors(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(home) in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def running(start: Start, home: Path) -> Product:
    """Two children with three grandchildren each, all up."""
    product = start('use(families("one", "two"))')
    product.wait_for("two ready")
    # guardian and supervisor, two leaders, six below
    assert eventually(lambda: len(survivors(home)) == 10)
    return product


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_being_asked_to_stop_ends_everything_in_reverse_order(
    running: Product, home: Path, word: signal.Signals
) -> None:
    running.process.send_signal(word)
    code, said = running.end()
    assert (code, said) == (0, ["two stopping", "two stopped", "one stopping", "one stopped"])
    assert survivors(home) == []
    assert (home / "run" / "supervisor.lock").read_text() == ""


@linux
def test_ctrl_c_in_a_terminal_and_closing_the_terminal(start: Start, home: Path) -> None:
    for typed in (b"\x03", None):
        keyboard, terminal = os.openpty()
        product = start('use(families("one"))', before=("setsid", "--ctty", "--wait"), stdin=terminal)
        product.wait_for("one ready")
        os.close(terminal)
        if typed:
            os.write(keyboard, typed)
            assert eventually(lambda: survivors(home) == [])
        os.close(keyboard)
        product.end()
        assert eventually(lambda: survivors(home) == [])


def test_nothing_is_left_when_the_guardian_is_killed(running: Product, home: Path) -> None:
    running.process.kill()
    assert eventually(lambda: survivors(home) == [])
    _, said = running.end()
    assert said[-1] == "one stopped"


def test_nothing_is_left_when_the_supervisor_is_killed(running: Product, home: Path) -> None:
    os.kill(running.supervisor(), signal.SIGKILL)
    assert running.end()[0] == 128 + signal.SIGKILL
    assert survivors(home) == []


def test_what_two_kills_at_once_leave_behind_is_swept_by_the_next_start(
    running: Product, start: Start, home: Path
) -> None:
    supervisor = psutil.Process(running.supervisor())
    running.process.send_signal(signal.SIGSTOP)  # so that neither can act on the other's death
    supervisor.suspend()
    running.process.kill()
    supervisor.kill()
    running.process.wait()
    assert survivors(home)
    left = [process.pid for process in survivors(home)]
    (home / "one.up").unlink()
    start('use(families("one"))').wait_for("one ready")
    assert {process.pid for process in survivors(home)} & set(left) == set()


def test_a_session_number_given_to_a_stranger_is_not_swept(start: Start, home: Path) -> None:
    with kept_running("sleep", "600") as stranger:
        record = {"pid": stranger.pid, "session": stranger.pid, "life": "long ago", "started_at": 0}
        (home / "run").mkdir()
        (home / "run" / "supervisor.lock").write_text(json.dumps(record))
        start('use(families("one"))').wait_for("one ready")
        assert stranger.poll() is None


def test_a_second_start_on_the_same_home_is_refused_in_words(running: Product, start: Start, home: Path) -> None:
    code, said = start('use(families("one"))').end()
    assert code == 1
    assert said[0].startswith(f"error: autorepost is already running on {home} (process {running.supervisor()}, ")
    assert "AUTOREPOST_HOME" in said[0]
    assert len(survivors(home)) == 10


def test_a_start_during_an_ending_waits_for_its_end(start: Start, home: Path) -> None:
    slow = "import signal, time; signal.signal(15, lambda *_: (time.sleep(1.5), exit())); time.sleep(600)"
    first = start(f'use([child("slow", {slow!r}, ready=lambda: time.sleep(0.3) or True)])')
    first.wait_for("slow ready")
    first.process.send_signal(signal.SIGINT)
    first.wait_for("slow stopping")
    second = start('use(families("one"))')
    second.wait_for("one ready")
    assert first.end()[0] == 0


def test_a_crashed_child_comes_back_with_its_workers_replaced(start: Start, home: Path) -> None:
    product = start('use(families("one"))')
    product.wait_for("one ready")
    assert eventually(lambda: len(survivors(home)) == 6)
    before = survivors(home)
    leader = next(process for process in before if process.cmdline()[-1] == "one")
    leader.kill()
    product.wait_for("one ready")
    assert product.said[-4:] == ["one crashed killed by SIGKILL", "one restarting", "one starting", "one ready"]
    again = next(process for process in survivors(home) if process.cmdline()[-1] == "one")
    assert again.pid != leader.pid


def test_a_child_that_keeps_crashing_ends_the_product_with_its_last_words(start: Start, home: Path) -> None:
    code = "import time; time.sleep(0.05); raise SystemExit('the disk ate my homework')"
    product = start(f'use([*families("one"), child("web", {code!r}, max_restarts=1)])')
    status, said = product.end()
    assert status == 1
    assert said.count("web crashed exit code 1, its log ends with: the disk ate my homework") == 2
    assert "error: web does not stay up (exit code 1). Its log" in "\n".join(said)
    assert said[-1] == "the disk ate my homework"
    assert survivors(home) == []


def test_a_child_that_refuses_to_stop_is_killed_after_its_grace(start: Start, home: Path) -> None:
    product = start(f'use([child("deaf", {DEAF!r}, ready=(home / "deaf").exists, grace_seconds=0.5)])')
    product.wait_for("deaf ready")
    product.process.send_signal(signal.SIGTERM)
    assert product.end() == (0, ["deaf stopping", "deaf killed"])
    assert survivors(home) == []


def test_a_child_that_refuses_to_stop_is_gone_before_the_part_that_it_leans_on_stops(start: Start, home: Path) -> None:
    """A database that stops under a program that still writes: the sweep at the end would come too late."""
    scenario = f"""
import psutil
def look():
    alive = [each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE]
    print("below are", [each.cmdline()[-1] for each in alive], flush=True)
use([Inline("database", lambda: None, stop=look),
     child("deaf", {DEAF!r}, ready=(home / "deaf").exists, grace_seconds=0.2)])
"""
    product = start(scenario)
    product.wait_for("deaf ready")
    product.process.send_signal(signal.SIGTERM)
    _, said = product.end()
    assert said == ["deaf stopping", "deaf killed", "database stopping", "below are []", "database stopped"]


def test_a_second_ctrl_c_does_not_wait_for_the_grace(start: Start, home: Path) -> None:
    product = start(f'use([child("deaf", {DEAF!r}, ready=(home / "deaf").exists, grace_seconds=600)])')
    product.wait_for("deaf ready")
    product.process.send_signal(signal.SIGINT)
    product.wait_for("deaf stopping")
    product.process.send_signal(signal.SIGINT)
    assert product.end() == (0, ["deaf killed"])
    assert survivors(home) == []


def test_ctrl_c_during_the_start_stops_what_is_up(start: Start, home: Path) -> None:
    product = start('use([*families("one"), child("never", "import time; time.sleep(600)", ready=lambda: False)])')
    product.wait_for("never starting")
    product.process.send_signal(signal.SIGINT)
    code, said = product.end()
    assert (code, said[-1]) == (0, "one stopped")
    assert survivors(home) == []


def test_a_child_that_dies_before_it_is_ready_is_reported_with_its_log(start: Start, home: Path) -> None:
    product = start('use([child("web", "raise SystemExit(\'no such table\')", ready=lambda: False)])')
    code, said = product.end()
    assert code == 1
    assert f"error: web did not start (exit code 1). Its log {home / 'logs' / 'web.log'} ends with:" in said
    assert said[-1] == "no such table"


def test_a_child_that_does_not_become_ready_in_time_is_reported(start: Start, home: Path) -> None:
    late = 'child("web", "import time; time.sleep(600)", ready="http://127.0.0.1:1/", ready_timeout_seconds=1.3)'
    code, said = start(f"use([{late}])").end()
    assert code == 1
    assert said[:2] == ["web starting", "web starting"]
    assert any(line.startswith("error: web did not start") for line in said)
    assert survivors(home) == []


def test_a_missing_program_is_reported(start: Start) -> None:
    code, said = start('use([ProcessSpec("web", ["/no/such/program"], ready=lambda: False)])').end()
    assert code == 1
    assert "/no/such/program" in "\n".join(said)


def test_parts_come_up_in_order_and_see_what_earlier_ones_made(start: Start, home: Path) -> None:
    scenario = """
port = free_port()
made = {}
server = f'''
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Answer.asked += 1
        self.send_response(200 if Answer.asked > 2 else 503)
        if self.headers["Autorepost-Start"] == os.environ["SUPERVISED_AUTOREPOST_START"]:
            self.send_header("Autorepost-Start", self.headers["Autorepost-Start"])
        self.end_headers()
        self.wfile.write(os.environ.get("SECRET", "none").encode())
http.server.HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
'''
def read():
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        print("answer", answer.read().decode(), flush=True)
    return 7
use([Inline("schema", lambda: made.update(SECRET="42")),
     child("web", server, env=lambda: made, ready=f"http://127.0.0.1:{port}/")])
finish.append(read)
"""
    code, said = start(scenario).end()
    up = ["schema starting", "schema ready", "web starting", "web ready", "answer 42"]
    down = ["web stopping", "web stopped", "schema stopping", "schema stopped"]
    assert (code, said) == (7, [*up, *down])
    assert '"GET / HTTP/1.1" 503' in (home / "logs" / "web.log").read_text()


def test_a_part_nobody_waits_for_starts_beside_the_next_and_is_ready_before_the_work(start: Start, home: Path) -> None:
    served = "open(sys.argv[1] + '/served', 'w').close()"
    scenario = f"""
waiting = "import os, sys, time; [time.sleep(0.02) for _ in range(3000) if not os.path.exists(sys.argv[1] + '/up')];"
use([child("code", waiting + {served!r} + "; time.sleep(600)", ready=(home / "served").exists, wait=False),
     child("web", "import sys, time; open(sys.argv[1] + '/up', 'w').close(); time.sleep(600)")])
finish.append(lambda: 7 if (home / "served").exists() else 1)
"""
    code, said = start(scenario).end()
    assert (code, said[:4]) == (7, ["code starting", "web starting", "web ready", "code ready"])


def test_a_part_starts_only_when_those_that_it_needs_are_ready(start: Start, home: Path) -> None:
    """The second starts while the first is still at it, the third does not."""
    scenario = """
slow = "import os, sys, time; [time.sleep(0.02) for _ in range(3000) if not os.path.exists(sys.argv[1] + '/done')];"
use([child("slow", slow + "open(sys.argv[1] + '/up', 'w').close(); time.sleep(600)",
           ready=(home / "up").exists, wait=False),
     Inline("beside", lambda: (home / "done").touch()),
     Inline("after", lambda: print("slow is up:", (home / "up").exists(), flush=True), needs=["slow"])])
finish.append(lambda: 7)
"""
    code, said = start(scenario).end()
    up = ["slow starting", "beside starting", "beside ready", "slow ready", "after starting", "slow is up: True"]
    assert (code, said[:6]) == (7, up)


def test_a_part_nobody_waits_for_that_dies_is_the_one_reported(start: Start) -> None:
    scenario = """
use([child("code", "raise SystemExit('no such module')", ready=lambda: False, wait=False),
     child("web", "import time; time.sleep(600)", ready=lambda: False)])
"""
    code, said = start(scenario).end()
    assert (code, said[-1]) == (1, "no such module")
    assert any(line.startswith("error: code did not start") for line in said)


def test_an_error_in_the_callers_own_work_stops_everything_and_surfaces(start: Start, home: Path) -> None:
    scenario = """
def fail():
    raise ProcessError("nothing was published")
use(families("one")); finish.append(fail)
"""
    code, said = start(scenario).end()
    assert (code, said[-1]) == (1, "error: nothing was published")
    assert survivors(home) == []


def test_work_cut_short_is_not_reported_as_success(start: Start) -> None:
    product = start('use(families("one")); finish.append(lambda: print("working", flush=True) or time.sleep(600))')
    product.wait_for("working")
    product.process.send_signal(signal.SIGINT)
    assert product.end()[0] == 128 + signal.SIGINT


@pytest.mark.parametrize("victim", ["guardian", "supervisor", "nobody"])
def test_the_embedded_database_ends_with_the_rest(start: Start, home: Path, victim: str) -> None:
    scenario = """
from autorepost_app.persistence.server import EmbeddedPostgres
server = EmbeddedPostgres(home / "postgres", die_with_parent=True)
client = "import psycopg, sys, time; c = psycopg.connect(sys.argv[3]); open(sys.argv[1] + '/up', 'w'); time.sleep(600)"
def connect():
    import subprocess
    subprocess.Popen([sys.executable, "-c", client, str(home), "x", server.address().url(None)])
use([Inline("database", server.start, server.stop, server.is_running), Inline("client", connect)])
"""
    product = start(scenario)
    product.wait_for("client ready")
    assert eventually((home / "up").exists)
    database = psutil.Process(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))
    backends = database.children(recursive=True)
    if victim == "nobody":
        product.process.send_signal(signal.SIGINT)
    else:
        os.kill(product.supervisor() if victim == "supervisor" else product.process.pid, signal.SIGKILL)
    assert eventually(lambda: survivors(home) == [])
    gone = lambda process: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE  # noqa: E731
    assert eventually(lambda: all(gone(process) for process in (database, *backends)))
    assert (home / "postgres" / "server.log").read_text().rstrip().endswith("database system is shut down")


def test_a_crashed_database_is_started_again_and_its_own_log_is_quoted(start: Start, home: Path) -> None:
    scenario = """
from autorepost_app.persistence.server import EmbeddedPostgres
server = EmbeddedPostgres(home / "postgres", durable=False)
log = home / "postgres" / "server.log"
use([Inline("database", server.start, server.stop, server.is_running, log_file=log)])
"""
    product = start(scenario)
    product.wait_for("database ready")
    os.kill(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    product.wait_for("database ready")
    assert product.said[-4].startswith("database crashed its log ends with: ")
    assert product.said[-3:] == ["database restarting", "database starting", "database ready"]


# ---------------------------------------------------------------------------------------------- whose server answers?

SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if self.headers["Autorepost-Start"] == os.environ["SUPERVISED_AUTOREPOST_START"]:
            self.send_header("Autorepost-Start", self.headers["Autorepost-Start"])
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
"""


def serving(port: int, **more: object) -> str:
    """A scenario with one web server of that port."""
    options = "".join(f", {name}={value!r}" for name, value in more.items())
    return f'use([child("web", {SERVER.format(port=port)!r}, ready="http://127.0.0.1:{port}/"{options})])'


def said_of_web(said: list[str]) -> str:
    """The line with which the product ends because of it."""
    return next(line for line in said if line.startswith("error: web"))


def test_two_products_on_one_port_and_the_second_says_why_it_cannot_stay(start: Start, home: Path) -> None:
    """The first answers on the port while the second's server is still on its way to find it taken."""
    port = free_port()
    first = start(serving(port))
    first.wait_for("web ready")
    second = start(serving(port), home=home.with_name("other"))
    code, said = second.end()
    assert code == 1
    assert "web ready" not in said
    assert said_of_web(said).startswith("error: web did not start (exit code 1). Its log")
    assert said[-1] == "OSError: [Errno 98] Address already in use"
    assert first.process.poll() is None


@linux
def test_a_product_whose_port_is_answered_by_another_is_never_ready(start: Start, home: Path) -> None:
    """Its own program lives and is silent, as one that imports for long; the stranger says 200 to everything."""
    first = start(serving(port := free_port()))
    first.wait_for("web ready")
    silent = f'child("web", "import time; time.sleep(600)", ready="http://127.0.0.1:{port}/", ready_timeout_seconds=1)'
    code, said = start(f"use([{silent}])", home=home.with_name("other")).end()
    assert (code, said[0]) == (1, "web starting")
    assert "web ready" not in said
    assert any(
        line.startswith("error: web did not start (not ready within 1 s). It wrote nothing into its log")
        for line in said
    )


def test_a_program_that_hangs_at_each_new_start_is_given_up_like_one_that_crashes(start: Start, home: Path) -> None:
    code = """
import pathlib, sys, time
up, again = (pathlib.Path(sys.argv[1], name) for name in ("up", "again"))
if again.exists():
    print("stuck", flush=True)
    time.sleep(600)
again.touch(); up.touch(); time.sleep(0.2); up.unlink(); raise SystemExit(3)
"""
    web = f'child("web", {code!r}, ready=(home / "up").exists, ready_timeout_seconds=1, max_restarts=1)'
    product = start(f"use([{web}])")
    status, said = product.end()
    assert status == 1
    assert "web crashed exit code 3" in said
    assert "web crashed not ready within 1 s, its log ends with: stuck" in said
    assert "error: web does not stay up (not ready within 1 s). Its log" in "\n".join(said)


def test_what_an_earlier_life_wrote_is_not_given_as_the_reason(start: Start, home: Path) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "web.log").write_text("the disk is full\n")
    code, said = start('use([child("web", "raise SystemExit(4)", ready=lambda: False)])').end()
    assert code == 1
    assert any(
        line.startswith("error: web did not start (exit code 4). It wrote nothing into its log") for line in said
    )
    assert "the disk is full" not in said
