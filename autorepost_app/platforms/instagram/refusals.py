"""What do we refuse ourselves, before or instead of Instagram, and with which words?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from autorepost_app.domain.errors import Operator, PlatformFault, Rejected, TryAgain, UserError, WaitUntil
from autorepost_app.platform_kit.protocol import Allowance, NotDone
from autorepost_app.platforms.instagram.rules import DAILY_POSTS, NEW_UPLOAD

_ONLY_PROFESSIONAL = "Instagram lets other services post only for professional accounts"


def personal_account(account_type: str) -> PlatformFault:
    return _rejected(
        "personal_account",
        f"{_ONLY_PROFESSIONAL}, and this one is a personal account.",
        f"account_type is {account_type}",
        "Switch it to Business or Creator in the Instagram app (Settings, Account type), then connect it again.",
    )


def no_page() -> PlatformFault:
    return _rejected(
        "no_page",
        "You shared no Facebook page with us, and Instagram is reached through one.",
        "/me/accounts is empty",
        "Connect again and choose the page your Instagram account is linked to; or connect with Instagram’s own login,"
        " which needs no page.",
    )


def no_linked_account(pages: Sequence[str]) -> PlatformFault:
    named = ", ".join(f"“{name}”" for name in pages[:5])
    return _rejected(
        "no_linked_account",
        f"No professional Instagram account is linked to {named}.",
        f"{len(pages)} pages without instagram_business_account",
        "Switch the account to Business or Creator in the Instagram app and link it to the page, then connect it again;"
        " or connect with Instagram’s own login.",
    )


def paid_partnership_needs_page() -> PlatformFault:
    return _rejected(
        "paid_partnership",
        "The label of a paid partnership can only be set for accounts connected through Facebook.",
        "is_paid_partnership is no parameter of Instagram's own login",
        "Connect the account through Facebook, or turn off “Paid partnership” in the rule, and try again.",
    )


def no_public_address(error: UserError) -> PlatformFault:
    return PlatformFault(
        Operator(
            "We are looking into it.",
            f"Instagram fetches the video from a public https address and there is none: {error.text}",
            "instagram.no_public_url",
            error.remedy,
        )
    )


def no_posts_left(told: Allowance, now: datetime) -> PlatformFault:
    detail = f"content_publishing_limit: none left of {told.limit}"
    at = max(told.resets_at or now, now)
    return PlatformFault(
        WaitUntil(DAILY_POSTS.text, detail, f"instagram.{DAILY_POSTS.name}", at=at, limit=DAILY_POSTS.limit)
    )


def nothing_to_commit() -> NotDone:
    return NotDone(TryAgain(NEW_UPLOAD, "no container is known; nothing was sent", "instagram.no_container"), False)


def _rejected(name: str, text: str, detail: str, remedy: str) -> PlatformFault:
    return PlatformFault(Rejected(text, detail, f"instagram.{name}", remedy))
