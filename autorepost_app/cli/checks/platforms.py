"""Can we reach the platforms, as whom, and can they reach us?"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from autorepost_app.bootstrap import links_are_reachable, open_links
from autorepost_app.cli.checks import Finding, Status, ok, problem, warning
from autorepost_app.cli.checks.database import Stored
from autorepost_app.cli.checks.machine import is_running
from autorepost_app.config import PREFIX, Settings
from autorepost_app.domain.errors import UserError
from autorepost_app.platform_kit.http import new_client
from autorepost_app.platform_kit.protocol import Platform
from autorepost_app.platform_kit.proxies import ProxyFailure
from autorepost_app.services.links import check_reachable

_ANSWER_SECONDS = 5.0
_SKEW_SEEN_SECONDS = 30.0
_SKEW_STOPS_SECONDS = 600.0
_CREDENTIALS = ("CLIENT_ID", "CLIENT_SECRET")

Manifests = Mapping[str, Platform]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said to a plain question, if anything; `ahead_seconds` is how far our clock is before its.

    `error` says in words why there is no answer, `remedy` what helps.
    """

    platform: str
    name: str
    url: str
    error: str = ""
    remedy: str = ""
    ahead_seconds: float | None = None


def credentials(settings: Settings, manifests: Manifests, stored: Stored) -> Iterator[Finding]:
    """Missing ones stop only a platform that is in use."""
    in_use = {platform for platform, _login in stored.connected}
    for key, manifest in sorted(manifests.items()):
        missing = _missing(settings, key)
        name = f"{manifest.name} app"
        if not missing:
            yield ok(name, "has its credentials")
        else:
            remedy = f"Set {' and '.join(missing)} to what {manifest.name} gave for your app."
            make = problem if key in in_use else warning
            yield make(name, "has connected accounts but no credentials" if key in in_use else "not set up", remedy)


def _missing(settings: Settings, key: str) -> list[str]:
    return [f"{PREFIX}{key.upper()}_{name}" for name in _CREDENTIALS if not settings.platform_value(key, name)]


def both_ends(settings: Settings, manifests: Manifests) -> Iterator[Finding]:
    """A post comes from somewhere and goes somewhere."""
    sources = {key: each.name for key, each in sorted(manifests.items()) if each.source is not None}
    destinations = {key: each.name for key, each in sorted(manifests.items()) if each.destination is not None}
    yield _an_end(settings, "sources", sources, "none is set up, so no post can be found")
    yield _an_end(settings, "destinations", destinations, "none is set up, so no post can go anywhere")


def _an_end(settings: Settings, what: str, platforms: Mapping[str, str], lacking: str) -> Finding:
    able = [name for key, name in platforms.items() if not _missing(settings, key)]
    if able:
        return ok(what, ", ".join(able))
    first = next(iter(platforms), None)
    if first is None:
        return problem(what, lacking, "Install a platform that offers it.")
    wanted = " and ".join(_missing(settings, first))
    others = f", or those of {' or '.join(list(platforms.values())[1:])}" if len(platforms) > 1 else ""
    return problem(what, lacking, f"Set {wanted}{others}. To try it without any: `python3 dev.py demo`.")


def public_address(settings: Settings, manifests: Manifests, stored: Stored) -> Finding:
    """Platforms that fetch the file from us have to reach it: in vain for those with accounts stops their posts."""
    needing = {
        manifests[platform].name
        for platform, login in stored.connected
        if platform in manifests and _fetches(manifests[platform], login)
    }
    if links_are_reachable(settings):
        able = {each.name for key, each in manifests.items() if not _missing(settings, key) and _may_fetch(each)}
        if settings.public_url and needing | able:
            return _as_it_is_reached(settings, needing, needing | able)
        return ok("public address", settings.url)
    remedy = f"Set {PREFIX}PUBLIC_URL to the https address under which {settings.url}/media/signed is reached."
    if needing:
        found = f"{_and(needing)} cannot fetch files from {settings.url}"
        return problem("public address", found, remedy)
    fetchers = {each.name for each in manifests.values() if _may_fetch(each)}
    if fetchers:
        found = f"{settings.url} is reached only from here; {_and(fetchers)} may have to fetch files"
        return warning("public address", found, remedy)
    return ok("public address", f"{settings.url}; no platform here needs one")


