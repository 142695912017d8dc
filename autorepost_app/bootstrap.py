"""How are the parts put together? The only module that knows all of them.

`settings_from` reads the environment, `open_house` gives a process what use cases need.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import pkgutil
import secrets
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from autorepost_app import config, platforms
from autorepost_app.config import Settings
from autorepost_app.domain.clock import Clock, utc_now
from autorepost_app.domain.errors import UserError
from autorepost_app.media.binaries import resolve_binaries
from autorepost_app.media.store import Store
from autorepost_app.persistence.access import AccessFile
from autorepost_app.persistence.engine import Database
from autorepost_app.persistence.secrets import KeyFile, Vault
from autorepost_app.platform_kit.protocol import AppCredentials, Parts, Platform, Reach
from autorepost_app.services.house import House, Platforms
from autorepost_app.services.links import SignedLinks
from autorepost_app.services.quotas import SharedMeter

_CREDENTIAL_NAMES: Final = ("CLIENT_ID", "CLIENT_SECRET")


def find_platforms() -> dict[str, Platform]:
    """Every folder under `platforms/`, by key. A new one is found because it is there."""
    found = {}
    for module in pkgutil.iter_modules(platforms.__path__):
        manifest = importlib.import_module(f"{platforms.__name__}.{module.name}").PLATFORM
        found[manifest.key] = manifest
    return found


def platform_settings(manifests: Mapping[str, Platform]) -> list[str]:
    """The setting names, without the prefix, that the manifests add."""
    names = []
    for key, manifest in manifests.items():
        hosts = [f"{host.name}_URL" for host in manifest.hosts]
        apart = [f"{login}_{name}" for login in sorted(manifest.oauth.registrations) for name in _CREDENTIAL_NAMES]
        names += [f"{key}_{name}".upper() for name in (*_CREDENTIAL_NAMES, *apart, *hosts)]
    return names


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Raises UserError naming the setting."""
    return config.read(environ, platform_settings(find_platforms()))


# --------------------------------------------------------------------------------------------------------- the house


def open_house(settings: Settings, *, clock: Clock = utc_now) -> House:
    """What use cases need, for this process; the caller closes it with `close_house`.

    Raises UserError and, without a usable ffmpeg, ToolsMissing.
    """
    access = AccessFile.of(settings.home)
    manifests = find_platforms()
    db = Database(access.url("app"), access.url("system"))
    parts = _PartsOnDemand(settings, manifests, clock, db)
    return House(
        db=db,
        vault=open_vault(settings),
        platforms=Platforms(manifests, parts, parts.apps),
        store=open_store(settings),
        tools=resolve_binaries(settings.ffmpeg_bin, settings.ffprobe_bin),
        links=open_links(settings, clock),
        clock=clock,
        work_dir=settings.home / "work",
        worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
    )


def close_house(house: House) -> None:
    house.db.close()
    if isinstance(house.platforms.parts_of, _PartsOnDemand):
        house.platforms.parts_of.close()


def open_vault(settings: Settings) -> Vault:
    """Raises UserError for a key file that is missing, unreadable or readable by others."""
    if settings.keys.startswith("kms:"):
        raise UserError(
            "Keys in AWS KMS cannot be used yet.",
            remedy="Leave AUTOREPOST_KEYS unset to use a key file.",
            field="AUTOREPOST_KEYS",
        )
    return Vault(KeyFile.open(settings.key_file, make=not settings.keys))


def open_store(settings: Settings) -> Store:
    """Raises UserError for a folder that cannot be made."""
    try:
        return Store(settings.store)
    except OSError as error:
        raise UserError(
            f"The store {settings.store} cannot be used: {error.strerror or error}.",
            remedy="Give it a folder that this user may write to.",
            field="AUTOREPOST_STORE_URL",
        ) from error


def open_links(settings: Settings, clock: Clock = utc_now) -> SignedLinks:
    key = KeyFile.open(settings.home / "keys" / "links.key", make=True)
    return SignedLinks(settings.url, key.keys[key.primary], clock, reachable=links_are_reachable(settings))


def links_are_reachable(settings: Settings) -> bool:
    """Whether the platforms can fetch our links: always on a public address, and on this machine the sandbox's."""
    if not is_loopback(settings.url):
        return True
    addresses = [value.get_secret_value() for name, value in settings.platforms.items() if name.endswith("_URL")]
    return bool(addresses) and all(is_loopback(address) for address in addresses)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _PartsOnDemand:
    """Builds a platform's parts at first use: a platform nobody uses needs no credentials."""

    def __init__(self, settings: Settings, manifests: Mapping[str, Platform], clock: Clock, db: Database) -> None:
        self._settings = settings
        self._manifests = manifests
        self._clock = clock
        self._db = db
        self._built: dict[str, Parts] = {}

    def __call__(self, key: str) -> Parts:
        if key not in self._built:
            manifest = self._manifests[key]
            meter = SharedMeter(self._db, manifest, self._clock)
            apps = dict(self.apps(key))
            reach = Reach(self._urls(manifest), apps.pop(""), self._clock, meter, apps)
            self._built[key] = manifest.build(reach)
        return self._built[key]

    def close(self) -> None:
        for parts in self._built.values():
            parts.close()

    def _urls(self, manifest: Platform) -> dict[str, str]:
        return {
            host.name: self._settings.platform_value(manifest.key, f"{host.name}_URL") or host.default_url
            for host in manifest.hosts
        }

    def apps(self, key: str) -> dict[str, AppCredentials]:
        """By login, "" for the one that all others share. Raises UserError for one that is missing or half there."""
        manifest = self._manifests[key]
        prefixes = {login: f"{login}_".upper() for login in sorted(manifest.oauth.registrations)}
        apart = {login: prefix for login, prefix in prefixes.items() if self._has_any(manifest, prefix)}
        return {login: self._credentials(manifest, prefix) for login, prefix in {"": "", **apart}.items()}

    def _has_any(self, manifest: Platform, prefix: str) -> bool:
        return any(self._settings.platform_value(manifest.key, prefix + name) for name in _CREDENTIAL_NAMES)

    def _credentials(self, manifest: Platform, prefix: str) -> AppCredentials:
        names = [prefix + name for name in _CREDENTIAL_NAMES]
        found = [self._settings.platform_value(manifest.key, name) for name in names]
        client_id, client_secret = found
        if client_id is None or client_secret is None:
            missing = " and ".join(
                f"{config.PREFIX}{manifest.key.upper()}_{name}"
                for name, value in zip(names, found, strict=True)
                if value is None
            )
            raise UserError(
                f"{manifest.name} is not set up.", remedy=f"Set {missing}.", field=missing.split(" and ")[0]
            )
        return AppCredentials(client_id, client_secret)
