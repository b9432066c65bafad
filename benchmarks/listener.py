"""A WHEP viewer that is no browser: what it received, on the sender's clock.

Sound and picture are decoded, and put on one time scale by the sender reports, as every WebRTC
receiver does to play them together: a report pairs an RTP stamp with the time at which it was sent.
Free of a browser's own buffering, so it tells what the server sent to a fraction of a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket

from avatar_server.sources.beeps import PERIOD_S
from sonic_stream.engines.testcard import is_flash, read_pts
from tests.peers.clients import accept, viewer
from tests.peers.real_server import RealServer
from tests.peers.rest import call

CLOCK_HZ = {"audio": 48_000, "video": 90_000}
FRAME_MS = 40.0
# A report's time of sending is as late as the machine's timers; a browser takes twenty together.
REPORTS = 15
LEVEL = 0.03
QUIET_S = 0.2


@dataclass
class Received:
    """Times in seconds: `flashes` and `onsets` on the RTP scale of their kind, with the flash's
    picture number and the wall time of an onset's arrival; `reports` the sender's clock less it."""

    flashes: list[tuple[float, int]] = field(default_factory=list)
    onsets: list[tuple[float, float]] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)  # wall times of arrival
    levels: list[tuple[float, float]] = field(default_factory=list)  # wall time, RMS of 20 ms
    reports: dict[str, deque[float]] = field(
        default_factory=lambda: {kind: deque(maxlen=REPORTS) for kind in CLOCK_HZ}
    )

    def forget(self) -> None:
        """All but the reports: the scales go on."""
        for values in (self.flashes, self.onsets, self.pictures, self.levels):
            values.clear()

    def skews_ms(self, delay_ms: float = 0.0) -> list[float]:
        """Picture against sound at each beep of a calibration session; negative: early."""
        if not all(self.reports.values()):
            return []
        shift_s = np.median(list(self.reports["video"])) - np.median(list(self.reports["audio"]))
        lit = [1000 * (at_s + shift_s) + phase for at_s, number in self.flashes
               if (phase := phase_ms(number, delay_ms)) is not None]  # fmt: skip
        found = [min((at - 1000 * on_s for at in lit), key=abs) for on_s, _ in self.onsets if lit]
        return [float(skew) for skew in found if abs(skew) < 1000 * PERIOD_S / 2]


def phase_ms(number: int, delay_ms: float = 0.0) -> float | None:
    """How far from the beginning of the picture of this number a beep begins; before it where the
    first of the two pictures that flash was skipped; None when none does. `delay_ms`: how much
    older the sound is that the pictures show (a session's offset, when positive)."""
    start_s = (number * FRAME_MS - delay_ms) / 1000
    beep = round(start_s / PERIOD_S - 0.5)
    phase = 1000 * ((beep + 0.5) * PERIOD_S - start_s)
    return float(phase) if abs(phase) < FRAME_MS + 6 else None


@asynccontextmanager
async def listener(server: RealServer, ident: str, query: str = "") -> AsyncIterator[Received]:
    """Watch a session by WHEP for as long as the block lasts."""
    async with viewer() as (peer, offer):
        path = f"/api/sessions/{ident}/whep{query}"
        status, answer = await asyncio.to_thread(call, server, "POST", path, offer.encode())
        assert status == 201, answer
        received = Received()
        for transceiver in peer.getTransceivers():
            _note_reports(transceiver.receiver, transceiver.kind, received)
        await accept(peer, answer.decode())
        audio, video = (t.receiver for t in peer.getTransceivers())
        tasks = [
            asyncio.create_task(_hear(audio.track, received)),
            asyncio.create_task(_look(video.track, received)),
        ]
        try:
            yield received
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _note_reports(receiver: Any, kind: str, received: Received) -> None:
    handle = receiver._handle_rtcp_packet

    async def noting(packet: Any) -> None:
        origin = receiver._RTCRtpReceiver__timestamp_mapper._origin
        if isinstance(packet, RtcpSrPacket) and origin is not None:
            info = packet.sender_info
            ticks = (info.rtp_timestamp - origin + (1 << 31)) % (1 << 32) - (1 << 31)
            received.reports[kind].append(info.ntp_timestamp / 2**32 - ticks / CLOCK_HZ[kind])
        await handle(packet)

    receiver._handle_rtcp_packet = noting


async def _look(track: Any, received: Received) -> None:
    was_lit = True
    try:
        while True:
            frame = await track.recv()
            received.pictures.append(time.time())
            picture = frame.to_ndarray(format="rgb24")
            lit, number = is_flash(picture), read_pts(picture)
            if lit and not was_lit and number is not None:
                received.flashes.append((frame.pts / CLOCK_HZ["video"], number))
            was_lit = lit
    except MediaStreamError:
        return


async def _hear(track: Any, received: Received) -> None:
    quiet_s = 0.0
    try:
        while True:
            frame = await track.recv()
            now_s = time.time()
            samples = frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.float32) / 32768
            received.levels.append((now_s, float(np.sqrt(np.mean(samples**2)))))
            loud = np.flatnonzero(np.abs(samples) > LEVEL)
            if not len(loud):
                quiet_s += len(samples) / CLOCK_HZ["audio"]
                continue
            if quiet_s + loud[0] / CLOCK_HZ["audio"] >= QUIET_S:
                offset_s = loud[0] / CLOCK_HZ["audio"]
                received.onsets.append((frame.pts / CLOCK_HZ["audio"] + offset_s, now_s))
            quiet_s = (len(samples) - 1 - loud[-1]) / CLOCK_HZ["audio"]
    except MediaStreamError:
        return
