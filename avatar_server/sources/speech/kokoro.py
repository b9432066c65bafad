"""Kokoro's voices, on this machine: the optional package kokoro, which brings torch, in a process
of its own (`kokoro_process`). It fetches its weights from a hub when it is first used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.util import find_spec

from avatar_server.errors import ConfigError
from avatar_server.sources.speech.base import Manner, Piece, Voice
from avatar_server.sources.speech.child import VoiceProcess
from avatar_server.sources.speech.choice import checked

# The first letter of a voice's name is its language.
LANGUAGES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja",
             "p": "pt-BR", "z": "zh-CN"}  # fmt: skip


class KokoroSpeech:
    """`voices`: names like "af_heart"; the first is used unless another is asked for."""

    def __init__(self, voices: Sequence[str] = ("af_heart",)) -> None:
        if find_spec("kokoro") is None:
            raise ConfigError("kokoro is missing; pip install 'avatar-server[kokoro]'")
        unknown = [name for name in voices if name[:1] not in LANGUAGES]
        if unknown or not voices:
            raise ConfigError(f"speech.settings.voices: {unknown} begin with no language's letter")
        self._names = list(voices)
        self._process = VoiceProcess("avatar_server.sources.speech.kokoro_process", *voices)

    def voices(self) -> list[Voice]:
        return [Voice(name, name, LANGUAGES[name[0]]) for name in self._names]

    def check(self, manner: Manner) -> None:
        checked(self.voices(), manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = checked(self.voices(), manner).id
        request = {"text": sentence, "voice": voice, "speed": manner.rate}
        async with aclosing(self._process.say(sentence, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def warm_up(self) -> None:
        await self._process.warm_up()

    async def close(self) -> None:
        await self._process.close()
