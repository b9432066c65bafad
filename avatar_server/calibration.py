"""What calibration sessions run on: the testcard engine in workers of its own, begun on demand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from avatar_server.clock import Clock
from avatar_server.worker.child import EngineRequest
from avatar_server.worker.pool import StreamRequest, WorkerPool, WorkerStream
from sonic_stream.engine import StreamOptions
from sonic_stream.media import IdentityLatents

ENGINE = "testcard"
GREY = 96


class Calibration:
    """Holds no worker until one is asked for."""

    def __init__(self, cache: Path, size_px: int, clock: Clock) -> None:
        self._path = cache / f"calibration-{size_px}.safetensors"
        self._size_px = size_px
        self._pool = WorkerPool(EngineRequest(ENGINE, size_px), clock, spare=0)

    async def open(self, bitrate_bps: int) -> WorkerStream:
        """Raises `WorkerFailed`."""
        await asyncio.to_thread(self._draw)
        return await self._pool.open(StreamRequest(self._path, StreamOptions(), bitrate_bps))

    async def close(self) -> None:
        await self._pool.close()

    def _draw(self) -> None:
        picture = np.full((self._size_px, self._size_px, 3), GREY, np.uint8)
        IdentityLatents(ENGINE, self._size_px, "calibration", {"picture": picture}).save(self._path)
