"""What sinks that live by themselves have in common: a state, second tries, and an end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal

from avatar_server.sinks.base import Feed

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
STEADY_S = 10.0  # live for so long, and the next loss counts as a first one again
GIVE_UP_S = 600.0  # a target that is gone for good must not keep a session alive for ever

State = Literal["starting", "live", "retrying", "failed", "closed"]


class Lost(Exception):
    """An attempt ended for the reason given; another one may do better, not before `wait_s`."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Hopeless(Lost):
    """Another attempt would end the same."""


class Life:
    """Repeats `attempt`, which calls `went_live` when media really flows, returns when it ended
    as it was asked to, and raises `Lost` otherwise; waits twice as long each time, 30 s at most
    unless the other side asks for more, and gives up when it was not live for ten minutes.

    A person hears of every change as a notice, once, not of every try.
    """

    def __init__(self, name: str, feed: Feed, attempt: Callable[[], Awaitable[None]]) -> None:
        self.state: State = "starting"
        self.reason = ""
        self._name = name
        self._feed = feed
        self._attempt = attempt
        self._live_since_s = math.inf
        self._task = asyncio.create_task(self._run(), name=name)

    def went_live(self) -> None:
        if self.state == "retrying":
            self._feed.tell("sink_live", f"{self._name} is back")
        self.state, self.reason = "live", ""
        self._live_since_s = self._feed.clock.now_s()

    async def end(self, patience_s: float) -> None:
        """Give the attempt under way so long to finish; then it is cancelled and waited for."""
        if self.state in ("starting", "live"):
            await asyncio.wait({self._task}, timeout=patience_s)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.state != "failed":
            self.state = "closed"

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        lost_s = self._feed.clock.now_s()
        while True:
            self._live_since_s, asked_s = math.inf, 0.0
            try:
                await self._attempt()
            except Hopeless as error:
                self._change("failed", str(error))
                return
            except Lost as error:
                self._change("retrying", str(error))
                asked_s = error.wait_s
            else:
                self.state = "closed"
                return
            now_s = self._feed.clock.now_s()
            if self._live_since_s < now_s:
                lost_s = now_s
            if now_s - self._live_since_s > STEADY_S:
                wait_s = FIRST_WAIT_S
            if now_s - lost_s >= GIVE_UP_S:
                self._change("failed", f"{self.reason}; given up after {GIVE_UP_S / 60:g} minutes")
                return
            if asked_s > GIVE_UP_S:
                self._change("failed", f"{self.reason}; it asks to wait {asked_s / 60:.0f} minutes")
                return
            await self._feed.clock.sleep_until_s(now_s + max(wait_s, asked_s))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _change(self, state: State, reason: str) -> None:
        if state != self.state:
            again = "; trying again" if state == "retrying" else ""
            self._feed.tell(f"sink_{state}", f"{self._name}: {reason}{again}")
        self.state, self.reason = state, reason
