"""A worker process that a test may kill: opens the house by its environment and does what one verb says.

Starts `copies` of itself, which costs one start of Python. Each says `ready` and waits for a byte.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from datetime import datetime, timedelta

from autorepost_app.bootstrap import close_house, open_house, settings_from
from autorepost_app.domain.clock import utc_now
from autorepost_app.domain.errors import PlatformFault
from autorepost_app.domain.identity import SystemScope
from autorepost_app.services import publish, tokens
from autorepost_app.services.house import House
from autorepost_app.services.quotas import SharedMeter

SCOPE = SystemScope("worker")


def moved_now() -> datetime:
    return utc_now() + timedelta(seconds=float(os.environ["MOVED_SECONDS"]))


def send(house: House, publication_id: str) -> str:
    row = publish.publish(house, SCOPE, publication_id, patience_seconds=10.0, progress=lambda _step, _at: None)
    return str(row.state)


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
        say({"send": send, "grant": grant, "count": count}[verb](house, subject))
    close_house(house)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
