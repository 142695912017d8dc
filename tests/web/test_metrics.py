"""What a scraper reads is right, cheap, and says nothing about anybody."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from autorepost_app.domain.identity import SystemScope
from autorepost_app.domain.watchdogs import Watch
from autorepost_app.services import watchdogs
from autorepost_app.services.links import SignedLinks
from autorepost_app.web import metrics
from autorepost_app.web.app import own_app

SCOPE = SystemScope("test")


def scraped(house: Any) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""

    async def ask() -> httpx.Response:
        app = own_app(house, SignedLinks("http://127.0.0.1", b"secret", house.clock))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get("/metrics")

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_new_house_has_every_watch_at_nought(house: Any) -> None:
    samples = scraped(house)
    assert {samples["autorepost_alarms", watch.value] for watch in Watch} == {0.0}
    assert "autorepost_watch_age_seconds" not in {name for name, *_ in samples}, "nobody has looked yet"


def test_what_is_late_shows_though_nobody_looks(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    world.prepare()
    watchdogs.look(world.house, SCOPE)
    assert scraped(world.house)["autorepost_publications", "youtube", "ready"] == 1
    world.clock.advance(3600)

    samples = scraped(world.house)
    assert samples["autorepost_alarms", "not_tried"] == 3
    assert 3500 < samples["autorepost_alarms_oldest_seconds", "not_tried"] < 3700
    assert 3500 < samples["autorepost_watch_age_seconds",] < 3700
    assert samples["autorepost_circuits_open", "x"] == 0
    assert 0 < samples["autorepost_quota_left_ratio", "youtube", "units"] <= 1
    assert samples["autorepost_posts_waiting_for_files", "tiktok"] == 0


def test_what_has_ended_is_counted_for_a_day(world: Any, sandbox: Any) -> None:
    world.ready_made()
    sandbox.post()
    world.detect()
    world.prepare()
    world.settle("youtube")
    assert scraped(world.house)["autorepost_publications_ended_1d", "youtube", "published"] == 1
    world.clock.advance(25 * 3600)
    assert ("autorepost_publications_ended_1d", "youtube", "published") not in scraped(world.house)


def test_no_label_names_a_tenant_an_account_or_a_post(world: Any, sandbox: Any) -> None:
    made = world.ready_made()
    sandbox.post()
    world.detect()
    page = metrics.Metrics(world.house).page().decode()
    theirs = {world.scope.tenant_id, "mia", sandbox.handle, *(each.id for each in made.values())}
    theirs |= {each.external_account_id for each in made.values()}
    assert [word for word in theirs if word in page] == []


def test_scraping_again_at_once_asks_nobody(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    standing = watchdogs.standing
    monkeypatch.setattr(watchdogs, "standing", lambda *given: asked.append(given) or standing(*given))
    house_metrics = metrics.Metrics(world.house)
    first = house_metrics.page()
    assert house_metrics.page() == first
    assert len(asked) == 1
