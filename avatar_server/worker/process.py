"""The worker: hosts streams of one engine, encodes what they draw, speaks the wire.

No event loop: one thread reads what has come, advances the streams and sends what was made; a
second one (`loader`) makes what takes longer than a picture may; pictures that a card drew in one
batch are encoded on as many threads as there are cores. A stream that is late advances
without drawing (never queues), so that picture and sound stay together and the newest picture is
shown.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from avatar_server.rolling import Rolling
from avatar_server.worker.capacity import measured_places
from avatar_server.worker.encoders import VideoEncoder
from avatar_server.worker.loader import Loader, Ready, Wanted, with_alpha
from avatar_server.worker.stacking import rungs
from avatar_server.worker.wire import Decoder, WireMessage, encode
from sonic_stream.engine import (
    Engine,
    Push,
    SharedEngine,
    Stream,
    StreamOptions,
    load_engine,
    push_all,
    streams_of,
)
from sonic_stream.media import (
    AudioChunk,
    ByteArray,
    EngineSpec,
    FrameChunk,
    IdentityLatents,
    MediaPacket,
)
from sonic_stream.resample import Decimator
from sonic_stream.smoothing import faded

log = logging.getLogger(__name__)

WIRE_RATE_HZ = 48_000
# So much sound waiting beyond a hop means being late: only the newest hop is drawn.
LATE_SAMPLES = WIRE_RATE_HZ * 120 // 1000
# So much is not caught up with: the stream begins anew at the newest sound.
LOST_SAMPLES = 3 * WIRE_RATE_HZ
STATS_EVERY_FRAMES = 25


@dataclass
class HostedStream:
    """A stream with its sound still to be heard, its encoders and its figures."""

    stream: Stream
    options: StreamOptions
    spec: EngineSpec
    decimator: Decimator
    waiting: deque[AudioChunk] = field(default_factory=deque)
    encoders: dict[str, VideoEncoder] = field(default_factory=dict)
    keyframes: set[str] = field(default_factory=set)
    stages: dict[str, Rolling] = field(default_factory=dict)
    heard_samples: int = 0
    frames: int = 0
    dropped: int = 0
    encodes: Counter[str] = field(default_factory=Counter)

    def silence_from(self, pts: int) -> None:
        """What waits is silence from `pts` (at 48 kHz) on: so is what was heard already."""
        if not self.waiting or pts < self.waiting[0].pts:
            self.decimator.forget()
            self.stream.silence_from(pts * self.spec.sample_rate_hz // WIRE_RATE_HZ)

    def set_codecs(self, codecs: Sequence[str], opened: Mapping[str, VideoEncoder]) -> None:
        """Keep, add and close encoders; a new one starts with a key frame by itself."""
        known = self.encoders | dict(opened)
        self.encoders = {codec: known[codec] for codec in codecs}
        self.configure(self.options)

    def configure(self, options: StreamOptions) -> None:
        """Raises `ValueError`."""
        self.stream.configure(with_alpha(options, tuple(self.encoders)))
        self.options = options

    def take(self) -> Push:
        """The next piece of waiting sound: up to the end of the hop that it makes due.

        Late means that it is not drawn if the next hop has been heard already, and that all but the
        newest hops is taken: else a stream whose neighbours take as long as a hop would stay late,
        and never be drawn. What nobody watches is not drawn either.
        """
        spec = self.spec
        hop_samples = spec.hop_frames * WIRE_RATE_HZ * spec.fps.denominator // spec.fps.numerator
        late = self._waiting_samples() > hop_samples + LATE_SAMPLES
        pieces, made, first = [], 0, self.waiting[0]
        while self.waiting and (not made or (late and self._waiting_samples() >= 2 * hop_samples)):
            chunk = self.waiting.popleft()
            pieces.append(self.decimator.push(chunk.samples))
            before = spec.frames_ready(self.heard_samples)
            self.heard_samples += len(pieces[-1])
            made += spec.frames_ready(self.heard_samples) - before
        watched = bool(self.encoders)
        render = watched and (not late or self._waiting_samples() < hop_samples)
        self.dropped += made if watched and not render else 0
        pts = first.pts * spec.sample_rate_hz // WIRE_RATE_HZ
        audio = AudioChunk(np.concatenate(pieces), spec.sample_rate_hz, pts, chunk.generation)
        return Push(self.stream, audio, render, late)

    def skip(self) -> None:
        """When too much waits, begin anew at the first whole frame of what is left to hear."""
        if self._waiting_samples() <= LOST_SAMPLES:
            return
        frame = WIRE_RATE_HZ * self.spec.fps.denominator // self.spec.fps.numerator
        before = self._waiting_samples()
        while self.waiting and (len(self.waiting) > 2 or self.waiting[0].pts % frame):
            self.waiting.popleft()
        self.dropped += (before - self._waiting_samples()) // frame
        self.stream.reset()
        self.decimator = Decimator(WIRE_RATE_HZ // self.spec.sample_rate_hz)
        self.heard_samples = 0

    def _waiting_samples(self) -> int:
        return sum(len(chunk.samples) for chunk in self.waiting)

    def packets(self, pictures: Mapping[str, ByteArray], pts: int) -> Iterator[MediaPacket]:
        """The picture of each codec, encoded."""
        for codec, encoder in self.encoders.items():
            start_s = perf_counter()
            packet = encoder.encode(pictures[codec], pts, keyframe=codec in self.keyframes)
            self.measured("encode", 1000 * (perf_counter() - start_s))
            self.encodes[codec] += 1
            if packet is None:
                continue
            if packet.keyframe:
                self.keyframes.discard(codec)
            yield packet

    def measured(self, stage: str, milliseconds: float) -> None:
        self.stages.setdefault(stage, Rolling()).add(milliseconds)


class Worker:
    """Serves one connection until it closes."""

    def __init__(self, connection: socket.socket, engine: Engine, places: int) -> None:
        self._connection = connection
        self._engine = engine
        self._places = places
        self._decoder = Decoder()
        self._loader = Loader(engine)
        self._heard: dict[int, deque[AudioChunk]] = {}  # by stream, also one not open yet
        self._loading: Counter[int] = Counter()  # messages by stream
        self._streams: dict[int, HostedStream] = {}
        # Streams drawn in one batch would wait for each other's encoders.
        shared, cores = isinstance(engine, SharedEngine), len(os.sched_getaffinity(0))
        self._map = ThreadPoolExecutor(cores).map if shared and cores > 1 else map

    def serve(self) -> None:
        spec = spec_fields(self._engine.spec)
        self._send(WireMessage("loaded", {"spec": spec, "streams": self._places}))
        while self._receive():
            self._advance()

    def _receive(self) -> bool:
        """Take all that has come; wait only when nothing is left to do. False at the end."""
        busy = bool(self._turn())
        sources = [self._connection, self._loader.wake]
        while readable := select.select(sources, [], [], 0 if busy else None)[0]:
            for ready in self._loader.take():
                self._apply(ready)
            if self._connection in readable:
                data = self._connection.recv(1 << 20)
                if not data:
                    return False
                for message in self._decoder.feed(data):
                    self._handle(message)
            busy = True
        return True

    def _handle(self, message: WireMessage) -> None:
        """Sound waits for its stream, or is taken back; everything else is made ready first."""
        fields, ident = message.fields, int(message.fields["stream"])
        match message.kind:
            case "audio":
                if ident in self._heard:
                    samples = np.frombuffer(message.body, np.int16).astype(np.float32) / 32768
                    chunk = AudioChunk(samples, WIRE_RATE_HZ, fields["pts"], fields["generation"])
                    self._heard[ident].append(chunk)
                return
            case "silence":
                if ident in self._heard:
                    silence(self._heard[ident], fields["pts"])
                if ident in self._streams:
                    self._streams[ident].silence_from(fields["pts"])
                return
            case "open":
                self._heard[ident] = deque()
            case "close":
                self._forget(ident)
        if ident in self._heard:
            self._loading[ident] += 1
        self._loader.put(message)

    def _apply(self, ready: Ready) -> None:
        message, ident = ready.message, int(ready.message.fields["stream"])
        if ident not in self._heard:  # it has left meanwhile
            return
        self._loading[ident] -= 1
        try:
            if ready.error or ready.wanted is None:
                raise ValueError(ready.error)
            if message.kind == "open":
                self._open(ident, ready.wanted)
            self._command(self._streams[ident], message, ready)
        except (ValueError, OSError) as error:
            kind = "error" if ident in self._streams else "failed"
            self._send(WireMessage(kind, {"stream": ident, "message": str(error)}))

    def _open(self, ident: int, wanted: Wanted) -> None:
        self._streams[ident] = HostedStream(
            stream=self._engine.open(wanted.identity, wanted.drawn),
            options=wanted.options,
            spec=self._engine.spec,
            decimator=Decimator(WIRE_RATE_HZ // self._engine.spec.sample_rate_hz),
            waiting=self._heard[ident],
        )

    def _command(self, hosted: HostedStream, message: WireMessage, ready: Ready) -> None:
        wanted = ready.wanted
        assert wanted is not None
        match message.kind:
            case "options":
                hosted.configure(wanted.options)
            case "identity":
                hosted.stream.set_identity(wanted.identity)
            case "open" | "codecs":
                hosted.set_codecs(wanted.codecs, ready.encoders)
            case "keyframe":
                hosted.keyframes.add(message.fields["codec"])

    def _forget(self, ident: int) -> None:
        self._heard.pop(ident, None)
        self._streams.pop(ident, None)
        del self._loading[ident]

    def _turn(self) -> list[int]:
        """Streams with sound to be heard; one that begins waits for what it was told first."""
        return [
            ident
            for ident, hosted in self._streams.items()
            if hosted.waiting and (hosted.heard_samples or not self._loading[ident])
        ]

    def _advance(self) -> None:
        """A piece of sound for each stream that has some. What an engine makes in one batch fails
        together, and ends the process; else a stream that fails ends alone."""
        for hosted in self._streams.values():
            hosted.skip()
        turn = self._turn()
        if isinstance(self._engine, SharedEngine):
            self._push(turn)
            return
        for ident in turn:
            try:
                self._push([ident])
            except ConnectionError:
                raise
            except Exception as error:
                log.exception("stream %d failed", ident)
                self._forget(ident)
                self._send(WireMessage("failed", {"stream": ident, "message": repr(error)}))

    def _push(self, turn: list[int]) -> None:
        hosted = [self._streams[ident] for ident in turn]
        made = push_all(self._engine, [one.take() for one in hosted])
        for one, chunks in zip(hosted, made, strict=True):
            for stage, milliseconds in self._engine.stage_ms.items() if chunks else ():
                one.measured(stage, milliseconds)
        for messages in self._map(encoded, turn, hosted, made):
            for message in messages:
                self._send(message)

    def _send(self, message: WireMessage) -> None:
        self._connection.sendall(encode(message))


def encoded(ident: int, hosted: HostedStream, made: Sequence[FrameChunk]) -> list[WireMessage]:
    """A stream's new pictures in every codec that is watched, and its figures now and then."""
    messages = []
    for frames in made:
        for index, picture in enumerate(frames.frames):
            pictures = rungs(picture, frames.backdrop, hosted.encoders)
            for packet in hosted.packets(pictures, frames.pts + index):
                fields = {
                    "stream": ident,
                    "codec": packet.codec,
                    "pts": packet.pts,
                    "keyframe": packet.keyframe,
                    "generation": frames.generation,
                }
                messages.append(WireMessage("packet", fields, packet.data))
            hosted.frames += 1
            if hosted.frames % STATS_EVERY_FRAMES == 0:
                messages.append(WireMessage("stats", {"stream": ident, **_stats(hosted)}))
    return messages


