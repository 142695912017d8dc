"""What do all platforms of one sandbox share? Clock, store, files, accounts, faults, uploads, request log."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from autorepost_app.sandbox.clock import Clock
from autorepost_app.sandbox.faults import FaultBook, UnknownName
from autorepost_app.sandbox.footage import Facts, NotAVideo, Vault
from autorepost_app.sandbox.oauth import Grants
from autorepost_app.sandbox.platform import Account, Platform, Upload
from autorepost_app.sandbox.records import Record, Store, Table

_LOG = logging.getLogger(__name__)


class Remembered(Record):
    """Odd values that outlive a restart: the clock's offset, settings, counters."""

    value: Any = None


class World:
    """One sandbox. Platforms hold on to it; it knows them only by what `Platform` promises."""

    def __init__(self, folder: Path, state_file: Path | None = None, ffprobe: str | None = None) -> None:
        self.base_url = ""
        self.store = Store(state_file)
        self.memory = Table(self.store, "memory", Remembered)
        self.clock = Clock(float(self.recall("clock", 0.0)))
        self.vault = Vault(folder, ffprobe)
        self.grants = Grants(self.store, self.clock)
        self.accounts = Table(self.store, "account", Account)
        self.uploads = Table(self.store, "upload", Upload)
        self.requests: deque[dict[str, Any]] = deque(maxlen=5000)
        self.platforms: dict[str, Platform] = {}
        self.faults = FaultBook({})
        self._windows: dict[tuple[str, ...], deque[datetime]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Whoever runs the socket says how to stop listening for some seconds.
        self.go_dark: Callable[[float], Awaitable[None]] | None = None

    def recall(self, name: str, default: Any) -> Any:
        kept = self.memory.get(name)
        return default if kept is None else kept.value

    def remember(self, name: str, value: Any) -> None:
        self.memory.put(Remembered(id=name, value=value))

    def next_number(self, name: str, start: int, step: int = 1) -> int:
        number = int(self.recall(name, start)) + step
        self.remember(name, number)
        return number

    def platform(self, key: str) -> Platform:
        if key not in self.platforms:
            raise UnknownName("platform", key, self.platforms)
        return self.platforms[key]

    def account(self, platform: str, named: str) -> Account:
        """By handle (with or without @) or by id."""
        mine = [account for account in self.accounts.all() if account.platform == platform]
        for account in mine:
            if named.lstrip("@") == account.handle or named == account.id:
                return account
        raise UnknownName("account", named, [account.handle for account in mine] or ["(none yet)"])

    def open_account(self, platform: Platform, handle: str, name: str, options: dict[str, Any]) -> Account:
        account_id = platform.new_account_id(handle)
        return self.accounts.put(
            Account(
                id=account_id,
                account_id=account_id,
                platform=platform.key,
                handle=handle,
                name=name,
                created_at=self.clock.now(),
                options=platform.Options.model_validate(options).model_dump(),
            )
        )

    async def take_media(self, platform: str, account_id: str, spool: Path) -> Facts:
        """Probes and files a finished upload, and counts it. Raises NotAVideo."""
        facts = await self.vault.keep(spool)
        number = len(self.uploads) + 1
        self.uploads.put(
            Upload(
                id=f"{account_id}:{number}",
                account_id=account_id,
                platform=platform,
                sha256=facts.sha256,
                at=self.clock.now(),
            )
        )
        return facts

    async def try_media(self, platform: str, account_id: str, spool: Path) -> Facts | None:
        try:
            return await self.take_media(platform, account_id, spool)
        except NotAVideo:
            return None

    def times_uploaded(self, account_id: str) -> Counter[str]:
        return Counter(upload.sha256 for upload in self.uploads.of(account_id))

    def within_window(self, name: tuple[str, ...], limit: int, seconds: float) -> tuple[bool, int, datetime]:
        """Counts one call in a sliding window: allowed?, how many are left, when the oldest falls out."""
        calls = self._windows.setdefault(name, deque())
        now = self.clock.now()
        while calls and not now - timedelta(seconds=seconds) < calls[0] <= now:
            calls.popleft()
        allowed = len(calls) < limit
        if allowed:
            calls.append(now)
        return allowed, limit - len(calls), (calls[0] if calls else now) + timedelta(seconds=seconds)

    def soon(self, work: Awaitable[Any]) -> None:
        """Runs in the background; an error in it is a bug of the sandbox and must be seen."""

        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("background work of the sandbox failed", exc_info=error)

    def later(self, due_at: datetime, work: Callable[[], Awaitable[Any]]) -> None:
        """Does `work` when the sandbox's time is `due_at`, whether anybody asks or not."""

        async def wait_and_work() -> None:
            await self.clock.wait_until(due_at)
            await work()

        self.soon(wait_and_work())

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()
