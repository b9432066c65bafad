"""The live engine: sound -> whisper tokens -> denoised latents -> pictures at 25 fps."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, replace
from fractions import Fraction
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sonic_stream.engine import Portrait, StreamOptions
from sonic_stream.engines.sonic import memory
from sonic_stream.engines.sonic.accelerate import Placement
from sonic_stream.engines.sonic.guidance import Identity, MotionScale
from sonic_stream.engines.sonic.live import LiveDenoiser, LiveSettings, LiveState
from sonic_stream.engines.sonic.live_audio import (
    FRAME_SAMPLES,
    LOOK_AHEAD_SAMPLES,
    LiveAudio,
    LiveAudioState,
)
from sonic_stream.engines.sonic.mel import RATE_HZ
from sonic_stream.engines.sonic.model import SonicModel, to_bytes
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.engines.sonic.picture import Prepared, prepared_portrait
from sonic_stream.media import (
    AudioChunk,
    EngineSpec,
    FloatArray,
    FrameChunk,
    IdentityLatents,
    fingerprint,
)
from sonic_stream.windows import FrameClock

log = logging.getLogger(__name__)

FPS = Fraction(25)
FRAMES_PER_LATENT = 2


class SonicEngine:
    """Sizes are multiples of 64. `weights` names a folder with the official or converted files,
    or is "random" (the same cost, no picture). Weights are read by `warm_up` or the first stream.

    Settings: those of `LiveSettings`, and `device`, `precision`, `acceleration` of `Placement`.
    Raises `ValueError` for a setting that cannot be.
    """

    def __init__(self, *, size_px: int = 512, weights: str = "", **settings: Any) -> None:
        if size_px % 64 or not 64 <= size_px <= 1024:
            raise ValueError(f"size_px is a multiple of 64 in 64..1024, not {size_px}")
        names = ("device", "precision", "acceleration")
        self._placement = Placement(**{k: settings.pop(k) for k in names if k in settings})
        try:
            self._settings = LiveSettings(**settings)
        except TypeError as error:
            raise ValueError(f"unknown setting of the sonic engine: {error}") from error
        self._weights = weights
        self._model: SonicModel | None = None
        self._identities: dict[str, Identity] = {}
        self._rung = 0
        live = self._settings
        look_ahead = LOOK_AHEAD_SAMPLES + live.ahead * FRAME_SAMPLES
        self._spec = EngineSpec(
            engine="sonic",
            sample_rate_hz=RATE_HZ,
            fps=FPS,
            size_px=size_px,
            hop_frames=FRAMES_PER_LATENT * live.hop,
            context_frames=FRAMES_PER_LATENT * live.context,
            look_ahead_samples=look_ahead,
        )
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    @property
    def settings(self) -> LiveSettings:
        """As asked for, less the economies that memory has enforced."""
        return replace(self._settings, together=self.economy.together and self._settings.together)

    @property
    def economy(self) -> memory.Economy:
        return memory.LADDER[self._rung]

    def prepare(self, portrait: Portrait) -> IdentityLatents:
        """Picture, mask and CLIP pixels: light, without weights. Latents are computed once by
        the process that holds the weights (`identity_of`)."""
        size = self._spec.size_px
        made = prepared_portrait(portrait, size)
        tensors = {"picture": made.picture, "mask": made.mask, "clip": made.clip}
        mark = fingerprint("sonic", size, portrait.content)
        return IdentityLatents("sonic", size, mark, tensors)

    def open(self, identity: IdentityLatents, options: StreamOptions) -> SonicStream:
        return SonicStream(self, identity, options)

    def warm_up(self) -> None:
        """Reads the weights and runs one hop, so that compilation and allocation are over.
        Raises `ValueError` that says what is missing."""
        side = self._spec.size_px
        blank = IdentityLatents("sonic", side, "blank", {
            "picture": np.zeros((3, side, side), np.float32),
            "mask": np.ones((1, side, side), np.float32),
            "clip": np.zeros((3, 224, 224), np.float32),
        })  # fmt: skip
        stream = self.open(blank, StreamOptions())
        silence = np.zeros(self._spec.latency_samples, np.float32)
        stream.push(AudioChunk(silence, RATE_HZ, 0))
        del self._identities["blank"]

    @property
    def model(self) -> SonicModel:
        """Loaded once; shared, read-only, by every stream. Raises `ValueError`."""
        if self._model is None:
            placement = self._placement.resolve()
            if placement.device.startswith("cuda"):
                free_gib = torch.cuda.mem_get_info(placement.device)[0] / memory.GIB
                self._rung = memory.choose(free_gib, self._spec.size_px, self._settings.window)
                log.info("%.1f GiB of GPU memory free: %s", free_gib, self.economy.name)
            self._model = SonicModel.load(self._weights, placement)
        return self._model

    def identity_of(self, latents: IdentityLatents) -> Identity:
        """What the networks see of a portrait; kept, for every stream of it."""
        if latents.size_px != self._spec.size_px:
            raise ValueError(f"this identity is {latents.size_px} px, not {self._spec.size_px}")
        if latents.fingerprint not in self._identities:
            arrays = {k: np.asarray(v, np.float32) for k, v in latents.tensors.items()}
            self._identities[latents.fingerprint] = self.model.identity(Prepared(**arrays))
        return self._identities[latents.fingerprint]

    def economise(self) -> None:
        """One rung down the ladder after memory ran out. Raises `ValueError` at its end."""
        if self._rung + 1 == len(memory.LADDER):
            raise ValueError("out of GPU memory: choose a smaller engine.size_px or context")
        self._rung += 1
        torch.cuda.empty_cache()
        log.warning("out of GPU memory: from now on %s", self.economy.name)


@dataclass
class _State:
    """`live` is None until the first hop, whose voice the denoiser starts with."""

    clock: FrameClock
    audio: LiveAudioState
    pending: FloatArray
    live: LiveState | None = None

    def clone(self) -> _State:
        live = self.live.clone() if self.live is not None else None
        return _State(copy.deepcopy(self.clock), self.audio.clone(), self.pending, live)


class SonicStream:
    """One live rendering; see `sonic_stream.engine.Stream`."""

    def __init__(
        self, engine: SonicEngine, identity: IdentityLatents, options: StreamOptions
    ) -> None:
        self._engine, self._options = engine, options
        self._identity = engine.identity_of(identity)
        settings = engine.settings
        self._hearing = LiveAudio(engine.model.audio, settings.hop + settings.ahead)
        self.reset()

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        state = self._state
        due = state.clock.push(audio)
        state.pending = np.concatenate([state.pending, audio.samples])
        hop = self._engine.spec.hop_frames
        chunks = []
        for pts in due[::hop]:
            started_s = perf_counter()
            voice = self._hear()
            heard_s = perf_counter()
            latents = self._denoise(voice)
            if latents.is_cuda:
                torch.cuda.synchronize()  # else the decoder's figure would hold the denoiser's work
            denoised_s = perf_counter()
            if render:
                frames = to_bytes(self._draw(latents))
                chunks.append(FrameChunk(frames, FPS, pts, audio.generation))
            self._engine.stage_ms = {
                "features": 1000 * (heard_s - started_s) / hop,
                "denoise": 1000 * (denoised_s - heard_s) / hop,
                "decode": 1000 * (perf_counter() - denoised_s) / hop,
            }
        return chunks

    def flush(self) -> list[FrameChunk]:
        tail = self._state.clock.padding()
        return self.push(tail) if tail is not None else []

    def reset(self) -> None:
        empty = np.zeros(0, np.float32)
        self._state = _State(FrameClock(self._engine.spec), self._hearing.init_state(), empty)

    def clone(self) -> SonicStream:
        twin = copy.copy(self)
        twin._state = self._state.clone()
        return twin

    def configure(self, options: StreamOptions) -> None:
        self._options = options

    def set_identity(self, identity: IdentityLatents) -> None:
        """The new portrait takes over from the next hop, by way of its latents."""
        self._identity = self._engine.identity_of(identity)

    def _hear(self) -> Voice:
        """The voice of the next hop; before the first, that of the frames begun ahead too."""
        state, settings = self._state, self._engine.settings
        first = state.live is None
        frames = settings.hop + (settings.ahead if first else 0)
        count = frames * FRAME_SAMPLES + (LOOK_AHEAD_SAMPLES if first else 0)
        new, state.pending = state.pending[:count], state.pending[count:]
        clip = self._identity.clip[0].float().cpu()
        with torch.inference_mode():
            voice = self._hearing.hear(state.audio, torch.from_numpy(new.copy()), frames, clip)
        placed = Voice(self._placed(voice.tokens), self._placed(voice.buckets))
        if first:
            split = settings.ahead
            begun = Voice(placed.tokens[:split], placed.buckets[:split])
            state.live = self._denoiser().init_state(self._identity, begun)
            placed = Voice(placed.tokens[split:], placed.buckets[split:])
        return placed

    def _denoise(self, voice: Voice) -> Tensor:
        """[1 + hop, 4, h, w]: the last latents shown, and the new ones."""
        live, options = self._state.live, self._options
        scale = MotionScale(options.dynamic_scale, options.motion_scale)
        assert live is not None  # made by the first `_hear`
        before = live.past[-1:]
        while True:
            try:
                made = self._denoiser().step(live, self._identity, voice, scale)
                return torch.cat([before, made])
            except torch.OutOfMemoryError:
                self._engine.economise()

    def _draw(self, latents: Tensor) -> Tensor:
        """Latents [1 + hop, 4, h, w] -> pictures [2 * hop, 3, H, W] in 0..1."""
        model = self._engine.model
        while True:
            try:
                pictures = model.pictures(latents, self._engine.economy.decode_frames)
                return model.doubled(pictures)
            except torch.OutOfMemoryError:
                self._engine.economise()

    def _denoiser(self) -> LiveDenoiser:
        return LiveDenoiser(self._engine.model.unet, self._engine.settings, self._options.seed)

    def _placed(self, values: Tensor) -> Tensor:
        placement = self._engine.model.placement
        return values.to(placement.device, placement.dtype)
