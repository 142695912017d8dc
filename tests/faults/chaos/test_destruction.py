"""What a chaos run destroys with: the plan that the seed decides, the platforms' book of faults, the relay."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from chaos.plan import SUPERVISED, make_plan
from chaos.relay import Relay
from chaos.trouble import CALLS, SHARE, Trouble

from autorepost_app.sandbox.faults import FAULTS, Fault

HANDLES = {key: [f"{key}-a", f"{key}-b"] for key in CALLS}


def test_the_same_seed_plans_the_same_destruction_and_another_seed_another() -> None:
    assert make_plan(7, 600) == make_plan(7, 600)
    assert [each.at_seconds for each in make_plan(7, 600)] != [each.at_seconds for each in make_plan(8, 600)]


def test_run_workers_suffer_most_and_no_part_so_often_that_the_product_would_give_up() -> None:
    plan = make_plan(3, 1200)
    counts = Counter(each.what for each in plan)

    assert counts["kill worker"] == max(count for what, count in counts.items() if what.startswith("kill"))
    for part in SUPERVISED:
        times = [each.at_seconds for each in plan if each.what == f"kill {part}"]
        assert min(later - earlier for earlier, later in pairwise(times)) > 60


def test_a_paused_worker_sometimes_sleeps_past_its_lease() -> None:
    pauses = [each.options["seconds"] for each in make_plan(1, 3600) if each.what == "pause worker"]

    assert max(pauses) > 120
    assert min(pauses) < 30


def test_one_call_in_twenty_meets_a_fault_of_every_kind_that_the_sandbox_has() -> None:
    trouble = Trouble(Random(1), HANDLES)
    struck: Counter[str] = Counter()
    book = [Fault.model_validate(each) for each in trouble.begin()]
    calls = 0
    for _ in range(1000):
        for platform in CALLS:
            for call in CALLS[platform]:
                calls += 1
                account = {f"{platform}-{'ab'[calls % 2]}"}
                hit = next((each for each in book if each.matches(platform, (call,), account) and each.strikes()), None)
                struck[hit.fault if hit else ""] += 1
        if (renewed := trouble.renew(each.model_dump(mode="json") for each in book)) is not None:
            book = [Fault.model_validate(each) for each in renewed]

    assert set(struck) - {""} == set(FAULTS)
    assert SHARE * 0.8 < 1 - struck[""] / calls < SHARE * 1.6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """Answers every message with itself, where PostgreSQL would listen."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / ".s.PGSQL.5432"))
        listening.listen()
        threading.Thread(target=_echo, args=(listening,), daemon=True).start()
        yield tmp_path
        listening.shutdown(socket.SHUT_RDWR)


def _echo(listening: socket.socket) -> None:
    with suppress(OSError):
        while True:
            taken, _ = listening.accept()
            threading.Thread(target=_answer, args=(taken,), daemon=True).start()


def _answer(taken: socket.socket) -> None:
    with taken, suppress(OSError):
        while said := taken.recv(1000):
            taken.sendall(said)


@pytest.fixture
def relay(server: Path, tmp_path: Path) -> Iterator[Relay]:
    (tmp_path / "relay").mkdir()
    (tmp_path / "upstream").write_text(str(server))
    with Relay(tmp_path / "relay", tmp_path / "upstream") as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> Iterator[Any]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(relay.folder / ".s.PGSQL.5432"))
        yield client


def ask(client: socket.socket, what: bytes) -> bytes:
    """What comes back; nothing when the connection is gone."""
    try:
        client.sendall(what)
        return client.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        return b""


def test_the_relay_passes_on_what_both_sides_say(client: Any) -> None:
    assert ask(client, b"select 1") == b"select 1"


def test_a_cut_connection_is_gone_at_once(relay: Relay, client: Any) -> None:
    ask(client, b"select 1")

    assert relay.cut(1.0, Random(1)) == 1
    assert ask(client, b"commit") == b""


def test_a_swallowed_answer_was_given_and_never_arrives(relay: Relay, client: Any) -> None:
    ask(client, b"select 1")

    assert relay.swallow(1.0, Random(1)) == 1
    assert ask(client, b"commit") == b""


def test_after_forgiveness_answers_arrive_again(relay: Relay, client: Any) -> None:
    ask(client, b"select 1")
    relay.swallow(1.0, Random(1))

    relay.forgive()

    assert ask(client, b"commit") == b"commit"


def test_a_server_that_is_away_refuses_as_it_would_itself(relay: Relay, server: Path) -> None:
    (server / ".s.PGSQL.5432").unlink()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(relay.folder / ".s.PGSQL.5432"))

        assert ask(client, b"select 1") == b""
