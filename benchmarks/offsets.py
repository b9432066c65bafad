"""Is a commanded lip-sync offset met? For a session, and for one viewer of it.

A calibration session (testcard, a beep every 1.513 s) is received by a WHEP viewer. The picture's
number tells its media time and so how far into it the beep begins; what is constant (Opus hears 6.5
ms late) goes with the reading at 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatar_server.sources.beeps import PERIOD_S
from benchmarks.listener import Received, listener
from benchmarks.report import Figures
from tests.peers.clients import Control, control
from tests.peers.real_server import RealServer
from tests.peers.rest import call

OFFSETS_MS = (-300, -200, -100, -50, -20, -10, 10, 20, 50, 100, 200, 300)
BEEPS = 4
SOUND_SLEW_S_PER_MS = 1 / 50  # the slower of the two


@dataclass(frozen=True)
class Calibration:
    """A calibration session and who commands it."""

    server: RealServer
    ident: str
    token: str

    async def command(self, **message: object) -> None:
        path = f"/api/sessions/{self.ident}/commands"
        call_it = (call, self.server, "POST", path, message, self.token)
        status, answer = await asyncio.to_thread(*call_it)
        assert status == 200, answer

    async def viewers(self) -> list[dict[str, Any]]:
        path = f"/api/sessions/{self.ident}"
        _, facts = await asyncio.to_thread(call, self.server, "GET", path, None, self.token)
        return [sink for sink in facts["sinks"] if sink["kind"] == "webrtc"]


@asynccontextmanager
async def calibration(server: RealServer) -> AsyncIterator[Calibration]:
    """Lives as long as the block lasts."""
    async with control(server.url) as client:
        await client.send("hello", calibrate=True)
        welcome = await client.expect("welcome")
        beat = asyncio.create_task(_beat(client))
        try:
            yield Calibration(server, welcome["session"], welcome["resume"])
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)


async def _beat(client: Control) -> None:
    """Read what is told, and stay alive."""
    while True:
        await client.send("ping", t=0)
        await client.expect("pong")
        await asyncio.sleep(1)


async def reading_ms(received: Received, delay_ms: float = 0.0) -> float:
    """The median skew of the next beeps."""
    received.forget()
    await asyncio.sleep((BEEPS + 0.7) * PERIOD_S)
    found = received.skews_ms(delay_ms)
    assert len(found) >= 2, f"heard {len(received.onsets)} beeps, saw {received.flashes}"
    return float(np.median(found))


Setter = Callable[[int], Awaitable[None]]


async def errors_ms(
    received: Received, set_offset: Setter, offsets_ms: tuple[int, ...], *, of_session: bool
) -> dict[int, float]:
    """Per offset: what was read, less the reading at 0, less what was commanded."""
    zero, last, errors = await reading_ms(received), 0, {}
    for offset_ms in offsets_ms:
        await set_offset(offset_ms)
        await asyncio.sleep(0.5 + abs(offset_ms - last) * SOUND_SLEW_S_PER_MS)
        read = await reading_ms(received, max(offset_ms, 0) if of_session else 0.0)
        errors[offset_ms], last = round(read - zero - offset_ms, 2), offset_ms
        print(f"{'session' if of_session else 'viewer'} {offset_ms:+d} ms: {errors[offset_ms]:+}")
    await set_offset(0)
    await asyncio.sleep(0.5 + abs(last) * SOUND_SLEW_S_PER_MS)
    return errors


async def measure(
    server: RealServer, offsets_ms: tuple[int, ...] = OFFSETS_MS
) -> dict[str, dict[int, float]]:
    """{"session": {offset: error}, "viewer": {…}}"""
    async with calibration(server) as session, listener(server, session.ident) as received:
        await asyncio.sleep(3)
        (viewer,) = await session.viewers()

        async def for_all(offset_ms: int) -> None:
            await session.command(type="set", lip_sync_offset_ms=offset_ms)

        async def for_one(offset_ms: int) -> None:
            await session.command(type="sink_offset", id=viewer["id"], offset_ms=offset_ms)

        return {
            "session": await errors_ms(received, for_all, offsets_ms, of_session=True),
            "viewer": await errors_ms(received, for_one, offsets_ms, of_session=False),
        }


async def figures(server: RealServer, offsets_ms: tuple[int, ...] = OFFSETS_MS) -> Figures:
    """The worst error of all, of a session's offsets and of a viewer's own."""
    errors = await measure(server, offsets_ms)
    worst = {of: max(abs(error) for error in by.values()) for of, by in errors.items()}
    return {
        "offset_error_ms_max": round(max(worst.values()), 2),
        "offset_error_session_ms_max": round(worst["session"], 2),
        "offset_error_viewer_ms_max": round(worst["viewer"], 2),
    }
