"""The embedded voice: espeak-ng in a process of its own (`espeak_process`), by pipe."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from avatar_server.sources.base import SourceError
from avatar_server.sources.speech.base import Manner, Piece, Voice, is_chinese
from avatar_server.sources.speech.child import VoiceProcess
from sonic_stream.media import FloatArray

LEVEL_RMS = 0.1  # -20 dBFS while speaking
LIMIT = 0.85


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice as espeak-ng names it, with the settings under which it is pleasant."""

    voice: Voice
    name: str
    rate_wpm: int = 160
    pitch: int = 50


VOICES = (
    EspeakVoice(Voice("en-female", "English (US), female", "en-US"), "en-us+f3", 158, 46),
    EspeakVoice(Voice("en-male", "English (US), male", "en-US"), "en-us+m3", 158, 42),
    EspeakVoice(Voice("en-gb", "English (UK)", "en-GB"), "en-gb+f4", 156, 44),
    EspeakVoice(Voice("zh-female", "普通话 (女)", "zh-CN"), "cmn+f3", 150, 46),
    EspeakVoice(Voice("zh-male", "普通话 (男)", "zh-CN"), "cmn+m3", 150, 42),
)
ENGLISH, MANDARIN = VOICES[0], VOICES[3]


class EspeakSpeech:
    """The voice that the package brings along, where the extra `tts` is installed."""

    def __init__(self) -> None:
        self._process = VoiceProcess("avatar_server.sources.speech.espeak_process")

    def voices(self) -> list[Voice]:
        """Empty where the extra `tts` is not installed."""
        return [v.voice for v in VOICES] if find_spec("espeakng_loader") else []

    def check(self, manner: Manner) -> None:
        if not self.voices():
            raise SourceError("no voice is installed; pip install 'avatar-server[tts]'", "no_voice")
        _choose("", manner.voice)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        self.check(manner)
        voice = _choose(sentence, manner.voice)
        request = {
            "text": sentence,
            "voice": voice.name,
            "rate_wpm": round(voice.rate_wpm * manner.rate),
            "pitch": voice.pitch,
        }
        leveller = Leveller()
        async with aclosing(self._process.say(sentence, request)) as pieces:
            async for piece in pieces:
                yield Piece(leveller.apply(piece.samples), piece.words)

    async def warm_up(self) -> None:
        if self.voices():
            await self._process.warm_up()

    async def close(self) -> None:
        await self._process.close()


class Leveller:
    """Brings a voice to a steady level: a slow gain towards `LEVEL_RMS`, never past `LIMIT`."""

    def __init__(self) -> None:
        self._rms = 0.0
        self._gain = 0.0

    def apply(self, samples: FloatArray) -> FloatArray:
        if len(samples) == 0:
            return samples
        loud = samples[np.abs(samples) > 0.01]
        if len(loud):
            rms = float(np.sqrt(np.mean(np.square(loud))))
            self._rms = rms if self._rms == 0.0 else 0.8 * self._rms + 0.2 * rms
        gain = LEVEL_RMS / self._rms if self._rms else 1.0
        gain = min(gain, LIMIT / max(float(np.abs(samples).max()), 1e-6), 4.0)
        start = min(self._gain or gain, gain * 2)  # from piece to piece without a step
        self._gain = gain
        shaped = samples * np.linspace(start, gain, len(samples))
        return np.asarray(np.clip(shaped, -LIMIT, LIMIT), np.float32)


def _choose(text: str, voice: str | None) -> EspeakVoice:
    if voice is None:
        return MANDARIN if is_chinese(text) else ENGLISH
    for known in VOICES:
        if known.voice.id == voice:
            return known
    raise SourceError(
        f"there is no voice {voice!r}; choose one of {', '.join(v.voice.id for v in VOICES)}",
        "no_voice",
    )
