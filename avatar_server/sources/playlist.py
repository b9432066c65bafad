"""Sources one after the other: what `say` and `play` queue."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.sources.base import Source
from sonic_stream.media import FloatArray

MAX_QUEUED = 50


class QueueFull(AvatarError):
    code = "queue_full"
    status = 429


class Playlist:
    """Plays in order; the first of the queue is the one that is heard."""

    def __init__(self) -> None:
        self._queue: deque[Source] = deque()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    @property
    def kind(self) -> str:
        return self._queue[0].kind if self._queue else "idle"

    def enqueue(self, source: Source) -> None:
        """Raises `QueueFull`; the source is closed then."""
        if len(self._queue) >= MAX_QUEUED:
            self._retire(source)
            raise QueueFull(f"{MAX_QUEUED} items are waiting already; stop or wait")
        self._queue.append(source)

    def read(self, n: int) -> FloatArray:
        """The current source's samples; the next one begins where it ends."""
        while self._queue and self._queue[0].finished:
            self._retire(self._queue.popleft())
        return self._queue[0].read(n) if self._queue else np.zeros(n, np.float32)

    async def clear(self) -> None:
        """Forget everything queued and wait until it is closed."""
        for source in self._queue:
            self._retire(source)
        self._queue.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    def _retire(self, source: Source) -> None:
        task = asyncio.create_task(source.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
