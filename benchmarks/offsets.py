"""Is a commanded lip-sync offset met? Measured in a real browser, for session and viewer.

A calibration session (testcard, a beep every 1.513 s) is watched by the OBS page. The picture's
number tells its media time and so how far into it the beep begins; what the sound's tap in the
browser loses is the same for every offset, so each is compared with the reading at 0 before it.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.async_api import Page

from avatar_server.sources.beeps import PERIOD_S
from tests.peers.browser import browser_page, picture_shown, probe
from tests.peers.clients import Control, control
from tests.peers.real_server import RealServer
from tests.peers.rest import call

FRAME_MS = 40.0
OFFSETS_MS = (-300, -100, -10, 10, 100, 300)
SETTLE_S = 16.0  # the browser's own synchronisation
BEEPS = 6


@dataclass(frozen=True)
class Calibration:
    """A calibration session and who commands it; it lives as long as its socket pings."""

    server: RealServer
    client: Control
    ident: str
    token: str

    async def command(self, **message: object) -> None:
        path = f"/api/sessions/{self.ident}/commands"
        status, answer = await asyncio.to_thread(
            call, self.server, "POST", path, message, self.token
        )
        assert status == 200, answer

    async def sinks(self) -> list[dict[str, Any]]:
        path = f"/api/sessions/{self.ident}"
        _, facts = await asyncio.to_thread(call, self.server, "GET", path, None, self.token)
        listing: list[dict[str, Any]] = facts["sinks"]
        return listing


def phase_ms(pts: int, delay_ms: float = 0.0) -> float | None:
    """How far into the picture a beep begins; None when none does. `delay_ms`: how much older
    the sound is that the pictures show (a session's offset, when positive)."""
    start_s = (pts * FRAME_MS - delay_ms) / 1000
    beep = np.ceil(start_s / PERIOD_S - 0.5 - 0.005)
    phase = 1000 * ((beep + 0.5) * PERIOD_S - start_s)
    return float(phase) if -6 < phase < FRAME_MS + 6 else None


def skews_ms(
    frames: list[dict[str, Any]], sounds: list[list[float]], delay_ms: float = 0.0
) -> list[float]:
    """Picture against sound at each beep; negative: the picture is early."""
    flashes = []
    for before, frame in itertools.pairwise(frames):
        if frame["flash"] and not before["flash"] and frame["pts"] is not None:
            phase = phase_ms(frame["pts"], delay_ms)
            if phase is not None:
                flashes.append(frame["time"] + phase)
    found = []
    for _, heard in sounds:
        nearest = min((flash - heard for flash in flashes), key=abs, default=None)
        if nearest is not None and abs(nearest) < 700:
            found.append(float(nearest))
    return found


async def reading_ms(page: Page, delay_ms: float = 0.0) -> float:
    """The median skew of the next beeps."""
    await page.evaluate("() => { __probe.frames.length = 0; __probe.soundOnsets.length = 0; }")
    await asyncio.sleep((BEEPS + 1) * PERIOD_S)
    found = skews_ms(await probe(page, "frames"), await probe(page, "soundOnsets"), delay_ms)
    assert len(found) >= BEEPS // 2, "the beeps are not heard or the flashes not seen"
    return float(np.median(found))


async def errors_ms(
    page: Page, set_offset: Any, offsets_ms: tuple[int, ...], *, of_session: bool
) -> dict[int, float]:
    """Per offset: what was read, less what was commanded, less the readings at 0 around it."""
    readings = {}
    zero = await reading_ms(page)
    for offset_ms in offsets_ms:
        await set_offset(offset_ms)
        await asyncio.sleep(2 + abs(offset_ms) / 50)  # the slew, and what is buffered
        read = await reading_ms(page, max(offset_ms, 0) if of_session else 0.0)
        await set_offset(0)
        await asyncio.sleep(2 + abs(offset_ms) / 50)
        again = await reading_ms(page)
        readings[offset_ms] = read - (zero + again) / 2 - offset_ms
        zero = again
    return readings


async def measure(
    server: RealServer, offsets_ms: tuple[int, ...] = OFFSETS_MS
) -> dict[str, dict[int, float]]:
    """{"session": {offset: error}, "viewer": {…}}"""
    async with control(server.url) as client:
        await client.send("hello", calibrate=True)
        welcome = await client.expect("welcome")
        beat = asyncio.create_task(_beat(client))
        try:
            calibration = Calibration(server, client, welcome["session"], welcome["resume"])
            return await _measure(calibration, offsets_ms)
        finally:
            beat.cancel()


async def _measure(
    calibration: Calibration, offsets_ms: tuple[int, ...]
) -> dict[str, dict[int, float]]:
    url = f"{calibration.server.url}/obs?session={calibration.ident}"
    async with browser_page(url) as page:
        await picture_shown(page)
        await probe(page, "start()")
        await asyncio.sleep(SETTLE_S)
        (viewer,) = await calibration.sinks()

        async def session(offset_ms: int) -> None:
            await calibration.command(type="set", lip_sync_offset_ms=offset_ms)

        async def own(offset_ms: int) -> None:
            await calibration.command(type="sink_offset", id=viewer["id"], offset_ms=offset_ms)

        return {
            "session": await errors_ms(page, session, offsets_ms, of_session=True),
            "viewer": await errors_ms(page, own, offsets_ms, of_session=False),
        }


async def _beat(client: Control) -> None:
    """Read what is told, and stay alive."""
    while True:
        await client.send("ping", t=0)
        await client.expect("pong")
        await asyncio.sleep(1)
