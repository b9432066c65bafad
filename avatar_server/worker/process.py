"""The worker: hosts streams of one engine, encodes what they draw, speaks the wire.

One thread, no event loop: read what has come, advance the streams, send what was made.
When it is late it advances without drawing (never queues), so that picture and sound stay
together and the newest picture is shown.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from avatar_server.metrics import Rolling
from avatar_server.worker.encoders import VideoEncoder, open_encoder
from avatar_server.worker.stacking import ALPHA, over
from avatar_server.worker.wire import Decoder, WireMessage, encode
from sonic_stream.engine import (
    Engine,
    Push,
    Stream,
    StreamOptions,
    load_engine,
    push_all,
    streams_of,
)
from sonic_stream.media import AudioChunk, ByteArray, EngineSpec, FrameChunk, IdentityLatents
from sonic_stream.resample import Decimator

log = logging.getLogger(__name__)

WIRE_RATE_HZ = 48_000
# So much sound waiting beyond a hop means being late: only the newest hop is drawn.
LATE_SAMPLES = WIRE_RATE_HZ * 120 // 1000
# So much is not caught up with: the stream begins anew at the newest sound.
LOST_SAMPLES = 3 * WIRE_RATE_HZ
STATS_EVERY_FRAMES = 25
NEUTRAL = 160  # grey behind a transparent picture whose engine names no background


@dataclass
class HostedStream:
    """A stream with its sound still to be heard, its encoders and its figures."""

    stream: Stream
    options: StreamOptions
    spec: EngineSpec
    bitrate_bps: int
    decimator: Decimator
    waiting: deque[AudioChunk] = field(default_factory=deque)
    encoders: dict[str, VideoEncoder] = field(default_factory=dict)
    keyframes: set[str] = field(default_factory=set)
    stages: dict[str, Rolling] = field(default_factory=dict)
    heard_samples: int = 0
    frames: int = 0
    dropped: int = 0
    encodes: Counter[str] = field(default_factory=Counter)

    def set_codecs(self, codecs: list[str]) -> None:
        """Keep, open and close encoders; a new one starts with a key frame by itself."""
        for codec in self.encoders.keys() - set(codecs):
            del self.encoders[codec]
        for codec in codecs:
            if codec not in self.encoders:
                self.encoders[codec] = open_encoder(
                    codec, self.spec.size_px, self.spec.fps, self.bitrate_bps
                )
        self.configure(self.options)

    def configure(self, options: StreamOptions) -> None:
        """The stream draws alpha as long as somebody watches it. Raises `ValueError`."""
        wanted = any(codec.endswith(ALPHA) for codec in self.encoders)
        self.stream.configure(replace(options, alpha=wanted))
        self.options = options

    def take(self) -> Push:
        """The next piece of waiting sound: up to the end of the hop that it makes due.

        Late means that it is not drawn if the next hop has been heard already.
        """
        spec = self.spec
        hop_samples = spec.hop_frames * WIRE_RATE_HZ * spec.fps.denominator // spec.fps.numerator
        late = self._waiting_samples() > hop_samples + LATE_SAMPLES
        pieces, made, first = [], 0, self.waiting[0]
        while self.waiting and not made:
            chunk = self.waiting.popleft()
            pieces.append(self.decimator.push(chunk.samples))
            before = spec.frames_ready(self.heard_samples)
            self.heard_samples += len(pieces[-1])
            made = spec.frames_ready(self.heard_samples) - before
        render = not late or self._waiting_samples() < hop_samples
        self.dropped += 0 if render else made
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

    def measured(self, stage: str, milliseconds: float) -> None:
        self.stages.setdefault(stage, Rolling()).add(milliseconds)


class Worker:
    """Serves one connection until it closes."""

    def __init__(self, connection: socket.socket, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._decoder = Decoder()
        self._streams: dict[int, HostedStream] = {}

    def serve(self) -> None:
        streams = streams_of(self._engine)
        self._send("loaded", {"spec": spec_fields(self._engine.spec), "streams": streams})
        while self._receive():
            self._advance()

    def _receive(self) -> bool:
        """Take all that has come; wait only when nothing is left to do. False at the end."""
        busy = any(hosted.waiting for hosted in self._streams.values())
        while select.select([self._connection], [], [], 0 if busy else None)[0]:
            data = self._connection.recv(1 << 20)
            if not data:
                return False
            for message in self._decoder.feed(data):
                self._handle(message)
            busy = True
        return True

    def _handle(self, message: WireMessage) -> None:
        fields = message.fields
        ident = int(fields["stream"])
        try:
            if message.kind == "open":
                self._open(ident, fields)
            elif ident in self._streams:
                self._command(self._streams[ident], message)
            if message.kind == "close":
                self._streams.pop(ident, None)
        except (ValueError, OSError) as error:
            self._send("error", {"stream": ident, "message": str(error)})

    def _open(self, ident: int, fields: dict[str, Any]) -> None:
        identity = IdentityLatents.load(Path(fields["identity"]))
        options = StreamOptions(**fields["options"])
        self._streams[ident] = HostedStream(
            stream=self._engine.open(identity, options),
            options=options,
            spec=self._engine.spec,
            bitrate_bps=fields["bitrate_bps"],
            decimator=Decimator(WIRE_RATE_HZ // self._engine.spec.sample_rate_hz),
        )
        self._streams[ident].set_codecs(fields["codecs"])

    def _command(self, hosted: HostedStream, message: WireMessage) -> None:
        fields = message.fields
        match message.kind:
            case "audio":
                samples = np.frombuffer(message.body, np.int16).astype(np.float32) / 32768
                hosted.waiting.append(
                    AudioChunk(samples, WIRE_RATE_HZ, fields["pts"], fields["generation"])
                )
            case "options":
                hosted.configure(StreamOptions(**fields["options"]))
            case "identity":
                hosted.stream.set_identity(IdentityLatents.load(Path(fields["identity"])))
            case "codecs":
                hosted.set_codecs(fields["codecs"])
            case "keyframe":
                hosted.keyframes.add(fields["codec"])

    def _advance(self) -> None:
        """A piece of sound for each stream that has some; what falls due is made together."""
        for hosted in self._streams.values():
            hosted.skip()
        turn = [(ident, hosted) for ident, hosted in self._streams.items() if hosted.waiting]
        pushes = [hosted.take() for _, hosted in turn]
        for (ident, hosted), made in zip(turn, push_all(self._engine, pushes), strict=True):
            for frames in made:
                self._emit(ident, hosted, frames)

    def _emit(self, ident: int, hosted: HostedStream, frames: FrameChunk) -> None:
        for stage, milliseconds in self._engine.stage_ms.items():
            hosted.measured(stage, milliseconds)
        for index, picture in enumerate(frames.frames):
            rungs = _rungs(picture, frames.backdrop, hosted.encoders)
            self._encode(ident, hosted, (rungs, frames.pts + index, frames.generation))
            hosted.frames += 1
            if hosted.frames % STATS_EVERY_FRAMES == 0:
                self._send("stats", {"stream": ident, **_stats(hosted)})

    def _encode(self, ident: int, hosted: HostedStream, item: tuple[Any, int, int]) -> None:
        rungs, pts, generation = item
        for codec, encoder in hosted.encoders.items():
            start_s = perf_counter()
            packet = encoder.encode(rungs[codec], pts, keyframe=codec in hosted.keyframes)
            hosted.measured("encode", 1000 * (perf_counter() - start_s))
            hosted.encodes[codec] += 1
            if packet is None:
                continue
            if packet.keyframe:
                hosted.keyframes.discard(codec)
            fields = {
                "stream": ident,
                "codec": codec,
                "pts": pts,
                "keyframe": packet.keyframe,
                "generation": generation,
            }
            self._send("packet", fields, packet.data)

    def _send(self, kind: str, fields: dict[str, Any], body: bytes = b"") -> None:
        self._connection.sendall(encode(WireMessage(kind, fields, body)))


def _rungs(
    picture: ByteArray, behind: ByteArray | None, codecs: Iterable[str]
) -> dict[str, ByteArray]:
    """What each codec is given: the picture as it was drawn, or put over its background."""
    plain = picture
    if picture.shape[2] == 4 and not all(codec.endswith(ALPHA) for codec in codecs):
        wall = np.full_like(picture[..., :3], NEUTRAL) if behind is None else behind
        plain = over(picture, wall)
    return {codec: picture if codec.endswith(ALPHA) else plain for codec in codecs}


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


def run(descriptor: int, name: str, size_px: int, settings: dict[str, Any]) -> None:
    """The worker process's life. The server ends it by closing the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the server's affair
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    connection = socket.socket(fileno=descriptor)
    try:
        engine = load_engine(name, size_px=size_px, **settings)
        engine.warm_up()
    except (ValueError, TypeError) as error:
        connection.sendall(encode(WireMessage("failed", {"message": str(error)})))
        return
    try:
        Worker(connection, engine).serve()
    except (BrokenPipeError, ConnectionResetError):
        log.info("the server is gone")
