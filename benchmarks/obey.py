"""How soon the avatar obeys, and how often it encodes: interruption, first word, encodes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import numpy as np

from benchmarks.owned import Owned, pcm
from benchmarks.report import Figures
from benchmarks.sounds import voice
from benchmarks.timing import percentile
from tests.peers.clients import control
from tests.peers.real_server import RealServer
from tests.peers.whip import Receiver

TEXT = "The quick brown fox jumps over the lazy dog, again and again, until it is told to stop. "
LOUD = 0.01
TALK_S = 1.5
QUIET_S = 1.0


class Loudness:
    """When something loud arrived last, and first since it was asked."""

    def __init__(self, receiver: Receiver) -> None:
        self.first_s: float | None = None
        self.last_s = 0.0
        take = receiver.reception.sound

        def sound(samples: np.ndarray, time_s: float, rate_hz: int = 48_000) -> None:
            if len(samples) and np.abs(samples).max() > LOUD:
                self.last_s = time.monotonic()
                self.first_s = self.first_s or self.last_s
            take(samples, time_s, rate_hz)

        receiver.reception.sound = sound  # type: ignore[method-assign]

    async def begins(self, timeout_s: float = 10.0) -> float:
        self.first_s = None
        async with asyncio.timeout(timeout_s):
            while self.first_s is None:
                await asyncio.sleep(0.005)
        return self.first_s

    async def silence(self) -> None:
        async with asyncio.timeout(20):
            while time.monotonic() - self.last_s < QUIET_S:
                await asyncio.sleep(0.05)


async def measure(server: RealServer, repeats: int) -> Figures:
    owned = await Owned.create(server)
    try:
        async with owned.receiver() as receiver, control(server.url) as client:
            loudness = Loudness(receiver)
            await receiver.until_pictures(5)
            await client.send("hello", session=owned.ident, resume=owned.token)
            await client.expect("welcome")
            first, after_text = [], []
            for _ in range(repeats):
                sent_s = time.monotonic()
                await client.send("say", text=TEXT * 3)
                first.append(1000 * (await loudness.begins() - sent_s))
                await asyncio.sleep(TALK_S)
                after_text.append(await _interrupt(client, loudness))
            after_pcm = []
            for _ in range(repeats):
                after_pcm.append(await _pcm_interrupted(owned, client, loudness))
    finally:
        await owned.end()
    return {
        "interrupt_to_silence_ms_p95": percentile(after_text + after_pcm, 95),
        "interrupt_to_silence_tts_ms_p95": percentile(after_text, 95),
        "interrupt_to_silence_pcm_ms_p95": percentile(after_pcm, 95),
        "first_word_ms_p50": percentile(first, 50),
        "first_word_ms_p95": percentile(first, 95),
        "encodes_per_frame": await encodes_per_frame(server),
    }


async def _interrupt(client: object, loudness: Loudness) -> float:
    sent_s = time.monotonic()
    await client.send("interrupt")  # type: ignore[attr-defined]
    await loudness.silence()
    return 1000 * max(loudness.last_s - sent_s, 0.0)


async def _pcm_interrupted(owned: Owned, client: object, loudness: Loudness) -> float:
    """Four seconds of a voice are sent at once, and interrupted in their midst."""
    sound = (32767 * voice(4)).astype("<i2")
    async with pcm(owned) as socket:
        for piece in range(0, len(sound), 4800):
            await socket.send(sound[piece : piece + 4800].tobytes())
        await loudness.begins()
        await asyncio.sleep(TALK_S / 2)
        return await _interrupt(client, loudness)


async def encodes_per_frame(server: RealServer) -> float:
    """Two VP8 viewers, one of H.264, one with alpha, and a recording: the most that a codec was
    encoded for one picture."""
    owned = await Owned.create(server)
    try:
        async with AsyncExitStack() as stack:
            for query, codec in (("", "vp8"), ("", "vp8"), ("", "h264"), ("?alpha=true", "vp8")):
                receiver = await stack.enter_async_context(owned.receiver(query, codec))
                await receiver.until_pictures(2)
            await owned.command(type="sink_open", kind="recording", id="recording")
            async with control(server.url) as client:
                await client.send("hello", role="viewer", session=owned.ident)
                await asyncio.sleep(4)
                first = (await client.expect("stats"))["encodes"]
                for _ in range(6):
                    await client.expect("stats")
                last = (await client.expect("stats"))["encodes"]
            await owned.command(type="sink_close", id="recording")
    finally:
        await owned.end()
    frames = last["frames"] - first["frames"]
    counts = {codec: last[codec] - first[codec] for codec in last if codec != "frames"}
    assert len(counts) >= 3, f"not all codecs are watched: {counts}"
    return round(max(counts.values()) / frames, 3)
