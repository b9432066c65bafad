"""Server side of the workers: places for streams, a warm spare, restart after a crash."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_server.clock import Clock
from avatar_server.errors import WorkerFailed
from avatar_server.worker.child import HANG_S, EngineRequest, Place, WorkerProcess
from avatar_server.worker.process import WIRE_RATE_HZ
from avatar_server.worker.wire import WireMessage
from sonic_stream.engine import StreamOptions
from sonic_stream.media import EngineSpec, MediaPacket

log = logging.getLogger(__name__)

MAX_RESTARTS = 3
RESTART_WINDOW_S = 30.0


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


@dataclass(eq=False, slots=True)
class _Host:
    """A worker process, loaded or still loading, how many streams it hosts at most (while it loads,
    as many as the one before), and how many have a place in it."""

    task: asyncio.Task[WorkerProcess]
    places: int
    taken: int = 0

    @property
    def free(self) -> int:
        return max(self.places - self.taken, 0)

    def rank(self) -> tuple[bool, int]:
        """Of those with a free place, the one that has loaded and hosts the fewest comes first."""
        return not self.task.done(), self.taken


class WorkerPool:
    """Keeps `spare` places in workers with a loaded engine, so that a session starts at once.

    How many streams a process hosts is the engine's word, or that of the worker, which measures
    what a picture takes. A new process begins when those that there are have no spare place; of
    these a stream goes where the fewest are. There are never more than `limit` places taken.
    """

    def __init__(
        self, engine: EngineRequest, clock: Clock, *, spare: int = 1, limit: int = 1000
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._spare = spare
        self._limit = limit
        self._hosts: list[_Host] = []
        self._opened = 0
        self._closed = False

    async def start(self, identity: Path | None = None) -> None:
        """Returns when the first spare is warm. `identity`: a portrait to rehearse with; without
        one, and without the engine's word, a process hosts one stream. Raises `WorkerFailed`."""
        if identity is not None:
            self._engine = replace(self._engine, identity=str(identity))
        self._refill()
        if self._hosts:
            await asyncio.shield(self._hosts[0].task)

    async def open(self, request: StreamRequest) -> WorkerStream:
        """A stream whose seed is 0 gets one of its own: no two avatars blink together.

        Raises `WorkerFailed`.
        """
        place = await self.take()
        self._opened += 1
        options = replace(request.options, seed=request.options.seed or self._opened)
        return WorkerStream(self, replace(request, options=options), place, self._clock)

    async def take(self) -> Place:
        """A place in a loaded worker, a warm one if there is. Raises `WorkerFailed`."""
        while True:
            open_ = [host for host in self._hosts if host.free]
            host = min(open_, key=_Host.rank) if open_ else self._begin()
            host.taken += 1
            self._refill()
            try:
                worker = await asyncio.shield(host.task)
            except BaseException as error:
                host.taken -= 1
                if isinstance(error, WorkerFailed):
                    self._forget(host)
                raise
            if worker.process.returncode is None:
                return worker.join()
            self._forget(host)

    async def give_back(self, place: Place, *, broken: bool = False) -> None:
        """Every place that was taken comes back once. A broken process is ended, and one that
        hosted a single stream: the next session begins in a fresh one."""
        worker = place.worker
        worker.leave(place.stream)
        host = next((h for h in self._hosts if _worker_of(h) is worker), None)
        if host is None:  # another stream found it broken first
            return
        host.taken -= 1
        elsewhere = self._free() - host.free
        if broken or (host.taken == 0 and (host.places == 1 or elsewhere >= self._spare)):
            self._forget(host)
            await worker.kill()
        self._refill()

    async def close(self) -> None:
        self._closed = True
        for host in self._hosts:
            host.task.cancel()
        tasks = [host.task for host in self._hosts]
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, WorkerProcess):
                await result.kill()
        self._hosts.clear()

    def _free(self) -> int:
        return sum(host.free for host in self._hosts)

    def _refill(self) -> None:
        taken = sum(host.taken for host in self._hosts)
        while not self._closed and self._free() < min(self._spare, self._limit - taken):
            self._begin()

    def _begin(self) -> _Host:
        load = asyncio.create_task(WorkerProcess.start(self._engine), name="worker start")
        host = _Host(load, self._engine.places or 1)
        load.add_done_callback(lambda _: self._loaded(host))
        self._hosts.append(host)
        return host

    def _loaded(self, host: _Host) -> None:
        worker = _worker_of(host)
        if worker is not None:
            host.places = worker.streams
            # Said to the next ones: measured beside busy processes it would be another number.
            self._engine = replace(self._engine, places=worker.streams)
            self._refill()

    def _forget(self, host: _Host) -> None:
        if host in self._hosts:
            self._hosts.remove(host)


