"""Is every request counted before it goes out, under limits and prices that X publishes, and corrected by its word?"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from autorepost_app.domain.errors import PlatformFault, WaitUntil
from autorepost_app.platform_kit.protocol import Allowance, Done, NotDone, Parts, Reach, Staged, Unknown
from autorepost_app.platforms.x import PLATFORM
from autorepost_app.platforms.x.quotas import QUOTAS, heed

LIMITS = json.loads((Path(__file__).parent / "limits.json").read_text())
RULES = {rule.name: rule for rule in QUOTAS}
ON_THE_WIRE = {
    "upload.initialize": "initialize",
    "upload.append": "append",
    "upload.finalize": "finalize",
    "upload.status": "status",
    "tweets.create": "post",
    "timeline": "timeline",
    "token.code": "token",
    "token.refresh": "token",
    "token.revoke": "revoke",
    "users.me": "me",
}
"""What the sandbox calls a request, and what we do."""


@dataclass
class Ledger:
    """A meter that remembers, and that can be full or broken."""

    reserved: list[tuple[str, str]] = field(default_factory=list)
    settled: list[tuple[str, str, Allowance]] = field(default_factory=list)
    full: WaitUntil | None = None
    broken: bool = False

    def reserve(self, call: str, account: str = "") -> None:
        if self.full:
            raise PlatformFault(self.full)
        for rule in QUOTAS:
            assert call not in rule.costs or rule.scope == "app" or account, f"{call} is made for nobody"
        self.reserved.append((call, account))

    def settle(self, quota: str, account: str, told: Allowance) -> None:
        if self.broken:
            raise RuntimeError("the database went away")
        self.settled.append((quota, account, told))

    def counted(self) -> Counter[str]:
        return Counter(call for call, _ in self.reserved)

    def money(self) -> int:
        """In thousandths of a dollar."""
        return sum(RULES["money"].costs.get(call, 0) for call, _ in self.reserved)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def parts(reach: Reach, ledger: Ledger) -> Iterator[Parts]:
    parts = PLATFORM.build(replace(reach, meter=ledger))
    yield parts
    parts.close()


def bill(control: Any) -> int:
    return round(1000 * float(control.client.get("/_sandbox/x/bill").json()["total_usd"]))


def test_every_request_on_the_wire_was_counted_under_a_name_that_a_limit_knows(
    publish: Callable[..., Any], parts: Parts, ledger: Ledger, control: Any, longer_clip: Any
) -> None:
    publication = publish(media=longer_clip, text="see brand.com")
    publication.stage()
    control.fault("tweets.create", "commit_then_reset")
    assert isinstance(publication.commit(), Unknown)
    publication.find()
    publication.destination.search(publication.delivery, control.now() - timedelta(hours=1))
    tokens = publication.connected.tokens
    fresh = parts.authoriser.refresh(login="default", tokens=tokens)
    parts.authoriser.revoke(login="default", tokens=fresh)

    seen = Counter(ON_THE_WIRE[entry["call"]] for entry in control.requests() if entry["call"] in ON_THE_WIRE)
    beside = {entry["call"] for entry in control.requests()} - ON_THE_WIRE.keys()
    assert beside <= {"authorize", "authorize.decide"}
    assert set(seen) == set(ON_THE_WIRE.values())
    counted = ledger.counted()
    assert {name: counted[name] for name in seen} == dict(seen)
    known = {name for rule in QUOTAS for name in rule.costs}
    assert set(counted) <= known
    for call, account in ledger.reserved:
        assert account in ("", publication.delivery.grant.account.external_id), call


def test_money_is_counted_as_x_charges_it(publish: Callable[..., Any], ledger: Ledger, control: Any) -> None:
    for handle, text, spent in (("ada", "no link", 15), ("bob", "see brand.com", 200)):
        publication = publish(text=text, handle=handle)
        before = ledger.money()
        publication.stage()
        assert ledger.money() - before == spent
        assert isinstance(publication.commit(), Done)
        publication.find()
        assert ledger.money() - before == spent + 5
        assert ledger.money() == bill(control)
    assert RULES["money"].limit is None
    assert RULES["money"].unit == "thousandths of a US dollar"


def test_links_that_are_left_out_are_not_paid_for(publish: Callable[..., Any], ledger: Ledger, control: Any) -> None:
    publication = publish(text="new drop at brand.com today", links="leave_out")
    publication.stage()
    assert isinstance(publication.commit(), Done)
    assert control.live()[0]["text"] == {"text": "new drop at today"}
    assert ledger.money() == bill(control) == 15 + 10
    assert publication.find().external_id == control.live()[0]["id"]
    since = control.now() - timedelta(hours=1)
    assert publication.destination.search(publication.delivery, since).external_id == control.live()[0]["id"]


def test_the_post_is_counted_when_all_is_ready_and_nothing_is_counted_at_the_send(
    publication: Any, ledger: Ledger, control: Any
) -> None:
    control.settings(processing_seconds=60)
    publication.stage_once()
    assert ledger.counted()["post"] == 0
    control.advance(61)
    assert isinstance(publication.stage_once(), Staged)
    assert ledger.reserved[-1] == ("post", publication.delivery.grant.account.external_id)
    before = len(ledger.reserved)
    publication.commit()
    assert len(ledger.reserved) == before


def test_a_full_limit_holds_the_post_before_anything_is_sent(publication: Any, ledger: Ledger, control: Any) -> None:
    publication.stage()
    ledger.full = WaitUntil("wait", at=control.now() + timedelta(minutes=3), limit="X posts in 15 minutes")
    with pytest.raises(PlatformFault) as caught:
        publication.stage_once()
    assert caught.value.verdict is ledger.full
    assert isinstance(publication.commit(), Done), "once intended, no limit of ours stands in the way"


def test_counts_that_cannot_be_written_hide_no_post(staged: Any, ledger: Ledger, control: Any) -> None:
    control.settings(posts_per_quarter=1)
    ledger.broken = True
    assert isinstance(staged.commit(), Done)


# ------------------------------------------------------------------------------------------------- what the answers say


def test_an_ordinary_answer_settles_nothing(staged: Any, ledger: Ledger) -> None:
    assert isinstance(staged.commit(), Done)
    assert ledger.settled == []


def test_another_limit_than_the_documented_one_is_taken_over(staged: Any, ledger: Ledger, control: Any) -> None:
    control.settings(posts_per_quarter=30, posts_per_day=9_000)
    assert isinstance(staged.commit(), Done)
    account = staged.delivery.grant.account.external_id
    (posts, app_posts) = ledger.settled
    assert (posts[:2], posts[2].limit, posts[2].remaining) == (("posts", account), 30, 29)
    assert (app_posts[:2], app_posts[2].limit, app_posts[2].remaining) == (("app_posts", ""), 9_000, 8_999)


def test_a_refused_post_closes_the_limit_until_the_named_time(staged: Any, ledger: Ledger, control: Any) -> None:
    control.fault("tweets.create", "rate_limited", seconds=300)
    assert isinstance(staged.commit(), NotDone)
    ((quota, _, told),) = ledger.settled
    assert (quota, told.limit, told.remaining) == ("posts", 100, 0)
    assert told.resets_at is not None
    assert abs(told.resets_at - control.now() - timedelta(seconds=300)) < timedelta(seconds=30)


def test_the_day_of_a_user_closes_while_the_quarter_looks_healthy(staged: Any, ledger: Ledger, control: Any) -> None:
    control.fault("tweets.create", "rate_limited", seconds=7200, reason="day")
    assert isinstance(staged.commit().verdict, WaitUntil)
    assert [(quota, told.remaining) for quota, _, told in ledger.settled] == [("day_posts", 0)]


@pytest.mark.parametrize("call", ["initialize", "append", "finalize", "status", "timeline"])
def test_each_call_heeds_its_own_headers(publication: Any, ledger: Ledger, control: Any, call: str) -> None:
    wire = next(name for name, ours in ON_THE_WIRE.items() if ours == call)
    if call == "timeline":
        publication.stage()
        publication.commit()
    control.fault(wire, "rate_limited", seconds=300)
    with pytest.raises(PlatformFault):
        publication.find() if call == "timeline" else publication.stage()
    assert [(quota, told.remaining) for quota, _, told in ledger.settled] == [(call, 0)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-rate-limit-remaining": "many", "x-rate-limit-limit": "100"},
        {"x-rate-limit-limit": "100", "x-rate-limit-reset": "1"},
        {"x-user-limit-24hour-remaining": "", "x-user-limit-24hour-limit": ""},
    ],
)
def test_headers_that_say_nothing_settle_nothing(ledger: Ledger, headers: dict[str, str]) -> None:
    heed(ledger, "post", "1", httpx.Headers(headers))
    assert ledger.settled == []


def test_a_reset_that_no_calendar_holds_is_left_out(ledger: Ledger) -> None:
    told = {"x-rate-limit-limit": "100", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "9" * 30}
    heed(ledger, "post", "1", httpx.Headers(told))
    assert ledger.settled == [("posts", "1", Allowance(100, 0, None))]


# ---------------------------------------------------------------------------------------------- what is documented


@pytest.mark.parametrize(
    ("documented", "call", "account_rule"),
    [
        ("POST /2/tweets", "post", "posts"),
        ("POST /2/media/upload/*", "initialize", "initialize"),
        ("POST /2/media/upload/*", "append", "append"),
        ("POST /2/media/upload/*", "finalize", "finalize"),
        ("GET /2/media/upload", "status", "status"),
        ("GET /2/users/:id/tweets", "timeline", "timeline"),
    ],
)
def test_the_windows_are_the_documented_ones(documented: str, call: str, account_rule: str) -> None:
    rate = LIMITS["rate"][documented]
    for name, scope, key in ((account_rule, "account", "user"), (f"app_{account_rule}", "app", "app")):
        rule = RULES[name]
        assert [rule.limit, rule.window_seconds] == rate[key]
        assert (rule.scope, rule.costs) == (scope, {call: 1})


def test_the_prices_are_the_documented_ones() -> None:
    price, costs = LIMITS["price_usd"], RULES["money"].costs
    assert costs["post"] == 1000 * price["post"]
    assert costs["post"] + costs["link"] == 1000 * price["post_with_url"]
    assert costs["read_post"] == 1000 * price["read_post"]
    assert costs["me"] == 1000 * price["read_user"]


@pytest.mark.parametrize(("remaining", "told"), [(11, False), (10, True), (1, True), (0, True)])
def test_the_last_tenth_of_a_limit_is_counted_by_what_x_says(remaining: int, told: bool) -> None:
    ledger = Ledger()
    heed(ledger, "post", "1", httpx.Headers({"x-rate-limit-limit": "100", "x-rate-limit-remaining": str(remaining)}))
    assert [each.remaining for _, _, each in ledger.settled] == ([remaining] if told else [])
