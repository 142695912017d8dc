"""When is a promise broken, or about to be, and what is whoever it was made to told?

A watch looks for one kind of broken promise. What it finds is an alarm, which lasts for as long as the watch finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Watch(StrEnum):
    """One kind of broken promise."""

    NOT_TRIED = "not_tried"
    OVERDUE = "overdue"
    LEASE_KEPT = "lease_kept"
    READS_LATE = "reads_late"
    SOURCE_STILL = "source_still"
    CLOCKS_APART = "clocks_apart"
    GONE = "gone"
    TWICE = "twice"
    LIVE_UNSAID = "live_unsaid"


NOT_TRIED_AFTER: Final = timedelta(minutes=30)
"""The longest honest reason for a due publication without a lease is that its file is being made: a clip of ten minutes
is encoded in less."""
OVERDUE_AFTER: Final = timedelta(days=1)
"""Our own tries of one publication end after about a day, so that what still waits then waits for something else."""
LEASE_HELD: Final = timedelta(hours=2)
"""The largest file that any platform takes, sent at one megabyte a second, is through in half of that."""
LEASE_UNSWEPT: Final = timedelta(minutes=5)
"""The sweeper looks every few seconds, and a post whose worker died is offered again after two minutes."""
READS_LATE_AFTER: Final = timedelta(minutes=10)
"""As long as a request can be alive: reads that are later than that delay what is published, not only what is known."""
SOURCE_STILL_SPARE: Final = timedelta(minutes=10)
"""On top of the longest turn: a tick may be cut short, and a poll may take a minute."""
SOURCE_STILL_TURNS: Final = 4 / 3
"""As many sources as there are may come to the longest wait at once, which takes one round more than the three."""
SOURCE_FAULTY_AFTER: Final = timedelta(hours=6)
"""Polls that fail are repeated every hour at the latest: this is six refusals in a row, of one account alone."""
CLOCKS_APART_SECONDS: Final = 20.0
"""A lease outlives the send and its exchange by 40 seconds: two machines, each off by half of it, may overlap."""

PAUSE: Final = timedelta(minutes=15)
"""A house that has not looked for so long was off, asleep or choked."""
CATCH_UP: Final = timedelta(minutes=10)
"""So long after a pause nothing new is called broken: what waited meanwhile is being worked on."""

FIRST_CHECK_AFTER: Final = timedelta(hours=1)
"""Platforms' lists lag by minutes; an hour later a miss means something."""
CHECK_EVERY: Final = timedelta(days=1)
CHECKED_FOR: Final = timedelta(days=3)
"""Take-downs for copyright or content come within hours or a day or two; later ones are the creator's own."""
ALARM_KEPT: Final = timedelta(days=14)
"""So long a post that is gone or there twice is looked at again each day; then it is history."""
CHECK_AGAIN: Final = timedelta(hours=1)
"""After a read that failed or that a limit did not allow."""
CHECKS_HELD: Final = timedelta(minutes=10)
"""Nobody else checks a publication for so long after it was taken up; then whoever took it up is dead."""
SPARE_SHARE: Final = 0.25
"""With less than that of any limit left, what is left is for sends."""
REPEATABLE: Final = timedelta(days=30)
"""So old may a failure be that a person had repeated in the time that a restored database forgot."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What tenants read when an alarm begins, and what they can do; `{waits}` is what their publication waits for.

    An empty `text` is told to operators only.
    """

    text: str
    remedy: str


MEANINGS: Final[Mapping[Watch, Meaning]] = {
    Watch.NOT_TRIED: Meaning(
        "Your video was to go on half an hour ago and nobody has worked on it.",
        "You need not do anything: it is not lost, and our operators have been told.",
    ),
    Watch.OVERDUE: Meaning(
        "Your video was to be public a day ago and is not. It waits for: {waits}.",
        "Look at what it waits for; cancel it if it is not wanted any more.",
    ),
    Watch.LEASE_KEPT: Meaning(
        "Work on your video has stopped half-way.",
        "You need not do anything: nothing is sent twice, and our operators have been told.",
    ),
    Watch.READS_LATE: Meaning(
        "Whether your video is live should have been looked up by now.",
        "You need not do anything: nothing is sent before, and our operators have been told.",
    ),
    Watch.SOURCE_STILL: Meaning(
        "This account has not been read for new posts for too long.",
        "Posts are not lost, only late. If it lasts, connect the account again.",
    ),
    Watch.CLOCKS_APART: Meaning("", ""),
    Watch.GONE: Meaning(
        "Your video is no longer listed with what we sent: it was deleted, taken down, or its words were changed.",
        "Look at it on the platform. It is not published again by itself.",
    ),
    Watch.TWICE: Meaning(
        "The account lists another post with the very words of your video.",
        "Look at both on the platform, and delete the one that should not be there.",
    ),
    Watch.LIVE_UNSAID: Meaning(
        "The account lists a post that is your video, though we never published it as far as we know.",
        "Look at it on the platform before you post it yourself.",
    ),
}


def told(watch: Watch, waits: str) -> str:
    """What a tenant reads; empty where it is nothing to them."""
    meaning = MEANINGS[watch]
    return f"{meaning.text} {meaning.remedy}".format(waits=waits.rstrip(".") or "a worker").strip()
