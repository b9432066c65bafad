"""What the embedded voice says, and when it says each word."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from avatar_server.sources.base import RATE_HZ
from avatar_server.sources.speech import EspeakSpeech
from avatar_server.sources.speech.base import Manner, sentences
from sonic_stream.media import FloatArray


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    start_s: float


@dataclass(frozen=True)
class Spoken:
    """`samples` float32 [n] at `rate_hz`."""

    samples: FloatArray
    words: list[Said]
    rate_hz: int = RATE_HZ


def speak(text: str, lead_s: float, tail_s: float) -> Spoken:
    """With silence before and after. Raises `SourceError` where the voice is not installed."""
    return asyncio.run(_speak(text, lead_s, tail_s))


async def _speak(text: str, lead_s: float, tail_s: float) -> Spoken:
    pieces = [np.zeros(int(lead_s * RATE_HZ), np.float32)]
    words: list[Said] = []
    speech = EspeakSpeech()
    try:
        for sentence in sentences(text):
            start = sum(map(len, pieces))
            async for piece in speech.synthesize(sentence, Manner()):
                pieces.append(piece.samples)
                words += [Said(word.text, (start + word.start) / RATE_HZ) for word in piece.words]
    finally:
        await speech.close()
    pieces.append(np.zeros(int(tail_s * RATE_HZ), np.float32))
    return Spoken(np.concatenate(pieces), sorted(words, key=lambda word: word.start_s))
