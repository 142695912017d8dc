"""What is really out there? The truth that any claim of "posted once" is measured against."""

from collections.abc import Iterator
from typing import Any

from autorepost_app.sandbox.platform import Account, LivePost, Platform
from autorepost_app.sandbox.world import World


def posts_of(world: World, platform: Platform, account: Account) -> list[LivePost]:
    """Newest first."""
    return sorted(platform.live_posts(account), key=lambda post: post.created_at, reverse=True)


def ledger(world: World, platform_key: str | None = None, account: str | None = None) -> dict[str, Any]:
    """Every live post with its facts, and how many things were handed in that no post uses."""
    chosen = [p for p in world.platforms.values() if platform_key in (None, p.key)]
    entries = [
        entry
        for platform in chosen
        for owner in world.accounts.all()
        if owner.platform == platform.key and account in (None, owner.handle, owner.id)
        for entry in _entries(world, platform, owner)
    ]
    orphans = {platform.key: platform.orphans() for platform in chosen}
    return {
        "posts": entries,
        "orphans": orphans,
        "orphan_count": sum(sum(kinds.values()) for kinds in orphans.values()),
    }


def _entries(world: World, platform: Platform, account: Account) -> Iterator[dict[str, Any]]:
    times = world.times_uploaded(account.id)
    for post in posts_of(world, platform, account):
        count = times[post.media.sha256] if post.media else 0
        yield {**post.model_dump(mode="json"), "same_bytes_uploads": count}
