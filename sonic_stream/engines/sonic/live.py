"""Live denoising: a sliding window makes `hop` new latent frames on the tail of the past ones.

Two modes. `chunk`: the new frames go through all noise levels together; past frames in the window
are kept at the same level, so that they condition the new ones (as in inpainting). `staggered`:
noise levels rise along the window, each UNet call moves every frame one level down and completes
`hop` frames (diffusion forcing, arXiv 2407.01392; FIFO-diffusion, arXiv 2405.11473).

Latents are never decoded and encoded again. Every hop is pulled towards the portrait's own latent
statistics, not towards the previous hop's, so that colour and contrast cannot wander.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sonic_stream.engines.sonic.config import VAE_SCALE
from sonic_stream.engines.sonic.guidance import (
    BRANCHES,
    Denoiser,
    Guidance,
    Identity,
    MotionScale,
    added_ids,
    branch_conditions,
    combine,
    one_branch,
)
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.engines.sonic.sampler import (
    SIGMA_MIN,
    euler_step,
    karras_sigmas,
    scale_input,
    timestep,
)
from sonic_stream.engines.sonic.unet import Conditions

MODES = ("chunk", "staggered")
COMMON = "common"  # what all frames' common noise is drawn under
REST_BUCKET = 16.0
HEARD = 2  # the branch that sees and hears


@dataclass(frozen=True)
class LiveSettings:
    """All counts in latent frames (80 ms each).

    `refresh`: the guidance difference is computed anew at every `refresh`-th noise level and
    reused between; 0: no guidance at all, a third of the cost. `anchor` 0..1: how strongly
    colour and contrast are held to the portrait's. `kinship` 0..1: the share of noise variance
    that all frames have in common.
    """

    mode: str = "chunk"
    steps: int = 4
    hop: int = 4
    context: int = 4
    overlap: int = 1
    refresh: int = 1
    anchor: float = 0.5
    kinship: float = 0.5
    guidance: Guidance = field(default_factory=Guidance)
    together: bool = True  # guidance's branches in one batch: faster, three times the memory

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if not 1 <= self.steps <= 50 or self.hop < 1 or self.context < 1 or self.refresh < 0:
            raise ValueError(f"steps lie in 1..50, hop and context from 1, refresh from 0: {self}")
        if not 0 <= self.overlap <= self.context:
            raise ValueError(f"overlap must lie in 0..{self.context} (the context): {self}")
        if not (0 <= self.anchor <= 1 and 0 <= self.kinship < 1):
            raise ValueError(f"anchor lies in 0..1, kinship in 0..1 (exclusive): {self}")

    @property
    def ahead(self) -> int:
        """Frames begun but not yet shown: their sound must have been heard."""
        return self.overlap if self.mode == "chunk" else (self.steps - 1) * self.hop

    @property
    def window(self) -> int:
        return self.context + self.hop + self.ahead


@dataclass
class LiveState:
    """Latents [n, 4, h, w] and voice of the frames in the window; tensors are never written to.

    past: the last `context` clean frames; open: the `ahead` frames begun already.
    """

    past: Tensor
    open: Tensor
    tokens: Tensor
    buckets: Tensor
    frame: int = 0

    def clone(self) -> LiveState:
        return LiveState(self.past, self.open, self.tokens, self.buckets, self.frame)


class LiveDenoiser:
    """Read-only: settings, UNet and the noise of a seed; all that changes is in `LiveState`."""

    def __init__(self, unet: Denoiser, settings: LiveSettings, seed: int) -> None:
        self._unet, self._settings, self._seed = unet, settings, seed
        self._sigmas = [float(sigma) for sigma in karras_sigmas(settings.steps)]

    def init_state(self, identity: Identity, first: Voice) -> LiveState:
        """As though the portrait had been shown, silent, for ever; `first` is the voice of the
        first `ahead` frames, which are begun before any is shown."""
        settings = self._settings
        rest = identity.latents * VAE_SCALE
        still = rest.expand(settings.context, *rest.shape)
        silence = identity.silence.expand(settings.context, *identity.silence.shape)
        at_rest = first.buckets.new_full((settings.context, 2), REST_BUCKET)
        ahead = rest.expand(settings.ahead, *rest.shape)
        if settings.mode == "staggered":
            levels = self._levels(rest)[settings.context : settings.context + settings.ahead]
            ahead = ahead + levels * self._noise(0, settings.ahead, rest)
        tokens = torch.cat([silence, first.tokens])
        return LiveState(still, ahead, tokens, torch.cat([at_rest, first.buckets]))

    @torch.inference_mode()
    def step(
        self, state: LiveState, identity: Identity, voice: Voice, scale: MotionScale
    ) -> Tensor:
        """The voice of `hop` further frames -> clean latents [hop, 4, h, w]. Advances `state`."""
        tokens = torch.cat([state.tokens, voice.tokens])
        buckets = torch.cat([state.buckets, voice.buckets])
        ids = added_ids(buckets.float(), scale).to(tokens.dtype)
        predict = _Predictor(self._unet, branch_conditions(identity, tokens, ids), self._settings)
        make = self._chunk if self._settings.mode == "chunk" else self._staggered
        clean, begun = make(state, identity, predict)
        clean = anchored(clean, identity.latents * VAE_SCALE, self._settings.anchor)
        context, hop = self._settings.context, self._settings.hop
        # Only now: a step that ran out of memory may be tried again.
        state.past, state.open = torch.cat([state.past, clean])[-context:], begun
        state.tokens, state.buckets = tokens[hop:], buckets[hop:]
        state.frame += hop
        return clean

    def _chunk(
        self, state: LiveState, identity: Identity, predict: _Predictor
    ) -> tuple[Tensor, Tensor]:
        settings, context = self._settings, self._settings.context
        fresh = settings.hop + settings.overlap
        noise = self._noise(state.frame - context, context + fresh, state.past)
        x = identity.latents * VAE_SCALE + self._sigmas[0] * noise[context:]
        for level, sigma in enumerate(self._sigmas[:-1]):
            held = state.past + sigma * noise[:context]
            window = torch.cat([held, x])
            v = predict(level, scale_input(window, sigma), timestep(sigma))
            x = euler_step(x, v[context:], sigma, self._sigmas[level + 1])
        if settings.overlap:
            share = torch.arange(1, settings.overlap + 1, device=x.device) / (settings.overlap + 1)
            share = share[:, None, None, None].to(x.dtype)
            blended = torch.lerp(state.open, x[: settings.overlap], share)
            x = torch.cat([blended, x[settings.overlap :]])
        return x[: settings.hop], x[settings.hop :]

    def _staggered(
        self, state: LiveState, identity: Identity, predict: _Predictor
    ) -> tuple[Tensor, Tensor]:
        settings, context = self._settings, self._settings.context
        rest = identity.latents * VAE_SCALE
        noise = self._noise(state.frame + settings.ahead, settings.hop, rest)
        levels = self._levels(rest)
        window = torch.cat([state.past, state.open, rest + self._sigmas[0] * noise])
        times = 0.25 * levels.flatten().log()
        v = predict(0, scale_input(window, levels), times)
        lower = torch.cat([levels[:context], self._after(rest)])
        moved = euler_step(window, v, levels, lower)[context:]
        return moved[: settings.hop], moved[settings.hop :]

    def _levels(self, like: Tensor) -> Tensor:
        """Noise level of each frame in a staggered window [W, 1, 1, 1], the oldest first."""
        rising = [s for s in reversed(self._sigmas[:-1]) for _ in range(self._settings.hop)]
        levels = [SIGMA_MIN] * self._settings.context + rising
        return torch.tensor(levels, device=like.device)[:, None, None, None]

    def _after(self, like: Tensor) -> Tensor:
        falling = [s for s in reversed(self._sigmas[1:]) for _ in range(self._settings.hop)]
        return torch.tensor(falling, device=like.device)[:, None, None, None]

    def _noise(self, first: int, count: int, like: Tensor) -> Tensor:
        """Unit noise [count, 4, h, w] of the frames from `first` on: each frame's own is a
        function of seed and number, whatever the chunking or the device."""
        shape, kinship = like.shape[-3:], self._settings.kinship
        common = _draw(self._seed, COMMON, shape)
        own = torch.stack(
            [_draw(self._seed, frame, shape) for frame in range(first, first + count)]
        )
        return (kinship**0.5 * common + (1 - kinship) ** 0.5 * own).to(like)


class _Predictor:
    """v of one hop's window at each noise level, guided.

    The difference that guidance makes changes little between levels, so it may be reused.
    """

    def __init__(self, unet: Denoiser, conditions: Conditions, settings: LiveSettings) -> None:
        self._unet, self._conditions, self._settings = unet, conditions, settings
        self._difference: Tensor | None = None

    def __call__(self, level: int, scaled: Tensor, time: float | Tensor) -> Tensor:
        """Scaled latents [W, 4, h, w], timestep of all or of each frame -> v [W, 4, h, w]."""
        settings = self._settings
        times = torch.as_tensor(time, device=scaled.device).expand(len(scaled))
        if settings.refresh == 0:
            return self._one(scaled, times)
        if settings.refresh == 1:
            return combine(self._all(scaled, times), settings.guidance)
        if level % settings.refresh == 0 or self._difference is None:
            both = self._all(scaled, times)
            v = combine(both, settings.guidance)
            self._difference = v - both[HEARD]
            return v
        return self._one(scaled, times) + self._difference

    def _all(self, scaled: Tensor, times: Tensor) -> Tensor:
        if not self._settings.together:
            return torch.cat([self._one(scaled, times, b)[None] for b in range(BRANCHES)])
        batch = scaled.expand(BRANCHES, *scaled.shape)
        return self._unet(batch, times.expand(BRANCHES, -1), self._conditions)

    def _one(self, scaled: Tensor, times: Tensor, branch: int = HEARD) -> Tensor:
        return self._unet(scaled[None], times[None], one_branch(self._conditions, branch))[0]


def anchored(latents: Tensor, portrait: Tensor, amount: float) -> Tensor:
    """Latents [F, 4, h, w] with each channel's mean and spread moved towards the portrait's."""
    mean, spread = latents.mean((-2, -1), keepdim=True), latents.std((-2, -1), keepdim=True)
    wanted_mean = portrait.mean((-2, -1), keepdim=True)
    wanted_spread = portrait.std((-2, -1), keepdim=True)
    gain = (wanted_spread / spread.clamp(min=1e-4)) ** amount
    return (latents - mean) * gain + torch.lerp(mean, wanted_mean.expand_as(mean), amount)


def _draw(seed: int, frame: int | str, shape: torch.Size) -> Tensor:
    # torch's generator uses 32 bits of a seed: hashed, so that no two numbers meet in them.
    digest = hashlib.sha256(f"{seed}:{frame}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
    return torch.randn(shape, generator=generator)
