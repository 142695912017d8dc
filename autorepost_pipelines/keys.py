"""Which names do runs, partitions, pools and tags carry? Others hold on to them (docs/decisions)."""

from __future__ import annotations

import os
from typing import Final

import dagster as dg

from autorepost_app.bootstrap import find_platforms

POSTS: Final = dg.DynamicPartitionsDefinition(name="posts")
"""One partition a post: `<platform>:<external account id>:<external post id>`."""

TAG_TENANT: Final = "autorepost/tenant"
TAG_CONNECTION: Final = "autorepost/connection"
TAG_POST: Final = "autorepost/post"
TAG_PUBLICATION: Final = "autorepost/publication"
TAG_PLATFORM: Final = "autorepost/platform"
"""A run is for a post, so these two hold all that was due when it was asked for, with commas."""

POOL_TRANSCODE: Final = "transcode"
OWNER: Final = "team:operators"
GROUP: Final = "reposts"


def destination_keys() -> list[str]:
    return sorted(key for key, manifest in find_platforms().items() if manifest.destination is not None)


def pool_limits(transcode_slots: int | None = None) -> dict[str, int]:
    """How many steps of each pool run at once: transcodes by setting or cores, each platform by its manifest."""
    limits = {POOL_TRANSCODE: transcode_slots or max(1, (os.cpu_count() or 2) // 2)}
    for key, manifest in find_platforms().items():
        spec = manifest.destination or manifest.source
        if spec is not None:
            limits[key] = spec.pool_slots
    return limits
