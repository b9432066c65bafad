"""A voice in a process of its own, by pipes (`voice_process`): heavy ones, and copyleft ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

import numpy as np

from avatar_server.children import end
from avatar_server.sources.base import RATE_HZ, SourceError
from avatar_server.sources.resample import ToSession
from avatar_server.sources.speech.base import Piece, Word, tokens
from avatar_server.sources.speech.voice_process import EVENT, FAILED, HEAD

WARM_UP_S = 30.0  # a server does not wait longer for its voice; that gets ready all the same
START_TIMEOUT_S = 300.0  # some fetch their weights when they are first used
ANSWER_TIMEOUT_S = 15.0
MAX_PIECE_BYTES = 1 << 24
MAX_PIECE_WORDS = 10_000


@dataclass(frozen=True, slots=True)
class _Raw:
    rate_hz: int
    pcm: bytes
    events: bytes


class VoiceProcess:
    """Started with `warm_up` or the first text, and again when it died. One utterance at a time;
    what is left of one that was abandoned is read before the next one begins."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._turn = asyncio.Lock()
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._reading: asyncio.Task[_Raw] | None = None
        self._speaking = False

    async def warm_up(self) -> None:
        starting = self._started()
        await asyncio.wait({starting}, timeout=WARM_UP_S)
        if starting.done() and not starting.cancelled():
            starting.exception()  # told again to who wants it to speak

    async def say(self, sentence: str, request: Mapping[str, object]) -> AsyncGenerator[Piece]:
        """`sentence` is the text that the words of the answer count their places in. Raises
        `SourceError`."""
        resampler: ToSession | None = None
        async with aclosing(self._utter(request)) as pieces:
            async for raw in pieces:
                resampler = resampler or ToSession(raw.rate_hz)
                samples = np.frombuffer(raw.pcm, "<i2").astype(np.float32) / 32768
                yield Piece(resampler.push(samples), _words(sentence, raw))
        if resampler is not None:
            yield Piece(resampler.flush())

    async def close(self) -> None:
        starting, self._starting = self._starting, None
        reading, self._reading = self._reading, None
        self._speaking = False
        for task in (reading, starting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if starting is not None and _alive(starting):
            await end(starting.result())

    async def _utter(self, request: Mapping[str, object]) -> AsyncGenerator[_Raw]:
        async with self._turn:
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    process = await asyncio.shield(self._started())
                while self._speaking:
                    with suppress(SourceError):  # of what nobody waits for any more
                        await self._next(process)
                assert process.stdin is not None
                process.stdin.write(json.dumps(request).encode() + b"\n")
                self._speaking = True
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await process.stdin.drain()
                while raw := await self._next(process):
                    yield raw
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                await self.close()
                message = "the voice stopped working; it is restarted"
                raise SourceError(message, "no_voice") from error

    def _started(self) -> asyncio.Task[asyncio.subprocess.Process]:
        if self._starting is None or (self._starting.done() and not _alive(self._starting)):
            self._starting = asyncio.create_task(self._start(), name="voice")
        return self._starting

    async def _start(self) -> asyncio.subprocess.Process:
        self._speaking, self._reading = False, None
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            ready = await _read(process)
            if ready.rate_hz == FAILED:
                raise _failure(ready)
        except BaseException:
            await end(process)
            raise
        return process

    async def _next(self, process: asyncio.subprocess.Process) -> _Raw | None:
        """The next piece of what is being said, None at its end. A reader that is cancelled leaves
        no half of a piece behind."""
        self._reading = self._reading or asyncio.create_task(_read(process))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            raw = await asyncio.shield(self._reading)
        self._reading = None
        self._speaking = raw.rate_hz != 0
        if raw.rate_hz == FAILED:
            raise _failure(raw)
        return raw if self._speaking else None


def _alive(starting: asyncio.Task[asyncio.subprocess.Process]) -> bool:
    if not starting.done() or starting.cancelled() or starting.exception() is not None:
        return False
    return starting.result().returncode is None


def _failure(raw: _Raw) -> SourceError:
    return SourceError(f"the voice failed ({raw.pcm.decode(errors='replace')})", "no_voice")


def _words(sentence: str, raw: _Raw) -> tuple[Word, ...]:
    """An engine may tell of "12.50" as of several words; the first is its beginning."""
    begun: dict[int, Word] = {}
    for place, _, sample in EVENT.iter_unpack(raw.events):
        for token in tokens(sentence):
            if token.start() <= place < token.end():
                start = sample * RATE_HZ // raw.rate_hz
                begun.setdefault(token.end(), Word(token[0], start, token.end()))
    return tuple(begun.values())


async def _read(process: asyncio.subprocess.Process) -> _Raw:
    assert process.stdout is not None
    head = await process.stdout.readexactly(HEAD.size)
    rate_hz, size, count = HEAD.unpack(head)
    if size > MAX_PIECE_BYTES or count > MAX_PIECE_WORDS:
        raise ConnectionError(f"a piece of {size} bytes and {count} words")
    pcm = await process.stdout.readexactly(size)
    return _Raw(rate_hz, pcm, await process.stdout.readexactly(count * EVENT.size))
