"""The one reader of wall time. Everything else is given a `Clock`.

Times are seconds on a monotonic scale with an arbitrary origin.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import Protocol


class Clock(Protocol):
    def now_s(self) -> float: ...

    async def sleep_until_s(self, deadline_s: float) -> None:
        """Return at or after `deadline_s`; at once (but yielding) when it has passed."""
        ...


class MonotonicClock:
    def now_s(self) -> float:
        return time.monotonic()

    async def sleep_until_s(self, deadline_s: float) -> None:
        await asyncio.sleep(max(deadline_s - time.monotonic(), 0.0))


def date_stamp() -> str:
    """The local date and time, fit for a file's name. For people; nothing is timed by it."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


class ManualClock:
    """A clock that tests move by hand."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0

    def now_s(self) -> float:
        return self._now_s

    async def sleep_until_s(self, deadline_s: float) -> None:
        if deadline_s <= self._now_s:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (deadline_s, self._order, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Wake every sleeper due within `seconds`, in order, letting each one run."""
        end_s = self._now_s + seconds
        while self._sleepers and self._sleepers[0][0] <= end_s:
            deadline_s, _, future = heapq.heappop(self._sleepers)
            self._now_s = deadline_s
            if not future.done():
                future.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)
        self._now_s = end_s
