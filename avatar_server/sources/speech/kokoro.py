"""Kokoro's voices, on this machine: the optional package kokoro, which brings torch.

It fetches its weights from a hub when it is first used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import numpy as np

from avatar_server.errors import ConfigError
from avatar_server.sources.base import RATE_HZ
from avatar_server.sources.resample import ToSession
from avatar_server.sources.speech.base import Manner, Piece, Voice, Word, tokens
from avatar_server.sources.speech.choice import checked
from sonic_stream.media import FloatArray

KOKORO_HZ = 24_000
# The first letter of a voice's name is its language.
LANGUAGES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja",
             "p": "pt-BR", "z": "zh-CN"}  # fmt: skip


class KokoroSpeech:
    """`voices`: names like "af_heart". A pipeline per language is made when it is first needed,
    and runs in a thread."""

    def __init__(self, voices: Sequence[str] = ("af_heart",)) -> None:
        try:
            from kokoro import KPipeline
        except ImportError as error:
            raise ConfigError("kokoro is missing; pip install 'avatar-server[kokoro]'") from error
        unknown = [name for name in voices if name[:1] not in LANGUAGES]
        if unknown or not voices:
            raise ConfigError(f"speech.settings.voices: {unknown} begin with no language's letter")
        self._names = list(voices)
        self._pipeline = KPipeline
        self._made: dict[str, Any] = {}
        self._turn = asyncio.Lock()

    def voices(self) -> list[Voice]:
        return [Voice(name, name, LANGUAGES[name[0]]) for name in self._names]

    def check(self, manner: Manner) -> None:
        checked(self.voices(), manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = checked(self.voices(), manner).id
        made = 0
        async with self._turn:
            results = await asyncio.to_thread(self._speak, sentence, voice, manner.rate)
            while (result := await asyncio.to_thread(next, results, None)) is not None:
                if result.audio is None:
                    continue
                resampler = ToSession(KOKORO_HZ)
                sound = np.asarray(result.audio, np.float32)
                samples: FloatArray = np.concatenate([resampler.push(sound), resampler.flush()])
                yield Piece(samples, _words(sentence, result.tokens or [], made))
                made += len(samples)

    async def warm_up(self) -> None:
        pass

    async def close(self) -> None:
        self._made.clear()

    def _speak(self, sentence: str, voice: str, rate: float) -> Iterator[Any]:
        language = voice[0]
        if language not in self._made:
            self._made[language] = self._pipeline(lang_code=language)
        return iter(self._made[language](sentence, voice=voice, speed=rate))


def _words(sentence: str, told: Sequence[Any], offset: int) -> tuple[Word, ...]:
    """Those of the sentence's tokens whose text kokoro tells a time of, in order."""
    found, begun = tokens(sentence), []
    for token in told:
        while found and token.text not in found[0][0]:
            found.pop(0)
        if found and token.start_ts is not None:
            match = found.pop(0)
            begun.append(Word(match[0], offset + int(token.start_ts * RATE_HZ), match.end()))
    return tuple(begun)