def _worker_of(host: _Host) -> WorkerProcess | None:
    """None while it loads, and when it could not."""
    task = host.task
    loaded = task.done() and not task.cancelled() and task.exception() is None
    return task.result() if loaded else None


class WorkerStream:
    """One session's stream in a worker, kept alive across crashes.

    What was said last (identity, options, codecs) is remembered and said again to a new
    worker, which continues at the next whole frame.
    """

    def __init__(
        self, pool: WorkerPool, request: StreamRequest, place: Place, clock: Clock
    ) -> None:
        self.spec: EngineSpec = place.worker.spec
        self._pool = pool
        self._request = request
        self._place: Place | None = place
        self._clock = clock
        self._codecs: list[str] = []
        self._skip_until_frame = False
        self._broken = False
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._introduce(place)

    def push_audio(self, samples: npt.NDArray[np.int16], pts: int, generation: int) -> None:
        """`samples` int16 [n] at 48 kHz from `pts` on. Never blocks; a dead or stuck worker
        misses it, and a new one begins at a frame's start."""
        frame = WIRE_RATE_HZ * self.spec.fps.denominator // self.spec.fps.numerator
        if self._place is None or (self._skip_until_frame and pts % frame):
            return
        self._skip_until_frame = False
        fields = {"pts": pts, "generation": generation}
        if not self._place.send("audio", fields, samples.tobytes()):
            self._place.worker.hang_up()  # noticed, and replaced, where events are read

    def silence_from(self, pts: int) -> None:
        """The sound pushed so far is silence from `pts` on; pictures that were made stay."""
        self._tell("silence", {"pts": pts})

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
        place, self._place = self._place, None
        if place is not None:
            await self._pool.give_back(place, broken=self._broken)

    async def _next_message(self) -> WireMessage | None:
        """None when the stream needs another place."""
        if self._place is None:
            return None
        worker = self._place.worker
        before = worker.messages
        try:
            async with asyncio.timeout(HANG_S if self._codecs else None):
                message = await self._place.receive()
                self._broken = message is None
        except TimeoutError:
            log.warning("a worker made nothing for %g s", HANG_S)
            self._broken = worker.messages == before  # else only this stream is in trouble
            return None
        if message is not None and message.kind == "failed":
            log.warning("a stream of a worker failed: %s", message.fields["message"])
            return None
        return message

    async def _restart(self) -> WorkerEvent:
        now_s = self._clock.now_s()
        if len(self._restarts) == MAX_RESTARTS and now_s - self._restarts[0] < RESTART_WINDOW_S:
            return WorkerError(f"it failed {MAX_RESTARTS + 1} times within {RESTART_WINDOW_S:g} s")
        self._restarts.append(now_s)
        await self.close()
        log.warning("a worker died and is replaced")
        try:
            self._place = await self._pool.take()
        except WorkerFailed as error:
            return WorkerError(str(error))
        self._skip_until_frame = True
        self._broken = False
        self._introduce(self._place)
        return WorkerRestarted(len(self._restarts))

    def _introduce(self, place: Place) -> None:
        request = self._request
        place.send(
            "open",
            {
                "identity": str(request.identity),
                "options": asdict(request.options),
                "bitrate_bps": request.bitrate_bps,
                "codecs": self._codecs,
            },
        )

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        if self._place is not None:
            self._place.send(kind, fields)


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
