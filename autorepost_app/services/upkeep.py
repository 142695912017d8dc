"""What can be cleared away without anybody missing it?"""

from __future__ import annotations

from datetime import timedelta

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.posts import PostIdentity
from autorepost_app.persistence import posts
from autorepost_app.services.house import House


def sweep_temporary(house: House, _scope: SystemScope, *, older_than: timedelta) -> int:
    """Leftovers in the store of writers that died; how many there were."""
    return house.store.sweep_temporary(older_than=house.clock() - older_than)


def finished_posts(house: House, scope: SystemScope, *, older_than: timedelta) -> list[PostIdentity]:
    """Posts of which nothing is on its way any more, in any tenant, and that were found before that time."""
    with house.db.system(scope) as session:
        return posts.finished(session, before=house.clock() - older_than)
