"""Microsoft's online voices: the optional package edge-tts (LGPL-3). Needs the internet."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Sequence

import av
import numpy as np

from avatar_server.errors import ConfigError
from avatar_server.sources.base import RATE_HZ, SourceError
from avatar_server.sources.speech.base import Manner, Piece, Voice, Word, tokens
from avatar_server.sources.speech.choice import checked
from sonic_stream.media import FloatArray

TICKS_PER_S = 10_000_000
NOTHING: FloatArray = np.zeros(0, np.float32)


class EdgeSpeech:
    """`voices`: names like "en-US-AriaNeural"."""

    def __init__(self, voices: Sequence[str] = ("en-US-AriaNeural",)) -> None:
        try:
            self._service = importlib.import_module("edge_tts")
        except ImportError as error:
            raise ConfigError("edge-tts is missing; pip install 'avatar-server[edge]'") from error
        if not voices:
            raise ConfigError("speech.settings.voices names at least one voice")
        self._names = list(voices)
        client = importlib.import_module("aiohttp")  # which edge-tts is made with
        self._errors = (
            OSError, ValueError, client.ClientError, self._service.exceptions.EdgeTTSException
        )  # fmt: skip

    def voices(self) -> list[Voice]:
        return [Voice(name, name, "-".join(name.split("-")[:2])) for name in self._names]

    def check(self, manner: Manner) -> None:
        checked(self.voices(), manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = checked(self.voices(), manner).id
        rate = f"{round(100 * (manner.rate - 1)):+d}%"
        decoder, found = _Mp3(), tokens(sentence)
        speech = self._service.Communicate(sentence, voice, rate=rate, boundary="WordBoundary")
        try:
            async for chunk in speech.stream():
                if chunk["type"] == "audio":
                    yield Piece(decoder.push(chunk["data"]))
                elif chunk["type"] == "WordBoundary":
                    while found and chunk["text"] not in found[0][0]:
                        found.pop(0)
                    if found:
                        match, start = found.pop(0), int(chunk["offset"] / TICKS_PER_S * RATE_HZ)
                        yield Piece(NOTHING, (Word(match[0], start, match.end()),))
        except self._errors as error:
            raise SourceError(f"edge-tts did not answer: {error}", "no_voice") from error
        yield Piece(decoder.flush())

    async def warm_up(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Mp3:
    """MP3 in pieces to mono float32 at 48 kHz."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("mp3", "r")
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)

    def push(self, data: bytes) -> FloatArray:
        return self._decoded(data) if data else NOTHING

    def flush(self) -> FloatArray:
        return np.concatenate([self._decoded(None), self._resampled(None)])

    def _decoded(self, data: bytes | None) -> FloatArray:
        frames = (
            frame for packet in self._codec.parse(data) for frame in self._codec.decode(packet)
        )
        return np.concatenate([NOTHING, *(self._resampled(frame) for frame in frames)])

    def _resampled(self, frame: av.AudioFrame | None) -> FloatArray:
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        return np.concatenate([NOTHING, *pieces])
