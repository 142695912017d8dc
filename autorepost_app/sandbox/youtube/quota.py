"""How much of the day's quota is left? Three buckets for the whole project, emptied at midnight Pacific."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from autorepost_app.sandbox.platform import Refusal
from autorepost_app.sandbox.youtube import shapes

if TYPE_CHECKING:
    from autorepost_app.sandbox.youtube import YouTube

PACIFIC = ZoneInfo("America/Los_Angeles")


class Quota:
    def __init__(self, platform: "YouTube") -> None:
        self._platform = platform

    def _limit(self, bucket: str) -> int:
        settings = self._platform.settings
        return {
            "inserts": settings.inserts_per_day,
            "searches": settings.searches_per_day,
            "units": settings.units_per_day,
        }[bucket]

    def today(self) -> str:
        return self._platform.world.clock.now().astimezone(PACIFIC).date().isoformat()

    def used(self, bucket: str) -> int:
        return int(self._platform.world.recall(f"youtube.quota.{self.today()}.{bucket}", 0))

    def charge(self, bucket: str, cost: int = 1) -> None:
        if self.used(bucket) + cost > self._limit(bucket):
            raise Refusal(shapes.quota_exceeded())
        self._platform.world.next_number(f"youtube.quota.{self.today()}.{bucket}", 0, cost)

    def report(self) -> dict[str, dict[str, int]]:
        names = ("inserts", "searches", "units")
        return {name: {"used": self.used(name), "limit": self._limit(name)} for name in names}
