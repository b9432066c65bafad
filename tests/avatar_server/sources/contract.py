"""What every source must do: used by the tests of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from avatar_server.sources.base import Source
from avatar_server.sources.speech import EspeakSpeech, SpeechSource

RATE_HZ = 48_000
Make = Callable[[], Awaitable[Source]]


async def heard(source: Source, limit_s: float = 30.0) -> np.ndarray:
    """All of a source, as a session would read it, but as fast as it comes: silence for what was
    not made yet is left out."""
    source.begin()
    pieces = [np.zeros(0, np.float32)]
    async with asyncio.timeout(limit_s):
        while not source.finished:
            before = source.position
            piece = source.read(960)
            pieces.append(piece[: source.position - before])
            await asyncio.sleep(0.001)
    return np.concatenate(pieces)


def tasks() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def check_source(make: Make) -> None:
    """`make` gives a source of more than half a second, not begun."""
    before = tasks()
    await _check_reading(await make())
    await _check_closing(await make())
    await _check_interrupting(await make())
    assert tasks() <= before


async def _check_reading(source: Source) -> None:
    assert source.kind
    assert source.position == 0
    nothing = source.read(960)
    assert nothing.dtype == np.float32
    assert nothing.shape == (960,)
    assert source.position == 0 or source.kind == "pcm"
    source.begin()
    source.begin()
    async with asyncio.timeout(20):
        while source.position == 0:
            for n in (0, 1, 7, 960):
                assert source.read(n).shape == (n,)
            await asyncio.sleep(0.005)
    rest = await heard(source)
    assert source.position > RATE_HZ // 2
    assert np.isfinite(rest).all()
    assert np.abs(rest).max() <= 1.0
    assert source.finished
    position = source.position
    assert not source.read(960).any(), "silence after the end"
    assert source.position == position
    assert source.problem is None
    source.heard(position, position)
    await source.close()


async def _check_closing(source: Source) -> None:
    source.begin()
    await asyncio.sleep(0.05)
    source.read(960)
    await source.close()
    await source.close()
    assert source.finished
    assert not source.read(960).any()
    source.begin()
    assert source.finished, "it cannot be begun again"
    again = source.again()
    if again is not None:
        assert again.kind == source.kind
        assert again.position == 0
        assert not again.finished
        await again.close()


async def _check_interrupting(source: Source) -> None:
    source.begin()
    async with asyncio.timeout(20):
        while source.position < 4800:
            source.read(960)
            await asyncio.sleep(0.005)
    source.heard(2400, 10_000)
    played = source.interrupt(4800, 12_400)
    assert played.kind == source.kind
    assert played.seconds == 0.1
    await source.close()


async def spoken(text: str) -> np.ndarray:
    """A real (if synthetic) voice at 48 kHz; skips the test where none is installed."""
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    engine = EspeakSpeech()
    try:
        return await heard(SpeechSource(engine, text))
    finally:
        await engine.close()


def babble(seconds: float, rms: float, seed: int = 7) -> np.ndarray:
    """Noise like that of a café: speech-shaped, its loudness wandering by a few decibels."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    noise = np.fft.irfft(spectrum / (1 + (hz / 500) ** 2) ** 0.5, count)
    points = random.normal(size=int(seconds * 8) + 2)
    wander_db = 2.5 * np.interp(np.arange(count) / RATE_HZ * 8, np.arange(len(points)), points)
    noise *= 10 ** (wander_db / 20)
    return np.asarray(rms * noise / noise.std(), np.float32)
