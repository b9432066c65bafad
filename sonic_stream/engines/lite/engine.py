"""The embedded engine: sound -> features -> network -> motion -> picture, on a CPU."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from itertools import islice
from time import perf_counter
from typing import Any
from weakref import WeakValueDictionary

import cv2
import numpy as np

from sonic_stream.engine import Portrait, StreamOptions
from sonic_stream.engines.lite.face import Face
from sonic_stream.engines.lite.hearing import Hearing
from sonic_stream.engines.lite.identity import prepare
from sonic_stream.engines.lite.life import Life
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.network import (
    LOOK_AHEAD_SAMPLES,
    AudioToMotion,
    MotionNet,
)
from sonic_stream.engines.lite.painter import CpuPainter, Painter, Picture, Shot
from sonic_stream.engines.lite.prosody import Prosody
from sonic_stream.engines.lite.rig import FRAME_S, Lips, lip_smoother, lips, rested
from sonic_stream.media import (
    AudioChunk,
    EngineSpec,
    FloatArray,
    FrameChunk,
    IdentityLatents,
)
from sonic_stream.smoothing import AttackRelease
from sonic_stream.windows import FrameClock

FPS = Fraction(25)
MAX_STREAMS = 64


class LiteEngine:
    """Holds the network's weights; portraits from 128 to 2048 px, multiples of 16.

    `streams`: how many a process hosts; 0: as many as it has time for."""

    def __init__(self, *, size_px: int = 512, streams: int = 0) -> None:
        if size_px % 16 or not 128 <= size_px <= 2048:
            raise ValueError(f"the picture's size is a multiple of 16 in 128..2048, not {size_px}")
        if not isinstance(streams, int) or not 0 <= streams <= MAX_STREAMS:
            raise ValueError(f"streams lies in 0..{MAX_STREAMS} (0: as many as fit), not {streams}")
        cv2.setNumThreads(1)  # the worker's cores belong to its sessions
        self.streams = streams
        self._net = MotionNet.load()
        self._scenes: WeakValueDictionary[tuple[str, str, bool], Any] = WeakValueDictionary()
        self._painter: Painter = CpuPainter()
        self._spec = EngineSpec("lite", 16000, FPS, size_px, 1, 0, LOOK_AHEAD_SAMPLES)
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def prepare(self, portrait: Portrait) -> IdentityLatents:
        return prepare(portrait, self._spec.size_px)

    def open(self, identity: IdentityLatents, options: StreamOptions) -> LiteStream:
        return LiteStream(self, self._net, identity, options)

    @property
    def painter(self) -> Painter:
        return self._painter

    def scene(self, identity: IdentityLatents, options: StreamOptions) -> Any:
        """The one that all streams of this portrait and background share. Raises `ValueError`."""
        key = (identity.fingerprint, options.background, options.alpha)
        scene = self._scenes.get(key)
        if scene is None:
            size_px = self._spec.size_px
            if identity.size_px != size_px:
                raise ValueError(f"this identity is {identity.size_px} px, the engine {size_px}")
            scene = self._scenes[key] = self.painter.scene(identity, options)
        return scene

    prefetch = scene  # see `sonic_stream.engine.prefetch`

    def shown(self, taken: Sequence[Taken]) -> list[list[FrameChunk]]:
        """The pictures of different streams, in one call of the painter."""
        start_s = perf_counter()
        pictures = iter(self.painter.paint([shot for one in taken for shot in one.shots]))
        paint_s = perf_counter() - start_s
        if frames := sum(len(one.due) for one in taken):
            heard_s, spoken_s, moved_s = (sum(one.took_s[i] for one in taken) for i in range(3))
            stages = {"features": heard_s, "network": spoken_s, "render": moved_s + paint_s}
            self.stage_ms = {name: 1000 * taken_s / frames for name, taken_s in stages.items()}
        return [one.chunks(list(islice(pictures, len(one.shots)))) for one in taken]

    def warm_up(self) -> None:
        AudioToMotion(self._net).push(np.zeros(3200, np.float32))


@dataclass(frozen=True)
class Taken:
    """The pictures that a stream is due: their pts, their shots (none when they are not wanted),
    and the seconds that hearing, understanding and moving took."""

    due: range
    shots: Sequence[Shot]
    generation: int
    took_s: tuple[float, float, float]

    def chunks(self, pictures: Sequence[Picture]) -> list[FrameChunk]:
        return [
            FrameChunk(picture.pixels[None], FPS, pts, self.generation, picture.behind)
            for pts, picture in zip(self.due, pictures, strict=False)
        ]


@dataclass
class _State:
    """What a stream's past has left; `options` are those that it starts with."""

    options: InitVar[StreamOptions]
    clock: FrameClock
    hearing: Hearing
    life: Life = field(init=False)
    prosody: Prosody = field(default_factory=Prosody)
    smoother: AttackRelease = field(default_factory=lip_smoother)
    lips: Lips = (no_coefficients(), 0.0)

    def __post_init__(self, options: StreamOptions) -> None:
        self.life = Life(options)

    def clone(self) -> _State:
        twin = copy.copy(self)
        twin.clock, twin.hearing = copy.copy(self.clock), self.hearing.clone()
        twin.life, twin.prosody = copy.deepcopy(self.life), copy.deepcopy(self.prosody)
        twin.smoother = self.smoother.clone()
        return twin


