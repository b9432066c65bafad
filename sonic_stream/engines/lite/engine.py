"""The embedded engine: sound -> features -> network -> motion -> picture, on a CPU."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction
from time import perf_counter

import cv2
import numpy as np

from sonic_stream.engine import Portrait, StreamOptions
from sonic_stream.engines.lite import idle
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.identity import Latents, prepare, restore
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.network import (
    LOOK_AHEAD_SAMPLES,
    AudioToMotion,
    MotionNet,
    aperture,
)
from sonic_stream.engines.lite.rig import FRAME_S, lip_smoother, lips
from sonic_stream.media import AudioChunk, EngineSpec, FloatArray, FrameChunk, IdentityLatents
from sonic_stream.smoothing import AttackRelease
from sonic_stream.windows import FrameClock

FPS = Fraction(25)


class LiteEngine:
    """Holds the network's weights; portraits from 128 to 2048 px, multiples of 16."""

    def __init__(self, *, size_px: int = 512) -> None:
        if size_px % 16 or not 128 <= size_px <= 2048:
            raise ValueError(f"the picture's size is a multiple of 16 in 128..2048, not {size_px}")
        cv2.setNumThreads(1)  # the worker's cores belong to its sessions
        self._net = MotionNet.load()
        self._spec = EngineSpec("lite", 16000, FPS, size_px, 1, 0, LOOK_AHEAD_SAMPLES)
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def prepare(self, portrait: Portrait) -> IdentityLatents:
        return prepare(portrait, self._spec.size_px)

    def open(self, identity: IdentityLatents, options: StreamOptions) -> LiteStream:
        return LiteStream(self, self._net, identity, options)

    def warm_up(self) -> None:
        AudioToMotion(self._net).push(np.zeros(3200, np.float32))


@dataclass
class _State:
    clock: FrameClock
    voice: AudioToMotion
    smoother: AttackRelease = field(default_factory=lip_smoother)
    speech: idle.Speech = field(default_factory=idle.Speech)

    def clone(self) -> _State:
        return _State(
            copy.deepcopy(self.clock),
            self.voice.clone(),
            self.smoother.clone(),
            copy.copy(self.speech),
        )


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
        self._options = options
        self._latents = self._restored(identity)
        self._scene = Scene(self._latents, options.background, alpha=options.alpha)
        self._state = _State(FrameClock(engine.spec), AudioToMotion(net))

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        state = self._state
        due = state.clock.push(audio)
        start_s = perf_counter()
        state.voice.hear(audio.samples)
        heard_s = perf_counter()
        channels = state.voice.speak()
        per_frame = 1000 / max(len(due), 1)
        features_ms = per_frame * (heard_s - start_s)
        network_ms = per_frame * (perf_counter() - heard_s)
        chunks = []
        for pts, row in zip(due, channels, strict=True):
            start_s = perf_counter()
            motion = self._move(row, pts)
            if render:
                picture, behind = self._scene.render(motion)
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

    def reset(self) -> None:
        self._state = _State(FrameClock(self._engine.spec), AudioToMotion(self._net))

    def clone(self) -> LiteStream:
        twin = copy.copy(self)
        twin._state = self._state.clone()
        return twin

    def configure(self, options: StreamOptions) -> None:
        """Raises `ValueError` when a background's file cannot be read; nothing changes then."""
        wanted, present = (options.background, options.alpha), self._options
        if wanted != (present.background, present.alpha):
            self._scene = Scene(self._latents, options.background, alpha=options.alpha)
        self._options = options

    def set_identity(self, identity: IdentityLatents) -> None:
        latents, options = self._restored(identity), self._options
        self._scene = Scene(latents, options.background, alpha=options.alpha)
        self._latents = latents

    def _restored(self, identity: IdentityLatents) -> Latents:
        if identity.size_px != self._engine.spec.size_px:
            raise ValueError(
                f"this identity is {identity.size_px} px, the engine {self._engine.spec.size_px}"
            )
        return restore(identity)

    def _move(self, channels: FloatArray, pts: int) -> Motion:
        state, options = self._state, self._options
        state.speech.step(float(aperture(channels)))
        smooth = state.smoother.step(channels, FRAME_S, options.smoothing)
        coefficients, tongue = lips(smooth, options.dynamic_scale)
        motion = idle.live(coefficients, tongue, pts, state.speech, options.seed)
        return idle.scaled(motion, options.motion_scale)
