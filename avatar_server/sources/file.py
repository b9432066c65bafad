"""A sound file as a source, decoded in a child process (`decode`) as it is needed."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_server.children import end
from avatar_server.sources.base import MadeAhead, Source, SourceError

PROBE_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 5.0
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


class FileSource(MadeAhead):
    """A file that a child process decodes, at most `BUFFER_S` seconds ahead."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        super().__init__(BUFFER_S)
        self._path = path

    def again(self) -> Source | None:
        return FileSource(self._path)

    async def _make(self) -> None:
        process = await _start("pcm", self._path)
        try:
            assert process.stdout is not None
            rest = b""
            while data := await process.stdout.read(1 << 16):
                data = rest + data
                whole = len(data) // 4 * 4
                rest = data[whole:]
                samples = np.frombuffer(data[:whole], "<f4")
                self._queue.put(np.clip(np.nan_to_num(samples), -1.0, 1.0))
                await self._queue.room()
            await self._judge(process)
        finally:
            await end(process)

    async def _judge(self, process: asyncio.subprocess.Process) -> None:
        """The file itself was good when it was uploaded."""
        problem = b"" if process.stderr is None else await process.stderr.read()
        async with asyncio.timeout(EXIT_TIMEOUT_S):
            if await process.wait() != 0:
                raise SourceError(_reason(problem))
