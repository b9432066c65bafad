"""One worker process seen from the server: its start, its connection, its streams' places."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_server.children import end
from avatar_server.errors import WorkerFailed
from avatar_server.worker.process import WIRE_RATE_HZ, spec_from
from avatar_server.worker.wire import Decoder, WireError, WireMessage, encode
from sonic_stream.media import EngineSpec

START_TIMEOUT_S = 60.0
HANG_S = 5.0
# So much sound of a stream that a worker did not even take means that it is stuck.
MAX_UNSENT_BYTES = int(HANG_S * WIRE_RATE_HZ * 2)
MAX_UNREAD = 1000  # messages of a stream whose session does not read: the oldest are dropped
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # its cores belong to its sessions
# Portraits, and what is made of them, are given back to the system when they are let go (glibc
# would raise its threshold, and keep them); all that each picture needs anew is smaller.
KEPT_BYTES_PER_PX = 8
GREETING = -1  # what a worker says of itself belongs to no stream


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Which engine a worker loads, and how long that may take. `places`: how many streams it hosts;
    0: the engine's word, or what it measures with a prepared portrait, `identity`."""

    name: str
    size_px: int
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    start_timeout_s: float = START_TIMEOUT_S
    identity: str = ""
    places: int = 0

    def as_json(self) -> str:
        fields = {"name": self.name, "size_px": self.size_px, "settings": dict(self.settings)}
        return json.dumps(fields | {"identity": self.identity, "places": self.places})


class WorkerProcess:
    """One child process and its connection. Made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self.spec: EngineSpec
        self.streams = 1  # how many it may host
        self.messages = 0  # received so far: a sign of life
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._inboxes: dict[int, deque[WireMessage]] = {}
        self._reading = asyncio.Lock()
        self._opened = 0

    @classmethod
    async def start(cls, engine: EngineRequest) -> WorkerProcess:
        """Start a child and wait until its engine is loaded. Raises `WorkerFailed`."""
        ours, theirs = socket.socketpair()
        kept = KEPT_BYTES_PER_PX * engine.size_px**2
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "avatar_server.worker",
                str(theirs.fileno()), engine.as_json(),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env=os.environ | THREADS | {"MALLOC_MMAP_THRESHOLD_": str(kept)},
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = cls(process, reader, writer)
        worker._inboxes[GREETING] = deque()
        try:
            async with asyncio.timeout(engine.start_timeout_s):
                loaded = await worker.receive(GREETING)
        except TimeoutError:
            loaded = None
        except asyncio.CancelledError:
            await worker.kill()
            raise
        if loaded is None or loaded.kind == "failed":
            await worker.kill()
            reason = loaded.fields["message"] if loaded else "its worker did not start; see the log"
            raise WorkerFailed(f"engine {engine.name!r}: {reason}")
        worker.spec = spec_from(loaded.fields["spec"])
        worker.streams = loaded.fields["streams"]
        return worker

    def join(self) -> Place:
        """A place for one more stream."""
        self._opened += 1
        self._inboxes[self._opened] = deque(maxlen=MAX_UNREAD)
        return Place(self, self._opened)

    def leave(self, stream: int) -> None:
        self._inboxes.pop(stream, None)
        self.send(stream, "close", {})

    async def receive(self, stream: int) -> WireMessage | None:
        """The next message of a stream; None when the worker is gone or talks nonsense.

        Who waits reads for all: no task of the process's own has to be minded.
        """
        inbox = self._inboxes[stream]
        while not inbox:
            async with self._reading:
                if not inbox and not await self._read():
                    return None
        return inbox.popleft()

    def send(self, stream: int, kind: str, fields: dict[str, Any], body: bytes = b"") -> bool:
        """Queue a message; False when too much is unsent already and it was not."""
        transport = self._writer.transport
        if transport.is_closing():
            return False
        unsent_limit = MAX_UNSENT_BYTES * self.streams
        if kind == "audio" and transport.get_write_buffer_size() > unsent_limit:
            return False
        self._writer.write(encode(WireMessage(kind, {"stream": stream, **fields}, body)))
        return True

    def hang_up(self) -> None:
        """Without its connection a worker ends by itself; `kill` makes sure."""
        self._writer.transport.abort()

    async def kill(self) -> None:
        self.hang_up()
        await end(self.process)

    async def _read(self) -> bool:
        try:
            data = await self._reader.read(1 << 18)
            for message in self._decoder.feed(data):
                self.messages += 1
                inbox = self._inboxes.get(message.fields.get("stream", GREETING))
                if inbox is not None:  # else its stream has left
                    inbox.append(message)
        except (ConnectionError, WireError):
            self.hang_up()
            return False
        return bool(data)


@dataclass(frozen=True, slots=True)
class Place:
    """A stream's place in a worker process."""

    worker: WorkerProcess
    stream: int

    async def receive(self) -> WireMessage | None:
        return await self.worker.receive(self.stream)

    def send(self, kind: str, fields: dict[str, Any], body: bytes = b"") -> bool:
        return self.worker.send(self.stream, kind, fields, body)
