"""Server side of the workers: one process per stream, a warm spare, restart after a crash."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_server.children import end
from avatar_server.clock import Clock
from avatar_server.errors import WorkerFailed
from avatar_server.worker.process import WIRE_RATE_HZ, spec_from
from avatar_server.worker.wire import Decoder, WireError, WireMessage, encode
from sonic_stream.engine import StreamOptions
from sonic_stream.media import EngineSpec, MediaPacket

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
HANG_S = 5.0
MAX_RESTARTS = 3
RESTART_WINDOW_S = 30.0
# So much sound that a worker did not even take means that it is stuck.
MAX_UNSENT_BYTES = int(HANG_S * WIRE_RATE_HZ * 2)
STREAM = 0  # a process hosts one stream of ours


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Which engine a worker loads, and how long that may take."""

    name: str
    size_px: int
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    start_timeout_s: float = START_TIMEOUT_S

    def as_json(self) -> str:
        fields = {"name": self.name, "size_px": self.size_px, "settings": dict(self.settings)}
        return json.dumps(fields)


@dataclass(frozen=True, slots=True)
class StreamRequest:
    identity: Path
    options: StreamOptions
    bitrate_bps: int = 1_500_000


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """`stages`: {"render": {"p50": ms, "p95": ms}, …}; counts since the worker's start;
    `encodes` by codec: one for each picture, however many watch."""

    frames: int
    dropped: int
    stages: dict[str, dict[str, float]]
    encodes: dict[str, int]


@dataclass(frozen=True, slots=True)
class WorkerRestarted:
    count: int


@dataclass(frozen=True, slots=True)
class WorkerError:
    message: str


WorkerEvent = MediaPacket | WorkerStats | WorkerRestarted | WorkerError


class WorkerProcess:
    """One child process and its connection."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._received: deque[WireMessage] = deque()

    @classmethod
    async def start(cls, engine: EngineRequest) -> tuple[WorkerProcess, EngineSpec]:
        """Start a child and wait until its engine is loaded. Raises `WorkerFailed`."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "avatar_server.worker",
                str(theirs.fileno()), engine.as_json(),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = cls(process, reader, writer)
        try:
            async with asyncio.timeout(engine.start_timeout_s):
                loaded = await worker.receive()
        except TimeoutError:
            loaded = None
        except asyncio.CancelledError:
            await worker.kill()
            raise
        if loaded is None or loaded.kind == "failed":
            await worker.kill()
            reason = loaded.fields["message"] if loaded else "its worker did not start; see the log"
            raise WorkerFailed(f"engine {engine.name!r}: {reason}")
        return worker, spec_from(loaded.fields["spec"])

    async def receive(self) -> WireMessage | None:
        """The next message; None when the worker is gone or talks nonsense."""
        while not self._received:
            try:
                data = await self._reader.read(1 << 18)
                self._received.extend(self._decoder.feed(data))
            except (ConnectionError, WireError):
                return None
            if not data:
                return None
        return self._received.popleft()

    def send(self, kind: str, fields: dict[str, Any], body: bytes = b"") -> bool:
        """Queue a message; False when too much is unsent already and it was not."""
        transport = self._writer.transport
        if transport.is_closing():
            return False
        if kind == "audio" and transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        self._writer.write(encode(WireMessage(kind, {"stream": STREAM, **fields}, body)))
        return True

    def hang_up(self) -> None:
        """Without its connection a worker ends by itself; `kill` makes sure."""
        self._writer.transport.abort()

    async def kill(self) -> None:
        self.hang_up()
        await end(self.process)


