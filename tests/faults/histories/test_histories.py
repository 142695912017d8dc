"""Whatever happens, in whatever order: is each video live at most once, and is every promise accounted for?

A history is a row of steps that a machine draws: a creator posts and edits, workers take publications forward and die,
sleep or lose the database in the middle, platforms break in every way the sandbox knows, people decide, time passes.
After each step the publications are held against the platforms' own ledgers; at the end everything heals, and all of
it must come to rest. A history that fails is told in sentences.

The suite plays a few histories, always the same; `--faults` plays hundreds of new ones. A failure says with which
HISTORIES_SEED in the environment the same ones are played again; HISTORIES says how many.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, rule
from sqlalchemy import select

from autorepost_app.domain.connections import ConnectionStatus
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.publications import FINAL, UNSENT, SendTimes, State
from autorepost_app.persistence.models import Connection, Post, Publication, Rule
from autorepost_app.services import connect, fetch, people, prepare, publish, reconcile, rules

FEW, MANY = (14, 25), (500, 60)
"""How many histories of how many steps: always the same ones in the suite, new ones with --faults."""
SEED = 20261123

DESTINATIONS = ("instagram", "x", "youtube")
COMMITS = {"instagram": "media_publish", "x": "tweets.create", "youtube": "insert.last"}
READS = [
    ("instagram", "container.status"),
    ("instagram", "media.list"),
    ("x", "timeline"),
    ("youtube", "session.query"),
    ("youtube", "playlistItems.list"),
]
STAGES = [
    ("instagram", "container.create"),
    ("x", "upload.append"),
    ("x", "upload.finalize"),
    ("youtube", "session.start"),
    ("youtube", "session.put"),
]
AT_THE_SEND: dict[str, dict[str, Any]] = {
    "refuse": {},
    "reset_before_body": {},
    "reset_mid_body": {"bytes": 20},
    "reset_after_body": {},
    "commit_then_reset": {},
    "commit_then_500": {},
    "commit_late": {"seconds": 300},
    "client_error_although_done": {},
    "ok_without_id": {},
    "rate_limited": {"seconds": 120},
    "quota_used_up": {},
    "read_error": {},
    "slow": {"seconds": 0.3, "after_work": True},
    "token_revoked": {},
}
BEFORE_IT = ("refuse", "reset_mid_body", "commit_then_reset", "read_error", "processing_failed", "token_revoked")
STAGES_AND_FAULTS = [
    (*where, fault)
    for where in STAGES
    for fault in BEFORE_IT
    # YouTube looks at a video only once it is a video: what it then makes of it is no matter of the send
    if (where[0], fault) != ("youtube", "processing_failed")
]
AFTER_IT: dict[str, dict[str, Any]] = {
    "read_error": {"count": 3},
    "read_lag": {"seconds": 900, "count": 3},
    "refuse": {"count": 2},
    "token_revoked": {},
}
WAITS = (61, 121, 700, 3700, 6 * 3600, 25 * 3600)
SYSTEM = SystemScope("histories")
AT_REST = FINAL | {State.NEEDS_REVIEW}


@dataclass(frozen=True)
class Mishap:
    """What befalls a worker at the `number`-th moment of a `kind`: it dies, loses the database, or sleeps so long."""

    kind: str
    number: int
    sleeps_seconds: int = 0
    database_dies: bool = False

    @property
    def words(self) -> str:
        if not self.sleeps_seconds:
            return "loses the database" if self.database_dies else "dies"
        return f"sleeps for {self.sleeps_seconds} s" + (" while the database restarts" if self.database_dies else "")


calls = st.one_of(
    st.tuples(st.sampled_from(["leaves", "answered"]), st.integers(1, 5)),
    st.tuples(st.sampled_from(["out", "through"]), st.just(1)),
)
commits = st.tuples(st.sampled_from(["commits", "committed"]), st.integers(2, 24))
naps = st.tuples(st.sampled_from([30, 130, 900, 7200, 90_000]), st.sampled_from([False] * 9 + [True]))
falling_asleep = st.builds(lambda moment, nap: Mishap(*moment, *nap), calls, naps)
dying = st.builds(lambda moment: Mishap(*moment), calls | commits)
losing_the_database = st.builds(lambda moment: Mishap(*moment, database_dies=True), commits)
at_the_send = st.sampled_from(sorted(AT_THE_SEND))
mishaps = st.one_of(st.none(), dying, falling_asleep, losing_the_database)


def step(weight: int, **drawn: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """One kind of step; how often it is drawn beside the others, and what with."""

    def marked(function: Any) -> Any:
        function.ways = [st.tuples(st.just(function.__name__), st.fixed_dictionaries(drawn))] * weight
        return function

    return marked


def told(step: Callable[..., Collection[str] | None]) -> Callable[..., None]:
    """A step says which publications it may have touched, by id; None for any. Then the truth is looked at."""

    @wraps(step)
    def play(self: Histories, **drawn: Any) -> None:
        try:
            self.truth.look(step(self, **drawn))
        except Exception as error:
            self.is_over = True
            error.add_note("\nThe history:\n" + "\n".join(self.story))
            raise

    return play


class Histories(RuleBasedStateMachine):
    """One creator with an account at every platform, her house with two workers, and a second tenant to come."""

    def __init__(self, lab: Any) -> None:
        super().__init__()
        self.lab = lab
        self.world = lab.fresh()
        self.worlds = [self.world]
        self.truth = lab.truth(self.world)
        self.started_at = self.world.clock()
        self.world.ready_made()
        self.rule_ids = [self._rule_of(self.world)]
        self.story: list[str] = []
        self.posts: list[Any] = []
        self.hurried = False
        self.is_over = False

    # ------------------------------------------------------------------------------------------------ the creator

    @initialize(number=st.integers(1, 2), prepared=st.sampled_from([True, True, False]))
    @told
    def begins(self, number: int, prepared: bool) -> None:
        for _ in range(number):
            self._post(again=False)
        self.world.detect()
        if prepared:
            self._bring_files()
        self.tell(f"{number} posts were found" + (" and prepared." if prepared else "."))

    @step(2, again=st.booleans())
    @told
    def creator_posts(self, again: bool) -> Collection[str]:
        if len(self.posts) < 4:
            self.tell(f"The creator posts “{self._post(again)}”.")
        return ()

    @step(1, which=st.integers(0, 3))
    @told
    def creator_edits(self, which: int) -> Collection[str]:
        post = self.posts[which % len(self.posts)]
        words = self.truth.posted[post["id"]]
        self.world.sandbox.change(post, description=f"{words} with other words #edited")
        self.tell(f"The creator edits “{words}”.")
        return ()

    def _post(self, again: bool) -> str:
        words = self.truth.posted[self.posts[-1]["id"]] if again and self.posts else f"Walk{len(self.posts) + 1:03d}"
        post = self.world.sandbox.post(description=f"{words} by the sea #walk")
        self.posts.append(post)
        self.truth.posted[post["id"]] = words
        return words

    # ------------------------------------------------------------------------------------------------ the workers

    @step(2)
    @told
    def sources_are_asked(self) -> None:
        with self.world.house.db.system(self.world.system) as session:
            session.connection().exec_driver_sql("update connections set deep_polled_at = null")
        found = sum(len(each.posts) for each in self.world.detect())
        self.tell(f"Every source is read anew: {found} posts.")

    @step(3)
    @told
    def files_come(self) -> Collection[str]:
        waiting = [row.id for row in self.truth.rows() if row.state in (State.DETECTED, State.PREPARING)]
        self._bring_files()
        self.tell(f"{len(waiting)} publications get their files.")
        return waiting

    @step(4, which=st.integers(0, 11), first=st.booleans(), mishap=mishaps)
    @told
    def worker_stages(self, which: int, first: bool, mishap: Mishap | None) -> Collection[str]:
        row = self._pick(which, {State.READY, State.STAGING})
        return () if row is None else self._work(row, publish_one, first, mishap)

    @step(12, which=st.integers(0, 11), first=st.booleans(), fault=st.none() | at_the_send, mishap=mishaps)
    @told
    def worker_sends(self, which: int, first: bool, fault: str | None, mishap: Mishap | None) -> Collection[str]:
        """The platform's own waits are over: what is due goes out now."""
        row = self._pick(which, {State.READY, State.STAGING})
        if row is None:
            return ()
        if fault is not None:
            self._arm(row.platform, COMMITS[row.platform], fault, **AT_THE_SEND[fault])
        self._wait_for([row])
        if row.platform == "instagram" and row.state == State.READY:
            publish_one(self._worker(first), row.id)
            row = next(each for each in self.truth.rows() if each.id == row.id)
            self._wait_for([row])
        return self._work(row, publish_one, first, mishap)

    @step(6, which=st.integers(0, 11), first=st.booleans(), mishap=mishaps)
    @told
    def worker_reads(self, which: int, first: bool, mishap: Mishap | None) -> Collection[str]:
        row = self._pick(which, {State.UNKNOWN, State.RECONCILING})
        if row is None:
            return ()
        self._wait_for([row])
        return self._work(row, read_one, first, mishap)

    @step(2)
    @told
    def house_looks_after_everything(self) -> Collection[str]:
        touched = [row.id for row in self.truth.rows() if row.state not in UNSENT]
        swept = reconcile.sweep(self.world.house, self.world.system)
        read = reconcile.reconcile_due(self.world.house, self.world.system, limit=100)
        self.tell(f"The house sweeps {swept} and reads {len(read)}.")
        return touched

    def _work(self, row: Publication, does: Callable[..., Any], first: bool, mishap: Mishap | None) -> Collection[str]:
        """One worker does one thing to one publication, and something may befall it."""
        name, before = self.truth.name(row), row.state
        ended = "is done"
        if mishap is None:
            does(self._worker(first), row.id)
        else:
            ended = self._befallen(row, does, first, mishap)
        after = self._state(row.id)
        self.tell(f"Worker {1 if first else 2} takes {name} ({before}) and {ended}: {after}.")
        # a nap lets the sweeper find whatever else went silent
        return [row.id] if not (mishap and mishap.sleeps_seconds) else self._committing_and(row.id)

    def _befallen(self, row: Publication, does: Callable[..., Any], first: bool, mishap: Mishap) -> str:
        moments = self.lab.moments
        strike = partial(self._strike, row, not first, mishap)
        with moments.befall(mishap.kind, mishap.number, strike):
            try:
                does(self._worker(first), row.id)
            except (self.lab.killed, psycopg.OperationalError):
                assert moments.where, "it was not our doing"
        if not moments.where:
            return "is done before anything befalls it"
        return f"{mishap.words} when {moments.where} {mishap.kind}"

    def _strike(self, row: Publication, other: bool, mishap: Mishap) -> None:
        if mishap.sleeps_seconds:
            # in a thread of its own: what the sleeper was about must not reach the others' calls
            self.lab.meanwhile.submit(self._go_on_without, row, other, mishap).result(timeout=60)
        elif mishap.database_dies:
            raise psycopg.OperationalError("the connection was lost")
        else:
            raise self.lab.killed

    def _go_on_without(self, row: Publication, other: bool, mishap: Mishap) -> None:
        if mishap.database_dies:
            self.lab.pull_the_plug()
        self.world.clock.advance(mishap.sleeps_seconds)
        worker = self._worker(other)
        reconcile.sweep(worker, self.world.system)
        for _ in range(2):
            publish_one(worker, row.id)
            read_one(worker, row.id)

    def _worker(self, first: bool) -> Any:
        house = self.world.house
        times = SendTimes(exchange_seconds=0.2) if self.hurried else house.times
        return replace(house, worker="one" if first else "two", times=times)

    def _bring_files(self) -> None:
        house, system = self.world.house, self.world.system
        for post in self.truth.query(select(Post).order_by(Post.detected_at)):
            self.lab.bring_file(self.world, post.id, post.tenant_id)
            fetch.fetch(house, system, post.id, quiet)
            prepare.prepare(house, system, post.id, quiet)

    # ------------------------------------------------------------------------------------- platforms, time, machines

    @step(2, what=st.sampled_from(STAGES_AND_FAULTS))
    @told
    def staging_will_fail(self, what: tuple[str, str, str]) -> Collection[str]:
        self._arm(*what)
        return ()

    @step(2, where=st.sampled_from(READS), fault=st.sampled_from(sorted(AFTER_IT)))
    @told
    def reads_will_fail(self, where: tuple[str, str], fault: str) -> Collection[str]:
        self._arm(*where, fault, **AFTER_IT[fault])
        self.truth.blind.add(where[0])
        return ()

    def _arm(self, platform: str, call: str, fault: str, **more: Any) -> None:
        self.world.sandbox.fault(platform, call, fault, account=self.world.sandbox.handle, **more)
        self.hurried |= fault == "slow"
        if fault == "token_revoked":
            self.truth.blind.add(platform)
        self.tell(f"{platform} will answer the next {call} with {fault}{more or ''}.")

    @step(2, seconds=st.sampled_from(WAITS))
    @told
    def time_passes(self, seconds: int) -> Collection[str]:
        self.world.clock.advance(seconds)
        self.tell(f"{seconds} seconds pass.")
        return ()

    @step(1)
    @told
    def database_restarts(self) -> Collection[str]:
        self.lab.pull_the_plug()
        self.tell("The database dies and comes back.")
        return ()

    # ------------------------------------------------------------------------------------------------- the people

    @step(4, which=st.integers(0, 11), action=st.sampled_from(["cancel", "repeat", "answer", "answer", "drop"]))
    @told
    def person_decides(self, which: int, action: str) -> Collection[str]:
        states = {"cancel": UNSENT, "repeat": {State.FAILED}}.get(action, {State.NEEDS_REVIEW})
        row = self._pick(which, states) or self._pick(which, set(State))
        if row is None:
            return ()
        name = self.truth.name(row)
        try:
            said = self._decide(row, action)
            self.tell(f"A person says “{said}” of {name} ({row.state}): {self._state(row.id)}.")
        except UserError as refused:
            self.tell(f"A person may not “{action}” {name} ({row.state}): {refused.text}")
        return [row.id]

    def _decide(self, row: Publication, action: str) -> str:
        house, scope = self.world.house, next(w.scope for w in self.worlds if w.scope.tenant_id == row.tenant_id)
        live = self.truth.live_of(row)
        match action:
            case "answer" if live:
                people.settle_live(house, scope, row.id, live[0]["permalink"])
                return "it is live"
            case "answer":
                people.settle_absent(house, scope, row.id)
                return "it is not there"
            case "cancel":
                people.cancel(house, scope, row.id)
            case "repeat":
                people.repeat(house, scope, row.id)
            case _:
                people.drop(house, scope, row.id)
        return action

    @step(1, which=st.integers(0, 1), what=st.sampled_from(["pause", "resume", "delete", "make"]))
    @told
    def person_changes_a_rule(self, which: int, what: str) -> None:
        world, mine = self._tenant_and_rule(which)
        try:
            if what == "make":
                self.rule_ids.append(self._rule_of(world, made=self._connected(world)))
            else:
                {"pause": rules.pause, "resume": rules.resume, "delete": rules.delete}[what](
                    world.house, world.scope, mine
                )
            self.tell(f"{world.scope.actor} wants to {what} a rule.")
        except UserError as refused:
            self.tell(f"{world.scope.actor} may not {what} the rule: {refused.text}")

    @step(1, which=st.integers(0, 1), platform=st.sampled_from(DESTINATIONS), again=st.booleans())
    @told
    def person_changes_a_connection(self, which: int, platform: str, again: bool) -> None:
        world = self.worlds[which % len(self.worlds)]
        self.truth.blind.add(platform)
        if again:
            world.connect_again(platform)
        else:
            connect.disconnect(world.house, world.scope, self._connected(world)[platform].id)
        self.tell(f"{world.scope.actor} {'connects' if again else 'disconnects'} {platform}.")

    @step(1)
    @told
    def second_tenant_comes(self) -> None:
        """Somebody else of the same house with the very same accounts, and a rule of their own."""
        if len(self.worlds) > 1:
            return
        world = self.lab.tenant_beside(self.world)
        self.worlds.append(world)
        made = {key: world.connect_again(key) for key in sorted(world.house.platforms.manifests)}
        self.rule_ids.append(self._rule_of(world, made))
        self.tell("A second tenant connects the same accounts, with a rule of its own.")

    def _rule_of(self, world: Any, made: dict[str, Connection] | None = None) -> str:
        if made is None:
            return str(self.truth.query(select(Rule))[0].id)
        return str(world.rule(made["tiktok"], *(made[key] for key in DESTINATIONS)).id)

    def _tenant_and_rule(self, which: int) -> tuple[Any, str]:
        found = self.truth.query(select(Rule).where(Rule.id == self.rule_ids[which % len(self.rule_ids)]))[0]
        return next(w for w in self.worlds if w.scope.tenant_id == found.tenant_id), found.id

    def _connected(self, world: Any) -> dict[str, Connection]:
        return {each.platform: each for each in connect.connections_of(world.house, world.scope)}

    # -------------------------------------------------------------------------------------------------------- the end

    @rule(what=st.deferred(lambda: ANY_STEP))
    def happens(self, what: tuple[str, dict[str, Any]]) -> None:
        name, drawn = what
        getattr(self, name)(**drawn)

    def teardown(self) -> None:
        if not self.is_over and self.posts:
            self._end()

    @told
    def _end(self) -> None:
        """Everything heals; what has begun comes to rest, and nothing appears after that."""
        self.tell("Everything heals, and time goes on.")
        self.world.sandbox.control("DELETE", "/faults")
        self._connect_what_is_not()
        self.world.detect()
        created = {post["id"]: datetime.fromisoformat(post["created_at"]) for post in self.posts}
        self.truth.assert_all_found(created)
        self._rest_by(self.world.clock() + timedelta(days=8))
        self.world.clock.advance(7200)
        reconcile.heed_late_answers(self.world.house, self.world.system)

    def _rest_by(self, end: datetime) -> None:
        while moving := [row for row in self.truth.rows() if State(row.state) not in AT_REST]:
            said = [f"{self.truth.name(row)}: {row.state}, {row.waiting_for}" for row in moving]
            assert self.world.clock() < end, f"no rest in sight: {said}"
            self._connect_what_is_not()
            self._wait_for(moving)
            if any(row.state in (State.DETECTED, State.PREPARING) for row in moving):
                self._bring_files()
            for row in moving:
                self._go_on(row)
            self.truth.look(None)

    def _connect_what_is_not(self) -> None:
        """People do as they are asked; a grant that died unnoticed shows only with its next use."""
        for world in self.worlds:
            for each in connect.connections_of(world.house, world.scope):
                if each.status != ConnectionStatus.ACTIVE:
                    world.connect_again(each.platform)

    def _go_on(self, row: Publication) -> None:
        if row.state in (State.READY, State.STAGING):
            publish_one(self._worker(True), row.id)
        elif row.state == State.COMMITTING:
            reconcile.sweep(self.world.house, self.world.system)
        else:
            read_one(self._worker(True), row.id)

    # -------------------------------------------------------------------------------------------------------- looking

    def tell(self, sentence: str) -> None:
        minutes = (self.world.clock() - self.started_at).total_seconds() / 60
        self.story.append(f"{len(self.story) + 1:3d}. ({minutes:.1f} min) {sentence}")

    def _state(self, publication_id: str) -> str:
        return str(self.truth.query(select(Publication.state).where(Publication.id == publication_id))[0])

    def _committing_and(self, publication_id: str) -> list[str]:
        return [
            publication_id,
            *(row.id for row in self.truth.rows() if self.truth.seen[row.id].state == State.COMMITTING),
        ]

    def _pick(self, which: int, states: Collection[str]) -> Publication | None:
        found = [row for row in self.truth.rows() if row.state in states]
        return found[which % len(found)] if found else None

    def _wait_for(self, waiting: list[Publication]) -> None:
        """Until the first of them has something to do."""
        at = min(max(row.due_at, row.lease_until or row.due_at) for row in waiting)
        if at >= self.world.clock():
            self.world.clock.advance((at - self.world.clock()).total_seconds() + 0.1)


