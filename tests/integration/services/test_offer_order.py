"""Whose post comes next when more is due than can go out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from autorepost_app.persistence import posts
from autorepost_app.services import offers

_POSTS = """
insert into posts (id, tenant_id, connection_id, platform, external_account_id, external_post_id, kind, caption, url,
                   posted_at, detected_at)
select gen_random_uuid(), c.tenant_id, c.id, c.platform, c.external_account_id, %(state)s || n, 'video', '', '', at, at
from connections c, generate_series(1, %(count)s) n, lateral (select now() - make_interval(hours => n::int) as at) times
where c.id = %(source)s returning id
"""
_PUBLICATIONS = """
insert into publications (id, tenant_id, post_id, connection_id, platform, external_account_id, source_platform,
                          source_post_id, state, publish_at, due_at, template)
select gen_random_uuid(), p.tenant_id, p.id, c.id, c.platform, c.external_account_id, p.platform, p.external_post_id,
       %(state)s, p.posted_at, now() - interval '1 second', ''
from posts p join connections c on c.id = %(destination)s where p.id = any(%(posts)s)
"""


@pytest.fixture
def queue(owner_connection: Any) -> Callable[..., None]:
    """`queue(world, 3)`: so many posts of that tenant, the last the oldest, that all became due at the same moment."""

    def make(world: Any, count: int, state: str = "ready") -> None:
        handle = f"{world.sandbox.handle}-{world.scope.actor}-{state}"
        source, destination = world.connect("tiktok", handle), world.connect("x", handle)
        values = {"count": count, "state": state, "source": source.id, "destination": destination.id}
        made = owner_connection.execute(_POSTS, values).fetchall()
        owner_connection.execute(_PUBLICATIONS, {**values, "posts": [post_id for (post_id,) in made]})

    return make


def test_three_posts_do_not_wait_behind_a_thousand(world: Any, other_tenant: Any, queue: Callable[..., None]) -> None:
    queue(world, 1000)
    queue(other_tenant, 3)

    first = offers.offer(world.house, world.system, limit=10)

    order = ["mia" if each.tenant_id == world.scope.tenant_id else "noa" for each in first]
    assert [Counter(order[: n + 2]) for n in (0, 2, 4)] == [{"mia": n, "noa": n} for n in (1, 2, 3)]
    assert order[6:] == ["mia"] * 4


def test_of_one_tenant_the_oldest_comes_first(world: Any, queue: Callable[..., None]) -> None:
    """All of them waited for the same moment: what says who has waited longest is when each was wanted."""
    queue(world, 30)

    for expected in (range(30, 20, -1), range(20, 10, -1)):
        found = offers.offer(world.house, world.system, limit=10)
        assert [each.identity.external_post_id for each in found] == [f"ready{n}" for n in expected]


def test_nothing_is_offered_that_is_not_due_or_held_or_over(
    world: Any, queue: Callable[..., None], owner_connection: Any
) -> None:
    queue(world, 4)
    change = "update publications set {} where source_post_id = %s"
    owner_connection.execute(change.format("due_at = now() + interval '1 hour'"), ["ready1"])
    owner_connection.execute(change.format("lease_until = now() + interval '1 hour'"), ["ready2"])
    owner_connection.execute(change.format("state = 'cancelled'"), ["ready3"])

    found = offers.offer(world.house, world.system, limit=10)
    assert [each.identity.external_post_id for each in found] == ["ready4"]


def test_ticks_at_once_offer_nothing_twice(world: Any, queue: Callable[..., None], meanwhile: Any) -> None:
    queue(world, 400)

    def tick_by_tick() -> list[Any]:
        found = [offers.offer(world.house, world.system, limit=1) for _ in range(40)]
        return [each.identity for tick in found for each in tick]

    racing = [meanwhile(tick_by_tick) for _ in range(3)]

    offered = [identity for each in racing for identity in each.result()]
    assert len(offered) == len(set(offered)) > 40


def test_the_past_makes_no_offer_dearer(world: Any, queue: Callable[..., None], owner_connection: Any) -> None:
    """A few pages for each post that is due, and none for those that are over."""
    queue(world, 10)
    queue(world, 4_000, "published")
    owner_connection.execute("vacuum analyze posts, publications")

    with world.house.db.system(world.system) as session:
        connection = session.connection()
        query = posts._in_turn(world.clock(), 10).compile(connection, compile_kwargs={"literal_binds": True})
        [told] = connection.exec_driver_sql(f"explain (analyze, buffers, format json) {query}").scalar_one()

    assert "Seq Scan" not in str(told)
    assert told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"] < 10 * 15
