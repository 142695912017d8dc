"""Does the one command come up, say what is wrong, and leave nothing behind, however it ends?"""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from autorepost_app.persistence.server import EmbeddedPostgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_one_command_publishes_leaves_nothing_and_does_so_again(start: Callable[..., Any]) -> None:
    for _ in (1, 2):
        product = start("demo", "--once")
        assert product.ended() == 0, product.text
        assert product.processes() == []
        assert len(re.findall(r"^\w+ +[\d.]+ +[\d.]+ +[\d.]+ +published *$", product.text, re.MULTILINE)) == 3
        assert len(re.findall(r"^  \w+ +http://\S+$", product.text, re.MULTILINE)) == 4


def test_ctrl_c_ends_everything_and_a_killed_terminal_too(start: Callable[..., Any], eventually: Any) -> None:
    product = start("demo")
    product.wait_for("Ctrl-C stops everything", within_seconds=170)
    assert len(product.live()["x"]) == 1
    platforms = {**product.control("GET", "/hosts"), **product.control("GET", "/apps")}
    product.process.send_signal(signal.SIGINT)
    assert product.ended(60) == 0
    assert product.processes() == []
    last_words = f"Stopping ...\nStopped. Database, files and logs are kept in {product.home}; the next start goes on."
    assert product.text.endswith(last_words)

    killed = start("up")
    killed.wait_for("Ctrl-C stops everything")
    assert "none is set up, so no post can be found" in killed.text
    second = start("up", on_port=killed.port + 2)
    assert second.ended(60) == 1
    assert "already running on" in second.text
    assert killed.process.poll() is None, "two on one home do not meet"
    killed.process.kill()
    eventually(lambda: killed.processes() == [], within_seconds=60)

    _goes_on_when_the_platforms_are_back(start, eventually, {f"AUTOREPOST_{k}": str(v) for k, v in platforms.items()})


def _goes_on_when_the_platforms_are_back(start: Any, eventually: Any, platforms: dict[str, str]) -> None:
    """The demo's accounts are connected, and nobody is there to answer: its platforms come only later."""
    again = start("up", settings=platforms)
    again.wait_for("Ctrl-C stops everything")
    assert "TikTok hosts: no answer from" in again.text
    assert "Posts wait until it answers." in again.text
    assert httpx.get(f"{again.url}/readyz").json() == {"database": "ready", "store": "ready"}

    state = again.home / "sandbox" / "state.sqlite"
    sandbox = start("sandbox", "--port", str(again.port + 1), "--state", str(state))
    eventually(lambda: _answers(f"{again.sandbox_url}/_sandbox/clock"))
    again.post("after the dark")
    _until_live_everywhere(again, eventually, "after the dark")
    assert sandbox.process.poll() is None


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.ConnectError:
        return False


def _until_live_everywhere(product: Any, eventually: Any, words: str) -> None:
    """A source that failed is left alone for a while, which nobody here has to sit out."""
    with (
        EmbeddedPostgres(product.home / "postgres") as joined,
        psycopg.connect(joined.address("autorepost").url(None), autocommit=True) as rows,
    ):

        def is_live() -> bool:
            rows.execute("update connections set poll_not_before_at = null")
            live = {key: sum(words in text for text in said) for key, said in product.live().items()}
            return live == dict.fromkeys(("instagram", "x", "youtube"), 1)

        eventually(is_live, within_seconds=150)


def test_whatever_is_killed_while_it_starts_the_next_start_works(start: Callable[..., Any], eventually: Any) -> None:
    product = start("demo")
    product.wait_for("sandbox settings")
    for each in product.processes():
        if "postgres" not in each.name():
            _kill(each)
    eventually(lambda: product.process.poll() is not None)
    eventually(lambda: product.processes() == [], within_seconds=60)
    assert start("demo", "--once").ended() == 0


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def test_a_port_in_use_is_said_before_anything_starts(start: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        product = start("up", on_port=port)
        assert product.ended(30) == 1
        assert f"Port {port} on 127.0.0.1 is already in use" in product.text
        assert "AUTOREPOST_PORT=" in product.text
    assert not (tmp_path / "home" / "postgres").exists()


class Welcoming(BaseHTTPRequestHandler):
    """Says yes to everything, as the web server of another product would to our question whether it is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """It is quiet."""


def test_a_port_that_somebody_takes_while_it_starts_is_said_and_ends_it(start: Callable[..., Any]) -> None:
    """As two starts in one second do to each other: both found it free."""
    product = start("up")
    product.wait_for("database")
    with ThreadingHTTPServer(("127.0.0.1", product.port), Welcoming) as stranger:
        answering = threading.Thread(target=stranger.serve_forever)
        answering.start()
        try:
            assert product.ended(120) == 1
        finally:
            stranger.shutdown()
            answering.join()
    assert not re.search(r"^  web +ready", product.text, re.MULTILINE)
    assert f"Port {product.port} on 127.0.0.1 is already in use" in product.text
    assert "web did not start (exit code " in product.text
    assert "starts again" not in product.text
    assert product.processes() == []


def test_a_home_that_is_a_file_is_said_in_words(start: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine")
    product = start("up")
    assert product.ended(30) == 1
    assert f"{tmp_path / 'home'} cannot be used" in product.text
    assert "Traceback" not in product.text
    assert (tmp_path / "home").read_text() == "mine"


def test_a_database_of_another_major_release_is_left_alone(start: Callable[..., Any], tmp_path: Path) -> None:
    first = start("migrate")
    assert first.ended(60) == 0, first.text
    version = _version_file(tmp_path)
    version.write_text("16\n")
    product = start("up")
    assert product.ended(30) == 1
    assert "16" in product.text
    assert "18" in product.text
    assert "Traceback" not in product.text
    assert version.read_text() == "16\n"


def _version_file(folder: Path) -> Path:
    """The one at the top of the data folder; each database below has one of its own."""
    return min(folder.rglob("PG_VERSION"), key=lambda path: len(path.parts))
