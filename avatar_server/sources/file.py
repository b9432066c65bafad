"""A sound file as a source, decoded in a child process (`decode`) as it is needed."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_server.children import end
from avatar_server.sources.base import SampleQueue, SourceError
from sonic_stream.media import FloatArray

PROBE_TIMEOUT_S = 30.0
BUFFER_S = 2.0  # what is decoded ahead of being heard


@dataclass(frozen=True, slots=True)
class AudioInfo:
    duration_s: float


async def _start(task: str, path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "avatar_server.sources.decode", task, str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def probe(path: Path) -> AudioInfo:
    """What a file holds. Raises `SourceError` when we cannot play it."""
    process = await _start("probe", path)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            output, problem = await process.communicate()
    except TimeoutError as error:
        raise SourceError("the file took too long to read") from error
    finally:
        if process.returncode is None:
            await end(process)
    if process.returncode != 0:
        raise SourceError(_reason(problem))
    return AudioInfo(**json.loads(output))


def _reason(problem: bytes) -> str:
    try:
        return str(json.loads(problem)["message"])
    except (ValueError, KeyError, TypeError):
        return "this file cannot be read"


class FileSource:
    """Opened with `open`; a reader task keeps at most `BUFFER_S` seconds decoded."""

    kind = "file"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._queue = SampleQueue(BUFFER_S)
        self._ended = False
        self._reader = asyncio.create_task(self._fill())

    @classmethod
    async def open(cls, path: Path) -> FileSource:
        return cls(await _start("pcm", path))

    def read(self, n: int) -> FloatArray:
        return self._queue.take(n)

    @property
    def finished(self) -> bool:
        return self._ended and not len(self._queue)

    async def close(self) -> None:
        self._ended = True
        self._queue.take(len(self._queue))
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await end(self._process)

    async def _fill(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(1 << 16):
            data = rest + data
            whole = len(data) // 4 * 4
            rest = data[whole:]
            samples = np.frombuffer(data[:whole], "<f4")
            self._queue.put(np.clip(np.nan_to_num(samples), -1.0, 1.0))
            await self._queue.room()
        self._ended = True
