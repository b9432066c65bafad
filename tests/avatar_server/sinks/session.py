"""A session in small, for sinks: a testcard stream, its encoders and its clock, in one process.

Every 20 ms of media time it sends what the real session sends: sound, and the picture whose
sound that is. `run` goes at the pace of the wall clock or as fast as it can.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import numpy as np

from avatar_server.clock import MonotonicClock
from avatar_server.playout import TICK_S, TICK_SAMPLES, PictureGate, samples_of_ms
from avatar_server.rtc.opus import OpusEncoder
from avatar_server.sinks.base import Feed, Sink, Sound
from avatar_server.worker.encoders import VideoEncoder, open_encoder
from sonic_stream.avatars import list_avatars, load_avatar
from sonic_stream.engine import StreamOptions
from sonic_stream.engines.testcard import TestcardEngine
from sonic_stream.media import AudioChunk, ByteArray
from sonic_stream.resample import Decimator

MARGIN_MS = 40
BEEP_PERIOD = 48_000 + 624  # no multiple of a frame


class SmallSession:
    """Give `feed` to a sink, put the sink into `sinks`, and `run`."""

    def __init__(self, size_px: int = 128) -> None:
        engine = TestcardEngine(size_px=size_px)
        avatar = load_avatar(list_avatars()[0].id)
        self._stream = engine.open(engine.prepare(avatar), StreamOptions())
        self.latency_ms = engine.spec.latency_ms + MARGIN_MS
        self.notices: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.sinks: list[Sink] = []
        self.ticks = 0
        self._wanted: set[str] = set()
        self._encoders: dict[str, VideoEncoder] = {}
        self._opus = OpusEncoder()
        self._gate = PictureGate(self.latency_ms, engine.spec.fps)
        self._decimator = Decimator()
        self.feed = Feed(
            fps=engine.spec.fps,
            size_px=size_px,
            latency_samples=samples_of_ms(self.latency_ms),
            clock=MonotonicClock(),
            request_keyframe=self._ask,
            refresh=lambda: None,
            tell=lambda code, message: self.notices.append((code, message)),
        )

    def _ask(self, codec: str) -> None:
        self.asked.append(codec)
        self._wanted.add(codec)

    def tick(self) -> None:
        pts = self.ticks * TICK_SAMPLES
        chunk = self._decimator.push(self._beeps(pts))
        for frames in self._stream.push(AudioChunk(chunk, 16_000, pts // 3)):
            self._encode(frames.frames[0], frames.pts)
        heard = (self._beeps(pts - self.feed.latency_samples) * 32767).astype(np.int16)
        packets = tuple(self._opus.encode(heard, pts))
        for sink in self.sinks:
            sink.send_sound(Sound(heard, pts, packets))
        for packet in self._gate.take(self.ticks * TICK_S):
            for sink in self.sinks:
                sink.send_picture(packet)
        self.ticks += 1

    async def run(self, seconds: float, *, pace: float = 1.0) -> None:
        """`pace`: how much faster than real time."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for index in range(1, round(seconds / TICK_S) + 1):
            self.tick()
            await asyncio.sleep(max(start_s + index * TICK_S / pace - loop.time(), 0))

    async def until(self, sink: Sink, *states: str, timeout_s: float = 15.0) -> None:
        """Go on until the sink is in one of these states."""
        async with asyncio.timeout(timeout_s):
            while sink.status()["state"] not in states:
                await self.run(TICK_S)

    def _encode(self, picture: ByteArray, pts: int) -> None:
        codecs = frozenset[str]().union(*(sink.codecs for sink in self.sinks))
        for codec in codecs:
            if codec not in self._encoders:
                self._encoders[codec] = open_encoder(
                    codec, self.feed.size_px, self.feed.fps, 500_000
                )
        for codec, encoder in self._encoders.items():
            packet = encoder.encode(picture, pts, keyframe=codec in self._wanted)
            self._wanted.discard(codec)
            if packet is not None:
                self._gate.add(packet)

    def _beeps(self, pts: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        moments = np.arange(pts, pts + TICK_SAMPLES)
        loud = (moments >= 24_000) & ((moments - 24_000) % BEEP_PERIOD < 2880)
        tone = 0.5 * np.sin(2 * np.pi * 1000 * moments / 48_000)
        return np.where(loud, tone, 0.0).astype(np.float32)


FPS = Fraction(25)
