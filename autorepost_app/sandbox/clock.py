"""What time is it in the sandbox? Real time plus an offset that a test may move."""

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """Every expiry, window and processing delay of the sandbox asks here, so moving time moves all of them."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset_seconds)

    def after(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    def epoch(self) -> int:
        return int(self.now().timestamp())

    def advance(self, seconds: float) -> None:
        self.offset_seconds += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    def set(self, moment: datetime) -> None:
        self.advance((moment - self.now()).total_seconds())

    async def wait_until(self, moment: datetime) -> None:
        """Sleeps until the sandbox's time reaches `moment`, waking early when somebody moves the clock."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), timeout=left)
            except TimeoutError:
                continue
