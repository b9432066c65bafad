"""The embedded engine: sound -> features -> network -> motion -> picture, on a CPU."""

from __future__ import annotations

import copy
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from time import perf_counter
from weakref import WeakValueDictionary

import cv2
import numpy as np

from sonic_stream.engine import Portrait, StreamOptions
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.hearing import Hearing
from sonic_stream.engines.lite.identity import prepare, restore
from sonic_stream.engines.lite.life import Life
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.network import (
    LOOK_AHEAD_SAMPLES,
    AudioToMotion,
    MotionNet,
)
from sonic_stream.engines.lite.prosody import Prosody
from sonic_stream.engines.lite.rig import FRAME_S, Lips, lip_smoother, lips, rested
from sonic_stream.media import (
    AudioChunk,
    ByteArray,
    EngineSpec,
    FloatArray,
    FrameChunk,
    IdentityLatents,
)
from sonic_stream.smoothing import AttackRelease
from sonic_stream.windows import FrameClock

FPS = Fraction(25)
MAX_STREAMS = 64
FADE_FRAMES = 5  # from one portrait or background to the next


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
        self._scenes: WeakValueDictionary[tuple[str, str, bool], Scene] = WeakValueDictionary()
        self._spec = EngineSpec("lite", 16000, FPS, size_px, 1, 0, LOOK_AHEAD_SAMPLES)
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def prepare(self, portrait: Portrait) -> IdentityLatents:
        return prepare(portrait, self._spec.size_px)

    def open(self, identity: IdentityLatents, options: StreamOptions) -> LiteStream:
        return LiteStream(self, self._net, identity, options)

    def scene(self, identity: IdentityLatents, options: StreamOptions) -> Scene:
        """The one that all streams of this portrait and background share. Raises `ValueError`."""
        key = (identity.fingerprint, options.background, options.alpha)
        scene = self._scenes.get(key)
        if scene is None:
            size_px = self._spec.size_px
            if identity.size_px != size_px:
                raise ValueError(f"this identity is {identity.size_px} px, the engine {size_px}")
            scene = Scene(restore(identity), options.background, alpha=options.alpha)
            self._scenes[key] = scene
        return scene

    prefetch = scene  # see `sonic_stream.engine.prefetch`

    def warm_up(self) -> None:
        AudioToMotion(self._net).push(np.zeros(3200, np.float32))


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


class _Face:
    """The portrait shown: one scene, or one that fades in over what was shown before."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._before: _Face | None = None
        self._faded = 0

    def change(self, scene: Scene, *, at_once: bool) -> None:
        """Also in the middle of a change: what fades out then is the mixture.

        Pictures with and without alpha do not fade into each other.
        """
        at_once = at_once or scene.has_alpha != self._scene.has_alpha
        self._before = None if at_once else self.clone()
        self._scene, self._faded = scene, 0

    def clone(self) -> _Face:
        twin = copy.copy(self)
        twin._before = self._before.clone() if self._before else None
        return twin

    def show(self, motion: Motion, *, render: bool) -> tuple[ByteArray, ByteArray | None] | None:
        """The next picture and, of RGBA, its background; None when it is not wanted, but the
        fade goes on."""
        if self._before is not None:
            self._faded += 1
            if self._faded > FADE_FRAMES:
                self._before = None
        old = self._before.show(motion, render=render) if self._before else None
        if not render:
            return None
        picture, behind = self._scene.render(motion)
        if old is None:
            return picture, behind
        share = self._faded / (FADE_FRAMES + 1)
        return np.asarray(cv2.addWeighted(picture, share, old[0], 1 - share, 0), np.uint8), behind


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
        self._face = _Face(engine.scene(identity, options))
        self._started = False
        self._state = self._fresh()

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        state = self._state
        due = state.clock.push(audio)
        start_s = perf_counter()
        state.hearing.hear(audio.samples)
        heard_s = perf_counter()
        channels = state.hearing.speak()
        per_frame = 1000 / max(len(due), 1)
        features_ms = per_frame * (heard_s - start_s)
        network_ms = per_frame * (perf_counter() - heard_s)
        chunks = []
        for pts, row in zip(due, channels, strict=True):
            start_s = perf_counter()
            motion = self._move(row, pts)
            shown = self._face.show(motion, render=render)
            self._started = True
            if shown is not None:
                picture, behind = shown
                chunks.append(FrameChunk(picture[None], FPS, pts, audio.generation, behind))
            self._engine.stage_ms = {
                "features": features_ms,
                "network": network_ms,
                "render": 1000 * (perf_counter() - start_s),
            }
        return chunks

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
