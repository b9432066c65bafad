"""Any sink with a lip-sync offset of its own, on top of its session's.

Positive: its pictures are held back, and their stamps with them. Negative: it hears older samples
(and an Opus encoding of its own then). Either way the change is slewed, and exact to the
millisecond for the picture, to the sample for the sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from avatar_server.clock import Clock
from avatar_server.playout import PictureHold, SoundHold
from avatar_server.rtc.opus import OpusEncoder
from sonic_stream.media import MediaPacket

if TYPE_CHECKING:
    from avatar_server.sinks.base import Sink, Sound


class OffsetSink:
    """A `Sink` around a sink. What it holds back is bounded by the largest offset."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self.kind = sink.kind
        self.sink = sink
        self.offset_ms = 0
        self._clock = clock
        self._pictures = PictureHold()
        self._sound = SoundHold()
        self._opus: OpusEncoder | None = None
        self._releasing: asyncio.Task[None] | None = None

    def set_offset(self, offset_ms: int) -> None:
        self.offset_ms = offset_ms
        self._pictures.set_delay(max(offset_ms, 0))
        self._sound.set_delay(max(-offset_ms, 0))

    def silence(self) -> None:
        """Barge-in: what this sink alone did not hear yet, it never hears."""
        self._sound.silence()

    @property
    def codecs(self) -> frozenset[str]:
        return self.sink.codecs

    @property
    def wants_opus(self) -> bool:
        return self.sink.wants_opus and self._sound.at_rest

    def send_sound(self, sound: Sound) -> None:
        at_rest = self._sound.at_rest
        shifted = self._sound.shift(sound.samples.astype(np.float32))
        if at_rest:
            self.sink.send_sound(sound)
            return
        samples = np.rint(shifted).astype(np.int16)
        packets: tuple[MediaPacket, ...] = ()
        if self.sink.wants_opus:
            self._opus = self._opus or OpusEncoder()
            packets = tuple(self._opus.encode(samples, sound.pts))
        self.sink.send_sound(replace(sound, samples=samples, opus=packets))

    def send_picture(self, packet: MediaPacket) -> None:
        if packet.codec not in self.sink.codecs:
            return
        if self._pictures.passes(packet):
            self.sink.send_picture(packet)
            return
        self._pictures.add(packet, self._clock.now_s())
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.create_task(self._release())

    def status(self) -> Mapping[str, object]:
        return {**self.sink.status(), "offset_ms": self.offset_ms}

    async def close(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()
            await asyncio.gather(self._releasing, return_exceptions=True)
        self._opus = None
        await self.sink.close()

    async def _release(self) -> None:
        while (due_s := self._pictures.next_due_s) is not None:
            await self._clock.sleep_until_s(due_s)
            for packet in self._pictures.take(self._clock.now_s()):
                self.sink.send_picture(packet)
