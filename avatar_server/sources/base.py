"""What a source of voice is, and the one that says nothing."""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from avatar_server.errors import AvatarError
from sonic_stream.media import FloatArray

RATE_HZ = 48_000


class SourceError(AvatarError):
    """Codes: `bad_file`, `no_voice`, `bad_text`."""

    code = "bad_file"
    status = 422


class Source(Protocol):
    """Pulled on the event loop every 20 ms; never blocks."""

    kind: str

    def read(self, n: int) -> FloatArray:
        """Exactly `n` mono samples at 48 kHz; silence where there is nothing (yet)."""
        ...

    @property
    def finished(self) -> bool:
        """Nothing more will ever come."""
        ...

    async def close(self) -> None:
        """Stop whatever runs for this source, and wait for it. Harmless when repeated."""
        ...


class SampleQueue:
    """Samples from a producer, in any pieces, read in exact ones.

    A producer that waits for `room` after each piece stays at most one piece above `limit_s`.
    """

    def __init__(self, limit_s: float) -> None:
        self._samples: FloatArray = np.zeros(0, np.float32)
        self._limit = limit_s * RATE_HZ
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __len__(self) -> int:
        return len(self._samples)

    def put(self, samples: FloatArray) -> None:
        self._samples = np.concatenate([self._samples, samples])
        if len(self) >= self._limit:
            self._has_room.clear()

    async def room(self) -> None:
        await self._has_room.wait()

    def take(self, n: int) -> FloatArray:
        """`n` samples, padded with silence."""
        out, self._samples = self._samples[:n], self._samples[n:]
        if len(self) < self._limit:
            self._has_room.set()
        return out if len(out) == n else np.concatenate([out, np.zeros(n - len(out), np.float32)])
