"""A viewer that listens: what a session sounds like from outside, with the time of arrival."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.peers.clients import Control, accept, studio, viewer

RATE_HZ = 48_000
LOUD = 0.02


class Ear:
    """All that was heard, 20 ms at a time, and the studio's messages."""

    def __init__(self, client: Control, welcome: dict[str, Any]) -> None:
        self.client, self.welcome = client, welcome
        self.pieces: list[np.ndarray] = []
        self.times_s: list[float] = []
        self.messages: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.float32)

    async def hear(self, track: Any) -> None:
        while True:
            frame = await track.recv()
            channels = frame.layout.nb_channels
            samples = frame.to_ndarray().reshape(-1)[::channels]
            self.pieces.append(samples.astype(np.float32) / 32768)
            self.times_s.append(time.monotonic())

    async def attend(self) -> None:
        while True:
            message = json.loads(await self.client.socket.recv())
            async with self._news:
                self.messages.append(message)
                self._news.notify_all()

    async def keep_alive(self) -> None:
        while True:
            await self.client.send("ping", t=0)
            await asyncio.sleep(1)

    async def message(self, kind: str, timeout_s: float = 15.0, **fields: object) -> dict[str, Any]:
        """The first message of this type since the last `forget`, now or to come."""

        def found() -> dict[str, Any] | None:
            for message in self.messages:
                if message["type"] == kind and fields.items() <= message.items():
                    return message
            return None

        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: found() is not None)
        answer = found()
        assert answer is not None
        return answer

    def forget(self) -> None:
        self.messages.clear()

    def voice_since_s(self, since_s: float) -> float | None:
        """When the first loud piece after `since_s` arrived."""
        loud = (
            arrived
            for piece, arrived in zip(self.pieces, self.times_s, strict=False)
            if arrived > since_s and np.abs(piece).max() > LOUD
        )
        return next(loud, None)

    def last_voice_s(self) -> float:
        return max(
            arrived
            for piece, arrived in zip(self.pieces, self.times_s, strict=False)
            if np.abs(piece).max() > LOUD
        )

    async def voice(self, since_s: float = 0.0, timeout_s: float = 20.0) -> None:
        """Wait until something is heard: a busy machine's client may be far behind."""
        async with asyncio.timeout(timeout_s):
            while self.voice_since_s(since_s) is None:
                await asyncio.sleep(0.02)

    async def quiet(self, seconds: float = 0.4, timeout_s: float = 20.0) -> None:
        """Wait until nothing has been heard for so long."""
        async with asyncio.timeout(timeout_s):
            while not self.pieces or any(
                np.abs(piece).max() > LOUD / 4 for piece in self.pieces[-int(50 * seconds) :]
            ):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Ear]:
    """A studio with a session of its own whose sound arrives."""
    async with studio(url) as (client, welcome), viewer() as (peer, offer):
        ear = Ear(client, welcome)
        await client.send("offer", sdp=offer)
        await accept(peer, (await client.expect("answer"))["sdp"])
        track = peer.getTransceivers()[0].receiver.track
        await asyncio.wait_for(track.recv(), 10)
        tasks = [
            asyncio.create_task(work) for work in (ear.hear(track), ear.attend(), ear.keep_alive())
        ]
        try:
            yield ear
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
