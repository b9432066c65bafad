"""What a WebSocket's client is sent: a bounded queue, written by a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from fastapi import WebSocket, WebSocketDisconnect

log = logging.getLogger(__name__)

SIZE = 200
SEND_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class Outbox:
    """An outbox that overflows means a client that stopped reading: its socket is closed rather
    than the server's memory filled."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(SIZE)
        self._sender = asyncio.create_task(self._send())

    def tell(self, text: str) -> None:
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            log.warning("a client stopped reading; its socket is closed")
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(None)

    async def close(self) -> None:
        """Send what is left, then close the socket; not for ever."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._sender

    async def _send(self) -> None:
        while (text := await self._queue.get()) is not None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_text(text)
        await self._socket.close()
