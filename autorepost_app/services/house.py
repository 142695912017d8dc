"""What does a use case work with? One value that the wiring builds and everything else receives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from autorepost_app.domain.clock import Clock
from autorepost_app.domain.errors import UserError
from autorepost_app.domain.publications import SendTimes
from autorepost_app.media.binaries import Binaries
from autorepost_app.media.store import Store
from autorepost_app.persistence.engine import Database
from autorepost_app.persistence.secrets import Vault
from autorepost_app.platform_kit.protocol import (
    AppCredentials,
    Destination,
    DestinationSpec,
    Parts,
    Platform,
    Source,
    SourceSpec,
)


class Links(Protocol):
    """Short-lived public addresses of stored files, for platforms that fetch a URL."""

    @property
    def base_url(self) -> str: ...

    def address(self, key: str, ttl_seconds: float) -> str:
        """Raises UserError when nobody outside could reach it."""


@dataclass(frozen=True, slots=True)
class Platforms:
    """The manifests by key, and their parts once the app credentials are known."""

    manifests: Mapping[str, Platform]
    parts_of: Callable[[str], Parts] = field(repr=False)
    apps_of: Callable[[str], Mapping[str, AppCredentials]] = field(repr=False)

    def manifest(self, key: str) -> Platform:
        """Raises UserError for a platform that is not installed."""
        try:
            return self.manifests[key]
        except KeyError:
            known = ", ".join(sorted(self.manifests))
            raise UserError(
                f"There is no platform {key}.", remedy=f"Choose one of {known}.", field="platform"
            ) from None

    def name(self, key: str) -> str:
        """As people call it; of a platform that is not installed any more, its key."""
        return self.manifests[key].name if key in self.manifests else key

    def parts(self, key: str) -> Parts:
        """Raises UserError when its app credentials are missing."""
        self.manifest(key)
        return self.parts_of(key)

    def apps(self, key: str) -> Mapping[str, AppCredentials]:
        """Our own registrations by login, "" for the common one. Raises UserError when that is missing."""
        self.manifest(key)
        return self.apps_of(key)

    def source(self, key: str) -> Source:
        source = self.parts(key).source
        if source is None:
            raise UserError(f"{self.manifest(key).name} cannot be a source.", field="platform")
        return source

    def source_spec(self, key: str) -> SourceSpec:
        spec = self.manifest(key).source
        if spec is None:
            raise UserError(f"{self.manifest(key).name} cannot be a source.", field="platform")
        return spec

    def destination(self, key: str) -> Destination:
        destination = self.parts(key).destination
        if destination is None:
            raise UserError(f"{self.manifest(key).name} cannot be a destination.", field="platform")
        return destination

    def destination_spec(self, key: str) -> DestinationSpec:
        spec = self.manifest(key).destination
        if spec is None:
            raise UserError(f"{self.manifest(key).name} cannot be a destination.", field="platform")
        return spec

    def sources(self) -> list[str]:
        return sorted(key for key, manifest in self.manifests.items() if manifest.source is not None)

    def destinations(self) -> list[str]:
        return sorted(key for key, manifest in self.manifests.items() if manifest.destination is not None)


@dataclass(frozen=True, slots=True)
class House:
    """`worker` names this process in leases; `work_dir` is for files that may vanish."""

    db: Database
    vault: Vault
    platforms: Platforms
    store: Store
    tools: Binaries
    links: Links
    clock: Clock
    work_dir: Path
    worker: str
    times: SendTimes = field(default_factory=SendTimes)

    @contextmanager
    def workbench(self, purpose: str) -> Iterator[Path]:
        """A folder of its own for one step, gone afterwards."""
        self.work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryDirectory(prefix=f"{purpose}-", dir=self.work_dir) as folder:
            yield Path(folder)