def _as_it_is_reached(settings: Settings, needing: set[str], fetchers: set[str]) -> Finding:
    """Fetches a trial link by it, which only a running product answers."""
    if not ((settings.home / "keys" / "links.key").exists() and is_running(settings)):
        found = f"{settings.url} could not be tried, because this product does not run"
        return warning("public address", found, "Look again while it runs: only then can anybody fetch from it.")
    try:
        check_reachable(open_links(settings))
    except UserError as error:
        make = problem if needing else warning
        return make("public address", f"{error.text} {_and(fetchers)} has to fetch files from there.", error.remedy)
    return ok("public address", f"{settings.url}, and a file was fetched by it")


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _may_fetch(manifest: Platform) -> bool:
    return any(_fetches(manifest, login) for login in manifest.oauth.logins)


def _fetches(manifest: Platform, login: str) -> bool:
    return manifest.destination is not None and manifest.destination.needs_public_url(login)


def ask_hosts(settings: Settings, manifests: Manifests) -> list[Answer]:
    """One short question to every host, all at once, as the product itself would ask. No credentials are sent."""
    asked = [
        (manifest.name, host.name, settings.platform_value(key, f"{host.name}_URL") or host.default_url)
        for key, manifest in sorted(manifests.items())
        for host in manifest.hosts
    ]
    with new_client(_ANSWER_SECONDS) as client, ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(lambda each: _ask(client, *each), asked))


def _ask(client: httpx.Client, platform: str, name: str, url: str) -> Answer:
    """Any answer at all means that the host is there."""
    try:
        answer = client.head(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why, remedy = _in_words(error)
        return Answer(platform, name, url, error=why, remedy=remedy)
    return Answer(platform, name, url, ahead_seconds=_ahead(answer.headers.get("date")))


def _in_words(error: Exception) -> tuple[str, str]:
    """Why a host did not answer, and what helps. The reason lies at the bottom of what the client raised."""
    below: BaseException = error
    while not isinstance(below, ProxyFailure) and (cause := below.__cause__ or below.__context__) is not None:
        below = cause
    match below:
        case ProxyFailure():
            return str(below), "Correct HTTPS_PROXY, or name the host in NO_PROXY if it is reached directly."
        case socket.gaierror():
            return "its name is not known here", "Check this machine's DNS: `getent hosts` has to find such names."
        case ConnectionRefusedError():
            return "nothing listens there", "Start what should, or correct its address."
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted here", "Put your network's own authority into SSL_CERT_FILE."
        case TimeoutError():
            return "it takes too long", "Check the firewall: connections to port 443 have to be let out."
    return str(error) or type(error).__name__, "Check the way out of this machine."


def _ahead(date: str | None) -> float | None:
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError):
        return None


def hosts(answers: Iterable[Answer]) -> Iterator[Finding]:
    """A platform that is down at start is no reason not to start: its posts wait."""
    by_platform: dict[str, list[Answer]] = {}
    for answer in answers:
        by_platform.setdefault(answer.platform, []).append(answer)
    for platform, of_platform in by_platform.items():
        down = [answer for answer in of_platform if answer.error]
        if not down:
            yield ok(f"{platform} hosts", "all answer")
            continue
        reasons = "; ".join(sorted({answer.error for answer in down}))
        found = f"no answer from {', '.join(answer.url for answer in down)} ({reasons})"
        remedy = " ".join(sorted({answer.remedy for answer in down}))
        yield warning(f"{platform} hosts", found, f"{remedy} Posts wait until it answers.")


def amiss(settings: Settings, manifests: Manifests) -> list[Finding]:
    """What whoever has just started the product should know: posts will wait for it, nothing else does."""
    able = {key: manifest for key, manifest in manifests.items() if not _missing(settings, key)}
    found = [*both_ends(settings, manifests), *hosts(ask_hosts(settings, able))]
    return [each for each in found if each.status is not Status.OK]


def clock(answers: Iterable[Answer]) -> Finding:
    """Against the middle of what the hosts say: one may be wrong itself."""
    told = sorted(answer.ahead_seconds for answer in answers if answer.ahead_seconds is not None)
    if not told:
        return warning("clock", "could not be compared: no platform answered", "Look at it by hand: run `date -u`.")
    ahead = told[len(told) // 2]
    found = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the platforms' clocks"
    remedy = "Switch time synchronisation on (timedatectl set-ntp true)."
    if abs(ahead) >= _SKEW_STOPS_SECONDS:
        return problem("clock", found, remedy)
    if abs(ahead) >= _SKEW_SEEN_SECONDS:
        return warning("clock", found, remedy)
    return ok("clock", "agrees with the platforms'")
