"""A worker process that a test may kill: opens the house by its environment and does what one verb says.

Starts `copies` of itself, which costs one start of Python. Each says `ready` and waits for a byte. Instead of a verb,
`nursery` makes it read orders, a line of JSON each: every one is carried out by a child of its own, and the child kills
itself with SIGKILL at the crash point that the order names.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg.types.numpy  # noqa: F401  # the driver loads it with the first connection
from sqlalchemy import create_engine
from sqlalchemy.orm import configure_mappers

from autorepost_app.bootstrap import close_house, find_platforms, open_house, settings_from
from autorepost_app.domain import crash_points
from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import SendTimes
from autorepost_app.media.binaries import resolve_binaries
from autorepost_app.platform_kit.http import tls
from autorepost_app.services import detect, fetch, prepare, publish, reconcile, tokens
from autorepost_app.services.house import House
from autorepost_app.services.quotas import SharedMeter

SCOPE = SystemScope("worker")


def moved_now() -> datetime:
    return utc_now() + timedelta(seconds=float(os.environ["MOVED_SECONDS"]))


def quiet(_step: str, _fraction: float) -> None:
    """Nobody watches."""


def find(house: House, _nothing: str) -> int:
    return len(detect.poll_due(house, SCOPE, limit=100))


def make_ready(house: House, post_id: str) -> str:
    fetch.fetch(house, SCOPE, post_id, quiet)
    prepare.prepare(house, SCOPE, post_id, quiet)
    return "done"


def send(house: House, publication_id: str, patience_seconds: float = 10.0) -> str:
    return str(publish.publish(house, SCOPE, publication_id, patience_seconds=patience_seconds, progress=quiet).state)


def send_a_step(house: House, publication_id: str) -> str:
    return send(house, publication_id, patience_seconds=0.0)


def sweep(house: House, _nothing: str) -> int:
    return reconcile.sweep(house, SCOPE)


def read(house: House, publication_id: str) -> str:
    return str(reconcile.reconcile(house, SCOPE, publication_id).state)


def grant(house: House, connection_id: str) -> str:
    """Which token it would use, told without telling it."""
    token = tokens.grant_for(house, SCOPE, connection_id).access_token
    return hashlib.sha256(token.encode()).hexdigest()


def count(house: House, wanted: str) -> int:
    """How many of so many calls are let through."""
    platform, call, account, times = wanted.split()
    meter, through = SharedMeter(house.db, house.platforms.manifest(platform), house.clock), 0
    for _ in range(int(times)):
        with suppress(PlatformFault):
            meter.reserve(call, account)
            through += 1
    return through


VERBS = {
    "find": find,
    "make ready": make_ready,
    "send": send,
    "send a step": send_a_step,
    "sweep": sweep,
    "read": read,
    "grant": grant,
    "count": count,
}


def dies_at(point: str, time: int, tell: int) -> Callable[[str], None]:
    """Listens for crash points: tells of each time at `point`, and kills this process at the `time`-th."""
    left = time

    def listen(reached: str) -> None:
        nonlocal left
        if reached != point:
            return
        os.write(tell, b".")
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return listen


def carry_out(order: dict[str, Any], tell: int) -> None:
    os.environ.update(order["environ"])
    crash_points.listen(dies_at(order["point"], order["time"], tell))
    house = open_house(settings_from(os.environ), clock=moved_now)
    VERBS[order["verb"]](replace(house, times=SendTimes(**order["times"])), order["subject"])
    close_house(house)


def warm() -> None:
    """What every child would otherwise load again. It opens nothing: no connection is carried over a fork."""
    configure_mappers()
    create_engine("postgresql+psycopg://").dispose()
    tls()
    find_platforms()
    settings = settings_from({})
    resolve_binaries(settings.ffmpeg_bin, settings.ffprobe_bin)
    gc.freeze()


def nursery() -> None:
    """One child an order. Says of each how it ended, as `os.waitpid` puts it, and how often it came to its point."""
    warm()
    say("ready")
    for line in sys.stdin:
        heard, tell = os.pipe()
        child = os.fork()
        if child == 0:
            carry_out(json.loads(line), tell)
            os._exit(0)
        os.close(tell)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(heard, "rb") as told:
            say(f"{status} {len(told.read())}")


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(copies: str, verb: str, *subjects: str) -> None:
    settings = settings_from(os.environ)
    alone = int(copies) - 1
    children = []
    while len(children) < alone:
        child = os.fork()
        if child == 0:
            children = []
            break
        children.append(child)
    house = open_house(settings, clock=moved_now)
    house.db.ping()
    say("ready")
    os.read(0, 1)
    for subject in subjects:
        say(VERBS[verb](house, subject))
    close_house(house)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["nursery"]:
        nursery()
    else:
        main(*sys.argv[1:])
