"""piper's voices, on this machine: the optional package piper-tts (GPL-3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar_server.errors import ConfigError
from avatar_server.sources.resample import ToSession
from avatar_server.sources.speech.base import Manner, Piece, Voice
from avatar_server.sources.speech.choice import checked

VOLUME = 0.6  # piper brings every sentence's peak to it


class PiperSpeech:
    """`models`: files of voices, `en_US-….onnx`, each beside its `.onnx.json`. The first is used
    unless another is asked for; each is loaded when it is first needed, and runs in a thread."""

    def __init__(self, models: Sequence[str] = ()) -> None:
        try:
            from piper import PiperVoice, SynthesisConfig
        except ImportError as error:
            raise ConfigError("piper is missing; pip install 'avatar-server[piper]'") from error
        paths = [Path(model).expanduser() for model in models]
        absent = [str(path) for path in paths if not path.is_file()]
        if absent or not paths:
            raise ConfigError(
                f"speech.settings.models: no such voice: {', '.join(absent) or 'none named'}; "
                "get one with python -m piper.download_voices"
            )
        self._paths = {path.stem: path for path in paths}
        self._load, self._config = PiperVoice.load, SynthesisConfig
        self._loaded: dict[str, Any] = {}
        self._turn = asyncio.Lock()

    def voices(self) -> list[Voice]:
        return [Voice(name, name, name.split("-")[0].replace("_", "-")) for name in self._paths]

    def check(self, manner: Manner) -> None:
        checked(self.voices(), manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = checked(self.voices(), manner).id
        async with self._turn:
            if voice not in self._loaded:
                self._loaded[voice] = await asyncio.to_thread(self._load, self._paths[voice])
            config = self._config(length_scale=1 / manner.rate, volume=VOLUME)
            chunks = iter(self._loaded[voice].synthesize(sentence, config))
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                samples = np.frombuffer(chunk.audio_int16_bytes, "<i2").astype(np.float32) / 32768
                resampler = ToSession(chunk.sample_rate)
                yield Piece(np.concatenate([resampler.push(samples), resampler.flush()]))

    async def warm_up(self) -> None:
        pass

    async def close(self) -> None:
        self._loaded.clear()
