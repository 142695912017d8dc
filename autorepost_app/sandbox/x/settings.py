"""What does X remember of accounts and the app, and which limits does it count?"""

from typing import Literal

from autorepost_app.sandbox.platform import Strict

# name: calls a user, calls a user and day (or none), calls an app, seconds of the app's window
QUARTER = 900
DAY = 86400


class AccountOptions(Strict):
    """`premium` lifts the 140 s and the 280 characters."""

    premium: bool = False
    suspended: bool = False
    protected: bool = False


class AppSettings(Strict):
    client_type: Literal["confidential", "public"] = "confidential"
    code_seconds: float = 30
    processing_seconds: float = 1.0
    duplicate_seconds: float = DAY
    dialect: Literal["both", "tweet", "post"] = "both"
    strict_size: bool = False
    credit_usd: float | None = None
    posts_per_quarter: int = 100
    posts_per_day: int = 10_000
    timeline_end: int = 3200


class Rate(Strict):
    user: int
    app: int | None = None
    app_seconds: int = DAY


RATES = {
    "tweets.create": Rate(user=100, app=10_000),
    "upload.initialize": Rate(user=1875, app=180_000),
    "upload.append": Rate(user=1875, app=180_000),
    "upload.finalize": Rate(user=1875, app=180_000),
    "upload.status": Rate(user=1000, app=100_000),
    "users.me": Rate(user=75),
    "timeline": Rate(user=900, app=10_000, app_seconds=QUARTER),
    "tweets.delete": Rate(user=50),
    "tweets.get": Rate(user=900),
    "media.metadata": Rate(user=500),
}

PRICES = {"post": 0.015, "post_with_url": 0.200, "read_post": 0.005, "read_user": 0.010, "media_metadata": 0.005}
