"""The embedded voice: espeak-ng in a process of its own (`espeak_process`), by pipe."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from avatar_server.children import end
from avatar_server.sources.base import RATE_HZ, SourceError
from avatar_server.sources.resample import ToSession
from avatar_server.sources.speech.base import Manner, Piece, Voice, Word, is_chinese, tokens
from sonic_stream.media import FloatArray

ANSWER_TIMEOUT_S = 15.0
MAX_PIECE_BYTES = 1 << 20
MAX_PIECE_WORDS = 10_000
EVENT = struct.Struct("<III")
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
    """Starts its process with the first text, one utterance at a time, and restarts it when it
    died or an utterance was abandoned halfway."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._rate_hz = 0
        self._turn = asyncio.Lock()

    def voices(self) -> list[Voice]:
        """Empty where the extra `tts` is not installed."""
        return [v.voice for v in VOICES] if find_spec("espeakng_loader") else []

    def check(self, manner: Manner) -> None:
        if not self.voices():
            raise SourceError("no voice is installed; pip install 'avatar-server[tts]'", "no_voice")
        _choose("", manner.voice)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        self.check(manner)
        async with self._turn, aclosing(self._utter(sentence, manner)) as pieces:
            async for piece in pieces:
                yield piece

    async def warm_up(self) -> None:
        if self.voices():
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await self._running()

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end(process)

    async def _utter(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        complete = False
        leveller = Leveller()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                process = await self._running()
                await self._ask(process, sentence, manner)
                pcm, words = await _piece(process)
            resampler = ToSession(self._rate_hz)
            while pcm:
                samples = resampler.push(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768)
                yield Piece(leveller.apply(samples), self._words(sentence, words))
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    pcm, words = await _piece(process)
            complete = True
            yield Piece(leveller.apply(resampler.flush()))
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise SourceError("the voice stopped working; it is restarted", "no_voice") from error
        finally:
            if not complete:  # its pipe holds the rest of an utterance nobody wants
                await self.close()

    def _words(self, sentence: str, events: bytes) -> tuple[Word, ...]:
        """espeak-ng tells of "12.50" as of several words; the first is its beginning."""
        begun: dict[int, Word] = {}
        for place, _, sample in EVENT.iter_unpack(events):
            for token in tokens(sentence):
                if token.start() <= place < token.end():
                    start = sample * RATE_HZ // self._rate_hz
                    begun.setdefault(token.end(), Word(token[0], start, token.end()))
        return tuple(begun.values())

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "avatar_server.sources.speech.espeak_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert self._process.stdout is not None
            self._rate_hz, _ = struct.unpack("<II", await self._process.stdout.readexactly(8))
        return self._process

    async def _ask(
        self, process: asyncio.subprocess.Process, sentence: str, manner: Manner
    ) -> None:
        voice = _choose(sentence, manner.voice)
        request = {
            "text": sentence,
            "voice": voice.name,
            "rate_wpm": round(voice.rate_wpm * manner.rate),
            "pitch": voice.pitch,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()


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


async def _piece(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """The next piece's PCM and words; the PCM is empty at the utterance's end."""
    assert process.stdout is not None
    (length,) = struct.unpack("<I", await process.stdout.readexactly(4))
    if length > MAX_PIECE_BYTES:
        raise ConnectionError(f"a piece of {length} bytes")
    pcm = await process.stdout.readexactly(length)
    (count,) = struct.unpack("<I", await process.stdout.readexactly(4))
    if count > MAX_PIECE_WORDS:
        raise ConnectionError(f"a piece of {count} words")
    return pcm, await process.stdout.readexactly(count * EVENT.size)
