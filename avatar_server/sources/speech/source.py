"""A spoken text as a source."""

from __future__ import annotations

import asyncio
import logging

from avatar_server.errors import AvatarError
from avatar_server.sources.base import SampleQueue
from avatar_server.sources.speech.base import TextToSpeech
from sonic_stream.media import FloatArray

log = logging.getLogger(__name__)

BUFFER_S = 5.0


class SpeechSource:
    """Begins to speak as soon as the first piece is there; a failure ends it early."""

    kind = "tts"

    def __init__(self, engine: TextToSpeech, text: str, voice: str | None) -> None:
        self._queue = SampleQueue(BUFFER_S)
        self._ended = False
        self._maker = asyncio.create_task(self._make(engine, text, voice))

    def read(self, n: int) -> FloatArray:
        return self._queue.take(n)

    @property
    def finished(self) -> bool:
        return self._ended and not len(self._queue)

    async def close(self) -> None:
        self._ended = True
        self._queue.take(len(self._queue))
        self._maker.cancel()
        await asyncio.gather(self._maker, return_exceptions=True)

    async def _make(self, engine: TextToSpeech, text: str, voice: str | None) -> None:
        try:
            async for samples in engine.synthesize(text, voice):
                self._queue.put(samples)
                await self._queue.room()
        except AvatarError as error:
            log.warning("speech ended early: %s", error)
        finally:
            self._ended = True