_WAYS = [way for each in vars(Histories).values() for way in getattr(each, "ways", ())]
ANY_STEP = st.integers(0, len(_WAYS) - 1).flatmap(_WAYS.__getitem__)
"""One rule draws them all: of many rules Hypothesis leaves most out in each history."""


def publish_one(worker: Any, publication_id: str) -> None:
    publish.publish(worker, SYSTEM, publication_id, patience_seconds=0.0, progress=quiet)


def read_one(worker: Any, publication_id: str) -> None:
    reconcile.reconcile(worker, SYSTEM, publication_id)


def quiet(_step: str, _fraction: float) -> None:
    """Nobody watches."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_history_makes_two_of_one_video_or_loses_one(lab: Any, request: pytest.FixtureRequest) -> None:
    many = request.config.getoption("--faults", default=False)
    seed = int(os.environ.get("HISTORIES_SEED", secrets.randbits(32) if many else SEED))
    histories, steps = MANY if many else FEW
    chosen = settings(
        max_examples=int(os.environ.get("HISTORIES", histories)),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    play = hypothesis.seed(seed)(get_state_machine_test(partial(Histories, lab), settings=chosen))
    try:
        play()
    except Exception as error:
        error.add_note(f"\nThe same again: HISTORIES_SEED={seed}" + ", and --faults" * many)
        raise