def silence(waiting: deque[AudioChunk], pts: int) -> None:
    """From `pts` (at 48 kHz) on."""
    for index, chunk in enumerate(waiting):
        silent = faded(chunk.samples, pts - chunk.pts, WIRE_RATE_HZ // 200)
        waiting[index] = replace(chunk, samples=silent)


def _stats(hosted: HostedStream) -> dict[str, Any]:
    stages = {
        name: {"p50": rolling.percentile(50), "p95": rolling.percentile(95)}
        for name, rolling in hosted.stages.items()
    }
    return {
        "frames": hosted.frames,
        "dropped": hosted.dropped,
        "stages": stages,
        "encodes": dict(hosted.encodes),
    }


def spec_fields(spec: EngineSpec) -> dict[str, Any]:
    """A spec as plain data for the wire."""
    return asdict(spec) | {"fps": [spec.fps.numerator, spec.fps.denominator]}


def spec_from(fields: dict[str, Any]) -> EngineSpec:
    return EngineSpec(**(fields | {"fps": Fraction(*fields["fps"])}))


def places_of(engine: Engine, identity: str) -> int:
    """How many streams it hosts, by the engine's word, or measured with a portrait's file."""
    if streams := streams_of(engine):
        return streams
    return measured_places(engine, IdentityLatents.load(Path(identity))) if identity else 1


def run(descriptor: int, request: dict[str, Any]) -> None:
    """The worker process's life; `request`: an `EngineRequest`'s fields. The server ends it by
    closing the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the server's affair
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    connection = socket.socket(fileno=descriptor)
    try:
        size_px, settings = request["size_px"], request["settings"]
        engine = load_engine(request["name"], size_px=size_px, **settings)
        engine.warm_up()
        places = request["places"] or places_of(engine, request["identity"])
    except (ValueError, TypeError, OSError) as error:
        connection.sendall(encode(WireMessage("failed", {"message": str(error)})))
        return
    gc.collect()
    gc.freeze()  # what is loaded stays: a full collection would take longer than a picture
    try:
        Worker(connection, engine, places).serve()
    except (BrokenPipeError, ConnectionResetError):
        log.info("the server is gone")
