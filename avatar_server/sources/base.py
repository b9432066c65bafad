"""What a source of voice is, and what those share that make their sound ahead."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.playout import SAMPLE_RATE_HZ
from sonic_stream.media import FloatArray

log = logging.getLogger(__name__)

RATE_HZ = SAMPLE_RATE_HZ


class SourceError(AvatarError):
    """Codes: `bad_file`, `no_voice`, `bad_text`, `bad_pcm`, `no_microphone`."""

    code = "bad_file"
    status = 422


@dataclass(frozen=True, slots=True)
class Played:
    """What was really heard of a source that was interrupted. Words only of spoken text."""

    kind: str
    seconds: float
    last_word: str | None = None
    remaining_text: str | None = None


class Source(Protocol):
    """Pulled on the event loop every 20 ms; never blocks."""

    kind: str
    problem: AvatarError | None  # why it ended early, if it did

    def begin(self) -> None:
        """Make sound ahead from now on. Harmless when repeated."""
        ...

    def read(self, n: int) -> FloatArray:
        """Exactly `n` mono samples at 48 kHz; silence where there is nothing (yet)."""
        ...

    @property
    def position(self) -> int:
        """How many samples of its own it has given; silence for what is missing not counted."""
        ...

    @property
    def finished(self) -> bool:
        """Nothing more will ever come."""
        ...

    def heard(self, position: int, pts: int) -> None:
        """Its samples up to `position` have been heard, at media time `pts`."""
        ...

    def interrupt(self, position: int, pts: int) -> Played:
        """What comes after `position`, heard at `pts`, will never be heard."""
        ...

    def again(self) -> Source | None:
        """The same once more, not begun; None where there is no second time."""
        ...

    async def close(self) -> None:
        """Stop whatever runs for this source, and wait for it. Harmless when repeated."""
        ...


class SampleQueue:
    """Samples from a producer, in any pieces, read in exact ones.

    A producer that waits for `room` after each piece stays at most one piece above `limit_s`.
    """

    def __init__(self, limit_s: float) -> None:
        self._pieces: deque[FloatArray] = deque()
        self._length = 0
        self._limit = limit_s * RATE_HZ
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.taken = 0

    def __len__(self) -> int:
        return self._length

    def put(self, samples: FloatArray) -> None:
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)
        if self._length >= self._limit:
            self._has_room.clear()

    async def room(self) -> None:
        await self._has_room.wait()

    def take(self, n: int) -> FloatArray:
        """`n` samples, padded with silence; `taken` counts the real ones."""
        out = np.zeros(n, np.float32)
        filled = 0
        while filled < n and self._pieces:
            piece = self._pieces.popleft()
            used = piece[: n - filled]
            out[filled : filled + len(used)] = used
            filled += len(used)
            if len(used) < len(piece):
                self._pieces.appendleft(piece[len(used) :])
        self._length -= filled
        self.taken += filled
        if self._length < self._limit:
            self._has_room.set()
        return out

    def clear(self) -> None:
        self._pieces.clear()
        self._length = 0
        self._has_room.set()


class MadeAhead:
    """The common part of sources whose sound a task makes ahead of its being heard: `_make`
    fills `_queue` and waits for its room. An `AvatarError` ends the source early."""

    kind = ""

    def __init__(self, buffer_s: float) -> None:
        self.problem: AvatarError | None = None
        self._queue = SampleQueue(buffer_s)
        self._maker: asyncio.Task[None] | None = None
        self._closed = False

    async def _make(self) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        if self._maker is None and not self._closed:
            self._maker = asyncio.create_task(self._run(), name=self.kind)

    def read(self, n: int) -> FloatArray:
        return self._queue.take(n)

    @property
    def position(self) -> int:
        return self._queue.taken

    @property
    def finished(self) -> bool:
        made = self._maker is not None and self._maker.done()
        return self._closed or (made and not len(self._queue))

    def heard(self, position: int, pts: int) -> None:
        pass

    def interrupt(self, position: int, pts: int) -> Played:
        return Played(self.kind, round(position / RATE_HZ, 3))

    def again(self) -> Source | None:
        return None

    async def close(self) -> None:
        self._closed = True
        self._queue.clear()
        if self._maker is None:
            return
        self._maker.cancel()
        (outcome,) = await asyncio.gather(self._maker, return_exceptions=True)
        if isinstance(outcome, Exception):
            log.error("a %s source failed", self.kind, exc_info=outcome)

    async def _run(self) -> None:
        try:
            await self._make()
        except AvatarError as error:
            self.problem = error
