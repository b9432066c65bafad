"""Quality mode: the whole clip is denoised as a ring of windows, exactly as the authors run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sonic_stream.engines.sonic.config import LATENT_FPS, VAE_SCALE
from sonic_stream.engines.sonic.guidance import (
    Denoiser,
    Guidance,
    Identity,
    MotionScale,
    added_ids,
    branch_conditions,
    guided,
)
from sonic_stream.engines.sonic.ring import RingPlan
from sonic_stream.engines.sonic.sampler import euler_step, karras_sigmas, scale_input, timestep


@dataclass(frozen=True)
class ClipSettings:
    """Upstream's defaults. Raises `ValueError` for steps outside 1..50 or scales outside 0.5..2."""

    steps: int = 25
    window: int = 25
    overlap: int = 0
    shift: int = 7
    dynamic_scale: float = 1.0
    motion_scale: float = 1.0
    guidance: Guidance = field(default_factory=Guidance)
    together: bool = True  # the three branches in one batch
    fps: float = LATENT_FPS  # what the network is told

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 50:
            raise ValueError(f"inference_steps must lie in 1..50, not {self.steps}")
        if not 0.5 <= self.dynamic_scale <= 2:
            raise ValueError(f"dynamic_scale must lie in 0.5..2, not {self.dynamic_scale}")
        if not 0 <= self.motion_scale <= 2:
            raise ValueError(f"motion_scale must lie in 0..2, not {self.motion_scale}")


@dataclass(frozen=True)
class Voice:
    """What the sound gives for each latent frame: tokens [N, 32, X] and motion buckets [N, 2]."""

    tokens: Tensor
    buckets: Tensor


class ClipDenoiser:
    """One clip of N frames. Latents [N, 4, h, w] go from `start` through `step` 0, 1, ..."""

    def __init__(
        self, unet: Denoiser, identity: Identity, voice: Voice, settings: ClipSettings
    ) -> None:
        self._unet, self._identity, self._voice = unet, identity, voice
        self._settings = settings
        self._plan = RingPlan(len(voice.tokens), settings.window, settings.overlap, settings.shift)
        self._sigmas = [float(sigma) for sigma in karras_sigmas(settings.steps)]

    @property
    def calls(self) -> int:
        """UNet evaluations of the whole clip."""
        return self._settings.steps * self._plan.windows_per_step

    def start(self, noise: Tensor) -> Tensor:
        """Unit noise [N, 4, h, w] -> latents at the first noise level, around the portrait's."""
        return self._identity.latents * VAE_SCALE + self._sigmas[0] * noise

    @torch.inference_mode()
    def step(self, step: int, latents: Tensor, on_call: Callable[[], None] | None = None) -> Tensor:
        """Each window goes one Euler step; where windows meet, their mean goes on."""
        total, count = torch.zeros_like(latents), latents.new_zeros(len(latents), 1, 1, 1)
        for window in self._plan.at_step(step):
            index = torch.tensor(window, device=latents.device)
            v = self.predict(index, latents, self._sigmas[step])
            moved = euler_step(latents[index], v, self._sigmas[step], self._sigmas[step + 1])
            # A short clip repeats frames within a window: they accumulate too.
            total.index_add_(0, index, moved)
            count.index_add_(0, index, count.new_ones(len(index), 1, 1, 1))
            if on_call is not None:
                on_call()
        return total / count

    @torch.inference_mode()
    def predict(self, index: Tensor, latents: Tensor, sigma: float) -> Tensor:
        """The guided v [W, 4, h, w] of the frames in `index` [W]."""
        settings = self._settings
        scale = MotionScale(settings.dynamic_scale, settings.motion_scale)
        ids = added_ids(self._voice.buckets[index].float(), scale, settings.fps)
        ids = ids.to(self._voice.tokens.dtype)
        conditions = branch_conditions(self._identity, self._voice.tokens[index], ids)
        time = torch.tensor(timestep(sigma), device=latents.device)
        scaled = scale_input(latents[index], sigma)
        together = settings.together
        return guided(self._unet, scaled, time, conditions, settings.guidance, together=together)

    def run(self, noise: Tensor, on_call: Callable[[], None] | None = None) -> Tensor:
        """Unit noise [N, 4, h, w] -> clean latents [N, 4, h, w]."""
        latents = self.start(noise)
        for step in range(self._settings.steps):
            latents = self.step(step, latents, on_call)
        return latents