class WorkerPool:
    """Keeps `spare` workers with a loaded engine, so that a session starts at once.

    There are never more than `limit` processes: an engine may fill a card.
    """

    def __init__(
        self, engine: EngineRequest, clock: Clock, *, spare: int = 1, limit: int = 1000
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._spare = spare
        self._limit = limit
        self._taken = 0
        self._opened = 0
        self._warm: deque[asyncio.Task[tuple[WorkerProcess, EngineSpec]]] = deque()
        self._closed = False

    async def start(self) -> None:
        """Returns when the first spare is warm. Raises `WorkerFailed`."""
        self._refill()
        if self._warm:
            await asyncio.shield(self._warm[0])

    async def open(self, request: StreamRequest) -> WorkerStream:
        """A stream whose seed is 0 gets one of its own: no two avatars blink together.

        Raises `WorkerFailed`.
        """
        worker, spec = await self.take()
        self._opened += 1
        options = replace(request.options, seed=request.options.seed or self._opened)
        request = replace(request, options=options)
        return WorkerStream(self, request, worker, spec, self._clock)

    async def take(self) -> tuple[WorkerProcess, EngineSpec]:
        """A loaded worker: a warm one if there is, else a fresh one."""
        self._taken += 1
        try:
            while self._warm:
                task = self._warm.popleft()
                self._refill()
                worker, spec = await task
                if worker.process.returncode is None:
                    return worker, spec
            return await WorkerProcess.start(self._engine)
        except BaseException:
            self._taken -= 1
            raise

    async def give_back(self, worker: WorkerProcess) -> None:
        """Every worker that was taken comes back once; it is ended, and its place is free."""
        await worker.kill()
        self._taken -= 1
        self._refill()

    async def close(self) -> None:
        self._closed = True
        for task in self._warm:
            task.cancel()
        for result in await asyncio.gather(*self._warm, return_exceptions=True):
            if isinstance(result, tuple):
                await result[0].kill()
        self._warm.clear()

    def _refill(self) -> None:
        room = min(self._spare, self._limit - self._taken)
        while len(self._warm) < room and not self._closed:
            start = WorkerProcess.start(self._engine)
            self._warm.append(asyncio.create_task(start))


class WorkerStream:
    """One session's stream in a worker, kept alive across crashes.

    What was said last (identity, options, codecs) is remembered and said again to a new
    worker, which continues at the next whole frame.
    """

    def __init__(
        self,
        pool: WorkerPool,
        request: StreamRequest,
        worker: WorkerProcess,
        spec: EngineSpec,
        clock: Clock,
    ) -> None:
        self.spec = spec
        self._pool = pool
        self._request = request
        self._worker: WorkerProcess | None = worker
        self._clock = clock
        self._codecs: list[str] = []
        self._skip_until_frame = False
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._introduce(worker)

    def push_audio(self, samples: npt.NDArray[np.int16], pts: int, generation: int) -> None:
        """`samples` int16 [n] at 48 kHz from `pts` on. Never blocks; a dead or stuck worker
        misses it, and a new one begins at a frame's start."""
        frame = WIRE_RATE_HZ * self.spec.fps.denominator // self.spec.fps.numerator
        if self._worker is None or (self._skip_until_frame and pts % frame):
            return
        self._skip_until_frame = False
        fields = {"pts": pts, "generation": generation}
        if not self._worker.send("audio", fields, samples.tobytes()):
            self._worker.hang_up()  # noticed, and replaced, where events are read

    def set_options(self, options: StreamOptions) -> None:
        """A seed of 0 leaves the stream's as it is."""
        options = replace(options, seed=options.seed or self._request.options.seed)
        self._request = replace(self._request, options=options)
        self._tell("options", {"options": asdict(options)})

    def set_identity(self, identity: Path) -> None:
        self._request = replace(self._request, identity=identity)
        self._tell("identity", {"identity": str(identity)})

    def set_codecs(self, codecs: frozenset[str]) -> None:
        """Which codecs somebody watches; nothing is encoded for nobody."""
        self._codecs = sorted(codecs)
        self._tell("codecs", {"codecs": self._codecs})

    def request_keyframe(self, codec: str) -> None:
        self._tell("keyframe", {"codec": codec})

    async def events(self) -> AsyncIterator[WorkerEvent]:
        """What the worker makes, for one consumer; ends after a `WorkerError`."""
        while True:
            message = await self._next_message()
            if message is None:
                event = await self._restart()
                yield event
                if isinstance(event, WorkerError):
                    return
            elif message.kind == "packet":
                yield _packet(message, self.spec.fps)
            elif message.kind == "stats":
                fields = message.fields
                yield WorkerStats(
                    fields["frames"], fields["dropped"], fields["stages"], fields["encodes"]
                )
            elif message.kind == "error":
                log.warning("worker: %s", message.fields["message"])

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await self._pool.give_back(worker)

    async def _next_message(self) -> WireMessage | None:
        if self._worker is None:
            return None
        try:
            async with asyncio.timeout(HANG_S if self._codecs else None):
                return await self._worker.receive()
        except TimeoutError:
            log.warning("a worker made nothing for %g s", HANG_S)
            return None

    async def _restart(self) -> WorkerEvent:
        now_s = self._clock.now_s()
        if len(self._restarts) == MAX_RESTARTS and now_s - self._restarts[0] < RESTART_WINDOW_S:
            return WorkerError(f"it failed {MAX_RESTARTS + 1} times within {RESTART_WINDOW_S:g} s")
        self._restarts.append(now_s)
        await self.close()
        log.warning("a worker died and is replaced")
        try:
            self._worker, _ = await self._pool.take()
        except WorkerFailed as error:
            return WorkerError(str(error))
        self._skip_until_frame = True
        self._introduce(self._worker)
        return WorkerRestarted(len(self._restarts))

    def _introduce(self, worker: WorkerProcess) -> None:
        request = self._request
        worker.send(
            "open",
            {
                "identity": str(request.identity),
                "options": asdict(request.options),
                "bitrate_bps": request.bitrate_bps,
                "codecs": self._codecs,
            },
        )

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        if self._worker is not None:
            self._worker.send(kind, fields)


def _packet(message: WireMessage, fps: Fraction) -> MediaPacket:
    fields = message.fields
    return MediaPacket(
        codec=fields["codec"],
        data=message.body,
        pts=fields["pts"],
        time_base=1 / fps,
        keyframe=fields["keyframe"],
        generation=fields["generation"],
    )
