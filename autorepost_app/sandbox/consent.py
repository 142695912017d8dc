"""What does a person see and decide at an authorize address?"""

import re
from html import escape
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

from autorepost_app.sandbox import pages
from autorepost_app.sandbox.oauth import Consent, ConsentRefused, Desk
from autorepost_app.sandbox.platform import Account, Ask, Call, Platform
from autorepost_app.sandbox.world import World


def desk_at(world: World, path: str) -> tuple[Platform, Desk]:
    """The authorize endpoint at this path of the sandbox."""
    for platform in world.platforms.values():
        for desk in platform.desks():
            pattern = re.sub(r"\{\w+\}", "[^/]+", f"/{platform.key}-{desk.host}{desk.path}")
            if re.fullmatch(f".*{pattern}/?", path):
                return platform, desk
    raise ValueError("authorize_url is not an authorize address of this sandbox")


def allow(desk: Desk, consent: Consent, account: Account, scopes: tuple[str, ...]) -> str:
    return desk.back(consent, desk.allowed(consent, account.id, scopes))


def deny(desk: Desk, consent: Consent) -> str:
    return desk.back(consent, desk.refused(consent))


def calls(platform: Platform) -> list[Call]:
    """The page and its form, one pair for each desk."""
    found = []
    for desk in platform.desks():
        window = _Window(platform, desk)
        found.append(Call(desk.host, "GET", desk.path, "authorize", window.show))
        found.append(Call(desk.host, "POST", desk.path, "authorize.decide", window.decide))
    return found


class _Window:
    """One consent page in a browser."""

    def __init__(self, platform: Platform, desk: Desk) -> None:
        self._platform, self._desk = platform, desk

    async def show(self, ask: Ask) -> Response:
        try:
            consent = self._desk.read(dict(ask.query_params))
        except ConsentRefused as refusal:
            return HTMLResponse(pages.plain_page(self._platform.title, "This app cannot be opened", str(refusal)), 400)
        return HTMLResponse(self._page(consent))

    async def decide(self, ask: Ask) -> Response:
        fields = parse_qsl((await ask.body()).decode(), keep_blank_values=True)
        chosen = dict(fields)
        try:
            consent = self._desk.read(dict(ask.query_params))
        except ConsentRefused as refusal:
            return HTMLResponse(pages.plain_page(self._platform.title, "This app cannot be opened", str(refusal)), 400)
        if chosen.get("decision") != "allow":
            return RedirectResponse(deny(self._desk, consent), 302)
        account = self._platform.world.account(self._platform.key, chosen.get("account", ""))
        ticked = tuple(scope for name, scope in fields if name == "scope" and scope in consent.scopes)
        return RedirectResponse(allow(self._desk, consent, account, ticked), 302)

    def _page(self, consent: Consent) -> str:
        platform = self._platform
        mine = [a for a in platform.world.accounts.all() if a.platform == platform.key]
        choices = "".join(
            f'<label class="row"><input type="radio" name="account" value="{escape(a.handle)}" required'
            f'{" checked" if a is mine[0] else ""}><img class="avatar" alt="" '
            f'src="{escape(pages.avatar_url(platform.world, a))}"><span><b>{escape(a.name)}</b>'
            f"<small>@{escape(a.handle)}</small></span></label>"
            for a in mine
        )
        scopes = "".join(
            f'<label class="row"><input type="checkbox" name="scope" value="{escape(s)}" checked>'
            f"<code>{escape(s)}</code></label>"
            for s in consent.scopes
        )
        host = urlsplit(consent.redirect_uri).netloc
        nobody = "<p>No account yet. Make one with <code>POST /_sandbox/accounts</code>.</p>"
        body = (
            f"<h1>Connect to {escape(platform.title)}</h1>"
            f"<p>The app at <b>{escape(host)}</b> asks for access to your account.</p>"
            f'<form method="post"><fieldset><legend>Account</legend>{choices or nobody}</fieldset>'
            f"<fieldset><legend>It may</legend>{scopes}</fieldset>"
            '<div class="buttons"><button name="decision" value="allow" class="primary"'
            f"{'' if mine else ' disabled'}>Allow</button>"
            '<button name="decision" value="deny" formnovalidate>Cancel</button></div></form>'
        )
        return pages.frame(f"{platform.title}: connect", body, narrow=True)
