"""The live engine: sound -> whisper tokens -> denoised latents -> pictures at 25 fps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from sonic_stream.engine import Portrait, Push, StreamOptions
from sonic_stream.engines.sonic import memory
from sonic_stream.engines.sonic.accelerate import Placement
from sonic_stream.engines.sonic.governor import Governor
from sonic_stream.engines.sonic.guidance import Identity
from sonic_stream.engines.sonic.live import LiveSettings
from sonic_stream.engines.sonic.live_audio import LOOK_AHEAD_SAMPLES
from sonic_stream.engines.sonic.mel import RATE_HZ
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.picture import Prepared, prepared_portrait
from sonic_stream.engines.sonic.stream import FPS, SonicStream, group_size, push_together
from sonic_stream.media import AudioChunk, EngineSpec, FrameChunk, IdentityLatents, fingerprint

log = logging.getLogger(__name__)

MAX_STREAMS = 16
FULL_CARD = "the GPU's memory is full: free the card, or use engine.name = 'lite'"


class SonicEngine:
    """Sizes are multiples of 64. `weights` names a folder with the official or converted files,
    or is "random" (the same cost, no picture). Weights are read by `warm_up` or the first stream.
    `streams`: how many share them in one process.

    Settings: those of `LiveSettings`, `device`, `precision`, `acceleration` of `Placement`, and
    `decoder` (see `SonicModel.load`).
    Raises `ValueError` for a setting that cannot be.
    """

    def __init__(
        self, *, size_px: int = 512, weights: str = "", streams: int = 1, **settings: Any
    ) -> None:
        if size_px % 64 or not 64 <= size_px <= 1024:
            raise ValueError(f"size_px is a multiple of 64 in 64..1024, not {size_px}")
        if not 1 <= streams <= MAX_STREAMS:
            raise ValueError(f"streams lies in 1..{MAX_STREAMS}, not {streams}")
        names = ("device", "precision", "acceleration")
        self._placement = Placement(**{k: settings.pop(k) for k in names if k in settings})
        self._decoder: str = settings.pop("decoder", "auto")
        try:
            self._settings = LiveSettings(**settings)
        except TypeError as error:
            raise ValueError(f"unknown setting of the sonic engine: {error}") from error
        self._weights, self.streams = weights, streams
        self._model: SonicModel | None = None
        self._identities: dict[str, Identity] = {}
        self._rung = 0
        self._governor = Governor(self._settings.steps)
        live = self._settings
        frames_per_latent = round(FPS / Fraction(live.latent_fps))
        latent_samples = round(RATE_HZ / live.latent_fps)
        self._spec = EngineSpec(
            engine="sonic",
            sample_rate_hz=RATE_HZ,
            fps=FPS,
            size_px=size_px,
            hop_frames=frames_per_latent * live.hop,
            context_frames=frames_per_latent * live.context,
            look_ahead_samples=LOOK_AHEAD_SAMPLES + live.ahead * latent_samples,
        )
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    @property
    def settings(self) -> LiveSettings:
        """As asked for, less the economies that memory and time have enforced."""
        asked = self._settings
        together = self.economy.together and asked.together
        return replace(asked, together=together, steps=self._governor.steps)

    def timed(self, *, late: bool) -> None:
        """Told of every round of hops. Staggered streams carry as many levels as steps with them:
        those cannot change."""
        hop_s = self._settings.hop / self._settings.latent_fps
        if self._settings.mode == "chunk" and self._governor.hop(hop_s, late=late):
            log.warning("denoising in %d steps from now on", self._governor.steps)

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

    def push_together(self, pushes: Sequence[Push]) -> list[list[FrameChunk]]:
        return push_together(self, pushes)

    def warm_up(self) -> None:
        """Reads the weights and runs a hop of every group of streams that there may be, so that
        compilation and allocation are over. Raises `ValueError` that says what is missing."""
        side = self._spec.size_px
        blank = IdentityLatents("sonic", side, "blank", {
            "picture": np.zeros((3, side, side), np.float32),
            "mask": np.ones((1, side, side), np.float32),
            "clip": np.zeros((3, 224, 224), np.float32),
        })  # fmt: skip
        silence = AudioChunk(np.zeros(self._spec.latency_samples, np.float32), RATE_HZ, 0)
        for count in sorted({group_size(n) for n in range(1, self.streams + 1)}):
            streams = [self.open(blank, StreamOptions()) for _ in range(count)]
            self.push_together([Push(stream, silence) for stream in streams])
        del self._identities["blank"]

    @property
    def model(self) -> SonicModel:
        """Loaded once; shared, read-only, by every stream. Raises `ValueError`."""
        if self._model is None:
            placement = self._placement.resolve()
            if placement.device.startswith("cuda"):
                free_gib = torch.cuda.mem_get_info(placement.device)[0] / memory.GIB
                size, window = self._spec.size_px, self._settings.window
                wide = placement.precision == "fp32"
                load = memory.Load(size, window, self.streams, wide)
                self._rung = memory.choose(free_gib, load)
                log.info("%.1f GiB of GPU memory free: %s", free_gib, self.economy.name)
            try:
                self._model = SonicModel.load(self._weights, placement, self._decoder)
            except torch.OutOfMemoryError as error:
                raise ValueError(FULL_CARD) from error
        return self._model

    def identity_of(self, latents: IdentityLatents) -> Identity:
        """What the networks see of a portrait; kept, for every stream of it. Raises
        `ValueError`."""
        if latents.size_px != self._spec.size_px:
            raise ValueError(f"this identity is {latents.size_px} px, not {self._spec.size_px}")
        if latents.fingerprint not in self._identities:
            arrays = {k: np.asarray(v, np.float32) for k, v in latents.tensors.items()}
            try:
                self._identities[latents.fingerprint] = self.model.identity(Prepared(**arrays))
            except torch.OutOfMemoryError as error:
                raise ValueError(FULL_CARD) from error
        return self._identities[latents.fingerprint]

    def economise(self) -> None:
        """One rung down the ladder after memory ran out. Raises `ValueError` at its end."""
        if self._rung + 1 == len(memory.LADDER):
            raise ValueError("out of GPU memory: choose a smaller engine.size_px or context")
        self._rung += 1
        torch.cuda.empty_cache()
        log.warning("out of GPU memory: from now on %s", self.economy.name)
