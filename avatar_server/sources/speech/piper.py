"""piper's voices, on this machine: the optional package piper-tts (GPL-3), in a process of its
own (`piper_process`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

from avatar_server.errors import ConfigError
from avatar_server.sources.speech.base import Manner, Piece, Voice
from avatar_server.sources.speech.child import VoiceProcess
from avatar_server.sources.speech.choice import checked


class PiperSpeech:
    """`models`: files of voices, `en_US-….onnx`, each beside its `.onnx.json`. The first is used
    unless another is asked for."""

    def __init__(self, models: Sequence[str] = ()) -> None:
        if find_spec("piper") is None:
            raise ConfigError("piper is missing; pip install 'avatar-server[piper]'")
        paths = [Path(model).expanduser() for model in models]
        files = [file for path in paths for file in (path, Path(f"{path}.json"))]
        absent = [str(file) for file in files if not file.is_file()]
        if absent or not paths:
            raise ConfigError(
                f"speech.settings.models: no such file: {', '.join(absent) or 'none named'}; "
                "get a voice with python -m piper.download_voices"
            )
        self._paths = {path.stem: str(path) for path in paths}
        module = "avatar_server.sources.speech.piper_process"
        self._process = VoiceProcess(module, *self._paths.values())

    def voices(self) -> list[Voice]:
        return [Voice(name, name, name.split("-")[0].replace("_", "-")) for name in self._paths]

    def check(self, manner: Manner) -> None:
        checked(self.voices(), manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = self._paths[checked(self.voices(), manner).id]
        request = {"text": sentence, "voice": voice, "length_scale": 1 / manner.rate}
        async with aclosing(self._process.say(sentence, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def warm_up(self) -> None:
        await self._process.warm_up()

    async def close(self) -> None:
        await self._process.close()