class LiteStream:
    """One live rendering; see `sonic_stream.engine.Stream`."""

    def __init__(
        self,
        engine: LiteEngine,
        net: MotionNet,
        identity: IdentityLatents,
        options: StreamOptions,
    ) -> None:
        self._engine = engine
        self._net = net
        self._identity, self._options = identity, options
        self._face = Face(engine.scene(identity, options))
        self._started = False
        self._state = self._fresh()

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        return self._engine.shown([self.take(audio, render=render)])[0]

    def take(self, audio: AudioChunk, *, render: bool) -> Taken:
        """Goes on by some sound; what it makes due is still to be drawn."""
        state = self._state
        due = state.clock.push(audio)
        start_s = perf_counter()
        state.hearing.hear(audio.samples)
        heard_s = perf_counter()
        channels = state.hearing.speak()
        spoken_s = perf_counter()
        shots = []
        for pts, row in zip(due, channels, strict=True):
            shots.append(Shot(self._move(row, pts), self._face.next()))
            self._started = True
        return Taken(
            due,
            shots if render else [],
            audio.generation,
            (heard_s - start_s, spoken_s - heard_s, perf_counter() - spoken_s),
        )

    def flush(self) -> list[FrameChunk]:
        tail = self._state.clock.padding()
        return self.push(tail) if tail is not None else []

    def silence_from(self, pts: int) -> None:
        self._state.hearing.silence(self._state.clock.end_pts - pts)

    def reset(self) -> None:
        self._state = self._fresh()

    def clone(self) -> LiteStream:
        twin = copy.copy(self)
        twin._state, twin._face = self._state.clone(), self._face.clone()
        return twin

    def configure(self, options: StreamOptions) -> None:
        """Raises `ValueError` when a background's file cannot be read; nothing changes then."""
        wanted, present = (options.background, options.alpha), self._options
        if wanted != (present.background, present.alpha):
            self._face.change(
                self._engine.scene(self._identity, options), at_once=not self._started
            )
        self._options = options

    def set_identity(self, identity: IdentityLatents) -> None:
        scene = self._engine.scene(identity, self._options)
        self._face.change(scene, at_once=not self._started)
        self._identity = identity

    def _fresh(self) -> _State:
        return _State(self._options, FrameClock(self._engine.spec), Hearing(self._net))

    def _move(self, channels: FloatArray, pts: int) -> Motion:
        state, options = self._state, self._options
        hearing = state.hearing
        cues = state.prosody.step(channels, hearing.levels_db(), hearing.height())
        smooth = state.smoother.step(channels, FRAME_S, options.smoothing)
        state.lips = rested(state.lips, hearing.still) or lips(smooth, options.dynamic_scale)
        return state.life.step(pts, state.lips, cues, options)
