"""How is the house, in the form that a scraper reads?

Few labels, and none that names a tenant, an account or a publication. Asked of the database itself, so that it is right
also where nobody looks any more; kept for a few seconds, so that scraping often costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autorepost_app.domain.identity import SystemScope
from autorepost_app.services import chains, circuits, counts, quotas, watchdogs
from autorepost_app.services.house import House

PATH: Final = "/metrics"
MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
_SCOPE: Final = SystemScope("metrics")
_KEPT_SECONDS: Final = 5.0
_DAY: Final = timedelta(days=1)


class Metrics:
    """The page of one house. Safe to ask from several threads; one of them asks the database."""

    def __init__(self, house: House) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_HouseCollector(house))
        self._lock = Lock()
        self._page = b""
        self._until = 0.0

    def page(self) -> bytes:
        with self._lock:
            if time.monotonic() >= self._until:
                self._page = generate_latest(self._registry)
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._page


class _HouseCollector(Collector):
    def __init__(self, house: House) -> None:
        self._house = house

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected at registration: the database may be down then."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._watches()
        yield from self._publications()
        yield _gauge(
            "autorepost_circuits_open",
            "Platforms and accounts that are left alone.",
            ("platform",),
            (((platform,), count) for platform, count in self._circuits().items()),
        )
        yield _gauge(
            "autorepost_quota_left_ratio",
            "What is left of a limit: 0 to 1; the least of all accounts.",
            ("platform", "quota"),
            self._quotas(),
        )
        waiting = chains.health(self._house, _SCOPE)
        yield _gauge(
            "autorepost_posts_waiting_for_files",
            "Posts whose file has not come yet.",
            ("platform",),
            (((each.platform,), each.waiting) for each in waiting),
        )

    def _watches(self) -> Iterator[Metric]:
        now, standing = self._house.clock(), watchdogs.standing(self._house, _SCOPE)
        yield _gauge(
            "autorepost_alarms",
            "Promises that are not kept, by watch.",
            ("watch",),
            (((each.watch.value,), each.count) for each in standing),
        )
        yield _gauge(
            "autorepost_alarms_oldest_seconds",
            "Since when the oldest of them is broken.",
            ("watch",),
            (((each.watch.value,), _age(now, each.since_at)) for each in standing),
        )
        looked_at = watchdogs.looked_at(self._house, _SCOPE)
        if looked_at is not None:
            yield GaugeMetricFamily(
                "autorepost_watch_age_seconds",
                "Since a look at everything came to its end: without it nobody is told.",
                _age(now, looked_at),
            )

    def _publications(self) -> Iterator[Metric]:
        held = counts.publications(self._house, _SCOPE, ended_within=_DAY)
        yield _gauge(
            "autorepost_publications",
            "Publications that are on their way or wait for a person.",
            ("state", "platform"),
            held.unfinished,
        )
        yield _gauge(
            "autorepost_publications_ended_1d",
            "Publications that came to an end in the last 24 hours.",
            ("state", "platform"),
            held.ended,
        )

    def _circuits(self) -> dict[str, int]:
        found = dict.fromkeys(self._house.platforms.destinations(), 0)
        for circuit in circuits.open_now(self._house, _SCOPE):
            found[circuit.platform] = found.get(circuit.platform, 0) + 1
        return found

    def _quotas(self) -> Iterator[tuple[tuple[str, str], float]]:
        least: dict[tuple[str, str], float] = {}
        for line in quotas.standing(self._house, _SCOPE):
            if line.limit and line.left is not None:
                key = (line.platform, line.quota)
                least[key] = min(least.get(key, 1.0), line.left / line.limit)
        yield from sorted(least.items())


def _gauge(
    name: str, says: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family


def _age(now: datetime, at: datetime | None) -> float:
    return max((now - at).total_seconds(), 0.0) if at is not None else 0.0
