"""What does a call to X cost, in calls and in dollars?"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.responses import Response

from autorepost_app.sandbox.platform import Account, Refusal
from autorepost_app.sandbox.x import shapes
from autorepost_app.sandbox.x.settings import DAY, PRICES, QUARTER, RATES

if TYPE_CHECKING:
    from autorepost_app.sandbox.x import X


class Meter:
    """Counts windows, writes their headers, and keeps the bill."""

    def __init__(self, platform: "X") -> None:
        self._platform = platform
        self._read_today: set[tuple[str, str]] = set()

    def count(self, call: str, account: Account) -> dict[str, str]:
        """The rate headers of this call, or X's 429 when a window is full."""
        world, rate = self._platform.world, RATES[call]
        user_limit = self._platform.settings.posts_per_quarter if call == "tweets.create" else rate.user
        allowed, left, reset = world.within_window(("x", call, account.id), user_limit, QUARTER)
        headers = rate_headers("x-rate-limit-", user_limit, left, int(reset.timestamp()))
        if allowed and rate.app is not None and rate.app_seconds == DAY:
            app_limit = self._platform.settings.posts_per_day if call == "tweets.create" else rate.app
            allowed, left, reset = world.within_window(("x", call), app_limit, DAY)
            headers |= rate_headers("x-app-limit-24hour-", app_limit, left, int(reset.timestamp()))
        if not allowed:
            raise Refusal(too_many(headers))
        return headers

    def afford(self) -> None:
        credit = self._platform.settings.credit_usd
        if credit is not None and self.bill()["total_usd"] >= credit:
            raise Refusal(self.depleted())

    @staticmethod
    def depleted() -> Response:
        number = 1501987213
        text = f"Your enrolled account [{number}] does not have any credits to fulfill this request."
        return shapes.problem(402, "CreditsDepleted", text, "credits", account_id=number)

    def charge(self, item: str, times: int = 1) -> None:
        if times:
            self._platform.world.next_number(f"x.bill.{item}", 0, times)

    def charge_reads(self, post_ids: Iterable[str]) -> None:
        """The same post is billed once in a day of UTC, however often it is read."""
        today = self._platform.world.clock.now().date().isoformat()
        fresh = {(today, post_id) for post_id in post_ids} - self._read_today
        self._read_today |= fresh
        self.charge("read_post", len(fresh))

    def bill(self) -> dict[str, float]:
        counts = {item: int(self._platform.world.recall(f"x.bill.{item}", 0)) for item in PRICES}
        total = sum(PRICES[item] * count for item, count in counts.items())
        return {**counts, "total_usd": round(total, 3)}


def rate_headers(prefix: str, limit: int, left: int, reset: int) -> dict[str, str]:
    return {f"{prefix}limit": str(limit), f"{prefix}remaining": str(left), f"{prefix}reset": str(reset)}


def too_many(headers: dict[str, str]) -> Response:
    response = shapes.problem(429, "Too Many Requests", "Too Many Requests")
    response.headers.update(headers)
    return response
